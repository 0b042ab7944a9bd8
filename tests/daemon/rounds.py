"""Demo runs that several tests look at, and what their worlds must hold."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.daemon.processes import Ended, Home, open_home, rows, run

CONTENT = (
    "SELECT source, external_id, encode(content_hash, 'hex') AS hash FROM posting ORDER BY 1, 2"
)
KINDS = ("recorded", "recorded-trimmed", "rebuilt")
OTHER_ROUTES = ("greenhouse/netlify_departments.json",)
SOURCES = {
    "arbeitnow", "ashby", "greenhouse", "jobicy", "lever", "personio", "recruitee", "remoteok",
    "remotive", "smartrecruiters",
}  # fmt: skip
LINK = re.compile(r"^ {4}(https?://\S+)$", re.MULTILINE)
"""The link of each posting in the text of a digest."""
REPEATED = {"jobicy": 4, "personio": 1}
"""Postings that the recorded answers of a source hold once more; design/sources.md section 18."""


@attrs.frozen(kw_only=True)
class Rounds:
    """Two runs of `demo --once --json`, one after the other, on one state.

    Attributes:
        arguments: What the demo was told of its world.
        content: Source, id and content hash of every posting afterwards.
        hour: When it was, in hours since 1970.
    """

    home: Home
    arguments: tuple[str | Path, ...]
    first: Ended
    second: Ended
    content: list[dict[str, Any]]
    hour: int

    @property
    def is_over(self) -> bool:
        """Whether another run would find another world, as the synthetic one is an hour's."""
        return "--recordings" not in self.arguments and _hour() != self.hour


@contextmanager
def two_rounds(*arguments: str | Path) -> Iterator[Rounds]:
    """Run the demo twice within one hour, because the synthetic world changes with the hour."""
    with open_home() as early, open_home() as late:
        rounds = trio.run(_two_rounds, early, arguments)
        if rounds.is_over:
            rounds = trio.run(_two_rounds, late, arguments)
        yield rounds


def _hour() -> int:
    return int(time.time() // 3600)


async def _two_rounds(home: Home, arguments: tuple[str | Path, ...]) -> Rounds:
    hour = _hour()
    first = await run("demo", "--once", "--json", *arguments, home=home)
    second = await run("demo", "--once", "--json", *arguments, home=home)
    return Rounds(
        home=home,
        arguments=arguments,
        first=first,
        second=second,
        content=await rows(CONTENT, home=home),
        hour=hour,
    )


def count_by_index(recordings: Path) -> dict[str, int]:
    """Return how many items the recorded answers of each source's reliable route hold."""
    counts = dict.fromkeys(SOURCES, 0)
    for entry in json.loads((recordings / "INDEX.json").read_text(encoding="utf-8")):
        is_real = entry["kind"] in KINDS and entry["status"] == 200
        if is_real and entry["source"] in counts and entry["file"] not in OTHER_ROUTES:
            counts[entry["source"]] += entry["jobs_count"]
    return counts
