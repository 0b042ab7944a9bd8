"""What a report makes of a stream: figures, money, tiers, time that is not known."""

import datetime as dt
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.events import CATALOGUE
from jobping.monitor.report import OTHERS, Latencies, Report, Spend, dates_of
from jobping.monitor.stream import Event, Foreign, Item, Lost, Notice
from jobping.monitor.tables import amounts, figures, markdown, notes, percent, tables, tiers_table
from tests.monitor.samples import NOON, Writer, polled, sampled, started, stats

TODAY = dt.datetime.fromtimestamp(NOON, dt.UTC).date().isoformat()
SITE = "a.example"


def report_of(*items: Item, since: float | None = None, until: float | None = None) -> Report:
    report = Report(since=since, until=until)
    for item in items:
        report.note(item)
    report.finish()
    return report


def called(write: Writer, at: float, cost: int | None, **changes: object) -> Event:
    fields = {
        "id": f"call-{at}",
        "asked": "mini",
        "model": "mini" if cost is not None else None,
        "input_tokens": None if cost is None else 900,
        "output_tokens": None if cost is None else 100,
        "cost_nanousd": cost,
        "duration_s": 2.0,
    }
    return write(at, "model.called", **(fields | changes))


@pytest.fixture
def write() -> Writer:
    return Writer()


def test_requests_are_counted_by_site_and_what_became_of_them(write):
    report = report_of(
        *started(write),
        polled(write, 5, SITE, http={"ok": 8, "failed": 1, "other": 2}, http_s=1.8),
        polled(write, 9, SITE, http={"limited": 1}, http_s=0.0, outcome="limited"),
        polled(write, 9, "b.example", http={"ok": 1}, http_s=3.0),
    )
    one = report.domains[SITE]
    assert one.answers == {"ok": 8, "failed": 1, "limited": 1, "other": 2}
    assert one.success == 0.8
    assert one.outcomes == {"complete": 1, "limited": 1}
    assert one.latencies.quantile(0.5) == pytest.approx(0.2, rel=0.03)
    assert report.answers().total() == 13


def test_new_postings_are_counted_by_day_and_source(write):
    report = report_of(
        polled(write, 0, SITE, new=3),
        polled(write, 1, SITE, new=2, source="lever"),
        polled(write, 86_400, SITE, new=4),
    )
    tomorrow = (dt.date.fromisoformat(TODAY) + dt.timedelta(days=1)).isoformat()
    assert report.postings == {TODAY: {"greenhouse": 3, "lever": 2}, tomorrow: {"greenhouse": 4}}
    assert report.by_source() == {"greenhouse": 7, "lever": 2}
    assert dates_of(NOON, NOON + 86_400) == [TODAY, tomorrow]


def test_trips_violations_and_waits_are_counted_by_site(write):
    report = report_of(
        write(1, "breaker.opened", domain=SITE),
        write(2, "limiter.violated", domain=SITE, rule="rate", by_s=0.1),
        write(3, "limiter.throttled", domain=SITE),
    )
    one = report.domains[SITE]
    assert (one.trips, one.violations, one.throttled) == (1, 1, 1)
    assert [figure.value for figure in figures(report) if figure.is_bad] == ["1"]


# --- time


def test_uptime_is_what_the_log_covers(write):
    report = report_of(
        *started(write),
        stats(write, 60),
        stats(write, 120),
        stats(write, 1000),
        stats(write, 1060),
        since=NOON,
        until=NOON + 2000,
    )
    assert report.up_s == 120 + 60
    assert report.span_s == 2000


def test_new_run_begins_a_new_stretch_at_once(write):
    again = Writer(run="run-2", began=NOON + 100)
    report = report_of(*started(write), *started(again))
    assert [(round(a - NOON), round(b - NOON)) for a, b in report.up] == [(0, 1), (100, 101)]
    assert report.runs == 2


def test_systemd_is_counted_beside_the_runs(write):
    notice = Notice(ts=round(NOON * 1e6), event="unit.restarted", fields={"N_RESTARTS": "3"})
    report = report_of(*started(write), notice, notice)
    assert report.as_record()["uptime"]["systemd"] == {"unit.restarted": 2}
    assert "systemd restarted it 2 x" in figures(report)[0].detail


def test_exit_codes_are_counted(write):
    report = report_of(*started(write), write(5, "daemon.stopped", code=0))
    assert report.codes == {"0": 1}


