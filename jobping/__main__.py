"""The command `jobping`, also as `python -m jobping`."""

import sys

from jobping.early import EarlySignals

DAEMONS = ("run", "demo")


def main() -> int:
    """Run one command; a daemon is ready for signals before its parts are even imported."""
    if any(word in DAEMONS for word in sys.argv[1:2]):
        EarlySignals().install()
    from jobping import cli  # here: it takes a noticeable part of a second

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
