"""Rules of alerts: times as literals, events as the log has them."""

import datetime as dt
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.alerting import RULES, WATCHED, Alerts, Change, State
from jobping.events import CATALOGUE

NOON = 1_790_000_000.0 - 1_790_000_000.0 % 86_400 + 43_200
Told = tuple[float, str]


def told(changes: list[Change]) -> list[Told]:
    """Return each change as its time after noon and its text without the summary."""
    return [(c.at - NOON, f"{c.rule.name} {c.subject} {c.state.value}") for c in changes]


def play(*events: tuple[float, str, dict[str, Any]], until: float = 0.0) -> list[Told]:
    """Return what a stream of events, at seconds after noon, leads to."""
    alerts, found = Alerts(), list[Change]()
    for at, event, fields in events:
        found += alerts.note(NOON + at, event, fields)
    return told(found + alerts.advance(NOON + until))


def poll(at: float, ok: int = 1, failed: int = 0, every_s: float = 3600.0) -> Any:
    http = {"ok": ok, "failed": failed}
    return at, "scraper.polled", {"domain": "a.example", "poll_every_s": every_s, "http": http}


def sample(at: float, tier: str = "reliable", breaker: str = "closed", domain: str = "a.example"):
    return at, "domain.sampled", {"domain": domain, "tier": tier, "breaker": breaker}


def stats(at: float, **fields: object) -> Any:
    return at, "stats.taken", fields


def call(at: float, cost: int | None) -> Any:
    return at, "model.called", {"cost_nanousd": cost}


def test_domain_without_a_poll_is_told_after_three_of_its_periods_and_well_with_the_next():
    events = poll(0), poll(20_000)
    assert play(*events, until=20_000) == [
        (10_800, "domain_silent a.example fired"),
        (20_000, "domain_silent a.example resolved"),
    ]


def test_domain_whose_board_is_gone_may_rest_for_days():
    at, event, fields = poll(0)
    assert play((at, event, {**fields, "outcome": "gone"}), until=3 * 86_400 - 1) == []


def test_domain_that_was_never_polled_is_told_from_its_first_sample_on():
    found = play(sample(0), sample(600), until=100_000)
    assert (64_800, "domain_silent a.example fired") in found


def test_share_below_four_fifths_is_told_and_well_again_a_quarter_of_an_hour_after_a_good_one():
    events = poll(0, ok=15), poll(60, ok=0, failed=5), poll(600, ok=40), poll(700, ok=5)
    assert play(*events, until=2000) == [
        (60, "domain_failing a.example fired"),
        (1500, "domain_failing a.example resolved"),
    ]


def test_share_that_is_only_just_better_again_keeps_its_alert():
    events = poll(0, ok=15, failed=5), poll(60, ok=10), poll(1000, ok=25, failed=5)
    assert play(*events, until=3000) == [(0, "domain_failing a.example fired")]


def test_share_of_few_requests_says_nothing():
    assert play(poll(0, ok=0, failed=19), until=10) == []


def test_site_that_is_asked_rarely_is_judged_by_its_last_requests_of_a_day():
    rare = [poll(3600 * n, ok=2, failed=1) for n in range(7)]
    assert play(*rare, until=21_600) == [(21_600, "domain_failing a.example fired")]
    long_ago = poll(0, ok=0, failed=19), poll(86_401, ok=0, failed=1)
    assert "domain_failing" not in str(play(*long_ago, until=86_401))


def test_failures_leave_the_share_after_fifteen_minutes():
    events = poll(0, ok=0, failed=20), poll(901, ok=19, failed=1)
    assert play(*events, until=2000) == [
        (0, "domain_failing a.example fired"),
        (1801, "domain_failing a.example resolved"),
    ]


def test_breaker_that_stays_open_is_told_after_half_an_hour_half_open_or_not():
    events = (
        sample(0, breaker="open"),
        sample(60, breaker="half_open"),
        sample(1799, breaker="open"),
        (2000, "breaker.closed", {"domain": "a.example"}),
    )
    assert play(*events, until=2300) == [
        (1800, "breaker_open a.example fired"),
        (2300, "breaker_open a.example resolved"),
    ]


