"""The individual routes: what is asked, and what of a posting another route agrees with."""

import json

import attrs
import pytest

from jobping.core.board import Board, Coverage, Route
from jobping.core.fingerprint import content_hash, fingerprint
from jobping.core.ids import ExternalId, SourceName
from jobping.core.posting import (
    CONTENT,
    Interval,
    KnownPosting,
    Remote,
    SalaryOrigin,
    over_stored,
)
from jobping.core.walk import Complete, Drift, finish, next_request, on_page, start
from jobping.errors import MalformedPage
from jobping.sources import SOURCES
from jobping.sources.source import Form, Parsed, RawItem, Rejected, with_base_url
from tests.sources.conftest import SLUGS
from tests.sources.test_recordings import OLD_SHAPES

HOSTS = {
    "greenhouse": "https://boards-api.greenhouse.io",
    "lever": "https://api.lever.co",
    "ashby": "https://jobs.ashbyhq.com",
    "recruitee": "https://example.recruitee.com",
    "smartrecruiters": "https://api.smartrecruiters.com",
    "personio": "https://example.jobs.personio.de",
    "workable": "https://apply.workable.com",
    "bamboohr": "https://example.bamboohr.com",
    "breezy": "https://example.breezy.hr",
    "workday": "https://example.wd1.myworkdayjobs.com",
    "arbeitsagentur": "https://rest.arbeitsagentur.de",
    "reed": "https://www.reed.co.uk",
    "site": "https://careers.example.com",
}
NAMES = tuple(HOSTS)
SINGLE = tuple(name for name in NAMES if name != "lever")
UNREAD = ("greenhouse/netlify_departments.json", *OLD_SHAPES)
UUID = "aaaaaaaa-0000-4000-8000-000000000001"
KNOWN = {
    "greenhouse": ("4100001", "https://job-boards.greenhouse.io/example/jobs/4100001"),
    "lever": ("u", "https://jobs.lever.co/example/u"),
    "ashby": (UUID, f"https://jobs.ashbyhq.com/example/{UUID}"),
    "recruitee": ("example/900001", "https://example.recruitee.com/o/junior-planner"),
    "smartrecruiters": ("7439990001", "https://jobs.smartrecruiters.com/Example/7439990001"),
    "personio": ("example/500001", "https://example.jobs.personio.de/job/500001"),
    "workable": ("A1B2C3D4E5", "https://apply.workable.com/j/A1B2C3D4E5"),
    "bamboohr": ("example/86", "https://example.bamboohr.com/careers/86"),
    "breezy": (
        "example/98323abf2201",
        "https://example.breezy.hr/p/98323abf2201-junior-baker",
    ),
    "workday": (
        "example:wd1:Careers/JR100001",
        "https://example.wd1.myworkdayjobs.com/Careers/job/Dublin/Graduate-Engineer_JR100001",
    ),
    "arbeitsagentur": ("10000-0000000001-S", "https://beispiel.example/jobs/1"),
    "reed": ("55000001", "https://www.reed.co.uk/jobs/graduate-buyer/55000001"),
    "site": (
        "careers.example.com/jobs/junior-planner?id=7",
        "https://careers.example.com/jobs/junior-planner?id=7",
    ),
}
LISTS = {
    "greenhouse": ["/v1/boards/example/departments"],
    "lever": ["/v0/postings/example?mode=json&skip=0&limit=10"],
    "ashby": [],
    "recruitee": [],
    "smartrecruiters": ["/v1/companies/example/postings?limit=10&offset=0"],
    "personio": ["/search.json"],
    "workable": ["/api/v3/accounts/example/jobs"],
    "bamboohr": [],
    "breezy": [],
    "workday": [],
    "arbeitsagentur": [
        "/jobboerse/jobsuche-service/pc/v6/jobs?veroeffentlichtseit=7&page=1&size=10"
    ],
    "reed": [],
    "site": [],
}
SINGLES = {
    "greenhouse": ["/v1/boards/example/jobs/4100001?pay_transparency=true"],
    "lever": [],
    "ashby": [f"/example/{UUID}"],
    "recruitee": ["/o/junior-planner"],
    "smartrecruiters": ["/v1/companies/example/postings/7439990001"],
    "personio": ["/job/500001"],
    "workable": ["/api/v1/accounts/example/jobs/A1B2C3D4E5"],
    "bamboohr": ["/careers/86/detail"],
    "breezy": ["/p/98323abf2201-junior-baker"],
    "workday": ["/wday/cxs/example/Careers/job/Dublin/Graduate-Engineer_JR100001"],
    "arbeitsagentur": [
        "/jobboerse/jobsuche-service/pc/v4/jobdetails/MTAwMDAtMDAwMDAwMDAwMS1T",
    ],
    "reed": ["/api/1.0/jobs/55000001"],
    "site": ["/jobs/junior-planner?id=7"],
}
GONE = {
    "greenhouse": (b'{"status":404,"error":"Job not found"}', "application/json"),
    "ashby": (b"<h1>Job not found</h1>", "text/html"),
    "recruitee": (b"<html></html>", "text/html"),
    "smartrecruiters": (b'{"message":"no"}', "application/json"),
    "personio": (b"<html></html>", "text/html"),
    "workable": (b"Not Found", "text/plain"),
    "bamboohr": (b'{"error":"no"}', "application/json"),
    "breezy": (b"<html></html>", "text/html"),
    "workday": (b'{"errorCode":"HTTP_404"}', "application/json"),
    "arbeitsagentur": (b'{"code":404}', "application/json"),
    "reed": (b'{"message":"no"}', "application/json"),
    "site": (b"<html></html>", "text/html"),
}


