from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.posting import Interval, Salary, SalaryOrigin
from jobping.core.salary import (
    currency_of,
    interval_of,
    read_salary,
    size_interval,
    stated_salary,
)


def amounts(text):
    salary = read_salary(text)
    return (salary.minimum, salary.maximum, salary.currency, salary.interval)


@pytest.mark.parametrize(
    ("text", "low", "high", "currency", "interval"),
    [
        ("$90k - $105k", "90000", "105000", None, Interval.UNKNOWN),
        ("CA$102.8K – CA$137K", "102800", "137000", "CAD", Interval.UNKNOWN),
        ("€50,000 - €60,000 per year", "50000", "60000", "EUR", Interval.YEAR),
        ("50.000 - 60.000 €", "50000", "60000", "EUR", Interval.UNKNOWN),
        ("60 000 € par an", "60000", "60000", "EUR", Interval.YEAR),
        ("CHF 100'000 – 120'000", "100000", "120000", "CHF", Interval.UNKNOWN),
        ("90 - 105k USD", "90000", "105000", "USD", Interval.UNKNOWN),
        ("€15.00 per hour", "15", "15", "EUR", Interval.HOUR),
        ("$0.05 – $0.06 / hour", "0.05", "0.06", None, Interval.HOUR),
        ("MYR\u00a03.5K – MYR\u00a06K per month", "3500", "6000", "MYR", Interval.MONTH),
        ("USD 1,234,567.89", "1234567.89", "1234567.89", "USD", Interval.UNKNOWN),
        ("$120K – $185K • Offers Equity • $36K Commission", "120000", "185000", None,
         Interval.UNKNOWN),
        ("65K-75K EUR annually", "65000", "75000", "EUR", Interval.YEAR),
    ],
)  # fmt: skip
def test_read_salary_reads_amounts_currency_and_interval(text, low, high, currency, interval):
    assert amounts(text) == (Decimal(low), Decimal(high), currency, interval)


def test_read_salary_leaves_one_end_open_when_the_text_does():
    assert amounts("Up to £45,000 p.a.") == (None, Decimal(45000), "GBP", Interval.YEAR)
    assert amounts("from 20 EUR per hour") == (Decimal(20), None, "EUR", Interval.HOUR)


@pytest.mark.parametrize("text", ["competitive", "$20000k - $40000k", "depending on experience"])
def test_read_salary_keeps_only_the_raw_text_when_there_is_no_sound_amount(text):
    assert read_salary(text) == Salary(raw=text)


@pytest.mark.parametrize("text", ["", "  ", None])
def test_read_salary_is_none_when_nothing_is_said(text):
    assert read_salary(text) is None


@pytest.mark.parametrize(
    ("low", "high"), [(None, None), (Decimal(0), Decimal(0)), (Decimal("NaN"), Decimal(-5))]
)
def test_stated_salary_is_none_when_no_amount_is_known(low, high):
    assert (
        stated_salary("", minimum=low, maximum=high, currency="EUR", interval=Interval.YEAR) is None
    )


def test_stated_salary_orders_the_ends_and_writes_the_raw_text_when_there_is_none():
    found = stated_salary(
        "",
        minimum=Decimal(75000),
        maximum=Decimal(60000),
        currency="eur",
        interval=Interval.YEAR,
        origin=SalaryOrigin.INFERRED,
    )
    assert found == Salary(
        raw="75000 - 60000 EUR year",
        minimum=Decimal(60000),
        maximum=Decimal(75000),
        currency="EUR",
        interval=Interval.YEAR,
        origin=SalaryOrigin.INFERRED,
    )


def test_stated_salary_keeps_only_the_raw_text_when_a_year_pays_millions():
    found = stated_salary(
        "", minimum=Decimal(20_000_000), maximum=None, currency="USD", interval=Interval.YEAR
    )
    assert found == Salary(raw="20000000 USD year")


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1 YEAR", Interval.YEAR),
        ("1 HOUR", Interval.HOUR),
        ("per-year-salary", Interval.YEAR),
        ("per-hour-wage", Interval.HOUR),
        ("monthly", Interval.MONTH),
        ("week", Interval.WEEK),
        ("one-time", Interval.UNKNOWN),
        ("NONE", Interval.UNKNOWN),
        ("", Interval.UNKNOWN),
        (None, Interval.UNKNOWN),
    ],
)
def test_interval_of_knows_the_words_of_the_sources(text, interval):
    assert interval_of(text) is interval


@pytest.mark.parametrize(
    ("text", "code"),
    [("$90k", None), ("US$90k", "USD"), ("90k EUR", "EUR"), ("£5", "GBP"), ("5 kr", None)],
)
def test_currency_of_names_none_when_a_sign_stands_for_several(text, code):
    assert currency_of(text) == code


@given(st.text(alphabet="0123456789.,'kKmM$€£ -–toUSDEURper hour/", max_size=80))
def test_read_salary_never_fails_and_never_orders_the_ends_wrongly(text):
    salary = read_salary(text)
    if salary and salary.minimum and salary.maximum:
        assert 0 < salary.minimum <= salary.maximum


@pytest.mark.parametrize(
    ("amount", "interval"),
    [
        (None, Interval.UNKNOWN), ("0", Interval.UNKNOWN), ("-5", Interval.UNKNOWN),
        ("NaN", Interval.UNKNOWN), ("Infinity", Interval.UNKNOWN), ("7.55", Interval.HOUR),
        ("99.99", Interval.HOUR), ("100", Interval.DAY), ("999", Interval.DAY),
        ("1000", Interval.UNKNOWN), ("4999", Interval.UNKNOWN), ("5000", Interval.YEAR),
    ],
)  # fmt: skip
def test_size_of_an_amount_says_its_interval_where_nothing_else_does(amount, interval):
    assert size_interval(None if amount is None else Decimal(amount)) is interval
