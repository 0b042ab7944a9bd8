"""kill -9 at random moments of polling and storing: nothing survives, is lost or is doubled."""

import random
import secrets
from collections import Counter
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
import trio

from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import RECORDINGS, Home, jobping, rows, run
from tests.daemon.rounds import CONTENT, LINK, Rounds
from tests.doubles.fault_server import open_fault_server, respond

ITEMS = (
    "SELECT d.message_id, d.state, i.profile_id, i.posting_id, i.dedup_key, p.url FROM digest d"
    " LEFT JOIN digest_item i ON i.digest_id = d.id LEFT JOIN posting p ON p.id = i.posting_id"
)


@pytest.fixture
def unkilled(request: pytest.FixtureRequest) -> Rounds:
    """A demo that nobody killed: with recordings where they are, because more is stored then."""
    has_recordings = (RECORDINGS / "INDEX.json").is_file()
    rounds = request.getfixturevalue("recorded" if has_recordings else "synthetic")
    assert isinstance(rounds, Rounds)
    return rounds


@pytest.mark.parametrize(
    "kills", [5, pytest.param(20, marks=pytest.mark.slow)], ids=["five_times", "twenty_times"]
)
async def test_state_is_that_of_a_run_without_a_kill_when_killed(
    home: Home, unkilled: Rounds, kills: int
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    interrupted = 0
    for number in range(kills):
        # later kills come later, because the earlier ones left less to store
        wait_s = rng.uniform(0.0, 0.4 + 2.0 * number / kills)
        event = rng.choice(("postgres.started", "scraper.polled"))
        interrupted += await kill_demo(home, unkilled.arguments, event, wait_s)
    assert interrupted > 0, "no kill came between the first poll and the last"
    clean = await run("demo", "--once", "--json", *unkilled.arguments, home=home)
    assert clean.code == 0, clean
    assert clean.summary()["boards"]["failed"] == 0
    await assert_same_postings(home, unkilled)
    await assert_nothing_sent_twice(home)


@pytest.mark.parametrize("suffix", ["html", "txt"])
async def test_digest_goes_out_once_when_killed_while_it_is_written(
    home: Home, suffix: str
) -> None:
    async with open_fault_server(respond(greenhouse(range(12)))) as board:
        file = home.write("board.toml", config({"greenhouse": board.url("")}))
        once = ("run", "--once", "--json", "--config", file)
        async with jobping(*once, home=home) as daemon:
            await daemon.wait_until(lambda: has_file(home.state / "digests/widgets", suffix))
            killed = await daemon.end_by(SIGKILL)
            await home.wait_without_servers()
        clean = await run(*once, home=home)
    assert (killed.code, clean.code) == (-SIGKILL, 0), (killed, clean)
    print([line["outcome"] for line in clean.lines("digest.resolved")])
    assert len(home.digests) == 1
    await assert_nothing_sent_twice(home)


async def test_site_that_asks_for_a_day_is_left_alone_over_a_kill(home: Home) -> None:
    """The wait is the one that Workable was seen to ask for."""
    refusal = respond(b"", status=429, headers=(("Retry-After", "85943"),))
    answers = {"/robots.txt": respond(b""), "/v1/boards/example/jobs": refusal}
    async with open_fault_server(answers) as board:
        file = home.write("board.toml", config({"greenhouse": board.url("").rstrip("/")}))
        run_it = ("run", "--config", file)
        async with jobping(*run_it, home=home) as daemon:
            await daemon.wait_for("scraper.polled")
            killed = await daemon.end_by(SIGKILL)
            await home.wait_without_servers()
        asked = [request.path for request in board.requests]
        board.requests.clear()
        async with jobping(*run_it, home=home) as daemon:
            await daemon.wait_for("daemon.became_ready")
            await trio.sleep(3)
            ended = await daemon.end_by(SIGTERM)
        assert (killed.code, ended.code) == (-SIGKILL, 0), (killed, ended)
        assert asked[-1:] == ["/v1/boards/example/jobs"]
        assert board.requests == []
    [gate] = await rows("SELECT state FROM domain_gate", home=home)
    assert gate["state"]["limiter"]["blocked_ns"] > 85_800 * 10**9


def has_file(folder: Path, suffix: str) -> bool:
    return folder.is_dir() and any(path.suffix == f".{suffix}" for path in folder.iterdir())


async def kill_demo(
    home: Home, arguments: tuple[str | Path, ...], event: str, wait_s: float
) -> bool:
    """Kill a demo; say whether it was in the middle of its polls."""
    async with jobping("demo", "--json", *arguments, home=home) as daemon:
        await daemon.wait_for(event)
        await trio.sleep(wait_s)
        killed = await daemon.end_by(SIGKILL)
        gone_s = await home.wait_without_servers()
    polls, cycles = len(killed.lines("scraper.polled")), len(killed.lines("cycle.completed"))
    digests = len(killed.lines("digest.sent"))
    print(
        f"killed {wait_s:.3f} s after {event}: {polls} polls, {digests} digests,"
        f" server gone after {gone_s:.2f} s"
    )
    assert killed.code == -SIGKILL
    return polls > 0 and cycles == 0


async def assert_same_postings(home: Home, unkilled: Rounds) -> None:
    content = await rows(CONTENT, home=home)
    if unkilled.is_over:
        pytest.skip("the synthetic world has turned its hour meanwhile")
    assert content == unkilled.content


async def assert_nothing_sent_twice(home: Home) -> None:
    """Check items and files: each posting once, and each digest in one file, whole."""
    items = await rows(ITEMS, home=home)
    sent = [item for item in items if item["dedup_key"] is not None]
    assert sent != []
    assert {item["state"] for item in items} == {"sent"}
    for keys in (("profile_id", "posting_id"), ("profile_id", "dedup_key")):
        times = Counter(tuple(item[key] for key in keys) for item in sent)
        assert set(times.values()) == {1}
    by_digest: dict[str, list[Any]] = {item["message_id"]: [] for item in items}
    for item in sent:
        by_digest[item["message_id"]].append(item["url"])
    files = {path.stem.partition("_")[2]: LINK.findall(path.read_text()) for path in home.digests}
    assert len(files) == len(home.digests)
    assert {name: folded(links) for name, links in files.items()} == {
        name: folded(urls) for name, urls in by_digest.items()
    }


def folded(urls: list[str]) -> list[str]:
    """Return URLs for comparing: digests write hosts in lower case, as remoteOK.com does not."""
    return sorted(url.lower() for url in urls)
