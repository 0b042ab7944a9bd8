"""Whole postings of recorded answers, compared with the answer itself, read at test time."""

import datetime as dt
from decimal import Decimal

import attrs

from jobping.core.ids import ExternalId
from jobping.core.posting import (
    Interval,
    Location,
    PostingDraft,
    Precision,
    Remote,
    Salary,
    SalaryOrigin,
)

COMPANY = "Example Company"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00").replace(" UTC", "+00:00"))


def bare(read, answer, key: str) -> PostingDraft:
    """Return the draft of an id without text and digest, which other tests cover."""
    drafts = {draft.external_id: draft for draft in read(answer).drafts}
    return attrs.evolve(drafts[ExternalId(key)], description="", source_digest=b"")


def draft_of(answer, key: str, **fields: object) -> PostingDraft:
    values = {"company": COMPANY, "posted_precision": Precision.EXACT, **fields}
    return PostingDraft(source=answer.source.name, external_id=ExternalId(key), **values)


def test_greenhouse_posting_is_the_recorded_one(recordings, read):
    answer = recordings["greenhouse/board_content_2026.json"]
    job = answer.json()["jobs"][0]
    assert bare(read, answer, str(job["id"])) == draft_of(
        answer,
        str(job["id"]),
        title=job["title"],
        company=job["company_name"].strip(),
        url=job["absolute_url"],
        locations=(Location(raw="London, UK", city="London", country="GB"),),
        posted_at=at(job["first_published"]),
        posted_raw=job["first_published"],
        employment=(job["metadata"][0]["value"],),
        department=job["departments"][0]["name"],
        language="en",
    )


def test_lever_posting_is_the_recorded_one(recordings, read):
    answer = recordings["lever/board_2026.json"]
    job = answer.json()[0]
    assert bare(read, answer, job["id"]) == draft_of(
        answer,
        job["id"],
        title=job["text"],
        url=job["hostedUrl"],
        locations=(Location(raw="Chicago, IL", city="Chicago", region="IL", country="US"),),
        remote=Remote.YES,
        posted_at=dt.datetime(2025, 11, 27, 1, 2, 41, 939_000, tzinfo=dt.UTC),
        posted_raw=str(job["createdAt"]),
        employment=("Contract",),
        department=job["categories"]["team"],
    )


def test_lever_text_holds_description_lists_and_closing_once(recordings, read):
    answer = recordings["lever/board_2026.json"]
    for job, draft in zip(answer.json(), read(answer).drafts, strict=True):
        opening = job["openingPlain"].strip().split("\n")[0].strip()
        assert draft.description.count(opening) == 1
        assert draft.description.count("\n- ") >= sum(
            entry["content"].count("<li>") for entry in job["lists"]
        )
        for entry in job["lists"]:
            assert entry["text"].strip() in draft.description


def test_ashby_posting_with_pay_is_the_recorded_one(recordings, read):
    answer = recordings["ashby/board_2026.json"]
    job = answer.json()["jobs"][1]
    pay = job["compensation"]
    assert bare(read, answer, job["id"]) == draft_of(
        answer,
        job["id"],
        title=job["title"].strip(),
        url=job["jobUrl"],
        locations=(
            Location(raw="Toronto, Ontario", city="Toronto", region="Ontario", country="CA"),
        ),
        remote=Remote.NO,
        posted_at=at(job["publishedAt"]),
        posted_raw=job["publishedAt"],
        salary=Salary(
            raw=pay["compensationTierSummary"],
            minimum=Decimal(pay["summaryComponents"][0]["minValue"]),
            maximum=Decimal(pay["summaryComponents"][0]["maxValue"]),
            currency="CAD",
            interval=Interval.YEAR,
        ),
        employment=("FullTime",),
        department=job["department"],
        tags=("hybrid",),
    )


def test_ashby_posting_with_two_places_is_the_recorded_one(recordings, read):
    answer = recordings["ashby/notion.json"]
    job = answer.json()["jobs"][0]
    assert bare(read, answer, job["id"]) == draft_of(
        answer,
        job["id"],
        title=job["title"],
        url=job["jobUrl"],
        locations=(
            Location(raw="New York, New York", city="New York", region="New York", country="US"),
            Location(
                raw="San Francisco, California",
                city="San Francisco",
                region="California",
                country="US",
            ),
        ),
        posted_at=at(job["publishedAt"]),
        posted_raw=job["publishedAt"],
        employment=("FullTime",),
        department="Sales",
    )


def test_recruitee_postings_of_both_shapes_are_the_recorded_ones(recordings, read):
    newer = recordings["recruitee/board_2026.json"]
    job = newer.json()["offers"][0]
    key = f"{newer.board.slug}/{job['id']}"
    assert bare(read, newer, key) == draft_of(
        newer,
        key,
        title=job["title"],
        company=job["company_name"],
        url=job["careers_url"],
        locations=(Location(raw="Berlin, Germany", city="Berlin", region="Berlin", country="DE"),),
        remote=Remote.NO,
        posted_at=at(job["published_at"]),
        posted_raw=job["published_at"],
        salary=Salary(
            raw="60000 - 75000 EUR year",
            minimum=Decimal(60000),
            maximum=Decimal(75000),
            currency="EUR",
            interval=Interval.YEAR,
        ),
        employment=(job["employment_type_code"],),
        department=job["department"],
        level=job["experience_code"],
        tags=(job["category_code"], "hybrid"),
    )
    older = recordings["recruitee/hotjar.json"]
    job = older.json()["offers"][0]
    assert bare(read, older, f"hotjar/{job['id']}") == draft_of(
        older,
        f"hotjar/{job['id']}",
        title=job["title"],
        company=job["company_name"],
        url=job["careers_url"],
        locations=(Location(raw="Remote job", city="Malta", country="MT"),),
        remote=Remote.YES,
        posted_at=at(job["created_at"]),
        posted_precision=Precision.DATE,
        posted_raw=job["created_at"],
        employment=(job["employment_type_code"],),
        department=job["department"],
        level=job["experience_code"],
        tags=(job["category_code"],),
    )


