"""What `status` and `top` read from a log, beside the database of the daemon that wrote it."""

import json
import re
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.daemon.processes import Home, rows, run
from tests.daemon.rounds import SOURCES, Rounds
from tests.daemon.test_commands_beside_daemon import open_daemon

SPENT = (
    "SELECT used_nanousd AS nanousd, used_tokens AS tokens FROM budget_window WHERE kind = 'day'"
)
ASKED = (
    "SELECT sum((w ->> 'used')::int) AS n FROM domain_gate,"
    " json_array_elements(state -> 'limiter' -> 'windows') w WHERE w ->> 'span' = 'day'"
)


async def status(home: Home, log: Path) -> dict[str, Any]:
    ended = await run("status", "--json", "--file", log, home=home)
    assert ended.code == 3, ended
    return ended.summary()


async def test_log_of_a_demo_tells_what_its_database_holds(
    synthetic: Rounds, tmp_path: Path
) -> None:
    home = synthetic.home
    logs = [tmp_path / "first", tmp_path / "second"]
    for log, ended in zip(logs, (synthetic.first, synthetic.second), strict=True):
        log.write_text(ended.stderr)
    first, second = [await status(home, log) for log in logs]

    for found in (first, second):
        [reason] = found["reasons"]
        assert reason.endswith("exit code 0")
        assert (found["lost_lines"], found["foreign_lines"]) == (0, 0)
        assert {source for one in found["domains"] for source in one["sources"]} == SOURCES
        assert {(one["tier"], one["breaker"]) for one in found["domains"]} == {
            ("reliable", "closed")
        }
    [postings] = await rows("SELECT count(*) AS n FROM posting", home=home)
    assert first["postings"]["new"] == postings["n"]
    assert second["postings"]["new"] == 0
    assert second["postings"]["unchanged"] == postings["n"]

    [spent] = await rows(SPENT, home=home)
    day = second["budget"]["day"]
    assert (day["nanousd"], day["tokens"]) == (spent["nanousd"], spent["tokens"])
    assert sum(found["models"]["cost_nanousd"] for found in (first, second)) == spent["nanousd"]

    [asked] = await rows(ASKED, home=home)
    robots = 2 * len(SOURCES)  # a robots.txt for each site and run, which no gate counts
    assert first["requests"] + second["requests"] == asked["n"] + robots
    for found, ended in ((first, synthetic.first), (second, synthetic.second)):
        assert found["requests"] == ended.summary()["http"]["requests"]


async def test_picture_of_a_demo_shows_the_same_figures(synthetic: Rounds, tmp_path: Path) -> None:
    log = tmp_path / "first"
    log.write_text(synthetic.first.stderr)
    found = await status(synthetic.home, log)
    for columns in ("80", "160"):
        shown = await run(
            "top", "--once", "--file", log, home=synthetic.home, environ={"COLUMNS": columns}
        )
        assert shown.code == 0, shown
        assert max(map(len, shown.stdout.split("\n"))) <= int(columns)
        assert f", {found['requests']} requests" in shown.stdout
        assert f" {found['postings']['new']:,} new, " in shown.stdout
        dollars = re.search(r"(\d+) model calls? \$(\S+) since its start", shown.stdout)
        assert dollars is not None
        assert int(dollars[1]) == found["models"]["calls"]
        assert float(dollars[2]) == pytest.approx(found["models"]["cost_nanousd"] / 1e9, abs=1e-6)


async def test_running_daemon_answers_for_itself_and_its_death_is_seen(
    home: Home, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_daemon(home) as (daemon, operator):
        beside = ("status", "--json", "--config", operator.file)
        alive = await run(*beside, home=home)
        assert alive.code == 0, alive
        found = alive.summary()
        [started] = daemon.log_of("daemon.started")
        assert found["run"] == started["run"]
        assert found["stats_age_s"] < 5
        assert [one["used_today"] for one in found["domains"]] == [1]
        assert found["budget"]["month"]["limit_nanousd"] == 300 * 10**9

        log.write_text("".join(json.dumps(line) + "\n" for line in daemon.log))
        both = (await run(*beside, "--file", log, home=home)).summary()
        assert both["verdict"] == "healthy"
        assert both["postings"]["new"] > 0
        other = tmp_path / "other"
        other.write_text(log.read_text().replace(started["run"], "another-run"))
        stranger = (await run(*beside, "--file", other, home=home)).summary()
        assert stranger["run"] == "another-run", "the daemon here is not the one asked about"

        daemon.send(SIGKILL)
        await daemon.process.wait()
        dead = await run(*beside, home=home)
        assert dead.code == 3, dead
        assert dead.summary()["reasons"] == ["nothing is known of a daemon"]
        fresh = await run(*beside, "--file", log, home=home)
        assert fresh.code == 1, fresh
        assert "nobody answers on its control socket: it may be dead" in fresh.summary()["reasons"]


async def test_status_follows_what_a_broken_configuration_leaves(home: Home) -> None:
    file = home.write("broken.toml", "nonsense = 1\n")
    ended = await run("status", "--json", "--config", file, home=home)
    assert ended.code == 3, ended
    assert "the configuration is wrong" in ended.summary()["note"]
