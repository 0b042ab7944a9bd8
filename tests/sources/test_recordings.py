"""Recorded answers of real boards; skipped where the shared folder is absent."""

import html
import random
import re

import attrs
import msgspec
import pytest

from jobping.core.board import Coverage, Route
from jobping.core.fingerprint import content_hash
from jobping.core.posting import Remote
from jobping.core.text import repair_mojibake
from jobping.core.walk import Complete, Partial, drift_of, finish, on_page, start
from jobping.errors import MalformedPage

REAL = ("recorded", "recorded-trimmed", "rebuilt")
DATELESS = ("bamboohr", "reed")
"""Sources whose lists have no dates."""
OTHER_ROUTES = ("greenhouse/netlify_departments.json",)
OLD_SHAPES = ("workday/legacy_widget_page1.json", "workday/legacy_widget_page2.json")
SHELL = "1057180"
"""An item of Remote OK whose title, company, place and text are empty: it goes by its slug."""
REPEATED = {
    "personio/positions_2026.xml": 1,
    "workable/zaelab_widget.json": 1,
    "adzuna/gb_rebuilt.json": 71,
    "adzuna/de_rebuilt.json": 30,
    "adzuna/es_rebuilt.json": 23,
    "reed/london_rebuilt.json": 132,
}
REMOTEOK = "remoteok/api_2024-12-04_first.json"
NOISE = re.compile(r"[\s\-\u00ad\u200b-\u200f\u2060-\u2069\ufeff\x00-\x1f\x7f-\x9f]+")


def is_bulk(answer):
    other = (*OTHER_ROUTES, *OLD_SHAPES)
    return answer.kind in REAL and answer.page.status == 200 and answer.file not in other


@pytest.fixture(scope="module")
def readings(recordings, read):
    """Every answer of a reliable route, read once."""
    return {file: (answer, read(answer)) for file, answer in recordings.items() if is_bulk(answer)}


def test_every_recording_gives_the_count_of_its_index(readings):
    for answer, found in readings.values():
        assert found.parsed.rejected == (), answer.file
        assert found.refused == ()
        assert found.parsed.items == answer.count, answer.file
        assert found.parsed.repeated == REPEATED.get(answer.file, 0), answer.file
        assert len(found.drafts) + found.parsed.repeated == answer.count
        assert [draft.external_id for draft in found.drafts] == [
            raw.external_id for raw in found.raws
        ]


def test_remoteok_job_without_a_position_goes_by_the_name_in_its_url(readings):
    found = readings[REMOTEOK][1]
    shell = next(draft for draft in found.drafts if draft.external_id == SHELL)
    assert shell.title == "remote-1057180"


def test_recordings_hold_the_distinct_postings_that_are_known(readings):
    counts = {}
    for answer, found in readings.values():
        ids = counts.setdefault(answer.source.name, set())
        ids.update(draft.external_id for draft in found.drafts)
    assert {name: len(ids) for name, ids in counts.items()} == {
        "ashby": 764,
        "remoteok": 64,
        "jobicy": 41,
        "smartrecruiters": 78,
        "lever": 18,
        "recruitee": 8,
        "greenhouse": 2,
        "personio": 1,
        "remotive": 2,
        "arbeitnow": 2,
        "workable": 1,
        "bamboohr": 2,
        "breezy": 2,
        "workday": 2,
        "teamtailor": 2,
        "himalayas": 2,
        "weworkremotely": 2,
        "hackernews": 3,
        "adzuna": 611,
        "reed": 546,
    }


