"""Which URLs may be asked, which IP addresses may be connected to, and what a Location means.

A URL is judged as text before it is used, an address at the moment of the connect, by
`fetch.network`. Both are needed: a good name at a hostile name server also ends at an address.
"""

import enum
import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, urljoin

import attrs

from jobping.core.ids import Domain
from jobping.core.page import PageRequest, Redirected

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_OCTETS = 8000
"""RFC 9110 section 4.1: what every recipient should be able to take."""
DEFAULT_PORTS = {"http": 80, "https": 443}


class Refusal(enum.Enum):
    """Why a URL or an address is refused; the words of `url.refused`."""

    LENGTH = "length"
    CHARACTERS = "characters"
    SCHEME = "scheme"
    USER = "user"
    HOST = "host"
    PORT = "port"
    OFF_SOURCE = "off_source"
    ADDRESS = "address"
    DOWNGRADE = "downgrade"
    LOCATION = "location"


@attrs.frozen
class Refused:
    """It must not be asked."""

    why: Refusal


@attrs.frozen(kw_only=True)
class Allowed:
    """A URL in its normal form.

    Attributes:
        url: Lower-case scheme and host, no trailing dot, default port or fragment; ASCII.
        scheme: `http` or `https`.
        domain: The network location, as in `hosts`.
    """

    url: str
    scheme: str
    domain: Domain


