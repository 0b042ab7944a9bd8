"""The job boards that list postings of many companies, as their public answers look.

Source:
    Paths, envelopes, headers and traps as recorded in answers of the real sites.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from jobping.core.ids import SourceName
from jobping.demo.answers import (
    HTML,
    Answer,
    Asked,
    Content,
    Items,
    Shelf,
    Site,
    Whole,
    array,
    dated,
    envelope,
    items_of,
    json_answer,
    whole_answer,
    with_headers,
)

ALL: Final = "all"
PAGE: Final = 25
"""Items of one synthetic page of Arbeitnow; the real ones hold more."""
JOBICY_MOST: Final = 50
JOBICY_FILTERS: Final = ("tag", "geo", "industry")
WORD: Final = b"@WORD@"
"""Stands in a Remote OK text for the word that differs with every request."""
WORDS: Final = (b"ELEVATE", b"SERENE", b"TENACITY", b"LUMINOUS", b"GENUINE", b"BRISK", b"CANDOR")
LEGAL: Final = (
    "Synthetic answer of a local demonstration: link to the posting's own page and name the source."
)


def _missing() -> Answer:
    return Answer(status=404, media_type=HTML, body=b"<h1>404 Not Found</h1>")


def _remoteok(asked: Asked, shelf: Shelf) -> Answer:
    content = shelf.get(ALL)
    if asked.parts != ("api",) or content is None:
        return _missing()
    answer = whole_answer(content) if isinstance(content, Whole) else _remoteok_list(asked, content)
    return dated(asked, with_headers(answer, ("cache-control", "public, max-age=3600")))


def _remoteok_list(asked: Asked, content: Items) -> Answer:
    notice = json_answer({"last_updated": int(asked.as_of.timestamp()), "legal": LEGAL}).body
    word = WORDS[asked.serial % len(WORDS)]
    return Answer(body=array([notice, *content.items]).replace(WORD, word))


def _jobicy(asked: Asked, shelf: Shelf) -> Answer:
    content = shelf.get(_jobicy_slug(asked))
    if asked.parts != ("api", "v2", "remote-jobs") or content is None:
        return _missing()
    answer = whole_answer(content) if isinstance(content, Whole) else _jobicy_list(asked, content)
    return with_headers(answer, ("cache-control", "no-store, no-cache, must-revalidate"))


def _jobicy_slug(asked: Asked) -> str:
    wanted = [f"{key}:{asked.query[key]}" for key in JOBICY_FILTERS if key in asked.query]
    return wanted[0] if wanted else ALL


def _jobicy_list(asked: Asked, content: Items) -> Answer:
    items = content.items[: min(asked.number("count", JOBICY_MOST), JOBICY_MOST)]
    return envelope(
        "jobs",
        items,
        apiVersion="2.0",
        jobCount=len(items),
        lastUpdate=f"{asked.as_of.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}",
        xRayHash=f"{asked.serial * 2_654_435_761 % 2**32:08x}",
        clientKey=f"demo-{asked.serial}",
    )


def _remotive(asked: Asked, shelf: Shelf) -> Answer:
    category = asked.query.get("category")
    content = shelf.get(f"category:{category}" if category else ALL)
    if asked.parts != ("api", "remote-jobs") or content is None:
        return _missing()
    if isinstance(content, Whole) and "limit" not in asked.query:
        return whole_answer(content)
    items = items_of(content, "jobs")
    shown = items[: asked.number("limit", len(items))]
    counts = {"job-count": len(shown), "total-job-count": len(items)}
    return envelope("jobs", shown, **counts)


def _arbeitnow(asked: Asked, shelf: Shelf) -> Answer:
    content = shelf.get(ALL)
    if asked.parts != ("api", "job-board-api") or content is None:
        return _missing()
    number = max(1, asked.number("page", 1))
    if isinstance(content, Whole) and number == 1:
        return whole_answer(content)
    return _arbeitnow_page(asked, content, number)


def _arbeitnow_page(asked: Asked, content: Content, number: int) -> Answer:
    items: Sequence[bytes] = content.items if isinstance(content, Items) else ()
    start = (number - 1) * PAGE
    shown = items[start : start + PAGE]
    here = f"{asked.place}/{'/'.join(asked.parts)}"
    following = f"{here}?page={number + 1}" if start + PAGE < len(items) else None
    before = f"{here}?page={number - 1}" if number > 1 else None
    return envelope(
        "data",
        shown,
        links={"first": f"{here}?page=1", "last": None, "prev": before, "next": following},
        meta={"current_page": number, "path": here, "per_page": PAGE},
    )


REMOTEOK_ROBOTS: Final = b"""\
User-agent: *
Disallow: /private/
Disallow: /*?sort=
Allow: /api
Crawl-delay: 0.05
"""

FEED_SITES: Final = (
    Site(source=SourceName("remoteok"), robots=REMOTEOK_ROBOTS, respond=_remoteok),
    Site(source=SourceName("jobicy"), respond=_jobicy),
    Site(source=SourceName("remotive"), respond=_remotive),
    Site(source=SourceName("arbeitnow"), respond=_arbeitnow),
)
