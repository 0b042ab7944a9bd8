import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.robots import (
    ALL_ALLOWED,
    LONGEST_DELAY_S,
    NONE_ALLOWED,
    PARSED_BYTES,
    Access,
    Robots,
    Rule,
    is_allowed,
    of_answer,
    parse,
)

HOST = "https://boards.example"
MANY = settings(max_examples=1000, deadline=None)

RFC_EXAMPLE = b"""\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot

"""
"""RFC 9309 section 5.1, with its blank ends of lines left out."""


def allows(text: bytes, path: str, agent: str = "jobping") -> bool:
    return is_allowed(parse(text, agent), HOST + path)


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("jobping", "/a.gif", False),
        ("jobping", "/a.gif.html", True),
        ("jobping", "/example/page.html", False),
        ("jobping", "/publications/", True),
        ("jobping", "/", True),
        ("foobot", "/", False),
        ("foobot", "/publications/", False),
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("barbot", "/example/page.html", False),
        ("barbot", "/example/", True),
        ("bazbot", "/example/page.html", False),
        ("quxbot", "/example/page.html", True),
        ("quxbot", "/a.gif", True),
    ],
)
def test_simple_example_of_the_rfc_is_judged_as_it_says(
    agent: str, path: str, allowed: bool
) -> None:
    assert allows(RFC_EXAMPLE, path, agent) is allowed


def test_longest_match_of_the_rfc_wins_over_the_order_of_lines() -> None:
    """Section 5.2."""
    text = b"User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert not allows(text, "/example/page/disallowed.gif", "foobot")
    assert allows(text, "/example/page/other.gif", "foobot")


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz"),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar"),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84"),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
        ("/foo/bar/baz", "/foo/bar/%62%61%7a"),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html"),
        ("/path/foo-%24", "/path/foo-$"),
        ("/this/*/exactly", "/this/path/exactly"),
        ("/this/path/exactly$", "/this/path/exactly"),
        ("/*", "/"),
        ("*", "/any?thing"),
    ],
)
def test_spellings_of_one_path_are_one_path(rule: str, path: str) -> None:
    """Sections 2.2.2 and 2.2.3: the tables of percent-encoding and of special characters."""
    assert not allows(f"User-agent: *\nDisallow: {rule}\n".encode(), path)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/a%2Fb", "/a/b"),  # a reserved character is another one when encoded
        ("/fish$", "/fish/"),
        ("/fish", "/Fish"),
        ("/$x", "/"),
        ("/a*b*c$", "/acb"),
        ("/aa*aa$", "/aaa"),
        ("fish", "/fish"),
        ("", "/"),
    ],
)
def test_rule_does_not_match_what_it_does_not_name(rule: str, path: str) -> None:
    assert allows(f"User-agent: *\nDisallow: {rule}\n".encode(), path)


@pytest.mark.parametrize(
    "line",
    ["JOBPING", "JobPing/1.0", "jobping", " \tjobping # us", "jobping (our crawler)"],
)
def test_group_is_found_by_the_product_token_in_any_case(line: str) -> None:
    text = f"User-agent: *\nDisallow:\n\nuser-AGENT: {line}\ndisallow: /\n".encode()
    assert not allows(text, "/")


@pytest.mark.parametrize("line", ["jobpinger", "job", "jobping-news", "xjobping", "", "*bot"])
def test_group_of_another_agent_does_not_hold(line: str) -> None:
    assert allows(f"User-agent: {line}\nDisallow: /\n".encode(), "/")


def test_groups_of_one_agent_count_as_one() -> None:
    first, second = b"User-agent: jobping\nDisallow: /a\n", b"User-agent: jobping\nDisallow: /b\n"
    text = first + b"\nUser-agent: x\nDisallow: /\n\n" + second
    assert [allows(text, path) for path in ("/a", "/b", "/c")] == [False, False, True]


def test_unknown_records_do_not_end_a_group() -> None:
    text = (
        b"User-agent: jobping\nSitemap: https://x\nCrawl-delay: 3\n"
        b"User-agent: other\nHost: x\nDisallow: /\n"
    )
    assert not allows(text, "/")
    assert parse(text).crawl_delay_s == 3.0
    assert parse(text, "other") == Robots(rules=parse(text).rules)


def test_equally_long_rules_allow() -> None:
    assert allows(b"User-agent: *\nDisallow: /a\nAllow: /a\nDisallow: /a\n", "/a")
    assert allows(b"User-agent: *\nDisallow: /*b\nAllow: /ab\n", "/ab")


