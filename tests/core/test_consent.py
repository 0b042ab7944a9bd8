import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.consent import LIFE, Purpose, make_token, read_token
from jobping.core.ids import SubscriberId
from jobping.core.profile import LONGEST_NAME

KEY, OTHER_KEY = bytes(32), bytes(31) + b"\1"
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
ANA = SubscriberId(7)
MOST_LOCAL = 64  # RFC 5321 4.5.3.1.1
TOKEN = make_token(KEY, ANA, Purpose.CONFIRM, NOON)


@given(st.integers(0, 2**63 - 1), st.sampled_from(Purpose))
def test_token_is_read_as_what_it_was_made_for(id: int, purpose: Purpose) -> None:
    token = make_token(KEY, SubscriberId(id), purpose, NOON)
    for spelled in (token, token.upper()):
        assert read_token(KEY, spelled, purpose, NOON) == id
    other = next(one for one in Purpose if one is not purpose)
    assert read_token(KEY, token, other, NOON) is None
    assert read_token(OTHER_KEY, token, purpose, NOON) is None


@pytest.mark.parametrize("purpose", Purpose)
def test_token_ends_with_its_life(purpose: Purpose) -> None:
    token = make_token(KEY, ANA, purpose, NOON)
    assert read_token(KEY, token, purpose, NOON + LIFE[purpose] - SECOND) == ANA
    assert read_token(KEY, token, purpose, NOON + LIFE[purpose]) is None


def test_token_is_the_same_for_the_same_moment() -> None:
    assert make_token(KEY, ANA, Purpose.CONFIRM, NOON) == TOKEN
    assert make_token(KEY, ANA, Purpose.CONFIRM, NOON + SECOND) != TOKEN


def test_token_is_a_word_for_mail_addresses_and_no_name_of_a_profile() -> None:
    assert TOKEN.isalnum()
    assert TOKEN.lower() == TOKEN
    assert LONGEST_NAME < len(TOKEN) <= MOST_LOCAL - len("unsubscribe+")


def test_token_changed_anywhere_is_refused() -> None:
    for at in range(len(TOKEN)):
        changed = TOKEN[:at] + ("b" if TOKEN[at] == "a" else "a") + TOKEN[at + 1 :]
        assert read_token(KEY, changed, Purpose.CONFIRM, NOON) is None


@pytest.mark.parametrize(
    "text", ["", "ana", "a" * 48, TOKEN[:-1], TOKEN[:-8], TOKEN + "aaaaaaaa", TOKEN + "=", "ä" * 48]
)
def test_text_that_is_no_token_is_refused(text: str) -> None:
    assert read_token(KEY, text, Purpose.CONFIRM, NOON) is None
