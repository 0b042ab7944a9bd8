import datetime as dt

import pytest

from jobping.core.outcome import (
    Aside,
    Failed,
    Failure,
    Limited,
    Neutral,
    Ok,
    Outcome,
    outcome_of,
    weight,
)
from jobping.errors import Blocked, FetchError, MalformedPage, Throttled, Unavailable, Unreached

NOW = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
URL = "https://boards.example/jobs"


def classify(
    error: FetchError | MalformedPage | None, *, status: int | None = None, before: bool = True
) -> Outcome:
    return outcome_of(error, status=status, duration_s=0.5, utcnow=NOW, succeeded_before=before)


def throttled(status: int, *fields: str) -> Throttled:
    return Throttled(URL, status=status, retry_after=fields, date=None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable(URL, Unreached.DNS), Failed(Failure.DNS, 0.5)),
        (Unavailable(URL, Unreached.UNREACHABLE), Failed(Failure.UNREACHABLE, 0.5)),
        (Unavailable(URL, Unreached.CONNECT), Failed(Failure.CONNECT, 0.5)),
        (Unavailable(URL, Unreached.TLS), Failed(Failure.TLS, 0.5)),
        (Unavailable(URL, Unreached.TIMEOUT), Failed(Failure.TIMEOUT, 0.5)),
        (Unavailable(URL, Unreached.RESET), Failed(Failure.RESET, 0.5)),
        (Unavailable(URL, Unreached.SERVER, status=500), Failed(Failure.SERVER, 0.5)),
        (Unavailable(URL, Unreached.CLIENT, status=408), Failed(Failure.TIMEOUT, 0.5)),
        (Unavailable(URL, Unreached.CLIENT, status=400), Neutral(Aside.IGNORED)),
        (MalformedPage("no jobs"), Failed(Failure.PARSE, 0.5)),
        (FetchError(URL, "odd"), Failed(Failure.OTHER, 0.5)),
        (throttled(429, "7"), Limited(7.0)),
        (throttled(429), Limited(None)),
        (throttled(503, "60"), Failed(Failure.SERVER, 0.5, 60.0)),
        (throttled(503, "junk"), Failed(Failure.SERVER, 0.5)),
        (Blocked(URL, "403", status=403), Failed(Failure.BAN, 0.5)),
        (Blocked(URL, "private address"), Neutral(Aside.IGNORED)),
    ],
)
def test_each_error_has_its_outcome(error: FetchError | MalformedPage, expected: Outcome) -> None:
    assert classify(error) == expected


def test_a_403_is_no_ban_before_the_domain_ever_succeeded() -> None:
    refused = Blocked(URL, "403", status=403)
    assert classify(refused, before=False) == Failed(Failure.OTHER, 0.5)


def test_an_answer_is_ok_and_a_page_that_is_gone_says_nothing() -> None:
    assert classify(None, status=200) == Ok(0.5)
    assert classify(None, status=304) == Ok(0.5)
    assert classify(None, status=404) == Neutral(Aside.GONE)
    assert classify(None, status=410) == Neutral(Aside.GONE)


def test_bans_and_broken_certificates_weigh_five_and_broken_pages_two() -> None:
    heavy = {failure: weight(failure) for failure in Failure if weight(failure) != 1}
    assert heavy == {Failure.PARSE: 2, Failure.TLS: 5, Failure.BAN: 5}
