"""How the daemon stands, folded from its events: what `status` and `top` show. No I/O, no clock.

Moments are seconds since 1970, UTC. Every field of an event may be missing or of another type: a
line may have been cut, or written by another version.
"""

import calendar
import datetime as dt
import enum
import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from jobping.core.duration import duration
from jobping.core.summary import GOOD, INTERRUPTED, Summary
from jobping.events import LEVELS
from jobping.monitor.stream import Event, Foreign, Item, Lost, Notice

SILENT_S: Final = 180.0
"""Three samples that did not come: the daemon hangs, is gone, or its log goes elsewhere."""
ERROR_COUNTS_S: Final = 900.0
"""So long an error makes the daemon count as degraded (our choice)."""
RECENT: Final = 200
MOST: Final = 1_000  # domains, parts and conditions, whatever a stream says
FORGOTTEN_S: Final = 900.0
"""A site of which nothing was said for so long is not polled by this daemon any more: the others
are sampled each ten minutes."""

_MOST_S: Final = 3e9  # a century

_QUIET: Final = frozenset({"stats.taken", "domain.sampled", "pool.sampled", "log.adjusted"})
_LASTING: Final = {  # what begins, what ends it, and what it means
    "store.lost": ("store.regained", "the database does not answer"),
    "network.lost": ("network.regained", "our own network is down"),
    "supply.fell_short": ("supply.recovered", "the boards list too few postings"),
}
_BREAKERS: Final = {
    "breaker.opened": "open",
    "breaker.half_opened": "half_open",
    "breaker.closed": "closed",
    "breaker.disabled": "disabled",
    "breaker.held": "forced_open",
}
_CALM: Final = ("closed", "disabled", "half_open", "forced_open")  # the last: an operator's will
_GONE: Final = ("unit.exited", "unit.failed", "unit.deactivated")


