"""`python -m tests.bench`: measure the suites and judge the goals.

Exit codes: 0, every goal is met; 1, one is missed or was not judged; 2, it could not run.
"""

import argparse
import functools
import json
import os
import platform
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path

import attrs

from tests.bench.contender import SUITES, load_shapes
from tests.bench.driver import (
    ROOT,
    Machine,
    Result,
    Verdict,
    exit_code,
    lines,
    load_goals,
    measure,
)

ENVIRONMENT = Path.home() / ".cache" / "jobping-bench"
QUICKER = 20  # times less units in a quick run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--suite", choices=SUITES, help="this one instead of all")
    parser.add_argument("--rounds", type=rounds, default=5, help="at least so many (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one round of few units, unjudged")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--environment", type=folder, default=ENVIRONMENT, help="of the peers")
    parser.add_argument("--install", action="store_true", help="make that environment, and end")
    parser.add_argument("--allow-absent", action="store_true", help="excuse what has no peer here")
    return parser.parse_args()


def rounds(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def folder(text: str) -> Path:
    return Path(text).resolve()  # contenders run elsewhere


def install(environment: Path) -> None:
    """Install the project and its peers into an environment of their own."""
    venv.create(environment, with_pip=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)  # `--group` needs 25.1
    subprocess.run(
        [*pip, "--editable", str(ROOT), "--group", f"{ROOT}/pyproject.toml:bench"], check=True
    )


def report(results: list[Result], environment: Path) -> str:
    """Return all figures as JSON."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    commit = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    peers = [str(path) for path in environment.glob("lib/python*/site-packages")]
    return json.dumps(
        {
            "schema": 1,
            "commit": commit.strip(),
            "machine": f"{platform.platform()} {os.cpu_count()} cores {platform.python_version()}",
            "packages": {"ours": packages(sys.path), "peers": packages(peers)},
            "suites": [attrs.asdict(result) for result in results],
        },
        default=lambda choice: choice.value,
        indent=1,
    )


def packages(path: list[str]) -> list[str]:
    return sorted(f"{found.name} {found.version}" for found in distributions(path=path))


def main() -> int:
    given = arguments()
    if given.install:
        install(given.environment)
        return 0
    python = Path(sys.executable)
    peers = given.environment / "bin" / "python"
    machine = Machine(
        python=python,
        peers=peers if peers.exists() else python,
        core=max(os.sched_getaffinity(0)),
    )
    results = []
    for suite in [given.suite] if given.suite else SUITES:
        for shape in load_shapes(suite):
            units = shape.units // QUICKER if given.quick else shape.units
            launch = functools.partial(machine.launch, suite, shape, units=units)
            goals = () if given.quick else load_goals(suite, shape.name)
            least = 1 if given.quick else given.rounds
            results.append(measure(shape, suite, goals, least, launch))
            print("\n".join(lines(results[-1])), flush=True)
    if given.json is not None:
        given.json.write_text(report(results, given.environment), encoding="utf-8")
    excused = frozenset({Verdict.NOT_JUDGED} if given.allow_absent else ())
    return exit_code(results, excused)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
