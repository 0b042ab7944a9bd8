"""The records that settings consist of; built by `load`, or in code by the demo and the tests."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from jobping.core.alerting import RULES, Rule
from jobping.core.board import Board
from jobping.core.budget import Limits
from jobping.core.career_words import CareerWords, with_more
from jobping.core.ids import SourceName
from jobping.core.ladder import LadderRules
from jobping.core.model import Dialect
from jobping.core.pricing import PriceTable
from jobping.core.profile import Profile
from jobping.core.retention import Retention
from jobping.core.robots import Use
from jobping.core.schedule import DigestRules
from jobping.core.supply import SupplyRules
from jobping.delivery import Hook, Relay
from jobping.llm.place import OPENAI_URL, ModelPlace
from jobping.llm.prices import load_prices
from jobping.logs import LogConfig
from jobping.sources.source import Pace, Source

Network = IPv4Network | IPv6Network

_HOUR_S: Final = 3600.0
_DAY_S: Final = 86_400.0


class Secret:
    """A text that no log, traceback or listing shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@attrs.frozen(kw_only=True)
class StoreSettings:
    """`[store]`: which PostgreSQL, and how many connections.

    Attributes:
        url: A given server; None: a private one is started.
        data_dir: The private server's data; None: `postgres` below the state directory.
        bin_dir: Where its programs are; None: the wheel's, else the machine's newest.
        server_account: Whom it runs as when the daemon is root; `auto`: the first that exists.
        pool_min: Connections held open.
        pool_max: Most connections.
    """

    url: Secret | None = None
    data_dir: Path | None = None
    bin_dir: Path | None = None
    server_account: str = "auto"
    pool_min: int = 2
    pool_max: int = 20


@attrs.frozen(kw_only=True)
class NetworkSettings:
    """`[network]`: what may be asked, and who we say we are.

    Attributes:
        allow: Private networks that may be asked all the same.
        contact: A URL or mail address for the operators of boards, shown in the User-Agent.
        requests_per_minute: Most requests to all sites together, in any minute.
        requests_per_hour: The same in any hour.
    """

    allow: tuple[Network, ...] = ()
    contact: str | None = None
    requests_per_minute: float = 100.0
    requests_per_hour: float = 5_000.0


@attrs.frozen(kw_only=True)
class SourceSettings:
    """`[source.NAME]`: one source, asked differently than by default. None: the source's own.

    Attributes:
        per_hour: Most requests an hour to one host.
        poll_every_s: Seconds between two polls of one board.
        robots: Whether the site's robots.txt is asked for.
        breaker: Whether failures keep us from asking the site.
        pace: Replaces the source's pace altogether; set in code only.
    """

    name: SourceName
    enabled: bool = True
    base_url: str | None = None
    per_hour: float | None = None
    poll_every_s: float | None = None
    robots: Use = Use.ASK
    breaker: bool = True
    pace: Pace | None = None

    def pace_of(self, source: Source) -> Pace:
        """Return the pace to ask the source at; figures in its terms bind whatever is set."""
        if self.pace is not None:
            return self.pace
        pace = source.pace
        if self.per_hour is not None:
            gap_s = min(pace.min_gap_s, _HOUR_S / self.per_hour)
            pace = attrs.evolve(pace, per_hour=self.per_hour, min_gap_s=gap_s)
        if self.poll_every_s is not None:
            pace = attrs.evolve(pace, poll_every_s=self.poll_every_s)
        if source.terms.polls_a_day is not None:
            least_s = _DAY_S / source.terms.polls_a_day
            pace = attrs.evolve(pace, poll_every_s=max(pace.poll_every_s, least_s))
        return pace


@attrs.frozen(kw_only=True)
class MatchingSettings:
    """`[matching]`: how far back postings count, and what tells their level.

    Attributes:
        recent_days: On a board's first walk only postings so young are news; the rest is stock.
        backfill_days: The backfill tier offers stored postings so young.
        intern_words: Further words of titles that tell of an internship.
        entry_words: The same of a beginner's post.
        no_level_words: Those that tell no level.
    """

    recent_days: int = 14
    backfill_days: int = 7
    intern_words: tuple[str, ...] = ()
    entry_words: tuple[str, ...] = ()
    no_level_words: tuple[str, ...] = ()

    @property
    def words(self) -> CareerWords:
        """The words that tell a level."""
        return with_more(intern=self.intern_words, entry=self.entry_words, none=self.no_level_words)


@attrs.frozen(kw_only=True)
class BudgetSettings:
    """`[budget]`: what models may cost.

    Attributes:
        fallback: A cheaper model follows where one does not fit; else only the first is asked.
        prices: In force: the packaged ones with what the operator puts in their place.
    """

    limits: Limits = attrs.Factory(Limits)
    fallback: bool = True
    prices: PriceTable = attrs.field(factory=load_prices, repr=False)


@attrs.frozen(kw_only=True)
class LlmSettings:
    """`[llm]`: which models rank postings, and where they are asked.

    Attributes:
        api_key: None: no model is asked, unless a compatible server needs none.
        base_url: None: OpenAI's own.
        models: In the order of asking, none dearer than the one before it.
        concurrency: Most calls at once.
        tokenizer_dirs: Where the file that tokens are counted with may lie, first come first.
    """

    api_key: Secret | None = None
    base_url: str | None = None
    dialect: Dialect = Dialect.OPENAI
    models: tuple[str, ...] = ("gpt-5.4-mini", "gpt-5.6-luna", "gpt-6-luna")
    concurrency: int = 1
    organization: str | None = None
    project: str | None = None
    tokenizer_dirs: tuple[Path, ...] = ()

    @property
    def is_regional(self) -> bool:
        """Whether it is one of OpenAI's regional endpoints, whose prices are higher."""
        return (urlsplit(self.base_url or "").hostname or "").endswith(".api.openai.com")

    def place(self, allow: tuple[Network, ...]) -> ModelPlace:
        """Return where models are asked.

        Args:
            allow: Networks to which the key may go in clear.

        Raises:
            ValueError: The key would go over the network in clear.
        """
        return ModelPlace(
            base_url=self.base_url or OPENAI_URL,
            dialect=self.dialect,
            key=self.api_key.reveal() if self.api_key else None,
            organization=self.organization,
            project=self.project,
            connections=self.concurrency,
            allow=allow,
        )

    @property
    def is_on(self) -> bool:
        """Whether there is a model to ask."""
        is_reachable = self.api_key is not None or self.dialect is Dialect.COMPATIBLE
        return bool(self.models) and is_reachable


