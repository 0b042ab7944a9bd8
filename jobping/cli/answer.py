"""`jobping sources test NAME --file ANSWER`: what a source reads in a saved answer."""

import argparse
import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Final

from jobping.cli.output import print_json
from jobping.cli.parser import UsageError
from jobping.clock import Clock
from jobping.core.board import Board, Route
from jobping.core.page import Page
from jobping.core.posting import PostingDraft
from jobping.core.printable import printable
from jobping.errors import MalformedPage
from jobping.settings import known_source
from jobping.sources.defaults import DEFAULT_BOARDS
from jobping.sources.source import Parsed, Rejected, Source

MEDIA: Final = {
    ".json": "application/json", ".xml": "application/xml", ".rss": "application/rss+xml",
    ".atom": "application/atom+xml", ".html": "text/html", ".txt": "text/plain",
}  # fmt: skip
SHOWN: Final = 5


def read_answer(arguments: argparse.Namespace) -> int:
    """Carry out the command."""
    source = _source(arguments.name)
    board = _board(source, arguments.slug)
    page = _page(source, board, arguments)
    if source.is_gone(page):
        print(f"{source.name}: its own way to say that there is no such board")
        return 0
    try:
        *items, parsed = source.parse(page, board)
    except MalformedPage as error:
        print(f"malformed: {printable(error.why, 500)}")
        return 1
    if not isinstance(parsed, Parsed):
        raise TypeError("parse ended without Parsed")
    found = [source.convert(item, page, board) for item in items if not isinstance(item, Parsed)]
    drafts = [one for one in found if isinstance(one, PostingDraft)]
    rejected = [*parsed.rejected, *(one for one in found if isinstance(one, Rejected))]
    if arguments.json:
        print_json(_as_json(parsed, drafts, rejected))
    else:
        _say(parsed, drafts, rejected)
    return 0 if parsed.items == len(drafts) + parsed.repeated + len(rejected) else 1


def _source(name: str) -> Source:
    try:
        return known_source(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _board(source: Source, slug: str | None) -> Board:
    """Return the board of that slug, else one that the source can have."""
    known = (board.slug for board in DEFAULT_BOARDS if board.source == source.name)
    for chosen in (slug, next(known, None), "example", "all", "acme:wd1:Careers", "example.com"):
        if chosen is None:
            continue
        try:
            source.check_slug(chosen)
        except ValueError as error:
            if slug is not None:
                raise UsageError(str(error)) from error
            continue
        return Board(source=source.name, slug=chosen)
    raise UsageError(f"{source.name}: name a board with --slug")


def _page(source: Source, board: Board, arguments: argparse.Namespace) -> Page:
    path: Path = arguments.file
    try:
        body = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    media = arguments.media or MEDIA.get(path.suffix.lower(), "")
    return Page(
        url=arguments.url or source.requests(board, Route.RELIABLE)[0].url,
        status=arguments.status,
        headers=(("content-type", media),),
        body=body,
        fetched_at=Clock().utcnow(),
    )


def _say(parsed: Parsed, drafts: list[PostingDraft], rejected: list[Rejected]) -> None:
    print(
        f"{parsed.items} items = {len(drafts)} postings + {parsed.repeated} repeated"
        f" + {len(rejected)} rejected"
    )
    for reason, count in Counter(one.reason for one in rejected).most_common():
        print(f"  rejected {count}: {printable(reason, 200)}")
    if parsed.total is not None:
        print(f"  the answer states {parsed.total} in all")
    if parsed.following is not None:
        print(f"  next page: {printable(parsed.following.url, 300)}")
    for request in parsed.more[:SHOWN]:
        print(f"  further part: {printable(request.url, 300)}")
    for draft in drafts[:SHOWN]:
        places = "; ".join(place.raw for place in draft.locations) or "no place"
        company = draft.company or "no company"
        print(f"  {printable(draft.external_id, 60)}: {printable(draft.title, 100)}")
        print(f"    {printable(company, 60)}, {printable(places, 100)}, {_day(draft.posted_at)}")


def _day(at: dt.datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at else "no date"


def _as_json(
    parsed: Parsed, drafts: list[PostingDraft], rejected: list[Rejected]
) -> dict[str, object]:
    return {
        "items": parsed.items,
        "postings": [
            {
                "id": draft.external_id,
                "title": draft.title,
                "company": draft.company,
                "url": draft.url,
                "places": [place.raw for place in draft.locations],
                "remote": draft.remote.value,
                "posted_at": draft.posted_at.isoformat() if draft.posted_at else None,
                "pay": draft.salary.raw if draft.salary else None,
                "characters": len(draft.description),
            }
            for draft in drafts
        ],
        "repeated": parsed.repeated,
        "rejected": [{"id": one.external_id, "reason": one.reason} for one in rejected],
        "total": parsed.total,
        "following": parsed.following.url if parsed.following else None,
    }
