"""The composition root of `jobping run` and `jobping demo`: builds every part and joins them.

The tree, in start order (stopped in reverse): store, budget, digest, matcher, ingest, supply,
cycle, degradation with one child per scraper domain, alerts, control, lifesign, heartbeat.
"""

import os
import platform
import random
import resource
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, Signals
from typing import Final

import attrs
import trio

from jobping.actors.alerts import Inbox
from jobping.clock import Clock
from jobping.control import own_state
from jobping.core.alerting import Change
from jobping.core.board import Board, Origin
from jobping.core.ids import Domain, SourceName
from jobping.core.schedule import DigestRules, When
from jobping.core.summary import Summary, Traffic
from jobping.delivery import (
    ConsoleDelivery,
    Delivery,
    FilesDelivery,
    SmtpDelivery,
    WebhookDelivery,
    write_notice,
)
from jobping.demo.model_server import ModelServer, open_model_server
from jobping.demo.recorded import read_recordings
from jobping.demo.synthetic import Synthetic
from jobping.demo.world import Supplier, World, open_world
from jobping.drain import Drain
from jobping.early import EarlySignals, deliver_signals, keep_signals
from jobping.errors import ConfigError, DeliveryError, StoreUnavailable
from jobping.events import Emit
from jobping.fetch import Fetcher, FetchLimits, open_fetcher
from jobping.inspection import Debugging, say_tree
from jobping.logs import Log, is_journal, open_log
from jobping.reload import Reloader, served
from jobping.sdnotify import ServiceManager, explained_aborts
from jobping.settings import (
    DeliverySettings,
    DemoOptions,
    LlmSettings,
    RunOptions,
    Secret,
    Settings,
    SourceSettings,
    environment_for_child,
)
from jobping.sources import DEFAULT_BOARDS, SOURCES
from jobping.sources.source import Pace, Source
from jobping.store.bridge import Database, Dsn, open_loop, serve_database
from jobping.store.cluster import make_parents
from jobping.store.dumps import Tools, bring_up_to_date
from jobping.store.embedded import EmbeddedConfig, open_server
from jobping.store.groups import single_errors
from jobping.store.pool import PoolLimits
from jobping.tree import Materials, Stores, build_tree
from supervisors import Context, Supervisor, run_daemon

__all__ = ["Outcome", "Stores", "demo", "open_dsn", "open_stores", "run", "send_notice"]

UNAVAILABLE: Final = 69  # design/operations.md section 5, as `cli` exits for the same error
CONFIG: Final = 78
GRACE_PERIOD_S: Final = 45.0  # design/operations.md section 4
WATCHDOG_S: Final = 60.0  # the unit's, where no systemd watches
SIGNS: Final = 4  # of life, within that time
SIGN_EVERY_S: Final = 20.0  # of the connections, whether or not the server answers
SIGN_WITHIN_S: Final = 60.0
FIRST_CYCLE_S: Final = 45.0  # so that a first digest is seen within a minute
REPLACE_EXAMPLE: Final = 'jobping profile add NAME --words "..." --places "..."'
ANY_AGE_DAYS: Final = 36_500
DEMO_PACE: Final = Pace(per_hour=36_000.0, burst=5, poll_every_s=20.0)
DEMO_PER_HOUR: Final = 1_000_000.0  # to all boards together: the world is ours
DEMO_DIGEST_S: Final = 3600.0
DEMO_NOTE: Final = (
    f"{DEMO_PACE.per_hour / 3600:g} requests a second and host in the demo, by the same rules;"
    " `jobping sources` shows the pace of real boards"
)


