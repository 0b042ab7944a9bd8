"""Alerts of a log: live and replayed they are the same."""

import os
import random
import time
from pathlib import Path

import attrs
import pytest

from jobping.actors.alerts import Inbox
from jobping.core.alerting import RULES, Alerts, Change, Rule, State
from jobping.logs import Form, LogConfig, open_log
from jobping.monitor.replay import replay
from jobping.monitor.stream import Lost, open_file

QUICK: tuple[Rule, ...] = tuple(
    attrs.evolve(
        rule,
        for_s=rule.for_s and 0.05,
        resolve_after_s=rule.resolve_after_s and 0.08,
        threshold=0.005 if rule.name == "stats_missing" else rule.threshold,
    )
    for rule in RULES
)
"""As shipped, but in milliseconds."""
LINES = (
    ("stats.taken", {"pool_waiting": 1}),
    ("stats.taken", {"pool_waiting": 0}),
    (
        "scraper.polled",
        {"domain": "a.example", "http": {"ok": 0, "failed": 20}, "poll_every_s": 60},
    ),
    ("scraper.polled", {"domain": "a.example", "http": {"ok": 20}, "poll_every_s": 60}),
    ("breaker.opened", {"domain": "b.example"}),
    ("breaker.closed", {"domain": "b.example"}),
    ("limiter.violated", {"domain": "c.example", "rule": "rate"}),
    ("digest.failed", {"profile": 1}),
    ("child.restarted", {"child": "x"}),
    ("budget.warned", {"limit": "day cost", "threshold": 80}),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.json"


def test_live_and_replayed_alerts_are_the_same_sequence(path):
    alerts, inbox, rng = Alerts(QUICK), Inbox(), random.Random(5)
    live: list[Change] = []
    with (
        path.open("w") as file,
        open_log(LogConfig(form=Form.JSON, strict=True), stream=file, journal=False,
                 tap=inbox.tap) as log,
    ):  # fmt: skip
        for _ in range(300):
            event, fields = rng.choice(LINES)
            log.emit(event, **fields)
            time.sleep(rng.uniform(0, 0.02))
            if rng.random() < 0.2:
                live += inbox.judge(alerts)
    live += inbox.judge(alerts)
    with open_file(path) as stream:
        again = list(replay(stream, Alerts(QUICK)))
    assert {change.rule.name for change in live} >= {
        *("pool_waiting", "domain_failing", "breaker_open", "limiter_violated"),
        *("digest_failed", "restarts", "budget_used", "stats_missing"),
    }
    assert {change.state for change in live} == set(State)
    assert len(again) > 50
    assert list(map(told, again)) == list(map(told, live))[: len(again)]
    moments = [(a.at, b.at) for a, b in zip(again, live, strict=False)]
    assert all(abs(a - b) < 0.01 for a, b in moments)


def told(change: Change) -> tuple[str, str, str]:
    return change.state.value, change.rule.name, change.subject


def test_emitting_never_waits_for_the_alerts():
    inbox = Inbox()
    for _ in range(50_000):
        inbox.tap("log.dropped", {"n": 1})
    assert [change.rule.name for change in inbox.judge(Alerts())] == ["log_lost"]


def test_alerts_see_what_the_level_of_the_log_leaves_out():
    inbox = Inbox()
    read, write = os.pipe()
    with (
        os.fdopen(read, "rb"),
        os.fdopen(write, "w") as stream,
        open_log(LogConfig(level="error", form=Form.JSON), stream=stream, journal=False,
                 tap=inbox.tap) as log,
    ):  # fmt: skip
        log.emit("digest.failed", level="warning", profile=1)
    assert [change.rule.name for change in inbox.judge(Alerts())] == ["digest_failed"]


def test_gap_in_the_numbers_is_told_by_a_replay():
    changes = list(replay([Lost(ts=1_790_000_000_000_000, run="r", n=3)], Alerts()))
    assert [(change.rule.name, change.value) for change in changes] == [("log_lost", 3.0)]
