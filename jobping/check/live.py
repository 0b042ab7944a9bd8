"""The sites of the real configuration: name, TLS and robots.txt, each through its own gate.

The only part of the check that leaves this machine. The gates' rows are the daemon's own, so that a
start right after the check knows of its requests; a site that a running daemon polls is left to it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import trio

from jobping.actors.shared_pace import SharedPaces
from jobping.actors.site_rules import SiteRules
from jobping.check.stage import Yard
from jobping.core.board import Board, Route
from jobping.core.finding import Finding, judged, skipped
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain
from jobping.errors import Denied, FetchError, MalformedPage, StoreError, Unavailable, Unreached
from jobping.sources import DEFAULT_BOARDS
from jobping.tree import Materials, limiter_rules, shared_paces

WITHIN_S: Final = 20.0
SECTION: Final = "live"
LOOK: Final = "look at the site with a browser; the daemon waits and tries again"
ADVICE: Final = {
    Unreached.DNS: "check the name, and the resolver of this machine",
    Unreached.TLS: "check the clock and the certificates of this machine, and any proxy between",
}


async def check_live(materials: Materials, yard: Yard, say: Callable[[Finding], None]) -> None:
    """Ask each site that boards are polled at for its robots.txt, and say what came."""
    stored = await materials.stores.boards.enabled()
    shared = shared_paces(materials)
    ages = {domain: saved.elapsed_s for domain, saved in await materials.stores.gates.all()}
    shared.resume(stored, ages)
    places = _places(materials, [row.board for row in stored])
    if not places:
        say(skipped(SECTION, "no board is polled"))
    async with trio.open_nursery() as nursery:
        for domain, boards in sorted(places.items()):
            nursery.start_soon(_look, materials, yard, shared, domain, boards, say)


def _places(materials: Materials, stored: Sequence[Board]) -> dict[Domain, list[Board]]:
    """Return the boards by site: those stored, and those that a start would store."""
    settings, sources = materials.settings, materials.sources
    boards = list(dict.fromkeys((*stored, *settings.boards)))
    if settings.default_boards or (settings.default_boards is None and not boards):
        boards += DEFAULT_BOARDS
    places: dict[Domain, list[Board]] = {}
    for board in boards:
        if board.source in sources:
            places.setdefault(sources[board.source].domain(board), []).append(board)
    return places


async def _look(
    materials: Materials,
    yard: Yard,
    shared: SharedPaces,
    domain: Domain,
    boards: Sequence[Board],
    say: Callable[[Finding], None],
) -> None:
    """Ask one site as its actor would, if its time has come."""
    names = frozenset(board.source for board in boards)
    paces = [
        materials.settings.source(name).pace_of(materials.sources[name]) for name in sorted(names)
    ]
    gate = await yard.gate(domain, GateRules(limiter=limiter_rules(paces)), shared.of(names))
    if gate is None:
        say(skipped(SECTION, f"{domain}: a running daemon polls it; see `jobping domains`"))
        return
    until, reason = gate.turn()
    wait_s = math.inf if until is None else until - yard.clock.monotonic()
    if wait_s > WITHIN_S:
        say(skipped(SECTION, f"{domain}: not asked now, it waits for {reason}, {wait_s:.0f} s"))
        return
    board = boards[0]
    source = materials.sources[board.source]
    url, hosts = source.requests(board, Route.RELIABLE)[0].url, source.hosts(board)
    rules = SiteRules(gate=gate, clock=yard.clock, emit=yard.said)
    began = trio.current_time()
    try:
        with trio.move_on_after(WITHIN_S) as scope:
            await rules.check(url, hosts)
    except Denied:
        advice = f"take the boards of {board.source} out: the site does not want them read"
        say(judged(SECTION, f"{domain}: robots.txt forbids it", holds=False, advice=advice))
    except (FetchError, MalformedPage, StoreError) as error:
        why = error.failure if isinstance(error, Unavailable) else None
        advice = ADVICE.get(why, LOOK) if why is not None else LOOK
        say(judged(SECTION, f"{domain}: {_shown(error)}", holds=False, advice=advice))
    else:
        took_s, tls = trio.current_time() - began, ", TLS good" * url.startswith("https:")
        figure = f"{domain}: found{tls}, robots.txt lets us ask, {took_s:.1f} s"
        if scope.cancelled_caught:
            cause = "our own network is down" if gate.network.is_down else "no answer"
            figure = f"{domain}: {cause} within {WITHIN_S:g} s"
        say(judged(SECTION, figure, holds=not scope.cancelled_caught, advice=LOOK))


def _shown(error: Exception) -> str:
    """Return what an error says, without the place, which stands before it."""
    return (
        f"{error.url.rpartition('/')[2]} {error.why}"
        if isinstance(error, FetchError)
        else str(error)
    )