def named(name):
    return next(source for source in SOURCES if source.name == name)


def board(name, slug=None):
    slug = slug or SLUGS.get(name, "example")
    return Board(source=SourceName(name), slug=slug, company=None)


def known(name):
    id, url = KNOWN[name]
    return KnownPosting(external_id=ExternalId(id), url=url)


def read(name, page, request=None):
    """Return drafts, rejected items and Parsed of an answer; without request of the light list."""
    source, own = named(name), board(name)
    request = request or source.requests(own, Route.INDIVIDUAL)[0]
    *items, parsed = source.parse_individual(page, own, request)
    assert isinstance(parsed, Parsed)
    drafts = [source.convert(item, page, own) for item in items]
    assert all(draft.external_id in parsed.seen for draft in drafts)
    return drafts, items, parsed


def single(name, page_at, body, *, media="", url=None, status=200):
    (request, *_) = named(name).individual(board(name), [known(name)], 1)
    return read(name, page_at(url or request.url, body, media=media, status=status), request)


def bulk(synthetic, name):
    """Return the drafts of the reliable route by their ids."""
    answer = synthetic(name)
    *items, _ = answer.source.parse(answer.page, answer.board)
    drafts = [answer.source.convert(item, answer.page, answer.board) for item in items]
    return {draft.external_id: draft for draft in drafts}


def same(draft, stored):
    return (content_hash(draft), fingerprint(draft)) == (content_hash(stored), fingerprint(stored))


# --- what every source keeps


@pytest.mark.parametrize("name", NAMES)
def test_individual_route_asks_known_postings_first_and_then_its_list(name):
    source, own = named(name), board(name)
    requests = source.individual(own, [known(name)], 9)
    assert [request.url.removeprefix(HOSTS[name]) for request in requests] == [
        *SINGLES[name],
        *LISTS[name],
    ]
    ids = [request.posting for request in requests]
    assert ids == [KNOWN[name][0]] * len(SINGLES[name]) + [None] * len(LISTS[name])
    assert source.requests(own, Route.INDIVIDUAL) == requests[len(SINGLES[name]) :]
    assert len(source.individual(own, [known(name)] * 5, 2)) == min(
        2, 5 * len(SINGLES[name]) + len(LISTS[name])
    )
    assert source.individual(own, [known(name)], 0) == ()


@pytest.mark.parametrize("name", NAMES)
def test_individual_requests_stay_within_the_hosts_also_when_asked_elsewhere(name):
    source = named(name)
    moved = with_base_url(source, f"http://127.0.0.1:8080/{name}/{{slug}}")
    for asked in (source, moved):
        for request in asked.individual(board(name), [known(name)], 9):
            assert request.url.split("/")[2] in asked.hosts(board(name))
            assert "//" not in request.url.partition("://")[2]


@pytest.mark.parametrize("name", [source.name for source in SOURCES if not source.has_individual])
def test_feed_has_no_individual_route(name):
    assert (
        named(name).individual(board(name, SLUGS.get(name, "example")), [known("lever")], 9) == ()
    )


