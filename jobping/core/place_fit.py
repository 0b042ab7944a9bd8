"""Whether a posting is where a profile wants it: countries, groups of countries, cities.

"Remote" without a region is unknown, not everywhere; remote restricted elsewhere is a no; a group
that shares a country with the groups wanted is a yes (design/sources.md, section 9).
"""

import re
from collections.abc import Iterable
from typing import Final

import attrs

from jobping.core.countries import CITIES
from jobping.core.fit import Finding, Fit
from jobping.core.places import country_code, places, says_remote
from jobping.core.posting import Location, Remote
from jobping.core.printable import printable
from jobping.core.regions import ANYWHERE, GROUPS, SAME_CITY
from jobping.core.words import Line, lined, tokens

_SHOWN: Final = 40
"""Most characters of a place in a reason."""
_TITLE_READ: Final = 300
_TITLE_PARTS: Final = re.compile(r"[()\[\],;|/&–—]|\s-\s|\b(?:or|and|only|remote)\b", re.IGNORECASE)
_GROUPS: Final = dict(GROUPS)


@attrs.frozen(kw_only=True)
class CityWish:
    """A city, or any other name of a place.

    Attributes:
        forms: Its names as they stand in lines, a blank on each side.
        country: The country it is in, where that is known.
    """

    name: str
    forms: tuple[str, ...]
    country: str | None


@attrs.frozen(kw_only=True)
class PlaceWish:
    """The places of a profile, resolved.

    Attributes:
        countries: Wanted country -> the person's own words for it.
        grouped: The countries wanted as members of a group.
        anywhere: True where the profile names the whole world.
    """

    countries: dict[str, str]
    grouped: frozenset[str]
    cities: tuple[CityWish, ...]
    anywhere: bool


@attrs.frozen(kw_only=True)
class ReadPlace:
    """A place of a posting, resolved once for all profiles.

    Attributes:
        shown: What to call it in a reason.
        line: All that the source says about it, folded.
        has_city: False where it is a whole country or region.
        group: The countries of the group it names; None where it names none.
        anywhere: True where it names the whole world.
    """

    shown: str
    line: Line
    country: str | None
    has_city: bool
    group: frozenset[str] | None
    anywhere: bool
    remote: bool


def place_wish(wanted: Iterable[str]) -> PlaceWish:
    """Return the places of a profile, resolved."""
    countries: dict[str, str] = {}
    grouped: set[str] = set()
    cities: list[CityWish] = []
    anywhere = False
    for text in wanted:
        folded = " ".join(tokens(text))
        code = country_code(text)
        if folded in ANYWHERE:
            anywhere = True
        elif folded in _GROUPS:
            grouped |= _GROUPS[folded]
            countries = dict.fromkeys(_GROUPS[folded], text) | countries
        elif code is not None:
            countries[code] = text
        elif folded and folded != "remote":
            cities.append(_city_wish(text))
    return PlaceWish(
        countries=countries, grouped=frozenset(grouped), cities=tuple(cities), anywhere=anywhere
    )


def read_place(location: Location) -> ReadPlace:
    """Return a posting's place, resolved."""
    said = " ".join(filter(None, (location.city, location.region, location.raw)))
    line = lined(said)
    region = " ".join(tokens(location.region or ""))
    group = _GROUPS.get(region) if location.country is None else None
    return ReadPlace(
        shown=printable(location.city or location.region or location.raw, _SHOWN),
        line=line,
        country=location.country,
        has_city=location.city is not None,
        group=group,
        anywhere=location.country is None and region in ANYWHERE,
        remote=says_remote(location.raw),
    )


def read_places(locations: Iterable[Location], title: str) -> tuple[ReadPlace, ...]:
    """Return all places of a posting; those of its title where its own say nothing.

    `Account Executive (USA)` that is remote somewhere is remote within the United States.
    """
    found = tuple(read_place(location) for location in locations)
    if any(not place.remote or place.country or place.group or place.anywhere for place in found):
        return found
    return tuple(read_place(location) for location in _named_in(title)) or found


