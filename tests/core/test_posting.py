import datetime as dt

import attrs

from jobping.core.ids import ExternalId, SourceName
from jobping.core.posting import (
    CONTENT,
    Location,
    PostingDraft,
    Precision,
    Remote,
    over_stored,
    unknown_fields,
)

BARE = PostingDraft(
    source=SourceName("x"),
    external_id=ExternalId("1"),
    title="Cook",
    company=None,
    url="https://a.example/1",
)
FULL = attrs.evolve(
    BARE,
    title="Chef",
    company="Acme",
    url="https://a.example/chef",
    locations=(Location(raw="Berlin"),),
    remote=Remote.NO,
    description="Cook well.",
    posted_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    posted_precision=Precision.EXACT,
    posted_raw="2026-01-02",
    employment=("Full-time",),
    tags=("hybrid",),
)


def test_weak_fields_keep_what_is_stored_and_take_what_is_not():
    draft = attrs.evolve(BARE, level="entry", weak=CONTENT)
    assert over_stored(draft, FULL) == attrs.evolve(FULL, level="entry")
    assert over_stored(draft, FULL).weak == frozenset()
    assert over_stored(attrs.evolve(FULL, weak=CONTENT), BARE) == attrs.evolve(
        FULL, title=BARE.title, url=BARE.url
    )


def test_other_fields_are_the_drafts_own_also_where_it_says_nothing():
    draft = attrs.evolve(BARE, weak=frozenset({"description"}))
    assert over_stored(draft, FULL) == attrs.evolve(BARE, description="Cook well.")


def test_unknown_fields_are_those_without_a_value():
    assert unknown_fields(FULL) == {"closes_at", "salary", "department", "level", "language"}
    assert unknown_fields(BARE) == CONTENT - {"title", "url"}


def test_weakness_is_no_part_of_what_a_draft_says():
    assert attrs.evolve(FULL, weak=CONTENT) == FULL
    assert {field.name for field in attrs.fields(PostingDraft)} >= CONTENT
