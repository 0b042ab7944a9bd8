import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.matcher import Matcher
from jobping.actors.messages import (
    ASKED_ALREADY,
    BudgetMessage,
    MatcherMessage,
    MatchesRecorded,
    MatchPending,
    RankBatch,
    Ranking,
)
from jobping.actors.model_pass import ModelPass
from jobping.core.match import LOCAL
from jobping.core.profile import Profile
from jobping.core.schedule import DigestRules, When
from supervisors import ChildSpec, Context, Mailbox, MailboxSpec, Overflow
from tests.actors.rig import DAY_S, Rig, eventually, listener, open_tree
from tests.store.store_samples import add_news, draft, sql

ANALYST = Profile(name="ana", words=("analyst",))
Answer = Callable[[RankBatch], Ranking | None]


def all_ranked(batch: RankBatch) -> Ranking:
    return Ranking(
        matches=tuple(
            attrs.evolve(one.local, score=99, origin="luna", reason="Says luna.")
            for one in batch.candidates
        )
    )


def silent(batch: RankBatch) -> None:
    """Never answer."""


@attrs.define(kw_only=True)
class Passing:
    """A matcher with a model, and what it asked for."""

    rig: Rig
    box: Mailbox[MatcherMessage]
    batches: list[RankBatch]

    async def end_cycle(self) -> int:
        return await self.box.ref.ask(MatchPending(), within=200)

    async def origins(self, profile: str = "ana") -> list[str]:
        [stored] = [p for p in await self.rig.stores.profiles.all() if p.profile.name == profile]
        found = await self.rig.stores.matches.listed(stored.id, limit=99)
        return [item.match.origin for item in found]


@asynccontextmanager
async def passing(
    rig: Rig,
    answer: Answer = all_ranked,
    *,
    rules: DigestRules | None = None,
    at_once: int = 1,
) -> AsyncIterator[Passing]:
    stores = rig.stores
    digest: Mailbox[MatchesRecorded] = Mailbox()
    budget: Mailbox[BudgetMessage] = Mailbox()
    box: Mailbox[MatcherMessage] = Mailbox(
        MailboxSpec(capacity=16, overflow=Overflow.COALESCE, key=type)
    )
    batches: list[RankBatch] = []

    async def rank(ctx: Context[BudgetMessage]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            batches.append(delivery.message)
            ranking = answer(delivery.message)
            if ranking is not None:
                delivery.reply(ranking)

    async def match(ctx: Context[MatcherMessage]) -> None:
        model_pass = ModelPass(
            budget=budget.ref,
            rules=rules or DigestRules(when=When.INSTANT, every_s=3_600.0),
            profiles=stores.profiles,
            matches=stores.matches,
            digests=stores.digests,
            rankings=stores.rankings,
            clock=rig.clock,
            emit=rig.events,
            at_once=at_once,
            pending_within_s=30 * DAY_S,
        )
        await Matcher(
            name="here",
            postings=stores.postings,
            profiles=stores.profiles,
            matches=stores.matches,
            digest=digest.ref,
            clock=rig.clock,
            emit=rig.events,
            search_within_s=30 * DAY_S,
            model_pass=model_pass,
        ).run(ctx)

    children = (
        ChildSpec(id="budget", start=rank, mailbox=budget),
        listener("digest", digest),
        ChildSpec(id="matcher", start=match, mailbox=box),
    )
    async with open_tree(*children):
        yield Passing(rig=rig, box=box, batches=batches)


async def test_best_matches_have_a_model_s_score_when_the_first_cycle_ends(rig: Rig) -> None:
    await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, *(draft(str(n), company=f"C{n}") for n in range(25)))
    async with passing(rig) as running:
        await eventually(lambda: bool(rig.said("profile.searched")))
        assert running.batches == []
        await running.end_cycle()
        assert await running.origins() == ["luna"] * 25
        assert [len(batch.candidates) for batch in running.batches] == [20, 5]
        assert [said["ranked"] for said in rig.said("matches.ranked")] == [20, 5]


