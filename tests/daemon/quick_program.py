"""`jobping run` with all its parts, but with seconds between two polls and two digests."""

import argparse
from functools import partial
from pathlib import Path

import attrs

from jobping.core.schedule import DigestRules, When
from jobping.daemon import run
from jobping.settings import Overrides, RunOptions, Settings, load
from jobping.sources.source import Pace

PACE = Pace(per_hour=36_000.0, burst=5, poll_every_s=2.0)
RULES = DigestRules(when=When.INSTANT, every_s=3.0, most_a_day=1_000_000)


def quick(config: Path | None, state_dir: Path | None) -> Settings:
    """Return the settings of a file, with seconds between two polls and two digests."""
    settings = load(Overrides(config=config, state_dir=state_dir))
    sources = tuple(attrs.evolve(source, pace=PACE) for source in settings.sources)
    return attrs.evolve(settings, sources=sources, digest=RULES)


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    parser.add_argument("--state-dir", type=Path)
    options = parser.parse_args()
    read = partial(quick, options.config, options.state_dir)
    raise SystemExit(run(read(), RunOptions(), read).code)


if __name__ == "__main__":
    main()
