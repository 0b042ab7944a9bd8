"""JobPosting in synthetic pages, as sites write it and as they break it."""

import datetime as dt
import json
import time
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.posting import Interval, Location, PostingDraft, Precision, Remote, Salary
from jobping.sources.jobposting import AD_READER, Ad, Pay, Where, read_ads
from jobping.sources.text import script_texts
from tests.sources.conftest import PAGES

POSTING = {"@context": "https://schema.org", "@type": "JobPosting", "title": "Cook"}
MICRODATA = '<div itemscope itemtype="http://schema.org/JobPosting"><b itemprop="title">Cook</b>'


def page_with(text: str, kind: str = "application/ld+json") -> str:
    return f'<html><head><script type="{kind}">{text}</script></head><body><p>x</body></html>'


def titles(markup: str) -> list[str | None]:
    return [ad.title for ad in read_ads(markup)]


def only(**fields: object):
    (ad,) = read_ads(page_with(json.dumps(POSTING | fields)))
    return ad


@pytest.fixture
def draft_of(page_at):
    def draft(**fields: object) -> PostingDraft:
        start = PostingDraft(source="x", external_id="1", title="Cook", company=None, url="x")
        return AD_READER.fill(only(**fields), start, page_at("https://a.example/1", b""))

    return draft


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(POSTING),
        json.dumps([POSTING]),
        json.dumps({"@graph": [{"@type": "WebSite"}, POSTING]}),
        json.dumps({"@type": "ItemList", "itemListElement": [{"position": 1, "item": POSTING}]}),
        json.dumps({"@type": "WebPage", "mainEntity": POSTING}),
        json.dumps(POSTING | {"@type": ["Thing", "JobPosting"]}),
        json.dumps(POSTING | {"@type": "http://schema.org/JobPosting"}),
        json.dumps(POSTING | {"@type": "schema:JobPosting"}),
        f"<!-- {json.dumps(POSTING)} -->",
        f"//<![CDATA[\n{json.dumps(POSTING)}\n//]]>",
        f"/* <![CDATA[ */ {json.dumps(POSTING)}; /* ]]> */",
        json.dumps(POSTING).replace('"', "&quot;"),
        '{"@type":"JobPosting","title":"Cook","description":"a\nb\tc\x01",}',
        '{"@type":"JobPosting","title":"Cook","employmentType":["FULL_TIME", ],\n}',
        '{"@type":"JobPosting","title":"Cook","baseSalary":NaN}',
        "\ufeff" + json.dumps(POSTING),
    ],
)
def test_posting_is_found_however_it_is_wrapped_or_broken(text):
    assert titles(page_with(text)) == ["Cook"]


def test_postings_of_several_scripts_are_found_in_order_and_other_scripts_are_not_read():
    two = page_with(json.dumps([POSTING, POSTING | {"title": "Baker"}]))
    other = page_with(json.dumps(POSTING | {"title": "Template"}), kind="text/template")
    broken = page_with("{no json")
    single = f"<SCRIPT  id='a>b' TYPE = application/ld+json >{json.dumps(POSTING)}</SCRIPT >"
    assert titles(two + other + broken + single) == ["Cook", "Baker", "Cook"]


def test_text_of_a_comma_before_a_bracket_stays_within_strings():
    text = '{"@type":"JobPosting","title":"a,] b,}",}'
    assert titles(page_with(text)) == ["a,] b,}"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (
            {
                "currency": "EUR",
                "value": {"minValue": 40000, "maxValue": 50000.5, "unitText": "YEAR"},
            },
            Salary(
                raw="40000 - 50000.5 EUR year",
                minimum=Decimal(40000),
                maximum=Decimal("50000.5"),
                currency="EUR",
                interval=Interval.YEAR,
            ),
        ),
        (
            {"currency": "gbp", "value": {"value": "12.50", "unitText": "HOUR"}},
            Salary(
                raw="12.50 GBP hour",
                minimum=Decimal("12.50"),
                maximum=Decimal("12.50"),
                currency="GBP",
                interval=Interval.HOUR,
            ),
        ),
        ("100000", Salary(raw="100000", minimum=Decimal(100000), maximum=Decimal(100000))),
        (100000, Salary(raw="100000", minimum=Decimal(100000), maximum=Decimal(100000))),
        (
            {"currency": "EUR", "value": "50k - 60k", "unitText": "YEAR"},
            Salary(
                raw="50k - 60k",
                minimum=Decimal(50000),
                maximum=Decimal(60000),
                currency="EUR",
                interval=Interval.YEAR,
            ),
        ),
        ("negotiable", Salary(raw="negotiable")),
        ({"currency": "EUR", "value": {"minValue": 0, "maxValue": 0}}, None),
        (None, None),
        ([], None),
        ({"value": {"value": {"value": {}}}}, None),
    ],
)  # fmt: skip
def test_pay_is_read_in_every_form_and_unknown_parts_stay_unknown(draft_of, stated, expected):
    assert draft_of(baseSalary=stated).salary == expected


@pytest.mark.parametrize(
    ("fields", "places", "remote"),
    [
        (
            {"jobLocation": {"address": {"addressLocality": ["Wien"], "addressCountry": "AT"}}},
            (Location(raw="Wien, AT", city="Wien", country="AT"),),
            Remote.UNKNOWN,
        ),
        (
            {"jobLocation": {"@type": "Place", "name": "Paris, France"}},
            (Location(raw="Paris, France", city="Paris", country="FR"),),
            Remote.UNKNOWN,
        ),
        (
            {"jobLocation": "London, UK", "jobLocationType": "telecommute"},
            (Location(raw="London, UK", city="London", country="GB"),),
            Remote.YES,
        ),
        (
            {
                "jobLocationType": ["TELECOMMUTE"],
                "applicantLocationRequirements": [
                    {"@type": "Country", "name": "Germany"},
                    {"@type": "Country", "name": "Spain"},
                ],
            },
            (Location(raw="Germany", country="DE"), Location(raw="Spain", country="ES")),
            Remote.YES,
        ),
        ({"jobLocation": [None, 7, {"address": None}]}, (Location(raw="7"),), Remote.UNKNOWN),
        ({}, (), Remote.UNKNOWN),
    ],
)
def test_places_come_from_the_address_and_else_from_applicants(draft_of, fields, places, remote):
    draft = draft_of(**fields)
    assert (draft.locations, draft.remote) == (places, remote)


