"""A machine of its own for one test: systemd booted by systemd-nspawn on a copy of this system.

The copy is an overlay in memory, within a mount namespace of its own, so that nothing stays behind.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parents[2]
BOOT_S = 60.0
PYTHON = "/usr/bin/python3"
SCRIPT = """
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
rm -rf "$1"/root/etc/systemd/system/*.wants "$1/root/etc/machine-id" "$1/root/etc/fstab"
rm -rf "$1"/root/var/log/journal "$1"/root/{etc,opt,var/lib,var/cache}/jobping
touch "$1/root/etc/machine-id"
mkdir -p "$1/root/opt/jobping"
cp -a "$2/." "$1/root/opt/jobping"
exec systemd-nspawn --directory="$1/root" --machine=jobping-test --register=no --keep-unit \\
    --link-journal=no --console=pipe --boot -- systemd.unit=multi-user.target
"""
"""Arguments: an empty directory, and what becomes /opt/jobping."""


def why_not() -> str | None:
    """Return in a word why no machine can be booted here."""
    if os.geteuid() != 0:
        return "not root"
    for program in ("systemd-nspawn", "unshare", "nsenter", "journalctl"):
        if shutil.which(program) is None:
            return f"no {program} (Debian: systemd-container, util-linux)"
    if not Path("/lib/systemd/systemd").exists():
        return "this system has no systemd to boot"
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not Path(PYTHON).exists() or not Path(PYTHON).resolve().name.endswith(ours):
        return f"{PYTHON} is not Python {ours}"
    mounts = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay overlay"
    mounts += " -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
    tried = subprocess.run(["unshare", "--mount", "sh", "-c", mounts], capture_output=True)
    return None if tried.returncode == 0 else "no right to mount an overlay in a namespace"


def install(target: Path, work: Path) -> None:
    """Make what becomes /opt/jobping: the wheel, beside the packages that these tests run on."""
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(work), str(ROOT)],
        capture_output=True,
        text=True,
    )
    if built.returncode != 0:
        pytest.skip(f"the wheel cannot be built: {built.stderr.strip()[-200:]}")
    [wheel] = work.glob("*.whl")
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--copies", str(target)], check=True)
    [packages] = target.glob("lib/python3*/site-packages")
    unwanted = shutil.ignore_patterns("jobping*", "_jobping*", "__editable__*", "pip", "mypy*")
    shutil.copytree(sysconfig.get_path("purelib"), packages, dirs_exist_ok=True, ignore=unwanted)
    shutil.unpack_archive(wheel, packages, "zip")
    shutil.copy(ROOT / "tests/daemon/hung_program.py", packages)


@attrs.frozen
class Machine:
    """A booted machine.

    Attributes:
        leader: Its first process, as this system numbers it.
    """

    leader: int

    def run(
        self, *command: str, stdin: str = "", within_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-p", "-C", "-r", "-w"]
        return subprocess.run(
            [*enter, *command], input=stdin, capture_output=True, text=True, timeout=within_s
        )

    def say(self, *command: str, within_s: float = 120.0) -> str:
        """Run a command that must do; return what it prints."""
        done = self.run(*command, within_s=within_s)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Put a file there."""
        done = self.run("sh", "-c", 'mkdir -p "${0%/*}" && cat > "$0"', path, stdin=text)
        assert done.returncode == 0, done.stderr

    def show(self, unit: str, name: str) -> str:
        return self.say("systemctl", "show", "--value", "-p", name, unit)

    def wait_for(self, unit: str, name: str, *values: str, within_s: float = 60.0) -> float:
        """Wait until a property of a unit is one of these; return how many seconds it took."""
        began = time.monotonic()
        while (value := self.show(unit, name)) not in values:
            assert time.monotonic() - began < within_s, (unit, name, value, self.log(unit)[-5:])
            time.sleep(0.1)
        return time.monotonic() - began

    def log(self, unit: str, event: str | None = None) -> list[Mapping[str, Any]]:
        """Return the lines of a unit's log that are events, or those of one name."""
        text = self.say("journalctl", "-u", unit, "-o", "json", "--all", "--no-pager")
        messages = [json.loads(line)["MESSAGE"] for line in text.splitlines()]
        lines = [json.loads(one) for one in messages if str(one).startswith('{"ts"')]
        return [line for line in lines if event in (None, line["event"])]


@contextmanager
def boot(work: Path) -> Iterator[Machine]:
    """Boot a machine with the wheel under /opt/jobping; it is switched off with the block.

    Args:
        work: An empty directory.
    """
    place, wheel, venv = (work / name for name in ("machine", "wheel", "venv"))
    for folder in (place, wheel):
        folder.mkdir()
    install(venv, wheel)
    command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", SCRIPT, "boot"]
    with (work / "console").open("w") as console:
        nspawn = subprocess.Popen(
            [*command, str(place), str(venv)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
    try:
        yield _booted(nspawn, work / "console")
    finally:
        nspawn.terminate()  # which switches the machine off in order
        with contextlib.suppress(subprocess.TimeoutExpired):
            nspawn.wait(BOOT_S)
        nspawn.kill()
        nspawn.wait()


def _booted(nspawn: "subprocess.Popen[bytes]", console: Path) -> Machine:
    deadline = time.monotonic() + BOOT_S
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    while time.monotonic() < deadline:
        if nspawn.poll() is not None:
            pytest.skip(f"systemd-nspawn: {console.read_text().strip()[-300:]}")
        for child in children.read_text().split():
            machine = Machine(int(child))
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    state = machine.run("systemctl", "is-system-running").stdout.strip()
                    if state in ("running", "degraded"):
                        return machine
        time.sleep(0.2)
    pytest.skip(f"the machine does not come up: {console.read_text().strip()[-300:]}")
