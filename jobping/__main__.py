"""The command `jobping`, also as `python -m jobping`."""

import sys

from jobping.cli import main

if __name__ == "__main__":
    sys.exit(main())
