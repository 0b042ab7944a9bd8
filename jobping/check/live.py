"""The sites of the real configuration: name, TLS and robots.txt, each through its own gate.

The only part of the check that leaves this machine. The gates' rows are the daemon's own, so that a
start right after the check knows of its requests; a site that a running daemon polls is left to it.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

import trio

from jobping.actors.site_rules import SiteRules
from jobping.check.stage import Yard
from jobping.core.board import Route, StoredBoard
from jobping.core.finding import Finding, judged, skipped
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain
from jobping.errors import Denied, FetchError, MalformedPage, StoreError, Unavailable, Unreached
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
    sources = materials.sources
    rows = [row for row in await materials.stores.boards.enabled() if row.board.source in sources]
    if not rows:
        say(skipped(SECTION, "no board is stored yet: start the daemon once"))
        return
    shared = shared_paces(materials)
    ages = {domain: saved.elapsed_s for domain, saved in await materials.stores.gates.all()}
    shared.resume(rows, ages)
    rows.sort(key=lambda row: row.domain)
    for domain, group in groupby(rows, key=lambda row: row.domain):
        of_domain = list(group)
        names = frozenset(row.board.source for row in of_domain)
        paces = [materials.settings.source(name).pace_of(sources[name]) for name in names]
        rules = GateRules(limiter=limiter_rules(paces))
        gate = await yard.gate(domain, rules, shared.of(names))
        if gate is None:
            say(skipped(SECTION, f"{domain}: a running daemon polls it; see `jobping domains`"))
            continue
        asked = SiteRules(gate=gate, clock=yard.clock, emit=yard.said)
        say(await _ask(materials, domain, of_domain, asked))


async def _ask(
    materials: Materials, domain: Domain, rows: Sequence[StoredBoard], rules: SiteRules
) -> Finding:
    board = rows[0].board
    source = materials.sources[board.source]
    url = source.requests(board, Route.RELIABLE)[0].url
    began, tls = trio.current_time(), ", TLS good" if url.startswith("https:") else ""
    try:
        with trio.move_on_after(WITHIN_S) as scope:
            await rules.check(url, source.hosts(board))
    except Denied:
        advice = f"take the boards of {board.source} out: the site does not want them read"
        return judged(SECTION, f"{domain}: robots.txt forbids it", holds=False, advice=advice)
    except (FetchError, MalformedPage, StoreError) as error:
        why = error.failure if isinstance(error, Unavailable) else None
        advice = ADVICE.get(why, LOOK) if why is not None else LOOK
        return judged(SECTION, f"{domain}: {error}", holds=False, advice=advice)
    took_s = trio.current_time() - began
    if scope.cancelled_caught:
        return skipped(SECTION, f"{domain}: its pace lets nothing go within {WITHIN_S:g} s")
    return judged(
        SECTION,
        f"{domain}: found{tls}, robots.txt lets us ask, {took_s:.1f} s",
        holds=True,
        advice="",
    )