@pytest.mark.parametrize("name", SINGLE)
def test_posting_that_the_source_has_no_longer_is_gone_only_in_its_own_words(page_at, name):
    body, media = GONE[name]
    for status in (404, 410):
        _, items, parsed = single(name, page_at, body, media=media, status=status)
        assert (items, parsed.items, parsed.seen) == ([], 0, ())
        assert parsed.gone == (KNOWN[name][0],)
    with pytest.raises(MalformedPage, match=f"^{name}: 404 in an unknown form"):
        single(name, page_at, b"\x00", media="image/png", status=404)


@pytest.mark.parametrize("name", SINGLE)
def test_answer_about_one_posting_of_another_kind_is_malformed_and_names_the_source(page_at, name):
    for body, media in ((b"[]", "application/xml"), (b"", "image/png")):
        with pytest.raises(MalformedPage, match=f"^{name}: "):
            single(name, page_at, body, media=media)


@pytest.mark.parametrize("name", ["greenhouse", "smartrecruiters"])
def test_answer_about_another_posting_is_rejected_under_the_id_that_was_asked(page_at, name):
    body = b'{"id":"1","title":"a","name":"a","absolute_url":"https://a.example/1"}'
    drafts, _, parsed = single(name, page_at, body, media="application/json")
    assert drafts == []
    assert parsed.rejected == (
        Rejected(external_id=KNOWN[name][0], reason="the answer is about another posting"),
    )
    _, _, parsed = single(name, page_at, b"{}", media="application/json")
    assert [item.external_id for item in parsed.rejected] == [KNOWN[name][0]]


def test_source_without_single_postings_refuses_to_read_one(page_at):
    request = attrs.evolve(
        named("lever").requests(board("lever"), Route.INDIVIDUAL)[0], posting=ExternalId("u")
    )
    with pytest.raises(ValueError, match="asks for no single postings"):
        named("lever").parse_individual(
            page_at("https://a.example/", b"{}"), board("lever"), request
        )


@pytest.mark.parametrize(
    ("name", "external_id", "url"),
    [
        ("recruitee", "example/1", "http://careers.example.com/o/planner"),
        ("recruitee", "example/1", "https://example.recruitee.com/o/a/../../admin"),
        ("recruitee", "other/1", "https://example.recruitee.com/o/planner"),
        ("recruitee", "example/1", "http://[/o/planner"),
        ("personio", "500001", "https://example.jobs.personio.de/job/500001"),
    ],
)
def test_posting_that_lies_elsewhere_or_is_of_another_board_is_not_asked_for(
    name, external_id, url
):
    one = KnownPosting(external_id=ExternalId(external_id), url=url)
    requests = named(name).individual(board(name), [one], 9)
    assert [request.posting for request in requests] == [None] * len(LISTS[name])


def test_id_with_odd_letters_is_encoded_once_in_its_path():
    one = KnownPosting(external_id=ExternalId("a/../b?c"), url="https://jobs.ashbyhq.com/x")
    own = board("ashby", "Lumen Oak")
    (request,) = named("ashby").individual(own, [one], 1)
    assert request.url == "https://jobs.ashbyhq.com/Lumen%20Oak/a%2F..%2Fb%3Fc"


# --- the light lists


def test_greenhouse_departments_give_every_job_once_without_text_synthetic(page_at, synthetic):
    page = page_at("https://a.example/", "greenhouse_departments_synthetic.json")
    drafts, items, parsed = read("greenhouse", page)
    assert (parsed.items, parsed.repeated, parsed.rejected) == (3, 1, ())
    assert {item.form for item in items} == {Form.LIGHT}
    assert items[1].detail.url.endswith("/jobs/4100001?pay_transparency=true")
    stored = bulk(synthetic, "greenhouse")
    assert {draft.external_id for draft in drafts} == stored.keys()
    for draft in drafts:
        assert draft.description == ""
        over = over_stored(draft, stored[draft.external_id])
        assert same(over, stored[draft.external_id])
        assert over.posted_at == stored[draft.external_id].posted_at


def test_greenhouse_job_alone_is_the_listed_one_with_its_pay_synthetic(page_at, synthetic):
    page = "greenhouse_job_synthetic.json"
    (draft,), _, parsed = single("greenhouse", page_at, page)
    stored = bulk(synthetic, "greenhouse")[draft.external_id]
    assert (parsed.items, parsed.seen) == (1, (draft.external_id,))
    pay = draft.salary
    assert (pay.raw, pay.currency, pay.interval.value) == ("44000 - 52000 EUR", "EUR", "unknown")
    plain = attrs.evolve(draft, salary=None, source_digest=stored.source_digest)
    assert plain == stored
    assert same(over_stored(stored, draft), draft)