@attrs.frozen(kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: The exit code.
        summary: What it came to.
        pace: What a person should know about the pace of this run.
    """

    code: int
    summary: Summary
    traffic: Traffic
    duration_s: float
    pace: str | None = None


@attrs.frozen(kw_only=True)
class _Plan:
    """What kind of run it is.

    Attributes:
        once: End after the first cycle.
        cycle_s: Longest first cycle.
        end_after_s: End then at the latest; None: never by itself.
        shows_digests: Digests are printed also where stdout is no terminal.
        json: stdout belongs to the summary.
        pace: What a person should know about the pace.
        early: What kept signals until the daemon receives them.
        read: Reads the settings anew; None: they hold for the whole run.
    """

    once: bool
    cycle_s: float
    end_after_s: float | None = None
    shows_digests: bool = False
    json: bool = False
    pace: str | None = None
    early: EarlySignals | None = None
    read: Callable[[], Settings] | None = None


def run(settings: Settings, options: RunOptions, read: Callable[[], Settings]) -> Outcome:
    """Run the daemon until a signal, or once.

    Args:
        read: Reads the settings anew, at SIGHUP.

    Raises:
        ConfigError: The operator must act.
        StoreUnavailable: The given database did not answer at the start.
    """
    cycle_s = options.minutes * 60 if options.once else FIRST_CYCLE_S
    plan = _Plan(
        once=options.once,
        cycle_s=cycle_s,
        shows_digests=options.once,
        json=options.json,
        read=None if options.once else read,
    )
    return trio.run(_run_settings, settings, attrs.evolve(plan, early=keep_signals()))


def demo(settings: Settings, options: DemoOptions) -> Outcome:
    """Run the daemon on a local world of boards.

    Raises:
        ConfigError: The recordings cannot be read.
    """
    minutes_s = options.minutes * 60
    plan = _Plan(
        once=options.once,
        cycle_s=minutes_s,
        end_after_s=minutes_s,
        shows_digests=True,
        json=options.json,
        pace=DEMO_NOTE,
    )
    return trio.run(_run_demo, settings, options, attrs.evolve(plan, early=keep_signals()))


async def _run_settings(settings: Settings, plan: _Plan) -> Outcome:
    return await _Daemon(settings=settings, plan=plan).run()


async def _run_demo(settings: Settings, options: DemoOptions, plan: _Plan) -> Outcome:
    async with open_world(_supplier(options)) as world, open_model_server() as models:
        return await _Daemon(settings=demo_settings(settings, world, models), plan=plan).run()


def _supplier(options: DemoOptions) -> Supplier:
    """Return what fills the demo's boards.

    Raises:
        ConfigError: The recordings cannot be read.
    """
    utcnow = Clock().utcnow()
    if options.recordings is not None:
        return read_recordings(options.recordings, utcnow)
    today = utcnow.replace(hour=0, minute=0, second=0, microsecond=0)
    return Synthetic(seed=options.seed, now=today)


def demo_settings(settings: Settings, world: World, models: ModelServer) -> Settings:
    """Point every source and model at the demo's world, at a pace that a demo can wait for.

    The rules are those of every run; postings of any age are news, because the recorded answers
    are years old.
    """
    return attrs.evolve(
        settings,
        network=attrs.evolve(
            settings.network,
            allow=(ip_network("127.0.0.0/8"),),
            requests_per_minute=DEMO_PER_HOUR,
            requests_per_hour=DEMO_PER_HOUR,
        ),
        sources=tuple(
            SourceSettings(name=name, base_url=base_url, pace=DEMO_PACE)
            for name, base_url in sorted(world.base_urls.items())
        ),
        boards=world.boards,
        default_boards=False,
        matching=attrs.evolve(settings.matching, recent_days=ANY_AGE_DAYS),
        digest=DigestRules(when=When.INSTANT, every_s=DEMO_DIGEST_S, most_a_day=10_000),
        llm=LlmSettings(
            api_key=Secret("demo"),
            base_url=models.base_url,
            tokenizer_dirs=(settings.state_dir / "tiktoken",),
        ),
    )


@asynccontextmanager
async def open_stores(settings: Settings, emit: Emit) -> AsyncIterator[Stores]:
    """Open the database for a command: the daemon's, if one runs, else the private server.

    Raises:
        ConfigError: The operator must act.
        StoreUnavailable: The given server does not answer.
    """
    database = Database()
    with single_errors():
        async with (
            open_loop(emit=emit),
            _open_server(settings, emit) as dsn,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(partial(serve_database, database, dsn, emit=emit))
            await bring_stores_up_to_date(settings, dsn, emit)
            yield Stores.of(database)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_dsn(settings: Settings, emit: Emit) -> AsyncIterator[Dsn]:
    """Yield the address of the database for a program of its own, such as psql.

    Raises:
        ConfigError: The operator must act.
    """
    with single_errors():
        async with open_loop(emit=emit), _open_server(settings, emit) as dsn:
            yield dsn


@asynccontextmanager
async def _open_server(settings: Settings, emit: Emit) -> AsyncIterator[Dsn]:
    """Yield the given server's address, or start the private one."""
    store = settings.store
    if store.url is not None:
        yield Dsn(url=store.url.reveal())
        return
    config = EmbeddedConfig(
        state_dir=settings.state_dir,
        data_dir=store.data_dir,
        bin_dir=store.bin_dir,
        server_account=store.server_account,
        runtime_dir=settings.system.runtime_dir,
    )
    async with open_server(config, emit=emit) as dsn:
        yield dsn


async def bring_stores_up_to_date(settings: Settings, dsn: Dsn, emit: Emit) -> None:
    """Bring the schema up to this version; the private database is dumped before."""
    dumps = dumps_of(settings) if settings.store.url is None else None
    await bring_up_to_date(dsn, dumps=dumps, emit=emit, tools=tools_of(settings))


def dumps_of(settings: Settings) -> Path:
    """Return where dumps go unless an operator says otherwise."""
    return settings.state_dir / "dumps"


def tools_of(settings: Settings) -> Tools:
    """Return the client programs that fit the configuration."""
    return Tools(bin_dir=settings.store.bin_dir, environ=environment_for_child({}))


def sources_of(settings: Settings) -> dict[SourceName, Source]:
    """Return the sources that are switched on, each asked where the operator says."""
    asked = (source for source in SOURCES if settings.why_off(source) is None)
    return {source.name: settings.dressed(source) for source in asked}


async def sync(settings: Settings, stores: Stores) -> None:
    """Write what the configuration says of boards and profiles into the database."""
    sources = sources_of(settings)

    def placed(boards: Sequence[Board]) -> list[tuple[Board, Domain]]:
        known = (board for board in boards if board.source in sources)
        return [(board, sources[board.source].domain(board)) for board in known]

    await stores.boards.sync(
        placed(settings.boards), placed(DEFAULT_BOARDS), use_defaults=settings.default_boards
    )
    await stores.profiles.sync(settings.profiles)


@attrs.frozen
class _Noted:
    """An `Emit` that also feeds the summary."""

    write: Emit
    summary: Summary
    drain: Drain

    def __call__(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        """Write one event and count it."""
        self.write(event, level=level, **fields)
        self.summary.note(event, fields)
        self.drain.note(event, fields)


@attrs.define(kw_only=True)
class _Daemon:
    """One run: the parts, joined.

    Attributes:
        tls: How every server but the model's is checked.
        poster: Asks what the operator names; boards have a client of their own, which one host
            must not be asked through by two.
        ways: Closes the ways out.
    """

    settings: Settings
    plan: _Plan
    tls: ssl.SSLContext = attrs.field(factory=ssl.create_default_context)
    poster: Fetcher | None = None
    ways: ExitStack = attrs.field(factory=ExitStack)
    clock: Clock = attrs.field(factory=Clock)
    database: Database = attrs.field(factory=Database)
    events: Inbox = attrs.field(factory=Inbox)
    summary: Summary = attrs.field(factory=Summary)
    failure: ConfigError | StoreUnavailable | None = None
    cycle_ended: trio.Event = attrs.field(factory=trio.Event)
    is_ready: trio.Event = attrs.field(factory=trio.Event)
    counts: tuple[int, int, int] = (0, 0, 0)
    materials: Materials | None = None
    drain: Drain = attrs.field(init=False)

    async def run(self) -> Outcome:
        """Run until a signal, the cycle's end, or the end of the time.

        Raises:
            ConfigError: Start is impossible until the operator acts.
            StoreUnavailable: The given database did not answer.
        """
        stream, system = sys.stderr if self.plan.json else sys.stdout, self.settings.system
        journal = is_journal(stream, system.journal_stream)
        began = self.clock.monotonic()
        with (
            open_log(self.settings.log, stream=stream, journal=journal, tap=self.events.tap) as log,
            own_state(_made(self.settings.state_dir)) as id,
            explained_aborts(),
            self.ways,
        ):
            self.drain = Drain(clock=self.clock, emit=log.emit)
            self._say_started(log)
            async with (
                open_loop(emit=log.emit),
                self._open_fetcher(self._emit_as(log, "fetch")) as fetcher,
                self._open_fetcher(self._emit_as(log, "webhook")) as self.poster,
                trio.open_nursery() as nursery,
            ):
                service = ServiceManager(
                    address=system.notify_socket,
                    watchdog_s=system.watchdog_s,
                    on_ready=partial(self._say_ready, log, began),
                    on_stop=self.drain.begin,
                    is_mute=lambda: log.is_broken,
                )
                reloader = self._reloader(log, service)
                root = build_tree(self._materials(log, fetcher, id, reloader))
                nursery.start_soon(self._end_in_time, root)
                stops, on_signal = self._signals(log, root, reloader, nursery)
                code = await run_daemon(
                    root,
                    grace_period=GRACE_PERIOD_S,
                    signals=stops,
                    notifier=service,
                    on_signal=on_signal,
                    heartbeat=self._watchdog_s / SIGNS,
                )
                nursery.cancel_scope.cancel()
                traffic = self._traffic(fetcher)
            forced = code != 0 and self.drain.asked.is_set()
            bad = self.summary.failed + self.summary.crashes
            code = code or int(self.plan.once and bad > 0)
            if self.failure is not None:
                code = CONFIG if isinstance(self.failure, ConfigError) else UNAVAILABLE
            duration_s = self.clock.monotonic() - began
            self.drain.end(code, forced=forced, duration_s=duration_s, requests=traffic.requests)
        if self.failure is not None:
            raise self.failure
        return Outcome(
            code=code,
            summary=self.summary,
            traffic=traffic,
            duration_s=duration_s,
            pace=self.plan.pace,
        )

    def _open_fetcher(self, emit: Emit) -> AbstractAsyncContextManager[Fetcher]:
        return open_fetcher(
            limits=FetchLimits(),
            allow=self.settings.network.allow,
            user_agent=user_agent(self.settings),
            emit=emit,
            clock=self.clock,
            tls=self.tls,
        )

    def _emit_as(self, log: Log, actor: str) -> Emit:
        """Return an Emit that also feeds the summary."""
        return _Noted(log.bind(actor=actor), self.summary, self.drain)

    def _say_started(self, log: Log) -> None:
        log.emit(
            "daemon.started",
            version=version("jobping"),
            pid=os.getpid(),
            python=platform.python_version(),
            state_dir=str(self.settings.state_dir),
            allow=[str(network) for network in self.settings.network.allow],
        )
        for name, variable in self.settings.exposed:
            log.emit("credential.exposed", name=name, variable=variable)
        for name in self.settings.not_found:
            log.emit("credential.not_found", name=name)
        named = {board.source for board in self.settings.boards}
        for source in SOURCES:
            why = self.settings.why_off(source)
            is_wanted = self.settings.default_boards is not False or source.name in named
            if why is not None and is_wanted and self.settings.source(source.name).enabled:
                log.emit("source.left_off", source=source.name, why=why)

    @property
    def _watchdog_s(self) -> float:
        return self.settings.system.watchdog_s or WATCHDOG_S

    def _say_ready(self, log: Log, began: float) -> str:
        boards, domains, profiles = self.counts
        log.emit(
            "daemon.became_ready",
            start_s=self.clock.monotonic() - began,
            boards=boards,
            domains=domains,
            profiles=profiles,
        )
        self.is_ready.set()
        return served(*self.counts)

    async def _end_in_time(self, root: Supervisor) -> None:
        """Stop the tree when the kind of run says so."""
        if self.plan.once:
            await self.cycle_ended.wait()
            self.drain.begin()
            await root.stop(reason="every due board was polled once")
        elif self.plan.end_after_s is not None:
            await trio.sleep(self.plan.end_after_s)
            self.drain.begin()
            await root.stop(reason="the time is up")

    def _traffic(self, fetcher: Fetcher) -> Traffic:
        http, pool = fetcher.statistics(), self.database.statistics()
        return Traffic(
            requests=http.requests,
            connections=http.connections,
            statements=pool.statements,
            database_connections=pool.opened,
        )

    def _reloader(self, log: Log, service: ServiceManager) -> Reloader:
        return Reloader(
            read=None if self.plan.read is None else partial(_read_checked, self.plan.read),
            settings=self.settings,
            use=self._use,
            sync=self._sync,
            service=service,
            clock=self.clock,
            emit=log.emit,
        )

    def _signals(
        self, log: Log, root: Supervisor, reloader: Reloader, nursery: trio.Nursery
    ) -> tuple[tuple[Signals, ...], dict[Signals, Callable[[], None]]]:
        """Return the signals that stop the daemon, and what others lead to.

        A terminal that is closed sends SIGHUP, too; then it is one that stops.
        """
        others: dict[Signals, Callable[[], None]] = {
            SIGUSR1: partial(say_tree, root, log.emit),
            SIGUSR2: Debugging(log=log, nursery=nursery).toggle,
        }
        if self.plan.read is None or sys.stdin.isatty():
            return (SIGTERM, SIGINT, SIGHUP), others
        nursery.start_soon(self._reload_once_ready, reloader, root)
        return (SIGTERM, SIGINT), {**others, SIGHUP: reloader.note}

    async def _reload_once_ready(self, reloader: Reloader, root: Supervisor) -> None:
        await self.is_ready.wait()
        await reloader.serve(root)

    def _use(self, settings: Settings) -> None:
        """Let every actor that starts from now on take these settings."""
        self.settings = settings
        if self.materials is not None:
            self.materials.settings = settings
            self.materials.sources = sources_of(settings)
            self.ways.close()
            self.materials.deliveries = self._deliveries()
            self.materials.notices = self._far_ways(settings.noticed)

    async def _sync(self) -> tuple[int, int, int]:
        stores = Stores.of(self.database)
        await sync(self.settings, stores)
        boards, profiles = await stores.boards.enabled(), await stores.profiles.all()
        return len(boards), len({row.domain for row in boards}), len(profiles)

    def _materials(self, log: Log, fetcher: Fetcher, id: str, reloader: Reloader) -> Materials:
        stores = Stores.of(self.database)
        self.materials = Materials(
            settings=self.settings,
            stores=stores,
            database=self.database,
            serve_store=partial(self._serve_store, self._emit_as(log, "store"), stores),
            sources=sources_of(self.settings),
            fetcher=fetcher,
            deliveries=self._deliveries(),
            daemon=id,
            run=log.run,
            notices=self._far_ways(self.settings.noticed),
            events=self.events,
            control_dir=self.settings.system.runtime_dir or self.settings.state_dir,
            cycle_s=self.plan.cycle_s,
            max_idle_s=self._watchdog_s / 2,
            on_cycle_end=self.cycle_ended.set,
            resident_bytes=resident_bytes,
            clock=self.clock,
            emit_as=partial(self._emit_as, log),
            rng=random.Random(),  # noqa: S311  jitter is no secret
            generation=lambda: reloader.generation,
            reload=reloader.ask,
            stopping=self.drain.asked,
        )
        return self.materials

    async def _serve_store(self, emit: Emit, stores: Stores, ctx: Context[object]) -> None:
        """Be the store child: PostgreSQL up, migrated and in step with the configuration."""
        deliver_signals(self.plan.early)
        try:
            with single_errors():
                async with _open_server(self.settings, emit) as dsn, trio.open_nursery() as nursery:
                    limits = PoolLimits(
                        size_min=self.settings.store.pool_min, size_max=self.settings.store.pool_max
                    )
                    await nursery.start(
                        partial(serve_database, self.database, dsn, limits=limits, emit=emit)
                    )
                    await bring_stores_up_to_date(self.settings, dsn, emit)
                    await self._take_over(emit, stores)
                    ctx.started()
                    while not ctx.stop_requested.is_set():
                        with ctx.busy(SIGN_WITHIN_S):
                            with trio.move_on_after(SIGN_EVERY_S):
                                await ctx.stop_requested.wait()
                                break
                            await self.database.look()
                    nursery.cancel_scope.cancel()
        except (ConfigError, StoreUnavailable) as error:
            self.failure = error
            raise

    async def _take_over(self, emit: Emit, stores: Stores) -> None:
        """Bring boards and profiles in step with the configuration, and count them."""
        self.counts = await self._sync()
        if all(stored.origin is Origin.DEFAULT for stored in await stores.profiles.all()):
            emit("profile.example_used", profile="example", command=REPLACE_EXAMPLE)
        self.failure = None

    def _deliveries(self) -> tuple[Delivery, ...]:
        """Return the ways out of digests."""
        ways: list[Delivery] = []
        wanted = self.settings.delivery
        if wanted.files is not None:
            ways.append(FilesDelivery(directory=wanted.files))
        ways += self._far_ways(wanted)
        on_screen = sys.stdout.isatty() or self.plan.shows_digests
        if wanted.console and on_screen and not self.plan.json:
            ways.append(ConsoleDelivery(stream=sys.stdout))
        return tuple(ways)

    def _far_ways(self, wanted: DeliverySettings) -> tuple[Delivery, ...]:
        return _far_ways(wanted, self.tls, self.poster, self.clock, self.ways)


def _far_ways(
    wanted: DeliverySettings,
    tls: ssl.SSLContext,
    poster: Fetcher | None,
    clock: Clock,
    closing: ExitStack,
) -> tuple[Delivery, ...]:
    """Return mail and webhook, with connections of their own.

    Args:
        closing: Closes them.
    """
    ways: list[Delivery] = []
    if wanted.smtp is not None:
        mail = SmtpDelivery(relay=wanted.smtp, tls=tls, clock=clock)
        closing.callback(mail.close)
        ways.append(mail)
    if wanted.webhook is not None and poster is not None:
        ways.append(WebhookDelivery(hook=wanted.webhook, post=poster.call, clock=clock))
    return tuple(ways)


async def send_notice(settings: Settings, change: Change, emit: Emit) -> dict[str, str]:
    """Send a notice at once; return by way what stood against it, empty where it went out."""
    answers = {}
    clock, tls = Clock(), ssl.create_default_context()
    with ExitStack() as closing:
        async with open_fetcher(
            limits=FetchLimits(),
            allow=settings.network.allow,
            user_agent=user_agent(settings),
            emit=emit,
            clock=clock,
            tls=tls,
        ) as poster:
            notice = write_notice(change, socket.gethostname(), settings.alerts.email)
            for way in _far_ways(settings.noticed, tls, poster, clock, closing):
                answers[way.name] = ""
                try:
                    await way.send(notice)
                except DeliveryError as error:
                    answers[way.name] = str(error)
    return answers


def _read_checked(read: Callable[[], Settings]) -> Settings:
    """Read the settings anew, and see that what they name can be used before it must be.

    Raises:
        ConfigError: It cannot.
    """
    try:
        settings = read()
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    if settings.delivery.files is not None:
        FilesDelivery(directory=settings.delivery.files).check()
    return settings


def _made(state_dir: Path) -> Path:
    """Make the state directory where it is missing.

    Raises:
        ConfigError: That is not allowed.
    """
    try:
        make_parents(state_dir)
    except OSError as error:
        raise ConfigError(f"{state_dir} cannot be made: {error.strerror}") from error
    return state_dir


def user_agent(settings: Settings) -> str:
    """Return what we call ourselves towards the boards."""
    contact = settings.network.contact
    return f"JobPing/{version('jobping')}" + (f" (+{contact})" if contact else "")


def resident_bytes() -> int:
    """Return the memory of this process; the peak where the system does not tell the present."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
