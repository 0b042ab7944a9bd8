"""A whole daemon whose boards fail: tiers down and up, standby boards, and what is stored."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from signal import SIGTERM

import trio

from tests.daemon.boards import config, greenhouse, greenhouse_job, lever, page
from tests.daemon.processes import Ended, Home, Line, jobping, run
from tests.doubles.fault_server import Behaviour, open_fault_server, respond

BOARD = "/v1/boards/example"
BULK = f"{BOARD}/jobs"
FAILS = respond(b"", status=500)
NEWS, STOCK = range(3), range(3, 5)
LINK = re.compile(r"^ {4}(https?://\S+)$", re.MULTILINE)
PROFILE = """
[[profile]]
name = "widgets"
words = ["widget"]
max_items = 100
max_per_company = 100
"""
QUICK = """
[ladder]
down = 1
up = 2
cooldown_minutes = 0.05
relapse_minutes = 0.05
"""
QUIET = """
[delivery]
console = false
files = false
"""


def individually() -> Mapping[str, Behaviour]:
    """Answer for the board's postings one by one, and for its light list."""
    jobs = [greenhouse_job(number) for number in (*NEWS, *STOCK)]
    light = json.dumps({"departments": [{"name": "All", "jobs": jobs}]}).encode()
    singles = {f"{BULK}/{job['id']}": respond(json.dumps(job).encode()) for job in jobs}
    return {f"{BOARD}/departments": respond(light), **singles}


def moves(log: tuple[Line, ...]) -> list[tuple[str, str]]:
    events = ("tier.demoted", "tier.promoted")
    return [(line["from_tier"], line["to_tier"]) for line in log if line["event"] in events]


def links(home: Home) -> Counter[str]:
    return Counter(link for path in home.digests for link in LINK.findall(path.read_text()))


async def test_site_goes_down_tier_by_tier_and_up_again_while_digests_go_on(home: Home) -> None:
    bulk = respond(greenhouse(NEWS, old=STOCK))
    async with open_fault_server({BULK: bulk}) as server:
        file = home.write(
            "quick.toml", config({"greenhouse": server.url("")}, rest=QUICK + PROFILE)
        )
        async with jobping(
            "--config", file, home=home, module="tests.daemon.quick_program"
        ) as daemon:
            await daemon.wait_for("digest.sent")
            server.behaviours |= {BULK: FAILS, **individually()}
            await daemon.wait_for("tier.demoted")
            asked = len(server.requests)
            await daemon.wait_for("tier.probed")
            server.behaviours[BULK] = bulk
            await daemon.wait_for("tier.promoted")
            singly = [request.path for request in server.requests[asked:]]

            server.behaviours |= dict.fromkeys([BULK, *individually()], FAILS)
            await daemon.wait_for("tier.demoted", count=3)
            await daemon.wait_for("digest.sent", count=2)
            server.behaviours |= {BULK: bulk, **individually()}
            assert (await run("domain", server.domain, "probe", home=home)).code == 0
            await daemon.wait_for("tier.promoted", count=3)
            ended = await daemon.end_by(SIGTERM)
    assert ended.code == 0, ended
    reliable, individual, backfill = "reliable", "individual", "backfill"
    assert moves(ended.log) == [
        (reliable, individual),
        (individual, reliable),
        (reliable, individual),
        (individual, backfill),
        (backfill, individual),
        (individual, reliable),
    ]
    assert singly.count(BULK) >= 2
    assert len(singly) > singly.count(BULK) + len(NEWS)
    polled = [line for line in ended.lines("scraper.polled") if line["tier"] == individual]
    assert "complete" in [line["outcome"] for line in polled]

    second, first = home.digests  # the first period is called so, later ones by their number
    assert len(LINK.findall(first.read_text())) == len(NEWS)
    assert "from earlier" not in first.read_text()
    text = " ".join(second.read_text().split())
    assert text.count("[from earlier: first seen just now]") == len(STOCK)
    assert (
        f"{len(STOCK)} from the database, for these sites cannot be read now: {server.domain}."
        in text
    )
    assert set(links(home).values()) == {1}
    assert len(links(home)) == len(NEWS) + len(STOCK)


async def test_site_comes_back_by_runs_of_one_cycle_as_cron_makes_them(home: Home) -> None:
    async with open_fault_server(FAILS) as server:
        file = home.write("cron.toml", config({"arbeitnow": server.url("")}, rest=QUICK))

        async def run_once() -> Ended:
            await run("db", "shell", "--", "-qc", "UPDATE board SET next_due_at = NULL", home=home)
            return await run("run", "--once", "--config", file, home=home)

        first = await run_once()
        assert moves(first.log) == [("reliable", "backfill")]
        server.behaviours |= {"*": respond(page("arbeitnow")), "/robots.txt": respond(status=404)}
        await trio.sleep(first.lines("tier.demoted")[0]["cooldown_s"])
        runs = [await run_once() for _ in range(3)]
    assert [move for one in runs for move in moves(one.log)] == [("backfill", "reliable")]
    assert all(one.lines("tier.probed")[0]["good"] for one in runs[:1])
    assert "reliable" in [line["tier"] for line in runs[-1].lines("scraper.polled")]


async def test_standby_board_and_stored_postings_stand_in_for_a_board_that_fails(
    home: Home,
) -> None:
    good = respond(greenhouse(NEWS, old=STOCK))
    async with open_fault_server(good) as usual:
        file = home.write("quiet.toml", config({"greenhouse": usual.url("")}, rest=QUIET + PROFILE))
        first = await run("run", "--once", "--json", "--config", file, home=home)
    assert first.code == 0, first
    assert first.lines("supply.fell_short") == []

    async with (
        open_fault_server(FAILS) as usual,
        open_fault_server(respond(lever([1]))) as other,
    ):
        servers = {"greenhouse": usual.url(""), "lever": other.url("")}
        text = config(servers, rest="standby = true\n" + PROFILE)
        file = home.write("standby.toml", text)
        second = await run("run", "--once", "--json", "--config", file, home=home)
    assert second.code == 1, second
    [short, still] = second.lines("supply.fell_short")
    assert (short["found"], short["came"], short["stored"]) == (0, other.domain, 5)
    assert (still["found"], still["came"], still["stored"]) == (1, None, 6)
    assert {short["level"], still["level"]} == {"warning"}
    polls = {line["source"]: line for line in second.lines("scraper.polled")}
    assert polls["lever"]["outcome"] == "complete"
    assert (polls["lever"]["ts"] - short["ts"]) / 1e6 < 20.0
    [cycle] = second.lines("cycle.completed")
    assert (cycle["polled"], cycle["waiting"], cycle["digests"]) == (1, [], 1)
    [digest] = home.digests
    text = " ".join(digest.read_text().split())
    assert "2 of 6 from earlier, marked so." in text
    assert "2 from the database to fill up, for the boards list too little." in text
    assert text.count("[from earlier: first seen just now]") == len(STOCK)
    assert set(links(home).values()) == {1}