def test_tier_lasts_until_the_next_one_is_said(write):
    lines = [stats(write, at) for at in range(0, 1801, 60)]
    lines += [
        sampled(write, 0, SITE),
        write(300, "tier.demoted", domain=SITE, from_tier="reliable", to_tier="backfill"),
        sampled(write, 600, SITE, tier="backfill"),
        sampled(write, 1200, SITE, tier="reliable"),
        sampled(write, 1800, SITE, tier="reliable"),
    ]
    report = report_of(*sorted(lines, key=lambda line: line.ts))
    assert report.domains[SITE].tiers() == {"reliable": 300 + 600, "backfill": 900}
    assert tiers_table(report).rows == [[SITE, "50.0 %", "-", "50.0 %"]]


def test_tier_is_not_known_where_the_log_has_a_gap(write):
    lines = [stats(write, at) for at in (*range(0, 301, 60), *range(3000, 3301, 60))]
    lines += [sampled(write, 0, SITE, tier="backfill"), sampled(write, 3000, SITE)]
    report = report_of(*sorted(lines, key=lambda line: line.ts))
    assert report.domains[SITE].tiers() == {"backfill": 300, "reliable": 300}


def test_tier_of_a_site_that_is_said_no_more_is_not_known_for_long(write):
    lines = [stats(write, at) for at in range(0, 7201, 60)]
    report = report_of(lines[0], sampled(write, 0, SITE), *lines[1:])
    assert report.domains[SITE].tiers() == {"reliable": 660}


def test_pool_is_the_mean_of_its_samples(write):
    report = report_of(
        stats(write, 0, pool_size=10, pool_idle=10),
        stats(write, 60, pool_size=10, pool_idle=2, pool_waiting=3),
    )
    pool = report.pool
    assert (pool.mean, pool.busy_most, pool.waiting, pool.waiting_most) == (0.4, 0.8, 1, 3)


# --- money


def test_spend_is_exact_by_day_month_model_and_match(write):
    report = report_of(
        called(write, 0, 1_234_567_891),
        called(write, 9, 1, model="nano"),
        called(write, 86_400, 2),
        called(write, 86_401, None),
        write(86_402, "matches.ranked", profile=1, pairs=20, ranked=7),
    )
    assert report.spent() == Spend(calls=4, failed=1, tokens=3000, nanousd=1_234_567_894)
    assert {name: one.nanousd for name, one in report.by_model().items()} == {
        "mini": 1_234_567_893,
        "nano": 1,
    }
    assert {day: sum(m.nanousd for m in models.values()) for day, models in report.spend.items()}[
        TODAY
    ] == 1_234_567_892
    assert report.by_month()[TODAY[:7]].nanousd == 1_234_567_894
    assert report.per_match() == -(-1_234_567_894 // 7)


def test_call_counts_on_the_day_it_began(write):
    to_midnight = 86_400 - NOON % 86_400
    report = report_of(called(write, to_midnight + 1, 5, duration_s=3.0))
    assert list(report.spend) == [TODAY]


def test_call_that_lapsed_counts_its_worst_case_under_its_model(write):
    report = report_of(
        write(1, "budget.lapsed", id="x", tokens=50, nanousd=700, why="timeout"),
        called(write, 1, None, id="x"),
    )
    assert report.by_model() == {
        "mini": Spend(calls=1, failed=1, tokens=50, nanousd=700, lapsed_nanousd=700)
    }


def test_bill_that_comes_late_replaces_the_worst_case(write):
    report = report_of(
        write(1, "budget.lapsed", id="x", tokens=50, nanousd=700, why="timeout"),
        called(write, 1, None, id="x"),
        write(90, "budget.corrected", id="x", tokens=20, nanousd=300),
    )
    assert report.spent() == Spend(calls=1, failed=1, tokens=20, nanousd=300)


def test_call_whose_end_was_never_written_counts_as_the_next_start_lapses_it(write):
    again = Writer(run="run-2", began=NOON + 100)
    report = report_of(
        write(1, "budget.owed", id="x", why="the database was away"),
        called(write, 1, 5, id="x"),
        again(0, "budget.lapsed", id="x", tokens=50, nanousd=700, why="abandoned"),
    )
    assert report.spent() == Spend(calls=1, tokens=50, nanousd=700, lapsed_nanousd=700)


def test_call_of_a_run_that_was_killed_counts_without_its_model(write):
    report = report_of(write(1, "budget.lapsed", id="x", tokens=50, nanousd=700, why="abandoned"))
    assert list(report.by_model()) == ["(no bill)"]


def test_ledger_and_its_limits_are_what_was_said_last(write):
    day = {"starts": TODAY, "nanousd": 7, "limit_nanousd": 10**10, "tokens": 1, "limit_tokens": 9}
    report = report_of(stats(write, 0), stats(write, 60, day=day))
    assert (report.days[TODAY].nanousd, report.days[TODAY].limit_nanousd) == (7, 10**10)


# --- matches, digests, the log itself


def test_matches_and_digests_are_counted_by_day(write):
    report = report_of(
        write(1, "matches.recorded", postings=9, profiles=1, matches=5, duration_s=0.1),
        write(2, "digest.sent", digest=1, profile=1, items=4),
        write(3, "digest.failed", digest=2, profile=1, why="x"),
        write(4, "digest.skipped", profile=1, why="nothing new"),
    )
    assert report.counts == {
        TODAY: {"matches": 5, "sent": 1, "items": 4, "failed": 1, "skipped": 1}
    }


def test_alerts_and_troubles_are_listed(write):
    report = report_of(
        write(1, "alert.fired", rule="log_lost", subject="", value=3, why="w"),
        write(2, "alert.resolved", rule="log_lost", subject="", value=3),
        write(3, "store.lost", place="x", reason="y"),
    )
    assert [(state, rule) for _at, state, rule, _about in report.alerts] == [
        ("fired", "log_lost"),
        ("resolved", "log_lost"),
    ]
    assert report.worst == {("warning", "alert.fired"): 1, ("error", "store.lost"): 1}


def test_only_the_period_counts(write):
    lines = [polled(write, at, SITE) for at in (0, 10, 20, 30)]
    report = report_of(*lines, since=NOON + 10, until=NOON + 30)
    assert (report.events, report.outside, report.domains[SITE].new) == (2, 2, 6)


def test_lines_that_are_lost_or_foreign_are_told(write):
    ts = round(NOON * 1e6)
    report = report_of(
        *started(write),
        Lost(ts=ts, run="r", n=4),
        Foreign(ts=None, level="info", text="hello"),
    )
    assert (report.lost, report.foreign, report.runs) == (4, 1, 1)
    assert any("4 lines of the log were lost" in note for note in notes(report))


def test_log_without_statistics_says_what_cannot_be_known(write):
    assert any("stats.taken" in note for note in notes(report_of(polled(write, 1, SITE))))


def test_empty_stream_is_said_and_not_an_error():
    report = report_of()
    assert notes(report) == ["There is no event of this period in the log."]
    assert json.loads(json.dumps(report.as_record()))["log"]["events"] == 0
    assert markdown(report)


VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(-5, 10**30), st.floats(), st.text(max_size=4)),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.sampled_from(["ok", "failed", "starts", "nanousd"]), st.integers() | st.text(max_size=3)
    ),
)


