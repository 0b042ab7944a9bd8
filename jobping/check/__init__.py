"""`jobping check`: is this installation ready? The real parts, measured on a local world.

A second composition root beside `daemon`. It works in a schema of its own within the configured
database, asks nobody outside this machine unless told to, and takes away all that it made.
`around` judges what the daemon stands on, `pool` the database connections, `traffic` the way to the
sites, `ladder` the tiers, `money` the budget, `lines` the log, `live` the real sites.
"""

import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import attrs
import trio

from jobping.check.around import (
    UNIT_DIRS,
    check_clock,
    check_config,
    check_disk,
    check_unit,
)
from jobping.check.ladder import check_degradation, materials_of, quick, staged
from jobping.check.lines import check_logs
from jobping.check.live import check_live
from jobping.check.money import asking, check_budget
from jobping.check.pool import check_store, limits_of
from jobping.check.stage import open_database, open_yard, scratch_schema
from jobping.check.traffic import check_breaker, check_fetch, check_limiter
from jobping.clock import Clock
from jobping.core.breaker import DAEMON
from jobping.core.finding import Finding, judged
from jobping.core.profile import EXAMPLE
from jobping.daemon import (
    DEMO_PACE,
    GRACE_PERIOD_S,
    WATCHDOG_S,
    bring_stores_up_to_date,
    demo_settings,
    open_dsn,
    user_agent,
)
from jobping.demo.model_server import open_model_server
from jobping.demo.synthetic import Synthetic
from jobping.demo.world import open_world
from jobping.errors import ConfigError, JobPingError, StoreUnavailable
from jobping.events import Emit
from jobping.fetch import Fetcher, FetchLimits, open_fetcher
from jobping.logs import Form, Log, LogConfig, open_log
from jobping.settings import Settings
from jobping.store.bridge import Database, Dsn, PoolLimits
from jobping.store.dumps import split_password
from jobping.tree import limiter_rules
from supervisors import SupervisionError

Say = Callable[[Finding], None]

SECTION_S: Final = 90.0
LOOPBACK: Final = ip_network("127.0.0.1/32")
SEED: Final = 1


def check(settings: Settings, *, live: bool, say: Say) -> None:
    """Look at everything, and say each finding as it comes.

    Raises:
        ConfigError: The operator must act before anything can be measured.
        StoreUnavailable: The database does not answer.
    """
    ended_by = trio.run(_until_terminated, partial(_check, settings, live=live, say=say))
    if ended_by is not None:  # all that was made is gone: end as the signal would have ended us
        signal.signal(ended_by, signal.SIG_DFL)
        signal.raise_signal(ended_by)


async def _until_terminated(work: Callable[[], Awaitable[None]]) -> signal.Signals | None:
    ended_by: signal.Signals | None = None
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                nonlocal ended_by
                async for number in signals:
                    ended_by = signal.Signals(number)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            await work()
            nursery.cancel_scope.cancel()
    return ended_by


async def _check(settings: Settings, *, live: bool, say: Say) -> None:
    clock = Clock()
    say(check_config(settings, clock.utcnow().date()))
    say(check_unit(UNIT_DIRS, drain_s=GRACE_PERIOD_S, watchdog_s=WATCHDOG_S))
    say(check_disk(settings.state_dir))
    planted = _Planted()
    with tempfile.TemporaryDirectory(prefix="jobping-check-") as name:
        folder = Path(name)
        file = folder / "log"
        with file.open("wb") as stream:
            config = LogConfig(level="debug", form=Form.JSON)
            with open_log(config, stream=stream, journal=False) as log:
                await _measure_all(settings, folder, log, planted, say, live=live)
        lines = file.read_text(encoding="utf-8").splitlines()
        say(check_logs(lines, [*planted.all(), *_secrets_of(settings)]))


async def _measure_all(
    settings: Settings, folder: Path, log: Log, planted: "_Planted", say: Say, *, live: bool
) -> None:
    try:
        async with open_dsn(settings, log.emit) as dsn:
            await _measure(settings, dsn, folder, log, planted, say)
            if live:
                await _go_out(settings, dsn, folder, log, say)
    except* (ConfigError, StoreUnavailable) as group:
        text = "; ".join(str(error) for error in group.exceptions)
        say(judged("store", text, holds=False, advice="without a database nothing runs"))
        raise


@attrs.frozen(kw_only=True)
class _Planted:
    """Secrets of this run that must stand in no line: a key, and a word of a profile."""

    key: str = attrs.field(factory=lambda: f"sk-{secrets.token_hex(16)}", repr=False)
    word: str = attrs.field(factory=lambda: f"zq{secrets.token_hex(8)}", repr=False)

    def all(self) -> tuple[str, ...]:
        return (self.key, self.word)


