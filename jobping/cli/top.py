"""`jobping top`: the daemon live."""

import argparse
import contextlib
import os
import queue
import select
import signal
import termios
import threading
import tty
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.live import Live

from jobping.cli.parser import Commands, UsageError
from jobping.cli.screen import Order, Picture
from jobping.cli.watch import Answer, Watch, add_stream_options, now
from jobping.errors import StreamFailed
from jobping.monitor.stream import Stream

FRAME_S: Final = 1.0
LOOK_S: Final = 0.25
"""How often the stream and the keyboard are looked at."""
ASK_EVERY_S: Final = 5.0
BEGIN_S: Final = 2.0  # to read what was written before, until the first picture


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "top",
        "the daemon live: sites, budget, parts, events",
        group="watch and steer",
        details="Follows the journal or a log, from six hours back, and asks the daemon itself"
        " where it answers. Keys: t, n, x, p sort the sites, q quits.",
        examples=[
            "jobping top",
            "jobping top --once                      one picture, also without a terminal",
            "jobping run | tee log.json | jobping top --file -",
        ],
    )
    parser.add_argument("--once", action="store_true", help="print one picture and stop")
    add_stream_options(parser)
    parser.set_defaults(command=show)


def show(arguments: argparse.Namespace) -> int:
    """Show pictures until `q` or Ctrl-C, or one."""
    watch, console = Watch.of(arguments), Console(highlight=False)
    if getattr(arguments, "once", False):
        watch.read_all()
        watch.take(watch.ask())
        console.print(Picture(state=watch.state, now=now(), note=watch.note))
        return 0
    if not console.is_terminal:
        raise UsageError("top: this is no terminal; --once prints one picture")
    with contextlib.suppress(KeyboardInterrupt), _interrupted_by(signal.SIGTERM, signal.SIGHUP):
        _follow(watch, console)
    return 0


def _follow(watch: Watch, console: Console) -> None:
    order, drawn_at = Order.TROUBLE, 0.0
    with (
        _opened(watch) as stream,
        _answers(watch) as answers,
        _keyboard() as keyboard,
        Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
    ):
        _catch_up(watch, stream)
        while True:
            _read(watch, stream)
            with contextlib.suppress(queue.Empty):
                watch.take(answers.get_nowait())
            for key in _pressed(keyboard):
                if key == "q":
                    return
                order, drawn_at = Order(key), 0.0
            if not 0 <= now() - drawn_at < FRAME_S:
                drawn_at = now()
                picture = Picture(
                    state=watch.state,
                    now=drawn_at,
                    order=order,
                    note=watch.note,
                    height=console.height,
                    has_keys=keyboard is not None,
                )
                live.update(picture, refresh=True)


@contextlib.contextmanager
def _opened(watch: Watch) -> Iterator[Stream | None]:
    """Open the stream; without one that was asked for by name, the daemon's answers must do."""
    with contextlib.ExitStack() as stack:
        stream: Stream | None = None
        try:
            stream = stack.enter_context(watch.opened(follow=True))
        except StreamFailed as error:
            if watch.is_chosen:
                raise
            watch.source = str(error)
        yield stream


def _catch_up(watch: Watch, stream: Stream | None) -> None:
    """Read what was written before, so that the first picture is none of an empty log."""
    until = now() + BEGIN_S
    while stream is not None and now() < until:
        if not _read(watch, stream, within_s=LOOK_S) and watch.state.current is not None:
            break
    if stream is not None and stream.failed:
        watch.source = stream.failed


def _read(watch: Watch, stream: Stream | None, within_s: float = 0.0) -> bool:
    """Take in what has come; return whether anything has."""
    if stream is None:
        return False
    count = 0
    try:
        for item in stream.read(within_s):
            count += 1
            watch.state.note(item)
    except StreamFailed as error:
        watch.source = str(error)
    else:
        if stream.ended:
            watch.source = f"{stream.name} has ended"
    return count > 0


@contextlib.contextmanager
def _answers(watch: Watch) -> "Iterator[queue.SimpleQueue[Answer]]":
    """Ask the daemon again and again beside the picture, which must not wait for it."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answers.put(watch.ask())
            ended.wait(ASK_EVERY_S)

    threading.Thread(target=ask, name="asking", daemon=True).start()
    try:
        yield answers
    finally:
        ended.set()


@contextlib.contextmanager
def _keyboard() -> Iterator[int | None]:
    """Let single keys be read from the terminal, also where standard input is the stream."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        os.close(terminal)


def _pressed(keyboard: int | None) -> list[str]:
    """Wait a little for keys and return those that mean something."""
    watched = [] if keyboard is None else [keyboard]
    if not select.select(watched, [], [], LOOK_S)[0] or keyboard is None:
        return []
    try:
        typed = os.read(keyboard, 64).decode("ascii", "replace")
    except OSError:  # the terminal is gone
        typed = ""
    known = {"q", *(order.value for order in Order)}
    return [key for key in typed or "q" if key in known]


@contextlib.contextmanager
def _interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """End by these signals as by Ctrl-C, so that the terminal is left as it was found.

    Ctrl-Z does nothing: a picture that is stopped would leave the shell on its screen.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
