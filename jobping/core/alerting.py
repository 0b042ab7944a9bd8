"""What an operator is told of: rules over the events of the log, with hysteresis. Pure.

Every moment is that of an event or counted from one, so the daemon and a replay of its log come to
the same changes. Moments are seconds since 1970, UTC.
"""

import datetime as dt
import enum
import math
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

import attrs

from jobping.core.ladder import Tier

WINDOW_S: Final = 900.0
"""Over how long shares of failures are taken."""
RESTARTS_WITHIN_S: Final = 600.0
FEWEST: Final = {"domain_failing": 20, "model_failing": 5}
"""Requests or calls below which a share says nothing: where the window holds fewer, earlier ones of
a day count too. Of 20 requests to a site that fails at 2 % too few succeed once in 25,000 times."""
AHEAD_FROM: Final = 0.25
"""A day's spend is not projected before it has used so much of its limit (our choice)."""
UNPOLLED_S: Final = 21_600.0
"""The period of a site that was not polled in this run: the longest of the usual ones."""
RESTS: Final = ("gone", "drift", "denied")
"""Ends of a poll after which a board rests for a day."""
FORGOTTEN_S: Final = 1_500.0
"""A site that is polled has a line each ten minutes; two of them missed, and it is gone."""
DAY_S: Final = 86_400.0
SUBJECTS: Final = 10_000
"""Most subjects that are followed: beyond it a stream is no log of ours."""


@attrs.frozen(kw_only=True)
class Rule:
    """What is told, and when; durations in seconds.

    Attributes:
        summary: What is wrong where it fires, beginning in lower case.
        threshold: What its figure is compared with; None: it has no figure.
        for_s: How long it must be wrong.
        resolve_after_s: How long it must be well again.
    """

    name: str
    summary: str
    threshold: float | None = None
    for_s: float = 0.0
    resolve_after_s: float = 0.0


RULES: Final = (
    Rule(
        name="domain_silent",
        summary="not polled for longer than so many of its periods",
        threshold=3,
    ),
    Rule(
        name="domain_failing",
        summary="too few of the requests of 15 minutes succeed",
        threshold=0.8,
        resolve_after_s=900,
    ),
    Rule(name="breaker_open", summary="its breaker is open", for_s=1800, resolve_after_s=300),
    Rule(
        name="limiter_violated",
        summary="a request left earlier than promised, which is a bug",
        resolve_after_s=3600,
    ),
    Rule(name="all_backfill", summary="no site is asked any more", for_s=3600),
    Rule(name="budget_used", summary="so many percent of a limit are spent", threshold=80),
    Rule(
        name="budget_ahead",
        summary="at this rate the day's limit is spent before midnight UTC",
        threshold=1.0,
        for_s=600,
        resolve_after_s=1800,
    ),
    Rule(
        name="model_failing",
        summary="too few of the calls of models of 15 minutes succeed",
        threshold=0.5,
        resolve_after_s=900,
    ),
    Rule(
        name="pool_waiting",
        summary="work waits for a database connection",
        for_s=300,
        resolve_after_s=120,
    ),
    Rule(
        name="restarts",
        summary="more restarts in ten minutes than that",
        threshold=3,
        resolve_after_s=600,
    ),
    Rule(name="digest_failed", summary="a digest did not go out", resolve_after_s=DAY_S),
    Rule(name="log_lost", summary="lines of the log were lost", resolve_after_s=3600),
    Rule(name="stats_missing", summary="no statistics for so many minutes", threshold=3),
)
"""The rules as shipped."""


class State(enum.StrEnum):
    """What became of an alert."""

    FIRED = "fired"
    RESOLVED = "resolved"


@attrs.frozen(kw_only=True)
class Change:
    """One change of an alert's state: what one notice says.

    Attributes:
        subject: Whom it is about, such as a domain; empty where there is but one.
        at: When; counted from the events, so it may lie before its notice.
        value: The rule's figure, or a word, when it was last known.
    """

    rule: Rule
    subject: str
    state: State
    at: float
    value: float | str | None = None

    def text(self) -> str:
        """Return the notice in one line; the subject is a text of the log."""
        about = f"{self.rule.name} {self.subject}".rstrip()
        value = "" if self.value is None else f" ({_shown(self.value)})"
        if self.state is State.RESOLVED:
            return f"resolved: {about}"
        return f"{about}: {self.rule.summary}{value}"


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


class _Id(NamedTuple):
    rule: str
    subject: str


