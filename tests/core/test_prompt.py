"""The question to a model, and what of its answers counts."""

import json
import time

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.injection import suspicion
from jobping.core.model import Role
from jobping.core.posting import Location
from jobping.core.printable import printable
from jobping.core.profile import Level, PayFloor, RemoteWish
from jobping.core.prompt import (
    ANSWER_LIMIT,
    MOST_LIFT,
    REASON_LIMIT,
    SCHEMA,
    TEXT_LIMIT,
    Candidate,
    build_prompt,
    content_digest,
    fallback,
    profile_digest,
    read_answer,
)
from jobping.core.ranking import shortlist
from tests.core.ranking_samples import NOW, posting, profile, stored_profile

TOKEN = b"0123456789abcdef"
PROFILE = stored_profile(words=("data analyst",), places=("Germany",))
POSTINGS = tuple(posting(id, title=f"Data Analyst {'I' * id}") for id in range(1, 5))


def candidates(postings=POSTINGS):
    local = {match.posting_id: match for match in shortlist(PROFILE, postings, NOW)}
    return [Candidate(posting=one, local=local[one.id]) for one in postings]


PROMPT = build_prompt(PROFILE.profile, candidates(), token=TOKEN)
IDS = tuple(id for id, _ in PROMPT.pairs)
LOCAL = dict(PROMPT.pairs)


def lines(prompt) -> list[str]:
    [user] = [message.text for message in prompt.messages if message.role is Role.USER]
    return user.splitlines()


def answered(*items, finish="stop"):
    text = json.dumps({"matches": list(items)})
    return read_answer(PROMPT, text, finish=finish, model="m")


def item(id, score=70, reason="Fits well.", **more):
    return {"id": id, "score": score, "reason": reason, **more}


def test_prompt_holds_each_posting_as_one_line_between_fences():
    first, *rest = lines(PROMPT)
    assert json.loads(first) == {"wants": ["data analyst"], "places": ["Germany"]}
    assert len({rest[0::3][0], *rest[0::3], *rest[2::3]}) == 1
    assert [json.loads(line)["id"] for line in rest[1::3]] == list(IDS)
    assert json.loads(rest[1]) == {
        "id": IDS[0],
        "title": "Data Analyst I",
        "company": "Kestrel GmbH",
        "places": "Berlin, Germany",
        "text": "You look after our figures.",
    }


def test_fence_and_ids_are_new_with_each_token():
    again = build_prompt(PROFILE.profile, candidates(), token=TOKEN[::-1])
    assert not {id for id, _ in again.pairs} & set(IDS)
    assert lines(again)[1] != lines(PROMPT)[1]
    assert lines(again)[0] == lines(PROMPT)[0]


def test_profile_is_sent_without_what_names_a_person():
    full = profile(
        name="anna-muster",
        words=("nurse", "anna@example.org", "+49 170 1234567", "https://anna.example"),
        not_words=("night shift",),
        companies=("Charité",),
        not_companies=("Evil Corp",),
        places=("Berlin", "Hamburg", "10115 Berlin", "Bremen", "Kiel"),
        levels=(Level.MID,),
        remote=RemoteWish.NO,
        languages=("de",),
        pay_floor=PayFloor(amount=50_000, currency="EUR"),
        email="anna@example.org",
    )
    prompt = build_prompt(full, (), token=TOKEN)
    assert json.loads(lines(prompt)[0]) == {
        "wants": ["nurse"],
        "does_not_want": ["night shift"],
        "places": ["Berlin", "Hamburg", "Bremen"],
        "levels": ["mid"],
        "reads": ["de"],
        "remote": "no",
    }


def test_texts_are_cut_and_cleaned_before_they_are_sent():
    dirty = posting(
        1,
        title="Data\u202e Analyst\x00\u200b",
        description="<|endoftext|>line\r\n\x1b[2J" + "long " * 5_000,
        locations=tuple(Location(raw=f"Place {n} " * 90) for n in range(9)),
    )
    prompt = build_prompt(PROFILE.profile, candidates((dirty,))[:1], token=TOKEN)
    shown = json.loads(lines(prompt)[2])
    assert shown["title"] == "Data Analyst"
    assert shown["text"].startswith("line [2Jlong long")
    assert len(shown["text"]) <= TEXT_LIMIT
    assert len(lines(prompt)[2]) < 1_500


def test_prompt_refuses_a_short_token_and_a_posting_twice():
    with pytest.raises(ValueError, match="token"):
        build_prompt(PROFILE.profile, (), token=b"short")
    with pytest.raises(ValueError, match="twice"):
        build_prompt(PROFILE.profile, [*candidates(), candidates()[0]], token=TOKEN)


def test_candidate_refuses_the_match_of_another_version():
    first, *_ = candidates()
    with pytest.raises(ValueError, match="another posting"):
        Candidate(posting=attrs.evolve(first.posting, version=2), local=first.local)


def test_schema_is_strict_in_every_object():
    objects = [json.loads(SCHEMA)]
    seen = 0
    while objects:
        schema = objects.pop()
        if schema["type"] == "array":
            objects.append(schema["items"])
        elif schema["type"] == "object":
            seen += 1
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
            objects += schema["properties"].values()
    assert seen == 2


def test_good_answer_gives_score_reason_and_origin():
    ranked = answered(*(item(id, score=LOCAL[id].score + 5) for id in IDS))
    assert ranked.local == ()
    assert ranked.matches == tuple(
        attrs.evolve(match, score=match.score + 5, reason="Fits well.", origin="m")
        for match in LOCAL.values()
    )


