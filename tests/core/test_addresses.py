import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.addresses import (
    Allowed,
    Refusal,
    Refused,
    domain_of,
    follow,
    judge_address,
    judge_location,
    judge_url,
    parse_url,
    split_domain,
)
from jobping.core.ids import Domain
from jobping.core.page import PageRequest, Redirected

HOSTS = frozenset({Domain("boards.example"), Domain("127.0.0.1:4001"), Domain("[::1]:4001")})
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
BASE = Allowed(url="https://boards.example/a/b?c", scheme="https", domain=Domain("boards.example"))

NOT_PUBLIC = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254
    169.254.169.254
    172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255
    198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::10.0.0.1 ::8.8.8.8 ::ffff:10.0.0.1 ::ffff:7f00:1 64:ff9b::10.0.0.1 64:ff9b:1::1
    64:ff9b:1::808:808 100::1 2001::1 2001:2::1 2001:10::1 2001:db8::1 2002:a00:1:: 2002:7f00:1::1
    3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2606:4700::1%eth0
    """.split()  # noqa: SIM905  # a table, not a list
PUBLIC = """
    8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.1 172.32.0.1 192.0.1.1 198.20.0.1 223.255.255.255
    2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1
    """.split()  # noqa: SIM905  # a table, not a list


def allowed(url: str, domain: str) -> Allowed:
    return Allowed(url=url, scheme=url.partition(":")[0], domain=Domain(domain))


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("https://boards.example/x?y=1", "https://boards.example/x?y=1"),
        ("HTTPS://BOARDS.example./x", "https://boards.example/x"),
        ("https://boards.example:443", "https://boards.example/"),
        ("http://boards.example:80/", "http://boards.example/"),
        ("https://boards.example:/x", "https://boards.example/x"),
        ("https://boards.example?q", "https://boards.example/?q"),
        ("https://boards.example/x#part", "https://boards.example/x"),
        ("https://boards.example/%C3%A9/..", "https://boards.example/%C3%A9/.."),
    ],
)
def test_judge_url_returns_the_normal_form_of_a_good_url(url: str, want: str) -> None:
    assert judge_url(url, hosts=HOSTS) == allowed(want, "boards.example")


@pytest.mark.parametrize("url", ["http://127.0.0.1:4001/x", "http://[::1]:4001/x"])
def test_judge_url_allows_a_port_that_the_operator_named(url: str) -> None:
    assert judge_url(url, hosts=HOSTS) == allowed(url, url.split("/")[2])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.1/", Refusal.HOST),
        ("http://2130706433/", Refusal.HOST),
        ("http://0x7f.1/", Refusal.HOST),
        ("http://0x7f000001/", Refusal.HOST),
        ("http://017700000001/", Refusal.HOST),
        ("http://0177.0.0.1/", Refusal.HOST),
        ("http://127.000.000.001/", Refusal.HOST),
        ("http://0/", Refusal.HOST),
        ("http://1.2.3.4.5/", Refusal.HOST),
        ("http://127。0。0。1/", Refusal.HOST),
        ("http://①②⑦.0.0.1/", Refusal.HOST),
        ("http://ｂoards.example/", Refusal.HOST),
        ("http://boards。example/", Refusal.HOST),
        ("http://%31%32%37.0.0.1/", Refusal.HOST),
        ("http://[::1]/", Refusal.OFF_SOURCE),
        ("http://[::ffff:10.0.0.1]/", Refusal.OFF_SOURCE),
        ("http://[::ffff:7f00:1]/", Refusal.OFF_SOURCE),
        ("http://[::10.0.0.1]/", Refusal.OFF_SOURCE),
        ("http://[fe80::1%25eth0]/", Refusal.HOST),
        ("http://[fe80::1%eth0]/", Refusal.HOST),
        ("http://[boards.example]/", Refusal.HOST),
        ("http://[::1/", Refusal.HOST),
        ("http://169.254.169.254/", Refusal.OFF_SOURCE),
        ("http://192.168.1.1/", Refusal.OFF_SOURCE),
        ("http://localhost/", Refusal.OFF_SOURCE),
        ("http://localhost./", Refusal.OFF_SOURCE),
        ("http://evil.boards.example/", Refusal.OFF_SOURCE),
        ("http://boards.example.evil/", Refusal.OFF_SOURCE),
        ("http://boards.example@10.0.0.1/", Refusal.USER),
        ("http://boards.example%2f@x/", Refusal.USER),
        ("http://u:p@boards.example/", Refusal.USER),
        ("http://@boards.example/", Refusal.USER),
        ("http://boards.example\\.evil.com/", Refusal.CHARACTERS),
        ("http://boards.example\\@evil/", Refusal.CHARACTERS),
        ("http://boards.example/\t", Refusal.CHARACTERS),
        ("http://boards.example/\r\nHost: evil", Refusal.CHARACTERS),
        ("http://boards.example/\x00", Refusal.CHARACTERS),
        ("http://boards.example/a b", Refusal.CHARACTERS),
        ("http://boards.example/\x7f", Refusal.CHARACTERS),
        ("http://boards.example/é", Refusal.CHARACTERS),
        (" http://boards.example/", Refusal.CHARACTERS),
        ("http://boards.example:99999/", Refusal.PORT),
        ("http://boards.example:0/", Refusal.PORT),
        ("http://boards.example:22/", Refusal.PORT),
        ("http://boards.example:8080/", Refusal.PORT),
        ("https://boards.example:80/", Refusal.PORT),
        ("http://127.0.0.1:4002/", Refusal.OFF_SOURCE),
        ("http://127.0.0.1/", Refusal.OFF_SOURCE),
        ("http://boards.example:443443/", Refusal.HOST),
        ("http://boards.example:4४/", Refusal.HOST),
        ("http://boards.example:-1/", Refusal.HOST),
        ("http:///etc/passwd", Refusal.HOST),
        ("http://./", Refusal.HOST),
        ("http://boards..example/", Refusal.HOST),
        ("http://-boards.example/", Refusal.HOST),
        ("http://" + "a" * 64 + ".example/", Refusal.HOST),
        ("http://" + "a." * 130 + "example/", Refusal.HOST),
        ("http:/boards.example/", Refusal.SCHEME),
        ("http:boards.example", Refusal.SCHEME),
        ("//boards.example/", Refusal.SCHEME),
        ("file:///etc/passwd", Refusal.SCHEME),
        ("gopher://boards.example/", Refusal.SCHEME),
        ("javascript:1", Refusal.SCHEME),
        ("", Refusal.SCHEME),
        ("http://boards.example/" + "x" * 7979, Refusal.LENGTH),
        ("http://boards.example/" + "x" * 65_536, Refusal.LENGTH),
    ],
)
def test_judge_url_refuses_a_hostile_url_with_the_reason(url: str, why: Refusal) -> None:
    assert judge_url(url, hosts=HOSTS) == Refused(why)


def test_judge_url_takes_a_url_of_8000_octets_whole() -> None:
    url = "http://boards.example/" + "x" * 7978
    assert judge_url(url, hosts=HOSTS) == allowed(url, "boards.example")


def test_parse_url_writes_a_unicode_name_as_xn() -> None:
    assert domain_of("https://Bücher.example/") == "xn--bcher-kva.example"


def test_parse_url_keeps_a_name_that_only_begins_with_digits() -> None:
    assert domain_of("https://1e100.net/") == "1e100.net"


@given(st.text(max_size=40))
def test_parse_url_never_raises_on_any_text(text: str) -> None:
    for url in (text, f"http://{text}/", f"https://boards.example/{text}"):
        parsed = parse_url(url)
        if isinstance(parsed, Allowed):
            assert parse_url(parsed.url) == parsed


def test_domain_of_raises_value_error_for_an_unusable_url() -> None:
    with pytest.raises(ValueError, match="not a usable URL"):
        domain_of("http://127.1/")


@pytest.mark.parametrize(
    ("domain", "want"),
    [
        ("a.example", ("a.example", None)),
        ("a.example:81", ("a.example", 81)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:81", ("[::1]", 81)),
    ],
)
def test_split_domain_separates_host_and_port(domain: str, want: tuple[str, int | None]) -> None:
    assert split_domain(Domain(domain)) == want


@pytest.mark.parametrize(
    "address",
    NOT_PUBLIC,
)
def test_judge_address_refuses_every_network_that_is_not_public(address: str) -> None:
    assert judge_address(ipaddress.ip_address(address), allow=()) == Refused(Refusal.ADDRESS)


@pytest.mark.parametrize(
    "address",
    PUBLIC,
)
def test_judge_address_lets_a_public_address_pass(address: str) -> None:
    assert judge_address(ipaddress.ip_address(address), allow=()) is None


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        ("127.0.0.1", True),
        ("::ffff:127.0.0.1", True),
        ("::1", False),
        ("10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
    ],
)
def test_judge_address_lets_pass_only_what_the_operator_allows(address: str, passes: bool) -> None:
    assert (judge_address(ipaddress.ip_address(address), allow=LOOPBACK) is None) is passes


@pytest.mark.parametrize(
    ("location", "want"),
    [
        ("https://boards.example/z", "https://boards.example/z"),
        ("/z?q=1#f", "https://boards.example/z?q=1"),
        ("z", "https://boards.example/a/z"),
        ("?q", "https://boards.example/a/b?q"),
        ("//other.example/z", "https://other.example/z"),
        ("https://other.example:8443/", "https://other.example:8443/"),
        ("/jobs/zürich?q=é%20", "https://boards.example/jobs/z%C3%BCrich?q=%C3%A9%20"),
    ],
)
def test_judge_location_resolves_a_reference_against_what_was_asked(
    location: str, want: str
) -> None:
    verdict = judge_location((location,), base=BASE)
    assert isinstance(verdict, Allowed)
    assert verdict.url == want


@pytest.mark.parametrize(
    ("locations", "why"),
    [
        ((), Refusal.LOCATION),
        (("",), Refusal.LOCATION),
        (("/a", "/b"), Refusal.LOCATION),
        (("http://boards.example/",), Refusal.DOWNGRADE),
        (("file:///etc/passwd",), Refusal.SCHEME),
        (("gopher://boards.example/",), Refusal.SCHEME),
        (("javascript:1",), Refusal.SCHEME),
        (("https://u:p@boards.example/",), Refusal.USER),
        (("https://[::1/",), Refusal.HOST),
        (("https://127.1/",), Refusal.HOST),
        (("\\\\evil.example/",), Refusal.CHARACTERS),
        (("/a\r\nX: 1",), Refusal.CHARACTERS),
        (("/" + "x" * 8000,), Refusal.CHARACTERS),
        (("/" + "x" * 7980,), Refusal.LENGTH),
    ],
)
def test_judge_location_refuses_what_is_no_way_with_the_reason(
    locations: tuple[str, ...], why: Refusal
) -> None:
    assert judge_location(locations, base=BASE) == Refused(why)


@given(st.text(max_size=40))
def test_judge_location_never_raises_on_any_text(text: str) -> None:
    assert isinstance(judge_location((text,), base=BASE), Allowed | Refused)


REQUEST = PageRequest(
    url="https://boards.example/a",
    method="POST",
    body=b"{}",
    headers=(("X-RapidAPI-Key", "secret"),),
    accept=("text/html",),
    byte_ceiling=5,
)


def test_follow_keeps_own_headers_on_the_same_origin_only() -> None:
    near = Redirected(url="https://boards.example/b", permanent=False)
    assert follow(REQUEST, near) == PageRequest(
        url="https://boards.example/b",
        headers=REQUEST.headers,
        accept=("text/html",),
        byte_ceiling=5,
    )


@pytest.mark.parametrize(
    "url",
    ["https://other.example/", "https://boards.example:8443/", "http://boards.example/"],
)
def test_follow_drops_own_headers_when_the_origin_changes(url: str) -> None:
    redirected = Redirected(url=url, permanent=True)
    assert follow(REQUEST, redirected).headers == ()


def test_follow_raises_value_error_for_an_unusable_target() -> None:
    with pytest.raises(ValueError, match="not a usable redirect"):
        follow(REQUEST, Redirected(url="file:///etc/passwd", permanent=False))
