import attrs
import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    Abandon,
    Ask,
    Backoff,
    ChildExited,
    ChildReplaced,
    ChildSpec,
    Context,
    Escalate,
    Exit,
    ExitKind,
    Intensity,
    Mailbox,
    OnLimit,
    Phase,
    ReplaceChild,
    Restart,
    RestartChild,
    RestartLimitExceeded,
    RestartPolicy,
    Strategy,
    Supervisor,
    SupervisorSpec,
    Verdict,
)
from supervisors.testing import EventLog, ScriptedActor, settle

NOW = Backoff(base=0.0)


class Judge:
    """A policy that gives the verdicts it was made with, in turn, and keeps what it was shown."""

    def __init__(self, *verdicts: Verdict | Exception) -> None:
        self.verdicts = list(verdicts)
        self.seen: list[tuple[ChildExited, Exception | None]] = []

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        self.seen.append((exited, error))
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


class Tree:
    """Actors a and b; `outcome` is what ended the tree, if it was not asked to."""

    def __init__(
        self,
        judge: Judge,
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: Intensity | None = None,
        restart: Restart = Restart.PERMANENT,
    ) -> None:
        self.a, self.b, self.log = ScriptedActor(), ScriptedActor(), EventLog()
        self.outcome: RestartLimitExceeded | None = None
        spec = SupervisorSpec(
            children=(
                ChildSpec(id="a", start=self.a.run, restart=restart),
                ChildSpec(id="b", start=self.b.run),
            ),
            strategy=strategy,
            intensity=intensity or Intensity(),
            backoff=NOW,
            policy=judge,
        )
        self.root = Supervisor(spec, hook=self.log)

    async def run(self) -> None:
        try:
            await self.root.run()
        except RestartLimitExceeded as error:
            self.outcome = error

    def states(self) -> str:
        children = self.root.snapshot().children
        return " ".join(f"{child.id}:{child.state.value}" for child in children)


async def test_policy_is_asked_once_per_end_with_the_error_itself(
    autojump_clock: MockClock,
) -> None:
    judge = Judge(RestartChild())
    tree = Tree(judge)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash(KeyError("page"))
        await settle()
        await tree.root.stop()
    ((exited, error),) = judge.seen
    assert isinstance(error, KeyError)
    assert (exited.path, exited.phase, exited.wants_restart) == ("root/a", Phase.RUNNING, True)
    assert error.__traceback__ is None


async def test_failing_restart_is_judged_again_and_requested_ends_are_not(
    autojump_clock: MockClock,
) -> None:
    judge = Judge(RestartChild(), RestartChild())
    tree = Tree(judge)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.fail_starts = 1
        tree.a.crash()
        await settle()
        await tree.root.terminate_child("b")
        await tree.root.stop()
    assert [exited.phase for exited, _ in judge.seen] == [Phase.RUNNING, Phase.STARTING]


