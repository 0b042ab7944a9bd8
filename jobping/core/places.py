"""Places as people write them, to countries of ISO 3166-1. What is not said stays unknown.

A board names few places, again and again, so what the latest thousand say is remembered.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

import attrs

from jobping.core.countries import CITIES, COUNTRIES, PROVINCES, STATES
from jobping.core.posting import Location
from jobping.core.regions import ANYWHERE, GROUPS, SAME_CITY
from jobping.core.text import clean_line

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
    r"[\s-]*(?:job|work|only|first)?(?!\w)[\s-]*|anywhere in(?: the)?(?!\w)"
    r"|(?<=\s)only(?!\w)|^in\s|^the\s)",
    re.I,
)
_CODES: Final = re.compile(r"(?<!\w)(?:[A-Z]{1,2}-)?\d{4,6}(?!\w)")
_POSTCODE: Final = re.compile(r"([A-Z]{1,2})\d[A-Z\d]?(?: ?\d[A-Z]{2})?", re.I)
_LONDON: Final = re.compile(r"E|EC|N|NW|SE|SW|W|WC|BR|CR|EN|HA|IG|KT|RM|SM|TW|UB")
_ONE_NAME: Final = {name: names[0] for names in SAME_CITY for name in names}
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


def town(place: Location) -> str:
    """Return one name for the town of a place, or for the area of a British postcode, or nothing.

    München and Munich are one; so are all postcodes of London.
    """
    if place.city:
        return town_name(place.city)
    if code := _POSTCODE.fullmatch(place.raw):
        area = code[1].upper()
        return "london" if _LONDON.fullmatch(area) else f"postcode {area}"
    return ""


def part_of_town(place: Location) -> str:
    """Return what stands before the town, as Lichtenberg in `Lichtenberg, Berlin`, or nothing."""
    first, comma, _ = place.raw.partition(",")
    name = town(place)
    part = town_name(first) if name and comma else ""
    return "" if part == name else part


def town_name(name: str) -> str:
    """Return the folded name of a town, the same one in several languages."""
    folded = _fold(name)
    return _ONE_NAME.get(folded, folded)


def name_in_country(place: Location) -> str:
    """Return the town of a place, else its region; empty for a whole country."""
    return town(place) or _fold(place.region or "")


def says_remote(text: str) -> bool:
    """Whether a place or title holds the word remote."""
    return _REMOTE.search(text) is not None


def places(*texts: str | None) -> tuple[Location, ...]:
    """Read free texts such as `London, UK; Paris` or `Remote (US or Canada)`, without repeats."""
    return distinct(
        place
        for text in texts
        for piece in _SEPARATE.split((text or "")[: _MAX_RAW * MAX_PLACES])[: 2 * MAX_PLACES]
        for place in _read(_line(piece))
    )


@lru_cache(maxsize=1_000)
def place(
    raw: str | None,
    *,
    city: str | None = None,
    region: str | None = None,
    country: str | None = None,
) -> tuple[Location, ...]:
    """Read a place that the source sends in parts; what the parts lack is read from the text.

    Args:
        raw: The source's own text; where empty, the parts joined.
        country: A name or a code. A text that names several places wins over the parts.
    """
    parts = [_without_group(city), _without_group(region), _line(country)]
    found = places(_line(raw) or ", ".join(part for part in parts if part))
    if len(found) != 1:
        return found
    only = found[0]
    is_country = only.region is not None and _fold(only.region) == _fold(parts[2])
    return (
        attrs.evolve(
            only,
            city=parts[0] or only.city,
            region=parts[1] or (None if is_country else only.region),
            country=country_code(country) or only.country,
        ),
    )


def distinct(found: Iterable[Location]) -> tuple[Location, ...]:
    """Drop repeats, keep the order, and at most `MAX_PLACES`."""
    return tuple(dict.fromkeys(found))[:MAX_PLACES]


@lru_cache(maxsize=1_000)
def _read(raw: str) -> tuple[Location, ...]:
    """Return what one piece of text says; nothing for an empty one."""
    return tuple(_locations(raw)) if raw else ()


def _locations(raw: str) -> Iterator[Location]:
    parts = _parts(raw)
    yield from (Location(raw=raw, region=part.text) for part in parts if part.is_group)
    named = [part for part in parts if not part.is_group]
    countries = {part.country for part in named if part.country}
    cities = {_fold(part.text): part for part in named if part.city_of and not part.state_of}
    if len(countries) > 1:
        yield from _pairs(raw, named)
    elif len(cities) > 1:
        for part in cities.values():
            yield Location(raw=raw, city=part.text, country=part.city_of)
    elif named:
        yield _single(raw, named, next(iter(countries), None))
    elif not parts:
        yield Location(raw=raw)


def _parts(raw: str) -> list[_Part]:
    """Split a piece at commas and the like, without words such as remote and without postcodes."""
    texts = (_CODES.sub("", text).strip() for text in _INNER.split(_FILLERS.sub(" ", raw)))
    return [_part(text.removeprefix("in ")) for text in texts if _fold(text)]


def _single(raw: str, parts: list[_Part], country: str | None) -> Location:
    """Return the one place of parts that name at most one country."""
    named = [part for part in parts if not part.country]
    city = next((part for part in named if part.city_of), None)
    if city is None and len(named) > 1 and named[0].state_of:
        city = named[0]
    city = city or next((part for part in named if not part.state_of), None)
    rest = [part for part in named if part is not city]
    region = next((part for part in rest if part.state_of or country), None)
    return Location(
        raw=raw,
        city=_name(city),
        region=region.text if region else None,
        country=country or _country_of(city, region),
    )


def _country_of(city: _Part | None, region: _Part | None) -> str | None:
    """Return the country that a known city or an unmistakable state names."""
    if city and city.city_of:
        return city.city_of
    if region is None or country_code(region.text) is not None:
        return None
    return region.state_of


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
    text = text.strip(" -–—,")
    folded = _fold(text)
    state = STATES.get(folded) or PROVINCES.get(folded)
    country = COUNTRIES.get(folded)
    if len(folded) == 2:
        is_code = text.replace(".", "").isupper()
        state = state if is_code else None
        country = (country or country_code(folded)) if is_code and state is None else None
    return _Part(
        text=text,
        country=None if state else country,
        state_of=state,
        city_of=CITIES.get(folded),
        is_group=folded in _GROUPS or folded in ANYWHERE,
    )


def _without_group(text: str | None) -> str:
    """Return a city or region; empty where it is a group of countries, as some boards send it."""
    line = _line(text)
    return "" if _fold(_FILLERS.sub(" ", line)) in _GROUPS else line


def _line(text: str | None) -> str:
    return clean_line((text or "")[: 4 * _MAX_RAW])[:_MAX_RAW].strip()


def _fold(text: str) -> str:
    """Return the text in lower case without accents, dots and surrounding blanks."""
    plain = text.casefold()
    if not plain.isascii():
        letters = unicodedata.normalize("NFKD", plain)
        plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(plain.replace(".", "").replace("-", " ").split())