def test_greenhouse_pay_in_two_currencies_is_the_first_range(page_at, synthetic):
    job = synthetic("greenhouse").json()["jobs"][0]
    job["pay_input_ranges"] = [
        {"min_cents": 5000, "max_cents": None, "currency_type": "USD"},
        {"min_cents": 9000, "max_cents": 9500, "currency_type": "EUR"},
    ]
    (draft,), *_ = single("greenhouse", page_at, json.dumps(job).encode(), media="application/json")
    assert (draft.salary.raw, draft.salary.minimum) == ("50 USD", 50)


def test_lever_small_pages_are_walked_until_a_short_one_synthetic(page_at, synthetic):
    items = [
        {"id": str(n), "text": "Job", "hostedUrl": f"https://a.example/{n}"} for n in range(23)
    ]
    walk = start(named("lever").requests(board("lever"), Route.INDIVIDUAL), coverage=Coverage.EACH)
    asked = []
    while (request := next_request(walk)) is not None:
        skip = int(request.url.partition("skip=")[2].partition("&")[0])
        asked.append(skip)
        body = json.dumps(items[skip : skip + 10]).encode()
        page = page_at(request.url, body, media="application/json")
        walk = on_page(walk, read("lever", page, request)[2])
    assert (asked, len(walk.seen), finish(walk)) == ([0, 10, 20], 23, Complete())


def test_lever_item_of_a_small_page_has_the_digest_of_the_whole_answer(page_at, synthetic):
    answer = synthetic("lever")
    *whole, _ = answer.source.parse(answer.page, answer.board)
    page = attrs.evolve(answer.page, url="https://a.example/?skip=0&limit=10")
    drafts, small, _ = read("lever", page)
    assert [item.source_digest for item in small] == [item.source_digest for item in whole]
    assert drafts == list(bulk(synthetic, "lever").values())


def test_smartrecruiters_list_keeps_the_text_and_link_of_the_detail_synthetic(page_at, synthetic):
    page = "smartrecruiters_posting_synthetic.json"
    (detail,), *_ = single("smartrecruiters", page_at, page)
    assert detail.description == "Us\n\nWe sell.\n\nYou\n\n- Sell & learn"
    assert detail.url == "https://jobs.smartrecruiters.com/Example/7439990001-trainee-sales"
    listed = bulk(synthetic, "smartrecruiters")[detail.external_id]
    assert listed.weak == {"description", "url"}
    over = over_stored(listed, detail)
    assert attrs.evolve(over, source_digest=detail.source_digest) == detail
    answer = synthetic("smartrecruiters")
    first = next(iter(answer.source.parse(answer.page, answer.board)))
    assert first.detail.url == (
        "https://api.smartrecruiters.com/v1/companies/example/postings/7439990001"
    )


def test_workable_list_by_post_brings_new_ones_and_keeps_what_is_stored_synthetic(
    page_at, synthetic
):
    (request,) = named("workable").requests(board("workable"), Route.INDIVIDUAL)
    assert (request.method, request.body) == ("POST", b"{}")
    drafts, _, parsed = read("workable", page_at(request.url, "workable_list_synthetic.json"))
    assert (parsed.items, parsed.following) == (2, None)
    assert [(draft.external_id, draft.title, draft.remote) for draft in drafts] == [
        ("A1B2C3D4E5", "Junior Analyst", Remote.NO),
        ("F6A7B8C9D0", "Working Student", Remote.YES),
    ]
    assert drafts[1].locations[0].country == "GR"
    stored = bulk(synthetic, "workable")["A1B2C3D4E5"]
    assert same(over_stored(drafts[0], stored), stored)
    with pytest.raises(MalformedPage, match=r"^workable: expected an object with `results`"):
        read("workable", page_at(request.url, b'{"jobs":[]}', media="application/json"))


def test_personio_search_confirms_what_is_stored_and_gives_new_ones_synthetic(page_at, synthetic):
    page = page_at("https://a.example/search.json", "personio_search_synthetic.json")
    drafts, items, parsed = read("personio", page)
    assert [draft.title for draft in drafts] == [
        "Werkstudent Produkt (m/w/d)",
        "Praktikant Marketing",
    ]
    assert [item.detail.url for item in items] == [
        "https://example.jobs.personio.de/job/500001",
        "https://example.jobs.personio.de/job/500002",
    ]
    assert parsed.seen == ("example/500001", "example/500002", "example/500003")
    assert [item.reason for item in parsed.rejected] == ["`name` is missing"]
    stored = bulk(synthetic, "personio")
    for draft in drafts:
        assert same(over_stored(draft, stored[draft.external_id]), stored[draft.external_id])


