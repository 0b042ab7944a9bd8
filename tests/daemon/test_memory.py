"""What the daemon and its PostgreSQL take together while they poll fifty boards without a key."""

import datetime as dt
from pathlib import Path

import attrs
import pytest
import trio

from jobping.demo.synthetic import Synthetic
from jobping.demo.world import Supply, open_world
from tests.daemon.boards import PROFILE
from tests.daemon.processes import Home, Running, jobping

MOST_BYTES = 300_000_000
BOARDS = 50
WORLDS = 4  # each has 14 boards of companies and 6 of everybody


@attrs.frozen
class Towns:
    """The synthetic world, several times over: its companies' boards under other names."""

    worlds: tuple[Synthetic, ...]

    def supply(self, step: int) -> Supply:
        supplies = [world.supply(step) for world in self.worlds]
        boards = {
            (board.source, board.slug): (board, content)
            for number, supply in enumerate(supplies)
            for known, content in supply.boards
            for board in [attrs.evolve(known, slug=f"{known.slug}{number or ''}")]
            if number == 0 or known.company is not None
        }
        chosen = tuple(boards.values())[:BOARDS]
        return attrs.evolve(supplies[0], boards=chosen)


def towns() -> Towns:
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Towns(tuple(Synthetic(seed=seed, now=today) for seed in range(WORLDS)))


def taken(home: Home) -> dict[str, int]:
    """Return the bytes of each process: its own memory, and its share of what it shares (PSS)."""
    found = {}
    for pid, words in home.processes():
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        pss = next(line for line in lines if line.startswith("Pss:"))
        found[f"{pid} {words[:60]}"] = int(pss.split()[1]) * 1024
    return found


async def watch(daemon: Running, home: Home, polls: int) -> dict[str, int]:
    """Return the most that was taken until so many polls have been made, process by process."""
    most: dict[str, int] = {}
    while len(daemon.log_of("scraper.polled")) < polls:
        now = taken(home)
        most = max(most, now, key=lambda one: sum(one.values()))
        await trio.sleep(0.5)
    return most


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.slow)])
async def test_daemon_and_its_postgresql_stay_under_300_mb_with_fifty_boards(
    home: Home, rounds: int
) -> None:
    """A round is what an hour of polls brings at the real pace."""
    async with open_world(towns()) as world:
        assert len(world.boards) == BOARDS
        sources = [
            f'[source.{name}]\nbase_url = "{url}"\nper_hour = 36000'
            for name, url in world.base_urls.items()
        ]
        boards = [
            f'[[board]]\nsource = "{board.source}"\nslug = "{board.slug}"\ncompany = "One"'
            for board in world.boards
        ]
        network = '[network]\nallow = ["127.0.0.0/8"]\nrequests_per_minute = 60000'
        text = "\n".join([network, "requests_per_hour = 1000000", *sources, *boards, PROFILE])
        file = home.write("fifty.toml", text)
        program = "tests.daemon.quick_program"
        async with jobping("--config", file, home=home, module=program) as daemon:
            await daemon.wait_for("daemon.became_ready")
            most = await watch(daemon, home, rounds * BOARDS)
            failed = [line for line in daemon.log_of("scraper.polled") if line["fault"]]
    print(*(f"{size / 1e6:6.1f} MB {name}" for name, size in most.items()), sep="\n")
    print(f"{sum(most.values()) / 1e6:.1f} MB together")
    assert failed == []
    assert len(most) > 5  # the daemon, and PostgreSQL with a process for each connection
    assert sum(most.values()) < MOST_BYTES
