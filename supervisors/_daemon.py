"""A tree as a Unix daemon: signals, the grace period, the exit code."""

import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from signal import SIGINT, SIGTERM, Signals
from types import FrameType, MappingProxyType
from typing import Protocol

import trio

from supervisors._actor import OnReady
from supervisors._events import ChildStarted, Event, HealthChanged, LifeWithheld
from supervisors._states import HealthState
from supervisors._supervisor import Supervisor
from supervisors._watchdog import EXIT_STUCK, Watchdog
from supervisors.errors import RestartLimitExceeded, StartError

EXIT_IN_ORDER = 0
EXIT_FORCED = 1
EXIT_GAVE_UP = EXIT_STUCK

_START_EXTENSION = 30.0  # seconds asked for when one more child is ready: twice a start_timeout


class Notifier(Protocol):
    """Whoever wants to know how the daemon fares: systemd, for instance."""

    def alive(self) -> None:
        """Say that the loop turns and every critical child makes progress."""
        ...

    def status(self, text: str) -> None:
        """Say in a line how the tree fares; called when that has changed."""
        ...

    def ready(self) -> None:
        """Say that every child is ready."""
        ...

    def extend(self, seconds: float) -> None:
        """Ask for that many seconds more until readiness; called again while it starts."""
        ...

    def stopping(self, reason: str) -> None:
        """Say that the stop has begun, by the signal of that name."""
        ...


class _Silence:
    def alive(self) -> None:
        pass

    def status(self, text: str) -> None:
        pass

    def ready(self) -> None:
        pass

    def extend(self, seconds: float) -> None:
        pass

    def stopping(self, reason: str) -> None:
        pass


class _Daemon:
    """One run of a daemon: what the signals have done so far."""

    def __init__(
        self,
        root: Supervisor,
        notifier: Notifier,
        grace_period: float,
        on_signal: Mapping[Signals, Callable[[], None]],
        heartbeat: float,
        watchdog: Watchdog,
    ) -> None:
        self._root = root
        self._notifier = notifier
        self._grace_period = grace_period
        self._on_signal = on_signal
        self._heartbeat = heartbeat
        self._health = HealthState.OK
        self._everything = trio.CancelScope()
        self._watchdog = watchdog
        self._is_draining = False
        self._is_ready = False
        self._alive_at: float | None = None

    async def run(self) -> int:
        """Run the tree and return the exit code."""
        self._root.observe(self._extend)
        try:
            with self._everything:
                await self._root.run(task_status=OnReady(lambda _: self._say_ready()))
        except (StartError, RestartLimitExceeded):
            return EXIT_GAVE_UP
        if not self._everything.cancelled_caught:
            return EXIT_IN_ORDER
        return EXIT_FORCED if self._watchdog.noted > 1 else EXIT_GAVE_UP

    async def listen(self, received: AsyncIterator[int]) -> None:
        """Act on every signal until the daemon ends."""
        async for number in received:
            name = Signals(number)
            if name in self._on_signal:
                self._on_signal[name]()
                continue
            if not self._is_draining:
                self._drain(name.name)
            if self._watchdog.noted > 1:
                self._everything.cancel(reason=f"second signal: {name.name}")

    async def beat(self) -> None:
        """Look at the tree at every heartbeat, on the loop: a hung loop shall look hung."""
        due = trio.current_time() + self._heartbeat
        while True:
            await trio.sleep_until(due)
            lag = trio.current_time() - due
            due += lag + self._heartbeat
            if self._is_ready:
                self._look(lag)
            else:  # each child has a time of its own to start in
                self._notifier.extend(_START_EXTENSION + self._heartbeat)

    def _look(self, lag: float) -> None:
        health = self._root.health(loop_lag=lag)
        if health.state is not self._health:
            before, self._health = self._health, health.state
            self._root.publish(
                HealthChanged(before=before, after=health.state, paths=health.paths, loop_lag=lag)
            )
            self._notifier.status(" ".join((health.state.value, *health.paths)))
        if health.state is not HealthState.STALLED and lag < self._heartbeat:
            self._alive_at = trio.current_time()
            self._notifier.alive()
        elif self._alive_at is not None:
            silent = trio.current_time() - self._alive_at
            is_stalled = health.state is HealthState.STALLED
            paths = health.paths if is_stalled else ()
            self._root.publish(LifeWithheld(paths=paths, silent=silent))
            self._alive_at = None

    def _drain(self, reason: str) -> None:
        self._is_draining = True
        self._notifier.stopping(reason)
        self._everything.deadline = trio.current_time() + self._grace_period
        self._root.request_stop(reason=reason, grace_period=self._grace_period)

    def _say_ready(self) -> None:
        self._is_ready = True
        self._alive_at = trio.current_time()
        self._notifier.ready()

    def _extend(self, event: Event) -> None:
        if isinstance(event, ChildStarted) and not self._is_ready:
            self._notifier.extend(_START_EXTENSION)


async def run_daemon(
    root: Supervisor,
    *,
    grace_period: float,
    signals: Sequence[Signals] = (SIGTERM, SIGINT),
    notifier: Notifier | None = None,
    on_signal: Mapping[Signals, Callable[[], None]] = MappingProxyType({}),
    heartbeat: float = 15.0,
) -> int:
    """Run a tree until it ends by itself or is told to by signals, which work from the first step.

    The first of `signals` stops the tree in order, the second cancels everything, the third ends
    the process. So does a tree that is still there 15 s after it was cancelled.

    Args:
        grace_period: Seconds that the ordered stop may take before everything is cancelled.
        signals: Those that stop the daemon; SIGINT raises no KeyboardInterrupt then.
        notifier: Told of readiness and of the stop.
        on_signal: What to call at other signals, on the loop, between two steps.
        heartbeat: Seconds between two looks at the tree; the notifier hears `alive` after each that
            came in time and found every critical child making progress.

    Returns:
        0: it ended in order. 1: the second signal cut it short. 70: the root gave up, could not
        start, or the grace period ran out.
    """
    watchdog = Watchdog(grace_period)
    daemon = _Daemon(root, notifier or _Silence(), grace_period, on_signal, heartbeat, watchdog)
    with trio.open_signal_receiver(*signals, *on_signal) as received, _counted(signals, watchdog):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.listen, received)
            nursery.start_soon(daemon.beat)
            code = await daemon.run()
            nursery.cancel_scope.cancel()
    return code


@contextmanager
def _counted(signals: Sequence[Signals], watchdog: Watchdog) -> Iterator[None]:
    """Let the watchdog see each signal before the loop does: a hung loop sees none."""
    for number in signals:
        signal.signal(number, _counting(signal.getsignal(number), watchdog))
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


def _counting(
    handler: "signal._HANDLER", watchdog: Watchdog
) -> Callable[[int, FrameType | None], None]:
    def count(number: int, frame: FrameType | None) -> None:
        watchdog.note_signal()
        if callable(handler):
            handler(number, frame)

    return count
