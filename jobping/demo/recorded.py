"""Boards from a folder of recorded answers; its `INDEX.json` says what each file answers."""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
import msgspec

from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.demo.answers import Content, Items, Whole
from jobping.demo.feeds import ALL, JOBICY_FILTERS
from jobping.demo.world import SITES, Extra, Supply
from jobping.errors import ConfigError

INDEX: Final = "INDEX.json"
KINDS: Final = ("recorded", "recorded-trimmed", "rebuilt")
"""Kinds of files whose postings are real."""
MADE_UP: Final = "board-2026"
"""The slug of a board whose name the index does not tell."""

ROUTES: Final = {
    "greenhouse": re.compile(r"https://boards-api\.greenhouse\.io/v1/boards/([^/]+)/jobs"),
    "lever": re.compile(r"https://api\.lever\.co/v0/postings/([^/]+)"),
    "ashby": re.compile(r"https://api\.ashbyhq\.com/posting-api/job-board/([^/]+)"),
    "recruitee": re.compile(r"https://([^/.]+)\.recruitee\.com/api/offers/"),
    "smartrecruiters": re.compile(
        r"https://api\.smartrecruiters\.com/v1/companies/([^/]+)/postings"
    ),
    "personio": re.compile(r"https://([^/.]+)\.jobs\.personio\.(?:de|com)/xml"),
    "remoteok": re.compile(r"https://remoteok\.com/api()"),
    "jobicy": re.compile(r"https://jobicy\.com/api/v2/remote-jobs()"),
    "remotive": re.compile(r"https://remotive\.com/api/remote-jobs()"),
    "arbeitnow": re.compile(r"https://www\.arbeitnow\.com/api/job-board-api()"),
}
"""The URL, without query, of each source's reliable route; the group is the board."""
NAMELESS: Final = ("lever", "ashby", "personio")
"""Sources whose answers may lack the company's name."""


class _Entry(msgspec.Struct, forbid_unknown_fields=False):
    source: str
    file: str
    method: str
    endpoint_it_answers: str
    status: int
    kind: str
    content_type: str | None = None


@attrs.frozen
class _Recording:
    """A file of real postings; `place` names file and entry for the operator."""

    source: SourceName
    place: str
    url: str
    whole: Whole


@attrs.frozen
class Recorded:
    """A supplier of recorded answers; the world stands still.

    Attributes:
        as_of: The time that headers speak of, aware UTC.
    """

    boards: tuple[tuple[Board, Content], ...]
    extras: tuple[Extra, ...]
    as_of: dt.datetime

    def supply(self, step: int) -> Supply:
        """Return the recorded boards, the same after any number of steps."""
        del step
        return Supply(boards=self.boards, extras=self.extras, as_of=self.as_of)


def read_recordings(folder: Path, as_of: dt.datetime) -> Recorded:
    """Read every real answer of the sources that the world has.

    Args:
        as_of: Aware UTC.

    Raises:
        ConfigError: The folder, its index, an entry or a file of it cannot be used.
    """
    recordings = [_read(folder, number, entry) for number, entry in _entries(folder)]
    by_board: defaultdict[tuple[SourceName, str], list[_Recording]] = defaultdict(list)
    extras = []
    for recording in recordings:
        slug = _slug(recording)
        if slug is None:
            extras.append(_extra(recording))
        else:
            by_board[recording.source, slug].append(recording)
    boards = [(_board(*key), _content(*key, found)) for key, found in by_board.items()]
    if not boards:
        raise ConfigError(f"{folder / INDEX}: no recorded answer of {', '.join(ROUTES)}")
    return Recorded(tuple(boards), tuple(extras), as_of)


def _entries(folder: Path) -> Iterable[tuple[int, _Entry]]:
    path = folder / INDEX
    try:
        raws = msgspec.json.decode(path.read_bytes(), type=list[msgspec.Raw])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    known = {site.source for site in SITES}
    for number, raw in enumerate(raws):
        try:
            entry = msgspec.json.decode(raw, type=_Entry)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path}: entry {number}: {error}") from error
        if entry.source in known and entry.kind in KINDS and entry.status == 200:
            yield number, entry


def _read(folder: Path, number: int, entry: _Entry) -> _Recording:
    place = f"{folder / INDEX}: entry {number} ({entry.file})"
    path = folder / entry.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{place}: the file lies outside the folder")
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read: {error}") from error
    whole = Whole(body, entry.content_type or Whole(b"").media_type)
    return _Recording(SourceName(entry.source), place, entry.endpoint_it_answers, whole)


def _slug(recording: _Recording) -> str | None:
    """Return the board that the recording answers for, or None where it is another route."""
    found = ROUTES[recording.source].fullmatch(recording.url.partition("?")[0])
    if found is None:
        return None
    if found[1]:
        return MADE_UP if found[1].startswith("{") else unquote(found[1])
    query = parse_qs(urlsplit(recording.url).query)
    wanted = [f"{key}:{query[key][0]}" for key in JOBICY_FILTERS if key in query]
    return wanted[0] if wanted else ALL


def _extra(recording: _Recording) -> Extra:
    path = urlsplit(recording.url).path
    if "{" in recording.url or not path.startswith("/"):
        raise ConfigError(f"{recording.place}: no path in endpoint {recording.url!r}")
    return Extra(recording.source, path, recording.whole)


def _board(source: SourceName, slug: str) -> Board:
    return Board(source=source, slug=slug, company=company_of(slug) if source in NAMELESS else None)


def company_of(slug: str) -> str:
    """Return a company's name made from its slug, for answers that do not tell it."""
    words = re.split(r"[-_ ]+", slug)
    return " ".join(word if word != word.lower() else word.capitalize() for word in words)


def _content(source: SourceName, slug: str, found: Sequence[_Recording]) -> Content:
    """Return what the board holds: one answer as it was, or pages of one answer joined."""
    if source == "smartrecruiters":
        return _joined(sorted(found, key=_offset))
    if len(found) > 1:
        raise ConfigError(f"{found[1].place}: the board {source} {slug} has an answer already")
    return found[0].whole


def _offset(recording: _Recording) -> int:
    text = parse_qs(urlsplit(recording.url).query).get("offset", ["0"])[0]
    if not text.isdecimal():
        raise ConfigError(f"{recording.place}: offset {text!r} in the endpoint is no number")
    return int(text)


class _Postings(msgspec.Struct):
    content: list[msgspec.Raw]
    totalFound: int


def _joined(pages: Sequence[_Recording]) -> Items:
    items: list[bytes] = []
    total = 0
    for page in pages:
        try:
            answer = msgspec.json.decode(page.whole.body, type=_Postings)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{page.place}: no page of postings: {error}") from error
        items += map(bytes, answer.content)
        total = max(total, answer.totalFound)
    return Items(tuple(items), total)