@attrs.frozen(kw_only=True)
class DeliverySettings:
    """`[delivery]`: where digests go.

    Attributes:
        files: The directory of their files; None: no files.
        smtp: The server for mail; None: no mail.
        webhook: Where they are posted, too; None: nowhere.
    """

    console: bool = True
    files: Path | None = None
    smtp: Relay | None = None
    webhook: Hook | None = None


@attrs.frozen(kw_only=True)
class AlertSettings:
    """`[alerts]`: what an operator is told of, and who is told that all is well.

    Attributes:
        rules: Those that are on.
        email: Where notices go through `[delivery.smtp]`; None: no mail.
        webhook: They are posted to `[delivery.webhook]`, too.
        heartbeat_url: Asked now and then while the daemon fares well; None: nobody is.
    """

    rules: tuple[Rule, ...] = RULES
    email: str | None = None
    webhook: bool = False
    heartbeat_url: Secret | None = None


@attrs.frozen(kw_only=True)
class SystemSettings:
    """What systemd told this process; None where it did not start it.

    Attributes:
        runtime_dir: For sockets.
        notify_socket: Where readiness is told.
        watchdog_s: A process that gives no sign of life for so long is ended.
        journal_stream: `device:inode` of the journal's stream.
    """

    runtime_dir: Path | None = None
    notify_socket: str | None = None
    watchdog_s: float | None = None
    journal_stream: str | None = None


@attrs.frozen(kw_only=True)
class ValueOrigin:
    """One value as `jobping config show` prints it.

    Attributes:
        key: As in the file, such as `store.pool_max`.
        value: As text; secrets hidden.
        origin: `default`, or the file, the variable or the option it came from.
    """

    key: str
    value: str
    origin: str


@attrs.frozen(kw_only=True)
class Settings:
    """Everything an operator can say, checked.

    Attributes:
        state_dir: Absolute; holds the private database and the digests.
        config_file: The file that was read, or None.
        sources: Only those that the file names; see `source`.
        default_boards: Poll the default set; None: only while no other board exists.
        origins: Where each value came from; empty where the record was made in code.
        exposed: Secrets that came in plain environment variables: name and variable.
        not_found: Credentials of systemd's that are missing.
        keys: Those of sources, by the variable that holds them.
    """

    state_dir: Path
    config_file: Path | None = None
    store: StoreSettings = attrs.Factory(StoreSettings)
    network: NetworkSettings = attrs.Factory(NetworkSettings)
    sources: tuple[SourceSettings, ...] = ()
    boards: tuple[Board, ...] = ()
    default_boards: bool | None = None
    profiles: tuple[Profile, ...] = ()
    matching: MatchingSettings = attrs.Factory(MatchingSettings)
    ladder: LadderRules = attrs.Factory(LadderRules)
    supply: SupplyRules = attrs.Factory(SupplyRules)
    budget: BudgetSettings = attrs.Factory(BudgetSettings)
    llm: LlmSettings = attrs.Factory(LlmSettings)
    digest: DigestRules = attrs.Factory(DigestRules)
    delivery: DeliverySettings = attrs.Factory(DeliverySettings)
    retention: Retention = attrs.Factory(Retention)
    alerts: AlertSettings = attrs.Factory(AlertSettings)
    log: LogConfig = attrs.Factory(LogConfig)
    system: SystemSettings = attrs.Factory(SystemSettings)
    origins: tuple[ValueOrigin, ...] = attrs.field(default=(), eq=False, repr=False)
    exposed: tuple[tuple[str, str], ...] = ()
    not_found: tuple[str, ...] = ()
    keys: tuple[tuple[str, Secret], ...] = ()

    @property
    def noticed(self) -> DeliverySettings:
        """The ways out that notices take."""
        return DeliverySettings(
            console=False,
            smtp=self.delivery.smtp if self.alerts.email is not None else None,
            webhook=self.delivery.webhook if self.alerts.webhook else None,
        )

    def why_off(self, source: Source) -> str | None:
        """Return in one line why a source is not asked, or None where it is."""
        if not self.source(source.name).enabled:
            return "its source is disabled"
        known = dict(self.keys)
        lacking = [name for name in source.credentials if name not in known]
        if source.is_key_optional or not lacking:
            return None
        return f"{source.name} needs {' and '.join(lacking)}"

    def dressed(self, source: Source) -> Source:
        """Return a source as the operator wants it asked: at which place, with which keys."""
        base_url = self.source(source.name).base_url
        placed = source if base_url is None else source.with_base_url(base_url)
        known = dict(self.keys)
        keys = tuple(known[name].reveal() for name in source.credentials if name in known)
        return placed.with_keys(keys) if len(keys) == len(source.credentials) else placed

    def source(self, name: SourceName) -> SourceSettings:
        """Return what is set for a source, or the defaults."""
        named = (source for source in self.sources if source.name == name)
        return next(named, SourceSettings(name=name))
