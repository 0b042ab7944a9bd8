"""What a site's robots.txt lets us ask, from its bytes alone.

Source:
    RFC 9309. `Crawl-delay` is no part of it; it is read because many sites still state one.
"""

import enum
import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

AGENT: Final = "jobping"
"""The product token that groups are matched against, without regard to case (section 2.2.1)."""
PATH: Final = "/robots.txt"
"""Where the rules lie; always allowed (section 2.2.2)."""
PARSED_BYTES: Final = 512 * 1024
"""What lies behind is not read; section 2.5 asks for at least 500 KiB."""
LIFETIME_S: Final = 86_400.0
"""How long an answer may be used (section 2.4)."""
LONGEST_GAP_S: Final = 60.0
"""Our choice: a longer Crawl-delay stretches the rest between polls, not the gap of requests."""
LONGEST_DELAY_S: Final = 86_400.0


class Use(enum.StrEnum):
    """Whether a source's robots.txt is asked for.

    Attributes:
        ASK: Fetched, kept for a day, and obeyed.
        API: Not fetched: the operator holds the source to the terms of its published interface.
    """

    ASK = "ask"
    API = "api"


class Access(enum.Enum):
    """What a rule says of the paths that it matches."""

    ALLOW = "allow"
    DISALLOW = "disallow"


@attrs.frozen
class Rule:
    """One Allow or Disallow line.

    Attributes:
        pattern: In normal form; `*` matches any octets, a final `$` the end.
    """

    access: Access
    pattern: str


@attrs.frozen(kw_only=True)
class Robots:
    """The rules that hold for us.

    Attributes:
        rules: The longest pattern first, of equally long ones those that allow.
        crawl_delay_s: Seconds between requests that the site asks for, or None.
    """

    rules: tuple[Rule, ...] = ()
    crawl_delay_s: float | None = None

    @property
    def gap_s(self) -> float:
        """Least seconds between two requests."""
        return min(self.crawl_delay_s or 0.0, LONGEST_GAP_S)

    @property
    def stretch(self) -> float:
        """How many times longer than otherwise a board rests between two polls, 1 or more."""
        return max(1.0, (self.crawl_delay_s or 0.0) / LONGEST_GAP_S)


ALL_ALLOWED: Final = Robots()
NONE_ALLOWED: Final = Robots(rules=(Rule(Access.DISALLOW, "/"),))


def of_answer(status: int | None, body: bytes = b"") -> Robots:
    """Return what the answer to a request for robots.txt means.

    Args:
        status: None where no answer came.

    Source:
        Section 2.3.1: 4xx means that there are no rules, 5xx and no answer that nothing may be
        asked. That 429 counts as no answer is our choice.
    """
    if status is None or status == 429 or status >= 500:
        return NONE_ALLOWED
    return parse(body) if 200 <= status < 300 else ALL_ALLOWED


_PATH: Final = re.compile(r"[^:/?#]+://[^/?#]*")


def is_allowed(robots: Robots, url: str) -> bool:
    """Say whether a URL may be asked: the longest rule that matches decides, no rule allows.

    Args:
        url: Absolute, percent-encoded.
    """
    path = _PATH.sub("", url, count=1).partition("#")[0]
    path = path if path.startswith("/") else f"/{path}"
    if path == PATH:
        return True
    target = _normal(path).replace("*", "%2A").replace("$", "%24")
    for rule in robots.rules:
        if _matches(rule.pattern, target):
            return rule.access is Access.ALLOW
    return True


def parse(text: bytes, agent: str = AGENT) -> Robots:
    """Read the rules for an agent; what is no rule is passed over, nothing is refused.

    The groups that name the agent count as one; where none does, those for `*` hold.
    """
    named, anyone = _Group(), _Group()
    chosen: list[_Group] = []  # the groups that the current lines belong to
    has_rules = True  # a user-agent line after rules begins another group
    for key, value in _lines(text):
        if key == "user-agent":
            chosen, has_rules = ([] if has_rules else chosen), False
            if _token(value) == "*":
                chosen.append(anyone)
            elif _token(value) == agent.lower():
                chosen.append(named)
                named.is_named = True
        elif key in ("allow", "disallow"):
            has_rules = True
            for group in chosen:
                group.add(Access(key), value)
        elif key == "crawl-delay":
            for group in chosen:
                group.delay(value)
    return (named if named.is_named else anyone).robots()


