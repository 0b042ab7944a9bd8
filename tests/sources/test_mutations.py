"""Damaged answers: a source gives a result or MalformedPage, and never a posting that is none."""

import json
import random

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.page import PageRequest
from jobping.core.posting import PostingDraft
from jobping.errors import MalformedPage
from jobping.sources import SOURCES
from jobping.sources.source import Parsed, RawItem, Rejected
from tests.sources.conftest import MARKUP

NAMES = [source.name for source in SOURCES]
ODD = (
    None, True, False, 0, -1, 1e300, 10**40, "", " ", "\x00", "a\ud7ff", "x" * 2000, [], {}, [None],
    {"a": {}}, [[1]], "NaN", "<p>" * 50,
)  # fmt: skip


def check(answer, body: bytes) -> None:
    page = attrs.evolve(answer.page, body=body)
    check_items(answer, page, lambda: answer.source.parse(page, answer.board))


def check_items(answer, page, parse) -> None:
    try:
        found = list(parse())
    except MalformedPage:
        return
    parsed = found.pop()
    assert isinstance(parsed, Parsed)
    assert parsed.items == len(found) + parsed.repeated + len(parsed.rejected)
    assert len(set(parsed.seen)) == len(parsed.seen)
    for item in found:
        assert isinstance(item, RawItem)
        draft = answer.source.convert(item, page, answer.board)
        if isinstance(draft, Rejected):
            continue
        assert isinstance(draft, PostingDraft)
        assert draft.external_id
        assert draft.title.strip()
        assert draft.url.startswith(("http://", "https://"))
        assert "\x00" not in repr(attrs.astuple(draft))


ROUTES = {
    "greenhouse list": ("greenhouse", "greenhouse_departments_synthetic.json", None),
    "greenhouse single": ("greenhouse", "greenhouse_job_synthetic.json", "4100001"),
    "lever list": ("lever", "lever_synthetic.json", None),
    "smartrecruiters list": ("smartrecruiters", "smartrecruiters_synthetic.json", None),
    "smartrecruiters single": (
        "smartrecruiters", "smartrecruiters_posting_synthetic.json", "7439990001",
    ),
    "personio list": ("personio", "personio_search_synthetic.json", None),
    "personio single": ("personio", "jobposting_synthetic.html", "example/500001"),
    "recruitee single": ("recruitee", "jobposting_synthetic.html", "example/900001"),
    "ashby single": ("ashby", "jobposting_synthetic.html", "a1"),
    "workable list": ("workable", "workable_list_synthetic.json", None),
    "workable single": ("workable", "workable_job_synthetic.json", "A1B2C3D4E5"),
    "workday single": (
        "workday", "workday_job_synthetic.json", "example:wd1:Careers/JR100001",
    ),
    "arbeitsagentur single": (
        "arbeitsagentur", "arbeitsagentur_job_synthetic.json", "10000-0000000001-S",
    ),
    "reed single": ("reed", "reed_job_synthetic.json", "55000001"),
    "bamboohr single": ("bamboohr", "bamboohr_job_synthetic.json", "example/86"),
    "site single": ("site", "microdata_synthetic.html", "careers.example.com/jobs/1"),
    "breezy single": ("breezy", "jobposting_synthetic.html", "example/98323abf2201"),
}  # fmt: skip
"""Every answer of the individual routes: source, synthetic page, the posting that was asked for."""


def check_individual(synthetic, page_at, route: str, change) -> None:
    name, file, posting = ROUTES[route]
    answer, page = synthetic(name), page_at("https://a.example/1?limit=3&skip=0", file)
    page = attrs.evolve(page, body=change(page.body))
    request = PageRequest(url=page.url, posting=posting)
    check_items(answer, page, lambda: answer.source.parse_individual(page, answer.board, request))


