"""Commands as second processes: while the daemon runs, as its clients, and after it has ended."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM

import attrs
import pytest

from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import Ended, Home, Running, jobping, run
from tests.doubles.fault_server import open_fault_server, respond

POSTINGS = 12
LIMITS = ("--max-items", "2", "--max-per-company", "2")


@attrs.frozen
class Operator:
    """One who types commands for a daemon with a configuration file."""

    home: Home
    file: Path

    async def say(self, *words: str) -> str:
        """Run a command and return what it prints."""
        ended = await run(*words, "--config", self.file, home=self.home)
        assert ended.code == 0, ended
        assert ended.stderr == "", ended
        return ended.stdout

    async def profiles(self) -> list[tuple[str, str]]:
        listed = json.loads(await self.say("profile", "list", "--json"))
        return [(profile["name"], profile["from"]) for profile in listed]

    async def matches(self) -> list[bool]:
        """Return for each match of the profile whether it was sent."""
        listed = json.loads(await self.say("matches", "makers", "--json"))
        return [match["sent_at"] is not None for match in listed]

    async def assert_store_answers(self) -> None:
        assert await self.profiles() == [("makers", "command")]
        found = json.loads(await self.say("jobs", "search", "widget 7", "--json"))
        assert [posting["title"] for posting in found] == ["Widget maker 7"]


@asynccontextmanager
async def open_daemon(home: Home) -> AsyncIterator[tuple[Running, Operator]]:
    """Run a daemon that has polled one board, has no profile and sends none of it again."""
    async with open_fault_server(respond(greenhouse(range(POSTINGS)))) as board:
        file = home.write("beside.toml", config({"greenhouse": board.url("")}, rest=""))
        async with jobping("run", "--config", file, home=home) as daemon:
            await daemon.wait_for("cycle.completed")
            yield daemon, Operator(home, file)


def assert_undisturbed(ended: Ended) -> None:
    assert ended.code == 0, ended
    assert len(ended.lines("scraper.polled")) == len(ended.lines("postgres.started")) == 1
    assert [line for line in ended.log if line["level"] == "error"] == []


async def test_commands_answer_while_the_daemon_runs_and_after_it_has_ended(home: Home) -> None:
    async with open_daemon(home) as (daemon, operator):
        assert daemon.log_of("profile.example_used") != []
        assert await operator.profiles() == [("example", "default")]
        added = await operator.say("profile", "add", "makers", "--words", "widget maker", *LIMITS)
        assert added.startswith("makers: added")
        await operator.assert_store_answers()
        preview = await operator.say("digest", "preview", "makers")
        assert preview == "nothing new for makers; no digest would go out\n"
        assert_undisturbed(await daemon.end_by(SIGTERM))
    assert home.processes() == []

    assert await operator.matches() == []
    once = await run("run", "--once", "--json", "--config", operator.file, home=home)
    assert (once.code, once.summary()["digests"]) == (0, 1), once
    assert sorted(await operator.matches()) == [False] * (POSTINGS - 2) + [True] * 2
    assert (await operator.say("digest", "preview", "makers")).startswith("2 jobs for makers: ")
    await operator.assert_store_answers()
    assert await operator.say("profile", "remove", "makers") == "makers: removed\n"
    assert await operator.profiles() == [("example", "default")]


@pytest.mark.slow
async def test_running_daemon_finds_a_new_profile_and_sends_its_digest(home: Home) -> None:
    async with open_daemon(home) as (daemon, operator):
        await operator.say("profile", "add", "makers", "--words", "widget maker", *LIMITS)
        await daemon.wait_until(lambda: any(path.parent.name == "makers" for path in home.digests))
        assert sum(await operator.matches()) == 2
        assert_undisturbed(await daemon.end_by(SIGTERM))
