"""SIGHUP, `jobping reload`, SIGUSR1, SIGUSR2 and SIGQUIT at a real daemon."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGHUP, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2
from typing import Any

import attrs
import trio

from tests.daemon.boards import config, greenhouse, lever
from tests.daemon.processes import Ended, Home, Running, jobping, run
from tests.doubles.fault_server import open_fault_server, respond
from tests.doubles.service_manager import Manager, open_manager

ACTORS = 10
GADGETS = '[[profile]]\nname = "gadgets"\nwords = ["gadget"]\n'


@attrs.frozen
class Site:
    """A daemon on two local sites, the second of which its first configuration does not have."""

    home: Home
    file: Path
    servers: dict[str, str]
    daemon: Running
    systemd: Manager

    def configure(self, *sources: str, rest: str | None = None) -> None:
        more = {} if rest is None else {"rest": rest}
        chosen = {name: self.servers[name] for name in sources}
        self.home.write(self.file.name, config(chosen, **more))

    async def say(self, *words: str) -> Ended:
        return await run(*words, "--config", self.file, home=self.home)

    async def domains(self) -> list[dict[str, Any]]:
        found = json.loads((await self.say("domains", "--json")).stdout)["domains"]
        assert isinstance(found, list)
        return found


@asynccontextmanager
async def running(home: Home) -> AsyncIterator[Site]:
    async with (
        open_fault_server(respond(greenhouse(range(5)))) as first,
        open_fault_server(respond(lever(range(5)))) as second,
        open_manager(str(home.path / "notify")) as systemd,
    ):
        servers = {"greenhouse": first.url(""), "lever": second.url("")}
        file = home.write("jobping.toml", config({"greenhouse": servers["greenhouse"]}))
        async with jobping(
            "run", "--config", file, home=home, environ={"NOTIFY_SOCKET": systemd.address}
        ) as daemon:
            await daemon.wait_for("cycle.completed")
            yield Site(home, file, servers, daemon, systemd)
            ended = await daemon.end_by(SIGTERM)
            assert ended.code == 0, ended
            assert "Traceback" not in ended.stderr
            assert ended.lines("limiter.violated") == []


async def test_good_file_holds_when_the_command_ends_and_no_gate_forgets(home: Home) -> None:
    async with running(home) as site:
        [before] = await site.domains()
        assert (await site.say("domain", before["domain"], "hold")).code == 0
        pid = site.daemon.process.pid
        site.configure("greenhouse", "lever", rest=GADGETS)
        reloaded = await site.say("reload")
        assert reloaded.code == 0, reloaded
        assert reloaded.stdout == "reloaded; configuration number 2 holds\n"
        line = site.daemon.log_of("config.reloaded")[-1]
        assert (line["boards"], line["domains"], line["profiles"]) == (2, 2, 1)
        await site.daemon.wait_for("cycle.completed", count=2)
        after = {one["domain"]: one for one in await site.domains()}
        assert len(after) == 2
        kept = after[before["domain"]]
        assert kept["breaker"] == "open" or kept["waits_for"] == "held"
        assert kept["used_today"] == before["used_today"] > 0
        assert kept["succeeded_at"] == before["succeeded_at"]
        listed = json.loads((await site.say("profile", "list", "--json")).stdout)
        assert [profile["name"] for profile in listed] == ["gadgets"]
        assert site.daemon.process.pid == pid
        print(f"reloaded in {line['duration_s']:.2f} s")
    said = site.systemd.said
    assert said.count("RELOADING=1") == 1
    assert said[said.index("RELOADING=1") + 1].startswith("MONOTONIC_USEC=")
    assert said.count("READY=1") == 2


async def test_bad_file_changes_nothing_and_is_told(home: Home) -> None:
    async with running(home) as site:
        before = await site.domains()
        site.home.write(site.file.name, "[store]\npool_max = 0\n")
        assert (await site.say("reload")).code == 78
        site.daemon.send(SIGHUP)
        rejected = await site.daemon.wait_for("config.rejected")
        assert "pool_max" in rejected["errors"][0]
        site.configure("lever", rest="[store]\npool_max = 19\n")
        refused = await site.say("reload")
        assert refused.code == 1
        assert "[store]: changed, which needs a restart" in refused.stderr
        site.configure("lever", rest=f'[delivery]\nfiles = "{site.file}/digests"\n')
        refused = await site.say("reload")
        assert refused.code == 1
        assert "Not a directory" in refused.stderr
        site.file.unlink()
        site.daemon.send(SIGHUP)
        await site.daemon.wait_for("config.rejected", count=4)
        site.configure("greenhouse")
        after = await site.domains()
        assert [one["domain"] for one in after] == [one["domain"] for one in before]
        assert site.daemon.log_of("config.reloaded") == []
        assert site.daemon.log_of("child.exited") == []
    assert site.systemd.said.count("READY=1") == 5


async def test_last_file_holds_when_many_signals_come_at_once(home: Home) -> None:
    async with running(home) as site:
        for number in range(20):
            site.configure(*("greenhouse", "lever")[: 1 + number % 2])
            site.daemon.send(SIGHUP)
            await trio.sleep(0.02)
        answer = await site.say("reload")
        assert answer.code == 0, answer
        lines = site.daemon.log_of("config.reloaded")
        assert 2 <= len(lines) <= 21
        assert lines[-1]["boards"] == 2
        assert len(await site.domains()) == 2


async def test_daemon_stops_in_order_while_it_reloads(home: Home) -> None:
    async with running(home) as site:
        site.configure("greenhouse", "lever")
        site.daemon.send(SIGHUP)
        await site.systemd.wait_for("RELOADING=1")


async def test_tree_more_of_the_log_and_stacks_are_shown_by_signals(home: Home) -> None:
    async with running(home) as site:
        site.daemon.send(SIGUSR1)
        await site.daemon.wait_for("tree.dumped", count=ACTORS)
        lines = site.daemon.log_of("tree.dumped")
        assert lines[0]["child"] == "root/store"
        assert {line["state"] for line in lines} == {"running"}
        site.daemon.send(SIGUSR2)
        assert (await site.daemon.wait_for("log.adjusted"))["at_level"] == "debug"
        site.configure("greenhouse")
        site.daemon.send(SIGHUP)
        await site.daemon.wait_for("config.reloaded")
        assert any(line["level"] == "debug" for line in site.daemon.log)
        site.daemon.send(SIGUSR2)
        assert (await site.daemon.wait_for("log.adjusted", count=2))["at_level"] == "info"
        shown = len(site.daemon.log)
        site.daemon.send(SIGHUP)
        await site.daemon.wait_for("config.reloaded", count=2)
        assert all(line["level"] != "debug" for line in site.daemon.log[shown:])
        site.daemon.send(SIGQUIT)
        await site.daemon.wait_until(lambda: b"most recent call first" in site.daemon.stderr)
        await site.daemon.wait_until(lambda: b"  root/heartbeat  " in site.daemon.stderr)