def _named_in(title: str) -> Iterable[Location]:
    """Countries and groups that stand alone in a title; of two letters only those nobody doubts."""
    for part in _TITLE_PARTS.split(title[:_TITLE_READ]):
        name = part.strip()
        folded = " ".join(tokens(name))
        if len(name) > 2 or name in ("US", "UK", "EU"):
            if (code := country_code(name)) is not None:
                yield Location(raw=name, country=code)
            elif folded in _GROUPS or folded in ANYWHERE:
                yield Location(raw=name, region=name)


def judge_place(wish: PlaceWish, found: tuple[ReadPlace, ...], remote: Remote) -> Finding:
    """Say whether one of the places of a posting is wanted; the best one counts."""
    if wish.anywhere:
        return Finding(fit=Fit.YES)
    findings = [_judge(wish, place, remote) for place in found]
    for fit in (Fit.YES, Fit.MAYBE, Fit.NO):
        for finding in findings:
            if finding.fit is fit:
                return finding
    return _unknown(remote)


def _judge(wish: PlaceWish, place: ReadPlace, remote: Remote) -> Finding:
    city = next((city for city in wish.cities if _is_city(city, place)), None)
    if city is not None:
        return Finding(fit=Fit.YES, note=f"in {printable(city.name, _SHOWN)}")
    is_remote = remote is Remote.YES or place.remote
    if place.country is not None:
        return _judge_country(wish, place, place.country, is_remote)
    if place.anywhere:
        return Finding(fit=Fit.YES, note="open to people anywhere")
    if place.group is not None:
        return _judge_group(wish, place, place.group, is_remote)
    if place.remote and not place.has_city:
        return _unknown(Remote.YES)
    return Finding(fit=Fit.MAYBE, note=f"place unclear ({place.shown})")


def _judge_country(wish: PlaceWish, place: ReadPlace, code: str, is_remote: bool) -> Finding:
    label = wish.countries.get(code)
    if label is not None:
        return Finding(fit=Fit.YES, note=_inside(place, label))
    if place.has_city or all(city.country not in (None, code) for city in wish.cities):
        return Finding(fit=Fit.NO, note=f"{place.shown} is outside of the places wanted")
    if is_remote and any(city.country == code for city in wish.cities):
        return Finding(fit=Fit.YES, note=f"remote within {place.shown}")
    return Finding(fit=Fit.MAYBE, note=f"place unclear ({place.shown})")


def _judge_group(
    wish: PlaceWish, place: ReadPlace, group: frozenset[str], is_remote: bool
) -> Finding:
    wanted = wish.countries.keys() | {city.country for city in wish.cities if city.country}
    is_open = any(city.country is None for city in wish.cities)
    if wish.grouped & group or (is_remote and wanted & group):
        inside = "remote within" if is_remote else "in"
        return Finding(fit=Fit.YES, note=f"{inside} {place.shown}")
    if wanted & group or is_open:
        return Finding(fit=Fit.MAYBE, note=f"place unclear ({place.shown})")
    return Finding(fit=Fit.NO, note=f"{place.shown} is outside of the places wanted")


def _inside(place: ReadPlace, label: str) -> str:
    """Say where a place is: `Berlin is in Europe`, `in Germany`."""
    shown = printable(label, _SHOWN)
    is_name = place.has_city or ("," not in place.shown and place.shown.count(" ") < 3)
    if not is_name or place.shown.casefold() == shown.casefold():
        return f"in {shown}"
    return f"{place.shown} is in {shown}"


def _unknown(remote: Remote) -> Finding:
    is_remote = remote is Remote.YES
    return Finding(
        fit=Fit.MAYBE, note="remote, region not stated" if is_remote else "place not stated"
    )


def _is_city(city: CityWish, place: ReadPlace) -> bool:
    if city.country and place.country and city.country != place.country:
        return False
    return any(form in place.line.text for form in city.forms)


def _city_wish(text: str) -> CityWish:
    read = next(iter(places(text)), None)
    name = (read.city or read.region if read else None) or text
    folded = " ".join(tokens(name))
    country = read.country if read else CITIES.get(folded)
    names = next((names for names in SAME_CITY if folded in names), (folded,))
    return CityWish(name=name, forms=tuple(f" {form} " for form in names), country=country)
