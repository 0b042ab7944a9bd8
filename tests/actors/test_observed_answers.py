"""Every error and empty answer of the recordings, sent as it was seen: how the poll ends.

Skipped where the shared folder is absent.
"""

import json

import pytest
import trio

from jobping.actors.poll import Health, judge
from jobping.core.board import Coverage
from jobping.core.closing import Proof, proof_of
from jobping.core.walk import BoardGone, Complete, Drift, Limited, Partial, WalkEnd
from tests.actors.rig import Rig
from tests.actors.test_poll import Polls
from tests.doubles.fault_server import After, Received, open_fault_server, respond
from tests.sources.conftest import RECORDINGS, SLUGS, source_named

GONE = BoardGone(status=404)
ENDS: dict[str, tuple[WalkEnd, Health]] = {
    **dict.fromkeys(
        (
            "greenhouse/404_jobs.json", "greenhouse/404_board.json", "lever/404.json",
            "ashby/404.txt", "workable/404.txt", "recruitee/404.json",
        ),
        (GONE, Health.NEUTRAL),
    ),
    **dict.fromkeys(
        (
            "recruitee/empty.json", "greenhouse/empty_shape.json", "lever/empty_shape.json",
            "ashby/empty_shape.json", "smartrecruiters/empty_shape.json",
            "personio/empty_shape.xml", "workday/empty_shape.json", "breezy/empty_shape.json",
            "bamboohr/empty_shape.json",
        ),
        (Complete(), Health.GOOD),
    ),
    "bamboohr/302_unknown.html": (BoardGone(status=302), Health.NEUTRAL),
    "ashby/502.html": (Partial(reason="502"), Health.BAD),
    "workable/429.html": (Limited(reason="429"), Health.BAD),
    "workable/302_old_host.html": (
        Drift(reason="redirected to apply.workable.com, another site"), Health.BAD,
    ),
    "workday/303_apply.html": (Partial(reason="403"), Health.BAD),
}  # fmt: skip
"""The end of the walk, and what it says of the site."""


@pytest.fixture(scope="module")
def observed() -> dict[str, dict[str, object]]:
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    entries = json.loads((RECORDINGS / "INDEX.json").read_bytes())
    return {
        entry["file"]: entry
        for entry in entries
        if entry["kind"] == "observed-answer"
        or (entry["kind"] == "shape-only" and entry["jobs_count"] == 0)
    }


def test_every_error_and_empty_answer_of_the_recordings_has_an_outcome(
    observed: dict[str, dict[str, object]],
) -> None:
    assert set(observed) == set(ENDS)


@pytest.mark.parametrize("file", ENDS)
async def test_observed_answer_ends_the_walk_as_it_should_and_closes_nothing(
    rig: Rig, observed: dict[str, dict[str, object]], file: str
) -> None:
    entry = observed[file]
    fields = dict(entry.get("headers") or {}) | {"content-type": entry["content_type"]}
    first = respond(
        (RECORDINGS / file).read_bytes(),
        status=entry["status"],
        headers=tuple((name, value) for name, value in fields.items() if value),
    )
    then = respond(b'{"errorCode":"HTTP_403"}', status=403)

    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        return await (then if "login" in received.target else first)(stream, received)

    source = source_named(str(entry["source"]))
    async with open_fault_server(behave) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, source, box, SLUGS.get(source.name, "example"))
        end = await polls.run()
        expected, health = ENDS[file]
        assert polls.last is not None
        assert (judge(end, polls.last.failure).health, end) == (health, expected)
        assert polls.counts() == dict.fromkeys(polls.counts(), 0)
        assert proof_of(end, Coverage.WHOLE) is (
            Proof.ABSENCE if isinstance(end, Complete) else Proof.NOTHING
        )
        if file == "workable/429.html":
            waits_s, _ = polls.gate.turn()
            assert waits_s is not None
            assert 85_900 < waits_s - rig.clock.monotonic() <= 86_400
