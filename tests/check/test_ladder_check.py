"""The tiers: a ladder that does not move, and one that works, on the whole tree."""

import datetime as dt
from ipaddress import ip_network
from pathlib import Path

import attrs
import pytest

from jobping.check.ladder import check_degradation, quick, staged
from jobping.core.finding import Finding, Verdict
from jobping.core.ladder import LadderRules
from jobping.core.supply import SupplyRules
from jobping.daemon import demo_settings
from jobping.demo.model_server import open_model_server
from jobping.demo.synthetic import Synthetic
from jobping.demo.world import open_world
from jobping.settings import NetworkSettings, Settings
from jobping.store.bridge import Database
from tests.doubles.asking import open_test_fetcher
from tests.doubles.postgres import Events


async def measure(
    database: Database, folder: Path, ladder: LadderRules, supply: SupplyRules, within_s: float
) -> Finding:
    network = NetworkSettings(allow=(ip_network("127.0.0.0/8"),))
    async with (
        open_world(Synthetic(seed=1, now=dt.datetime.now(dt.UTC))) as world,
        open_model_server() as models,
        open_test_fetcher() as fetcher,
    ):
        local = demo_settings(Settings(state_dir=folder, network=network), world, models)
        settings = staged(local, ladder, supply)
        return await check_degradation(
            settings, world, database, fetcher, folder, Events(), within_s=within_s
        )


async def test_tiers_and_supply_of_the_daemon_hold(database: Database, tmp_path: Path) -> None:
    found = await measure(database, tmp_path, quick(LadderRules()), SupplyRules(), 60.0)
    assert found.verdict is Verdict.HOLDS, found
    assert "below 50 postings 1 reserve site came in" in found.figure


async def test_supply_that_the_operator_switched_off_is_no_fault(
    database: Database, tmp_path: Path
) -> None:
    off = SupplyRules(minimum=0, target=0)
    found = await measure(database, tmp_path, quick(LadderRules()), off, 60.0)
    assert found.verdict is Verdict.HOLDS, found


@pytest.mark.parametrize(
    ("ladder", "supply", "figure"),
    [
        (attrs.evolve(quick(LadderRules()), down=10**6), SupplyRules(), "tiers: no move"),
        (
            attrs.evolve(quick(LadderRules()), cooldown_s=900.0, longest_s=900.0),
            SupplyRules(),
            "tiers: reliable -> individual, individual -> backfill",
        ),
    ],
    ids=["never_down", "never_up"],
)
async def test_ladder_that_does_not_move_is_found(
    database: Database, tmp_path: Path, ladder: LadderRules, supply: SupplyRules, figure: str
) -> None:
    found = await measure(database, tmp_path, ladder, supply, 5.0)
    assert found.verdict is Verdict.FAILS
    assert figure in found.figure
    assert "[ladder] and [supply]" in found.advice