def test_recorded_postings_are_clean(readings):
    drafts = [draft for _, found in readings.values() for draft in found.drafts]
    for draft in drafts:
        assert draft.title == " ".join(draft.title.split()) != ""
        assert draft.company
        assert draft.company.lower() != "company not specified"
        assert draft.company == " ".join(draft.company.split())
        assert re.match(r"https?://[^\s]+$", draft.url)
        assert len(draft.source_digest) == 16
        assert "Please mention the word" not in draft.description
        assert "MTI3LjAuMC4x" not in draft.description
        assert not re.search(r"</?(?:p|li|div|br|span)\b", draft.description)
        assert all(place.raw for place in draft.locations)
        assert (draft.posted_at is None) == (draft.source in DATELESS)
        assert draft.posted_at is None or draft.posted_at.utcoffset().total_seconds() == 0
    assert sum(not draft.description for draft in drafts) == 78 + 4 + 5 + 4


def test_recorded_texts_lose_no_character_of_their_html(recordings, read):
    def squeeze(text):
        return NOISE.sub("", text)

    checked = 0
    for file in ("ashby/notion.json", "ashby/alan.json", "ashby/hyperliquid%20labs.json"):
        jobs = {job["id"]: job["descriptionHtml"] for job in recordings[file].json()["jobs"]}
        for draft in read(recordings[file]).drafts:
            bare = html.unescape(re.sub(r"<[^>]*>", "", jobs[draft.external_id]))
            assert squeeze(draft.description) == squeeze(bare)
            checked += 1
    assert checked == 183


def test_recorded_lists_stay_lists(recordings, read):
    drafts = read(recordings["ashby/notion.json"]).drafts
    jobs = recordings["ashby/notion.json"].json()["jobs"]
    listed = [job["descriptionHtml"].count("<li") for job in jobs]
    shown = [draft.description.count("\n- ") for draft in drafts]
    assert sum(shown) >= 0.98 * sum(listed) > 1000


def test_remote_ok_texts_are_repaired_where_they_were_broken_and_only_there(recordings):
    jobs = recordings[REMOTEOK].json()[1:]
    repaired = [job for job in jobs if repair_mojibake(job["description"]) != job["description"]]
    assert (len(repaired), len(jobs)) == (50, 64)
    assert all("â\x80" not in repair_mojibake(job["description"]) for job in jobs)


def test_remote_ok_postings_are_equal_when_word_and_address_differ(recordings, read):
    answer = recordings[REMOTEOK]
    body = re.sub(rb"the word \*\*[A-Z]+\*\*", b"the word **OTHERWISE**", answer.page.body)
    body = body.replace(b"RMTI3LjAuMC4x", b"RMjAzLjAuMTEzLjc=")
    other = attrs.evolve(answer, page=attrs.evolve(answer.page, body=body))
    first, second = read(answer), read(other)
    assert body != answer.page.body
    assert first.drafts == second.drafts
    assert len({content_hash(draft) for draft in first.drafts}) == 64


def test_jobicy_postings_are_equal_when_only_volatile_keys_differ(recordings, read):
    answer = recordings["jobicy/2024-12-08_0_20.json"]
    body = answer.page.body.replace(b'"redacted"', b'"another"')
    body = re.sub(rb'("lastUpdate":\s*)"[^"]*"', rb'\1"2024-12-09 01:02:03"', body)
    other = attrs.evolve(answer, page=attrs.evolve(answer.page, body=body))
    assert body != answer.page.body
    assert read(answer).drafts == read(other).drafts


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (
            "greenhouse/netlify_departments.json",
            "greenhouse: expected an object with `jobs`, found an object with 'departments'",
        ),
        ("remoteok/normalised_mojibake_2025-08-12.json", "remoteok: expected an array"),
        ("ashby/502.html", "ashby: content type 'text/html' instead of json"),
        (OLD_SHAPES[0], "workday: this is the widget tree of 2021"),
        (OLD_SHAPES[1], "workday: this is the widget tree of 2021"),
        ("arbeitsagentur/v4_search_documented.json", "arbeitsagentur: the old shape v4"),
    ],
)  # fmt: skip
def test_recorded_answer_of_another_shape_is_malformed_and_says_why(recordings, file, reason):
    answer = recordings[file]
    with pytest.raises(MalformedPage) as caught:
        list(answer.source.parse(answer.page, answer.board))
    assert caught.value.why.startswith(reason)


