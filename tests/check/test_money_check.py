"""The budget: a ledger that refuses nothing is found by the bill of the model server."""

from pathlib import Path

import attrs
import pytest

from jobping.check.money import CALLERS, MUCH, asking, check_budget
from jobping.core.budget import Limits
from jobping.core.finding import Finding, Verdict
from jobping.demo.model_plan import Step
from jobping.demo.model_server import ModelServer, open_model_server
from jobping.settings import Settings
from jobping.store.bridge import Database
from tests.actors.ranking_rig import pairs
from tests.doubles.asking import open_test_fetcher
from tests.doubles.postgres import Events

KEY = "sk-check"


async def measure(
    database: Database,
    folder: Path,
    *,
    held: Limits | None = None,
    count: int = CALLERS + 1,
    steps: tuple[Step, ...] = (),
) -> Finding:
    await pairs(database, count)
    server = ModelServer(key=KEY)
    server.plan(*steps)
    async with open_model_server(server) as models, open_test_fetcher() as fetcher:
        settings = asking(Settings(state_dir=folder), models, KEY)
        return await check_budget(settings, models, database, fetcher, folder, Events(), held=held)


async def test_budget_of_the_daemon_holds(database: Database, tmp_path: Path) -> None:
    found = await measure(database, tmp_path)
    assert found.verdict is Verdict.HOLDS, found
    assert "overspend 0" in found.figure
    assert "ledger = bill, also reopened" in found.figure


async def test_ledger_that_refuses_nothing_is_found(database: Database, tmp_path: Path) -> None:
    found = await measure(database, tmp_path, held=MUCH)
    assert found.verdict is Verdict.FAILS
    assert "USD above the limit" in found.figure
    assert "nothing is spent" in found.advice


async def test_bill_that_the_ledger_does_not_have_is_found(
    database: Database, tmp_path: Path
) -> None:
    found = await measure(database, tmp_path, steps=(Step(), Step(is_billed=True, status=500)))
    assert found.verdict is Verdict.FAILS
    assert "the bill says" in found.figure


async def test_model_that_cannot_be_asked_is_found(database: Database, tmp_path: Path) -> None:
    refused = Step(status=401, is_billed=False, error=("invalid_request_error", "invalid_api_key"))
    found = await measure(database, tmp_path, steps=(refused,) * 5)
    assert found.verdict is Verdict.FAILS
    assert "a model is not asked at all" in found.figure


async def test_too_few_pairs_are_no_proof(database: Database, tmp_path: Path) -> None:
    found = await measure(database, tmp_path, count=3)
    assert (found.verdict, found.figure) == (Verdict.FAILS, "only 3 pairs to ask about")


@pytest.mark.parametrize("limit", [0, 1])
async def test_budget_that_lets_nothing_through_is_found(
    database: Database, tmp_path: Path, limit: int
) -> None:
    held = attrs.evolve(MUCH, daily_nanousd=limit)
    found = await measure(database, tmp_path, held=held)
    assert found.verdict is Verdict.FAILS
    assert f"0 of {CALLERS} ranked by a model" in found.figure
