"""A report as OpenMetrics text, for a collector that reads files: all gauges, as the period moves.

Prometheus' own text format is the same here but for the last line, a comment in it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from jobping.core.printable import printable
from jobping.monitor.report import Report

_ESCAPED: Final = re.compile(r'[\\"]')

Sample = tuple[Mapping[str, str], float | None]


def render_metrics(report: Report) -> str:
    """Return a finished report as OpenMetrics; what is not known is left out."""
    lines: list[str] = []
    for name, summary, samples in _families(report):
        known = [f"{name}{_labels(labels)} {_number(n)}" for labels, n in samples if n is not None]
        if known:
            lines += [f"# TYPE {name} gauge", f"# HELP {name} {summary}", *known]
    return "\n".join([*lines, "# EOF", ""])


def _families(report: Report) -> Iterator[tuple[str, str, list[Sample]]]:
    """Yield name, summary and samples; the names end in their units."""
    yield from _daemon(report)
    yield from _sites(report)
    yield from _work(report)
    yield from _money(report)


def _daemon(report: Report) -> Iterator[tuple[str, str, list[Sample]]]:
    pool = report.pool
    yield _one("period_begin_seconds", "Begin of the period, since 1970.", report.since)
    yield _one("period_end_seconds", "End of the period, since 1970.", report.until)
    yield _one("last_event_seconds", "When the last event was written, since 1970.", report.last)
    yield _one("running_seconds", "How long the daemon is known to have run.", report.up_s)
    yield _one("starts", "Starts of the daemon.", report.runs)
    notices: list[Sample] = [({"event": name}, n) for name, n in sorted(report.notices.items())]
    yield "jobping_unit_notices", "What systemd did with the unit.", notices
    yield _one("lost_lines", "Lines of the log that were lost.", _lost(report))
    yield _one("pool_busy_ratio", "Share of database connections that were busy.", pool.mean)
    yield _one("pool_busy_most_ratio", "The largest such share.", _if(pool.samples, pool.busy_most))
    waiting = pool.waiting / pool.samples if pool.samples else None
    yield _one("pool_waiting_ratio", "Share of samples in which work waited for one.", waiting)
    resident = _if(pool.samples, report.resident_most)
    yield _one("resident_most_bytes", "Most memory of the daemon's process.", resident)
    firing = {(rule, subject): state == "fired" for _at, state, rule, subject in report.alerts}
    yield (
        "jobping_alert_firing",
        "Whether an alert that was told of still fires.",
        [({"rule": rule, "subject": about}, is_on) for (rule, about), is_on in firing.items()],
    )


def _sites(report: Report) -> Iterator[tuple[str, str, list[Sample]]]:
    sites = sorted(report.domains.items())
    yield (
        "jobping_requests",
        "Requests by site and what became of them.",
        [
            ({"domain": name, "result": result}, one.answers[result])
            for name, one in sites
            for result in ("ok", "failed", "limited", "other")
        ],
    )
    yield (
        "jobping_request_success_ratio",
        "Share of requests that succeeded.",
        [({"domain": name}, one.success) for name, one in sites],
    )
    yield (
        "jobping_answer_seconds",
        "Answer times of a site, each poll's mean.",
        [
            ({"domain": name, "quantile": str(share)}, one.latencies.quantile(share))
            for name, one in sites
            for share in (0.5, 0.95)
        ],
    )
    for key, summary, field in (
        ("breaker_trips", "How often the breaker opened.", "trips"),
        ("limiter_violations", "Requests that left too early; must be 0.", "violations"),
        ("throttled", "How often a site told us to wait.", "throttled"),
    ):
        samples: list[Sample] = [({"domain": name}, getattr(one, field)) for name, one in sites]
        yield f"jobping_{key}", summary, samples
    yield (
        "jobping_tier_seconds",
        "Time of a site on each tier.",
        [
            ({"domain": name, "tier": tier}, seconds)
            for name, one in sites
            for tier, seconds in sorted(one.tiers().items())
        ],
    )


def _work(report: Report) -> Iterator[tuple[str, str, list[Sample]]]:
    new: list[Sample] = [({"source": name}, n) for name, n in sorted(report.by_source().items())]
    yield "jobping_new_postings", "Postings that were stored and are new.", new
    yield _one("matches", "Matches recorded.", report.total("matches"))
    yield _one("ranked_matches", "Matches ranked by a model.", report.total("ranked"))
    yield (
        "jobping_digests",
        "Digests by what became of them.",
        [({"result": key}, report.total(key)) for key in ("sent", "failed", "skipped")],
    )


def _money(report: Report) -> Iterator[tuple[str, str, list[Sample]]]:
    models = report.by_model().items()
    spent: list[Sample] = [({"model": name}, one.nanousd / 1e9) for name, one in models]
    yield "jobping_spend_dollars", "Cost of models in the period.", spent
    calls: list[Sample] = [({"model": name}, one.calls) for name, one in models]
    yield "jobping_model_calls", "Calls of models.", calls
    windows = [
        (name, found[max(found)])
        for name, found in (("day", report.days), ("month", report.months))
        if found
    ]
    yield (
        "jobping_budget_spent_dollars",
        "Spent in the present window, by the ledger.",
        [({"window": name}, window.nanousd / 1e9) for name, window in windows],
    )
    yield (
        "jobping_budget_limit_dollars",
        "Limit of the present window.",
        [({"window": name}, window.limit_nanousd / 1e9) for name, window in windows],
    )


def _one(key: str, summary: str, value: float | None) -> tuple[str, str, list[Sample]]:
    return f"jobping_{key}", summary, [({}, value)]


def _if(known: int, value: float) -> float | None:
    return value if known else None


def _lost(report: Report) -> int:
    return max(report.lost, report.total("dropped"))


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = {name: _ESCAPED.sub(r"\\\g<0>", printable(text)) for name, text in labels.items()}
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
