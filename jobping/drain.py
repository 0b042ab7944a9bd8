"""The ordered stop, read off the lines that the tree writes: what each stage took and left.

The supervisor stops the tree in reverse order, each part within its own time and what is left of
the grace period; here it is said how that went.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from jobping.clock import Clock
from jobping.events import Emit

STAGES: Final = {
    "root/degradation": "requests",
    "root/matcher": "rows",
    "root/digest": "digests",
    "root/budget": "calls",
    "root/store": "store",
}
"""By the part whose end is the end of a stage, in the order of a stop."""


@attrs.define(kw_only=True)
class Drain:
    """One stop of the daemon.

    Attributes:
        asked: Set when the stop begins; from then on no poll, digest or call of a model begins.
        left: What was cut off: parts, boards as `source/board`, calls by their id; where the stop
            was forced, the stages that did not end.
    """

    clock: Clock
    emit: Emit
    asked: trio.Event = attrs.field(factory=trio.Event)
    left: list[str] = attrs.field(factory=list, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    _since: float = attrs.field(default=0.0, init=False)
    _told: int = attrs.field(default=0, init=False)
    _open: list[str] = attrs.field(factory=lambda: list(STAGES.values()), init=False)

    def begin(self, signal: str | None = None) -> None:
        """Note that the stop begins, by a signal or because the run is over; the first counts."""
        if self.asked.is_set():
            return
        self.asked.set()
        self._began = self._since = self.clock.monotonic()
        self.emit("drain.started", signal=signal)

    def note(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take a line of the log."""
        if not self.asked.is_set():
            return
        match event:
            case "scraper.polled" if fields["outcome"] == "interrupted":
                self.left.append(f"{fields['source']}/{fields['board']}")
            case "model.abandoned":
                self.left.append(fields["id"])
            case "child.exited":
                if fields["kind"] == "killed":
                    self.left.append(fields["child"])
                if (stage := STAGES.get(fields["child"])) in self._open:
                    self._end(stage)
            case _:
                pass

    def _end(self, stage: str) -> None:
        now = self.clock.monotonic()
        self.emit(
            "drain.stage_ended",
            stage=stage,
            left=self.left[self._told :],
            duration_s=now - self._since,
        )
        self._open.remove(stage)
        self._since, self._told = now, len(self.left)

    def end(self, code: int, *, forced: bool, duration_s: float, requests: int) -> None:
        """Write the last line of the run.

        Args:
            code: The exit code.
            forced: The tree was cut short.
            duration_s: How long the daemon ran.
            requests: How often it asked sites.
        """
        is_drained = self.asked.is_set()
        self.emit(
            "daemon.stopped",
            code=code,
            forced=forced,
            drained_s=self.clock.monotonic() - self._began if is_drained else None,
            left=self.left + (self._open if forced else []),
            duration_s=duration_s,
            requests=requests,
        )