@attrs.define
class _Watch:
    """One subject under one rule.

    Attributes:
        wrong_at: Since or from when on it is wrong; None: not known to become so.
        well_at: Since or from when on it is well again, while it fires.
    """

    wrong_at: float | None = None
    well_at: float | None = None
    fires: bool = False
    value: float | str | None = None

    def due(self, rule: Rule) -> float:
        """Return when it changes by itself."""
        if self.fires:
            well_at = math.inf if self.well_at is None else self.well_at + rule.resolve_after_s
            return well_at if self.wrong_at is None or self.wrong_at > well_at else math.inf
        return math.inf if self.wrong_at is None else self.wrong_at + rule.for_s


_DAEMON: Final = _Id("restarts", "daemon")


class _Shares:
    """Successes among the attempts of the last `WINDOW_S`, or the last few of a day."""

    def __init__(self, fewest: int) -> None:
        self._fewest = fewest
        self._entries: deque[tuple[float, int, int]] = deque()
        self._good = self._all = 0

    def add(self, at: float, good: int, count: int) -> float | None:
        """Return the share of successes, or None where too little is known."""
        self._entries.append((at, good, count))
        self._good += good
        self._all += count
        while True:
            then, good, count = self._entries[0]
            is_needed = self._all - count < self._fewest and then >= at - DAY_S
            if is_needed or then >= at - WINDOW_S:
                break
            self._entries.popleft()
            self._good -= good
            self._all -= count
        return self._good / self._all if self._all >= self._fewest else None


