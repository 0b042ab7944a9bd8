"""`quick_program` with a calendar that a file moves: so many seconds ahead, or behind."""

import argparse
import datetime as dt
from pathlib import Path

import attrs
import trio

from jobping.clock import Clock
from jobping.daemon import _Daemon, _Plan
from tests.daemon.quick_program import quick


@attrs.frozen
class Jumping(Clock):
    """The wall clock, moved by what a file holds."""

    file: Path

    def utcnow(self) -> dt.datetime:
        """Return the moved time."""
        text = self.file.read_text() if self.file.exists() else "0"
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(text))


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    parser.add_argument("--state-dir", type=Path)
    options = parser.parse_args()
    daemon = _Daemon(
        settings=quick(options.config, options.state_dir),
        plan=_Plan(once=False, cycle_s=45.0),
        clock=Jumping(options.config.with_name("jump")),
    )
    raise SystemExit(trio.run(daemon.run).code)


if __name__ == "__main__":
    main()