def test_recorded_404_is_the_end_of_the_board_and_is_never_read_as_empty(recordings):
    gone = [answer for answer in recordings.values() if answer.page.status == 404]
    assert len(gone) == 6
    for answer in gone:
        assert answer.source.is_gone(answer.page), answer.file
        with pytest.raises(MalformedPage):
            list(answer.source.parse(answer.page, answer.board))


def test_recorded_and_typed_empty_boards_are_complete_walks_without_postings(recordings, read):
    empty = [answer for answer in recordings.values() if "empty" in answer.file]
    assert len(empty) == 9
    for answer in [*empty, recordings["ashby/anara.json"]]:
        parsed = read(answer).parsed
        assert (parsed.items, parsed.seen) == (0, ())
        requests = answer.source.requests(answer.board, Route.RELIABLE)
        assert finish(on_page(start(requests), parsed)) == Complete()


def test_recorded_pages_of_smartrecruiters_are_one_complete_walk(recordings, read):
    first = read(recordings["smartrecruiters/shopify_offset0.json"]).parsed
    second = read(recordings["smartrecruiters/shopify_offset50.json"]).parsed
    answer = recordings["smartrecruiters/shopify_offset0.json"]
    walk = start(answer.source.requests(answer.board, Route.RELIABLE))
    walk = on_page(walk, first)
    assert walk.pending[0].url.endswith("offset=50&limit=50")
    walk = on_page(walk, second)
    assert (walk.pages, len(walk.seen), finish(walk)) == (2, 78, Complete())


def test_recording_cut_by_its_collector_is_a_partial_walk(recordings, read):
    answer = recordings["greenhouse/board_content_2026.json"]
    walk = on_page(start(answer.source.requests(answer.board, Route.RELIABLE)), read(answer).parsed)
    assert finish(walk) == Partial(reason="2 of 37 postings")


def test_no_recording_looks_like_drift(readings):
    assert [file for file, (_, found) in readings.items() if drift_of(found.parsed)] == []


def test_recordings_parsed_twice_or_shuffled_give_the_same_postings(recordings, read):
    for file in ("ashby/docker.json", "lever/1password_first.json", REMOTEOK):
        answer = recordings[file]
        once = read(answer)
        assert read(answer) == once
        items = answer.json() if isinstance(answer.json(), list) else answer.json()["jobs"]
        random.Random(7).shuffle(items)
        body = items if isinstance(answer.json(), list) else {"jobs": items}
        page = attrs.evolve(answer.page, body=msgspec.json.encode(body))
        again = read(attrs.evolve(answer, page=page))
        assert sorted(map(content_hash, again.drafts)) == sorted(map(content_hash, once.drafts))


def test_ashby_keeps_remote_unknown_where_the_board_does_not_say(readings):
    told = {}
    drafts = {}
    for answer, found in readings.values():
        if answer.source.name == "ashby":
            told |= {job["id"]: job for job in answer.json()["jobs"]}
            drafts |= {draft.external_id: draft for draft in found.drafts}
    silent = [key for key, job in told.items() if job["isRemote"] is None]
    assert len(silent) == 172
    for key in silent:
        says = "remote" in told[key]["location"].lower()
        assert drafts[key].remote is (Remote.YES if says else Remote.UNKNOWN)
    with_more = [job for job in told.values() if job["secondaryLocations"]]
    assert len(with_more) == 97
    assert max(len(drafts[job["id"]].locations) for job in with_more) == 12


def test_coverage_of_the_recorded_sources_is_whole_only_for_company_boards(recordings):
    newest = {
        answer.source.name
        for answer in recordings.values()
        if answer.source.coverage is Coverage.NEWEST
    }
    assert newest == {
        "remoteok", "jobicy", "remotive", "arbeitnow", "himalayas", "hackernews",
        "weworkremotely", "teamtailor",
    }  # fmt: skip
