"""kill -9 at random moments of a daemon's life: sites never see more than their pace and quota.

Judged by the sites' own logs of arrivals, and by the rows that the daemons left.
"""

import itertools
import json
import random
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from signal import SIGKILL

import attrs
import pytest
import trio

from jobping.control import LOCK_NAME
from jobping.core.ids import Domain
from jobping.store.bridge import Database, Dsn
from jobping.store.connection import Connection
from jobping.store.gates import Gates
from tests.daemon.boards import YESTERDAY, greenhouse
from tests.daemon.processes import Home, Running, jobping, open_home
from tests.doubles.fault_server import After, Behaviour, Received, open_fault_server, respond

LAG_S = 0.3  # by which arrivals may differ from departures
ANSWER_S = 0.15
BOARDS = 60
TAGS = ("python", "data", "design", "sales", "support", "writing")
START_S = 2.0  # about what a start takes: kills during it are spread over as much
START, FETCH, STORE, IDLE = "start", "fetch", "store", "idle"
"""When to kill: before the daemon is ready; while a site answers; after its answer; later."""


@attrs.frozen(kw_only=True)
class Terms:
    """What a site lets us ask; its daemons are told the pace, the rest is its source's own."""

    per_hour: int
    burst: int
    gap_s: float = 0.0
    daily: int | None = None


TERMS = {
    "greenhouse": Terms(per_hour=1200, burst=1),
    "arbeitnow": Terms(per_hour=1000, burst=2, gap_s=2.5),
    "jobicy": Terms(per_hour=1200, burst=1, daily=4),
}


@attrs.define(eq=False)
class Site:
    """A site that logs each arrival by Trio's clock, and answers it a little later.

    Attributes:
        answered: How many answers it has sent.
    """

    source: str
    answer: Behaviour
    moments: list[float] = attrs.field(factory=list)
    answered: int = 0
    domain: Domain = attrs.field(default=Domain(""), init=False)

    async def behave(self, stream: trio.abc.Stream, received: Received) -> After:
        self.moments.append(trio.current_time())
        await trio.sleep(ANSWER_S)
        after = await self.answer(stream, received)
        self.answered += 1
        return after

    def assert_within_terms(self) -> None:
        """Check every window of the log: no more than burst + rate x time, and the least gap."""
        terms, moments = TERMS[self.source], self.moments
        interval_s = 3600 / terms.per_hour
        for first, last in itertools.combinations(range(len(moments)), 2):
            window_s = moments[last] - moments[first] + LAG_S
            allowed = terms.burst + window_s / interval_s
            assert last - first + 1 <= allowed, (self.source, first, last, moments)
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        assert min(gaps, default=terms.gap_s) >= terms.gap_s - LAG_S, (self.source, moments)
        assert terms.daily is None or len(moments) <= terms.daily


@attrs.define(eq=False, kw_only=True)
class Scene:
    """Three sites, one database, and the places from which daemons poll them.

    Attributes:
        lives: Daemons started so far.
        used: What each site's row was last seen to count.
    """

    sites: tuple[Site, ...]
    homes: tuple[Home, ...]
    config: str
    database: Database
    environ: dict[str, str]
    rng: random.Random
    lives: int = 0
    used: dict[Domain, int] = attrs.field(factory=dict)

    @asynccontextmanager
    async def daemon(self, number: int) -> AsyncIterator[Running]:
        self.lives += 1
        home = self.homes[number]
        file = home.write("kills.toml", self.config)
        async with jobping("run", "--config", file, home=home, environ=self.environ) as running:
            yield running

    async def live(self, number: int, phases: Sequence[str]) -> None:
        """Start a daemon and kill it, once for each phase."""
        for when in phases:
            async with self.daemon(number) as daemon:
                await self._kill(daemon, when)
            await self.database.run(_let_be_due)
            await self.assert_counted()

    async def _kill(self, daemon: Running, when: str) -> None:
        match when:
            case "start":
                await trio.sleep(self.rng.uniform(0, START_S))
            case "fetch":
                await self._wait_for_more(daemon, lambda site: len(site.moments))
                await trio.sleep(self.rng.uniform(0, ANSWER_S))
            case "store":
                await self._wait_for_more(daemon, lambda site: site.answered)
                await trio.sleep(self.rng.uniform(0, 0.1))
            case _:
                await daemon.wait_for("daemon.became_ready")
                await trio.sleep(self.rng.uniform(0, 3))
        ended = await daemon.end_by(SIGKILL)
        assert ended.code == -SIGKILL, ended

    async def _wait_for_more(self, daemon: Running, count: Callable[[Site], int]) -> None:
        before = sum(map(count, self.sites))
        await daemon.wait_until(lambda: sum(map(count, self.sites)) > before)

    async def assert_counted(self) -> None:
        """Check the rows: every request is counted, none forgotten; one a life may be cut off."""
        gates = Gates(database=self.database)
        for site in self.sites:
            least = max(len(site.moments), self.used.get(site.domain, 0))
            saved = await gates.load(site.domain)
            used = 0 if saved is None else _used_today(saved.state)
            most = len(site.moments) + self.lives
            assert least <= used <= most, (site.source, least, used, most)
            self.used[site.domain] = used