def test_breaker_that_opens_again_within_five_minutes_is_one_alert():
    events = (
        (0, "breaker.opened", {"domain": "a.example"}),
        (2000, "breaker.closed", {"domain": "a.example"}),
        (2200, "breaker.opened", {"domain": "a.example"}),
    )
    assert play(*events, until=9000) == [(1800, "breaker_open a.example fired")]


def test_breaker_that_an_operator_holds_is_no_alert():
    held = [sample(at, breaker="forced_open") for at in range(0, 100_000, 600)]
    assert play(*held, until=100_000) == []


def test_violated_limiter_is_told_at_once_and_once_until_it_is_quiet_for_an_hour():
    events = [(at, "limiter.violated", {"domain": "a.example", "rule": "rate"}) for at in (5, 900)]
    assert play(*events, until=5000) == [
        (5, "limiter_violated a.example fired"),
        (4500, "limiter_violated a.example resolved"),
    ]


def test_all_sites_in_backfill_are_told_after_an_hour_unless_one_recovers():
    low = [sample(at, tier="backfill") for at in range(0, 3601, 600)]
    assert (3600, "all_backfill  fired") in play(*low, until=3600)
    well = sample(1800, domain="b.example")
    assert play(*low[:4], well, *low[4:], until=3600) == []


@pytest.mark.parametrize(("limit", "ends"), [("day cost", 43_200), ("month cost", None)])
def test_spent_budget_is_told_once_a_threshold_until_its_window_ends(limit, ends):
    events = [(at, "budget.warned", {"limit": limit, "threshold": at}) for at in (50, 80, 95)]
    found = play(*events, (100, "budget.exhausted", {"limit": limit}), until=40 * 86_400)
    fired = [(at, f"budget_used {limit} {at} % fired") for at in (80, 95, 100)]
    assert found[:3] == fired
    assert [text.rsplit(maxsplit=1)[1] for _at, text in found[3:]] == ["resolved"] * 3
    assert len({at for at, _text in found[3:]}) == 1
    assert ends is None or found[3][0] == ends


def test_month_ends_with_its_last_day():
    [*_, (at, _text)] = play((0, "budget.exhausted", {"limit": "month cost"}), until=40 * 86_400)
    assert dt.datetime.fromtimestamp(NOON + at, dt.UTC).strftime("%d %H:%M") == "01 00:00"


def test_spend_that_ends_before_midnight_is_told_after_ten_minutes_of_it():
    # at noon more than half of the day's limit is gone
    day = {"nanousd": 6_000, "limit_nanousd": 10_000, "tokens": 0, "limit_tokens": 0}
    events = [stats(at, day=day) for at in range(0, 601, 60)]
    assert play(*events, until=600) == [(600, "budget_ahead day cost fired")]


def test_small_spend_is_not_projected():
    day = {"nanousd": 2_000, "limit_nanousd": 10_000}
    midnight = -43_200
    assert play(*[stats(midnight + at, day=day) for at in range(60, 3600, 60)], until=-39_700) == []


def test_calls_of_models_that_bring_nothing_are_told():
    events = [call(at, None if at % 2 else 5) for at in range(4)]
    assert play(*events, call(4, None), until=5) == [(4, "model_failing  fired")]


def test_wait_for_connections_is_told_when_it_lasts_five_minutes():
    events = [stats(at, pool_waiting=2) for at in range(0, 301, 60)]
    assert play(*events, until=300) == [(300, "pool_waiting  fired")]
    broken = [*events[:3], stats(150, pool_waiting=0), *events[3:]]
    assert play(*broken, until=300) == []


def test_fourth_restart_in_ten_minutes_is_told():
    events = [(at, "child.restarted", {"child": "x"}) for at in (0, 100, 200, 300)]
    assert play(*events, until=300) == [(300, "restarts parts fired")]
    slow = [(at, "child.restarted", {"child": "x"}) for at in (0, 100, 200, 601)]
    assert play(*slow, until=700) == []


def test_daemon_that_starts_again_and_again_is_told_over_its_runs():
    events = [(at, "daemon.started", {}) for at in (0, 100, 200, 300, 400)]
    assert play(*events, until=400) == [(400, "restarts daemon fired")]


