from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.events import EVENTS
from jobping.monitor.state import (
    ERROR_COUNTS_S,
    FORGOTTEN_S,
    MOST,
    RECENT,
    SILENT_S,
    DaemonState,
    DomainState,
    RunState,
    Spent,
    Verdict,
)
from jobping.monitor.stream import Event, Foreign, Item, Lost, Notice
from tests.monitor.samples import (
    CHILDREN,
    DAY,
    NASTY,
    NOON,
    Writer,
    polled,
    sampled,
    started,
    stats,
)

SITE = "boards.example"


def fold(items: Iterable[Item]) -> DaemonState:
    state = DaemonState()
    for item in items:
        state.note(item)
    return state


def current(state: DaemonState) -> RunState:
    assert state.current is not None
    return state.current


def judged(*items: Item, at: float = 60.0) -> tuple[Verdict, tuple[str, ...]]:
    return fold(items).verdict(NOON + at)


@pytest.fixture
def write() -> Writer:
    return Writer()


def test_daemon_that_started_and_takes_samples_is_healthy(write: Writer) -> None:
    assert judged(*started(write), sampled(write, 1, SITE)) == (Verdict.HEALTHY, ())


def test_nothing_known_is_down() -> None:
    assert judged() == (Verdict.DOWN, ("nothing is known of a daemon",))


def test_daemon_that_starts_is_degraded(write: Writer) -> None:
    first, *_ = started(write)
    assert judged(first, at=5) == (Verdict.DEGRADED, ("it starts, since 5 s",))


def test_daemon_that_stopped_is_down_with_its_exit_code(write: Writer) -> None:
    lines = [*started(write), write(30, "daemon.stopped", code=78, duration_s=30.0, requests=41)]
    assert judged(*lines, at=90) == (Verdict.DOWN, ("it stopped 1 min ago, exit code 78",))
    assert current(fold(lines)).requests == 41


def test_daemon_whose_samples_stay_away_is_down(write: Writer) -> None:
    lines = [*started(write), polled(write, 400, SITE)]
    assert judged(*lines, at=1 + SILENT_S)[0] is Verdict.HEALTHY
    assert judged(*lines, at=420) == (
        Verdict.DOWN,
        ("no stats for 7 min: it hangs, was killed, or its log goes elsewhere",),
    )


def test_daemon_that_systemd_saw_end_is_down_until_the_next_run(write: Writer) -> None:
    lines: list[Item] = [*started(write)]
    end = round((NOON + 10) * 1e6)
    lines += [
        Notice(ts=end, event="unit.exited", fields={"EXIT_CODE": "killed", "EXIT_STATUS": "9"}),
        Notice(ts=end, event="unit.failed", fields={"UNIT_RESULT": "signal"}),
        Notice(ts=end, event="unit.restarted", fields={"N_RESTARTS": "1"}),
    ]
    assert judged(*lines, at=12) == (
        Verdict.DOWN,
        ("systemd says: exited (9), failed (signal), starts again",),
    )
    lines += started(Writer(run="run-2", began=NOON + 12))
    assert judged(*lines, at=14) == (Verdict.HEALTHY, ())


