import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.errors import MalformedPage
from jobping.fetch.body import MAX_MEMBERS, STEP_BYTES, Body, body_for

MIB = 1024 * 1024


def decode(wire: bytes, *, coding: str = "gzip", ceiling: int = MIB, chunk: int = 1000) -> bytes:
    body = body_for([coding], ceiling=ceiling, ratio=100)
    for start in range(0, len(wire), chunk):
        for _turn in body.feed(wire[start : start + chunk]):
            pass
    return body.finish()


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=5), st.integers(1, 5000))
def test_body_reads_every_concatenation_of_members_in_full(parts: list[bytes], chunk: int) -> None:
    wire = b"".join(gzip.compress(part) for part in parts)
    assert decode(wire, chunk=chunk) == b"".join(parts)


@given(st.binary(max_size=300), st.data())
def test_body_refuses_every_prefix_of_a_gzip_answer(content: bytes, data: st.DataObject) -> None:
    wire = gzip.compress(content)
    length = data.draw(st.integers(0, len(wire) - 1))
    with pytest.raises(MalformedPage, match="gzip_cut"):
        decode(wire[:length])


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=30))
def test_body_refuses_what_follows_a_member_and_is_none(content: bytes, surplus: bytes) -> None:
    with pytest.raises(MalformedPage, match="gzip"):
        decode(gzip.compress(content) + b"\x00" + surplus)


@given(st.binary(max_size=2000))
def test_body_takes_or_refuses_any_bytes_without_another_exception(wire: bytes) -> None:
    with contextlib.suppress(MalformedPage):
        decode(wire)


@pytest.mark.parametrize("fields", [[], ["identity"], [""], [" , "], ["Identity"]])
def test_body_for_reads_identity_as_it_is(fields: list[str]) -> None:
    body = body_for(fields, ceiling=10, ratio=100)
    assert [*body.feed(b"abc"), body.finish()] == [b"abc"]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", " gzip "])
def test_body_for_reads_gzip_by_both_its_names(coding: str) -> None:
    assert decode(gzip.compress(b"abc"), coding=coding) == b"abc"


@pytest.mark.parametrize(
    "fields",
    [
        ["gzip, gzip"],
        ["gzip", "gzip"],
        ["br"],
        ["zstd"],
        ["deflate"],
        ["identity, gzip"],
        ["x" * 5000],
        ["gzip"] * 50,
    ],
)
def test_body_for_refuses_other_and_stacked_codings(fields: list[str]) -> None:
    with pytest.raises(MalformedPage, match="content_encoding"):
        body_for(fields, ceiling=10, ratio=100)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_body_takes_exactly_its_ceiling(coding: str) -> None:
    content = bytes(range(256)) * 40
    wire = gzip.compress(content) if coding == "gzip" else content
    assert decode(wire, coding=coding, ceiling=len(content)) == content
    with pytest.raises(MalformedPage, match="decoded_bytes"):
        decode(wire, coding=coding, ceiling=len(content) - 1)


def test_body_stops_a_bomb_within_one_step_above_its_ceiling() -> None:
    wire = gzip.compress(bytes(50 * MIB))
    body = body_for(["gzip"], ceiling=MIB, ratio=10**9)
    with pytest.raises(MalformedPage, match="decoded_bytes"):
        feed_all(body, wire)
    assert body.decoded <= MIB + STEP_BYTES


def test_body_stops_a_bomb_at_its_ratio() -> None:
    body = body_for(["gzip"], ceiling=100 * MIB, ratio=100)
    with pytest.raises(MalformedPage, match="ratio"):
        feed_all(body, gzip.compress(bytes(50 * MIB))[:10_000])
    assert body.decoded <= 10_000 * 100 + STEP_BYTES


def test_body_does_not_ask_for_the_ratio_of_a_small_page() -> None:
    content = bytes(STEP_BYTES)
    assert decode(gzip.compress(content)) == content


def test_body_lets_others_run_about_once_a_mebibyte() -> None:
    content = bytes(5 * MIB)
    body = body_for(["gzip"], ceiling=10 * MIB, ratio=10**9)
    assert len(list(body.feed(gzip.compress(content)))) in range(4, 8)
    assert body.finish() == content


def test_body_refuses_a_flood_of_empty_members() -> None:
    with pytest.raises(MalformedPage, match="gzip_members"):
        decode(gzip.compress(b"") * (MAX_MEMBERS + 1), chunk=65_536)


def feed_all(body: Body, wire: bytes) -> None:
    for _turn in body.feed(wire):
        pass
