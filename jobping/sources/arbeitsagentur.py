"""Bundesagentur für Arbeit: pages of a query; texts stand in the details, most on other sites."""

import base64
from decimal import Decimal
from urllib.parse import quote, unquote, urlencode

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import distinct, place
from jobping.core.posting import Interval, PostingDraft, Precision, Remote
from jobping.core.salary import stated_salary
from jobping.errors import MalformedPage
from jobping.sources import dates
from jobping.sources.decode import is_json_object, read_json
from jobping.sources.fields import line, lines, number_in, query_of, query_slug, with_query
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Light, Single, json_item
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

SERVICE = "/jobboerse/jobsuche-service/pc"
PUBLIC_KEY = "jobboerse-jobsuche"
"""The same for everybody; the service's own description states it."""
PAGE_SIZE = 100
"""The most; page times size may be 10,000, else the answer is 400."""
LIGHT_SIZE = 10
PAGE = "https://www.arbeitsagentur.de/jobsuche/jobdetail/"
_INTERVALS = {
    "JAHRESGEHALT": Interval.YEAR,
    "MONATSGEHALT": Interval.MONTH,
    "STUNDENLOHN": Interval.HOUR,
}
"""The first was seen; the others are unverified."""


@attrs.frozen(kw_only=True)
class Address:
    """Where, in German capitals."""

    ort: str | None = None
    region: str | None = None
    land: str | None = None
    plz: str | int | None = None


@attrs.frozen(kw_only=True)
class Place:
    """One of `stellenlokationen`."""

    adresse: Address | None = None


@attrs.frozen(kw_only=True)
class Job:
    """One item of `ergebnisliste`, or a detail."""

    referenznummer: str
    stellenangebotsTitel: str
    firma: str | None = None
    stellenlokationen: list[Place] | None = None
    homeofficemoeglich: bool | None = None
    externeURL: str | None = None
    stellenangebotsBeschreibung: str | None = None
    datumErsteVeroeffentlichung: str | None = None
    aenderungsdatum: str | None = None
    gehaltsspanneVon: Decimal | None = None
    gehaltsspanneBis: Decimal | None = None
    verguetungsangabe: str | None = None
    arbeitszeit: str | None = None
    angebotsart: str | int | None = None
    beruf: str | None = None

    @property
    def id(self) -> str:
        """The id under the name that every item has."""
        return self.referenznummer


@attrs.frozen(kw_only=True)
class Answer:
    """One page; where nothing is found the list may be missing."""

    maxErgebnisse: int | None = None
    ergebnisliste: list[msgspec.Raw] | None = None
    stellenangebote: list[msgspec.Raw] | None = None


def _listing(page: Page) -> Listing:
    expected = "an object with `ergebnisliste`"
    answer = read_json(page, Answer, source="arbeitsagentur", expected=expected)
    if answer.stellenangebote is not None:
        raise MalformedPage(f"arbeitsagentur: the old shape v4, expected {expected}")
    found = answer.ergebnisliste
    if found is None and answer.maxErgebnisse != 0:
        raise MalformedPage(f"arbeitsagentur: expected {expected}")
    size, here = number_in(page.url, "size", PAGE_SIZE), number_in(page.url, "page", 1)
    is_last = len(found or ()) < size or (here + 1) * size > 10_000
    following = None if is_last else PageRequest(url=with_query(page.url, page=here + 1))
    return Listing(items=found or (), total=answer.maxErgebnisse, following=following)


def _head(job: Job, _board: Board) -> Head:
    url = job.externeURL or PAGE + quote(job.referenznummer, safe="")
    return Head(title=job.stellenangebotsTitel, company=job.firma, url=url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    remote = Remote.YES if job.homeofficemoeglich else Remote.NO
    filled = attrs.evolve(
        draft,
        locations=distinct(
            found
            for one in job.stellenlokationen or ()
            if (where := one.adresse)
            for found in place(
                ", ".join(lines(where.ort, where.region, where.land)),
                city=where.ort,
                region=where.region,
                country=where.land,
            )
        ),
        remote=Remote.UNKNOWN if job.homeofficemoeglich is None else remote,
        description=html_to_text(job.stellenangebotsBeschreibung or ""),
        salary=stated_salary(
            "",
            minimum=job.gehaltsspanneVon,
            maximum=job.gehaltsspanneBis,
            currency="EUR",
            interval=_INTERVALS.get(job.verguetungsangabe or "", Interval.UNKNOWN),
        ),
        employment=lines(job.arbeitszeit),
        department=line(job.beruf),
        level=line(str(job.angebotsart)) if job.angebotsart else None,
        language="de" if job.stellenangebotsBeschreibung else None,
    )
    moment = dates.first(
        dates.iso(job.datumErsteVeroeffentlichung, precision=Precision.DATE),
        dates.iso(job.aenderungsdatum, precision=Precision.UPDATED),
    )
    return dates.posted(filled, moment, page.fetched_at)


def _path(slug: str, size: int = PAGE_SIZE) -> str:
    """Return the path of a query, of the last week unless it says otherwise."""
    query = dict(query_of(slug))
    fixed = {"veroeffentlichtseit": "7", **query, "page": "1", "size": str(size)}
    return f"{SERVICE}/v6/jobs?{urlencode(fixed, quote_via=quote)}"


def _dress(request: PageRequest, _keys: tuple[str, ...]) -> PageRequest:
    return attrs.evolve(request, headers=(("X-API-Key", PUBLIC_KEY),))


def _detail(id: str) -> str:
    code = base64.b64encode(unquote(id).encode()).decode()
    return f"{SERVICE}/v4/jobdetails/{quote(code, safe='')}"


ARBEITSAGENTUR = ItemSource(
    name=SourceName("arbeitsagentur"),
    coverage=Coverage.QUERY,
    terms=Terms(credit="Bundesagentur für Arbeit"),
    pace=Pace(per_hour=40, min_gap_s=2.5, burst=2, poll_every_s=6 * 3600),
    base_url="https://rest.arbeitsagentur.de",
    path=_path,
    dress=_dress,
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=query_slug("was", "wo", "umkreis", "angebotsart", "veroeffentlichtseit", "homeoffice"),
    slug_help="`all`, or as angebotsart:34;wo:Berlin;was:Praktikum, in the words of its search",
    id_key="referenznummer",
    page_cap=10,
    weak=frozenset({"description", "language"}),
    light=Light(path=lambda slug: _path(slug, LIGHT_SIZE), weak=frozenset({"description"})),
    single=Single(
        path=lambda job: _detail(job.id), item=json_item("arbeitsagentur"), gone=is_json_object
    ),
    gone=is_json_object,
)