class Verdict(enum.Enum):
    """What to think of the daemon at a glance."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"


@attrs.define(kw_only=True)
class DomainState:
    """One site.

    Attributes:
        said_at: When something was said of it last.
        next_at: When its next request may leave; None where that is not known.
        polls: Polls seen in this run, `good` of them brought an answer, with `new` postings.
        outcome: How the last poll ended, and `why` it brought less than it should.
    """

    domain: str
    said_at: float
    sources: set[str] = attrs.field(factory=set)
    tier: str | None = None
    breaker: str | None = None
    breaker_cause: str | None = None
    per_hour: float | None = None
    next_at: float | None = None
    waits_for: str | None = None
    used_today: int | None = None
    daily_limit: int | None = None
    succeeded_at: float | None = None
    polled_at: float | None = None
    outcome: str | None = None
    why: str | None = None
    polls: int = 0
    good: int = 0
    new: int = 0

    @property
    def is_degraded(self) -> bool:
        """Whether it gives less than it should, and no operator wants it so."""
        return self.tier not in (None, "reliable") or self.breaker not in (None, *_CALM)

    def sample(self, fields: Mapping[str, Any], at: float) -> None:
        """Take the figures of a `domain.sampled`, or of the control socket."""
        self.tier, self.breaker = _text(fields.get("tier")), _text(fields.get("breaker"))
        self.breaker_cause = _text(fields.get("breaker_cause"))
        self.per_hour = _number(fields.get("per_hour"))
        self.next_at = _later(at, fields.get("next_in_s"))
        self.waits_for = _text(fields.get("waits_for"))
        self.used_today = _count(fields.get("used_today"), None)
        self.daily_limit = _count(fields.get("daily_limit"), None)
        self.succeeded_at = _moment(fields.get("succeeded_at"))


@attrs.frozen(kw_only=True)
class Spent:
    """A window of the budget.

    Attributes:
        held_nanousd: Reserved for calls whose bill is not known yet.
    """

    nanousd: int
    held_nanousd: int
    limit_nanousd: int
    tokens: int
    held_tokens: int
    limit_tokens: int


@attrs.frozen(kw_only=True)
class Condition:
    """Something that has begun and not ended.

    Attributes:
        ends_at: When it ends by itself.
    """

    text: str
    begun_at: float
    ends_at: float = math.inf


@attrs.define(kw_only=True)
class Part:
    """A child of the root, such as `ingest`.

    Attributes:
        depth: Messages in its mailbox, which holds `capacity`; None: nobody sends to it.
    """

    state: str = "running"
    restarts: int = 0
    depth: int | None = None
    capacity: int | None = None


@attrs.define(kw_only=True)
class RunState:
    """What is known of one run of the daemon.

    Attributes:
        run: The name that its lines carry.
        seen_at: When its first line that was read was written.
        last_at: When its last one was.
        stats: The fields of the last `stats.taken`, which is of `stats_at`.
        requests: Of the whole run, as last said.
        polls: Polls seen, `good` of them brought an answer.
        errors: When each kind of error was last said.
    """

    run: str
    seen_at: float
    last_at: float
    version: str | None = None
    state_dir: str | None = None
    pid: int | None = None
    started_at: float | None = None
    is_ready: bool = False
    ended_at: float | None = None
    code: int | None = None
    stats: Mapping[str, Any] = attrs.field(factory=dict)
    stats_at: float | None = None
    requests: int | None = None
    polls: int = 0
    good: int = 0
    summary: Summary = attrs.field(factory=Summary)
    domains: dict[str, DomainState] = attrs.field(factory=dict)
    parts: dict[str, Part] = attrs.field(factory=dict)
    conditions: dict[str, Condition] = attrs.field(factory=dict)
    errors: dict[str, float] = attrs.field(factory=dict)
    _booked: deque[tuple[float, int, int]] = attrs.field(factory=lambda: deque(maxlen=10_000))

    def note(self, event: Event) -> None:
        """Take in one of its events."""
        at, fields = event.ts / 1e6, event.fields
        self.last_at = max(self.last_at, at)
        self.summary.note(event.event, fields)
        if event.level == "error" and event.event not in (*_LASTING, "health.changed"):
            _put(self.errors, event.event, at)
        self._note_daemon(event, at)
        self._note_domain(event, at)
        self._note_part(event)
        self._note_condition(event, at)
        self._note_bill(event, at)

    def sample(self, stats: Mapping[str, Any], at: float) -> None:
        """Take the figures of a `stats.taken`, or of the control socket."""
        self.stats, self.stats_at, self.is_ready = stats, at, True
        self.requests = _count(stats.get("requests"), self.requests)
        if self.started_at is None and (uptime := _number(stats.get("uptime_s"))) is not None:
            self.started_at = at - uptime
        if isinstance(stats.get("day"), Mapping):
            self._booked.clear()
        for state in [*self.domains.values()]:
            if at - state.said_at > FORGOTTEN_S:
                del self.domains[state.domain]
        children = stats.get("children")
        if isinstance(children, Mapping):
            self.parts = {name: _part(child) for name, child in list(children.items())[:MOST]}

    def spent(self, window: str, now: float) -> Spent | None:
        """Return what is spent in the present `day` or `month`; None where it was not said."""
        base = self.stats.get(window)
        if not isinstance(base, Mapping):
            return None
        figures = {field.name: _count(base.get(field.name), 0) for field in attrs.fields(Spent)}
        starts = _starts(window, now)
        if base.get("starts") != starts.isoformat():  # that window is over
            figures |= dict.fromkeys(("nanousd", "held_nanousd", "tokens", "held_tokens"), 0)
        begins_at = _midnight(starts)
        for at, nanousd, tokens in self._booked:
            if at >= begins_at:
                figures["nanousd"] += nanousd
                figures["tokens"] += tokens
        return Spent(**figures)

    def domain(self, name: object, at: float) -> DomainState | None:
        """Return the state of a site of which something is said, new where nothing was known."""
        if not isinstance(name, str) or (name not in self.domains and len(self.domains) >= MOST):
            return None
        state = self.domains.setdefault(name, DomainState(domain=name, said_at=at))
        state.said_at = at
        return state

    def _note_daemon(self, event: Event, at: float) -> None:
        fields = event.fields
        match event.event:
            case "daemon.started":
                self.started_at, self.version = at, _text(fields.get("version"))
                self.state_dir = _text(fields.get("state_dir"))
                self.pid = _count(fields.get("pid"), None)
            case "daemon.became_ready":
                self.is_ready = True
            case "daemon.stopped":
                self.ended_at, self.code = at, _count(fields.get("code"), None)
                self.requests = _count(fields.get("requests"), self.requests)
            case "stats.taken":
                self.sample(fields, at)
            case _:
                pass

    def _note_domain(self, event: Event, at: float) -> None:
        fields = event.fields
        if "domain" not in fields or (state := self.domain(fields["domain"], at)) is None:
            return
        if event.event in _BREAKERS:
            state.breaker = _BREAKERS[event.event]
            state.breaker_cause = _text(fields.get("cause"))
        match event.event:
            case "scraper.polled":
                self._note_poll(state, fields, at)
            case "domain.sampled":
                state.sample(fields, at)
            case "breaker.opened":
                state.next_at, state.waits_for = _later(at, fields.get("until_s")), "breaker"
            case "tier.demoted" | "tier.promoted":
                state.tier = str(fields.get("to_tier"))
            case "limiter.throttled":
                state.next_at, state.waits_for = _later(at, fields.get("retry_after_s")), "blocked"
            case "limiter.blocked" | "limiter.exhausted":
                state.next_at = _later(at, fields.get("until_s"))
                state.waits_for = "quota" if event.event == "limiter.exhausted" else "blocked"
            case "pace.cut" | "pace.raised":
                if (rate := _number(fields.get("rate"))) is not None:
                    state.per_hour = rate * 3600
            case _:
                pass

    def _note_poll(self, state: DomainState, fields: Mapping[str, Any], at: float) -> None:
        if len(state.sources) < MOST:
            state.sources.add(str(fields.get("source")))
        state.tier = str(fields["tier"]) if "tier" in fields else state.tier
        if state.next_at is not None and state.next_at <= at:
            state.next_at = state.waits_for = None
        if fields.get("outcome") == INTERRUPTED:
            return
        state.polled_at, state.outcome = at, str(fields.get("outcome"))
        state.why = str(fields["why"]) if fields.get("why") else None
        is_good = state.outcome in GOOD
        self.polls, self.good = self.polls + 1, self.good + is_good
        state.polls, state.good = state.polls + 1, state.good + is_good
        state.new += _count(fields.get("new"), 0)
        state.succeeded_at = at if is_good else state.succeeded_at

    def _note_part(self, event: Event) -> None:
        path = event.fields.get("child")
        if not isinstance(path, str) or not path.startswith("root/") or path.count("/") != 1:
            return
        name = path.removeprefix("root/")
        if name not in self.parts and len(self.parts) >= MOST:
            return
        part = self.parts.setdefault(name, Part())
        match event.event:
            case "child.started":
                part.state = "running"
            case "child.exited":
                part.state = "down"
            case "child.restarted":
                part.state, part.restarts = "restarting", part.restarts + 1
            case "mailbox.filled":
                part.depth = _count(event.fields.get("depth"), part.depth)
                part.capacity = _count(event.fields.get("capacity"), part.capacity)
            case _:
                pass

    def _note_condition(self, event: Event, at: float) -> None:
        fields = event.fields
        self.conditions.pop(event.event, None)
        if event.event in _LASTING:
            end, text = _LASTING[event.event]
            _put(self.conditions, end, Condition(text=text, begun_at=at))
        match event.event:
            case "health.changed":
                self.conditions.pop("health", None)
                if (state := str(fields.get("state"))) != "ok":
                    children = fields.get("children")
                    named = ", ".join(map(str, children)) if isinstance(children, list) else ""
                    text = f"its supervision says {state}: {named}"
                    _put(self.conditions, "health", Condition(text=text, begun_at=at))
            case "budget.exhausted":
                limit = str(fields.get("limit"))
                text, ends_at = f"the {limit} limit is used up", _end_of(limit.split(" ")[0], at)
                condition = Condition(text=text, begun_at=at, ends_at=ends_at)
                _put(self.conditions, f"budget {limit}", condition)
            case "alert.fired":
                text = _alert(fields)
                _put(self.conditions, text, Condition(text=text, begun_at=at))
            case "alert.resolved":
                self.conditions.pop(_alert(fields), None)
            case _:
                pass

    def _note_bill(self, event: Event, at: float) -> None:
        fields = event.fields
        if event.event == "model.called":
            tokens = _count(fields.get("input_tokens"), 0) + _count(fields.get("output_tokens"), 0)
            self._booked.append((at, _count(fields.get("cost_nanousd"), 0), tokens))
        elif event.event == "budget.lapsed":
            bill = _count(fields.get("nanousd"), 0), _count(fields.get("tokens"), 0)
            self._booked.append((at, *bill))


def _alert(fields: Mapping[str, Any]) -> str:
    """Return what an alert is about, in a few words."""
    return f"alert {fields.get('rule')} {fields.get('subject') or ''}".rstrip()


@attrs.define
class DaemonState:
    """The fold: feed every item of a stream to `note`.

    Attributes:
        current: The newest run; None before its first line.
        recent: What an operator may want to read, oldest first; figures and debug lines left out.
        lost: Lines that never came, as the numbers of the others show.
        foreign: Lines that are no events of ours.
        gone: What systemd said when the last run ended, until another one begins.
        silence: Why the daemon gave no answer where it should, when it was asked last.
    """

    current: RunState | None = None
    recent: deque[Item] = attrs.field(factory=lambda: deque(maxlen=RECENT))
    lost: int = 0
    foreign: int = 0
    gone: str = ""
    silence: str = ""
    _earlier: deque[str] = attrs.field(factory=lambda: deque(maxlen=RECENT), init=False)

    def note(self, item: Item) -> None:
        """Take in one item."""
        match item:
            case Event():
                if item.event not in _QUIET and item.level != LEVELS[0]:
                    self.recent.append(item)
                self._note_event(item)
                return
            case Notice():
                self._note_notice(item)
            case Lost(n=n):
                self.lost += n
            case Foreign():
                self.foreign += 1
        self.recent.append(item)

    def note_answer(self, answer: Mapping[str, Any], now: float) -> None:
        """Take in what the daemon itself said on its control socket."""
        run, stats, domains = answer.get("run"), answer.get("stats"), answer.get("domains")
        if not isinstance(run, str) or not isinstance(stats, Mapping):
            return
        current = self._run(run, now)
        current.last_at, current.ended_at = now, None
        current.version = _text(answer.get("version"))
        self.gone = self.silence = ""
        for record in domains if isinstance(domains, list) else ():
            if isinstance(record, Mapping) and (state := current.domain(record.get("domain"), now)):
                state.sample(record, now)
        current.sample(stats, now)

    def _note_event(self, event: Event) -> None:
        if event.run in self._earlier:
            return
        self._run(event.run, event.ts / 1e6).note(event)

    def _note_notice(self, notice: Notice) -> None:
        if notice.event in _GONE:
            result = notice.fields.get("UNIT_RESULT") or notice.fields.get("EXIT_STATUS")
            said = notice.event.removeprefix("unit.") + (f" ({result})" if result else "")
            self.gone = f"{self.gone}, {said}" if self.gone else f"systemd says: {said}"
        elif notice.event == "unit.restarted" and self.gone:
            self.gone += ", starts again"

    def _run(self, run: str, at: float) -> RunState:
        if self.current is None or self.current.run != run:
            if self.current is not None:
                self._earlier.append(self.current.run)
            self.current = RunState(run=run, seen_at=at, last_at=at)
            self.gone = ""
        return self.current

    def verdict(self, now: float) -> tuple[Verdict, tuple[str, ...]]:
        """Return the verdict with its reasons, the worst first."""
        down = self._down(now)
        if down is not None:
            return Verdict.DOWN, (down,)
        reasons = tuple(self._reasons(now))
        return (Verdict.DEGRADED if reasons else Verdict.HEALTHY), reasons

    def _down(self, now: float) -> str | None:
        run = self.current
        if run is not None and run.ended_at is not None:
            return f"it stopped {duration(now - run.ended_at)} ago, exit code {run.code}"
        if self.gone:
            return self.gone
        if run is None:
            return "nothing is known of a daemon"
        since = now - (run.stats_at if run.stats_at is not None else run.last_at)
        if since > SILENT_S:
            what = "stats" if run.stats_at is not None else "line"
            return (
                f"no {what} for {duration(since)}: it hangs, was killed, or its log goes elsewhere"
            )
        return None

    def _reasons(self, now: float) -> Iterator[str]:
        run = self.current
        if run is None:
            return
        silent = _count(run.stats.get("silent"), 0)
        if silent or (run.stats and run.stats.get("domains") is None):
            yield f"{silent or 'all'} sites give no answer"
        if run.stats and run.stats.get("day") is None and "store.regained" not in run.conditions:
            yield "the database did not answer the last sample"
        if self.silence and run.is_ready:
            yield self.silence
        if not run.is_ready:
            yield f"it starts, since {duration(now - (run.started_at or run.seen_at))}"
        for name, part in run.parts.items():
            if part.state not in ("running", "starting", "stopping"):
                yield f"{name} is {part.state}"
        for condition in run.conditions.values():
            if now < condition.ends_at:
                yield f"{condition.text}, since {duration(now - condition.begun_at)}"
        for event, at in run.errors.items():
            if now - at < ERROR_COUNTS_S:
                yield f"{event}, {duration(now - at)} ago"
        for state in run.domains.values():
            if state.is_degraded:
                yield f"{state.domain}: {_plight(state)}"


def _starts(window: str, now: float) -> dt.date:
    """Return the first day of the present `day` or `month`, in UTC."""
    today = dt.datetime.fromtimestamp(now, dt.UTC).date()
    return today if window == "day" else today.replace(day=1)


def _end_of(window: str, now: float) -> float:
    starts = _starts(window, now)
    days = 1 if window == "day" else calendar.monthrange(starts.year, starts.month)[1]
    return _midnight(starts + dt.timedelta(days=days))


def _midnight(day: dt.date) -> float:
    return dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()


def _plight(state: DomainState) -> str:
    found = [] if state.tier in (None, "reliable") else [f"tier {state.tier}"]
    if state.breaker not in (None, *_CALM):
        found.append(f"breaker {state.breaker}")
    cause = state.breaker_cause or state.why
    return ", ".join(found) + (f" ({cause})" if cause else "")


def _part(child: object) -> Part:
    fields = child if isinstance(child, Mapping) else {}
    return Part(
        state=str(fields.get("state")),
        restarts=_count(fields.get("restarts"), 0),
        depth=_count(fields.get("depth"), None),
        capacity=_count(fields.get("capacity"), None),
    )


def _put(table: dict[str, Any], key: str, value: object) -> None:
    if key in table or len(table) < MOST:
        table[key] = value


def _count(value: object, otherwise: Any) -> Any:
    is_one = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value if is_one else otherwise


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _later(at: float, seconds: object) -> float | None:
    wait = _number(seconds)
    return None if wait is None else at + wait


def _number(value: object) -> float | None:
    """Return a number that time can be reckoned with."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < _MOST_S else None


def _moment(text: object) -> float | None:
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return None