@pytest.mark.parametrize(
    ("name", "page", "text"),
    [
        ("workable", "workable_job_synthetic.json", "Ask & answer.\n\n- Spanish\n\nSun."),
        ("bamboohr", "bamboohr_job_synthetic.json", "Write posts.\n\n- English"),
        ("breezy", "jobposting_synthetic.html", "Plan routes.\n\n- Dutch"),
        ("workday", "workday_job_synthetic.json", "Build & learn.\n\n- C++"),
        (
            "arbeitsagentur",
            "arbeitsagentur_job_synthetic.json",
            "Sie planen Touren.\n\nSie lernen viel.",
        ),
        ("reed", "reed_job_synthetic.json", "You buy & sell.\n\n- Numbers"),
    ],
)
def test_detail_brings_the_text_that_the_list_lacks_synthetic(page_at, synthetic, name, page, text):
    (detail,), _, parsed = single(name, page_at, page)
    listed = bulk(synthetic, name)[detail.external_id]
    assert (detail.description, parsed.rejected) == (text, ())
    assert over_stored(detail, listed).description == text
    assert detail.title == listed.title or name == "breezy"


def test_bamboohr_detail_brings_date_pay_and_level_synthetic(page_at):
    (detail,), *_ = single("bamboohr", page_at, "bamboohr_job_synthetic.json")
    assert (detail.posted_raw, detail.level) == ("2026-09-10", "Entry-level")
    assert detail.salary.raw == "€15 per hour"


def test_workday_detail_brings_dates_and_every_place_synthetic(page_at):
    (detail,), *_ = single("workday", page_at, "workday_job_synthetic.json")
    assert (detail.posted_raw, detail.closes_at.date().isoformat()) == ("2026-09-28", "2027-01-01")
    assert [place.city for place in detail.locations] == ["Dublin", "Cork"]
    assert (detail.remote, detail.tags) == (Remote.NO, ("hybrid",))
    assert detail.company == "Example Engines Ltd"


def test_reed_detail_states_the_interval_of_its_pay_and_the_contract_synthetic(page_at):
    (detail,), *_ = single("reed", page_at, "reed_job_synthetic.json")
    assert (detail.salary.interval, detail.salary.origin) == (Interval.YEAR, SalaryOrigin.STATED)
    assert detail.employment == ("Permanent",)


# --- postings by their own pages


@pytest.mark.parametrize("name", ["ashby", "recruitee", "personio"])
def test_page_of_a_posting_gives_that_one_and_changes_nothing_stored_synthetic(
    page_at, synthetic, name
):
    (draft,), _, parsed = single(name, page_at, "jobposting_synthetic.html")
    assert draft.external_id == KNOWN[name][0]
    assert (draft.title, draft.company) == ("Junior Planner & Friend", "Example Logistics")
    assert draft.description == "Plan routes.\n\n- Dutch"
    assert draft.closes_at.isoformat() == "2027-01-01T00:00:00+00:00"
    assert draft.weak == CONTENT - {"closes_at"}
    assert parsed.rejected == ()
    stored = attrs.evolve(bulk(synthetic, name)[draft.external_id], company="Acme")
    over = over_stored(draft, stored)
    kept = attrs.evolve(over, salary=stored.salary, level=stored.level)
    assert same(kept, stored)
    if stored.salary is None:
        assert over.salary == draft.salary


def test_page_with_several_postings_gives_the_one_that_is_named(page_at):
    def script(id):
        data = {"@type": "JobPosting", "title": f"Job {id}", "identifier": id}
        return f'<script type="application/ld+json">{json.dumps(data)}</script>'

    body = (script("1") + script(UUID) + script("3")).encode()
    (draft,), *_ = single("ashby", page_at, body, media="text/html")
    assert draft.title == f"Job {UUID}"
    both = (script("1") + script("3")).encode()
    _, _, parsed = single("ashby", page_at, both, media="text/html")
    assert [item.reason for item in parsed.rejected] == [
        "several postings in the page, none of which is named"
    ]


