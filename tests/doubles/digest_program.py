"""A digest actor in a process that a test can kill: `python digest_program.py ORDER`, as JSON."""

import json
import os
import random
import sys
from functools import partial
from pathlib import Path

import attrs
import trio

from jobping.actors.digest import DigestActor
from jobping.actors.messages import DigestMessage, FirstCycleEnded
from jobping.clock import Clock
from jobping.core.schedule import DigestRules, When
from jobping.delivery import OutgoingDigest
from jobping.store.bridge import Database, Dsn, open_loop, serve_database
from jobping.tree import Stores
from supervisors import ChildSpec, Mailbox, Supervisor, SupervisorSpec
from tests.store.store_samples import DAY_S


@attrs.frozen(kw_only=True)
class Order:
    """What to do.

    Attributes:
        notes: A file that gets `MOMENT MESSAGE-ID` at the moments `turn`, `begun` and `sent`.
        hangs: The moment after which nothing happens any more, so that the test can kill.
        takes_s: Longest time of one sending, drawn at random.
    """

    url: str
    notes: str
    resends: bool
    hangs: str = ""
    takes_s: float = 0.0


@attrs.define
class Noting:
    """A way out that notes what it does, each note lasting through a kill."""

    order: Order
    name: str = "noting"

    @property
    def resends(self) -> bool:
        return self.order.resends

    def takes(self, digest: OutgoingDigest) -> bool:
        return True

    async def wait_turn(self) -> None:
        await trio.sleep(0.3 if self.order.hangs == "turn" else 0)  # what is due is claimed then
        await self._reach("turn", "-")

    async def send(self, digest: OutgoingDigest) -> None:
        await self._reach("begun", digest.message_id)
        await trio.sleep(random.random() * self.order.takes_s)
        await self._reach("sent", digest.message_id)

    async def was_sent(self, message_id: str) -> bool | None:
        await trio.lowlevel.checkpoint()
        return None

    async def _reach(self, moment: str, id: str) -> None:
        with Path(self.order.notes).open("a") as file:  # noqa: ASYNC230  a line
            file.write(f"{moment} {id}\n")
        if self.order.hangs == moment:
            await trio.sleep_forever()


def emit(event: str, /, *, level: str | None = None, **fields: object) -> None:
    print(event, fields, file=sys.stderr)


async def run(order: Order) -> None:
    database, box = Database(), Mailbox[DigestMessage]()
    stores = Stores.of(database)
    actor = DigestActor(
        rules=DigestRules(when=When.INSTANT, every_s=1_000_000.0),
        profiles=stores.profiles,
        matches=stores.matches,
        digests=stores.digests,
        deliveries=[Noting(order)],
        by="here",
        credits={},
        firsthand=frozenset(),
        clock=Clock(),
        emit=emit,
        pending_within_s=DAY_S,
    )
    async with open_loop(), trio.open_nursery() as nursery:
        await nursery.start(partial(serve_database, emit=emit), database, Dsn(url=order.url))
        child = ChildSpec(id="digest", start=actor.run, mailbox=box)
        supervisor = Supervisor(SupervisorSpec(children=(child,)))
        await nursery.start(supervisor.run)
        await box.ref.ask(FirstCycleEnded(), within=60)
        await supervisor.stop(reason="all is sent")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(run, Order(**json.loads(sys.argv[1])))
    os._exit(0)
