"""`jobping run` with all its parts, but with seconds between two polls and two digests."""

import argparse
from pathlib import Path

import attrs

from jobping.core.schedule import DigestRules, When
from jobping.daemon import run
from jobping.settings import Overrides, RunOptions, Settings, load
from jobping.sources.source import Pace

PACE = Pace(per_hour=36_000.0, burst=5, poll_every_s=2.0)
RULES = DigestRules(when=When.INSTANT, every_s=3.0, most_a_day=1_000_000)


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    parser.add_argument("--state-dir", type=Path)
    options = parser.parse_args()

    def read() -> Settings:
        settings = load(Overrides(config=options.config, state_dir=options.state_dir))
        sources = tuple(attrs.evolve(source, pace=PACE) for source in settings.sources)
        return attrs.evolve(settings, sources=sources, digest=RULES)

    raise SystemExit(run(read(), RunOptions(), read).code)


if __name__ == "__main__":
    main()
