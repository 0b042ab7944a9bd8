"""Is a board's answer still the one that was read last? Conditions to send, and bytes to compare.

Only for boards that one page lists: page 1 unchanged says nothing about page 2.

Source:
    RFC 9110 section 13.1. Weak tags compare as they are; If-Modified-Since repeats the server's own
    text. What cannot be a field of ours is not kept.
"""

import datetime as dt
import hashlib
from typing import Final
from urllib.parse import urlsplit

import attrs

from jobping.core.board import Board
from jobping.core.page import NOT_MODIFIED, Page, PageRequest

FULL_EVERY: Final = dt.timedelta(days=1)
"""Our choice: one full read a day bounds the damage of a server that answers 304 wrongly."""
MAX_FIELD: Final = 500


@attrs.frozen(kw_only=True)
class LastAnswer:
    """What a board answered when it was last read in full, and what its items came to.

    Attributes:
        request_key: 16 bytes over board, parser version, and the request less its origin.
        origin: Scheme and network location that answered; no other knows its validators.
        body_hash: SHA-256 of the decoded body.
        held: Items that are postings stored for this board.
        read_at: Aware UTC.
    """

    request_key: bytes
    origin: str
    body_hash: bytes
    etag: str | None = None
    last_modified: str | None = None
    seen: int
    held: int
    duplicate: int
    rejected: int
    read_at: dt.datetime

    def refreshed(self, page: Page) -> "LastAnswer":
        """Return it with the validators of a newer answer of the same content (15.4.5)."""
        is_there = page.status == NOT_MODIFIED
        return attrs.evolve(
            self,
            origin=origin_of(page.url),
            etag=_kept(page, "etag") or (self.etag if is_there else None),
            last_modified=_kept(page, "last-modified")
            or (self.last_modified if is_there else None),
        )


def request_key(request: PageRequest, board: Board, version: int) -> bytes:
    """Return what tells whether an answer is to the same question.

    Args:
        board: Its company's name goes into postings.
        version: Of the parser: a corrected one must see the page again.
    """
    target = request.url.removeprefix(origin_of(request.url))
    asked = (request.method, target, request.headers, request.accept)
    text = repr((asked, board.slug, board.company, version))
    return hashlib.blake2b(text.encode() + (request.body or b""), digest_size=16).digest()


def origin_of(url: str) -> str:
    """Return scheme and network location of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_fresh(last: LastAnswer, key: bytes, utcnow: dt.datetime) -> bool:
    """Say whether the last answer may stand for a new one to the same question."""
    return last.request_key == key and last.read_at <= utcnow < last.read_at + FULL_EVERY


def conditional(request: PageRequest, last: LastAnswer) -> PageRequest:
    """Return the request on the condition that the answer has changed, where one can be stated."""
    if last.origin != origin_of(request.url) or request.method != "GET":
        return request
    if last.etag is not None:
        condition = ("If-None-Match", last.etag)
    elif last.last_modified is not None:
        condition = ("If-Modified-Since", last.last_modified)
    else:
        return request
    return attrs.evolve(request, headers=(*request.headers, condition))


def is_same(page: Page, last: LastAnswer) -> bool:
    """Say whether a page brings nothing but the last answer."""
    return page.status == NOT_MODIFIED or (
        page.status == 200 and hashlib.sha256(page.body).digest() == last.body_hash
    )


def answer_of(
    page: Page, key: bytes, *, seen: int, held: int, duplicate: int, rejected: int
) -> LastAnswer:
    """Return what to keep of a page that was read and stored in full."""
    return LastAnswer(
        request_key=key,
        origin=origin_of(page.url),
        body_hash=hashlib.sha256(page.body).digest(),
        etag=_kept(page, "etag"),
        last_modified=_kept(page, "last-modified"),
        seen=seen,
        held=held,
        duplicate=duplicate,
        rejected=rejected,
        read_at=page.fetched_at,
    )


def _kept(page: Page, name: str) -> str | None:
    value = page.header(name)
    is_usable = value is not None and value.isascii() and value.isprintable()
    return value if value and is_usable and len(value) <= MAX_FIELD else None
