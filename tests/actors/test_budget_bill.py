"""The whole path to a model server that bills by itself; its bill is the judge."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import attrs
import pytest
import trio

from jobping.core.budget import Limits
from jobping.core.ids import Monotonic
from jobping.core.model import Message, ModelAnswer, ModelRequest, Usage
from jobping.core.prompt import Candidate
from jobping.demo.model_plan import STEPS, Step
from jobping.demo.model_server import ModelServer, open_model_server
from jobping.llm import ModelPlace, open_model
from jobping.llm.protocol import TokenBound
from jobping.store.bridge import Database
from supervisors import AskTimeout
from tests.actors.ranking_rig import CHAIN, MUCH, RankingRig, pairs, ranking
from tests.doubles.postgres import Events
from tests.doubles.scripted_model import ByteCounter, ScriptedModel, answer_to, ids_in
from tests.store.store_samples import sql

RELEASED = {
    "unauthorized", "no_model", "bad_parameter", "throttle_requests", "throttle_tokens",
    "quota_gone", "flex_unavailable",
}  # fmt: skip
"""Refusals with a JSON body: not billed, and known not to be."""
SETTLED = {
    "ok", "gullible", "cached", "written", "reasoning", "slow_head", "length", "content_filter",
    "refusal",
}  # fmt: skip
SLOW = {"drip", "hang"}
"""They outlast the deadline of the test's calls."""


@attrs.define(eq=False)
class Connected:
    """The real client, in the place of a scripted model."""

    server: ModelServer
    within_s: float = 3.0
    requests: list[ModelRequest] = attrs.field(factory=list)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Connected"]:
        async with open_model(ModelPlace(base_url=self.server.base_url, key="k")) as client:
            self._client = client
            yield self

    async def complete(self, request: ModelRequest, deadline: Monotonic) -> ModelAnswer:
        self.requests.append(request)
        soon = Monotonic(min(deadline, trio.current_time() + self.within_s))
        return await self._client.complete(request, soon)

    async def aclose(self) -> None:
        """Nothing is left open."""

    _client: object = None


@asynccontextmanager
async def billed(
    database: Database,
    events: Events,
    *,
    limits: Limits = MUCH,
    within_s: float = 3.0,
    concurrency: int = 1,
) -> AsyncIterator[tuple[RankingRig, ModelServer]]:
    async with open_model_server() as server:
        model = Connected(server, within_s)
        async with ranking(
            database,
            events,
            model=model,
            limits=limits,
            concurrency=concurrency,
        ) as rig:
            yield rig, server


async def test_each_behaviour_of_a_server_is_booked_at_its_bill_or_above(
    database: Database, events: Events
) -> None:
    """One daemon for each, so that no pause of an earlier one stands in the way."""
    ends: dict[str, set[str]] = {}
    for name in STEPS:
        profile, candidates = await pairs(database, 2, name.replace("_", "-"))
        before = {id for (id,) in await sql(database, "SELECT id::text FROM budget_entry")}
        within_s = 0.3 if name in SLOW else 3.0
        async with billed(database, events, within_s=within_s) as (rig, server):
            server.plan(name)
            with suppress(AskTimeout):  # those that are told to wait for seconds
                await rig.ask(profile, candidates, within=4.0)
            while server._in_flight and name not in SLOW:  # noqa: ASYNC110  sets no event
                await trio.sleep(0.01)
            rows = await sql(database, "SELECT id::text, state, tokens, nanousd FROM budget_entry")
            own = {id: (state, tokens, nanousd) for id, state, tokens, nanousd in rows
                   if id not in before}  # fmt: skip
            charges = server.bill.charges
        assert {charge.client_id for charge in charges} <= own.keys(), name
        assert len({charge.client_id for charge in charges}) == len(charges), name
        ends[name] = {str(own[charge.client_id][0]) for charge in charges[:1]}
        for charge in charges:
            state, tokens, nanousd = own[charge.client_id]
            assert tokens >= charge.tokens, (name, charge)
            assert nanousd >= math.ceil(charge.cost), (name, charge)
            if state == "settled":
                assert (tokens, nanousd) == (charge.tokens, math.ceil(charge.cost)), name
        assert (await rig.figures())[0][2:] == (0, 0)
    assert {name for name, states in ends.items() if states == {"released"}} == RELEASED
    assert {name for name, states in ends.items() if states == {"settled"}} == SETTLED
    assert {state for states in ends.values() for state in states} == {
        "released", "settled", "lapsed"
    }  # fmt: skip


@pytest.mark.parametrize(
    "step",
    [
        Step(service_tier="priority"),
        Step(service_tier="flex"),
        Step(service_tier=""),
        Step(model="gpt-5.4-mini-2026-03-17"),
        Step(model="gpt-5.4-mini-of-tomorrow"),
        Step(cached_share=0.4, written_share=0.3),
    ],
    ids=str,
)
async def test_answer_of_another_tier_or_name_is_booked_as_it_was_billed(
    database: Database, events: Events, step: Step
) -> None:
    profile, candidates = await pairs(database)
    async with billed(database, events) as (rig, server):
        server.plan(step)
        assert len((await rig.ask(profile, candidates)).matches) == 3
        [charge] = server.bill.charges
        tokens, nanousd, *_ = (await rig.figures())[0]
        assert tokens == charge.tokens
        assert nanousd >= math.ceil(charge.cost)
        if step.model is None:
            assert nanousd == math.ceil(charge.cost)