def test_rules_before_any_agent_hold_for_nobody() -> None:
    assert parse(b"Disallow: /\nCrawl-delay: 9\nUser-agent: *\nAllow: /a\n") == Robots(
        rules=(Rule(Access.ALLOW, "/a"),)
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n \n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_marks_and_ends_of_lines_are_as_good_as_any(end: str, mark: str) -> None:
    lines = ["# rules", "User-agent : jobping # us", "\tDisallow:\t/x # here", "Crawl-delay:1.5"]
    assert parse((mark + end.join(lines)).encode()) == Robots(
        rules=(Rule(Access.DISALLOW, "/x"),), crawl_delay_s=1.5
    )


def test_half_a_megabyte_is_read_and_no_more() -> None:
    head = b"User-agent: jobping\n"
    filler = b"Disallow: /never\n"
    body = head + filler * ((500 * 1024 - len(head)) // len(filler)) + b"Disallow: /last\n"
    assert not allows(body, "/last")
    assert allows(body.ljust(PARSED_BYTES, b"#") + b"\nDisallow: /beyond\n", "/beyond")


def test_robots_txt_itself_is_always_allowed() -> None:
    assert is_allowed(NONE_ALLOWED, HOST + "/robots.txt")
    assert not is_allowed(NONE_ALLOWED, HOST + "/robots.txt?x")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Robots(rules=(Rule(Access.DISALLOW, "/x"),))),
        (204, Robots(rules=(Rule(Access.DISALLOW, "/x"),))),
        (400, ALL_ALLOWED),
        (401, ALL_ALLOWED),
        (403, ALL_ALLOWED),
        (404, ALL_ALLOWED),
        (410, ALL_ALLOWED),
        (429, NONE_ALLOWED),
        (500, NONE_ALLOWED),
        (503, NONE_ALLOWED),
        (None, NONE_ALLOWED),
    ],
)
def test_status_of_the_answer_decides_whether_there_are_rules(
    status: int | None, expected: Robots
) -> None:
    assert of_answer(status, b"User-agent: *\nDisallow: /x") == expected


@pytest.mark.parametrize(
    ("value", "delay_s", "gap_s", "stretch"),
    [
        ("10", 10.0, 10.0, 1.0),
        ("0.5", 0.5, 0.5, 1.0),
        ("180", 180.0, 60.0, 3.0),
        ("1e9", LONGEST_DELAY_S, 60.0, 1440.0),
        ("-1", None, 0.0, 1.0),
        ("nan", None, 0.0, 1.0),
        ("inf", None, 0.0, 1.0),
        ("soon", None, 0.0, 1.0),
    ],
)
def test_crawl_delay_becomes_a_gap_and_above_a_minute_longer_rests(
    value: str, delay_s: float | None, gap_s: float, stretch: float
) -> None:
    robots = parse(f"User-agent: *\nCrawl-delay: {value}\n".encode())
    assert (robots.crawl_delay_s, robots.gap_s, robots.stretch) == (delay_s, gap_s, stretch)


# --- properties

PIECE = st.sampled_from(["a", "b", "/", "*", "$", "%2A", "%61", "%2f", "\u00e9", "?", "ab", ":"])
PATTERN = st.lists(PIECE, max_size=8).map("".join).map(lambda text: "/" + text)
TARGET = st.lists(
    st.sampled_from(["a", "b", "/", "%2A", "%24", "%61", "%2F", "%C3%A9", "?", "*", "$", ":"]),
    max_size=10,
).map(lambda pieces: "/" + "".join(pieces))


@MANY
@given(st.binary(max_size=400), TARGET)
def test_any_bytes_are_read_without_an_error(text: bytes, path: str) -> None:
    robots = parse(text)
    assert is_allowed(robots, HOST + path) in (True, False)
    assert 0.0 <= robots.gap_s <= 60.0 <= 60.0 * robots.stretch


@MANY
@given(st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), PATTERN), max_size=6), TARGET)
def test_longest_matching_rule_decides_as_a_plain_reading_does(
    rules: list[tuple[str, str]], path: str
) -> None:
    text = "User-agent: jobping\n" + "".join(f"{key}: {pattern}\n" for key, pattern in rules)
    robots = parse(text.encode())
    matching = [rule for rule in robots.rules if plainly_matches(rule.pattern, path)]
    longest = max((len(rule.pattern) for rule in matching), default=0)
    best = {rule.access for rule in matching if len(rule.pattern) == longest}
    assert is_allowed(robots, HOST + path) is (not best or Access.ALLOW in best)


def plainly_matches(pattern: str, path: str) -> bool:
    """Match by a regular expression over the target in normal form, as the RFC describes it."""
    [normal] = parse(
        f"User-agent: *\nDisallow: {path.replace('*', '%2A').replace('$', '%24')}\n".encode()
    ).rules
    body = pattern.removesuffix("$")
    expression = ".*".join(re.escape(part) for part in body.split("*"))
    return re.match(expression + ("$" if pattern.endswith("$") else ""), normal.pattern) is not None


@MANY
@given(st.text(string.printable, max_size=40), st.sampled_from(["\n", "\r\n", "\r"]))
def test_lines_that_are_no_records_change_nothing(noise: str, end: str) -> None:
    noise = re.sub(r"[\r\n:]", "", noise)
    lines = ["User-agent: jobping", "Disallow: /private", "Allow: /private/open"]
    noisy = f"{end}{noise}{end}".join(["", *lines, ""])
    assert parse(noisy.encode()) == parse("\n".join(lines).encode())


@MANY
@given(PATTERN, st.text("ab/", max_size=5))
def test_what_is_refused_without_an_end_mark_is_refused_with_more_behind(
    pattern: str, more: str
) -> None:
    robots = parse(f"User-agent: *\nDisallow: {pattern.rstrip('$')}\n".encode())
    path = pattern.rstrip("$").replace("*", "a").replace("\u00e9", "%C3%A9").replace("$", "%24")
    assert not is_allowed(robots, HOST + path)
    assert not is_allowed(robots, HOST + path + more)
