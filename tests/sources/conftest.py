import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
import pytest

from jobping.core.board import Board
from jobping.core.page import Page
from jobping.core.posting import PostingDraft
from jobping.sources import SOURCES
from jobping.sources.source import Parsed, RawItem, Rejected, Source

FETCHED_AT = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
PAGES = Path(__file__).parent / "pages"
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
MARKUP = {"personio": "xml", "weworkremotely": "xml", "feed": "xml", "site": "xml"}
"""Sources that do not answer in JSON, and how instead."""
SLUGS = {
    **dict.fromkeys(
        (
            "remoteok", "jobicy", "remotive", "arbeitnow", "himalayas", "hackernews",
            "arbeitsagentur", "themuse",
        ),
        "all",
    ),
    "workday": "example:wd1:Careers",
    "jsearch": "query:graduate analyst",
    "adzuna": "country:gb;what:graduate analyst",
    "reed": "keywords:graduate analyst",
    "site": "careers.example.com",
    "feed": "example.com/jobs.xml",
}  # fmt: skip
"""A slug of each source where `example` is none."""


@attrs.frozen(kw_only=True)
class Answer:
    """A page, the board it belongs to, and what INDEX.json says of it."""

    source: Source
    board: Board
    page: Page
    file: str
    count: int
    kind: str

    def json(self) -> list | dict:
        return json.loads(self.page.body)


@attrs.frozen(kw_only=True)
class Read:
    """Everything that one answer gives."""

    raws: tuple[RawItem, ...]
    drafts: tuple[PostingDraft, ...]
    refused: tuple[Rejected, ...]
    parsed: Parsed


def read_answer(answer: Answer) -> Read:
    found = list(answer.source.parse(answer.page, answer.board))
    parsed = found.pop()
    assert isinstance(parsed, Parsed)
    converted = [answer.source.convert(item, answer.page, answer.board) for item in found]
    return Read(
        raws=tuple(found),
        drafts=tuple(one for one in converted if isinstance(one, PostingDraft)),
        refused=tuple(one for one in converted if isinstance(one, Rejected)),
        parsed=parsed,
    )


def source_named(name: str) -> Source:
    return next(source for source in SOURCES if source.name == name)


def board_of(source: Source, url: str) -> Board:
    """Return the board whose request asks that URL, as far as the URL names it."""
    host, path = urlsplit(url).hostname or "", urlsplit(url).path
    names = {
        "greenhouse": lambda: path.split("/")[3],
        "lever": lambda: path.split("/")[3],
        "ashby": lambda: unquote(path.rpartition("/")[2]),
        "smartrecruiters": lambda: path.split("/")[3],
        "workable": lambda: path.rpartition("/")[2],
    }
    own_host = ("recruitee", "personio", "bamboohr", "breezy", "teamtailor")
    slug = names.get(source.name, lambda: SLUGS.get(source.name, "all"))()
    if source.name in own_host:
        slug = host.partition(".")[0]
    known = slug if "{" not in slug else "example"
    return Board(source=source.name, slug=known, company="Example Company")


def page_of(body: bytes, *, url: str, media: str = "application/json", status: int = 200) -> Page:
    return Page(
        url=url,
        status=status,
        headers=(("content-type", media),),
        body=body,
        fetched_at=FETCHED_AT,
    )


def recorded_answers() -> Iterator[Answer]:
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    names = {source.name for source in SOURCES}
    for entry in json.loads((RECORDINGS / "INDEX.json").read_bytes()):
        if entry["source"] not in names:
            continue
        source = source_named(entry["source"])
        url = entry["endpoint_it_answers"]
        yield Answer(
            source=source,
            board=board_of(source, url),
            page=page_of(
                (RECORDINGS / entry["file"]).read_bytes(),
                url=url,
                media=entry["content_type"],
                status=entry["status"],
            ),
            file=entry["file"],
            count=entry["jobs_count"] or 0,
            kind=entry["kind"],
        )


@pytest.fixture(scope="session")
def recordings() -> dict[str, Answer]:
    return {answer.file: answer for answer in recorded_answers()}


@pytest.fixture(scope="session")
def read() -> Callable[[Answer], Read]:
    return read_answer


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., Answer]:
    """Build an answer from a page of `pages/`, or from given bytes."""

    def build(
        name: str,
        body: bytes | None = None,
        *,
        slug: str | None = None,
        company: str | None = None,
        media: str | None = None,
        status: int = 200,
    ) -> Answer:
        source = source_named(name)
        board = Board(source=source.name, slug=slug or SLUGS.get(name, "example"), company=company)
        suffix = MARKUP.get(name, "json")
        content = (PAGES / f"{name}_synthetic.{suffix}").read_bytes() if body is None else body
        page = page_of(
            content,
            url="https://a.example/jobs/gb/search/1?limit=3&offset=0",
            media=media or f"{'text' if suffix == 'html' else 'application'}/{suffix}",
            status=status,
        )
        return Answer(source=source, board=board, page=page, file="", count=0, kind="synthetic")

    return build


@pytest.fixture(scope="session")
def page_at() -> Callable[..., Page]:
    """Build a page of a URL from given bytes, or from a file of `pages/`."""

    def build(url: str, body: bytes | str, *, media: str = "", status: int = 200) -> Page:
        if isinstance(body, str):
            media = media or f"text/{body[-4:]}" if body.endswith("html") else "application/json"
            body = (PAGES / body).read_bytes()
        return page_of(body, url=url, media=media, status=status)

    return build
