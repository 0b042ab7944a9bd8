"""Budget actors in processes of their own that a test can kill: `python budget_program.py`.

It imports everything once and then forks a daemon for each line of JSON on stdin (`Order`), so that
a thousand of them take minutes, and answers with the number of the process. Each one asks about
random pairs until it is killed, or told that nothing is left, which it notes in a file.
"""

import json
import os
import random
import signal
import sys
from functools import partial

import attrs
import trio

import jobping.llm.client
from jobping.actors.budget import BudgetActor, Models
from jobping.actors.messages import BudgetMessage, RankBatch
from jobping.actors.paid_call import PaidCalls
from jobping.clock import Clock
from jobping.core.budget import Limits
from jobping.core.prompt import Candidate
from jobping.llm import ModelPlace, load_counter, open_model
from jobping.llm.prices import load_prices
from jobping.store.bridge import Database, Dsn, open_loop, serve_database
from jobping.store.ledger import Ledger
from jobping.store.postings import Postings
from jobping.store.profiles import Profiles
from jobping.store.rankings import Rankings
from supervisors import ChildSpec, Mailbox, MailboxSpec, Supervisor, SupervisorSpec
from tests.store.store_samples import DAY_S, match_of

assert jobping.llm.client
CHAIN = ("gpt-5.4-mini", "gpt-5.6-luna", "gpt-6-luna")


@attrs.frozen(kw_only=True)
class Order:
    """One daemon.

    Attributes:
        at_once: Batches that are asked about at the same time.
        limits: As for `Limits`.
        notes: A file that gets a line for each asker that was told so.
    """

    url: str
    base_url: str
    daemon: str
    seed: int
    at_once: int
    limits: dict[str, int]
    notes: str


def emit(event: str, /, *, level: str | None = None, **fields: object) -> None:
    if level == "error":
        sys.stderr.write(f"{event} {fields}\n")


async def run_daemon(order: Order) -> None:
    database = Database()
    async with open_loop(), trio.open_nursery() as nursery:
        serve = partial(serve_database, emit=emit, rng=random.Random(order.seed))
        await nursery.start(serve, database, Dsn(url=order.url))
        await ask_for_ever(order, database)
        nursery.cancel_scope.cancel()


async def ask_for_ever(order: Order, database: Database) -> None:
    calls = PaidCalls(
        ledger=Ledger(database=database, daemon=order.daemon, limits=Limits(**order.limits)),
        prices=load_prices(),
        clock=Clock(),
        emit=emit,
    )
    actor = BudgetActor(
        name=order.daemon,
        calls=calls,
        rankings=Rankings(database=database),
        models=Models(
            chain=CHAIN,
            tier="default",
            concurrency=order.at_once,
            connect=partial(open_model, ModelPlace(base_url=order.base_url, key="k")),
            load_counter=partial(load_counter, ()),
        ),
        clock=Clock(),
        emit=emit,
    )
    box: Mailbox[BudgetMessage] = Mailbox(MailboxSpec(capacity=64))
    child = ChildSpec(id="budget", start=actor.run, mailbox=box)
    supervisor = Supervisor(SupervisorSpec(children=(child,)))
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        async with trio.open_nursery() as askers:
            for n in range(order.at_once):
                askers.start_soon(ask_until_full, order, n, database, box)
        await supervisor.stop(reason="full")


async def ask_until_full(
    order: Order, n: int, database: Database, box: Mailbox[BudgetMessage]
) -> None:
    rng = random.Random(order.seed * 100 + n)
    profiles = await Profiles(database=database).all()
    postings = await Postings(database=database).newest_news(limit=1000, within_s=DAY_S)
    while True:
        profile = rng.choice(profiles)
        batch = RankBatch(
            profile=profile,
            candidates=tuple(
                Candidate(posting=posting, local=match_of(profile, posting, 60))
                for posting in rng.sample(postings, rng.randint(1, 4))
            ),
            deadline=trio.current_time() + 20,
        )
        ranking = await box.ref.ask(batch, within=30)
        if ranking.why == "budget":
            note(order.notes)
            return


def note(file: str) -> None:
    """Add a line, whole even when several processes do."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, b"full\n")
    os.close(descriptor)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are gone at once
    for line in sys.stdin:
        order = Order(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            os.close(0)
            trio.run(run_daemon, order)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