async def test_pairs_that_the_model_does_not_judge_keep_their_local_score(rig: Rig) -> None:
    await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, *(draft(str(n), company=f"C{n}") for n in range(3)))

    def half(batch: RankBatch) -> Ranking:
        return Ranking(matches=all_ranked(batch).matches[:1])

    async with passing(rig, half) as running:
        await running.end_cycle()
        assert sorted(await running.origins()) == [LOCAL, LOCAL, "luna"]


async def test_budget_that_is_used_up_ends_the_pass_for_all(rig: Rig) -> None:
    for name in ("ana", "bob"):
        await rig.stores.profiles.add(attrs.evolve(ANALYST, name=name))
    await add_news(rig.faulty, draft("1"))
    async with passing(rig, lambda batch: Ranking(why="budget")) as running:
        await running.end_cycle()
        assert len(running.batches) == 1
        assert await running.origins() == [LOCAL]


async def test_profiles_are_ranked_for_at_once_where_the_server_takes_it(rig: Rig) -> None:
    for name in ("ana", "bob", "eve"):
        await rig.stores.profiles.add(attrs.evolve(ANALYST, name=name))
    await add_news(rig.faulty, draft("1"))
    async with passing(rig, silent, at_once=2) as running, trio.open_nursery() as nursery:
        nursery.start_soon(running.end_cycle)
        await eventually(lambda: len(running.batches) == 2)
        nursery.cancel_scope.cancel()


async def test_pairs_that_another_daemon_asks_about_do_not_end_the_pass(rig: Rig) -> None:
    for name in ("ana", "bob"):
        await rig.stores.profiles.add(attrs.evolve(ANALYST, name=name))
    await add_news(rig.faulty, draft("1"))
    async with passing(rig, lambda batch: Ranking(why=ASKED_ALREADY)) as running:
        await running.end_cycle()
        assert len(running.batches) == 2


async def test_model_that_never_answers_holds_nothing_up_for_longer_than_its_time(
    rig: Rig, clock: MockClock
) -> None:
    await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, draft("1"))
    async with passing(rig, silent) as running, trio.open_nursery() as nursery:
        nursery.start_soon(running.end_cycle)
        await eventually(lambda: bool(running.batches))
        clock.jump(46)  # an answer is waited for so long
    assert await running.origins() == [LOCAL]
    assert [said["why"] for said in rig.said("matches.ranked")] == ["AskTimeout"]


async def test_profile_that_a_model_served_longest_ago_comes_first(rig: Rig) -> None:
    for name in ("ana", "bob", "eve"):
        await rig.stores.profiles.add(attrs.evolve(ANALYST, name=name))
    await sql(rig.faulty, "UPDATE profile SET ranked_at = now() WHERE name = 'ana'")
    await sql(rig.faulty, "UPDATE profile SET ranked_at = '2020-01-01' WHERE name = 'bob'")
    await add_news(rig.faulty, draft("1"))
    async with passing(rig) as running:
        await running.end_cycle()
        assert [batch.profile.profile.name for batch in running.batches] == ["eve", "bob", "ana"]
        assert running.batches[1].ranked_at == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(("minutes", "is_near"), [(5, True), (30, False), (300, False)])
async def test_few_matches_wait_until_the_digest_is_near(
    rig: Rig, minutes: int, is_near: bool
) -> None:
    """One match is no batch: it is worth a call only shortly before the digest."""
    ana = await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, draft("1"))
    now = rig.clock.utcnow()
    rules = DigestRules(at=((now + dt.timedelta(minutes=minutes)).time(),))
    past = (now - dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    await sql(
        rig.faulty,
        "INSERT INTO digest (profile_id, period, state, sent_at) VALUES ($1, $2, 'sent', now())",
        ana.id,
        past,
    )
    async with passing(rig, rules=rules) as running:
        await running.end_cycle()
        assert bool(running.batches) is is_near


async def test_match_of_a_changed_posting_keeps_its_own_score(rig: Rig) -> None:
    await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, draft("1"))

    def outdated(batch: RankBatch) -> Ranking:
        matches = all_ranked(batch).matches
        return Ranking(matches=tuple(attrs.evolve(m, posting_version=99) for m in matches))

    async with passing(rig, outdated) as running:
        await running.end_cycle()
        assert await running.origins() == [LOCAL]