@pytest.mark.parametrize(
    ("event", "fields", "reason", "end", "ending"),
    [
        ("store.lost", {"place": "p"}, "the database does not answer, since 9 s",
         "store.regained", {"place": "p"}),
        ("network.lost", {}, "our own network is down, since 9 s", "network.regained", {}),
        ("supply.fell_short", {}, "the boards list too few postings, since 9 s",
         "supply.recovered", {}),
        ("health.changed", {"state": "stalled", "children": ["root/ingest"], "level": "error"},
         "its supervision says stalled: root/ingest, since 9 s",
         "health.changed", {"state": "ok", "children": []}),
        ("child.exited", {"child": "root/ingest"}, "ingest is down",
         "child.started", {"child": "root/ingest"}),
        ("breaker.opened", {"domain": SITE, "cause": "5xx", "until_s": 60.0},
         f"{SITE}: breaker open (5xx)", "breaker.closed", {"domain": SITE}),
        ("tier.demoted", {"domain": SITE, "to_tier": "backfill"}, f"{SITE}: tier backfill",
         "tier.promoted", {"domain": SITE, "to_tier": "reliable"}),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)  # fmt: skip
def test_what_begins_degrades_the_daemon_until_it_ends(
    write: Writer, event: str, fields: Any, reason: str, end: str, ending: Any
) -> None:
    lines = [*started(write), sampled(write, 2, SITE), write(10, event, **fields)]
    verdict, reasons = judged(*lines, at=19)
    assert verdict is Verdict.DEGRADED
    assert reason in reasons
    lines.append(write(20, end, **ending))
    assert reason not in judged(*lines, at=ERROR_COUNTS_S)[1]


def test_error_counts_for_a_quarter_of_an_hour(write: Writer) -> None:
    lines = [*started(write), write(5, "limiter.violated", domain=SITE, rule="rate", by_s=0.1)]
    lines.append(stats(write, 900))
    assert judged(*lines, at=65) == (Verdict.DEGRADED, ("limiter.violated, 1 min ago",))
    assert judged(*lines, at=5 + ERROR_COUNTS_S) == (Verdict.HEALTHY, ())


def test_site_that_an_operator_holds_is_no_trouble(write: Writer) -> None:
    held = sampled(write, 2, SITE, breaker="forced_open", next_in_s=None)
    assert judged(*started(write), held) == (Verdict.HEALTHY, ())


def test_limit_that_is_used_up_degrades_until_its_window_ends(write: Writer) -> None:
    lines = [*started(write), write(5, "budget.exhausted", limit="day tokens")]
    midnight = 35_200.0  # seconds from NOON
    lines += [stats(write, midnight - 30), stats(write, midnight + 30)]
    assert judged(*lines, at=midnight - 1) == (
        Verdict.DEGRADED,
        ("the day tokens limit is used up, since 10 h",),
    )
    assert judged(*lines, at=midnight + 1) == (Verdict.HEALTHY, ())


def test_samples_tell_parts_pool_and_database(write: Writer) -> None:
    children = CHILDREN | {"ingest": {"state": "restarting", "restarts": 4}}
    lines = [*started(write), stats(write, 5, children=children, day=None, month=None, silent=2)]
    assert judged(*lines)[1] == (
        "2 sites give no answer",
        "the database did not answer the last sample",
        "ingest is restarting",
    )
    assert current(fold(lines)).parts["ingest"].restarts == 4


def test_bills_are_added_to_the_last_sample_and_not_counted_twice(write: Writer) -> None:
    call = {"cost_nanousd": 1_000, "input_tokens": 70, "output_tokens": 30}
    lines = [*started(write), write(5, "model.called", **call)]
    lines.append(write(6, "budget.lapsed", id="x", nanousd=10, tokens=1))
    spent = current(fold(lines)).spent("day", NOON + 9)
    assert spent == Spent(
        nanousd=8_500_001_010,
        held_nanousd=500_000_000,
        limit_nanousd=10_000_000_000,
        tokens=40_101,
        held_tokens=1_000,
        limit_tokens=100_000,
    )
    lines.append(stats(write, 61, day=DAY | {"nanousd": 8_500_001_010}))
    spent = current(fold(lines)).spent("day", NOON + 70)
    assert spent is not None
    assert spent.nanousd == 8_500_001_010


def test_new_day_begins_with_nothing_spent_and_the_month_goes_on(write: Writer) -> None:
    run = current(fold([*started(write), write(35_300, "model.called", cost_nanousd=7)]))
    tomorrow = NOON + 35_400
    day, month = run.spent("day", tomorrow), run.spent("month", tomorrow)
    assert day is not None
    assert month is not None
    assert (day.nanousd, day.held_nanousd, day.limit_nanousd) == (7, 0, 10_000_000_000)
    assert month.nanousd == 8_500_000_007


def test_site_is_told_by_its_samples_and_its_polls(write: Writer) -> None:
    lines = [
        *started(write),
        sampled(write, 2, SITE, per_hour=40.0, next_in_s=8.0, waits_for="rate"),
        polled(write, 5, SITE),
        polled(write, 7, SITE, outcome="failed", why="503", new=0, level="warning"),
    ]
    assert current(fold(lines)).domains[SITE] == DomainState(
        domain=SITE,
        said_at=NOON + 7,
        sources={"greenhouse"},
        tier="reliable",
        breaker="closed",
        per_hour=40.0,
        next_at=NOON + 10,
        waits_for="rate",
        used_today=12,
        succeeded_at=NOON + 5,
        polled_at=NOON + 7,
        outcome="failed",
        why="503",
        polls=2,
        good=1,
        new=3,
    )


def test_moment_of_a_request_that_has_gone_is_forgotten(write: Writer) -> None:
    lines = [*started(write), sampled(write, 2, SITE, next_in_s=1.0), polled(write, 5, SITE)]
    assert current(fold(lines)).domains[SITE].next_at is None


def test_site_that_is_polled_no_more_is_forgotten(write: Writer) -> None:
    lines = [*started(write), sampled(write, 2, SITE, tier="backfill"), sampled(write, 2, "b")]
    lines += [sampled(write, 600, "b"), stats(write, 3 + FORGOTTEN_S)]
    assert set(current(fold(lines)).domains) == {"b"}


def test_other_run_begins_anew_and_late_lines_of_the_old_one_change_nothing(
    write: Writer,
) -> None:
    second = Writer(run="run-2", began=NOON + 100)
    lines = [*started(write), polled(write, 5, SITE), *started(second), polled(write, 101, SITE)]
    state = fold(lines)
    assert current(state).run == "run-2"
    assert current(state).domains == {}
    assert len(state.recent) == 6  # two starts of two lines, two polls


def test_answer_of_the_daemon_is_newer_than_its_log(write: Writer) -> None:
    state = fold([*started(write), polled(write, 5, SITE)])
    record = sampled(write, 0, SITE, tier="backfill").fields
    answer = {"run": "run-1", "version": "1.2.3", "stats": stats(write, 0).fields,
              "domains": [record, {"domain": 1}, None]}  # fmt: skip
    state.note_answer(answer, NOON + 1_000)
    assert state.verdict(NOON + 1_000) == (Verdict.DEGRADED, (f"{SITE}: tier backfill",))
    assert current(state).domains[SITE].polls == 1
    assert current(state).summary.postings()["new"] == 3


@pytest.mark.parametrize("answer", [{}, {"run": 1}, {"run": "x", "stats": None}, {"error": "e"}])
def test_answer_that_means_nothing_changes_nothing(write: Writer, answer: Any) -> None:
    state = fold(started(write))
    before = attrs.asdict(state)
    state.note_answer(answer, NOON + 5)
    assert attrs.asdict(state) == before


def test_losses_are_counted_and_what_is_kept_is_bounded(write: Writer) -> None:
    items: list[Item] = [Foreign(ts=None, level="info", text="x")] * 3
    items += [Lost(ts=1, run="r", n=4)] * 2
    items += [polled(write, at, f"{at}.example") for at in range(MOST + 50)]
    state = fold(items)
    assert (state.foreign, state.lost) == (3, 8)
    assert len(state.recent) == RECENT
    assert len(current(state).domains) == MOST


@settings(deadline=None)
@given(st.data())
def test_any_value_in_any_field_is_survived(data: st.DataObject) -> None:
    state = fold([*started(Writer()), *garbled(data)])
    assert current(state).last_at < NOON + 1e6
    for at in (NOON, NOON + 1e6):
        state.verdict(at)
        current(state).spent("day", at)


def garbled(data: st.DataObject) -> list[Event]:
    """Draw events of the catalogue with fields of any kind."""
    write, found = Writer(), []
    for seq in range(4):
        kind = data.draw(st.sampled_from(EVENTS))
        names = data.draw(st.sets(st.sampled_from([*kind.fields, "domain", "child"])))
        fields = {name: data.draw(st.sampled_from(NASTY)) for name in sorted(names)}
        found.append(attrs.evolve(write(seq, kind.name), fields=fields))
    return found
