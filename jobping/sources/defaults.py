"""What is polled while nothing is configured: Europe and early career.

The company list is our own, from general knowledge and copied from no list. Each slug is
unverified until its first poll. Boards of sources that need a key count only where there is one.
Queries take turns like boards: the longest unasked is next, as far as the quotas go.
"""

from collections.abc import Iterator

from jobping.core.board import Board
from jobping.core.ids import SourceName

_AGGREGATORS = (
    ("remoteok", "all"), ("jobicy", "all"), ("remotive", "all"), ("arbeitnow", "all"),
    ("himalayas", "all"), ("hackernews", "all"),
    ("weworkremotely", "remote-programming-jobs"),
    ("weworkremotely", "remote-design-jobs"),
    ("weworkremotely", "remote-product-jobs"),
    ("weworkremotely", "remote-sales-and-marketing-jobs"),
    ("weworkremotely", "remote-customer-support-jobs"),
    ("weworkremotely", "all-other-remote-jobs"),
    ("arbeitsagentur", "angebotsart:34"),
    ("arbeitsagentur", "was:Trainee;angebotsart:1"),
    ("arbeitsagentur", "was:Werkstudent;angebotsart:1"),
    ("arbeitsagentur", "was:Berufseinsteiger;angebotsart:1"),
)  # fmt: skip

_COMPANIES = (
    ("greenhouse", "getyourguide", "GetYourGuide"),
    ("greenhouse", "n26", "N26"),
    ("greenhouse", "hellofresh", "HelloFresh"),
    ("greenhouse", "monzo", "Monzo"),
    ("greenhouse", "doctolib", "Doctolib"),
    ("lever", "spotify", "Spotify"),
    ("lever", "qonto", "Qonto"),
    ("lever", "mistral", "Mistral AI"),
    ("lever", "swile", "Swile"),
    ("ashby", "alan", "Alan"),
    ("ashby", "dust", "Dust"),
    ("ashby", "lemlist", "lemlist"),
    ("ashby", "voize", "voize"),
    ("recruitee", "hotjar", "Hotjar"),
    ("recruitee", "bunq", "bunq"),
    ("recruitee", "channable", "Channable"),
    ("smartrecruiters", "BoschGroup", "Bosch"),
    ("smartrecruiters", "Ubisoft2", "Ubisoft"),
    ("smartrecruiters", "DeliveryHero", "Delivery Hero"),
    ("workable", "blueground", "Blueground"),
    ("workable", "skroutz", "Skroutz"),
    ("teamtailor", "career", "Teamtailor"),
    ("personio", "personio", "Personio"),
    ("personio", "blinkist", "Blinkist"),
    ("personio", "sennder", "sennder"),
)

TRACKS = (
    ("graduate analyst", "strategy analyst", "graduate programme"),
    ("junior consultant", "business analyst", "junior business analyst"),
    ("data analyst", "junior data analyst", "business intelligence analyst"),
    ("trainee manager", "operations trainee", "management trainee"),
    ("associate developer", "junior developer", "associate product manager"),
)
"""Five tracks of a first job: design/sources.md section 13; the first query stands for each."""

_CITIES = (
    ("gb", "London"), ("gb", "Manchester"),
    ("de", "Berlin"), ("de", "Hamburg"), ("fr", "Paris"),
    ("nl", "Amsterdam"), ("es", "Madrid"), ("es", "Barcelona"),
    ("it", "Milano"), ("at", "Wien"), ("be", "Brussel"),
    ("pl", "Warszawa"),
)  # fmt: skip
"""Cities of countries that Adzuna has, as they are called there."""
_MUSE = (
    "Berlin, Germany", "Munich, Germany", "Hamburg, Germany", "London, United Kingdom",
    "Manchester, United Kingdom", "Dublin, Ireland", "Paris, France", "Amsterdam, Netherlands",
    "Madrid, Spain", "Barcelona, Spain", "Milan, Italy", "Vienna, Austria", "Brussels, Belgium",
    "Stockholm, Sweden", "Copenhagen, Denmark",
)  # fmt: skip
_UK = ("London", "Manchester", "Birmingham", "Leeds", "Bristol")
_JSEARCH = ("Berlin", "London", "Amsterdam")


def _queries() -> Iterator[tuple[str, str]]:
    """Yield the queries of the keyed sources, track by track within each."""
    for queries in TRACKS:
        for query, city in zip(queries, _JSEARCH, strict=True):
            yield "jsearch", f"query:{query} in {city}"
        for country, city in _CITIES:
            yield "adzuna", f"country:{country};where:{city};what:{queries[0]}"
        for city in _UK:
            yield "reed", f"locationName:{city};distanceFromLocation:10;keywords:{queries[0]}"


def _boards() -> Iterator[Board]:
    for source, slug in (*_AGGREGATORS, *_queries()):
        yield Board(source=SourceName(source), slug=slug)
    for source, slug, company in _COMPANIES:
        yield Board(source=SourceName(source), slug=slug, company=company)
    for place in _MUSE:
        slug = f"location:{place};level:Entry Level;level:Internship"
        yield Board(source=SourceName("themuse"), slug=slug, standby=True)


DEFAULT_BOARDS: tuple[Board, ...] = tuple(_boards())
"""The default boards; those of The Muse stand by."""
