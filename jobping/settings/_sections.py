"""The sections of the file, each from its table to its record."""

import datetime as dt
from pathlib import Path
from typing import TypeVar

import attrs

from jobping.core.alerting import RULES, Rule
from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.core.ladder import LadderRules
from jobping.core.profile import NAME_PATTERN, Level, Profile, RemoteWish
from jobping.core.retention import Retention
from jobping.core.robots import Use
from jobping.core.schedule import DigestRules, DigestWish, Weekday, When
from jobping.core.supply import SupplyRules
from jobping.errors import ConfigError
from jobping.events import LEVELS
from jobping.logs import Form, LogConfig
from jobping.settings import _values as values
from jobping.settings._records import (
    AlertSettings,
    DeliverySettings,
    MatchingSettings,
    NetworkSettings,
    SourceSettings,
    StoreSettings,
)
from jobping.settings._tables import Notes, Table, unknown
from jobping.sources import SOURCES
from jobping.sources.source import Source

Times = TypeVar("Times", DigestRules, DigestWish)


def read_store(root: Table, folder: Path) -> StoreSettings:
    """Read `[store]`."""
    own, path = StoreSettings(), values.path_below(folder)
    with root.table("store") as table:
        store = StoreSettings(
            url=table.take("url", values.database_url, None),
            data_dir=table.take("data_dir", path, None),
            bin_dir=table.take("bin_dir", path, None),
            server_account=table.take("server_account", values.text, own.server_account),
            pool_min=table.take("pool_min", values.whole(1, 200), own.pool_min),
            pool_max=table.take("pool_max", values.whole(1, 200), own.pool_max),
        )
    if store.pool_min > store.pool_max:
        table.notes.complain(
            f"[store] pool_min = {store.pool_min}", f"must be at most pool_max, {store.pool_max}"
        )
    return store


def read_network(root: Table) -> NetworkSettings:
    """Read `[network]`."""
    own, allowed = NetworkSettings(), values.many(values.network, "address ranges")
    minute, hour = values.number(10, 100_000), values.number(100, 1_000_000)
    with root.table("network") as table:
        return NetworkSettings(
            allow=table.take("allow", allowed, ()),
            contact=table.take("contact", values.contact, None),
            requests_per_minute=table.take("requests_per_minute", minute, own.requests_per_minute),
            requests_per_hour=table.take("requests_per_hour", hour, own.requests_per_hour),
        )


def read_sources(root: Table) -> tuple[SourceSettings, ...]:
    """Read `[source.NAME]`, once for each name."""
    found = []
    with root.table("source") as table:
        for name in table.names():
            try:
                source = known_source(name)
            except ValueError as error:
                table.ignore(name, str(error))
                continue
            found.append(_read_source(table, source))
    return tuple(found)


def _read_source(root: Table, source: Source) -> SourceSettings:
    with root.table(source.name) as table:
        minutes = table.take("poll_every_minutes", values.number(1, 10_080), None)
        return SourceSettings(
            name=source.name,
            enabled=table.take("enabled", values.truth, True),
            base_url=table.take("base_url", _base_url_of(source), None),
            per_hour=table.take("per_hour", values.number(0.1, 36_000), None),
            poll_every_s=None if minutes is None else minutes * 60,
            robots=table.take("robots", values.one_of(Use), Use.ASK),
            breaker=table.take("breaker", values.truth, True),
        )


def _base_url_of(source: Source) -> values.Parse[str]:
    def parse(value: object) -> str:
        text = values.text(value)
        try:
            source.with_base_url(text)
        except ValueError as error:
            raise ValueError(f"an http or https URL of a place to ask ({error})") from error
        return text

    return parse


