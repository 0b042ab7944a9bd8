"""The budget: many ask at once where the money reaches for a few, and the bill is the judge."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from jobping.actors.messages import BudgetMessage, RankBatch, Ranking
from jobping.check.ladder import materials_of
from jobping.check.stage import Said
from jobping.core.budget import Limits, Measure, Window
from jobping.core.finding import Finding, judged
from jobping.core.ids import PostingId
from jobping.core.match import LOCAL, Match
from jobping.core.prompt import Candidate
from jobping.demo.model_bill import PRICES
from jobping.demo.model_server import ModelServer
from jobping.events import Emit
from jobping.fetch import Fetcher
from jobping.llm.prices import load_prices
from jobping.settings import LlmSettings, Secret, Settings
from jobping.store.bridge import Database
from jobping.store.ledger import Ledger
from jobping.tree import Materials, budget_actor
from supervisors import ChildSpec, Context, Mailbox, MailboxSpec, Supervisor, SupervisorSpec

CALLERS: Final = 50
ROOM: Final = 3
"""So many bills like the first one fit beside the worst case of a call."""
WITHIN_S: Final = 30.0
MOST_IDS: Final = 500
MUCH: Final = Limits(
    daily_tokens=10**12, monthly_tokens=10**12, daily_nanousd=10**15, monthly_nanousd=10**15
)
ADVICE: Final = "set [llm] models = [] so that nothing is spent, and install an unchanged jobping"


def asking(settings: Settings, models: ModelServer, key: str) -> Settings:
    """Return settings with the first model that a local server has a price for; it is asked."""
    chain = tuple(model for model in settings.llm.models if model in PRICES)
    return attrs.evolve(
        settings,
        budget=attrs.evolve(settings.budget, prices=load_prices(), fallback=False),
        llm=attrs.evolve(
            settings.llm,
            api_key=Secret(key),
            base_url=models.base_url,
            dialect=LlmSettings().dialect,
            models=chain or LlmSettings().models,
        ),
    )


async def check_budget(
    settings: Settings,
    models: ModelServer,
    database: Database,
    fetcher: Fetcher,
    folder: Path,
    emit: Emit,
    *,
    held: Limits | None = None,
) -> Finding:
    """Let 50 ask at once for pairs that are stored, with room for a few calls.

    Args:
        settings: As `asking` returns them.
        held: The limits that the actor goes by; None: those that are promised.
    """
    said = Said(emit)
    materials = materials_of(settings, database, fetcher, folder, said)
    batches = await _batches(materials)
    if len(batches) <= CALLERS:
        return judged(
            "budget", f"only {len(batches)} pairs to ask about", holds=False, advice=ADVICE
        )
    first = await _ask(materials, MUCH, batches[:1])
    if not any(answer and answer.matches for answer in first):
        why = ", ".join(str(answer and answer.why) for answer in first)
        return judged("budget", f"a model is not asked at all: {why}", holds=False, advice=ADVICE)
    ledger = Ledger(database=database, daemon="check")
    worst = max(int(str(one["nanousd"])) for one in said.of("budget.reserved"))
    spent, _held = await _spent(ledger)
    limit = spent + worst + ROOM * spent
    promised = attrs.evolve(MUCH, daily_nanousd=limit)
    answers = await _ask(materials, held or promised, batches[1 : CALLERS + 1])
    return await _judge(ledger, models, limit, [*first, *answers])


async def _batches(materials: Materials) -> list[RankBatch]:
    """Return as many questions as callers and one more, each about another pair."""
    profile = (await materials.stores.profiles.all())[0]
    ids = [PostingId(number) for number in range(1, MOST_IDS)]  # of a schema that is the check's
    stored = (await materials.stores.postings.get(ids))[: CALLERS + 1]
    return [
        RankBatch(
            profile=profile,
            candidates=(
                Candidate(
                    posting=posting,
                    local=Match(
                        profile_id=profile.id,
                        posting_id=posting.id,
                        posting_version=posting.version,
                        score=50,
                        origin=LOCAL,
                        reason="",
                    ),
                ),
            ),
            deadline=trio.current_time() + WITHIN_S,
        )
        for posting in stored
    ]


async def _ask(
    materials: Materials, limits: Limits, batches: Sequence[RankBatch]
) -> list[Ranking | None]:
    """Let all be asked at once; None where no answer came in time."""
    settings = materials.settings
    budget = attrs.evolve(settings.budget, limits=limits)
    limited = attrs.evolve(materials, settings=attrs.evolve(settings, budget=budget))

    async def run(ctx: Context[BudgetMessage]) -> None:
        await budget_actor(limited).run(ctx)

    box: Mailbox[BudgetMessage] = Mailbox(MailboxSpec(capacity=CALLERS))
    root = Supervisor(
        SupervisorSpec(children=(ChildSpec(id="budget", start=run, mailbox=box),)),
        name="check",
        rng=materials.rng,
    )
    answers: list[Ranking | None] = []

    async def ask(batch: RankBatch) -> None:
        answer = None
        with trio.move_on_after(WITHIN_S):
            answer = await box.ref.ask(batch, within=WITHIN_S)
        answers.append(answer)

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        async with trio.open_nursery() as callers:
            for batch in batches:
                callers.start_soon(ask, batch)
        await root.stop(reason="the check has its answers")
    return answers


async def _spent(ledger: Ledger) -> tuple[int, int]:
    """Return what is booked and what is held today, in nano-dollars."""
    day = next(one for one in await ledger.balances() if one.window is Window.DAY)
    return day.used(Measure.COST), day.held(Measure.COST)


async def _judge(
    ledger: Ledger, models: ModelServer, limit: int, answers: Sequence[Ranking | None]
) -> Finding:
    wrong = list[str]()
    ranked = sum(answer is not None and bool(answer.matches) for answer in answers) - 1
    local = sum(answer is not None and not answer.matches for answer in answers)
    billed = models.bill.cost
    booked = sum(math.ceil(charge.cost) for charge in models.bill.charges)
    used, held = await _spent(ledger)
    if billed > limit:
        wrong.append(f"overspent: {float(billed - limit) / 1e9:.6f} USD above the limit")
    if used != booked or held:
        wrong.append(f"the ledger has {used} and holds {held}, the bill says {booked} nano-dollars")
    if ranked + local != CALLERS:
        wrong.append(f"{CALLERS - ranked - local} of {CALLERS} callers got no answer")
    if not ranked or not local:
        wrong.append(f"{ranked} of {CALLERS} ranked by a model where the limit fits a few")
    opened = await ledger.open()
    if opened.recounted or await _spent(ledger) != (used, held):
        wrong.append("the ledger is another one after reopening")
    good = (
        f"{CALLERS} callers, limit ${limit / 1e9:.6f}: billed ${float(billed) / 1e9:.6f}, overspend"
        f" 0, {ranked} ranked by a model, {local} locally; ledger = bill, also reopened"
    )
    return judged("budget", "; ".join(wrong) or good, holds=not wrong, advice=ADVICE)
