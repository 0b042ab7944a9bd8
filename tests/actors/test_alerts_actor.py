"""The actor of the alerts: it tells every change once, on every way, and waits for none."""

import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
from trio.testing import MockClock

from jobping.actors.alerts import AlertsActor, Inbox
from jobping.core.alerting import RULES, Alerts
from jobping.delivery import OutgoingDigest
from jobping.errors import DeliveryDeferred, DeliveryError, DeliveryRejected
from supervisors import ChildSpec, Supervisor, SupervisorSpec


@attrs.define
class Way:
    """A way out that fails as told, then takes everything."""

    failures: list[DeliveryError] = attrs.Factory(list)
    hangs: bool = False
    sent: list[str] = attrs.Factory(list)
    name: str = "way"
    resends: bool = True

    def takes(self, digest: OutgoingDigest) -> bool:
        return True

    async def wait_turn(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send(self, digest: OutgoingDigest) -> None:
        await trio.sleep(math.inf if self.hangs else 0)
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(digest.digest.subject)

    async def was_sent(self, message_id: str) -> bool | None:
        return None


@attrs.define
class Told:
    """What the actor emitted."""

    inbox: Inbox = attrs.Factory(Inbox)
    lines: list[tuple[str, str]] = attrs.Factory(list)

    def emit(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        self.lines.append((event, str(fields["rule"])))


@asynccontextmanager
async def telling(*ways: Way, inbox: Inbox | None = None) -> AsyncIterator[Told]:
    told = Told(inbox=inbox or Inbox())
    actor = AlertsActor(alerts=Alerts(), rules=RULES, inbox=told.inbox, ways=ways, emit=told.emit)
    spec = ChildSpec[object](id="alerts", start=actor.run)
    root = Supervisor(SupervisorSpec(children=(spec,)), name="root", rng=random.Random(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        yield told
        await root.stop(reason="the test ends")


def subjects(ways: Sequence[Way]) -> list[list[str]]:
    return [[subject.split(": ")[1] for subject in way.sent] for way in ways]


async def test_change_is_told_in_the_log_and_on_every_way(autojump_clock: MockClock):
    ways = Way(name="one"), Way(name="two")
    async with telling(*ways) as told:
        told.inbox.tap("log.dropped", {"n": 3})
        await trio.sleep(6)
        told.inbox.tap("log.dropped", {"n": 3})
        await trio.sleep(6)
    assert told.lines == [("alert.fired", "log_lost")]
    assert subjects(ways) == [["log_lost"], ["log_lost"]]


async def test_way_that_is_away_gets_its_notice_later_and_holds_up_no_other(
    autojump_clock: MockClock,
):
    away, well = Way(failures=[DeliveryDeferred("x")] * 3), Way(name="two")
    async with telling(away, well) as told:
        told.inbox.tap("log.dropped", {"n": 3})
        await trio.sleep(10)
        assert subjects([away, well]) == [[], ["log_lost"]]
        await trio.sleep(200)
    assert subjects([away]) == [["log_lost"]]
    assert told.lines == [("alert.fired", "log_lost"), ("alert.untold", "log_lost")]


async def test_notice_that_is_refused_is_said_and_not_tried_again(autojump_clock: MockClock):
    way = Way(failures=[DeliveryRejected("x")])
    async with telling(way) as told:
        told.inbox.tap("log.dropped", {"n": 3})
        await trio.sleep(300)
    assert way.sent == []
    assert told.lines == [("alert.fired", "log_lost"), ("alert.untold", "log_lost")]


async def test_way_that_hangs_delays_neither_the_log_nor_the_stop(autojump_clock: MockClock):
    async with telling(Way(hangs=True)) as told:
        for profile in range(150):
            told.inbox.tap("digest.failed", {"profile": profile})
        await trio.sleep(6)
        began = trio.current_time()
    assert trio.current_time() - began < 5
    assert told.lines.count(("alert.fired", "digest_failed")) == 150
    assert told.lines.count(("alert.untold", "digest_failed")) == 150 - 100


async def test_notice_that_a_restart_cut_off_goes_out_afterwards(autojump_clock: MockClock):
    hanging, well, inbox = Way(hangs=True), Way(), Inbox()
    async with telling(hanging, inbox=inbox):
        inbox.tap("log.dropped", {"n": 3})
        await trio.sleep(6)
    async with telling(well, inbox=inbox):
        await trio.sleep(6)
    assert subjects([hanging, well]) == [[], ["log_lost"]]


async def test_last_change_before_a_stop_is_told(autojump_clock: MockClock):
    way = Way()
    async with telling(way) as told:
        told.inbox.tap("log.dropped", {"n": 3})
    assert told.lines == [("alert.fired", "log_lost")]
    assert subjects([way]) == [["log_lost"]]