def test_failed_digest_is_well_when_the_next_one_goes_out():
    events = (0, "digest.failed", {"profile": 7}), (60, "digest.sent", {"profile": 7})
    assert play(*events, until=60) == [
        (0, "digest_failed profile 7 fired"),
        (60, "digest_failed profile 7 resolved"),
    ]


@pytest.mark.parametrize("event", ["log.dropped", "lines.lost"])
def test_lost_lines_are_told(event):
    assert play((0, event, {"n": 3}), until=0) == [(0, "log_lost  fired")]


def test_missing_statistics_are_told_after_three_minutes_and_well_with_the_next():
    assert play(stats(0), stats(60), stats(400), until=400) == [
        (240, "stats_missing  fired"),
        (400, "stats_missing  resolved"),
    ]


def test_daemon_that_stopped_in_order_misses_nothing():
    assert play(stats(0), poll(1), (60, "daemon.stopped", {}), until=1e6) == []


def test_new_run_begins_with_nothing_told():
    alerts = Alerts()
    alerts.note(NOON, "log.dropped", {"n": 1})
    alerts.note(NOON + 1, "daemon.started", {})
    assert alerts.firing() == []


def test_rule_that_is_left_out_says_nothing():
    alerts = Alerts(tuple(rule for rule in RULES if rule.name != "log_lost"))
    assert alerts.note(NOON, "log.dropped", {"n": 1}) == []


def test_longer_hysteresis_outlasts_a_short_recovery():
    rules = tuple(
        attrs.evolve(rule, resolve_after_s=600.0) for rule in RULES if rule.name == "stats_missing"
    )
    alerts, found = Alerts(rules), list[Change]()
    for at in (0, 400, 1200, 1260, 1320, 1380, 1440, 1500, 1560, 1620, 1680, 1740, 1800):
        found += alerts.note(NOON + at, "stats.taken", {})
    assert told(found) == [(180, "stats_missing  fired"), (1800, "stats_missing  resolved")]


def test_site_that_is_polled_no_longer_is_let_go():
    events = sample(0, breaker="open"), *[stats(at) for at in range(0, 5000, 60)]
    assert play(*events, until=5000) == []


def test_rules_read_events_of_the_catalogue_only():
    assert set(CATALOGUE) >= WATCHED


RUBBISH = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.sampled_from(["ok", "failed", "nanousd", "limit_nanousd"]), st.floats(), max_size=3
    ),
)
KEYS = st.sampled_from(
    [
        "domain",
        "tier",
        "breaker",
        "http",
        "poll_every_s",
        "day",
        "pool_waiting",
        "limit",
        "threshold",
    ]
)
EVENTS = st.tuples(
    st.floats(0, 1e9),
    st.sampled_from(sorted(WATCHED)),
    st.dictionaries(KEYS, RUBBISH, max_size=4),
)


@given(st.lists(EVENTS, max_size=30))
def test_any_fields_lead_to_changes_in_order_that_alternate(events):
    alerts, moments, firing = Alerts(), list[float](), set[tuple[str, str]]()
    for at, event, fields in events:
        for change in alerts.note(at, event, fields):
            moments.append(change.at)
            id = (change.rule.name, change.subject)
            assert (id in firing) == (change.state is State.RESOLVED)
            firing ^= {id}
        if event in ("daemon.started", "daemon.stopped"):
            firing &= {("restarts", "daemon")}
        assert sorted(firing) == alerts.firing()
    assert moments == sorted(moments)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 3))), st.integers(1, 900))
def test_ticks_between_events_change_nothing(steps, tick):
    makers = (
        lambda at: poll(at, ok=0, failed=25, every_s=60.0),
        lambda at: poll(at, ok=90),
        lambda at: sample(at, tier="backfill", breaker="open"),
        lambda at: stats(at, pool_waiting=1),
    )
    events = [makers[kind](at) for at, kind in sorted(steps)]
    plain = play(*events, until=40_000)
    alerts, ticked = Alerts(), list[Change]()
    for at, event, fields in events:
        for between in range(at - at % tick - tick, at, tick):
            ticked += alerts.advance(NOON + between)
        ticked += alerts.note(NOON + at, event, fields)
    ticked += alerts.advance(NOON + 40_000)
    assert told(ticked) == plain
