"""The state of a gate as JSON text, for its row."""

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Final

import attrs

from jobping.core import breaker, limiter, pace, quota, retry
from jobping.core.breaker import Breaker, Phase, Results
from jobping.core.gate_state import GateRules, GateState
from jobping.core.ids import Monotonic
from jobping.core.limiter import Limiter
from jobping.core.nanos import to_ns
from jobping.core.pace import Pace
from jobping.core.quota import Span, Window, Windows
from jobping.core.retry import RetryBudget

LEAVES_WITHIN_S: Final = 30.0  # after its row; the deadline of the whole exchange
FORMAT: Final = 2
"""Format 1 had one quota, the day's, and neither a learned pace nor a retry budget."""


def save(
    state: GateState,
    rules: GateRules,
    now: Monotonic,
    ladder: Mapping[str, float | None] | None = None,
) -> str:
    """Return the state as JSON text whose moments are relative to now, in nanoseconds.

    Args:
        ladder: What the domain's ladder wants kept beside it; see `ladder_of`.
    """
    held = limiter.shift(state.limiter, -to_ns(now))
    judged = breaker.shift(state.breaker, -to_ns(now))
    learned = pace.shift(state.pace, -to_ns(now))
    return json.dumps(
        {
            "format": FORMAT,
            "limiter": _plain(held)
            | {
                "in_flight": state.limiter.in_flight,
                "windows": [_window(one) for one in held.windows],
            },
            "breaker": _plain(judged) | {"results": _plain(judged.results)},
            "pace": {
                "rate": learned.rate,
                "ceiling": learned.ceiling,
                "try_ns": learned.try_ns,
                "try_every_s": learned.try_every_s,
                "max_rate": rules.pace.max_rate,
            },
            "budget": _plain(state.budget),
            "succeeded": state.succeeded,
            "ladder": dict(ladder or {}),
        }
    )


def ladder_of(text: str) -> Mapping[str, float | None]:
    """Return what was kept of the ladder; nothing where nothing was, or it is no mapping."""
    try:
        kept = json.loads(text)["ladder"]
    except (KeyError, TypeError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _plain(record: attrs.AttrsInstance) -> dict[str, object]:
    return attrs.asdict(record, recurse=False)


def _window(window: Window) -> dict[str, object]:
    ends_at = None if window.ends_at is None else window.ends_at.isoformat()
    return {"span": window.span, "used": window.used, "ends_at": ends_at}


def load(text: str, rules: GateRules, now: Monotonic, elapsed_s: float) -> GateState:
    """Live on from a saved state: it answers as the living one would, never more permissively.

    Downtime counts, grants in flight are void; the request of one may have left long after the row
    was written, so the pace counts from the last moment at which it can have. Where the configured
    pace has changed since, the new one holds and the level of the bucket stays.

    Args:
        text: What `save` made, of this format or the one before.
        elapsed_s: Seconds since then by the store's clock; negative counts as 0.

    Raises:
        ValueError: The text is not a saved gate.
    """
    try:
        saved = json.loads(text)
        if saved["format"] not in (1, FORMAT):
            raise ValueError(f"format {saved['format']}, not {FORMAT}")
        is_old = saved["format"] == 1
        held = _limiter_of(saved["limiter"], rules)
        judged = _breaker_of(saved["breaker"], saved["breaker"]["results"])
        budget = retry.fresh(rules.retry) if is_old else _budget_of(saved["budget"])
        learned = pace.fresh(rules.limiter.rate, rules.pace)
        learned = learned if is_old else _pace_of(saved["pace"], rules)
        succeeded = bool(saved["succeeded"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"saved gate: {error}") from error
    elapsed_s = max(0.0, elapsed_s)
    base_ns = to_ns(now) - to_ns(elapsed_s)
    held = limiter.shift(held, base_ns)
    if saved["limiter"].get("in_flight"):
        held = limiter.delay(held, to_ns(min(elapsed_s, LEAVES_WITHIN_S)))
    if held.interval_ns != limiter.interval_ns(learned.rate):
        held = limiter.set_rate(held, now, learned.rate)
    judged = breaker.resume(judged, rules.breaker, now, elapsed_s)
    return GateState(held, judged, pace.shift(learned, base_ns), budget, succeeded)


def _limiter_of(fields: dict[str, object], rules: GateRules) -> Limiter:
    latest = fields["latest_ns"]
    return Limiter(
        tat_ns=_int(fields["tat_ns"]),
        interval_ns=_int(fields["interval_ns"]),
        gap_ns=_int(fields["gap_ns"]),
        latest_ns=None if latest is None else _int(latest),
        blocked_ns=_int(fields["blocked_ns"]),
        grants=_int(fields["grants"]),
        windows=quota.windows_of(rules.limiter.quotas, _windows_of(fields)),
        refusals=_int(fields["refusals"]),
    )


def _windows_of(fields: dict[str, object]) -> Windows:
    windows = fields.get("windows")
    if windows is None:
        windows = [{"span": "day", "used": fields["used"], "ends_at": fields["day_ends_at"]}]
    if not isinstance(windows, list):
        raise TypeError("windows are no list")
    return tuple(
        Window(Span(one["span"]), _int(one["used"]), _moment(one["ends_at"])) for one in windows
    )


def _moment(value: object) -> dt.datetime | None:
    return None if value is None else dt.datetime.fromisoformat(str(value))


def _pace_of(fields: dict[str, object], rules: GateRules) -> Pace:
    ceiling = fields["ceiling"]
    learned = Pace(
        rate=_rate(fields["rate"]),
        ceiling=None if ceiling is None else _rate(ceiling),
        try_ns=_int(fields["try_ns"]),
        try_every_s=_rate(fields["try_every_s"]),
    )
    return pace.rebound(learned, rules.pace, _rate(fields["max_rate"]))


def _budget_of(fields: dict[str, object]) -> RetryBudget:
    return RetryBudget(_int(fields["left_m"]), _int(fields["retries"]))


def _breaker_of(fields: dict[str, object], results: dict[str, object]) -> Breaker:
    return Breaker(
        phase=Phase(str(fields["phase"])),
        generation=_int(fields["generation"]),
        since_ns=_int(fields["since_ns"]),
        until_ns=_int(fields["until_ns"]),
        attempts=_int(fields["attempts"]),
        spread=float(str(fields["spread"])),
        results=Results(_int(results["count"]), _int(results["failed"]), _int(results["slow"])),
        run=_int(fields["run"]),
        good_rounds=_int(fields["good_rounds"]),
        opened=_int(fields["opened"]),
        rejected=_int(fields["rejected"]),
        failures=_int(fields["failures"]),
        cause=str(fields["cause"]),
    )


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _rate(value: object) -> float:
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise TypeError(f"{value!r} is no number above 0")
    return float(value)
