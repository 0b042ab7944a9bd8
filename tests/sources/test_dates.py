import datetime as dt

import pytest

from jobping.core.ids import ExternalId, SourceName
from jobping.core.posting import PostingDraft, Precision
from jobping.sources.dates import (
    When,
    day_first,
    end_of,
    epoch,
    first,
    iso,
    posted,
    relative,
    rfc2822,
)

NOON = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)
DRAFT = PostingDraft(
    source=SourceName("lever"),
    external_id=ExternalId("1"),
    title="T",
    company=None,
    url="https://a.example",
)


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("2026-09-01T12:00:00+00:00", Precision.EXACT),
        ("2026-09-01T08:00:00-04:00", Precision.EXACT),
        ("2026-09-01T12:00:00.000Z", Precision.EXACT),
        ("2026-09-01 12:00:00 UTC", Precision.EXACT),
        ("2026-09-01T12:00:00", Precision.DATE),
        ("2026-09-01 12:00:00", Precision.DATE),
    ],
)
def test_iso_reads_a_date_with_what_can_be_trusted_of_it(text, precision):
    assert iso(text) == When(at=NOON, raw=text, precision=precision)


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00:00+23:00", "1970-01-01", "32/1"])
def test_iso_keeps_only_the_raw_text_when_the_date_makes_no_sense(text):
    assert iso(text) == When(raw=text)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_iso_says_nothing_when_nothing_is_said(text):
    assert iso(text) == When()


def test_epoch_reads_the_unit_that_the_source_uses():
    assert epoch(1_788_264_000).at == NOON
    assert epoch(1_788_264_000_000, unit_s=0.001).at == NOON


@pytest.mark.parametrize("value", [10**30, -1, 1_788_264_000_000, 5, float("inf")])
def test_epoch_out_of_any_sense_keeps_only_the_raw_text(value):
    assert epoch(value) == When(raw=str(value))


@pytest.mark.parametrize("value", [None, 0])
def test_epoch_zero_means_that_nothing_is_said(value):
    assert epoch(value) == When()


def test_first_takes_the_first_date_that_can_be_read():
    assert first(iso("soon"), iso("2026-09-01"), iso("2026-08-01")) == iso("2026-09-01")
    assert first(iso(None), iso("soon")) == iso("soon")
    assert first(iso(None)) == When()


def test_posted_never_lies_after_the_fetch():
    later = When(at=NOON + dt.timedelta(hours=1), raw="later", precision=Precision.EXACT)
    assert posted(DRAFT, later, NOON).posted_at == NOON
    assert posted(DRAFT, When(raw="?"), NOON).posted_at is None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Posted Today", 1),
        ("Posted Yesterday", 31),
        ("posted 3 days ago", 29),
        ("1 day ago", 31),
        ("Posted 30+ Days Ago", None),
        ("Heute", None),
        ("", None),
        (None, None),
    ],
)
def test_relative_date_counts_whole_days_before_the_fetch(text, day):
    found = relative(text, NOON)
    assert (found.at.day if found.at else None, found.raw) == (day, text or "")
    assert found.precision is (Precision.RELATIVE if day else Precision.NONE)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Tue, 01 Sep 2026 12:00:00 +0000", NOON),
        ("Tue, 01 Sep 2026 14:00:00 +0200", NOON),
        ("Tue, 01 Sep 2026 12:00:00 GMT", NOON),
        ("01 Sep 2026 12:00:00", NOON),
        ("yesterday", None),
        ("Tue, 99 Sep 2026 12:00:00 +0000", None),
        ("", None),
    ],
)
def test_date_of_a_mail_is_read(text, at):
    assert (rfc2822(text).at, rfc2822(text).raw) == (at, text)


def test_british_date_is_a_day_that_counts_whole():
    found = day_first("01/09/2026")
    assert (found.at, found.precision) == (NOON.replace(hour=0), Precision.DATE)
    assert end_of(found) == NOON.replace(day=2, hour=0)
    assert end_of(iso("2026-09-01T12:00:00Z")) == NOON
    assert (day_first("31/02/2026").at, end_of(When())) == (None, None)
