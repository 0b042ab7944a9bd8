"""Watches whether all boards together find enough; while not, standby domains and backfill come in.

It judges when the first cycle asks and each hour from then on. Which domains are in stands in
`Reserve`, which the lists of active boards are read by.
"""

import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

import attrs
import trio

from jobping.actors.backfill import Backfill
from jobping.actors.messages import BoardsChanged, JudgeSupply
from jobping.actors.network_gate import NetworkGate
from jobping.clock import Clock
from jobping.core import gate, gate_text, supply
from jobping.core.board import Board, Origin, StoredBoard
from jobping.core.breaker import Phase
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain
from jobping.core.ladder import Tier
from jobping.core.supply import FellShort, Recovered, Supply, SupplyRules
from jobping.events import Emit
from jobping.store.gates import Gates, SavedGate
from jobping.store.postings import Postings
from supervisors import Context, Ref, SupervisionError

JUDGE_EVERY_S: Final = 3_600.0  # the usual time between two polls of a board


@attrs.define(eq=False)
class Reserve:
    """Which standby domains are in now; outlives the actor."""

    supply: Supply = attrs.field(factory=Supply)

    def is_active(self, row: StoredBoard) -> bool:
        """Whether a board is polled now."""
        return not row.board.standby or row.domain in self.supply.standby


@attrs.define(kw_only=True)
class SupplyActor:
    """Judges the supply.

    Attributes:
        boards: Reads all boards, those on standby included.
        order: The boards of the configuration file, in its order.
        rules_of: Returns the gate's rules of a domain with these boards.
        degradation: Starts and ends the actors of standby domains.
    """

    rules: SupplyRules
    reserve: Reserve
    boards: Callable[[], Awaitable[Sequence[StoredBoard]]]
    order: Sequence[Board]
    rules_of: Callable[[Sequence[StoredBoard]], GateRules]
    postings: Postings
    gates: Gates
    backfill: Backfill
    degradation: Ref[BoardsChanged]
    network: NetworkGate
    clock: Clock
    emit: Emit

    async def run(self, ctx: Context[JudgeSupply]) -> None:
        """Judge until asked to stop."""
        ctx.started()
        while True:
            delivery = None
            with trio.move_on_after(JUDGE_EVERY_S):
                delivery = await anext(ctx.inbox, None)
                if delivery is None:
                    return
            has_come = await self._judge()
            if delivery is not None:
                delivery.reply(has_come)

    async def _judge(self) -> bool:
        """Judge once; True: a standby domain came in."""
        rows = await self.boards()
        usual, standby = await self.postings.found(late_s=JUDGE_EVERY_S)
        configured = self._standby_of(rows)
        self.reserve.supply, change = supply.on_cycle(
            self.reserve.supply,
            self._rules(rows),
            primary=usual,
            standby=standby,
            configured=list(configured),
            closed=await self._closed(configured),
            is_network_down=self.network.is_down,
        )
        match change:
            case FellShort():
                await self._fill(change, rows)
            case Recovered(found=found, left=left):
                self.emit("supply.recovered", found=found, left=list(left))
            case None:
                return False
        came = isinstance(change, FellShort) and change.came is not None
        if came or isinstance(change, Recovered):
            with contextlib.suppress(SupervisionError):  # it looks by itself once a minute
                self.degradation.tell(BoardsChanged())
        return came

    async def _fill(self, short: FellShort, rows: Sequence[StoredBoard]) -> None:
        """Let what is stored fill up, and say so; an error where there is nothing at all."""
        stored = await self.backfill.offer(rows) if short.backfill else 0
        is_nothing = short.found + stored == 0 and not self.network.is_down
        self.emit(
            "supply.fell_short",
            level="error" if is_nothing else None,
            found=short.found,
            came=short.came,
            backfill=short.backfill,
            stored=stored,
        )

    def _rules(self, rows: Sequence[StoredBoard]) -> SupplyRules:
        """Return the rules; the figures are made for the default boards.

        Whoever polls boards of their own alone may have two of them, which is no emergency.
        """
        if any(row.origin is Origin.DEFAULT for row in rows):
            return self.rules
        return self.rules.scaled(row.counts for row in rows if not row.board.standby)

    def _standby_of(self, rows: Sequence[StoredBoard]) -> dict[Domain, list[StoredBoard]]:
        """Return the standby domains with their boards: as in the file, then as they were added."""
        places = {(board.source, board.slug): at for at, board in enumerate(self.order)}

        def place(row: StoredBoard) -> tuple[int, int]:
            return places.get((row.board.source, row.board.slug), len(places)), row.id

        found: dict[Domain, list[StoredBoard]] = {}
        for row in sorted((row for row in rows if row.board.standby), key=place):
            found.setdefault(row.domain, []).append(row)
        return found

    async def _closed(self, domains: Mapping[Domain, Sequence[StoredBoard]]) -> Collection[Domain]:
        """Return those that could not be asked now, by what is stored of their gates."""
        if not domains:
            return ()
        saved = [pair for pair in await self.gates.all() if pair[0] in domains]
        return {each for each, gate in saved if self._is_closed(gate, domains[each])}

    def _is_closed(self, saved: SavedGate, rows: Sequence[StoredBoard]) -> bool:
        if Tier(saved.tier) is not Tier.RELIABLE:
            return True
        rules, now = self.rules_of(rows), self.clock.monotonic()
        try:
            state = gate_text.load(saved.state, rules, now, saved.elapsed_s)
        except ValueError:  # whoever polls it begins anew
            return False
        view = gate.view(state, rules, now, self.clock.utcnow())
        is_spent = any(each.used >= each.most for each in view.quotas)
        return view.breaker in (Phase.OPEN, Phase.FORCED_OPEN) or view.blocked_s > 0 or is_spent
