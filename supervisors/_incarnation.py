"""One run of a child: its scope, how its end is judged, and its tasks' stacks when it hangs."""

import linecache
import math
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

import attrs
import trio
from trio.lowlevel import Task

from supervisors._context import Running
from supervisors._states import Exit, ExitKind
from supervisors._table import Ended
from supervisors.errors import IgnoreStart, StopActor

_TEXT_LIMIT = 16_000  # characters of a traceback that are kept


class Owner(Protocol):
    """What an incarnation reports to."""

    def note_ready(self, id: str, number: int) -> None:
        """Hear that it is ready."""
        ...

    def note_end(self, ended: Ended, error: Exception | None) -> None:
        """Hear how it ended, with the error itself."""
        ...

    def note_last_words(self, ended: Ended) -> None:
        """Hear how it ended where something passes on that ends the whole tree."""
        ...


@attrs.define(kw_only=True, eq=False)
class Incarnation(Running):
    """One run of a child, from its task's first step to its report.

    Attributes:
        run_actor: What the child does.
        kill_cause: Why it was cancelled for overrunning its time; None if it was not.
        is_stray: Whether it raised a Cancelled although nobody had cancelled it.
    """

    id: str
    run_actor: Callable[[Running], Awaitable[None]]
    owner: Owner
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    kill_cause: str | None = None
    is_stray: bool = False
    task: Task | None = None

    def on_ready(self) -> None:
        """Tell the owner."""
        self.owner.note_ready(self.id, self.number)

    async def run(self) -> None:
        """Run the actor to its end and report it.

        Only what is no Exception gets out: a cancellation from outside, KeyboardInterrupt and the
        like. Such a group is split, its exceptions reported and the rest raised.
        """
        self.task = trio.lowlevel.current_task()
        self.box.begin()
        error: Exception | None = None
        rest: BaseException | None = None
        try:
            with self.scope:
                try:
                    await self.run_actor(self)
                except (trio.Cancelled, BaseExceptionGroup) as ended:
                    self._take_stray(ended)
                    raise
        except BaseExceptionGroup as group:  # split; what is no Exception is raised below
            error, rest = group.split(Exception)
        except Exception as crash:  # the one place that judges crashes
            error = crash
        if rest is None:
            self.owner.note_end(*self._end(error))
            return
        if error is not None:
            self.owner.note_last_words(self._end(error)[0])
        raise rest

    def _take_stray(self, ended: BaseException) -> None:
        """Let our own scope take a Cancelled although nobody cancelled us.

        To Trio it would look as if the nursery's had been cancelled, and the whole tree would end
        unheard.
        """
        if _is_cancelled(ended) and trio.current_effective_deadline() > -math.inf:
            self.is_stray = True
            self.scope.cancel(reason="a Cancelled that no scope waits for")

    def cancel(self, cause: str, *, is_kill: bool) -> None:
        """Cancel it; the cause shows in the text of its Cancelled."""
        if is_kill:
            self.kill_cause = cause
        else:
            self.is_stop_asked = True
        self.scope.cancel(reason=cause)

    def stack(self) -> str:
        """Return where its tasks are."""
        return "" if self.task is None else "\n".join(_stacks(self.task))[-_TEXT_LIMIT:]

    def _end(self, error: Exception | None) -> tuple[Ended, Exception | None]:
        self.task = None  # with it go its context, and the last message there
        bare = None if error is None else _unwrap(error)
        exit = self._classify(bare, error)
        is_crash = exit.kind is ExitKind.ABNORMAL
        if error is not None:
            _forget_frames(error)
        is_lost = is_crash or exit.kind is ExitKind.KILLED
        lost = self.box.end(bare if is_crash else None, is_lost=is_lost)
        ended = Ended(
            id=self.id,
            number=self.number,
            exit=exit if lost is None else attrs.evolve(exit, last_message=lost),
            is_ignored=isinstance(bare, IgnoreStart) and not self.is_ready,
            depth=self.box.depth(),
        )
        return ended, bare

    def _classify(self, bare: Exception | None, error: Exception | None) -> Exit:
        match bare:
            case StopActor(reason=reason):
                return Exit(kind=ExitKind.SHUTDOWN, error=reason)
            case IgnoreStart() if not self.is_ready:
                return Exit(kind=ExitKind.NORMAL)
            case Exception():
                return _crash(bare, error)
            case None:
                return self._classify_silent()

    def _classify_silent(self) -> Exit:
        if self.kill_cause is not None:
            return Exit(kind=ExitKind.KILLED, error=self.kill_cause)
        if self.is_stray:
            return Exit(kind=ExitKind.KILLED, error="cancelled by a scope that is not its own")
        if self.is_stop_asked:
            return Exit(kind=ExitKind.SHUTDOWN)
        if not self.is_ready:
            return Exit(kind=ExitKind.ABNORMAL, error="returned before it was ready")
        return Exit(kind=ExitKind.NORMAL)


def _is_cancelled(ended: BaseException) -> bool:
    if isinstance(ended, BaseExceptionGroup):
        return ended.subgroup(trio.Cancelled) is not None
    return isinstance(ended, trio.Cancelled)


def _unwrap(error: Exception) -> Exception:
    """Return the only error of a group, as an actor with a nursery of its own raises it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _crash(bare: Exception, error: Exception | None) -> Exit:
    name = f"{type(bare).__qualname__}: {bare}" if str(bare) else type(bare).__qualname__
    text = _traceback_of(error or bare, name)
    return Exit(kind=ExitKind.ABNORMAL, error=name, traceback=text[-_TEXT_LIMIT:])


def _traceback_of(error: Exception, name: str) -> str:
    """Return the usual text; of a lone error without the marks below its lines, which cost most."""
    if error.__context__ or error.__cause__ or isinstance(error, ExceptionGroup):
        return "".join(traceback.format_exception(error))
    lines = ["Traceback (most recent call last):"]
    for frame, number in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {number}, in {code.co_name}')
        source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
        if source:
            lines.append(f"    {source}")
    return "\n".join([*lines, name, *getattr(error, "__notes__", ()), ""])


def _forget_frames(error: BaseException) -> None:
    """Clear the tracebacks of an error and of all it was made of: frames pin memory."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        todo += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions


def _stacks(task: Task) -> Iterator[str]:
    summary = traceback.StackSummary.extract(task.iter_await_frames())
    yield f"task {task.name}:\n" + "".join(summary.format())
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _stacks(child)
