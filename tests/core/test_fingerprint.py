from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.fingerprint import content_hash, fingerprint, fold_company, fold_title
from jobping.core.ids import ExternalId, SourceName
from jobping.core.posting import Interval, Location, PostingDraft, Remote, Salary

LONDON = Location(raw="London, UK", city="London", country="GB")
BERLIN = Location(raw="Berlin", city="Berlin", country="DE")
PARIS = Location(raw="Paris, France", city="Paris", country="FR")
DRAFT = PostingDraft(
    source=SourceName("lever"),
    external_id=ExternalId("1"),
    title="Data Engineer (m/w/d)",
    company="Acme GmbH",
    url="https://a.example/1",
    locations=(BERLIN, PARIS),
    description="Build.",
    salary=Salary(raw="60k", minimum=Decimal("60000"), interval=Interval.YEAR),
    employment=("Full-time", "Permanent"),
)


@pytest.mark.parametrize(
    "title",
    [
        "data engineer",
        "Data  Engineer (f/m/x)",
        "Data Engineer (all genders)",
        "Data Engineer - m/w/d",
        "DATA ENGINEER [w/m/d]",
        "Data-Engineer (gn)",
    ],
)
def test_fold_title_drops_case_marks_and_punctuation(title):
    assert fold_title(title) == "data engineer"


def test_fold_title_keeps_what_names_another_job():
    assert fold_title("C++ Engineer") != fold_title("C# Engineer")
    assert fold_title("Engineer II") != fold_title("Engineer III")


@pytest.mark.parametrize(
    "company",
    ["Acme", "ACME GmbH", "Acme, Inc.", "Acme Ltd", "Acme SE & Co. KG", "Acme S.A.S.", "Acme B.V."],
)
def test_fold_company_drops_the_legal_form(company):
    assert fold_company(company) == "acme"


@pytest.mark.parametrize(
    ("company", "folded"),
    [("AG", "ag"), ("As You Like It", "as you like it"), ("SE Labs", "se labs")],
)
def test_fold_company_keeps_a_name_that_only_looks_like_a_legal_form(company, folded):
    assert fold_company(company) == folded


def test_fingerprint_is_the_same_for_one_job_at_two_sources():
    other = attrs.evolve(
        DRAFT,
        source=SourceName("arbeitnow"),
        external_id=ExternalId("x"),
        title="Data Engineer (all genders)",
        company="ACME",
        locations=(attrs.evolve(PARIS, raw="Paris"), attrs.evolve(BERLIN, raw="Berlin, Germany")),
        description="- build",
        salary=attrs.evolve(DRAFT.salary, raw="60,000 a year"),
    )
    assert fingerprint(other) == fingerprint(DRAFT)
    assert len(fingerprint(DRAFT) or b"") == 32


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Data Analyst"},
        {"company": "Other"},
        {"locations": (BERLIN,)},
        {"salary": None},
        {"description": "Build more."},
    ],
)
def test_fingerprint_differs_when_the_job_does(change):
    assert fingerprint(attrs.evolve(DRAFT, **change)) != fingerprint(DRAFT)


@pytest.mark.parametrize(
    ("raw", "is_london"), [("SW1A 1AA", True), ("ec3m1aj", True), ("WD244AS", False)]
)
def test_fingerprint_reads_a_bare_postcode_as_its_town(raw, is_london):
    there = attrs.evolve(DRAFT, locations=(Location(raw=raw, country="GB"),))
    london = attrs.evolve(DRAFT, locations=(LONDON,))
    assert (fingerprint(there) == fingerprint(london)) is is_london


@pytest.mark.parametrize("company", [None, "", " . "])
def test_fingerprint_is_none_when_the_company_is_unknown(company):
    assert fingerprint(attrs.evolve(DRAFT, company=company)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Data Engineer"},
        {"company": "Acme"},
        {"locations": (BERLIN,)},
        {"description": "Build more."},
        {"salary": None},
        {"salary": Salary(raw="60k", minimum=Decimal("61000"), interval=Interval.YEAR)},
        {"employment": ("Full-time",)},
    ],
)
def test_content_hash_changes_with_what_a_reader_sees(change):
    assert content_hash(attrs.evolve(DRAFT, **change)) != content_hash(DRAFT)


@pytest.mark.parametrize(
    "change",
    [
        {"locations": (PARIS, BERLIN)},
        {"employment": ("Permanent", "Full-time")},
        {"salary": Salary(raw="60k", minimum=Decimal("60000.00"), interval=Interval.YEAR)},
        {"tags": ("new",)},
        {"posted_raw": "yesterday"},
        {"source_digest": b"x" * 16},
        {"remote": Remote.YES},
    ],
)
def test_content_hash_stays_when_nothing_a_reader_sees_changes(change):
    assert content_hash(attrs.evolve(DRAFT, **change)) == content_hash(DRAFT)
    assert len(content_hash(DRAFT)) == 16


@given(st.text(max_size=60), st.text(max_size=60))
def test_folding_twice_equals_folding_once(title, company):
    assert fold_title(fold_title(title)) == fold_title(title)
    fingerprint(attrs.evolve(DRAFT, title=title, company=company))
