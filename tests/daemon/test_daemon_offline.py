"""The daemon where something around it is missing or wrong: network, configuration, database."""

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGTERM

import pytest
import trio

from tests.daemon.boards import PATHS, config
from tests.daemon.processes import Ended, Home, jobping, run

SOON_S = 10.0
NEEDED = 3  # so many sites fail before our own network counts as down


@contextmanager
def closed_ports(count: int) -> Iterator[list[int]]:
    """Hold ports of loopback on which nobody listens: a connection to them is refused."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            held = stack.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            ports.append(held.getsockname()[1])
        yield ports


def offline(home: Home) -> Path:
    """Write a configuration whose sites there is no way to: the broadcast address of loopback."""
    servers = {name: f"http://127.255.255.255:{port}" for port, name in enumerate(PATHS, 2001)}
    return home.write("offline.toml", config(servers))


async def test_daemon_becomes_ready_and_says_one_line_when_nothing_can_be_reached(
    home: Home,
) -> None:
    async with jobping("run", "--config", offline(home), home=home) as daemon:
        await daemon.wait_for("daemon.became_ready")
        await daemon.wait_for("network.lost")
        await daemon.wait_for("scraper.polled", count=NEEDED)
        await daemon.wait_for("cycle.completed")
        ended = await daemon.end_by(SIGTERM)
    assert ended.code == 0, ended
    assert ended.took_s < SOON_S
    [lost] = ended.lines("network.lost")
    assert "`jobping demo`" in lost["hint"]
    assert lost["level"] == "warning"
    assert len(lost["domains"]) == NEEDED
    for line in ended.lines("scraper.polled"):
        assert line["level"] == "warning"
        assert line["fault"] in ("unreachable", None)  # None: the stop ended its wait
    assert ended.lines("breaker.opened") == ended.lines("tier.demoted") == []
    assert home.processes() == []


async def test_single_run_ends_soon_and_names_its_boards_when_nothing_can_be_reached(
    home: Home,
) -> None:
    began = time.monotonic()
    ended = await run("run", "--once", "--config", offline(home), home=home)
    assert time.monotonic() - began < 60.0
    assert len(ended.lines("network.lost")) == 1
    [completed] = ended.lines("cycle.completed")
    assert set(completed["failed"].values()) == {"unreachable"}
    assert len(completed["failed"]) + len(completed["waiting"]) >= len(PATHS)
    assert completed["polled"] == 0


async def test_sites_that_refuse_all_at_once_are_blamed_and_not_our_network(home: Home) -> None:
    with closed_ports(len(PATHS)) as ports:
        servers = {
            name: f"http://127.0.0.1:{port}" for name, port in zip(PATHS, ports, strict=True)
        }
        file = home.write("refused.toml", config(servers))
        ended = await run("run", "--once", "--config", file, home=home)
    assert ended.lines("network.lost") == []
    [completed] = ended.lines("cycle.completed")
    assert list(completed["failed"].values()) == ["connect"] * len(PATHS)


WRONG = """
[network]
allow = ["everywhere"]

[source.greenhouze]
enabled = true

[digest]
at = ["25:00"]
colour = "red"
"""


def assert_refused(ended: Ended, *parts: str) -> None:
    assert ended.code == 78, ended
    for part in parts:
        assert part in ended.stderr, (part, ended)
    assert "Traceback" not in ended.stderr, ended
    assert ended.took_s < 60.0


async def test_daemon_exits_78_and_names_every_mistake_of_its_configuration(home: Home) -> None:
    file = home.write("wrong.toml", WRONG)
    ended = await run("run", "--config", file, home=home)
    assert_refused(ended, str(file), "allow", "everywhere", "greenhouze", "greenhouse")
    assert_refused(ended, '"25:00"', "colour", "[digest]")
    assert len([line for line in ended.stderr.splitlines() if str(file) in line]) == 4
    [rejected] = ended.lines("config.rejected")
    assert len(rejected["errors"]) == 4
    assert not home.state.exists()


async def test_daemon_exits_78_when_its_configuration_file_is_missing(home: Home) -> None:
    missing = home.path / "missing.toml"
    ended = await run("run", "--config", missing, home=home)
    assert_refused(ended, str(missing), "No such file")


async def test_daemon_exits_78_when_the_database_url_is_none(home: Home) -> None:
    ended = await run("run", home=home, environ={"JOBPING_DATABASE_URL": "mysql://db/jobs"})
    assert_refused(ended, "JOBPING_DATABASE_URL", "postgresql://")


async def test_daemon_exits_69_when_nobody_answers_at_the_database_url(home: Home) -> None:
    with closed_ports(1) as [port]:
        url = f"postgresql://jobping@127.0.0.1:{port}/jobping"
        began = time.monotonic()
        ended = await run("run", "--once", home=home, environ={"JOBPING_DATABASE_URL": url})
    assert ended.code == 69, ended
    assert time.monotonic() - began < 60.0
    assert "database" in ended.stderr
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr, ended


@pytest.fixture
def closed_home() -> Iterator[Home]:
    """A home that only its owner can enter."""
    with tempfile.TemporaryDirectory(prefix="jobping-closed-") as path:
        yield Home(Path(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
async def test_daemon_exits_78_when_the_servers_account_cannot_reach_the_state(
    closed_home: Home,
) -> None:
    with trio.fail_after(60):
        ended = await run("demo", "--once", home=closed_home)
    assert_refused(ended, str(closed_home.path))
    assert closed_home.processes() == []