async def test_fifty_at_the_edge_are_billed_no_more_than_the_limit(
    database: Database, events: Events
) -> None:
    """50 batches at once on room for five, each call 0.2 s long, 8 in flight."""
    batches = [await pairs(database, 2, f"p{n}") for n in range(50)]
    async with billed(database, events) as (rig, server):
        await rig.ask(*await pairs(database, 2, "probe"))
        [charge] = server.bill.charges
    await sql(database, "TRUNCATE budget_window, budget_entry, budget_warning CASCADE")
    limits = attrs.evolve(MUCH, daily_nanousd=6 * math.ceil(charge.cost), daily_tokens=20_000)
    async with billed(database, events, limits=limits, concurrency=8) as (rig, server):
        server.plan(*[Step(head_delay_s=0.2)] * 50)
        async with trio.open_nursery() as nursery:
            for batch in batches:
                nursery.start_soon(rig.ask, *batch)
        used_tokens, used_nanousd, *held = (await rig.figures())[0]
        assert held == [0, 0]
        assert 0 < server.bill.cost <= used_nanousd <= limits.daily_nanousd
        assert 0 < server.bill.tokens == used_tokens <= limits.daily_tokens
        print(f"billed {float(server.bill.cost) / limits.daily_nanousd:.2f} of the limit")


async def test_server_that_is_not_there_costs_nothing(database: Database, events: Events) -> None:
    profile, candidates = await pairs(database)
    async with open_model_server() as server:
        model = Connected(server)
    async with ranking(database, events, model=model) as rig:
        assert (await rig.ask(profile, candidates)).why is not None
        assert await rig.states() == ["released"]


async def test_model_is_used_again_when_its_server_is_back(
    database: Database, events: Events, clock: trio.testing.MockClock
) -> None:
    batches = [await pairs(database, 1, f"p{n}") for n in range(5)]
    async with billed(database, events) as (rig, server):
        server.plan(*["overloaded"] * 3)
        for batch in batches[:3]:
            assert (await rig.ask(*batch)).matches == ()
        assert (await rig.ask(*batches[3])).why == "failing"
        clock.jump(61)
        assert len((await rig.ask(*batches[3])).matches) == 1
        assert len((await rig.ask(*batches[4])).matches) == 1


# --- how much of a budget is used


PER_TOKEN = 4.6
"""Bytes of a token in our prompts; design/budget.md, section 7."""


@attrs.frozen
class Vocabulary:
    """Counts as a vocabulary would: exactly the texts, and room for framing and schema."""

    has_vocabulary: bool = True

    def count(self, model: str, messages: Sequence[Message], schema: bytes | None) -> TokenBound:
        frame = 8 * len(messages) + 16 + len(schema or b"")
        return TokenBound(tokens_in(messages) + frame, is_exact=True)


def tokens_in(messages: Sequence[Message]) -> int:
    return math.ceil(sum(len(message.text.encode()) for message in messages) / PER_TOKEN)


async def bill_exactly(request: ModelRequest) -> ModelAnswer:
    """Bill the texts, 40 tokens a pair and some framing, as a model of these prompts does."""
    await trio.lowlevel.checkpoint()
    used = Usage(
        input_tokens=tokens_in(request.messages) + 60, output_tokens=40 * len(ids_in(request)) + 10
    )
    return answer_to(request, usage=used)


@pytest.mark.parametrize(
    ("counter", "least"), [(Vocabulary(), 0.98), (ByteCounter(), 0.90)], ids=["counted", "bytes"]
)
@pytest.mark.parametrize("measure", ["tokens", "cost"])
async def test_steady_work_uses_nearly_all_of_a_budget_of_twenty_batches(
    database: Database, events: Events, counter: ByteCounter, least: float, measure: str
) -> None:
    text = "We look for people who like numbers, and who like to say what they mean. " * 14
    work = [await pairs(database, 40, f"p{n}", text=text) for n in range(20)]
    full = 20 * 6_000  # tokens; a full batch of these texts takes about 6,000
    limits = {"daily_tokens": full} if measure == "tokens" else {"daily_nanousd": full * 150}
    chain = CHAIN if measure == "tokens" else ("gpt-6-luna",)
    model = ScriptedModel([bill_exactly])
    async with ranking(
        database, events, model=model, limits=attrs.evolve(MUCH, **limits), chain=chain,
        counter=counter,
    ) as rig:  # fmt: skip
        whys = [await rig.ask(profile, half) for profile, half in halves(work)]
        assert whys[-1].why == "budget"
        used = (await rig.figures())[0]
    share = used[0] / full if measure == "tokens" else used[1] / limits["daily_nanousd"]
    print(f"{measure}, {type(counter).__name__}: {share:.4f} in {len(model.requests)} calls")
    assert len(model.requests) >= 20
    assert least <= share <= 1


def halves(
    work: Sequence[tuple[object, tuple[Candidate, ...]]],
) -> list[tuple[object, tuple[Candidate, ...]]]:
    """Return batches of 20."""
    return [(profile, all_[n : n + 20]) for profile, all_ in work for n in (0, 20)]