@pytest.mark.parametrize(
    ("body", "url", "reason"),
    [
        (b"<h1>Careers</h1>", None, "no JobPosting in the page"),
        (
            b'<script type="application/ld+json">{"@type":"JobPosting","title":"x"}</script>',
            "https://jobs.ashbyhq.com/example",
            "redirected to a page that does not name the posting",
        ),
        (
            b'<script type="application/ld+json">{"@type":"JobPosting"}</script>',
            None,
            "no title",
        ),
    ],
)
def test_page_that_is_not_the_postings_own_is_rejected_and_closes_nothing(
    page_at, body, url, reason
):
    drafts, _, parsed = single("ashby", page_at, body, media="text/html", url=url)
    assert (drafts, parsed.gone) == ([], ())
    assert parsed.rejected == (Rejected(external_id=UUID, reason=reason),)


def test_walk_over_pages_without_markup_is_drift_and_over_a_few_is_not(page_at):
    source, own = named("ashby"), board("ashby")
    ones = [
        KnownPosting(external_id=ExternalId(str(n)), url="https://jobs.ashbyhq.com/x")
        for n in range(6)
    ]
    walk = start(source.individual(own, ones, 6), coverage=Coverage.EACH)
    while (request := next_request(walk)) is not None:
        page = page_at(request.url, b"<html></html>", media="text/html")
        walk = on_page(walk, read("ashby", page, request)[2])
    reason = "4 of 4 postings rejected: no JobPosting in the page"
    assert finish(walk) == Drift(reason=reason)


# --- recorded answers


def test_recorded_greenhouse_departments_give_thirteen_jobs(recordings):
    answer = recordings["greenhouse/netlify_departments.json"]
    drafts, items, parsed = read("greenhouse", answer.page)
    assert (parsed.items, parsed.repeated, parsed.rejected, len(drafts)) == (13, 0, (), 13)
    assert all(draft.locations and draft.posted_at and draft.title for draft in drafts)
    assert all(item.detail.posting == item.external_id for item in items)


def test_recorded_small_page_of_lever_gives_sixteen_postings_and_asks_for_more(recordings):
    drafts, _, parsed = read("lever", recordings["lever/1password_first.json"].page)
    assert (len(drafts), parsed.rejected) == (16, ())
    assert parsed.following.url.endswith("?mode=json&skip=16&limit=16")


def test_recorded_pages_of_smartrecruiters_are_read_by_the_light_route_too(recordings):
    first = read("smartrecruiters", recordings["smartrecruiters/shopify_offset0.json"].page)
    last = read("smartrecruiters", recordings["smartrecruiters/shopify_offset50.json"].page)
    assert (len(first[0]), len(last[0])) == (50, 28)
    assert first[2].following.url.endswith("offset=50&limit=50")
    assert last[2].following is None


def test_recorded_postings_keep_their_ids_when_they_are_asked_for_alone(recordings, read):
    asked = skipped = 0
    for answer in recordings.values():
        if answer.kind not in ("recorded", "recorded-trimmed") or answer.page.status != 200:
            continue
        if answer.source.name not in SINGLE or answer.file in UNREAD:
            continue
        for draft in read(answer).drafts:
            one = KnownPosting(external_id=draft.external_id, url=draft.url)
            found = answer.source.individual(answer.board, [one], 1)
            if found and found[0].posting is not None:
                assert found[0].posting == draft.external_id
                if answer.source.name in ("ashby", "personio") and answer.board.slug in draft.url:
                    assert found[0].url == draft.url
                asked += 1
            else:
                skipped += 1
    assert (asked, skipped) == (764 + 78 + 2 + 1 + 5 + 2, 8)


def test_synthetic_details_made_of_recorded_items_are_the_listed_postings(recordings, page_at):
    for file, key in (
        ("greenhouse/board_content_2026.json", "jobs"),
        ("smartrecruiters/shopify_offset0.json", "content"),
    ):
        answer = recordings[file]
        *items, _ = answer.source.parse(answer.page, answer.board)
        for item, job in zip(items, answer.json()[key], strict=True):
            listed = answer.source.convert(item, answer.page, answer.board)
            one = KnownPosting(external_id=listed.external_id, url=listed.url)
            (request,) = answer.source.individual(answer.board, [one], 1)
            page = page_at(request.url, json.dumps(job).encode(), media="application/json")
            alone, _ = answer.source.parse_individual(page, answer.board, request)
            assert isinstance(alone, RawItem)
            draft = answer.source.convert(alone, page, answer.board)
            assert attrs.evolve(draft, source_digest=listed.source_digest) == listed
