"""The command `jobping`, also as `python -m jobping`."""

import os
import sys
from pathlib import Path

from jobping.early import EarlySignals

DAEMONS = ("run", "demo")


def _open_closed_streams() -> None:
    """Give what our starter has closed: else the next file that is opened becomes stdout."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115  as long as the process lives
            setattr(sys, name, stream)


def main() -> int:
    """Run one command; a daemon is ready for signals before its parts are even imported."""
    _open_closed_streams()
    if any(word in DAEMONS for word in sys.argv[1:2]):
        EarlySignals().install()
    from jobping import cli  # here: it takes a noticeable part of a second

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
