"""The report as a page and as metrics: self-contained, escaped, honest."""

import itertools
import re
import xml.etree.ElementTree as ET
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from jobping.monitor import plots
from jobping.monitor.openmetrics import render_metrics
from jobping.monitor.page import render_page
from jobping.monitor.plots import Days, Limit, bars, known_of, ticks_of
from jobping.monitor.report import Report
from tests.monitor.samples import NOON, Writer, polled, sampled, started, stats
from tests.monitor.test_report import SITE, called, report_of

EVIL = "<script>alert(1)</script>\"'&\u202e\x1b[2J"
DAYS = ["2026-11-26", "2026-11-27"]


PLAIN = {"label": "x", "show": str}


def full(name: str = SITE) -> Report:
    """Return a report in which every part of the page has something, all named by one name."""
    write = Writer()
    return report_of(
        *started(write),
        polled(write, 5, name, source=name, http={"ok": 8, "failed": 1}, http_s=1.8),
        sampled(write, 6, name),
        write(7, "tier.demoted", domain=name, from_tier="reliable", to_tier="backfill"),
        write(8, "breaker.opened", domain=name),
        called(write, 9, 5_000_000_000, asked=name, model=name),
        write(10, "matches.ranked", profile=1, pairs=20, ranked=7),
        write(10, "matches.recorded", postings=9, profiles=1, matches=5, duration_s=0.1),
        write(11, "digest.sent", digest=1, profile=1, items=4),
        write(12, "alert.fired", rule=name, subject=name, value=3, why="w"),
        stats(write, 60),
    )


def parsed(page: str) -> ET.Element:
    """Return a page as the well-formed XML that it is."""
    return ET.fromstring(page.replace("<!DOCTYPE html>", ""))


def test_page_holds_every_part():
    page = render_page(full())
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "New postings a day, by source",
        "Requests and answer times, by site",
        "Tiers",
        "Spend on models a day, in US dollars",
        "Matches and digests a day",
        "Warnings and errors",
        "Alerts",
    ]
    assert "Nothing in this period" not in page


@pytest.mark.parametrize("report", [full(), full(EVIL), report_of()], ids=["full", "evil", "empty"])
def test_page_asks_for_nothing_from_outside_and_runs_nothing(report):
    page = render_page(report)
    root = parsed(page)
    assert {element.tag for element in root.iter()}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "form", "a", "image", "use", "foreignObject"}
    )
    names = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "href", "action"}
    assert set(re.findall(r"url\((.*?)\)", page)) == {"#hatch"}
    assert "@import" not in page
    policy = escape("default-src 'none'; style-src 'unsafe-inline'; form-action 'none'")
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}" />' in page


def test_names_of_strangers_are_escaped_and_lose_their_controls():
    page = render_page(full(EVIL))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert not re.search("[\u202e\x1b]", page)


def test_stream_without_an_event_is_a_page_that_says_so():
    assert "Nothing to report" in render_page(report_of())


def test_page_without_models_or_digests_says_so():
    write = Writer()
    page = render_page(report_of(*started(write), stats(write, 60)))
    assert "No model was called in this period." in page
    assert "No site was asked in this period." in page


def test_long_period_is_drawn_in_a_bounded_page():
    write = Writer()
    lines = (
        polled(write, day * 86_400, f"s{n}.example", http={"ok": 1}, new=1, source=f"s{n}")
        for day, n in itertools.product(range(31), range(300))
    )
    assert len(render_page(report_of(*lines))) < 200_000


# --- plots


def heights(svg: str, kind: str) -> list[float]:
    return [float(h) for h in re.findall(rf'class="{kind}"[^>]* y="[^>]* height="([\d.]+)"', svg)]


def test_bars_stand_on_zero_and_are_as_high_as_their_values():
    svg = bars(Days(dates=DAYS, known=dict.fromkeys(DAYS, 1.0)),
               {"a": {DAYS[0]: 5.0, DAYS[1]: 10.0}}, **PLAIN)  # fmt: skip
    low, high = heights(svg, "s0")
    assert high == pytest.approx(2 * low, abs=0.02)
    assert high == pytest.approx(plots.HEIGHT - plots.FOOT - 8, abs=0.02)
    assert 'class="axis"' in svg


def test_days_without_a_log_are_hatched_as_far_as_it_lacks():
    svg = bars(Days(dates=DAYS, known={DAYS[0]: 0.25, DAYS[1]: 1.0}), {"a": {}}, **PLAIN)
    assert re.findall(r'class="gap"[^>]*opacity="([\d.]+)"', svg) == ["0.75"]


def test_known_share_of_a_day_counts_only_what_lies_in_the_period():
    begin = 1_795_651_200.0  # 2026-11-26
    up = [[begin + 43_200, begin + 64_800], [begin + 86_400, begin + 90_000]]
    found = known_of(DAYS, up, begin + 43_200, begin + 90_000)
    assert found == {DAYS[0]: 0.5, DAYS[1]: 1.0}


def test_limit_is_a_line_where_it_fits_and_a_word_where_it_does_not():
    days = Days(dates=DAYS, known=dict.fromkeys(DAYS, 1.0))
    series = {"a": {DAYS[0]: 5.0}}
    near = bars(days, series, **PLAIN, limit=Limit(name="limit", values={DAYS[0]: 9.0}))
    far = bars(days, series, **PLAIN, limit=Limit(name="limit", values={DAYS[0]: 900.0}))
    assert 'class="limit"' in near
    assert 'class="limit"' not in far
    assert "limit 900.0: above this scale" in far


def test_series_beyond_the_colours_are_drawn_together():
    series = {f"n{n}": {DAYS[0]: 1.0} for n in range(12)}
    svg = bars(Days(dates=DAYS, known=dict.fromkeys(DAYS, 1.0)), series, **PLAIN)
    assert svg.count("<li>") == plots.COLOURS
    assert "others: 6.0" in svg


@given(st.just(0.0) | st.floats(1e-12, 1e15))
def test_axis_begins_at_zero_reaches_the_largest_and_has_few_even_steps(most):
    ticks = ticks_of(most)
    assert ticks[0] == 0
    assert ticks[-1] >= most * (1 - 1e-6)
    assert 2 <= len(ticks) <= 6
    steps = {round((b - a) / ticks[1], 6) for a, b in itertools.pairwise(ticks)}
    assert steps == {1.0}


# --- metrics


def test_metrics_are_openmetrics_with_every_figure():
    families = list(text_string_to_metric_families(render_metrics(full())))
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }
    assert {family.type for family in families} == {"gauge"}
    assert found["jobping_requests", SITE, "ok"] == 8
    assert found["jobping_request_success_ratio", SITE] == pytest.approx(8 / 9)
    assert found["jobping_spend_dollars", SITE] == 5.0
    assert found["jobping_breaker_trips", SITE] == 1
    assert found["jobping_new_postings", SITE] == 3
    assert found["jobping_digests", "sent"] == 1
    assert found["jobping_alert_firing", SITE, SITE] == 1
    assert found["jobping_period_begin_seconds",] == NOON
    assert found["jobping_budget_limit_dollars", "month"] == 300.0


@pytest.mark.parametrize("report", [full(EVIL + "\\\n"), report_of()], ids=["evil", "empty"])
def test_metrics_stay_openmetrics_whatever_a_name_holds(report):
    text = render_metrics(report)
    assert text.endswith("# EOF\n")
    list(text_string_to_metric_families(text))
