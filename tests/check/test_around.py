"""What the daemon stands on: each fault is seen, with advice."""

import datetime as dt
import shutil
from pathlib import Path

import attrs
import pytest

from jobping.check.around import check_clock, check_config, check_disk, check_unit
from jobping.clock import Clock
from jobping.core.board import Board
from jobping.core.finding import Finding, Verdict
from jobping.core.ids import SourceName
from jobping.daemon import GRACE_PERIOD_S, WATCHDOG_S
from jobping.settings import LlmSettings, Secret, Settings
from jobping.store.bridge import Database

UNITS = Path(__file__).parents[2] / "systemd"
TODAY = dt.date(2026, 11, 1)


def fails(found: Finding, figure: str, advice: str) -> None:
    assert found.verdict is Verdict.FAILS
    assert figure in found.figure
    assert advice in found.advice


def test_defaults_are_a_good_configuration(tmp_path: Path) -> None:
    assert check_config(Settings(state_dir=tmp_path), TODAY).verdict is Verdict.HOLDS


def test_board_without_its_key_is_found(tmp_path: Path) -> None:
    boards = (Board(source=SourceName("reed"), slug="python"),)
    found = check_config(Settings(state_dir=tmp_path, boards=boards), TODAY)
    fails(found, "boards of reed are not polled", "add the key")


def test_model_that_was_shut_down_or_has_no_price_is_found(tmp_path: Path) -> None:
    llm = LlmSettings(api_key=Secret("sk-something"))
    settings = Settings(state_dir=tmp_path, llm=llm)
    assert check_config(settings, TODAY).verdict is Verdict.HOLDS
    table, first = settings.budget.prices, llm.models[0]
    price = attrs.evolve(table.prices[first], shutdown=TODAY)
    prices = attrs.evolve(table, prices={**table.prices, first: price})
    retired = attrs.evolve(settings, budget=attrs.evolve(settings.budget, prices=prices))
    fails(check_config(retired, TODAY), f"model {first}: shut down on {TODAY}", "name models")
    unknown = attrs.evolve(settings, llm=attrs.evolve(llm, models=("gpt-none",)))
    fails(check_config(unknown, TODAY), "model gpt-none", "name models")


def test_secret_in_a_plain_variable_is_named_but_not_shown(tmp_path: Path) -> None:
    exposed = (("openai_api_key", "OPENAI_API_KEY"),)
    found = check_config(Settings(state_dir=tmp_path, exposed=exposed), TODAY)
    assert found.verdict is Verdict.HOLDS
    assert "others can see: OPENAI_API_KEY" in found.figure


def unit(folders: list[Path]) -> Finding:
    return check_unit(folders, drain_s=GRACE_PERIOD_S, watchdog_s=WATCHDOG_S)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    folder = tmp_path / "system"
    folder.mkdir()
    shutil.copy(UNITS / "jobping.service", folder)
    return folder


def test_unit_of_the_repository_holds_and_a_missing_one_is_skipped(
    installed: Path, tmp_path: Path
) -> None:
    assert unit([tmp_path, installed]).verdict is Verdict.HOLDS
    assert unit([tmp_path]).verdict is Verdict.SKIPPED


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("TimeoutStopSec=64s", "TimeoutStopSec must be at least 65s"),
        ("TimeoutStopSec=1min 4s", "TimeoutStopSec must be at least 65s"),
        ("TimeoutStopSec=soon", "TimeoutStopSec must be at least 65s"),
        ("WatchdogSec=30", "WatchdogSec must be at least 60s"),
        ("KillMode=control-group", "KillMode=mixed"),
        ("RestartPreventExitStatus=", "RestartPreventExitStatus=78"),
        ("Type=simple", "Type=notify"),
    ],
)
def test_drop_in_that_breaks_the_unit_is_found(installed: Path, line: str, advice: str) -> None:
    dropped = installed / "jobping.service.d"
    dropped.mkdir()
    (dropped / "override.conf").write_text(f"[Service]\n{line}\n")
    fails(unit([installed]), "a drain takes up to 45 s", advice)


@pytest.mark.parametrize(
    "line", ["TimeoutStopSec=infinity", "TimeoutStopSec=2min", "WatchdogSec=0"]
)
def test_longer_times_are_no_fault(installed: Path, line: str) -> None:
    dropped = installed / "jobping.service.d"
    dropped.mkdir()
    (dropped / "override.conf").write_text(f"[Service]\n{line}\n")
    assert unit([installed]).verdict is Verdict.HOLDS


@attrs.frozen
class Fast(Clock):
    """A clock that goes wrong."""

    def utcnow(self) -> dt.datetime:
        return super().utcnow() + dt.timedelta(seconds=1.5)


async def test_clock_beside_the_databases(database: Database) -> None:
    assert (await check_clock(database, Clock())).verdict is Verdict.HOLDS
    fails(
        await check_clock(database, Fast()),
        "ms from the database's, at most 1 s",
        "let NTP set the clock",
    )


def test_state_directory_is_written_and_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_disk(tmp_path / "state").verdict is Verdict.HOLDS
    assert [*(tmp_path / "state").iterdir()] == []
    fails(check_disk(Path("/proc/jobping")), "/proc/jobping: ", "belong to the daemon's user")
    (tmp_path / "file").touch()
    fails(check_disk(tmp_path / "file"), "/file: ", "name another --state-dir")
    usage = shutil.disk_usage(tmp_path)._replace(free=100 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    fails(check_disk(tmp_path), "100 MiB free of 512 needed", "make room")