class Alerts:
    """The rules at work on one stream of events."""

    def __init__(self, rules: tuple[Rule, ...] = RULES) -> None:
        """Begin with nothing known."""
        self._rules = {rule.name: rule for rule in rules}
        self._watches: dict[_Id, _Watch] = {}
        self._starts: deque[float] = deque()
        self._now = -math.inf
        self._changes: list[Change] = []
        self._begin()

    def _begin(self) -> None:
        """Forget all but how often the daemon itself has started."""
        kept, self._watches = self._watches, {}
        self._shares: dict[_Id, _Shares] = {}
        self._tiers: dict[str, tuple[str, float]] = {}
        self._restarts: deque[float] = deque()
        if _DAEMON in kept:
            self._watches[_DAEMON] = kept[_DAEMON]
        self._next = -math.inf  # looked up when it is asked for next

    def use(self, rules: tuple[Rule, ...]) -> None:
        """Go on by other rules; what only the old ones knew is forgotten."""
        self._rules = {rule.name: rule for rule in rules}
        kept = {id: watch for id, watch in self._watches.items() if id.rule in self._rules}
        self._watches, self._next = kept, -math.inf

    @property
    def has_begun(self) -> bool:
        """Whether there was an event at all."""
        return self._now > -math.inf

    def firing(self) -> list[_Id]:
        """Return rule and subject of what fires now, in the order of their names."""
        return sorted(id for id, watch in self._watches.items() if watch.fires)

    def advance(self, now: float) -> list[Change]:
        """Let time pass.

        Returns:
            What changed up to then, in order.
        """
        self._settle(now)
        changes, self._changes = self._changes, []
        return changes

    def note(self, at: float, event: str, fields: Mapping[str, object]) -> list[Change]:
        """Take in an event; one of a stranger's making may hold anything.

        Args:
            at: When; a clock that goes back stands still for us.
            event: Others than those of `WATCHED` say nothing; `lines.lost` is what a reader calls a
                gap in the numbers of a run's lines, with `n`.

        Returns:
            What changed up to then, in order.
        """
        at = max(at, self._now)
        self._settle(at)
        domain = _text(fields.get("domain"))
        match event:
            case "daemon.started":
                self._begin()
                self._restarted(_DAEMON.subject, self._starts, at)
            case "daemon.became_ready":
                self._expect("stats_missing", "", at, 60.0)
            case "daemon.stopped":
                self._begin()
            case "stats.taken":
                self._note_stats(at, fields)
            case "scraper.polled":
                self._note_poll(at, domain, fields)
            case "domain.sampled":
                self._note_domain(at, domain, fields)
            case "breaker.opened":
                self._hold("breaker_open", domain, at)
            case "breaker.closed" | "domain.reset" | "domain.held":
                self._clear("breaker_open", domain, at)
            case "limiter.violated":
                self._pulse("limiter_violated", domain, at, value=_text(fields.get("rule")))
            case "budget.warned":
                self._note_budget(at, fields, _number(fields.get("threshold")))
            case "budget.exhausted":
                self._note_budget(at, fields, 100.0)
            case "model.called":
                good = fields.get("cost_nanousd") is not None
                self._judge("model_failing", "", at, int(good), 1)
            case "child.restarted":
                self._restarted("parts", self._restarts, at)
            case "digest.failed":
                self._pulse("digest_failed", _profile(fields), at)
            case "digest.sent":
                id = _Id("digest_failed", _profile(fields))
                if id in self._watches:  # well at once, however lately it failed
                    self._resolve(id, at)
            case "log.dropped" | "lines.lost":
                self._pulse("log_lost", "", at, value=_number(fields.get("n")))
            case _:
                pass
        return self.advance(at)

    # --- events

    def _note_stats(self, at: float, fields: Mapping[str, object]) -> None:
        self._expect("stats_missing", "", at, 60.0)
        waiting = _number(fields.get("pool_waiting"))
        self._set("pool_waiting", "", at, wrong=waiting > 0, value=waiting)
        for limit, measure in (("cost", "nanousd"), ("tokens", "tokens")):
            self._note_spend(at, f"day {limit}", measure, fields.get("day"))
        for domain, (_tier, seen_at) in list(self._tiers.items()):
            if seen_at < at - FORGOTTEN_S:
                self._forget(domain, at)

    def _note_domain(self, at: float, domain: str, fields: Mapping[str, object]) -> None:
        if len(self._tiers) < SUBJECTS:
            self._tiers[domain] = _text(fields.get("tier")), at
        is_open = fields.get("breaker") in ("open", "half_open")
        self._set("breaker_open", domain, at, wrong=is_open)
        is_held = fields.get("breaker") == "forced_open"  # by an operator, who knows
        if is_held or _Id("domain_silent", domain) not in self._watches:
            self._expect("domain_silent", domain, at, UNPOLLED_S)
        fallen = all(tier == Tier.BACKFILL.value for tier, _at in self._tiers.values())
        self._set("all_backfill", "", at, wrong=fallen)

    def _forget(self, domain: str, at: float) -> None:
        """Let go of a site that this daemon polls no longer."""
        del self._tiers[domain]
        for rule in ("breaker_open", "domain_silent", "domain_failing"):
            self._clear(rule, domain, at)
            self._shares.pop(_Id(rule, domain), None)

    def _note_poll(self, at: float, domain: str, fields: Mapping[str, object]) -> None:
        period_s = max(0.0, _number(fields.get("poll_every_s"))) or UNPOLLED_S
        if fields.get("outcome") in RESTS:
            period_s = max(period_s, DAY_S)
        self._expect("domain_silent", domain, at, period_s)
        http = fields.get("http")
        if isinstance(http, Mapping):
            good, bad = (int(_number(http.get(key))) for key in ("ok", "failed"))
            self._judge("domain_failing", domain, at, good, good + bad)

    def _judge(self, name: str, subject: str, at: float, good: int, count: int) -> None:
        """Compare a share with the rule's threshold; it is well half-way from there to all.

        In between, and where it is not known, all stays as it is.
        """
        rule, id = self._rules.get(name), _Id(name, subject)
        if rule is None or count <= 0 or len(self._shares) > SUBJECTS:
            return
        share = self._shares.setdefault(id, _Shares(FEWEST[name])).add(at, good, count)
        threshold = rule.threshold or 0
        if share is not None and not threshold <= share < (1 + threshold) / 2:
            self._set(name, subject, at, wrong=share < threshold, value=share)

    def _note_budget(self, at: float, fields: Mapping[str, object], percent: float) -> None:
        rule = self._rules.get("budget_used")
        if rule is None or percent < (rule.threshold or 0):
            return
        limit = _text(fields.get("limit"))
        self._pulse(
            rule.name, f"{limit} {percent:g} %", at, until=_window_end(limit, at), value=percent
        )

    def _note_spend(self, at: float, limit: str, measure: str, window: object) -> None:
        """Project what is spent since midnight onto the whole day."""
        rule = self._rules.get("budget_ahead")
        if rule is None or not isinstance(window, Mapping):
            return
        used, most = _number(window.get(measure)), _number(window.get(f"limit_{measure}"))
        ahead = used / most * DAY_S / max(3600.0, at % DAY_S) if most > 0 else 0.0
        wrong = AHEAD_FROM * most <= used < most and ahead > (rule.threshold or 0)
        self._set(rule.name, limit, at, wrong=wrong, value=ahead)

    def _restarted(self, subject: str, times: deque[float], at: float) -> None:
        rule = self._rules.get("restarts")
        if rule is None:
            return
        times.append(at)
        while times[0] < at - RESTARTS_WITHIN_S:
            times.popleft()
        if len(times) > (rule.threshold or 0) + (subject == "daemon"):  # its first is no restart
            self._pulse(rule.name, subject, at, value=len(times))

    # --- states

    def _expect(self, name: str, subject: str, at: float, period_s: float) -> None:
        """Take a sign of life: all is well until so many periods pass without the next one."""
        rule = self._rules.get(name)
        if rule is not None:
            self._clear(name, subject, at)
            self._settle(at)
            self._hold(name, subject, at + (rule.threshold or 0) * period_s)

    def _watch(self, name: str, subject: str) -> _Watch | None:
        if name not in self._rules or len(self._watches) > SUBJECTS:
            return None
        return self._watches.setdefault(_Id(name, subject), _Watch())

    def _set(
        self, name: str, subject: str, at: float, *, wrong: bool, value: float | str | None = None
    ) -> None:
        if wrong:
            self._hold(name, subject, at, value=value)
        else:
            self._clear(name, subject, at)

    def _hold(
        self, name: str, subject: str, at: float, *, value: float | str | None = None
    ) -> None:
        """Note that something is wrong from a moment on, unless it is already."""
        watch = self._watch(name, subject)
        if watch is None:
            return
        watch.value = value
        if watch.wrong_at is None:
            watch.wrong_at = at
        if at <= self._now:
            watch.well_at = None
        self._next = min(self._next, watch.due(self._rules[name]))

    def _clear(self, name: str, subject: str, at: float) -> None:
        """Note that something is well from a moment on."""
        watch = self._watches.get(_Id(name, subject))
        if watch is None:
            return
        if not watch.fires:
            del self._watches[_Id(name, subject)]
            return
        if watch.well_at is None or (watch.wrong_at is not None and watch.wrong_at <= at):
            watch.well_at = at
        watch.wrong_at = None
        self._next = min(self._next, watch.due(self._rules[name]))

    def _pulse(
        self,
        name: str,
        subject: str,
        at: float,
        *,
        until: float | None = None,
        value: float | str | None = None,
    ) -> None:
        """Note that something went wrong just now, and is over then."""
        self._hold(name, subject, at, value=value)
        self._settle(at)
        self._clear(name, subject, at if until is None else until)

    def _settle(self, now: float) -> None:
        """Carry out what is due, in order."""
        self._now = max(now, self._now)
        while self._next <= self._now:
            due = sorted(
                (moment, id)
                for id, watch in self._watches.items()
                if (moment := watch.due(self._rules[id.rule])) <= self._now
            )
            for moment, id in due[:1]:
                if self._watches[id].fires:
                    self._resolve(id, moment)
                else:
                    self._fire(id, moment)
            rest = (watch.due(self._rules[id.rule]) for id, watch in self._watches.items())
            self._next = min(rest, default=math.inf)

    def _fire(self, id: _Id, at: float) -> None:
        watch = self._watches[id]
        watch.fires, watch.well_at = True, None
        self._say(id, State.FIRED, at)

    def _resolve(self, id: _Id, at: float) -> None:
        watch = self._watches[id]
        was_firing, watch.fires, watch.well_at = watch.fires, False, None
        if was_firing:
            self._say(id, State.RESOLVED, at)
        if watch.wrong_at is None:
            del self._watches[id]

    def _say(self, id: _Id, state: State, at: float) -> None:
        self._changes.append(
            Change(
                rule=self._rules[id.rule],
                subject=id.subject,
                state=state,
                at=at,
                value=self._watches[id].value,
            )
        )


WATCHED: Final = frozenset({
    "daemon.started", "daemon.became_ready", "daemon.stopped", "stats.taken", "domain.sampled",
    "scraper.polled", "breaker.opened", "breaker.closed", "domain.reset", "domain.held",
    "limiter.violated", "budget.warned", "budget.exhausted", "model.called", "child.restarted",
    "digest.failed", "digest.sent", "log.dropped",
})  # fmt: skip
"""The events that the rules read."""


def _window_end(limit: str, at: float) -> float:
    """Return when the window of a limit such as `day cost` ends."""
    today = dt.datetime.fromtimestamp(at - at % DAY_S, dt.UTC)
    if limit.startswith("day"):
        return at - at % DAY_S + DAY_S
    return (today.replace(day=1) + dt.timedelta(days=32)).replace(day=1).timestamp()


def _profile(fields: Mapping[str, object]) -> str:
    id = fields.get("profile")
    return f"profile {id}" if isinstance(id, int) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    """Return a figure; 0 where there is none."""
    match value:
        case bool():
            return 0.0
        case int() | float() if abs(value) < 1e300:  # beyond, arithmetic fails; none is ours
            return float(value)
        case _:
            return 0.0
