"""The budget actor over a real database and a scripted model, and batches for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from jobping.actors.budget import BudgetActor, Models
from jobping.actors.messages import BudgetMessage, RankBatch, Ranking
from jobping.actors.paid_call import PaidCalls
from jobping.clock import Clock
from jobping.core.budget import Limits
from jobping.core.pricing import PriceTable
from jobping.core.profile import StoredProfile
from jobping.core.prompt import Candidate
from jobping.llm.prices import load_prices
from jobping.llm.protocol import CounterProtocol
from jobping.store.bridge import Database
from jobping.store.ledger import Ledger
from jobping.store.postings import Postings
from jobping.store.rankings import Rankings
from supervisors import ChildSpec, Context, Mailbox, MailboxSpec, Supervisor
from tests.actors.rig import Faulty, open_tree
from tests.doubles.postgres import Events
from tests.doubles.scripted_model import ByteCounter, ScriptedModel
from tests.store.ledger_samples import figures
from tests.store.store_samples import (
    DAY_S,
    add_board,
    add_profile,
    draft,
    match_of,
    put,
    sql,
)

MUCH = Limits(
    daily_tokens=10**9, monthly_tokens=10**9, daily_nanousd=10**12, monthly_nanousd=10**12
)
CHAIN = ("gpt-5.4-mini", "gpt-5.6-luna", "gpt-6-luna")


@attrs.define(kw_only=True)
class RankingRig:
    """A budget actor that runs, and what stands around it."""

    database: Database
    faulty: Faulty
    model: ScriptedModel
    events: Events
    box: Mailbox[BudgetMessage]
    calls: PaidCalls
    supervisor: Supervisor

    def said(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events.seen if name == event]

    async def ask(
        self, profile: StoredProfile, candidates: tuple[Candidate, ...], *, within: float = 30.0
    ) -> Ranking:
        batch = RankBatch(
            profile=profile, candidates=candidates, deadline=trio.current_time() + within
        )
        return await self.box.ref.ask(batch, within=within)

    async def figures(self) -> list[tuple[int, int, int, int]]:
        return figures(await Ledger(database=self.database).balances())

    async def states(self) -> list[str]:
        rows = await sql(self.database, "SELECT state FROM budget_entry ORDER BY reserved_at, id")
        return [str(state) for (state,) in rows]


@asynccontextmanager
async def ranking(
    database: Database,
    events: Events,
    *,
    model: ScriptedModel | None = None,
    limits: Limits = MUCH,
    chain: tuple[str, ...] = CHAIN,
    concurrency: int = 1,
    prices: PriceTable | None = None,
    daemon: str = "one",
    stop_timeout: float = 5.0,
    counter: CounterProtocol | None = None,
) -> AsyncIterator[RankingRig]:
    """Run the budget actor until the block ends."""

    async def load_counter() -> CounterProtocol:
        await trio.lowlevel.checkpoint()
        return counter or ByteCounter()

    faulty, asked = Faulty(database), model or ScriptedModel()
    calls = PaidCalls(
        ledger=Ledger(database=faulty, daemon=daemon, limits=limits),
        prices=prices or load_prices(),
        clock=Clock(),
        emit=events,
    )
    box: Mailbox[BudgetMessage] = Mailbox(MailboxSpec(capacity=64))

    async def run(ctx: Context[BudgetMessage]) -> None:
        actor = BudgetActor(
            name=daemon,
            calls=calls,
            rankings=Rankings(database=faulty),
            models=Models(
                chain=chain,
                tier="default",
                concurrency=concurrency,
                connect=asked.open,
                load_counter=load_counter,
            ),
            clock=Clock(),
            emit=events,
        )
        await actor.run(ctx)

    child = ChildSpec(id="budget", start=run, mailbox=box, stop_timeout=stop_timeout)
    async with open_tree(child) as supervisor:
        yield RankingRig(
            database=database,
            faulty=faulty,
            model=asked,
            events=events,
            box=box,
            calls=calls,
            supervisor=supervisor,
        )


async def pairs(
    database: Database, count: int = 3, name: str = "ana", *, text: str = "Numbers."
) -> tuple[StoredProfile, tuple[Candidate, ...]]:
    """Store a profile, and postings on a board of its own; return them as a batch's content."""
    profile = await add_profile(database, name, words=(f"analyst {name}",))
    drafts = [draft(f"{name}{n}", description=f"{n}: {text}") for n in range(count)]
    await put(database, await add_board(database, name), drafts)
    stored = await Postings(database=database).newest_news(limit=1000, within_s=DAY_S)
    by_id = {str(posting.draft.external_id): posting for posting in stored}
    own = [by_id[str(item.external_id)] for item in drafts]
    return profile, tuple(
        Candidate(posting=posting, local=match_of(profile, posting, 60)) for posting in own
    )