def test_dates_words_and_text_are_read_and_a_last_day_counts_whole(draft_of):
    draft = draft_of(
        datePosted="2026-09-15",
        validThrough="2026-12-31",
        employmentType="FULL_TIME, PART_TIME",
        description="&lt;p&gt;One&lt;/p&gt;&lt;p&gt;Two &amp;amp; three&lt;/p&gt;",
        industry={"name": "Food"},
        skills=["Knives", "Knives"],
        inLanguage="de-AT",
    )
    assert (draft.posted_at, draft.posted_precision) == (
        dt.datetime(2026, 9, 15, tzinfo=dt.UTC),
        Precision.DATE,
    )
    assert draft.closes_at == dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert draft.employment == ("FULL_TIME", "PART_TIME")
    assert draft.description == "One\n\nTwo & three"
    assert (draft.department, draft.tags, draft.language) == ("Food", ("Knives",), "de")
    assert draft_of(validThrough="9999-12-31").closes_at.year == 9999
    with_time = draft_of(validThrough="2026-12-31T12:00:00+01:00")
    assert with_time.closes_at == dt.datetime(2026, 12, 31, 11, tzinfo=dt.UTC)


def test_posting_is_named_by_its_identifier_and_by_the_parts_of_its_urls():
    ad = only(
        identifier=[{"@type": "PropertyValue", "name": "Acme", "value": 77}, "R-1"],
        url="https://a.example/job/500001?language=de",
    )
    assert {"77", "R-1", "500001"} <= set(ad.identifiers)


@settings(max_examples=150, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["@type", "title", "url", "value", "name", "address", "baseSalary", "jobLocation",
                 "@graph", "validThrough", "identifier", "description"]
            ),
            inner, max_size=5,
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_values_of_a_posting_are_read_or_passed_over(page_at, value):
    start = PostingDraft(source="x", external_id="1", title="t", company=None, url="x")
    page = page_at("https://a.example/1", b"")
    odd = dict.fromkeys(("title", "baseSalary", "jobLocation", "validThrough", "skills"), value)
    for ad in read_ads(page_with(json.dumps([POSTING | odd, value]))):
        assert msgspec.json.decode(msgspec.json.encode(ad), type=Ad) == ad
        assert isinstance(AD_READER.fill(ad, start, page), PostingDraft)


@pytest.mark.parametrize(
    "markup",
    [
        "<script " * 200_000,
        '<script type="' * 100_000,
        "<script>" * 200_000,
        page_with("[" * 1_000_000),
        page_with('"\\"' * 300_000),
        page_with("{," + " " * 1_000_000),
        page_with(";" * 1_000_000),
        page_with('{"a":"' + "&quot;" * 150_000),
        "<div>" * 500_000 + page_with(json.dumps(POSTING)),
        "<b itemprop='x'>" * 150 + "<i itemprop=a>y</i>" * 90_000 + MICRODATA,
        MICRODATA + "<b itemprop='x'>" * 199 + "<i itemprop=a itemscope>y</i>" * 90_000,
        MICRODATA + "<b itemprop" * 200_000,
        MICRODATA + "</div>" * 200_000,
    ],
)  # fmt: skip
def test_hostile_pages_take_linear_time(markup):
    started = time.perf_counter()
    assert titles(markup) in ([], ["Cook"])
    assert time.perf_counter() - started < 5


def test_microdata_is_read_like_json_ld_and_only_where_there_is_none(page_at):
    body = (PAGES / "microdata_synthetic.html").read_text()
    assert list(read_ads(body)) == [
        Ad(
            identifiers=("P-7", "https:", "", "careers.example.com", "jobs", "planner"),
            title="Junior Planner & Friend",
            url="https://careers.example.com/jobs/planner",
            company="Example Logistics",
            places=(
                Where(city="Utrecht", country="NL"),
                Where(city="Ghent", country="BE"),
            ),
            description="<p>Plan routes.<ul><li>Dutch</ul>",
            posted="2026-09-15",
            closes="2026-12-31",
            pay=Pay(minimum="30000", maximum="36000", currency="EUR", unit="YEAR"),
            employment=("FULL_TIME", "INTERN"),
            skills=("Dutch",),
        )
    ]
    assert titles(page_with(json.dumps(POSTING)) + body) == ["Cook"]


def test_broken_microdata_gives_what_can_be_read():
    assert titles(MICRODATA) == ["Cook"]
    assert titles(MICRODATA.replace("</b>", "")) == [None]
    assert titles(f"{MICRODATA}<div itemscope itemtype='http://schema.org/JobPosting'>") == [
        "Cook",
        None,
    ]


def test_script_is_found_behind_letters_that_grow_in_lower_case():
    assert titles("\u0130" * 50 + page_with(json.dumps(POSTING))) == ["Cook"]


def test_script_texts_are_those_of_the_type_and_end_with_the_page():
    markup = "<script>a</script><script type='x/y'>b</script><script type=x/y>c"
    assert list(script_texts(markup, "x/y")) == ["b"]
