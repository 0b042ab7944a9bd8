import json

import attrs
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.summary import GOOD, POSTING_KEYS, Summary, Traffic

Event = tuple[str, dict[str, object]]

OUTCOMES = st.sampled_from([*GOOD, "failed", "drift", "limited", "interrupted"])
POLLS = st.builds(
    lambda source, board, outcome, counts: poll(source, board, outcome, **counts),
    st.sampled_from(["lever", "ashby"]),
    st.sampled_from(["one", "two"]),
    OUTCOMES,
    st.fixed_dictionaries({key: st.integers(0, 500) for key in POSTING_KEYS}),
)
REJECTIONS = st.builds(
    lambda reasons: ("postings.rejected", {"reasons": reasons}),
    st.dictionaries(st.sampled_from(["no title", "no url"]), st.integers(1, 9)),
)
EXITS = st.builds(
    lambda kind: ("child.exited", {"kind": kind}),
    st.sampled_from(["normal", "shutdown", "abnormal", "killed"]),
)
OTHERS = st.sampled_from([("digest.sent", {}), ("stats.taken", {"new": 9}), ("digest.failed", {})])
EVENTS = st.lists(st.one_of(POLLS, REJECTIONS, EXITS, OTHERS), max_size=30)


def poll(source: str, board: str, outcome: str, why: str | None = None, **counts: int) -> Event:
    fields = {"source": source, "board": board, "outcome": outcome, "why": why}
    return "scraper.polled", fields | dict.fromkeys(POSTING_KEYS, 0) | counts


def fold(events: list[Event]) -> Summary:
    summary = Summary()
    for name, fields in events:
        summary.note(name, fields)
    return summary


# --- laws


@given(EVENTS)
def test_every_posting_of_every_poll_is_counted_once(events: list[Event]) -> None:
    polls = [fields for name, fields in events if name == "scraper.polled"]
    summed = {key: sum(fields[key] for fields in polls) for key in POSTING_KEYS}
    summary = fold(events)
    assert summary.postings() == summed
    sources = summary.by_source.values()
    assert {key: sum(counts[key] for counts in sources) for key in POSTING_KEYS} == summed


@given(st.lists(POLLS, max_size=9), st.lists(st.one_of(REJECTIONS, EXITS, OTHERS)), st.randoms())
def test_order_between_polls_and_other_events_does_not_matter(
    polls: list[Event], others: list[Event], rng: object
) -> None:
    places = sorted(rng.randrange(len(polls) + 1) for _ in others)
    mixed = list(polls)
    for place, event in reversed(list(zip(places, others, strict=True))):
        mixed.insert(place, event)
    assert fold(mixed) == fold(polls + others)


@given(EVENTS)
def test_only_the_last_end_of_a_board_says_how_it_stands(events: list[Event]) -> None:
    last = {
        f"{fields['source']}/{fields['board']}": fields["outcome"] in GOOD
        for name, fields in events
        if name == "scraper.polled" and fields["outcome"] != "interrupted"
    }
    summary = fold(events)
    assert summary.boards == last
    assert summary.failed == sum(not good for good in last.values())
    assert set(summary.faults) == {name for name, good in last.items() if not good}


@given(EVENTS)
def test_crashes_and_digests_are_counted_one_by_one(events: list[Event]) -> None:
    kinds = [fields["kind"] for name, fields in events if name == "child.exited"]
    summary = fold(events)
    assert summary.crashes == kinds.count("abnormal") + kinds.count("killed")
    assert summary.digests == sum(name == "digest.sent" for name, _ in events)


@given(EVENTS)
def test_record_says_the_same_and_can_be_written_as_json(events: list[Event]) -> None:
    summary = fold(events)
    record = summary.as_record(Traffic(requests=3, connections=2, statements=9), 1.23456)
    assert json.loads(json.dumps(record)) == record
    boards = record["boards"]
    assert isinstance(boards, dict)
    assert boards["polled"] + boards["failed"] == len(summary.boards)
    assert record["postings"] == summary.postings()
    assert (record["http"], record["duration_s"]) == ({"requests": 3, "connections": 2}, 1.235)


# --- single events


def test_board_that_is_well_again_has_no_fault() -> None:
    summary = fold([poll("lever", "one", "failed", "nobody answers")])
    assert summary.faults == {"lever/one": "nobody answers"}
    summary.note(*poll("lever", "one", "complete"))
    assert (summary.faults, summary.boards) == ({}, {"lever/one": True})


def test_poll_that_was_cut_off_changes_nothing_but_the_counts() -> None:
    summary = fold([poll("lever", "one", "complete", new=1)])
    summary.note(*poll("lever", "one", "interrupted", "cut off", new=2))
    summary.note(*poll("lever", "two", "interrupted", "cut off"))
    assert (summary.boards, summary.faults) == ({"lever/one": True}, {})
    assert summary.postings()["new"] == 3


def test_end_of_the_cycle_names_what_waits_and_what_failed_without_a_poll() -> None:
    summary = fold([poll("lever", "one", "complete"), poll("lever", "two", "failed", "500")])
    failed = {"lever/one": "5xx", "lever/two": "5xx", "ashby/three": "backfill"}
    summary.note("cycle.completed", {"waiting": ["ashby/four"], "failed": failed})
    assert summary.waiting == ("ashby/four",)
    assert summary.boards == {"lever/one": True, "lever/two": False, "ashby/three": False}
    assert summary.faults == {"lever/two": "500", "ashby/three": "backfill"}


def test_reasons_of_rejection_add_up() -> None:
    summary = fold([("postings.rejected", {"reasons": {"no title": 2, "no url": 1}})] * 2)
    assert summary.reasons == {"no title": 4, "no url": 2}


def test_empty_run_has_an_empty_summary() -> None:
    assert attrs.asdict(fold([])) == attrs.asdict(Summary())
    assert fold([]).postings() == dict.fromkeys(POSTING_KEYS, 0)