@given(st.lists(st.tuples(st.integers(-10, 10**6), st.sampled_from(sorted(CATALOGUE)), st.data())))
def test_any_fields_make_a_report(events):
    report = Report()
    for n, (at, name, data) in enumerate(events, 1):
        kind = CATALOGUE[name]
        fields = {field: data.draw(VALUES) for field in kind.fields}
        report.note(
            Event(ts=round((NOON + at) * 1e6), event=name, level=kind.level, actor="", run="r",
                  seq=n, v=1, fields=fields)
        )  # fmt: skip
    report.finish()
    json.dumps(report.as_record())
    assert markdown(report)
    assert tables(report)


def test_names_beyond_measure_are_counted_together(write):
    report = report_of(*(polled(write, 1, f"site-{n}.example", new=1) for n in range(2_500)))
    assert len(report.domains) == 2_001
    assert report.domains[OTHERS].new == 500


def test_memory_does_not_grow_with_the_length_of_the_log(write):
    report = Report()

    def feed(begin: int) -> None:
        for at in range(begin, begin + 20_000):
            report.note(polled(write, at, SITE, http={"ok": 1}, http_s=at % 7 / 10))
            report.note(stats(write, at))

    feed(0)
    tracemalloc.start()
    feed(20_000)
    grown, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000


# --- words


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.99999, ">99.9 %"), (0.00001, "<0.1 %"), (0.5, "50.0 %")],
)
def test_share_is_all_or_nothing_only_where_it_is(share, text):
    assert percent(share) == text


def test_amounts_of_a_column_have_the_same_places():
    assert amounts([10**10, None, 3 * 10**11]) == ["$10.00", "-", "$300.00"]
    assert amounts([10**10, 1]) == ["$10.000000", "$0.000001"]


def test_markdown_keeps_a_stranger_from_marking_up(write):
    text = markdown(report_of(polled(write, 1, "<b>|`x`\n# y")))
    assert "\\<b\\>\\|\\`x\\` \\# y" in text
    assert "<b>" not in text


def test_quantiles_are_exact_to_three_percent():
    found = Latencies()
    for n in range(1, 1001):
        found.add(n / 1000, 1)
    assert found.quantile(0.5) == pytest.approx(0.5, rel=0.03)
    assert found.quantile(0.95) == pytest.approx(0.95, rel=0.03)
