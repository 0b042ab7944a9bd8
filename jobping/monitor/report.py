"""What a period came to, folded from the event stream while it is read; days are those of UTC.

The memory it takes grows with days, sites and models, not with the length of the log. Any field of
a line may be missing or of another type.
"""

import datetime as dt
import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from jobping.monitor.stream import Event, Foreign, Item, Lost, Notice

GAP_S: Final = 180.0
"""A daemon that writes nothing for longer, three samples, is not known to run."""
KNOWN_S: Final = 660.0
"""How long what a `domain.sampled` says holds; the next one comes within ten minutes."""
KEYS: Final = 2_000
"""Most names of a kind that are told apart; the others are counted together."""
SEGMENTS: Final = 2_000
OTHERS: Final = "(others)"
DAY_S: Final = 86_400.0
_OPEN_CALLS: Final = 10_000
_EVENTS: Final = 500
_BEYOND: Final = 2**100


class Latencies:
    """A histogram whose buckets are a twelfth wider each."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float, count: int) -> None:
        """Count so many answers that took so long."""
        self._counts[round(12 * math.log2(max(seconds, 1e-4)))] += count

    def quantile(self, share: float) -> float | None:
        """Return the time in seconds, to 3 %, within which that share was answered."""
        total, seen = sum(self._counts.values()), 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= share * total:
                return math.exp2(bucket / 12)
        return None


@attrs.define
class Segment:
    """A stretch of time on one tier."""

    start: float
    end: float
    tier: str


@attrs.define(kw_only=True)
class DomainReport:
    """One site.

    Attributes:
        outcomes: Polls by how they ended.
        answers: Requests by what the site made of them: ok, failed, limited, other.
        latencies: Of its answers, each poll's mean.
        new: Postings that were stored and are new.
        trips: How often its breaker opened.
        violations: Requests that left earlier than promised.
        throttled: How often it told us to wait.
    """

    outcomes: Counter[str] = attrs.field(factory=Counter)
    answers: Counter[str] = attrs.field(factory=Counter)
    latencies: Latencies = attrs.field(factory=Latencies)
    new: int = 0
    trips: int = 0
    violations: int = 0
    throttled: int = 0
    segments: deque[Segment] = attrs.field(factory=lambda: deque(maxlen=SEGMENTS))

    @property
    def success(self) -> float | None:
        """The share of requests that succeeded, of those that say something about the site."""
        said = self.answers["ok"] + self.answers["failed"] + self.answers["limited"]
        return self.answers["ok"] / said if said else None

    def tiers(self) -> dict[str, float]:
        """Return the seconds on each tier."""
        times: dict[str, float] = {}
        for one in self.segments:
            times[one.tier] = times.get(one.tier, 0.0) + one.end - one.start
        return times


@attrs.define(kw_only=True)
class Spend:
    """Calls of models and what they cost.

    Attributes:
        lapsed_nanousd: The part that counts as spent though no bill came.
    """

    calls: int = 0
    failed: int = 0
    tokens: int = 0
    nanousd: int = 0
    lapsed_nanousd: int = 0

    def add(self, other: "Spend", sign: int = 1) -> None:
        """Add another one, or take it off."""
        for field in attrs.fields(Spend):
            name = field.name
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))


@attrs.define(kw_only=True)
class Window:
    """A day or month of the budget, as the ledger last said it.

    Attributes:
        nanousd: Spent by all who share the database, commands and corrections included.
    """

    nanousd: int = 0
    limit_nanousd: int = 0
    tokens: int = 0
    limit_tokens: int = 0


@attrs.define(kw_only=True)
class Pool:
    """The database connections, sampled once a minute."""

    samples: int = 0
    busy: float = 0.0
    busy_most: float = 0.0
    waiting: int = 0
    waiting_most: int = 0
    size: int = 0

    @property
    def mean(self) -> float | None:
        """The mean share of connections that were busy."""
        return self.busy / self.samples if self.samples else None


@attrs.define(kw_only=True)
class Report:
    """What a period came to.

    Attributes:
        since: Its begin in seconds since 1970; None: that of the stream.
        until: Its end, exclusive; None: that of the stream.
        first: When the first event in it was written; None: there is none.
        runs: Begins of runs of the daemon.
        codes: Exit codes of runs that ended in order.
        up: Stretches of time in which the daemon is known to have run.
        postings: New ones by day and source.
        spend: By day and model.
        days, months: The ledger's own windows, by their first day.
        counts: What else is counted by day: matches, ranked, sent, failed, skipped, items.
        notices: What systemd did, by its name in `monitor.stream`.
        worst: Events of warnings and errors, by level and name.
        alerts: The last ones that the daemon told of.
    """

    since: float | None = None
    until: float | None = None
    first: float | None = None
    last: float | None = None
    outside: int = 0
    events: int = 0
    foreign: int = 0
    lost: int = 0
    runs: int = 0
    codes: Counter[str] = attrs.field(factory=Counter)
    up: list[list[float]] = attrs.field(factory=list)
    domains: dict[str, DomainReport] = attrs.field(factory=dict)
    postings: dict[str, Counter[str]] = attrs.field(factory=dict)
    spend: dict[str, dict[str, Spend]] = attrs.field(factory=dict)
    days: dict[str, Window] = attrs.field(factory=dict)
    months: dict[str, Window] = attrs.field(factory=dict)
    counts: dict[str, Counter[str]] = attrs.field(factory=dict)
    pool: Pool = attrs.field(factory=Pool)
    resident_most: int = 0
    notices: Counter[str] = attrs.field(factory=Counter)
    worst: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    alerts: deque[tuple[float, str, str, str]] = attrs.field(factory=lambda: deque(maxlen=200))
    _calls: dict[str, tuple[str, str, Spend]] = attrs.field(factory=dict, init=False)
    _owed: set[str] = attrs.field(factory=set, init=False)

    def note(self, item: Item) -> None:
        """Take in the next item of the stream."""
        if item.ts is None:
            self.foreign += 1
            return
        at = item.ts / 1e6
        if at < (self.since or 0.0) or (self.until is not None and at >= self.until):
            self.outside += 1
            return
        match item:
            case Foreign():
                self.foreign += 1
            case Lost():
                self.lost += item.n
            case Notice():
                self.notices[item.event] += 1
            case Event():
                self._note(at, item)

    def _note(self, at: float, item: Event) -> None:
        self.events += 1
        self.first = at if self.first is None else min(at, self.first)
        self.last = at if self.last is None else max(at, self.last)
        self._cover(at, is_begin=item.event == "daemon.started")
        if item.level in ("warning", "error"):
            name = (item.level, item.event)
            if name in self.worst or len(self.worst) < _EVENTS:
                self.worst[name] += 1
        self._take(at, item.event, item.fields)

    def _take(self, at: float, event: str, fields: Mapping[str, Any]) -> None:
        match event:  # the frequent ones first
            case "domain.sampled":
                self._on_tier(at, self._domain(fields), word(fields.get("tier")))
            case "stats.taken":
                self._sample(fields)
            case "scraper.polled":
                self._count_poll(at, fields)
            case "model.called":
                self._count_call(at, fields)
            case "tier.demoted" | "tier.promoted":
                self._on_tier(at, self._domain(fields), word(fields.get("to_tier")))
            case "breaker.opened":
                self._domain(fields).trips += 1
            case "limiter.violated":
                self._domain(fields).violations += 1
            case "limiter.throttled":
                self._domain(fields).throttled += 1
            case "matches.recorded" | "profile.searched":
                self._count(at, "matches", number(fields.get("matches")))
            case "matches.ranked":
                self._count(at, "ranked", number(fields.get("ranked")))
            case "digest.sent":
                self._count(at, "sent", 1)
                self._count(at, "items", number(fields.get("items")))
            case "digest.failed" | "digest.skipped":
                self._count(at, event.removeprefix("digest."), 1)
            case "budget.owed" if len(self._owed) < _OPEN_CALLS:
                self._owed.add(word(fields.get("id")))
            case "budget.lapsed":
                self._lapse(at, fields)
            case "budget.corrected":
                self._correct(fields)
            case "daemon.started":
                self.runs += 1
            case "daemon.stopped":
                self.codes[str(number(fields.get("code")))] += 1
            case "log.dropped":
                self._count(at, "dropped", number(fields.get("n")))
            case "alert.fired" | "alert.resolved":
                names = word(fields.get("rule")), word(fields.get("subject"))
                self.alerts.append((at, event.removeprefix("alert."), *names))
            case _:
                pass

    def _cover(self, at: float, *, is_begin: bool) -> None:
        """Take a line as a sign of life."""
        if self.up and not is_begin and self.up[-1][1] + GAP_S >= at:
            self.up[-1][1] = max(at, self.up[-1][1])
            return
        self._prolong()
        self.up.append([at, at])

    def _prolong(self) -> None:
        """Let what is known of tiers hold to the end of the last stretch."""
        if not self.up:
            return
        begin, end = self.up[-1]
        for domain in self.domains.values():
            last = domain.segments[-1] if domain.segments else None
            if last is not None and last.end >= begin:
                last.end = max(last.end, min(end, last.end + KNOWN_S))

    def finish(self, now: float | None = None) -> None:
        """End the fold.

        Args:
            now: How far the stream is known to go; None: to its last event.
        """
        self._prolong()
        if self.until is None:
            self.until = self.last if now is None else now
        if self.since is None:
            self.since = self.first

    # --- events

    def _count_poll(self, at: float, fields: Mapping[str, Any]) -> None:
        domain, http, new = self._domain(fields), fields.get("http"), number(fields.get("new"))
        domain.outcomes[word(fields.get("outcome"))] += 1
        domain.new += new
        if new:
            sources = self.postings.setdefault(day_of(at), Counter())
            sources[self._known(sources, word(fields.get("source")))] += new
        if not isinstance(http, Mapping):
            return
        counts = {key: number(http.get(key)) for key in ("ok", "failed", "limited", "other")}
        domain.answers.update(counts)
        timed = counts["ok"] + counts["failed"]
        if timed:
            domain.latencies.add(real(fields.get("http_s")) / timed, timed)

    def _on_tier(self, at: float, domain: DomainReport, tier: str) -> None:
        segments, begin = domain.segments, self.up[-1][0]
        if segments and segments[-1].end >= max(begin, at - KNOWN_S):
            segments[-1].end = max(at, segments[-1].end)
            if segments[-1].tier == tier:
                return
        segments.append(Segment(at, at, tier))

    def _sample(self, fields: Mapping[str, Any]) -> None:
        size = number(fields.get("pool_size"))
        if size:
            pool, waiting = self.pool, number(fields.get("pool_waiting"))
            share = 1 - min(size, number(fields.get("pool_idle"))) / size
            pool.samples += 1
            pool.busy += share
            pool.busy_most = max(share, pool.busy_most)
            pool.waiting += waiting > 0
            pool.waiting_most = max(waiting, pool.waiting_most)
            pool.size = max(size, pool.size)
        self.resident_most = max(self.resident_most, number(fields.get("resident_bytes")))
        for key, windows in (("day", self.days), ("month", self.months)):
            found = fields.get(key)
            starts = found.get("starts") if isinstance(found, Mapping) else None
            if isinstance(found, Mapping) and isinstance(starts, str) and _is_day(starts):
                names = [field.name for field in attrs.fields(Window)]
                windows[self._known(windows, starts)] = Window(
                    **{name: number(found.get(name)) for name in names}
                )

    def _count_call(self, at: float, fields: Mapping[str, Any]) -> None:
        cost, id = fields.get("cost_nanousd"), word(fields.get("id"))
        model = word(fields.get("model")) or word(fields.get("asked"))
        day = day_of(max(0.0, at - real(fields.get("duration_s"))))
        spend = Spend(calls=1, failed=1)
        if cost is not None:
            tokens = number(fields.get("input_tokens")) + number(fields.get("output_tokens"))
            spend = Spend(calls=1, tokens=tokens, nanousd=number(cost))
        if (lapsed := self._take_back(id)) is not None:  # its worst case came first
            day, _, worst = lapsed
            spend.add(worst)
        self._book(day, model, spend, id if lapsed or id in self._owed else "")

    def _lapse(self, at: float, fields: Mapping[str, Any]) -> None:
        """Count a worst case; where the call is counted already, in the place of its cost."""
        id, nanousd = word(fields.get("id")), number(fields.get("nanousd"))
        day, model, call = self._take_back(id) or (day_of(at), LAPSED, Spend())
        tokens = number(fields.get("tokens"))
        spend = attrs.evolve(call, tokens=tokens, nanousd=nanousd, lapsed_nanousd=nanousd)
        self._book(day, model, spend, id)

    def _correct(self, fields: Mapping[str, Any]) -> None:
        id = word(fields.get("id"))
        if (lapsed := self._take_back(id)) is not None:  # else nothing of it is in this log
            day, model, call = lapsed
            tokens, nanousd = number(fields.get("tokens")), number(fields.get("nanousd"))
            spend = attrs.evolve(call, tokens=tokens, nanousd=nanousd, lapsed_nanousd=0)
            self._book(day, model, spend, id)

    def _book(self, day: str, model: str, spend: Spend, id: str) -> None:
        """Count a spend; one with an id may be replaced later."""
        models = self.spend.setdefault(day, {})
        model = self._known(models, model)
        models.setdefault(model, Spend()).add(spend)
        if id and len(self._calls) < _OPEN_CALLS:
            self._calls[id] = (day, model, spend)

    def _take_back(self, id: str) -> tuple[str, str, Spend] | None:
        """Take off what was counted for a call."""
        found = self._calls.pop(id, None)
        if found is not None:
            day, model, spend = found
            self.spend[day][model].add(spend, -1)
            if self.spend[day][model] == Spend():
                del self.spend[day][model]
        return found

    def _count(self, at: float, key: str, n: int) -> None:
        self.counts.setdefault(day_of(at), Counter())[key] += n

    def _domain(self, fields: Mapping[str, Any]) -> DomainReport:
        name = self._known(self.domains, word(fields.get("domain")))
        return self.domains.setdefault(name, DomainReport())

    def _known(self, names: Mapping[str, object], name: str) -> str:
        return name if name in names or len(names) < KEYS else OTHERS

    # --- sums

    @property
    def span_s(self) -> float:
        """How long the period is, from its first event on."""
        if self.first is None or self.until is None:
            return 0.0
        return max(0.0, self.until - max(self.first, self.since or 0.0))

    @property
    def up_s(self) -> float:
        """How long the daemon is known to have run in it."""
        return sum(end - begin for begin, end in self.up)

    def answers(self) -> Counter[str]:
        """Return all requests, by what became of them."""
        return sum((one.answers for one in self.domains.values()), Counter[str]())

    def tiers(self) -> dict[str, float]:
        """Return the seconds of all sites together on each tier."""
        times: Counter[str] = Counter()
        for one in self.domains.values():
            times.update(one.tiers())
        return dict(times)

    def total(self, key: str) -> int:
        """Return one of `counts` over all days."""
        return sum(counts[key] for counts in self.counts.values())

    def spent(self) -> Spend:
        """Return all spend."""
        return _sum(spend for models in self.spend.values() for spend in models.values())

    def by_model(self) -> dict[str, Spend]:
        """Return the spend of each model, the dearest first."""
        names = dict.fromkeys(name for models in self.spend.values() for name in models)
        found = {
            name: _sum(models[name] for models in self.spend.values() if name in models)
            for name in names
        }
        return dict(sorted(found.items(), key=lambda pair: (-pair[1].nanousd, pair[0])))

    def by_month(self) -> dict[str, Spend]:
        """Return the spend of each month, such as `2026-11`."""
        months = sorted({day[:7] for day in self.spend})
        return {month: _sum(self._of(month)) for month in months}

    def _of(self, month: str) -> Iterator[Spend]:
        return (
            spend
            for day, models in self.spend.items()
            if day[:7] == month
            for spend in models.values()
        )

    def by_source(self) -> Counter[str]:
        """Return the new postings of each source."""
        return sum(self.postings.values(), Counter[str]())

    def per_match(self) -> int | None:
        """Return the nano-dollars that one match ranked by a model cost, rounded up."""
        ranked = self.total("ranked")
        return -(-self.spent().nanousd // ranked) if ranked else None

    def as_record(self) -> dict[str, Any]:
        """Return everything as JSON values: moments in ISO 8601 UTC, money in nano-dollars."""
        return {
            "since": iso(self.since),
            "until": iso(self.until),
            "log": {
                "first": iso(self.first),
                "last": iso(self.last),
                "events": self.events,
                "foreign": self.foreign,
                "outside": self.outside,
                "lost": self.lost,
                "dropped": self.total("dropped"),
            },
            "uptime": {
                "up_s": round(self.up_s, 3),
                "of_s": round(self.span_s, 3),
                "runs": self.runs,
                "exit_codes": dict(self.codes),
                "systemd": dict(self.notices),
            },
            "http": dict(self.answers()),
            "domains": {
                name: {
                    "polls": dict(one.outcomes),
                    "http": dict(one.answers),
                    "success": one.success,
                    "latency_s": {"p50": one.latencies.quantile(0.5),
                                  "p95": one.latencies.quantile(0.95)},
                    "new": one.new,
                    "breaker_trips": one.trips,
                    "limiter_violations": one.violations,
                    "throttled": one.throttled,
                    "tier_s": {tier: round(s, 3) for tier, s in one.tiers().items()},
                }
                for name, one in sorted(self.domains.items())
            },
            "tier_s": {tier: round(s, 3) for tier, s in self.tiers().items()},
            "postings": {
                "new": self.by_source().total(),
                "by_source": dict(self.by_source()),
                "by_day": {day: dict(self.postings[day]) for day in sorted(self.postings)},
            },
            "pool": {**attrs.asdict(self.pool), "busy": self.pool.mean},
            "resident_most_bytes": self.resident_most,
            "spend": {
                **attrs.asdict(self.spent()),
                "per_match_nanousd": self.per_match(),
                "by_model": {name: attrs.asdict(one) for name, one in self.by_model().items()},
                "by_month": {name: attrs.asdict(one) for name, one in self.by_month().items()},
                "by_day": {
                    day: {name: attrs.asdict(one) for name, one in self.spend[day].items()}
                    for day in sorted(self.spend)
                },
                "ledger_days": {day: attrs.asdict(self.days[day]) for day in sorted(self.days)},
                "ledger_months": {
                    day: attrs.asdict(self.months[day]) for day in sorted(self.months)
                },
            },
            "matches": {"recorded": self.total("matches"), "ranked": self.total("ranked")},
            "digests": {
                key: self.total(key) for key in ("sent", "failed", "skipped", "items")
            },
            "by_day": {day: dict(self.counts[day]) for day in sorted(self.counts)},
            "worst": [
                {"level": level, "event": event, "n": n}
                for (level, event), n in self.worst.most_common()
            ],
            "alerts": [
                {"at": iso(at), "state": state, "rule": rule, "subject": subject}
                for at, state, rule, subject in self.alerts
            ],
        }  # fmt: skip


LAPSED: Final = "(no bill)"
"""The model of calls that count as spent and were never said to end."""


def _sum(spends: Iterator[Spend]) -> Spend:
    total = Spend()
    for one in spends:
        total.add(one)
    return total


def day_of(at: float) -> str:
    """Return the day of a moment, in UTC, as `2026-11-27`."""
    return dt.datetime.fromtimestamp(at, dt.UTC).date().isoformat()


def dates_of(since: float, until: float) -> list[str]:
    """Return every day of a period, in UTC."""
    begin, last = day_of(since), day_of(max(since, until - 1e-6))
    days = (dt.date.fromisoformat(last) - dt.date.fromisoformat(begin)).days
    first = dt.date.fromisoformat(begin)
    return [(first + dt.timedelta(days=n)).isoformat() for n in range(days + 1)]


def iso(at: float | None) -> str | None:
    """Return a moment as ISO 8601 in UTC to the second."""
    return None if at is None else f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def word(value: object) -> str:
    """Return a name, cut; nothing where it is none."""
    return value[:200] if isinstance(value, str) else ""


def number(value: object) -> int:
    """Return a whole number from 0 up; 0 where it is none, or one beyond all that we write."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and isinstance(value, int) and 0 <= value < _BEYOND else 0


def real(value: object) -> float:
    """Return a number from 0 up; 0 where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < _BEYOND else 0.0


def _is_day(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