def known_source(name: str) -> Source:
    """Return the source of that name.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    for source in SOURCES:
        if source.name == name:
            return source
    raise ValueError(unknown(name, [source.name for source in SOURCES], "source"))


def read_boards(root: Table) -> tuple[Board, ...]:
    """Read `[[board]]`."""
    boards: list[Board] = []
    for table in root.tables("board"):
        name = table.need("source", values.text)
        slug = table.need("slug", values.text)
        company = table.take("company", values.text, None)
        standby = table.take("standby", values.truth, False)
        if name is None or slug is None:
            continue
        try:
            board = check_board(name, slug, company, standby=standby)
        except ValueError as error:
            table.notes.complain(table.where, str(error))
            continue
        if any((board.source, board.slug) == (other.source, other.slug) for other in boards):
            table.notes.complain(table.where, f"{name} {slug} is there twice")
        boards.append(board)
    return tuple(boards)


def check_board(source: str, slug: str, company: str | None, *, standby: bool = False) -> Board:
    """Return the board, or raise ValueError saying what is wrong with source or slug."""
    try:
        known = known_source(source)
    except ValueError as error:
        raise ValueError(f'source = "{source}": {error}') from error
    try:
        known.check_slug(slug)
    except ValueError as error:
        raise ValueError(f'slug = "{slug}": {error}') from error
    return Board(source=SourceName(source), slug=slug, company=company, standby=standby)


def read_profiles(root: Table) -> tuple[Profile, ...]:
    """Read `[[profile]]`."""
    profiles: list[Profile] = []
    for table in root.tables("profile"):
        profile = read_profile(table)
        if profile is None:
            continue
        if any(profile.name == other.name for other in profiles):
            table.notes.complain(table.where, f'name = "{profile.name}" is there twice')
        profiles.append(profile)
    return tuple(profiles)


def read_profile(table: Table) -> Profile | None:
    """Read one profile; None after a problem."""
    words, most = values.many(values.text, "texts"), values.whole(1, 1000)
    name = table.need("name", _profile_name)
    own = Profile(name="x")
    profile = Profile(
        name=name or own.name,
        words=table.take("words", words, own.words),
        not_words=table.take("not_words", words, own.not_words),
        companies=table.take("companies", words, own.companies),
        not_companies=table.take("not_companies", words, own.not_companies),
        places=table.take("places", words, own.places),
        remote=table.take("remote", values.one_of(RemoteWish), own.remote),
        levels=table.take("levels", values.many(values.one_of(Level), "levels"), own.levels),
        pay_floor=table.take("pay_floor", values.pay_floor, own.pay_floor),
        languages=table.take("languages", values.many(values.language, "languages"), ()),
        max_items=table.take("max_items", most, own.max_items),
        max_per_company=table.take("max_per_company", most, own.max_per_company),
        digest=_read_times(table, own.digest),
        email=table.take("email", values.mail_address, None),
    )
    return profile if name else None


def _profile_name(value: object) -> str:
    if isinstance(value, str) and NAME_PATTERN.fullmatch(value):
        return value
    raise ValueError(
        "lower-case letters, digits and hyphens, 1 to 40 of them, not beginning with a hyphen"
    )


def read_matching(root: Table) -> MatchingSettings:
    """Read `[matching]`."""
    own, words = MatchingSettings(), values.many(values.text, "texts")
    with root.table("matching") as table:
        return MatchingSettings(
            recent_days=table.take("recent_days", values.whole(0, 365), own.recent_days),
            backfill_days=table.take("backfill_days", values.whole(0, 365), own.backfill_days),
            intern_words=table.take("intern_words", words, own.intern_words),
            entry_words=table.take("entry_words", words, own.entry_words),
            no_level_words=table.take("no_level_words", words, own.no_level_words),
        )


def read_ladder(root: Table) -> LadderRules:
    """Read `[ladder]`."""
    own, count, minutes = LadderRules(), values.whole(1, 100), values.number(0.05, 10_080)
    with root.table("ladder") as table:
        down = table.take("down", count, own.down)
        up = table.take("up", count, own.up)
        cooldown = table.take("cooldown_minutes", minutes, own.cooldown_s / 60)
        longest = table.take("longest_minutes", minutes, max(cooldown, own.longest_s / 60))
        relapse = table.take("relapse_minutes", minutes, own.relapse_s / 60)
        if longest < cooldown:
            table.notes.complain(
                f"[ladder] longest_minutes = {longest:g}",
                f"must be at least cooldown_minutes, {cooldown:g}",
            )
    return LadderRules(
        down=down, up=up, cooldown_s=cooldown * 60, longest_s=longest * 60, relapse_s=relapse * 60
    )


def read_supply(root: Table) -> SupplyRules:
    """Read `[supply]`."""
    own, count = SupplyRules(), values.whole(0, 100_000)
    with root.table("supply") as table:
        minimum = table.take("minimum", count, own.minimum)
        target = table.take("target", count, max(minimum, own.target))
        if target < minimum:
            table.notes.complain(
                f"[supply] target = {target}", f"must be at least minimum, {minimum}"
            )
    return SupplyRules(minimum=minimum, target=max(minimum, target))


def read_digest(root: Table) -> DigestRules:
    """Read `[digest]`."""
    with root.table("digest") as table:
        return _read_times(table, DigestRules())


def _read_times(table: Table, own: Times) -> Times:
    """Read when digests are sent; the same keys for all profiles and for one."""
    return attrs.evolve(
        own,
        when=table.take("when", values.one_of(When), own.when),
        at=table.take("at", _times, own.at),
        weekday=table.take("weekday", values.one_of(Weekday), own.weekday),
        zone=table.take("zone", values.zone, own.zone),
        send_empty=table.take("send_empty", values.truth, own.send_empty),
    )


def _times(value: object) -> tuple[dt.time, ...]:
    times = values.many(values.time_of_day, "times")(value)
    if not times:
        raise ValueError('at least one time such as "08:00"')
    return times


def read_retention(root: Table, matching: MatchingSettings) -> Retention:
    """Read `[retention]`."""
    own, days = Retention(), values.whole(30, 3650)
    with root.table("retention") as table:
        retention = Retention(
            digests=table.take("digests_days", days, own.digests),
            matches=table.take("matches_days", days, own.matches),
            rankings=table.take("rankings_days", days, own.rankings),
            closed_postings=table.take("closed_postings_days", days, own.closed_postings),
        )
    if retention.digests < matching.backfill_days:
        table.notes.complain(
            f"[retention] digests_days = {retention.digests}",
            f"must be at least matching.backfill_days, {matching.backfill_days},"
            " or postings are sent twice",
        )
    return retention


def read_alerts(root: Table, delivery: DeliverySettings) -> AlertSettings:
    """Read `[alerts]`, with a table for each rule that is to be another than the shipped one."""
    with root.table("alerts") as table:
        email = table.take("email", values.mail_address, None)
        webhook = table.take("webhook", values.truth, False)
        named = table.names()
        rules = [_read_rule(table, rule) if rule.name in named else rule for rule in RULES]
        url = table.take("heartbeat_url", values.secret_url, None)
    if email is not None and delivery.smtp is None:
        table.notes.complain("[alerts] email", "needs [delivery.smtp]")
    if webhook and delivery.webhook is None:
        table.notes.complain("[alerts] webhook = true", "needs [delivery.webhook]")
    kept = tuple(rule for rule in rules if rule is not None)
    return AlertSettings(rules=kept, email=email, webhook=webhook, heartbeat_url=url)


def _read_rule(root: Table, rule: Rule) -> Rule | None:
    """Read a rule; None where it is off. What it does not have cannot be set."""
    minutes = values.number(0, 100_000)
    threshold, for_s = rule.threshold, rule.for_s
    with root.table(rule.name) as table:
        is_on = table.take("on", values.truth, True)
        if threshold is not None:
            threshold = table.take("threshold", values.number(0, 1_000_000), threshold)
        if for_s:
            for_s = 60 * table.take("for_minutes", minutes, for_s / 60)
        resolve = table.take("resolve_after_minutes", minutes, rule.resolve_after_s / 60)
    if not is_on:
        return None
    return attrs.evolve(rule, threshold=threshold, for_s=for_s, resolve_after_s=60 * resolve)


def read_log(root: Table) -> LogConfig:
    """Read `[log]`."""
    own = LogConfig()
    with root.table("log") as table:
        return LogConfig(
            level=table.take("level", values.one_word_of(LEVELS), own.level),
            form=table.take("format", values.one_of(Form), own.form),
        )


def parse_profile(fields: dict[str, object], where: str = "profile") -> Profile:
    """Return a profile made of the fields of `[[profile]]`, as a command has them.

    Args:
        where: What each line of the error begins with.

    Raises:
        ConfigError: All that is wrong, a line each.
    """
    notes = Notes(where)
    table = Table(notes, "", "", fields)
    profile = read_profile(table)
    table.finish()
    if profile is None or notes.problems:
        raise ConfigError("\n".join(notes.problems))
    return profile