_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_URL = re.compile(r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def judge_url(url: str, *, hosts: Collection[Domain]) -> Allowed | Refused:
    """Say whether a source may ask this URL.

    Args:
        url: Absolute, percent-encoded exactly once.
        hosts: Every network location that the source may touch. A port that is not the scheme's
            default is allowed only where it stands here.
    """
    parsed = parse_url(url)
    if isinstance(parsed, Refused) or parsed.domain in hosts:
        return parsed
    host, _ = split_domain(parsed.domain)
    return Refused(Refusal.PORT if host in hosts else Refusal.OFF_SOURCE)


def parse_url(url: str) -> Allowed | Refused:
    """Bring an http or https URL into its normal form, or say what is wrong with it.

    Source:
        RFC 3986 section 3 for the parts; everything that clients read differently (user part,
        backslash, blanks, odd spellings of numbers) is refused instead of guessed.
    """
    if len(url.encode("utf-8", "surrogatepass")) > MAX_URL_OCTETS:
        return Refused(Refusal.LENGTH)
    if _FORBIDDEN.search(url):
        return Refused(Refusal.CHARACTERS)
    parts = _URL.fullmatch(url)
    if parts is None or parts["scheme"].lower() not in DEFAULT_PORTS:
        return Refused(Refusal.SCHEME)
    if not parts["rest"].isascii():
        return Refused(Refusal.CHARACTERS)
    domain = _parse_authority(parts["authority"], scheme := parts["scheme"].lower())
    if isinstance(domain, Refused):
        return domain
    rest = parts["rest"] if parts["rest"].startswith("/") else "/" + parts["rest"]
    return Allowed(url=f"{scheme}://{domain}{rest}", scheme=scheme, domain=domain)


def domain_of(url: str) -> Domain:
    """Return the network location of a URL: host, and `:port` where not the scheme's default.

    Raises:
        ValueError: It is no http or https URL that could be asked.
    """
    match parse_url(url):
        case Allowed(domain=domain):
            return domain
        case Refused(why=why):
            raise ValueError(f"not a usable URL ({why.value}): {url[:200]!r}")


def split_domain(domain: Domain) -> tuple[str, int | None]:
    """Return host and explicit port of a network location; the host of IPv6 keeps its brackets."""
    host, colon, port = domain.rpartition(":")
    if not colon or domain.endswith("]"):
        return domain, None
    return host, int(port)


def _parse_authority(authority: str, scheme: str) -> Domain | Refused:
    if "@" in authority:
        return Refused(Refusal.USER)
    parts = _AUTHORITY.fullmatch(authority)
    host = _normal_host(parts["host"]) if parts else None
    if parts is None or host is None:
        return Refused(Refusal.HOST)
    port = int(parts["port"] or DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65_535:
        return Refused(Refusal.PORT)
    return Domain(host if port == DEFAULT_PORTS[scheme] else f"{host}:{port}")


def _normal_host(host: str) -> str | None:
    """Return the host in lower case without trailing dot, or None where it is none."""
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]" if "%" not in host else None
        name = ".".join(_normal_label(label) for label in host.removesuffix(".").split("."))
        if _NUMBER.fullmatch(name.rpartition(".")[2]):  # inet_aton would read it as an address
            return str(IPv4Address(name))
    except ValueError:
        return None
    return name if len(name) <= 253 else None


def _normal_label(label: str) -> str:
    """Return one label of a name; letters outside ASCII become `xn--`.

    Raises:
        ValueError: It is no label, or it only looks like another one (fullwidth digits or dots).
    """
    normal = label.lower() if label.isascii() else label.encode("idna").decode("ascii")
    if not label.isascii() and not normal.startswith("xn--"):
        raise ValueError(f"disguised label: {label!r}")
    if not _LABEL.fullmatch(normal):
        raise ValueError(f"not a label: {label!r}")
    return normal


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(IPv6Network(text) if ":" in text else IPv4Network(text) for text in texts)


_REFUSED_IPV4 = _networks(
    "0.0.0.0/8",  # this host, RFC 6890
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private, RFC 1918
    "100.64.0.0/10",  # shared by carriers, RFC 6598
    "127.0.0.0/8",  # loopback, RFC 6890
    "169.254.0.0/16",  # link-local, metadata services, RFC 3927
    "192.0.0.0/24",  # IETF protocols, RFC 6890
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation, RFC 5737
    "192.88.99.0/24",  # 6to4 relay, RFC 7526
    "198.18.0.0/15",  # benchmarks, RFC 2544
    "224.0.0.0/4",  # multicast, RFC 5771
    "240.0.0.0/4",  # reserved and broadcast, RFC 6890
)  # fmt: skip
_GLOBAL_IPV6 = IPv6Network("2000::/3")
"""All that is assigned for global unicast (IANA, "IPv6 Address Space"); the rest is refused: ::1,
::/96, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7, fe80::/10, fec0::/10, ff00::/8."""
_REFUSED_IPV6 = _networks(
    "2001::/23",  # IETF protocols with Teredo, RFC 2928, RFC 4380
    "2001:db8::/32", "3fff::/20",  # documentation, RFC 3849, RFC 9637
)  # fmt: skip
_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056


def judge_address(address: Address, *, allow: Iterable[Network]) -> Refused | None:
    """Say why this address must not be connected to, or None where it may.

    Args:
        address: As the resolver gave it, or a literal.
        allow: `[network] allow`: the operator's exceptions.

    Source:
        An own table: `ipaddress.is_global` changes with the Python version and calls multicast,
        NAT64, 6to4 relays and site-local addresses global (3.11 to 3.13).
    """
    inner = _embedded_ipv4(address) or address
    if any(inner in network for network in allow if network.version == inner.version):
        return None
    return None if _is_global(inner) else Refused(Refusal.ADDRESS)


def is_near(host: str, *, allow: Iterable[Network] = ()) -> bool:
    """Whether a host, as an operator wrote it, is on loopback or in one of the networks."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in allow)


def _embedded_ipv4(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return None


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_IPV4)
    if address.scope_id is not None or address not in _GLOBAL_IPV6:
        return False
    return not any(address in network for network in _REFUSED_IPV6)


def judge_location(locations: tuple[str, ...], *, base: Allowed) -> Allowed | Refused:
    """Read the Location fields of an answer to `base`.

    A target off the source's hosts is allowed here: it is an answer that the caller reads, and the
    exchange refuses to go there.

    Args:
        locations: The fields as received, at best one.
        base: What was asked.

    Source:
        RFC 9110 section 10.2.2: a reference, relative to the target URI; the fragment is ours.
    """
    if len(set(locations)) != 1 or not locations[0]:
        return Refused(Refusal.LOCATION)
    if _FORBIDDEN.search(locations[0]) or len(locations[0]) > MAX_URL_OCTETS:
        return Refused(Refusal.CHARACTERS)
    try:
        target = parse_url(_escaped(urljoin(base.url, locations[0])))
    except ValueError:
        return Refused(Refusal.HOST)
    if isinstance(target, Allowed) and base.scheme == "https" and target.scheme == "http":
        return Refused(Refusal.DOWNGRADE)
    return target


def _escaped(url: str) -> str:
    """Percent-encode what is not ASCII behind the authority, as every browser does."""
    parts = _URL.fullmatch(url)
    if parts is None or parts["rest"].isascii():
        return url
    rest = quote(parts["rest"], safe="!#$%&'()*+,/:;=?@[]~", errors="surrogatepass")
    return f"{parts['scheme']}://{parts['authority']}{rest}"


def follow(request: PageRequest, redirected: Redirected) -> PageRequest:
    """Return the request for the next hop, built from scratch.

    Own headers, which may hold a key, go along only to the same scheme and network location.
    The method is GET: `fetch` answers a redirected POST with `Redirected` only after a 303.

    Raises:
        ValueError: One of the two URLs cannot be asked.
    """
    here, there = parse_url(request.url), parse_url(redirected.url)
    if isinstance(here, Refused) or isinstance(there, Refused):
        raise ValueError(f"not a usable redirect: {request.url[:200]!r}")
    same = (here.scheme, here.domain) == (there.scheme, there.domain)
    return PageRequest(
        url=there.url,
        headers=request.headers if same else (),
        accept=request.accept,
        byte_ceiling=request.byte_ceiling,
    )