def _secrets_of(settings: Settings) -> list[str]:
    """Return the operator's own secrets."""
    found = [key.reveal() for _name, key in settings.keys]
    if settings.llm.api_key is not None:
        found.append(settings.llm.api_key.reveal())
    if settings.store.url is not None:
        url = settings.store.url.reveal()
        found += [url, split_password(url)[1] or url]
    mail, hook, sign = settings.delivery.smtp, settings.delivery.webhook, settings.alerts
    told = (
        mail and mail.password,
        hook and hook.url,
        hook and hook.secret,
        sign.heartbeat_url and sign.heartbeat_url.reveal(),
    )
    return found + [secret for secret in told if secret]


async def _section(name: str, work: Callable[[], Awaitable[Finding]], say: Say) -> None:
    """Let one section judge; what it cannot bring to an end does not hold."""
    advice = "see what the log of the daemon says of it; report it if it stays so"
    found = judged(name, f"not done within {SECTION_S:g} s", holds=False, advice=advice)
    try:
        with trio.move_on_after(SECTION_S):
            found = await work()
    except* (JobPingError, SupervisionError) as group:
        text = "; ".join(str(error) for error in group.exceptions)
        found = judged(name, text, holds=False, advice=advice)
    say(found)


async def _measure(
    settings: Settings, dsn: Dsn, folder: Path, log: Log, planted: _Planted, say: Say
) -> None:
    """Measure every section in a schema of its own."""
    emit, store = log.bind(actor="check"), settings.store
    async with scratch_schema(dsn) as scratch:
        limits = limits_of(store.pool_min, store.pool_max)
        async with open_database(scratch, limits, emit) as database:
            await _section("clock", partial(check_clock, database, Clock()), say)
            await _section("store", partial(check_store, database, limits), say)
        usual = PoolLimits(size_min=store.pool_min, size_max=store.pool_max)
        async with (
            open_database(scratch, usual, emit) as database,
            _open_local_fetcher(settings, emit) as fetcher,
        ):
            async with open_yard(database, fetcher, emit) as yard:
                await _section("fetch", partial(check_fetch, fetcher, settings.network), say)
                await _section("breaker", partial(check_breaker, yard, DAEMON), say)
                promised = limiter_rules([DEMO_PACE])
                await _section("limiter", partial(check_limiter, yard, promised, promised), say)
            await _run_local_world(settings, database, fetcher, folder, emit, planted, say)


async def _run_local_world(
    settings: Settings,
    database: Database,
    fetcher: Fetcher,
    folder: Path,
    emit: Emit,
    planted: _Planted,
    say: Say,
) -> None:
    """Measure what needs boards with postings, and models."""
    async with (
        open_world(Synthetic(seed=SEED, now=Clock().utcnow())) as world,
        open_model_server() as models,
    ):
        local = demo_settings(settings, world, models)
        profile = attrs.evolve(EXAMPLE, words=(*EXAMPLE.words, planted.word))
        tiers = attrs.evolve(
            staged(local, quick(settings.ladder), settings.supply), profiles=(profile,)
        )
        await _section(
            "degradation",
            partial(check_degradation, tiers, world, database, fetcher, folder, emit),
            say,
        )
        models.key = planted.key
        paid = asking(attrs.evolve(tiers, llm=settings.llm), models, planted.key)
        await _section(
            "budget", partial(check_budget, paid, models, database, fetcher, folder, emit), say
        )


@asynccontextmanager
async def _open_local_fetcher(settings: Settings, emit: Emit) -> AsyncIterator[Fetcher]:
    """Open the daemon's client, which may ask this machine besides what the operator allows."""
    async with open_fetcher(
        limits=FetchLimits(),
        allow=(*settings.network.allow, LOOPBACK),
        user_agent=user_agent(settings),
        emit=emit,
        clock=Clock(),
    ) as fetcher:
        yield fetcher


async def _go_out(settings: Settings, dsn: Dsn, folder: Path, log: Log, say: Say) -> None:
    """Ask the real sites, on the daemon's own rows."""
    await bring_stores_up_to_date(settings, dsn, log.emit)
    emit = log.bind(actor="check")
    daemon = f"check-{secrets.token_hex(4)}"
    async with (
        open_database(dsn, PoolLimits(size_min=1, size_max=4), emit) as database,
        open_fetcher(
            limits=FetchLimits(),
            allow=settings.network.allow,
            user_agent=user_agent(settings),
            emit=emit,
            clock=Clock(),
        ) as fetcher,
        open_yard(database, fetcher, emit, daemon=daemon) as yard,
    ):
        materials = materials_of(settings, database, fetcher, folder, emit)
        await check_live(materials, yard, say)
