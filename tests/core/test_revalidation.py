import datetime as dt
import hashlib

import attrs
import pytest

from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.revalidation import (
    FULL_EVERY,
    LastAnswer,
    answer_of,
    conditional,
    is_fresh,
    is_same,
    request_key,
)

URL = "https://boards.example/jobs?all=1"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
BOARD = Board(source=SourceName("greenhouse"), slug="acme")
REQUEST = PageRequest(url=URL)
KEY = request_key(REQUEST, BOARD, 1)


def page(body: bytes = b"{}", status: int = 200, url: str = URL, **headers: str) -> Page:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Page(url=url, status=status, headers=fields, body=body, fetched_at=NOW)


def kept(of: Page) -> LastAnswer:
    return answer_of(of, KEY, seen=3, held=2, duplicate=1, rejected=0)


def test_answer_keeps_validators_hash_and_counts() -> None:
    answer = kept(page(b"[]", etag='W/"1"', last_modified="Sun, 01 Mar 2026 11:00:00 GMT"))
    assert answer == LastAnswer(
        request_key=KEY,
        origin="https://boards.example",
        body_hash=hashlib.sha256(b"[]").digest(),
        etag='W/"1"',
        last_modified="Sun, 01 Mar 2026 11:00:00 GMT",
        seen=3,
        held=2,
        duplicate=1,
        rejected=0,
        read_at=NOW,
    )


@pytest.mark.parametrize("tag", ["", '"\u00e9"', '"a\tb"', '"' + "x" * 600 + '"'])
def test_tag_that_cannot_be_sent_back_is_not_kept(tag: str) -> None:
    assert kept(page(etag=tag)).etag is None


def test_weak_tag_is_sent_back_as_it_came_and_before_the_date() -> None:
    answer = kept(page(etag='W/"1"', last_modified="Sun, 01 Mar 2026 11:00:00 GMT"))
    asked = conditional(REQUEST, answer)
    assert asked.headers == (("If-None-Match", 'W/"1"'),)
    assert asked.is_conditional
    dated = conditional(REQUEST, attrs.evolve(answer, etag=None))
    assert dated.headers == (("If-Modified-Since", "Sun, 01 Mar 2026 11:00:00 GMT"),)


def test_request_without_validators_or_to_another_place_stays_as_it_is() -> None:
    assert conditional(REQUEST, kept(page())) == REQUEST
    elsewhere = PageRequest(url="https://eu.boards.example/jobs?all=1")
    assert conditional(elsewhere, kept(page(etag='"1"'))) == elsewhere
    assert not REQUEST.is_conditional


def test_key_tells_request_board_and_parser_apart_but_not_the_place() -> None:
    others = [
        request_key(PageRequest(url=URL + "1"), BOARD, 1),
        request_key(PageRequest(url=URL, headers=(("X-Key", "1"),)), BOARD, 1),
        request_key(REQUEST, attrs.evolve(BOARD, slug="b"), 1),
        request_key(REQUEST, attrs.evolve(BOARD, company="Acme"), 1),
        request_key(REQUEST, BOARD, 2),
    ]
    assert len({KEY, *others}) == 6
    moved = PageRequest(url="http://127.0.0.1:8080/jobs?all=1")
    assert request_key(moved, BOARD, 1) == KEY


def test_answer_stands_for_a_day_and_for_its_own_request_only() -> None:
    answer = kept(page())
    assert is_fresh(answer, KEY, NOW)
    assert is_fresh(answer, KEY, NOW + FULL_EVERY - dt.timedelta(seconds=1))
    assert not is_fresh(answer, KEY, NOW + FULL_EVERY)
    assert not is_fresh(answer, KEY, NOW - dt.timedelta(seconds=1))
    assert not is_fresh(answer, b"x" * 16, NOW)


def test_same_is_a_304_or_the_same_body_with_200() -> None:
    answer = kept(page(b"[1]"))
    assert is_same(page(b"", status=304), answer)
    assert is_same(page(b"[1]"), answer)
    assert not is_same(page(b"[1]", status=404), answer)
    assert not is_same(page(b"[2]"), answer)


def test_304_may_name_a_newer_tag_and_the_same_body_names_all_anew() -> None:
    answer = kept(page(b"[1]", etag='"1"', last_modified="then"))
    silent, renamed = page(b"", status=304), page(b"", status=304, etag='"2"')
    assert answer.refreshed(silent) == answer
    assert answer.refreshed(renamed) == attrs.evolve(answer, etag='"2"')
    bare = answer.refreshed(page(b"[1]"))
    assert (bare.etag, bare.last_modified) == (None, None)


def test_request_by_post_is_never_conditional() -> None:
    answer = kept(page(b"[1]", etag='"1"'))
    asked = attrs.evolve(REQUEST, method="POST", body=b"{}")
    assert conditional(asked, answer) == asked
