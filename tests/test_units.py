"""The unit files: what systemd says of them, and that their figures fit the daemon's."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobping.daemon import GRACE_PERIOD_S, WATCHDOG_S
from jobping.settings import Overrides, load
from supervisors._watchdog import FORCED_EXIT_AFTER

UNITS = Path(__file__).parents[1] / "systemd"
SERVICES = ("jobping.service", "jobping@.service")
BACK_OFF = "RestartSteps|RestartMaxDelaySec"  # unknown before systemd 254
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def systemd_version() -> int:
    found = re.search(r"systemd (\d+)", analyze("--version").stdout)
    assert found
    return int(found[1])


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(encoding="utf-8"), re.MULTILINE)


def seconds(unit: str, key: str) -> float:
    [text] = values(unit, key)
    found = re.fullmatch(r"(\d+)(s|min)", text)
    assert found
    return float(found[1]) * {"s": 1, "min": 60}[found[2]]


@needs_systemd
@pytest.mark.parametrize("name", [*SERVICES, "jobping-alert@.service"])
def test_systemd_understands_every_line_of_the_unit(tmp_path: Path, name: str) -> None:
    for unit in UNITS.glob("*.service"):
        text = unit.read_text(encoding="utf-8").replace("/opt/jobping/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text.replace("/opt/jobping", str(tmp_path)))
    unit = tmp_path / name.replace("@", "@one")
    if "@" in name:
        unit.write_text((tmp_path / name).read_text())
    verified = analyze("verify", "--man=no", unit)
    complaints = [
        line
        for line in verified.stderr.splitlines()
        if systemd_version() >= 254
        or not re.search(f"Unknown key (?:name )?'(?:{BACK_OFF})' in section", line)
    ]
    assert complaints == []
    assert verified.returncode == 0 or systemd_version() < 254


@needs_systemd
def test_systemd_does_say_when_a_line_is_wrong(tmp_path: Path) -> None:
    text = (UNITS / "jobping.service").read_text().replace("ProtectHome=yes", "ProtectHomes=yes")
    (tmp_path / "jobping.service").write_text(text)
    verified = analyze("verify", "--man=no", tmp_path / "jobping.service")
    assert "ProtectHomes" in verified.stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_sandbox_leaves_little_exposed(name: str) -> None:
    judged = analyze("security", "--offline=true", "--threshold=12", UNITS / name)
    print(judged.stdout.splitlines()[-1])
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_times_of_the_unit_exceed_those_of_the_daemon(name: str) -> None:
    assert seconds(name, "TimeoutStopSec") >= GRACE_PERIOD_S + FORCED_EXIT_AFTER + 10
    assert seconds(name, "WatchdogSec") == WATCHDOG_S


def test_template_differs_from_the_unit_in_names_alone() -> None:
    def lines(name: str) -> list[str]:
        text = (UNITS / name).read_text(encoding="utf-8").replace(":jobping-%i.", ":")
        text = re.sub(r"^LoadCredential=(\w+):\1$", r"LoadCredential=\1", text, flags=re.MULTILINE)
        text = text.replace("jobping-%i", "jobping").replace("JobPing %i", "JobPing")
        return [line for line in text.splitlines() if not line.startswith("#")]

    assert lines("jobping@.service") == lines("jobping.service")


def test_wrong_configuration_alone_is_not_restarted() -> None:
    assert values("jobping.service", "Restart") == ["always"]
    assert values("jobping.service", "RestartPreventExitStatus") == ["78"]


def test_crash_leaves_no_core_file_with_secrets() -> None:
    assert values("jobping.service", "LimitCORE") == ["0"]


def test_credentials_are_those_that_the_settings_read() -> None:
    code = "".join(p.read_text() for p in (UNITS.parent / "jobping/settings").glob("*.py"))
    for name in values("jobping.service", "LoadCredential"):
        assert f'"{name.upper()}"' in code or f'"JOBPING_{name.upper()}"' in code


def test_example_configuration_is_right(tmp_path: Path) -> None:
    file = tmp_path / "jobping.toml"
    file.write_text((UNITS / "jobping.toml").read_text(encoding="utf-8"))
    file.chmod(0o644)
    assert load(Overrides(config=file), environ={"HOME": str(tmp_path)}).profiles


def test_guide_names_every_file_of_the_folder() -> None:
    guide = (UNITS / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in UNITS.iterdir() if p.name != "README.md" and p.name not in guide] == []
