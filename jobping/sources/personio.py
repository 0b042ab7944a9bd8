"""Personio: an XML feed per company; the same id may stand there more than once."""

from collections.abc import Iterable
from urllib.parse import quote
from xml.etree.ElementTree import Element

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import places, says_remote
from jobping.core.posting import CONTENT, PostingDraft, Remote
from jobping.errors import MalformedPage
from jobping.sources import dates
from jobping.sources.decode import read_json, read_xml
from jobping.sources.fields import HOST_LABEL, HOST_LABEL_HELP, line, lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.jobposting import own_page
from jobping.sources.reader import Light
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

_KEYS = (
    "id", "name", "subcompany", "department", "recruitingCategory", "employmentType", "seniority",
    "schedule", "occupation", "occupationCategory", "keywords", "createdAt",
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Text:
    """A headed part of the description, in HTML."""

    name: str | None = None
    value: str | None = None


@attrs.frozen(kw_only=True)
class Position:
    """One `position`, as JSON."""

    id: int | str
    name: str
    subcompany: str | None = None
    offices: tuple[str, ...] = ()
    department: str | None = None
    recruitingCategory: str | None = None
    employmentType: str | None = None
    seniority: str | None = None
    schedule: str | None = None
    occupation: str | None = None
    occupationCategory: str | None = None
    keywords: str | None = None
    createdAt: str | None = None
    texts: tuple[Text, ...] = ()


def _listing(page: Page) -> Listing:
    root = read_xml(page, source="personio")
    if root.tag != "workzag-jobs":
        raise MalformedPage(f"personio: expected <workzag-jobs>, found <{root.tag[:40]}>")
    positions = root.findall("position")
    found = _merged(_raw(element) for element in positions)
    return Listing(
        items=[msgspec.json.encode(position) for position in found],
        merged=len(positions) - len(found),
    )


_Raw = dict[str, str | list[str] | list[dict[str, str]]]


def _raw(element: Element) -> _Raw:
    """Return a position as the values of `Position`; what the feed lacks is left out."""
    stated = {key: (element.findtext(key) or "").strip() for key in _KEYS}
    offices = [element.findtext("office") or ""]
    offices += [office.text or "" for office in element.findall("additionalOffices/office")]
    texts = [
        {"name": part.findtext("name") or "", "value": part.findtext("value") or ""}
        for part in element.findall("jobDescriptions/jobDescription")
    ]
    return {
        **{key: text for key, text in stated.items() if text},
        "offices": [office.strip() for office in offices if office.strip()],
        "texts": texts,
    }


def _merged(positions: Iterable[_Raw]) -> list[_Raw]:
    """Join positions of one id: the first one with the offices of all."""
    kept: list[_Raw] = []
    by_id: dict[str, list[str]] = {}
    for position in positions:
        id_, offices = position.get("id"), position["offices"]
        if isinstance(id_, str) and id_ in by_id:
            by_id[id_] += [str(office) for office in offices if office not in by_id[id_]]
            continue
        own = [str(office) for office in offices]
        kept.append({**position, "offices": own})
        if isinstance(id_, str):
            by_id[id_] = own
    return kept


def _search(page: Page) -> Listing:
    """Return the items of `/search.json` as positions: ids are texts, words German, no dates."""
    raws = read_json(page, list[msgspec.Raw], source="personio", expected="an array of positions")
    return Listing(items=[_position(bytes(raw)) for raw in raws])


def _position(raw: bytes) -> bytes:
    """Give the keys the names of `Position`; what is no object is left to be rejected."""
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return raw
    for key, name, form in (
        ("employment_type", "employmentType", b"%b"),
        ("office", "offices", b"[%b]"),
        ("description", "texts", b'[{"value":%b}]'),
    ):
        if key in found:
            found[name] = msgspec.Raw(form % bytes(found[key]))
    return msgspec.json.encode(found)


def _head(position: Position, board: Board) -> Head:
    url = f"https://{board.slug}.jobs.personio.de/job/{quote(str(position.id), safe='')}"
    return Head(title=position.name, company=position.subcompany, url=url)


def _fill(position: Position, draft: PostingDraft, page: Page) -> PostingDraft:
    sections = (
        f"<section><h3>{text.name or ''}</h3><div>{text.value or ''}</div></section>"
        for text in position.texts
    )
    filled = attrs.evolve(
        draft,
        locations=places(*position.offices),
        remote=Remote.YES if any(map(says_remote, position.offices)) else Remote.UNKNOWN,
        description=html_to_text("".join(sections)),
        employment=lines(position.employmentType, position.schedule),
        department=line(position.department),
        level=line(position.seniority),
        tags=lines(
            position.recruitingCategory,
            position.occupation,
            position.occupationCategory,
            *(position.keywords or "").split(","),
        ),
    )
    return dates.posted(filled, dates.iso(position.createdAt), page.fetched_at)


PERSONIO = ItemSource(
    name=SourceName("personio"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Personio"),
    pace=Pace(per_hour=1200),
    base_url="https://{slug}.jobs.personio.de",
    also=("https://{slug}.jobs.personio.com",),
    path=lambda _slug: "/xml?language=en",
    accept=("application/xml", "text/xml"),
    listing=_listing,
    item=Position,
    head=_head,
    fill=_fill,
    slug=HOST_LABEL,
    slug_help=HOST_LABEL_HELP.format(".jobs.personio.de"),
    ids_per_board=True,
    gone=lambda _page: True,
    light=Light(
        path=lambda _slug: "/search.json",
        listing=_search,
        weak=CONTENT,
        accept=("application/json",),
    ),
    single=own_page(
        "personio", pages="https://{slug}.jobs.personio.de", path=lambda job: f"/job/{job.id}"
    ),
)
