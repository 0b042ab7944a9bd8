"""`jobping sources probe URL`: which board is behind a careers page, and does it answer?

A few single requests, each allowed by the site's robots.txt; nothing is stored.
"""

import argparse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio

from jobping.cli.session import quiet_log, settings_of
from jobping.clock import Clock
from jobping.core import robots
from jobping.core.addresses import Allowed, domain_of, follow, parse_url
from jobping.core.board import Board, Route
from jobping.core.duration import duration
from jobping.core.ids import Domain, SourceName
from jobping.core.page import Page, PageRequest, Redirected
from jobping.core.printable import printable
from jobping.errors import FetchError, MalformedPage
from jobping.settings import Settings, known_source
from jobping.sources.jobposting import read_ads
from jobping.sources.recognise import boards_in, feeds_in
from jobping.sources.source import Parsed, Source

if TYPE_CHECKING:
    from jobping.fetch import Fetcher

MOST: Final = 3
"""Boards asked; a page may link to many."""
HOPS: Final = 5
WITHIN_S: Final = 30.0


@attrs.frozen
class _Probe:
    """What one probe asks with."""

    settings: Settings
    fetcher: "Fetcher"

    async def ask(self, request: PageRequest, hosts: frozenset[Domain] | None) -> Page:
        """Ask for a page and follow redirects, within the hosts if there are any.

        Raises:
            FetchError: No usable answer, or robots.txt forbids it.
            MalformedPage: An unreadable one, or too many redirects.
        """
        for _ in range(HOPS):
            target = parse_url(request.url)
            place = frozenset({domain_of(request.url)}) if hosts is None else hosts
            if isinstance(target, Allowed):
                await self._check(target, place)
            answer = await self._once(request, place)
            if isinstance(answer, Page):
                return answer
            request = follow(request, answer)
        raise MalformedPage(f"more than {HOPS} redirects")

    async def _check(self, target: Allowed, hosts: frozenset[Domain]) -> None:
        url = f"{target.scheme}://{target.domain}{robots.PATH}"
        answer = await self._once(PageRequest(url=url, accept=("text/plain",)), hosts)
        status, body = (answer.status, answer.body) if isinstance(answer, Page) else (404, b"")
        if not robots.is_allowed(robots.of_answer(status, body), target.url):
            raise MalformedPage("its robots.txt does not let us ask")

    async def _once(self, request: PageRequest, hosts: frozenset[Domain]) -> Page | Redirected:
        with trio.fail_after(WITHIN_S):
            async with self.fetcher.exchange(request, hosts=hosts) as exchange:
                return await exchange.run()


def probe(arguments: argparse.Namespace) -> int:
    """Carry out the command."""
    settings = settings_of(arguments)
    return trio.run(_run, settings, arguments.url)


async def _run(settings: Settings, url: str) -> int:
    async with _opened(settings) as asking:
        boards: Sequence[Board] = boards_in(url)
        if not boards:
            boards = await _behind(asking, url)
        answers = [await _alive(asking, board) for board in boards[:MOST]]
    return 0 if any(answers) else 1


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Probe]:
    # here: it brings httpx, which `--help` does without
    from jobping.daemon import user_agent
    from jobping.fetch import FetchLimits, open_fetcher

    with quiet_log(settings) as emit:
        async with open_fetcher(
            limits=FetchLimits(),
            allow=settings.network.allow,
            user_agent=user_agent(settings),
            emit=emit,
            clock=Clock(),
        ) as fetcher:
            yield _Probe(settings, fetcher)


async def _behind(asking: _Probe, url: str) -> list[Board]:
    """Return the boards that a page links to, else its feeds, else the site itself."""
    try:
        page = await asking.ask(PageRequest(url=url, accept=("text/html",)), None)
    except (FetchError, MalformedPage, ValueError, trio.TooSlowError) as error:
        print(f"{printable(url, 200)}: {_why(error)}")
        return []
    markup = page.body.decode("utf-8", "replace")
    found = boards_in(markup) or feeds_in(markup, page.url)
    if not found and next(read_ads(markup), None) is not None:
        found = [Board(source=SourceName("site"), slug=domain_of(page.url))]
    if not found:
        print(f"{printable(url, 200)}: no board, no feed and no JobPosting data in this page")
    return found


async def _alive(asking: _Probe, board: Board) -> bool:
    """Ask a board for its first page, and say what it lists."""
    settings, source = asking.settings, known_source(board.source)
    name = f"{board.source} {printable(board.slug, 200)}"
    try:
        asked = settings.dressed(source)
        request = asked.requests(board, Route.RELIABLE)[0]
        page = await asking.ask(request, asked.hosts(board))
        if asked.is_gone(page):
            print(f"{name}: there is no such board")
            return False
        *items, parsed = asked.parse(page, board)
    except (FetchError, MalformedPage, ValueError, trio.TooSlowError) as error:
        print(f"{name}: {_why(error)}")
        return False
    print(f"{name}: alive, {_listed(len(items), parsed)}; {_polled(settings, source)}")
    print(f"  jobping board add {board.source} '{printable(board.slug, 200)}'")
    return True


def _listed(count: int, parsed: object) -> str:
    if not isinstance(parsed, Parsed):
        raise TypeError("parse ended without Parsed")
    total = f" of {parsed.total}" if parsed.total is not None and parsed.total > count else ""
    return f"its first page lists {count}{total} postings"


def _polled(settings: Settings, source: Source) -> str:
    why = settings.why_off(source)
    every_s = settings.source(source.name).pace_of(source).poll_every_s
    return f"would be polled every {duration(every_s)}" if why is None else f"off: {why}"


def _why(error: Exception) -> str:
    return "no answer in time" if isinstance(error, trio.TooSlowError) else str(error)