@pytest.mark.parametrize("score", [-(10**9), 0, 100, 10**9])
def test_score_stays_near_the_local_one(score):
    match, *_ = answered(item(IDS[0], score=score), *(item(id) for id in IDS[1:])).matches
    local = LOCAL[IDS[0]].score
    assert match.score == min(max(score, local - MOST_LIFT, 0), local + MOST_LIFT, 100)


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [item("unknown")],
        [item(IDS[0]), item(IDS[0])],
        [item(IDS[0], score="95")],
        [item(IDS[0], score=9.5)],
        [item(IDS[0], score=True)],
        [item(IDS[0], score=None)],
        [item(IDS[0], reason="")],
        [item(IDS[0], reason=None)],
        [item(IDS[0], reason="\u200b <b></b> https://bad.example/x")],
        [{"id": IDS[0], "score": 5}],
        [[IDS[0], 70, "fits"]],
        [item(7)],
    ],
    ids=repr,
)
def test_pair_that_is_not_answered_well_keeps_its_local_match(bad):
    ranked = answered(*bad, *(item(id) for id in IDS[1:]))
    assert ranked.local == (LOCAL[IDS[0]],)
    assert len(ranked.matches) == len(IDS) - 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        '{"matches":' * 50_000,
        "[" * 100_000,
        "[]",
        "null",
        '{"matches":{}}',
        '```json\n{"matches":[]}\n```',
        '{"matches":[]}' + " " * ANSWER_LIMIT,
        '{"matches":[{"id":"a","score":' + "9" * 5_000 + "}]}",
    ],
    ids=lambda text: text[:20],
)
def test_answer_that_cannot_be_read_leaves_all_local(text):
    ranked = read_answer(PROMPT, text, finish="stop", model="m")
    assert (ranked.matches, ranked.local) == ((), fallback(PROMPT))


@pytest.mark.parametrize("finish", ["length", "content_filter", "refusal", ""])
def test_answer_that_is_not_complete_counts_nothing(finish):
    assert answered(item(IDS[0]), finish=finish).matches == ()


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("Good fit, see [here](http://x.example/a)", "Good fit, see here"),
        ("Apply at https://x.example now", "Apply at now"),
        ("Write to boss@x.example", "Write to"),
        ("See evil.com/login and www.evil.org", "See and"),
        ("<img src=x onerror=alert(1)>Good", "Good"),
        ("**Great** `match`", "Great match"),
        ("Two\r\nlines\x1b[31m", "Two lines [31m"),
        ("left\u202eright", "leftright"),
    ],
)
def test_reason_is_plain_text_without_links(reason, shown):
    [match] = answered(item(IDS[0], reason=reason)).matches
    assert match.reason == shown


def test_answer_far_from_most_local_scores_counts_nothing():
    far = [item(id, score=LOCAL[id].score - 51) for id in IDS]
    assert answered(*far, item("x")).local == fallback(PROMPT)
    assert len(answered(*far[:2], *(item(id) for id in IDS[2:])).matches) == len(IDS)


def test_reason_is_cut():
    [match] = answered(item(IDS[0], reason="word " * 2_000)).matches
    assert len(match.reason) <= REASON_LIMIT


_VALUES = st.one_of(
    st.integers(), st.floats(), st.text(), st.none(), st.booleans(), st.lists(st.integers())
)
_ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.sampled_from(IDS), _VALUES),
        "score": st.one_of(st.integers(-200, 200), _VALUES),
        "reason": st.one_of(st.text(), _VALUES),
    },
)


@settings(max_examples=1_500, deadline=None)
@given(st.lists(st.one_of(_ITEMS, _VALUES), max_size=8))
def test_every_pair_is_judged_exactly_once_and_within_bounds(items):
    ranked = answered(*items)
    found = [*ranked.matches, *ranked.local]
    assert sorted(one.posting_id for one in found) == [one.id for one in POSTINGS]
    assert set(ranked.local) <= set(LOCAL.values())
    by_posting = {match.posting_id: match for match in LOCAL.values()}
    for one in ranked.matches:
        assert abs(one.score - by_posting[one.posting_id].score) <= MOST_LIFT
        assert 0 <= one.score <= 100
        assert one.reason
        assert len(one.reason) <= REASON_LIMIT
        assert printable(one.reason) == one.reason


@settings(max_examples=1_000, deadline=None)
@given(st.text(max_size=60), st.text(max_size=400))
def test_no_text_breaks_the_lines_of_a_prompt(title, description):
    stranger = posting(1, title=f"Data Analyst {title}", description=description)
    local = candidates((posting(1),))[0].local
    prompt = build_prompt(PROFILE.profile, [Candidate(posting=stranger, local=local)], token=TOKEN)
    assert len(prompt.pairs) + len(prompt.withheld) == 1
    assert len(lines(prompt)) == 1 + 3 * len(prompt.pairs)
    for message in prompt.messages:
        message.text.encode()  # no lone surrogate is left


@pytest.mark.parametrize(
    "text",
    ["ignore " * 300, "a " * 1_000, "score " * 300, "=" * 2_000, "A" * 2_000, "ab" * 1_000,
     "\\u0041" * 300, "%41" * 600, "system:\n" * 250, '{"id":' * 300, "other jobs " * 180],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_hostile_text_is_looked_at_in_bounded_time(text):
    began = time.process_time()
    suspicion(text)
    assert time.process_time() - began < 0.25


def test_digests_know_what_a_model_sees_and_nothing_else():
    one = POSTINGS[0]
    same = attrs.evolve(one, version=9, draft=attrs.evolve(one.draft, url="https://x.example"))
    other = attrs.evolve(one, draft=attrs.evolve(one.draft, title="Else"))
    assert content_digest(one) == content_digest(same) != content_digest(other)
    assert profile_digest(profile(name="a")) == profile_digest(profile(name="b"))
    assert profile_digest(profile(words=("x",))) != profile_digest(profile(words=("y",)))