def test_smartrecruiters_posting_is_the_recorded_one(recordings, read):
    answer = recordings["smartrecruiters/shopify_offset0.json"]
    job = answer.json()["content"][0]
    assert bare(read, answer, job["id"]) == draft_of(
        answer,
        job["id"],
        title=job["name"],
        company="Shopify",
        url=f"https://jobs.smartrecruiters.com/Shopify/{job['id']}",
        locations=(Location(raw="Toronto, ON, ca", city="Toronto", region="ON", country="CA"),),
        remote=Remote.YES,
        posted_at=at(job["releasedDate"]),
        posted_raw=job["releasedDate"],
        employment=("Full-time",),
        department=job["department"]["label"],
        level="mid_senior_level",
        tags=(job["function"]["label"], job["industry"]["label"]),
        language="en",
    )


def test_personio_posting_is_the_recorded_one_merged(recordings, read):
    answer = recordings["personio/positions_2026.xml"]
    assert bare(read, answer, "example/1834171") == draft_of(
        answer,
        "example/1834171",
        title="Staff Software Engineer, Data Platform",
        company="Acme SE & Co. KG",
        url="https://example.jobs.personio.de/job/1834171",
        locations=(
            Location(raw="Munich", city="Munich", country="DE"),
            Location(raw="Berlin", city="Berlin", country="DE"),
        ),
        posted_at=dt.datetime(2024, 11, 13, 14, 10, 41, tzinfo=dt.UTC),
        posted_raw="2024-11-13T14:10:41+00:00",
        employment=("permanent", "full-time"),
        department="Product and Tech",
        level="experienced",
        tags=("Engineering", "software_and_web_development", "it_software"),
    )


def test_remote_ok_posting_is_the_recorded_one(recordings, read):
    answer = recordings["remoteok/api_2024-12-04_first.json"]
    job = answer.json()[2]
    assert bare(read, answer, job["id"]) == draft_of(
        answer,
        job["id"],
        title=job["position"],
        company="CI&T",
        url=job["url"],
        locations=(Location(raw="Campinas, SP", city="Campinas"),),
        remote=Remote.YES,
        posted_at=at(job["date"]),
        posted_raw=str(job["epoch"]),
        salary=Salary(
            raw="55000 - 100000 USD year",
            minimum=Decimal(55000),
            maximum=Decimal(100000),
            currency="USD",
            interval=Interval.YEAR,
            origin=SalaryOrigin.INFERRED,
        ),
        tags=tuple(job["tags"]),
    )


def test_jobicy_posting_is_the_recorded_one(recordings, read):
    answer = recordings["jobicy/2024-12-08_0_20.json"]
    job = answer.json()["jobs"][1]
    assert bare(read, answer, str(job["id"])) == draft_of(
        answer,
        str(job["id"]),
        title=job["jobTitle"],
        company=job["companyName"],
        url=job["url"],
        locations=(Location(raw="USA", country="US"),),
        remote=Remote.YES,
        posted_at=at(job["pubDate"] + "+00:00"),
        posted_precision=Precision.DATE,
        posted_raw=job["pubDate"],
        salary=Salary(
            raw="150000 - 220000 USD year",
            minimum=Decimal(150000),
            maximum=Decimal(220000),
            currency="USD",
            interval=Interval.YEAR,
        ),
        employment=("full-time",),
        department="Data Science",
    )


def test_remotive_posting_is_the_recorded_one(recordings, read):
    answer = recordings["remotive/feed_2026-09.json"]
    job = answer.json()["jobs"][1]
    countries = (("USA", "US"), ("Canada", "CA"), ("Argentina", "AR"), ("Mexico", "MX"),
                 ("Peru", "PE"))  # fmt: skip
    assert bare(read, answer, str(job["id"])) == draft_of(
        answer,
        str(job["id"]),
        title=job["title"],
        company=job["company_name"],
        url=job["url"],
        locations=tuple(Location(raw=name, country=code) for name, code in countries),
        remote=Remote.YES,
        posted_at=at(job["publication_date"] + "+00:00"),
        posted_precision=Precision.DATE,
        posted_raw=job["publication_date"],
        salary=Salary(raw=job["salary"], minimum=Decimal(90000), maximum=Decimal(105000)),
        employment=("full_time",),
        department="Design",
        tags=tuple(tag.strip() for tag in job["tags"]),
    )


def test_arbeitnow_posting_is_the_recorded_one_text_included(recordings, read):
    answer = recordings["arbeitnow/page_2026-09.json"]
    job = answer.json()["data"][0]
    assert bare(read, answer, job["slug"]) == draft_of(
        answer,
        job["slug"],
        title=job["title"],
        company=job["company_name"],
        url=job["url"],
        locations=(Location(raw="Berlin, Berlin", city="Berlin", country="DE"),),
        remote=Remote.NO,
        posted_at=dt.datetime.fromtimestamp(job["created_at"], tz=dt.UTC),
        posted_raw=str(job["created_at"]),
        tags=("Operations",),
    )
    assert read(answer).drafts[0].description == (
        "Gemeinsam gestalten wir die Gesundheitsversorgung der Zukunft\n\n"
        "Doctolib sucht Dich ab sofort als Werkstudent:in im Bereich Customer Success für "
        "unseren Standort in Berlin."
    )
