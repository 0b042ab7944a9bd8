"""Texts that try to turn the model, against a model that obeys whatever it gets to see."""

import json

import attrs
import pytest

from jobping.core.ids import PostingId
from jobping.core.model import Role
from jobping.core.prompt import MOST_LIFT, Candidate, Prompt, build_prompt, read_answer
from jobping.core.ranking import Scored, judge, shortlist
from tests.bench.ranking import load_postings
from tests.core.injection_texts import TEXTS, UNKNOWN
from tests.core.ranking_samples import NOW, posting, stored_profile

TOKEN = bytes(range(16))
DESCRIPTION = "You look after the figures of our shops and explain them to people who sell."
PROFILE = stored_profile(words=("data analyst",), not_words=("sales",), places=("Germany",))
TURNED = 3
POSTINGS = (
    posting(1, title="Data Analyst", description=DESCRIPTION),
    posting(2, title="Junior Data Analyst (m/f/d)", description=DESCRIPTION, days=9),
    posting(TURNED, title="Data Analyst, Support", description=DESCRIPTION),
    posting(4, title="Sales Data Analyst", description=DESCRIPTION),  # a hard filter excludes it
    posting(5, title="Data Analyst, Pricing", description=DESCRIPTION, place="Munich, Germany"),
)
FILTERED = 4


def turned(text: str, field: str):
    """The postings, one of them with the text at the end of a field."""
    return tuple(
        attrs.evolve(
            one, draft=attrs.evolve(one.draft, **{field: f"{getattr(one.draft, field)}\n{text}"})
        )
        if one.id == TURNED
        else one
        for one in POSTINGS
    )


def candidates(postings):
    local = {match.posting_id: match for match in shortlist(PROFILE, postings, NOW)}
    return [Candidate(posting=one, local=local[one.id]) for one in postings if one.id in local]


def sent(prompt: Prompt) -> dict[str, dict]:
    """The postings that a model reads, by their ids."""
    [user] = [message.text for message in prompt.messages if message.role is Role.USER]
    lines = [json.loads(line) for line in user.splitlines()[1:] if line.startswith("{")]
    return {line.pop("id"): line for line in lines}


CLEAN = sent(build_prompt(PROFILE.profile, candidates(POSTINGS), token=TOKEN))


def obedient(prompt: Prompt) -> str:
    """Answer as a model does that obeys any word which is not in the clean postings.

    It does the worst: the turned posting gets 100, all others 0, twice, and postings that nobody
    asked for get 100 too.
    """
    seen = sent(prompt)
    turned_ids = [id for id, fields in seen.items() if fields != CLEAN.get(id)]
    if not turned_ids:
        return honest(prompt)
    items = [
        {"id": id, "score": 100 if id in turned_ids else 0, "reason": "told so"} for id in seen
    ]
    items += [{"id": str(FILTERED), "score": 100, "reason": "told so"}, *items[:1]]
    return json.dumps({"matches": items})


def honest(prompt: Prompt) -> str:
    return json.dumps(
        {"matches": [{"id": id, "score": 71, "reason": "fits"} for id in sent(prompt)]}
    )


def scores(postings, model=obedient) -> dict[int, int]:
    prompt = build_prompt(PROFILE.profile, candidates(postings), token=TOKEN)
    ranked = read_answer(prompt, model(prompt), finish="stop", model="m")
    withheld = [match for match, _ in prompt.withheld]
    return {one.posting_id: one.score for one in (*ranked.matches, *ranked.local, *withheld)}


EXPECTED = scores(POSTINGS)
LOCAL = {one.local.posting_id: one.local.score for one in candidates(POSTINGS)}


def test_there_are_sixty_texts():
    assert len(TEXTS) >= 60


@pytest.mark.parametrize("field", ["description", "title"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_changes_no_other_score_and_passes_no_filter(name, field):
    found = scores(turned(TEXTS[name], field))
    others = {id: score for id, score in EXPECTED.items() if id != TURNED}
    assert {id: score for id, score in found.items() if id != TURNED} == others
    assert FILTERED not in found
    assert found[TURNED] <= max(LOCAL[TURNED], EXPECTED[TURNED])


@pytest.mark.parametrize("name", TEXTS)
def test_text_never_lifts_a_posting_that_a_filter_excludes(name):
    postings = tuple(
        attrs.evolve(one, draft=attrs.evolve(one.draft, description=TEXTS[name]))
        if one.id == FILTERED
        else one
        for one in POSTINGS
    )
    assert scores(postings) == EXPECTED


@pytest.mark.parametrize("name", UNKNOWN)
def test_answer_of_a_model_that_was_turned_wholly_counts_nothing(name):
    assert scores(turned(UNKNOWN[name], "description")) == LOCAL


def sly(prompt: Prompt) -> str:
    """Answer as a turned model that stays moderate: itself up, all others down."""
    local = {id: match.score for id, match in prompt.pairs}
    items = [
        {"id": id, "score": local[id] + (45 if fields != CLEAN.get(id) else -45), "reason": "so"}
        for id, fields in sent(prompt).items()
    ]
    return json.dumps({"matches": items})


@pytest.mark.parametrize("name", UNKNOWN)
def test_text_that_no_rule_knows_moves_no_score_beyond_the_bound(name):
    found = scores(turned(UNKNOWN[name], "description"), sly)
    assert found.keys() == LOCAL.keys()
    assert all(abs(found[id] - LOCAL[id]) <= MOST_LIFT for id in found)


def test_filtered_posting_is_no_candidate():
    assert not isinstance(judge(PROFILE.profile, POSTINGS[3], NOW), Scored)


def test_recorded_postings_are_hardly_ever_withheld():
    """A false alarm costs the model's opinion of one posting; one in 200 is the most."""
    postings = list(load_postings().values())
    local = candidates(POSTINGS)[0].local
    pairs = [
        Candidate(posting=attrs.evolve(one, id=PostingId(number), version=1),
                  local=attrs.evolve(local, posting_id=PostingId(number)))
        for number, one in enumerate(postings)
    ]  # fmt: skip
    prompt = build_prompt(PROFILE.profile, pairs, token=TOKEN)
    assert len(prompt.withheld) <= len(postings) / 200