async def test_verdict_may_name_a_delay_of_its_own(autojump_clock: MockClock) -> None:
    tree = Tree(Judge(RestartChild(delay=7.0)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash()
        await settle()
        assert tree.root.snapshot().children[0].restart_in == pytest.approx(7.0)
        await trio.sleep(7.1)
        assert tree.a.starts == 2
        await tree.root.stop()


async def test_abandoned_child_stays_down_and_the_others_run_on(
    autojump_clock: MockClock,
) -> None:
    tree = Tree(Judge(Abandon()), strategy=Strategy.ONE_FOR_ALL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash()
        await settle()
        assert tree.states() == "a:down b:running"
        await tree.root.stop()


async def test_escalation_stops_the_others_and_fails_upward(autojump_clock: MockClock) -> None:
    tree = Tree(Judge(Escalate(reason="no store")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash()
    assert tree.outcome is not None
    assert (tree.outcome.child, tree.outcome.reason) == ("a", "no store")
    assert tree.log.lines()[-1] == "exited root/b 1 shutdown while stopping"


async def test_policy_that_raises_escalates(autojump_clock: MockClock) -> None:
    tree = Tree(Judge(ValueError("bug in the policy")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash()
    assert tree.outcome is not None
    assert tree.outcome.reason == "the policy raised ValueError: bug in the policy"


@pytest.mark.parametrize("verdict", [RestartChild(), RestartChild(delay=0.0), "replace"])
async def test_restart_past_the_limit_without_a_delay_is_an_escalation(
    verdict: Verdict | str, autojump_clock: MockClock
) -> None:
    other = ScriptedActor()
    replacement = ReplaceChild(spec=ChildSpec(id="a", start=other.run))
    judge = Judge(replacement if isinstance(verdict, str) else verdict)
    tree = Tree(judge, intensity=Intensity(max_restarts=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash()
    assert tree.outcome is not None
    assert (tree.a.starts, other.starts) == (1, 0)


async def test_restart_past_the_limit_with_a_delay_is_granted(autojump_clock: MockClock) -> None:
    tree = Tree(Judge(RestartChild(delay=1.0)), intensity=Intensity(max_restarts=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash()
        await trio.sleep(2)
        assert tree.a.starts == 2
        await tree.root.stop()


async def test_replacement_takes_the_place_and_counts_as_a_restart_of_the_group(
    autojump_clock: MockClock,
) -> None:
    other = ScriptedActor()
    spec = ChildSpec(id="a", start=other.run, restart=Restart.TRANSIENT)
    tree = Tree(Judge(ReplaceChild(spec=spec)), strategy=Strategy.REST_FOR_ONE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.finish()
        await settle()
        assert (tree.a.starts, other.starts, tree.b.starts) == (1, 1, 2)
        assert tree.log.of(ChildReplaced) == [ChildReplaced(path="root/a", delay=0.0)]
        assert tree.states() == "a:running b:running"
        assert tree.root.child_spec("a") is spec
        assert tree.root.snapshot().restarts_in_window == 1
        await tree.root.stop()


async def test_replacement_under_another_id_is_an_escalation(autojump_clock: MockClock) -> None:
    other = ScriptedActor()
    tree = Tree(Judge(ReplaceChild(spec=ChildSpec(id="z", start=other.run))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await settle()
        tree.a.crash()
    assert tree.outcome is not None
    assert "not a's" in tree.outcome.reason


@attrs.frozen
class WhoServes(Ask[str]):
    """Answered with the tier that serves."""


async def test_tiers_replace_each_other_behind_one_ref(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[WhoServes]()

    def tier(name: str) -> ChildSpec[WhoServes]:
        async def serve(ctx: Context[WhoServes]) -> None:
            ctx.started()
            async for delivery in ctx.inbox:
                delivery.reply(name)
                return

        return ChildSpec(id="board", start=serve, mailbox=mailbox, restart=Restart.TRANSIENT)

    class Ladder:
        """Up and down, one step per end."""

        def __init__(self) -> None:
            self.name = "live"

        def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
            self.name = "backfill" if self.name == "live" else "live"
            return ReplaceChild(spec=tier(self.name))

    spec = SupervisorSpec(children=(tier("live"),), policy=Ladder(), backoff=NOW)
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        names = [await mailbox.ref.ask(WhoServes()) for _ in range(4)]
        assert names == ["live", "backfill", "live", "backfill"]
        await root.stop()


async def test_default_policy_pauses_past_the_limit_where_it_is_told_to(
    autojump_clock: MockClock,
) -> None:
    actor = ScriptedActor()
    spec = SupervisorSpec(
        children=(ChildSpec(id="a", start=actor.run),),
        backoff=NOW,
        intensity=Intensity(max_restarts=1, period=5.0),
        policy=RestartPolicy(on_limit=OnLimit.PAUSE, cooldown=20.0),
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for _ in range(2):
            actor.crash()
            await settle()
        restart_in = root.snapshot().children[0].restart_in
        assert restart_in is not None
        assert 20.0 <= restart_in <= 25.0
        await trio.sleep(26)
        assert actor.starts == 3
        await root.stop()


def exited(*, wants_restart: bool, limit_exceeded: bool) -> ChildExited:
    return ChildExited(
        path="root/a",
        incarnation=1,
        phase=Phase.RUNNING,
        exit=Exit(kind=ExitKind.ABNORMAL),
        uptime=1.0,
        mailbox_depth=0,
        restarts_in_window=0,
        wants_restart=wants_restart,
        limit_exceeded=limit_exceeded,
        delay=0.5,
    )


def test_default_policy_abandons_what_wants_no_restart_even_past_the_limit() -> None:
    policy = RestartPolicy()
    assert policy.decide(exited(wants_restart=False, limit_exceeded=True), None) == Abandon()
    assert policy.decide(exited(wants_restart=True, limit_exceeded=False), None) == RestartChild()
    assert isinstance(
        policy.decide(exited(wants_restart=True, limit_exceeded=True), None), Escalate
    )


@pytest.mark.parametrize("wrong", [{"cooldown": 0.0}, {"cooldown": -1.0}, {"on_limit": "pause"}])
def test_default_policy_refuses_impossible_values(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cooldown|on_limit"):
        RestartPolicy(**wrong)