def mutated(value: object, rng: random.Random) -> object:
    """Return JSON with a few places replaced, dropped or doubled."""
    if rng.random() < 0.03:
        return rng.choice(ODD)
    if isinstance(value, dict):
        kept = {key: mutated(part, rng) for key, part in value.items() if rng.random() > 0.02}
        return {**kept, **({"extra": 1} if rng.random() < 0.05 else {})}
    if isinstance(value, list):
        parts = [mutated(part, rng) for part in value]
        return parts * 2 if rng.random() < 0.05 else parts
    return value


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_source_survives_cut_and_changed_bytes(synthetic, name, data):
    answer = synthetic(name)
    body = bytearray(answer.page.body)
    cut = data.draw(st.integers(0, len(body)) | st.just(len(body)))
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=8)
    ):
        body[place] = byte
    check(answer, bytes(body[:cut]))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(body=st.binary(max_size=200))
def test_source_survives_any_bytes(synthetic, name, body):
    check(synthetic(name), body)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MARKUP])
def test_source_survives_odd_values_in_any_place(synthetic, name):
    answer = synthetic(name)
    shape = json.loads(answer.page.body)
    for seed in range(150):
        check(answer, msgspec.json.encode(mutated(shape, random.Random(seed))))


@pytest.mark.parametrize("route", ROUTES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_individual_route_survives_cut_and_changed_bytes(synthetic, page_at, route, data):
    def change(body: bytes) -> bytes:
        damaged = bytearray(body)
        for place, byte in data.draw(
            st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=8)
        ):
            damaged[place] = byte
        return bytes(damaged[: data.draw(st.integers(0, len(body)) | st.just(len(body)))])

    check_individual(synthetic, page_at, route, change)


@pytest.mark.parametrize("route", [route for route in ROUTES if "html" not in ROUTES[route][1]])
def test_individual_route_survives_odd_values_in_any_place(synthetic, page_at, route):
    for seed in range(100):
        rng = random.Random(seed)
        check_individual(
            synthetic,
            page_at,
            route,
            lambda body, rng=rng: msgspec.json.encode(mutated(json.loads(body), rng)),
        )


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if ROUTES[route][1] == "jobposting_synthetic.html"]
)
def test_posting_page_survives_odd_values_in_any_place(synthetic, page_at, route):
    def change(body: bytes, rng: random.Random) -> bytes:
        text = body.decode().split("//<![CDATA[")[1].split("//]]>")[0].replace(",}]}", "}]}")
        data = msgspec.json.encode(mutated(json.loads(text), rng))
        return b'<script type="application/ld+json">' + data + b"</script>"

    for seed in range(150):
        rng = random.Random(seed)
        check_individual(synthetic, page_at, route, lambda body, rng=rng: change(body, rng))


def damaged(answer, rng: random.Random) -> bytes:
    """Return a recorded answer with some bytes changed, cut, or other values in its places."""
    body = bytearray(answer.page.body)
    way = rng.randrange(3)
    if way == 0 and body[:1] in b"[{" and "json" in answer.page.media_type:
        return msgspec.json.encode(mutated(json.loads(bytes(body)), rng))
    for _ in range(5):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return bytes(body[: rng.randrange(len(body))] if way == 1 else body)


def survive(recordings, *, times: int, most: int) -> int:
    """Damage every recording of at most so many bytes so many times; return how many they are."""
    chosen = [
        answer
        for answer in recordings.values()
        if answer.page.status == 200 and 0 < len(answer.page.body) <= most
    ]
    for answer in chosen:
        rng = random.Random(answer.file)
        for _ in range(times):
            check(answer, damaged(answer, rng))
    return len(chosen)


def test_sources_survive_damaged_recordings(recordings):
    assert survive(recordings, times=50, most=30_000) > 20
    assert survive(recordings, times=5, most=500_000) > 35


@pytest.mark.slow
def test_sources_survive_a_thousand_damaged_copies_of_each_recording(recordings):
    assert survive(recordings, times=1_000, most=100_000) > 25
    assert survive(recordings, times=20, most=4_000_000) > 40
