"""The applicant systems of companies, one board per company, as their public answers look.

Source:
    Paths, envelopes, headers and error forms as recorded in answers of the real sites; what was
    never seen is left out.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from jobping.core.ids import SourceName
from jobping.demo.answers import (
    HTML,
    TEXT,
    XML,
    Answer,
    Asked,
    Content,
    Items,
    Shelf,
    Site,
    Whole,
    array,
    envelope,
    items_of,
    json_answer,
    tagged,
    whole_answer,
    with_headers,
)

_GREENHOUSE_TEXTS: Final = (
    "content", "company_name", "first_published", "language", "application_deadline",
    "departments", "offices",
)  # fmt: skip
"""What `/departments` leaves out."""
SMARTRECRUITERS_MOST: Final = 100
SMARTRECRUITERS_USUAL: Final = 10


def _greenhouse(asked: Asked, shelf: Shelf) -> Answer:
    match asked.parts:
        case ("v1", "boards", slug, "departments") if slug in shelf:
            return tagged(asked, _greenhouse_departments(items_of(shelf[slug], "jobs")))
        case ("v1", "boards", slug, "jobs") if slug in shelf:
            answer = _greenhouse_jobs(shelf[slug], asked.query.get("content") == "true")
            return tagged(asked, with_headers(answer, ("cache-control", "max-age=0, private")))
        case ("v1", "boards", slug, "jobs", id) if slug in shelf:
            return _one(shelf[slug], "jobs", id) or _greenhouse_missing("Job not found")
        case ("v1", "boards", _, "jobs"):
            return _greenhouse_missing("Job not found")
        case _:
            return _greenhouse_missing("Job board not found")


def _greenhouse_jobs(content: Content, with_texts: bool) -> Answer:
    if isinstance(content, Whole):
        return whole_answer(content)
    texts = ("content", "departments", "offices")
    items = content.items if with_texts else _without(texts, content.items)
    return envelope("jobs", items, meta={"total": content.total or len(items)})


def _greenhouse_departments(items: Sequence[bytes]) -> Answer:
    """Return the jobs as heads, below one department."""
    jobs = msgspec.Raw(array(_without(_GREENHOUSE_TEXTS, items)))
    return json_answer({"departments": [{"name": "All", "child_ids": [], "jobs": jobs}]})


def _without(keys: Sequence[str], items: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return items without some keys."""
    decoded = (msgspec.json.decode(item, type=dict[str, msgspec.Raw]) for item in items)
    return tuple(
        msgspec.json.encode({key: item[key] for key in item if key not in keys}) for item in decoded
    )


def _greenhouse_missing(error: str) -> Answer:
    answer = json_answer({"status": 404, "error": error}, status=404)
    return with_headers(answer, ("cache-control", "no-cache"))


def _lever(asked: Asked, shelf: Shelf) -> Answer:
    match asked.parts:
        case ("v0", "postings", slug) if slug in shelf:
            return tagged(asked, _lever_postings(asked, shelf[slug]))
        case ("v0", "postings", slug, id) if slug in shelf:
            found = _one(shelf[slug], None, id)
        case _:
            found = None
    return found or json_answer({"ok": False, "error": "Document not found"}, status=404)


def _lever_postings(asked: Asked, content: Content) -> Answer:
    if isinstance(content, Whole) and not asked.query.keys() & {"skip", "limit"}:
        return whole_answer(content)
    items = items_of(content, None)
    skip = asked.number("skip", 0)
    return Answer(body=array(items[skip : skip + asked.number("limit", len(items))]))


def _ashby(asked: Asked, shelf: Shelf) -> Answer:
    match asked.parts:
        case ("posting-api", "job-board", slug) if slug in shelf:
            content = shelf[slug]
        case _:
            return Answer(status=404, media_type=TEXT, body=b"Not Found")
    if isinstance(content, Whole):
        return whole_answer(content)
    return envelope("jobs", content.items, apiVersion="1")


def _recruitee(asked: Asked, shelf: Shelf) -> Answer:
    match asked.parts:
        case (slug, "api", "offers") if slug in shelf:
            content = shelf[slug]
        case _:
            return json_answer({"error": "Not Found"}, status=404)
    return (
        whole_answer(content) if isinstance(content, Whole) else envelope("offers", content.items)
    )


def _smartrecruiters(asked: Asked, shelf: Shelf) -> Answer:
    match asked.parts:
        case ("v1", "companies", slug, "postings"):
            return tagged(asked, _smartrecruiters_page(asked, shelf.get(slug, Items(()))))
        case ("v1", "companies", slug, "postings", id) if slug in shelf:
            found = None if isinstance(shelf[slug], Whole) else _one(shelf[slug], "content", id)
        case _:
            found = None
    return found or json_answer({"message": "Posting not found", "errors": []}, status=404)


def _smartrecruiters_page(asked: Asked, content: Content) -> Answer:
    """Return a page; an unknown company has an empty one, as at the real site."""
    items = items_of(content, "content")
    offset = asked.number("offset", 0)
    limit = min(asked.number("limit", SMARTRECRUITERS_USUAL), SMARTRECRUITERS_MOST)
    page = items[offset : offset + limit]
    total = content.total if isinstance(content, Items) else None
    fields = {
        "offset": offset,
        "limit": limit,
        "totalFound": total or len(items),
        "content": msgspec.Raw(array(_without(("jobAd", "postingUrl"), page))),
    }
    return json_answer(fields)


def _personio(asked: Asked, shelf: Shelf) -> Answer:
    match asked.parts:
        case (slug, "xml") if slug in shelf:
            content = shelf[slug]
        case _:
            return Answer(status=404, media_type=HTML, body=b"<h1>404 Not Found</h1>")
    if isinstance(content, Whole):
        return whole_answer(content)
    positions = b"\n".join(content.items)
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n<workzag-jobs>\n%b\n</workzag-jobs>\n'
    return Answer(media_type=XML, body=body % positions)


def _one(content: Content, key: str | None, id: str) -> Answer | None:
    """Return the item of that id as its detail answer."""
    for item in items_of(content, key):
        fields = msgspec.json.decode(item, type=dict[str, msgspec.Raw])
        if bytes(fields.get("id", b"")).strip(b'"') == id.encode():
            return Answer(body=item)
    return None


COMPANY_SITES: Final = (
    Site(source=SourceName("greenhouse"), respond=_greenhouse),
    Site(source=SourceName("lever"), respond=_lever),
    Site(source=SourceName("ashby"), respond=_ashby),
    Site(source=SourceName("recruitee"), base_path="/{slug}", respond=_recruitee),
    Site(source=SourceName("smartrecruiters"), respond=_smartrecruiters),
    Site(source=SourceName("personio"), base_path="/{slug}", respond=_personio),
)
