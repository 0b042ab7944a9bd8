"""What the daemon stands on: its configuration, unit, clock and disk."""

import datetime as dt
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jobping.clock import Clock
from jobping.core.finding import Finding, judged, skipped
from jobping.settings import Settings, known_source
from jobping.store.bridge import Connection, Database
from jobping.store.cluster import make_parents

UNIT: Final = "jobping.service"
UNIT_DIRS: Final = tuple(
    Path(name)
    for name in (
        "/usr/lib/systemd/system",
        "/usr/local/lib/systemd/system",
        "/run/systemd/system",
        "/etc/systemd/system",
    )
)
"""Where systemd reads, the strongest last."""
STOP_MARGIN_S: Final = 20.0  # PostgreSQL's fast stop, the log, and the forced exit
MOST_SKEW_S: Final = 1.0  # half of the margin by which a lease ends before the database's clock
LEAST_FREE: Final = 512 * 1024**2
_UNITS_S: Final = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "": 1}


def check_config(settings: Settings, today: dt.date) -> Finding:
    """Judge what loading alone does not: keys that boards lack, models that cannot be asked."""
    wrong = []
    for name in sorted({board.source for board in settings.boards}):
        why = settings.why_off(known_source(name))
        if why is not None:
            wrong.append(f"boards of {name} are not polled: {why}")
    for model in settings.llm.models if settings.llm.is_on else ():
        why = settings.budget.prices.why_not(model, today)
        if why is not None:
            wrong.append(f"model {model}: {why}")
    said = sum(value.origin != "default" for value in settings.origins)
    file = settings.config_file or "no configuration file"
    figure = f"{file}; {said} of {len(settings.origins)} values set"
    if settings.exposed:
        names = ", ".join(variable for _name, variable in settings.exposed)
        figure += f"; in a plain variable, which others can see: {names}"
    return judged(
        "config",
        "; ".join([figure, *wrong]),
        holds=not wrong,
        advice="add the key or take the boards out; name models that `jobping budget prices` has",
    )


def check_unit(folders: Sequence[Path], *, drain_s: float, watchdog_s: float) -> Finding:
    """Judge the installed unit, drop-ins included.

    Args:
        drain_s: The longest that a stop in order takes.
        watchdog_s: What the daemon's signs of life are made for.
    """
    values = _unit_values(folders)
    if values is None:
        return skipped("unit", f"no {UNIT} is installed here")
    stop_s, watched_s = (_seconds(values.get(key, "")) for key in ("TimeoutStopSec", "WatchdogSec"))
    needed_s = drain_s + STOP_MARGIN_S
    wrong = []
    if stop_s is None or stop_s < needed_s:
        wrong.append(f"TimeoutStopSec must be at least {needed_s:g}s")
    if watched_s is None or 0 < watched_s < watchdog_s:
        wrong.append(f"WatchdogSec must be at least {watchdog_s:g}s")
    for key, wanted in (
        ("Type", "notify"),
        ("KillMode", "mixed"),
        ("Restart", "always"),
        ("RestartPreventExitStatus", "78"),
    ):
        if values.get(key) != wanted:
            wrong.append(f"{key}={wanted}")
    figure = f"stops within {_shown(stop_s)}, a drain takes up to {drain_s:g} s"
    return judged(
        "unit",
        figure,
        holds=not wrong,
        advice=f"in `systemctl edit {UNIT}`: {', '.join(wrong)}; then systemctl daemon-reload",
    )


def _unit_values(folders: Sequence[Path]) -> dict[str, str] | None:
    """Return the last value of each key of the unit; None: there is no unit."""
    files = [folder / UNIT for folder in folders if (folder / UNIT).is_file()][-1:]
    if not files:
        return None
    dropped = [file for folder in folders for file in (folder / f"{UNIT}.d").glob("*.conf")]
    by_name = {file.name: file for file in dropped}
    values: dict[str, str] = {}
    for file in [*files, *(by_name[name] for name in sorted(by_name))]:
        text = file.read_text(encoding="utf-8", errors="replace")
        values.update(re.findall(r"^(\w+)=[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
    return values


def _seconds(text: str) -> float | None:
    """Read a time as systemd writes it; 0 and `infinity` are no limit."""
    if text in ("infinity", "0"):
        return float("inf") if text == "infinity" else 0.0
    parts = re.findall(r"([0-9.]+)\s*([a-z]*)", text)
    if not parts or any(unit not in _UNITS_S for _number, unit in parts):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _shown(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else f"{seconds:g} s"


async def _database_now(connection: Connection) -> dt.datetime:
    moment = await connection.fetchval("SELECT clock_timestamp()")
    assert isinstance(moment, dt.datetime)  # noqa: S101  that is the column's type
    return moment


async def check_clock(database: Database, clock: Clock) -> Finding:
    """Compare our clock with the database's, by the quickest of five answers."""
    found: list[tuple[float, float]] = []
    for _ in range(5):
        before = clock.utcnow()
        theirs = await database.run(_database_now)
        took_s = (clock.utcnow() - before).total_seconds()
        middle = before + dt.timedelta(seconds=took_s / 2)
        found.append((took_s, abs((theirs - middle).total_seconds())))
    skew_s = min(found)[1]
    return judged(
        "clock",
        f"{skew_s * 1000:.1f} ms from the database's, at most {MOST_SKEW_S:g} s",
        holds=skew_s <= MOST_SKEW_S,
        advice="let NTP set the clock of both machines: timedatectl set-ntp true",
    )


def check_disk(state_dir: Path) -> Finding:
    """Write a file into the state directory, and see how much room is left."""
    advice = f"make room at {state_dir}, or name another --state-dir"
    try:
        make_parents(state_dir)
        with tempfile.TemporaryFile(dir=state_dir) as file:
            file.write(b"check")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(state_dir).free
    except OSError as error:
        advice = f"let {state_dir} belong to the daemon's user, or name another --state-dir"
        return judged("disk", f"{state_dir}: {error.strerror or error}", holds=False, advice=advice)
    return judged(
        "disk",
        f"{state_dir} can be written, {free // 1024**2} MiB free of {LEAST_FREE // 1024**2} needed",
        holds=free >= LEAST_FREE,
        advice=advice,
    )