async def _let_be_due(connection: Connection) -> None:
    await connection.execute("UPDATE board SET next_due_at = now()")


def _used_today(state: str) -> int:
    windows = json.loads(state)["limiter"]["windows"]
    [used] = [window["used"] for window in windows if window["span"] == "day"]
    return int(used)


def _newest_jobs() -> Behaviour:
    """Answer with pages of one job each, without end."""
    numbers = itertools.count()

    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        number = next(numbers)
        job = {
            "slug": f"job-{number}",
            "title": f"Widget maker {number}",
            "url": f"https://www.arbeitnow.com/jobs/{number}",
            "company_name": "Example",
            "created_at": int(YESTERDAY.timestamp()),
        }
        body = json.dumps({"data": [job], "links": {"next": f"?page={number + 2}"}}).encode()
        return await respond(body)(stream, received)

    return behave


def _config(sites: Sequence[Site], urls: Sequence[str]) -> str:
    lines = ["[network]", 'allow = ["127.0.0.0/8"]']
    for site, url in zip(sites, urls, strict=True):
        per_hour = TERMS[site.source].per_hour
        lines += [f"[source.{site.source}]", f'base_url = "{url}"', 'robots = "api"']
        lines += [f"per_hour = {per_hour}"]
    boards = [("arbeitnow", "all"), *(("jobicy", f"tag:{tag}") for tag in TAGS)]
    boards += [("greenhouse", f"board-{number}") for number in range(BOARDS)]
    for source, slug in boards:
        lines += ["[[board]]", f'source = "{source}"', f'slug = "{slug}"']
    return "\n".join(lines)


@pytest.fixture
async def scene(home: Home, dsn: Dsn, database: Database) -> AsyncIterator[Scene]:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    sites = (
        Site("greenhouse", respond(greenhouse(range(3)))),
        Site("arbeitnow", _newest_jobs()),
        Site("jobicy", respond(b'{"jobs": []}')),
    )
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(open_fault_server(site.behave)) for site in sites
        ]
        for site, server in zip(sites, servers, strict=True):
            site.domain = Domain(server.domain)
        second = stack.enter_context(open_home())
        yield Scene(
            sites=sites,
            homes=(home, second),
            config=_config(sites, [server.url("").rstrip("/") for server in servers]),
            database=database,
            environ={"JOBPING_DATABASE_URL": dsn.url},
            rng=random.Random(seed),
        )


counts = pytest.mark.parametrize(
    "kills", [6, pytest.param(20, marks=pytest.mark.slow)], ids=["six_times", "twenty_times"]
)


def _phases(kills: int, rng: random.Random) -> list[str]:
    """Return when to kill: every phase as often as the others, in any order."""
    phases = list(itertools.islice(itertools.cycle((FETCH, START, STORE, IDLE)), kills))
    rng.shuffle(phases)
    return phases


async def finish(scene: Scene, *daemons: int) -> None:
    """Let daemons that nobody disturbs ask once more, then judge all that the sites saw."""
    seen = sum(len(site.moments) for site in scene.sites)
    async with AsyncExitStack() as stack:
        lives = [await stack.enter_async_context(scene.daemon(number)) for number in daemons]
        await lives[0].wait_until(lambda: sum(len(site.moments) for site in scene.sites) > seen + 1)
        for life in lives:
            await life.end_by(SIGKILL)
    await scene.assert_counted()
    for site in scene.sites:
        print(site.source, len(site.moments), "seen", scene.used[site.domain], "counted")
        site.assert_within_terms()
    assert all(site.moments for site in scene.sites)


@counts
async def test_sites_see_their_pace_and_quota_and_no_more_when_killed(
    scene: Scene, kills: int
) -> None:
    began = trio.current_time()
    await scene.live(0, _phases(kills, scene.rng))
    print(f"{kills} kills in {trio.current_time() - began:.0f} s")
    await finish(scene, 0)


@counts
@pytest.mark.parametrize("names", ["different", "same"])
async def test_sites_see_the_pace_of_one_when_two_daemons_are_killed(
    scene: Scene, kills: int, names: str
) -> None:
    """Two daemons by mistake; a copied state directory gives both the same name."""
    if names == "same":
        for home in scene.homes:
            home.state.mkdir(mode=0o700)
            home.state.joinpath(LOCK_NAME).write_text("0123456789abcdef 1\n")
    async with trio.open_nursery() as nursery:
        for number in range(len(scene.homes)):
            phases = _phases(kills // len(scene.homes), scene.rng)
            nursery.start_soon(scene.live, number, phases)
    await finish(scene, 0, 1)
