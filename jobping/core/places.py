"""Places as people write them, to countries of ISO 3166-1. What is not said stays unknown."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from jobping.core.countries import CITIES, COUNTRIES, PROVINCES, STATES
from jobping.core.posting import Location
from jobping.core.regions import ANYWHERE, GROUPS

MAX_PLACES: Final = 50
"""Most places of one posting; up to 39 were seen on one Ashby job."""
_MAX_RAW: Final = 300

_SEPARATE: Final = re.compile(r"\s*(?:[;|\n•]|\s/\s)\s*")
_INNER: Final = re.compile(
    r"\s*[,()\[\]]\s*|\s+[-–—/·:]\s+|\s+(?:or|and|oder|und|et|&|\+)\s+", re.I
)
_REMOTE: Final = re.compile(r"(?<!\w)(?:remote|remotely)(?!\w)", re.I)
_FILLERS: Final = re.compile(
    r"(?<!\w)(?:(?:100\s*%|fully|full|hybrid|on-?site|in-?office)(?!\w)[\s,-]*|remote(?:ly)?(?!\w)"
    r"[\s-]*(?:job|work|only|first)?(?!\w)[\s-]*|anywhere in(?!\w)|(?<=\s)only(?!\w)|^in\s|^the\s)",
    re.I,
)
_GROUPS: Final = frozenset(name for name, _ in GROUPS) | {"eastern europe", "western europe"}


@attrs.frozen
class _Part:
    """One comma-separated piece of a place and what it can mean."""

    text: str
    country: str | None = None
    state_of: str | None = None
    city_of: str | None = None
    is_group: bool = False


def country_code(text: str | None) -> str | None:
    """Return the alpha-2 code of a country's name or code, or None where it is none.

    A group of countries is none: `European Union` gives None.
    """
    folded = _fold(text or "")
    if len(folded) == 2 and folded.upper() in COUNTRIES.values():
        return folded.upper()
    return COUNTRIES.get(folded)


def says_remote(text: str) -> bool:
    """Whether a place or title holds the word remote."""
    return _REMOTE.search(text) is not None


def places(*texts: str | None) -> tuple[Location, ...]:
    """Read free texts such as `London, UK; Paris` or `Remote (US or Canada)`, without repeats."""
    return distinct(
        place
        for text in texts
        for piece in _SEPARATE.split((text or "")[: _MAX_RAW * MAX_PLACES])
        for place in _read(" ".join(piece.split())[:_MAX_RAW])
    )


def place(
    raw: str | None, *, city: str | None, region: str | None = None, country: str | None = None
) -> tuple[Location, ...]:
    """Read a place that the source sends in parts; what the parts lack is read from the text.

    Args:
        raw: The source's own text; where empty, the parts joined.
        country: A name or a code.
    """
    parts = [_line(city), _line(region), _line(country)]
    text = _line(raw) or ", ".join(part for part in parts if part)
    code = country_code(country)
    if not text:
        return ()
    if code is None and country_code(region) is None and not parts[0]:
        return places(text)
    known = code or next((found.country for found in _read(text) if found.country), None)
    return (Location(raw=text, city=parts[0] or None, region=parts[1] or None, country=known),)


def distinct(found: Iterable[Location]) -> tuple[Location, ...]:
    """Drop repeats, keep the order, and at most `MAX_PLACES`."""
    return tuple(dict.fromkeys(found))[:MAX_PLACES]


def _read(raw: str) -> Iterator[Location]:
    """Yield what one piece of text says; nothing for an empty one."""
    if not raw:
        return
    parts = [_part(text) for text in _INNER.split(_FILLERS.sub(" ", raw)) if _fold(text)]
    countries = {part.country for part in parts if part.country}
    groups = [part for part in parts if part.is_group]
    if not parts or (groups and not countries):
        yield from (Location(raw=raw, region=part.text) for part in groups)
        if not groups:
            yield Location(raw=raw, region="Anywhere" if _fold(raw) in ANYWHERE else None)
    elif len(countries) > 1:
        yield from _pairs(raw, parts)
    else:
        yield _single(raw, parts, next(iter(countries), None))


def _single(raw: str, parts: list[_Part], country: str | None) -> Location:
    """Return the one place of parts that name at most one country."""
    named = [part for part in parts if not part.country or part.state_of == country]
    named = [part for part in named if not part.is_group]
    city = named[0] if named and not _is_only_state(named[0], len(named)) else None
    region = next((part for part in named if part is not city), None)
    known = country or _country_of(city, region)
    return Location(
        raw=raw,
        city=_name(city),
        region=region.text if region else None,
        country=known,
    )


def _country_of(city: _Part | None, region: _Part | None) -> str | None:
    """Return the country that a known city or an unmistakable state names."""
    if city and city.city_of:
        return city.city_of
    if region is None:
        return None
    code = region.text.upper()
    return region.state_of if code not in COUNTRIES.values() else None


def _is_only_state(part: _Part, parts: int) -> bool:
    """Whether the part stands alone and is a state and no city."""
    return parts == 1 and part.state_of is not None and part.city_of is None


def _pairs(raw: str, parts: list[_Part]) -> Iterator[Location]:
    """Yield a place for each country, with the city that stands before it."""
    city: _Part | None = None
    for part in parts:
        if part.country:
            yield Location(raw=raw, city=_name(city), country=part.country)
            city = None
        elif city is None:
            city = part
    if city is not None:
        yield Location(raw=raw, city=_name(city), country=city.city_of)


def _name(part: _Part | None) -> str | None:
    """Return a city's name; None for a text that holds figures."""
    return part.text if part and not any(letter.isdigit() for letter in part.text) else None


def _part(text: str) -> _Part:
    """Say what one piece can mean. Two letters are a code only in capitals."""
    text = text.strip(" -–—.,")
    folded = _fold(text)
    state = STATES.get(folded) or PROVINCES.get(folded)
    if len(text) == 2 and text.isupper():
        is_state = folded in STATES or folded in PROVINCES
        country = COUNTRIES.get(folded) or (country_code(text) if not is_state else None)
    else:
        state = None if len(folded) == 2 else state
        country = COUNTRIES.get(folded) if state is None and len(folded) > 2 else None
    return _Part(
        text=text,
        country=country,
        state_of=state,
        city_of=CITIES.get(folded),
        is_group=folded in _GROUPS or folded in ANYWHERE,
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split())[:_MAX_RAW]


def _fold(text: str) -> str:
    """Return the text in lower case without accents, dots and surrounding blanks."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("ß", "ss"))
    letters = (letter for letter in plain if not unicodedata.combining(letter))
    return " ".join("".join(letters).replace(".", "").replace("-", " ").split())
