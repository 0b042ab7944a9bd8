"""The pure core: happenings in, actions out, without a loop."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisors import (
    Backoff,
    ChildSpec,
    ChildState,
    Context,
    Exit,
    ExitKind,
    Intensity,
    Restart,
    StopOrder,
    Strategy,
    SupervisorSpec,
)
from supervisors._decisions import decide, make_table
from supervisors._policy import Abandon, Escalate, RestartChild, RestartPolicy
from supervisors._table import (
    Action,
    AddChild,
    AllStarted,
    AllStopped,
    AskStop,
    Begin,
    Cancel,
    Consult,
    DeleteChild,
    Ended,
    Happening,
    Judged,
    Ready,
    Reply,
    ReportStuck,
    Stage,
    Start,
    StartAgain,
    StopAll,
    Stopped,
    Table,
    TerminateChild,
    Tick,
    Wake,
)

CRASH = Exit(kind=ExitKind.ABNORMAL, error="crash")
NORMAL = Exit(kind=ExitKind.NORMAL)
SHUTDOWN = Exit(kind=ExitKind.SHUTDOWN)


async def actor(ctx: Context[object]) -> None:
    ctx.started()


class Replay:
    """A table without a supervisor: each step shows what it asked for, in short."""

    def __init__(self, spec: SupervisorSpec) -> None:
        self.table = make_table(spec, "root", is_root=True)
        self.now = 0.0
        self.rng = Random(1)

    def step(self, happening: Happening) -> list[str]:
        self.table, actions = decide(self.table, happening, self.now, self.rng)
        return [line for action in actions for line in self.lines(action)]

    def lines(self, action: Action) -> list[str]:
        match action:
            case Start(id=id, number=number):
                return [f"start {id}{number}"]
            case AskStop(id=id):
                return [f"ask {id}"]
            case Cancel(id=id, is_kill=is_kill):
                return [f"{'kill' if is_kill else 'cancel'} {id}"]
            case Consult(id=id, exited=exited):
                verdict = RestartPolicy().decide(exited, None)
                return [
                    f"consult {id}",
                    *self.step(Judged(id=id, exited=exited, verdict=verdict)),
                ]
            case ReportStuck(id=id):
                return [f"stuck {id}"]
            case Reply(error=error):
                return [f"reply {type(error).__name__ if error else 'done'}"]
            case AllStarted():
                return ["all started"]
            case AllStopped(outcome=outcome):
                return [f"all stopped: {type(outcome).__name__}"]
            case _:
                return []

    def start(self, *ids: str) -> None:
        self.step(Begin())
        for id in ids:
            self.step(Ready(id=id, number=1))


def children(ids: str, restart: Restart = Restart.PERMANENT) -> tuple[ChildSpec[object], ...]:
    return tuple(ChildSpec(id=id, start=actor, restart=restart) for id in ids)


NOW = Backoff(base=0.0)


def test_start_goes_on_only_when_a_child_is_ready() -> None:
    replay = Replay(SupervisorSpec(children=children("ab")))
    assert replay.step(Begin()) == ["start a1"]
    assert replay.step(Tick()) == []
    assert replay.step(Ready(id="a", number=1)) == ["start b1"]
    assert replay.step(Ready(id="b", number=1)) == ["all started"]


def test_supervisor_without_children_is_started_at_once() -> None:
    assert Replay(SupervisorSpec()).step(Begin()) == ["all started"]


def test_failing_start_undoes_what_was_started() -> None:
    replay = Replay(SupervisorSpec(children=children("abc")))
    replay.start("a")
    assert replay.step(Ended(id="b", number=1, exit=CRASH)) == ["ask a"]
    assert replay.step(Ended(id="a", number=1, exit=SHUTDOWN)) == ["all stopped: StartFailed"]


def test_start_past_its_time_is_killed_and_then_called_stuck() -> None:
    replay = Replay(SupervisorSpec(children=children("a")))
    replay.step(Begin())
    replay.now = 15.0
    assert replay.step(Tick()) == ["kill a"]
    replay.now = 20.0
    assert replay.step(Tick()) == ["stuck a"]


def test_rest_for_one_restarts_the_rest_in_order() -> None:
    spec = SupervisorSpec(children=children("abcd"), strategy=Strategy.REST_FOR_ONE, backoff=NOW)
    replay = Replay(spec)
    replay.start(*"abcd")
    assert replay.step(Ended(id="b", number=1, exit=CRASH)) == ["consult b", "ask d"]
    assert replay.step(Ended(id="d", number=1, exit=SHUTDOWN)) == ["ask c"]
    assert replay.step(Ended(id="c", number=1, exit=SHUTDOWN)) == ["start b2"]
    assert replay.step(Ready(id="b", number=2)) == ["start c2"]
    assert replay.step(Ready(id="c", number=2)) == ["start d2"]
    assert replay.step(Ready(id="d", number=2)) == []


def test_exit_of_an_older_incarnation_is_ignored() -> None:
    replay = Replay(SupervisorSpec(children=children("a"), backoff=NOW))
    replay.start("a")
    replay.step(Ended(id="a", number=1, exit=CRASH))
    before = replay.table
    assert replay.step(Ended(id="a", number=1, exit=CRASH)) == []
    assert replay.table == before


def test_sibling_that_dies_by_itself_in_a_group_stop_is_neither_asked_nor_counted() -> None:
    spec = SupervisorSpec(
        children=children("abc"),
        strategy=Strategy.ONE_FOR_ALL,
        backoff=NOW,
        intensity=Intensity(max_restarts=1),
    )
    replay = Replay(spec)
    replay.start(*"abc")
    assert replay.step(Ended(id="a", number=1, exit=CRASH)) == ["consult a", "ask c"]
    assert replay.step(Ended(id="b", number=1, exit=CRASH)) == []
    assert replay.step(Ended(id="c", number=1, exit=SHUTDOWN)) == ["start a2"]
    assert len(replay.table.window.times) == 1


def test_stop_during_a_group_restart_starts_nobody() -> None:
    spec = SupervisorSpec(children=children("abc"), strategy=Strategy.ONE_FOR_ALL, backoff=NOW)
    replay = Replay(spec)
    replay.start(*"abc")
    replay.step(Ended(id="a", number=1, exit=CRASH))
    assert replay.step(StopAll(reason="enough", deadline=9.0, is_final=True)) == ["ask c"]
    assert replay.step(Ended(id="c", number=1, exit=SHUTDOWN)) == ["ask b"]
    assert replay.step(Ended(id="b", number=1, exit=SHUTDOWN)) == ["all stopped: Stopped"]


def test_deadline_of_a_stop_asks_and_cancels_all_that_are_left() -> None:
    replay = Replay(SupervisorSpec(children=children("abc")))
    replay.start(*"abc")
    replay.step(StopAll(reason="enough", deadline=3.0, is_final=True))
    replay.now = 3.0
    assert replay.step(Tick()) == ["kill c", "ask b", "kill b", "ask a", "kill a"]


def test_stuck_child_does_not_hold_up_the_stop_of_the_others() -> None:
    replay = Replay(SupervisorSpec(children=children("ab")))
    replay.start(*"ab")
    replay.step(StopAll(reason="enough", deadline=60.0, is_final=True))
    replay.now = 5.0
    assert replay.step(Tick()) == ["kill b"]
    replay.now = 10.0
    assert replay.step(Tick()) == ["stuck b", "ask a"]
    assert replay.step(Ended(id="a", number=1, exit=SHUTDOWN)) == []
    assert replay.step(Ended(id="b", number=1, exit=SHUTDOWN)) == ["all stopped: Stopped"]


def test_decision_leaves_the_table_it_was_given_as_it_was() -> None:
    table = make_table(SupervisorSpec(children=children("ab")), "root", is_root=True)
    shown = repr(table)
    after, _ = decide(table, Begin(), 0.0, Random(1))
    assert repr(table) == shown
    assert after.children["a"].state is ChildState.STARTING


# A world that obeys at random


class World:
    """Runs the incarnations that a table asks for, and checks that it asks for nothing absurd."""

    def __init__(self, spec: SupervisorSpec, seed: int) -> None:
        self.rng = Random(seed)
        self.spec = spec
        self.table: Table = make_table(spec, "root", is_root=True)
        self.now = 0.0
        self.alive: dict[str, int] = {}
        self.ready: set[str] = set()
        self.asked: set[str] = set()
        self.wakes: dict[str, float] = {}
        self.replies = 0
        self.requests = 0
        self.outcome: object = None

    def step(self, happening: Happening) -> None:
        self.table, actions = decide(self.table, happening, self.now, self.rng)
        for action in actions:
            self.perform(action)
        assert len(self.table.starting) <= max(1, self.spec.max_starting)
        living = {child.spec.id for child in self.table.children.values() if child.is_alive}
        assert living == set(self.alive)

    def perform(self, action: Action) -> None:
        assert self.outcome is None, "the table goes on after its end"
        match action:
            case Start(id=id, number=number):
                assert id not in self.alive, "two incarnations of one child"
                self.alive[id] = number
            case AskStop(id=id) | Cancel(id=id):
                assert id in self.alive
                self.asked.add(id)
            case Wake(id=id, at=at):
                self.wakes[id] = at
            case Consult(id=id, exited=exited):
                verdict = self.rng.choice(
                    [RestartPolicy().decide(exited, None)] * 4
                    + [Abandon(), RestartChild(delay=3.0), Escalate(reason="enough")]
                )
                self.step(Judged(id=id, exited=exited, verdict=verdict))
            case Reply():
                self.replies += 1
            case AllStopped(outcome=outcome):
                assert not self.alive
                self.outcome = outcome
            case _:
                pass

    def end(self, id: str, exit: Exit) -> None:
        number = self.alive.pop(id)
        self.ready.discard(id)
        self.asked.discard(id)
        self.step(Ended(id=id, number=number, exit=exit))

    def become_ready(self, id: str) -> None:
        self.ready.add(id)
        self.step(Ready(id=id, number=self.alive[id]))

    def random_step(self) -> None:
        choice = self.rng.randrange(10)
        if choice < 4 and self.alive:
            id = self.rng.choice(sorted(self.alive))
            if id in self.ready or id in self.asked or self.rng.random() < 0.2:
                self.end(id, self.rng.choice([CRASH, NORMAL]))
            else:
                self.become_ready(id)
        elif choice < 7:
            self.now += self.rng.choice([0.0, 0.1, 5.0])
            self.step(Tick())
        else:
            self.request()

    def request(self) -> None:
        id = self.rng.choice("abcdefg")
        self.requests += 1
        number = self.requests
        spec = ChildSpec(id=id, start=actor, restart=self.rng.choice(list(Restart)))
        self.step(
            self.rng.choice(
                [
                    AddChild(spec=spec, request=number),
                    TerminateChild(id=id, request=number),
                    StartAgain(id=id, request=number),
                    DeleteChild(id=id, request=number),
                ]
            )
        )

    def settle(self) -> None:
        """Let every child do at once what it was asked, until nothing changes any more."""
        for _ in range(200):
            waiting = [id for id in sorted(self.alive) if id not in self.ready | self.asked]
            if self.asked:
                self.end(min(self.asked), SHUTDOWN)
            elif waiting:
                self.become_ready(waiting[0])
            elif due := [at for at in self.wakes.values() if at > self.now]:
                self.now = min(due)
                self.step(Tick())
            else:
                return

    def stop(self) -> None:
        self.step(StopAll(reason="enough", deadline=self.now + 30.0, is_final=True))
        self.settle()


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    strategy=st.sampled_from(Strategy),
    stop_order=st.sampled_from(StopOrder),
    restarts=st.lists(st.sampled_from(Restart), max_size=5),
    max_starting=st.integers(1, 3),
    steps=st.integers(0, 40),
)
def test_table_always_reaches_a_lasting_state_and_answers_every_request(
    seed: int,
    strategy: Strategy,
    stop_order: StopOrder,
    restarts: list[Restart],
    max_starting: int,
    steps: int,
) -> None:
    spec = SupervisorSpec(
        children=tuple(
            ChildSpec(id=id, start=actor, restart=restart)
            for id, restart in zip("abcde", restarts, strict=False)
            if strategy is not Strategy.SIMPLE_ONE_FOR_ONE
        ),
        strategy=strategy,
        stop_order=stop_order,
        max_starting=max_starting if "one_for_one" in strategy.value else 1,
        backoff=Backoff(base=0.1),
        intensity=Intensity(max_restarts=5, period=30.0),
    )
    world = World(spec, seed)
    world.step(Begin())
    for _ in range(steps):
        if world.outcome is None:
            world.random_step()
    world.settle()
    if world.outcome is None:
        lasting = {ChildState.RUNNING, ChildState.DOWN}
        assert {child.state for child in world.table.children.values()} <= lasting
        assert world.table.stage is Stage.RUNNING
        world.stop()
        assert isinstance(world.outcome, Stopped)
    assert world.replies == world.requests
