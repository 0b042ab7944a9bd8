"""Groups of countries as people name them. ISO 3166-1 alpha-2 codes."""

from typing import Final


def _codes(codes: str) -> frozenset[str]:
    return frozenset(codes.split())


_EU: Final = _codes(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
)
_EEA: Final = _EU | {"IS", "LI", "NO"}
_EUROPE: Final = _EEA | {"CH", "GB"}
_DACH: Final = frozenset({"DE", "AT", "CH"})
_NORDICS: Final = frozenset({"DK", "FI", "IS", "NO", "SE"})
_BALTICS: Final = frozenset({"EE", "LV", "LT"})
_BENELUX: Final = frozenset({"BE", "NL", "LU"})
_IBERIA: Final = frozenset({"ES", "PT"})
_EAST: Final = _codes("AL BA BY MD ME MK RS RU TR UA XK AD MC SM VA GI")
_MIDDLE_EAST: Final = _codes("AE BH EG IL IQ IR JO KW LB OM PS QA SA SY TR YE")
_AFRICA: Final = _codes(
    "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR "
    "MU MW MZ NA NE NG RW SC SD SL SN SO SS ST SZ TD TG TN TZ UG ZA ZM ZW"
)
_NORTH_AMERICA: Final = frozenset({"US", "CA", "MX"})
_LATIN_AMERICA: Final = _codes("AR BO BR CL CO CR CU DO EC GT HN HT MX NI PA PE PR PY SV UY VE")
_ASIA_PACIFIC: Final = _codes(
    "AU BD BN BT CN FJ HK ID IN JP KG KH KR KZ LA LK MM MN MO MV MY NP NZ PG PH PK SG TH TJ TM TW "
    "TL UZ VN"
)

GROUPS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("europe", _EUROPE),
    ("europa", _EUROPE),
    ("european economic area", _EEA),
    ("eea", _EEA),
    ("ewr", _EEA),
    ("european union", _EU),
    ("europaische union", _EU),
    ("union europeenne", _EU),
    ("eu", _EU),
    ("dach", _DACH),
    ("nordics", _NORDICS),
    ("nordic", _NORDICS),
    ("scandinavia", _NORDICS),
    ("baltics", _BALTICS),
    ("benelux", _BENELUX),
    ("iberia", _IBERIA),
    ("emea", _EUROPE | _EAST | _MIDDLE_EAST | _AFRICA),
    ("middle east", _MIDDLE_EAST),
    ("africa", _AFRICA),
    ("north america", _NORTH_AMERICA),
    ("namer", _NORTH_AMERICA),
    ("noram", _NORTH_AMERICA),
    ("latin america", _LATIN_AMERICA),
    ("south america", _LATIN_AMERICA),
    ("latam", _LATIN_AMERICA),
    ("americas", _NORTH_AMERICA | _LATIN_AMERICA),
    ("asia", _ASIA_PACIFIC),
    ("asia pacific", _ASIA_PACIFIC),
    ("apac", _ASIA_PACIFIC),
    ("oceania", frozenset({"AU", "NZ", "FJ", "PG"})),
)
"""Folded name of a group -> its countries. Europe is EU, EEA, Switzerland and United Kingdom
(design/sources.md, section 9)."""

ANYWHERE: Final = frozenset(
    {"anywhere", "worldwide", "global", "globally", "world", "weltweit", "international"}
)
"""Folded words for no restriction at all."""

SAME_CITY: Final[tuple[tuple[str, ...], ...]] = (
    ("munich", "munchen", "muenchen"),
    ("cologne", "koln", "koeln"),
    ("nuremberg", "nurnberg", "nuernberg"),
    ("dusseldorf", "duesseldorf"),
    ("hanover", "hannover"),
    ("frankfurt", "frankfurt am main"),
    ("vienna", "wien"),
    ("zurich", "zuerich"),
    ("geneva", "geneve", "genf"),
    ("basel", "bale"),
    ("brussels", "bruxelles", "brussel"),
    ("antwerp", "antwerpen", "anvers"),
    ("ghent", "gent"),
    ("the hague", "den haag"),
    ("copenhagen", "kobenhavn"),
    ("gothenburg", "goteborg"),
    ("milan", "milano"),
    ("rome", "roma"),
    ("turin", "torino"),
    ("florence", "firenze"),
    ("naples", "napoli"),
    ("venice", "venezia"),
    ("seville", "sevilla"),
    ("lisbon", "lisboa"),
    ("prague", "praha"),
    ("warsaw", "warszawa"),
    ("krakow", "cracow"),
    ("bucharest", "bucuresti"),
    ("kyiv", "kiev"),
    ("new york", "new york city", "nyc"),
)
"""Folded names of one city in several languages."""
