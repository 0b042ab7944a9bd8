import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.printable import link, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Dev\r\nBcc: all@x", "Dev Bcc: all@x"),
        ("a\u2028b\u2029c\x0bd\x85e\tf", "a b c d e f"),
        ("nul\x00l", "nul l"),
        ("\x1b[2Jclear", "[2Jclear"),
        ("Acme\u202e\u2066\u2069\u200f", "Acme"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("\U000e0041tag", "tag"),
        ("Ärzt:in 🚀 データ", "Ärzt:in 🚀 データ"),
        ("x" * 10_000, "x" * 199 + "…"),
        (" ", ""),
    ],
)
def test_text_becomes_one_clean_line(text, shown):
    assert printable(text) == shown


@given(st.text(alphabet=st.characters()), st.integers(1, 50))
def test_any_text_becomes_one_encodable_line_within_the_limit(text, limit):
    shown = printable(text, limit)

    assert len(shown) <= limit
    assert shown.splitlines() in ([], [shown])
    assert shown.encode().decode() == shown
    assert printable(shown, limit) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "https://jobs.example/a%20b?x=1&y=%C3%A4#top",
            ("https://jobs.example/a%20b?x=1&y=%C3%A4#top", "jobs.example"),
        ),
        ("https://jobs.example/ä b", ("https://jobs.example/%C3%A4b", "jobs.example")),
        ("http://JOBS.example:8080/x", ("http://jobs.example:8080/x", "jobs.example:8080")),
        ("https://bücher.example/", ("https://xn--bcher-kva.example/", "xn--bcher-kva.example")),
        ("https://a.example/\u202egnp.exe", ("https://a.example/gnp.exe", "a.example")),
        ('https://a.example/"><script>', ("https://a.example/%22%3E%3Cscript%3E", "a.example")),
        ("https://[::1]/x", ("https://[::1]/x", "[::1]")),
        ("https://good.example@evil.example/", None),
        ("javascript:alert(1)", None),
        ("java\nscript:alert(1)", None),
        ("data:text/html,x", None),
        ("//a.example/x", None),
        ("https://", None),
        ("https://a.example:99999/", None),
        ("https://[half/", None),
        ("https://" + "a" * 70 + ".example/", None),
        ("https://a.example/" + "x" * 3_000, None),
    ],
)
def test_only_web_addresses_become_links_and_show_their_host(url, shown):
    assert link(url) == shown


@given(st.text(alphabet=st.characters()))
def test_any_text_is_a_link_in_ascii_or_none(text):
    found = link("https://" + text)

    assert found is None or (found[0].isascii() and found[1].isascii() and " " not in found[0])
