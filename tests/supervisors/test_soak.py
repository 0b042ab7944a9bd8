"""What must not grow: memory over many crashes, and anything at all over cancelled asks."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    Ask,
    Backoff,
    ChildSpec,
    Context,
    Intensity,
    Mailbox,
    MailboxSpec,
    SupervisionError,
    Supervisor,
    SupervisorSpec,
)
from supervisors._box import Envelope, ReplySlot
from supervisors._timer import timer_of_run

PROGRAM = Path(__file__).with_name("soak_program.py")
ASKS = 10_000
WORKERS = 5


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc tells the memory")
@pytest.mark.parametrize("crashes", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_over_crashes_and_no_message_is_unaccounted_for(crashes: int) -> None:
    program = subprocess.run(
        [sys.executable, str(PROGRAM), str(crashes)],
        capture_output=True,
        check=True,
        cwd=PROGRAM.parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[2]), *sys.path])},
    )
    found = msgspec.json.decode(program.stdout, type=dict[str, int])
    assert found["crashes"] >= crashes
    assert found["grown_bytes"] < 1_000_000
    assert found["sent"] == found["accounted"]


@attrs.frozen
class Question(Ask[int]):
    number: int


@pytest.mark.parametrize("seed", [1, 2])
def test_randomly_cancelled_asks_leave_no_slot_no_task_and_no_token(seed: int) -> None:
    left = trio.run(_cancel_at_random, seed, clock=MockClock(autojump_threshold=0.0))
    assert left == {"tasks": 0, "tokens": 0, "slots": 0, "unaccounted": 0, "senders": 0}


async def _cancel_at_random(seed: int) -> dict[str, int]:
    """Ask workers that dawdle, answer late, crash, or are full; cancel most askers on the way."""
    rng = Random(seed)
    mailboxes = [Mailbox(MailboxSpec[Question](capacity=8)) for _ in range(WORKERS)]
    limiter = trio.CapacityLimiter(500)
    outcomes: dict[str, int] = {}

    async def worker(ctx: Context[Question]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            await trio.sleep(rng.choice([0.0, 0.0, 0.001, 0.02]))
            if rng.random() < 0.05:
                raise ValueError("a bad question")
            if rng.random() < 0.9:
                delivery.reply(delivery.message.number)

    async def ask(number: int) -> None:
        await trio.sleep(rng.random() * 10)
        outcome = "cancelled"
        with trio.move_on_after(rng.choice([0.0, 0.001, 0.01, 0.1, 5.0])):
            async with limiter:
                try:
                    mailbox = rng.choice(mailboxes)
                    answer = await mailbox.ref.ask(
                        Question(number), within=rng.choice([0.002, 0.05, 1.0])
                    )
                    outcome = "answered" if answer == number else "mixed up"
                except SupervisionError as error:
                    outcome = type(error).__name__
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    spec = SupervisorSpec(
        children=tuple(
            ChildSpec(id=f"w{index}", start=worker, mailbox=mailbox)
            for index, mailbox in enumerate(mailboxes)
        ),
        backoff=Backoff(base=0.001, cap=0.001, factor=1.0),
        intensity=Intensity(max_restarts=10_000, period=60.0),
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        timer_of_run()  # the one task that asks leave, and the run ends
        before = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as askers:
            for number in range(ASKS):
                askers.start_soon(ask, number)
        await trio.sleep(10)
        tasks = trio.lowlevel.current_statistics().tasks_living - before
        await root.stop()
    assert sum(outcomes.values()) == ASKS
    assert set(outcomes) == {"answered", "cancelled", "AskTimeout", "ActorError"}
    assert min(outcomes.values()) > ASKS // 100
    gc.collect()
    counts = [mailbox.statistics() for mailbox in mailboxes]
    return {
        "tasks": tasks,
        "tokens": limiter.borrowed_tokens,
        "slots": sum(isinstance(thing, ReplySlot | Envelope) for thing in gc.get_objects()),
        "unaccounted": sum(
            count.sent - count.processed - count.rejected - count.dead_letters for count in counts
        ),
        "senders": sum(len(mailbox.box._senders or ()) for mailbox in mailboxes),
    }