@attrs.define
class _Group:
    is_named: bool = False
    access: dict[str, Access] = attrs.field(factory=dict)
    delays_s: list[float] = attrs.field(factory=list)

    def add(self, access: Access, value: str) -> None:
        """Take a rule; an empty one says nothing, of two for the same paths the allowing holds."""
        pattern = _normal_pattern(value)
        if pattern and self.access.get(pattern) is not Access.ALLOW:
            self.access[pattern] = access

    def delay(self, value: str) -> None:
        """Take a Crawl-delay; what is no number of seconds is passed over."""
        try:
            delay_s = float(value)
        except ValueError:
            return
        if math.isfinite(delay_s) and delay_s >= 0:
            self.delays_s.append(min(delay_s, LONGEST_DELAY_S))

    def robots(self) -> Robots:
        """Return the rules in the order in which they are asked."""
        rules = [Rule(access, pattern) for pattern, access in self.access.items()]
        rules.sort(key=lambda rule: (-len(rule.pattern), rule.access is Access.DISALLOW))
        return Robots(rules=tuple(rules), crawl_delay_s=max(self.delays_s, default=None))


def _lines(text: bytes) -> Iterator[tuple[str, str]]:
    """Yield key in lower case and value of each line that has both; octets as characters."""
    read = text[:PARSED_BYTES].removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    for line in re.split(r"[\r\n]+", read):
        key, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield key.strip(" \t").lower(), value.strip(" \t")


def _token(value: str) -> str:
    """Return the product token that a user-agent line begins with, `*`, or an empty text."""
    if re.match(r"\*(\s|$)", value):
        return "*"
    found = re.match(r"[A-Za-z_-]+", value)
    return found.group().lower() if found else ""


_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_QUERY: Final = frozenset(":/")
"""May stand in a query as they are (RFC 3986 section 3.4), so both spellings are one."""
_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})|([^\x21-\x7e])")


def _normal(path: str) -> str:
    """Bring the octets of path and query into the one spelling that is compared (section 2.2.2)."""
    before, mark, query = path.partition("?")
    return _spelled(before, _UNRESERVED) + mark + _spelled(query, _UNRESERVED | _IN_QUERY)


def _spelled(text: str, plain: frozenset[str]) -> str:
    def spell(found: re.Match[str]) -> str:
        if found[2] is not None:
            return "".join(f"%{octet:02X}" for octet in found[2].encode("latin-1", "replace"))
        character = chr(int(found[1], 16))
        return character if character in plain else f"%{found[1].upper()}"

    return _ENCODED.sub(spell, text)


def _normal_pattern(value: str) -> str:
    """Return a rule's pattern in normal form: `$` is special only at its end."""
    body, end = (value[:-1], "$") if value.endswith("$") else (value, "")
    return re.sub(r"\*+", "*", _normal(body).replace("$", "%24")) + end


def _matches(pattern: str, target: str) -> bool:
    """Say whether the pattern matches the beginning of the target, in time linear in their parts.

    The leftmost place of each part between stars leaves the most to the parts behind it.
    """
    is_anchored = pattern.endswith("$")
    first, *parts = pattern.removesuffix("$").split("*")
    if not target.startswith(first):
        return False
    at = len(first)
    if not parts:
        return not is_anchored or at == len(target)
    *middle, last = parts
    found = _after(middle, target, at)
    if found is None:
        return False
    if is_anchored:
        return len(target) - len(last) >= found and target.endswith(last)
    return target.find(last, found) >= 0


def _after(parts: Iterable[str], target: str, at: int) -> int | None:
    """Return where the last of the parts ends when each is taken as early as possible."""
    for part in parts:
        at = target.find(part, at)
        if at < 0:
            return None
        at += len(part)
    return at
