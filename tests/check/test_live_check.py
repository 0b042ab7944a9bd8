"""The preflight of real sites, here on loopback: what it asks, what it finds, what it leaves."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from jobping.check.ladder import materials_of
from jobping.check.live import check_live
from jobping.check.stage import open_yard
from jobping.core.board import Board
from jobping.core.finding import Finding, Verdict
from jobping.core.ids import Domain, SourceName
from jobping.settings import NetworkSettings, Settings, SourceSettings
from jobping.store.bridge import Database
from jobping.store.gates import Gates
from tests.doubles.asking import open_test_fetcher
from tests.doubles.fault_server import Behaviour, open_fault_server, respond
from tests.doubles.leases import hold
from tests.doubles.postgres import Events
from tests.store.store_samples import sql

GREENHOUSE = SourceName("greenhouse")


async def look(database: Database, folder: Path, base_url: str) -> list[Finding]:
    settings = Settings(
        state_dir=folder,
        network=NetworkSettings(allow=(ip_network("127.0.0.0/8"),)),
        sources=(SourceSettings(name=GREENHOUSE, base_url=base_url),),
        boards=(Board(source=GREENHOUSE, slug="acme"), Board(source=GREENHOUSE, slug="other")),
    )
    found: list[Finding] = []
    async with (
        open_test_fetcher() as fetcher,
        open_yard(database, fetcher, Events(), daemon="check-1") as yard,
    ):
        materials = materials_of(settings, database, fetcher, folder, Events())
        await check_live(materials, yard, found.append)
    return found


ALLOWS = respond(b"User-agent: *\nDisallow: /private")


@pytest.mark.parametrize(
    ("robots", "verdict", "figure"),
    [
        (ALLOWS, Verdict.HOLDS, "found, robots.txt lets us ask"),
        (respond(status=404), Verdict.HOLDS, "found, robots.txt lets us ask"),
        (respond(b"User-agent: *\nDisallow: /"), Verdict.FAILS, "robots.txt forbids it"),
        (respond(status=500), Verdict.FAILS, "robots.txt 500"),
    ],
    ids=["allows", "absent", "forbids", "fails"],
)
async def test_site_is_asked_for_its_rules_alone(
    database: Database, tmp_path: Path, robots: Behaviour, verdict: Verdict, figure: str
) -> None:
    async with open_fault_server({"/robots.txt": robots}) as server:
        [found] = await look(database, tmp_path, server.url(""))
        assert [request.path for request in server.requests] == ["/robots.txt"]
        saved = await Gates(database=database).load(Domain(server.domain))
    assert found.verdict is verdict
    assert found.figure.startswith(server.domain)
    assert figure in found.figure
    assert bool(found.advice) is (verdict is Verdict.FAILS)
    assert saved is not None  # so that a start right after it knows of the request
    assert await sql(database, "SELECT count(*) FROM domain_lease WHERE expires_at > now()") == [
        (0,)
    ]
    assert await sql(database, "SELECT count(*) FROM daemon_lease") == [(0,)]


async def test_name_that_is_not_found_is_said(database: Database, tmp_path: Path) -> None:
    [found] = await look(database, tmp_path, "http://does-not-exist.invalid")
    assert found.verdict is Verdict.FAILS
    assert "resolver of this machine" in found.advice


async def test_site_of_a_running_daemon_is_left_to_it(database: Database, tmp_path: Path) -> None:
    async with open_fault_server({"*": ALLOWS}) as server:
        await hold(database, server.domain)
        [found] = await look(database, tmp_path, server.url(""))
        assert server.requests == []
    assert found.verdict is Verdict.SKIPPED
    assert "a running daemon polls it" in found.figure


async def test_site_that_said_wait_is_not_asked(database: Database, tmp_path: Path) -> None:
    busy = respond(status=429, headers=(("Retry-After", "3600"),))
    async with open_fault_server({"*": busy}) as server:
        await look(database, tmp_path, server.url(""))
        asked = len(server.requests)
        [found] = await look(database, tmp_path, server.url(""))
        assert len(server.requests) == asked
    assert found.verdict is Verdict.SKIPPED
    assert "not asked now" in found.figure
