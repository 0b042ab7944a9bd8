"""Rules that every source keeps, on synthetic answers."""

import json
from urllib.parse import quote

import attrs
import pytest

from jobping.core.board import Board, Coverage, Route
from jobping.core.ids import Domain, SourceName
from jobping.core.quota import Span
from jobping.core.walk import Complete, Partial, finish, next_request, on_page, start
from jobping.errors import MalformedPage
from jobping.sources import SOURCES
from jobping.sources.defaults import DEFAULT_BOARDS
from jobping.sources.items import MAX_ITEMS
from jobping.sources.source import RawItem, Rejected, with_base_url
from tests.sources.conftest import MARKUP, SLUGS

NAMES = [source.name for source in SOURCES]
FEEDS = ("remoteok", "jobicy", "remotive", "arbeitnow", "himalayas", "hackernews", "weworkremotely")
JSON_NAMES = [name for name in NAMES if name not in MARKUP]


def named(name):
    return next(source for source in SOURCES if source.name == name)


def board(name, slug=None, company=None):
    return Board(source=SourceName(name), slug=slug or SLUGS.get(name, "example"), company=company)


@pytest.mark.parametrize(
    ("name", "slug", "url"),
    [
        ("greenhouse", "acme", "https://boards-api.greenhouse.io/v1/boards/acme/jobs?content=true"),
        ("lever", "acme", "https://api.lever.co/v0/postings/acme?mode=json"),
        (
            "ashby",
            "Hyperliquid Labs",
            "https://api.ashbyhq.com/posting-api/job-board/Hyperliquid%20Labs?includeCompensation=true",
        ),
        (
            "ashby",
            "li.fi",
            "https://api.ashbyhq.com/posting-api/job-board/li.fi?includeCompensation=true",
        ),
        ("recruitee", "acme", "https://acme.recruitee.com/api/offers/"),
        (
            "smartrecruiters",
            "Acme",
            "https://api.smartrecruiters.com/v1/companies/Acme/postings?limit=100&offset=0",
        ),
        ("personio", "acme", "https://acme.jobs.personio.de/xml?language=en"),
        (
            "workable",
            "acme",
            "https://apply.workable.com/api/v1/widget/accounts/acme?details=true",
        ),
        ("bamboohr", "acme", "https://acme.bamboohr.com/careers/list"),
        ("breezy", "acme", "https://acme.breezy.hr/json"),
        (
            "workday",
            "acme:wd3:Acme_Careers",
            "https://acme.wd3.myworkdayjobs.com/wday/cxs/acme/Acme_Careers/jobs",
        ),
        ("teamtailor", "acme", "https://acme.teamtailor.com/jobs.json"),
        ("teamtailor", "careers.acme.com", "https://careers.acme.com/jobs.json"),
        ("himalayas", "all", "https://himalayas.app/jobs/api"),
        (
            "weworkremotely",
            "remote-design-jobs",
            "https://weworkremotely.com/categories/remote-design-jobs.rss",
        ),
        (
            "hackernews",
            "all",
            "https://hn.algolia.com/api/v1/search_by_date?tags=story,author_whoishiring",
        ),
        (
            "arbeitsagentur",
            "angebotsart:34;wo:München",
            "https://rest.arbeitsagentur.de/jobboerse/jobsuche-service/pc/v6/jobs"
            "?veroeffentlichtseit=7&angebotsart=34&wo=M%C3%BCnchen&page=1&size=100",
        ),
        (
            "themuse",
            "location:Berlin, Germany;level:Entry Level;level:Internship",
            "https://www.themuse.com/api/public/jobs?page=0&location=Berlin%2C%20Germany"
            "&level=Entry%20Level&level=Internship",
        ),
        (
            "jsearch",
            "query:graduate analyst in Berlin",
            "https://jsearch.p.rapidapi.com/search?date_posted=week"
            "&query=graduate%20analyst%20in%20Berlin&page=1&num_pages=1",
        ),
        (
            "adzuna",
            "country:gb;where:London;what:graduate analyst",
            "https://api.adzuna.com/v1/api/jobs/gb/search/1?results_per_page=50&max_days_old=7"
            "&sort_by=date&where=London&what=graduate%20analyst",
        ),
        (
            "reed",
            "locationName:London;keywords:graduate analyst",
            "https://www.reed.co.uk/api/1.0/search?locationName=London"
            "&keywords=graduate%20analyst&resultsToTake=100&resultsToSkip=0",
        ),
        ("site", "careers.acme.com", "https://careers.acme.com/robots.txt"),
        ("feed", "acme.com/jobs/feed.rss?lang=en", "https://acme.com/jobs/feed.rss?lang=en"),
        ("feed", "acme.com", "https://acme.com/"),
        ("remoteok", "all", "https://remoteok.com/api"),
        ("jobicy", "all", "https://jobicy.com/api/v2/remote-jobs?count=50"),
        ("jobicy", "tag:c++", "https://jobicy.com/api/v2/remote-jobs?count=50&tag=c%2B%2B"),
        ("jobicy", "geo:canada", "https://jobicy.com/api/v2/remote-jobs?count=50&geo=canada"),
        (
            "jobicy",
            "industry:supporting",
            "https://jobicy.com/api/v2/remote-jobs?count=50&industry=supporting",
        ),
        ("remotive", "all", "https://remotive.com/api/remote-jobs"),
        (
            "remotive",
            "category:all others",
            "https://remotive.com/api/remote-jobs?category=all%20others",
        ),
        ("arbeitnow", "all", "https://www.arbeitnow.com/api/job-board-api"),
    ],
)
def test_source_asks_the_documented_place_within_its_hosts(name, slug, url):
    source, asked = named(name), board(name, slug)
    (request,) = source.requests(asked, Route.RELIABLE)
    assert request.url == url
    assert source.domain(asked) == url.split("/")[2]
    assert source.domain(asked) in source.hosts(asked)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "slug", ["", ".", "..", "a/b", "a%20b", "a?b", "a#b", "a\nb", " a", "é", "x" * 101, "a@b"]
)
def test_source_refuses_a_slug_that_could_leave_its_place_in_the_url(name, slug):
    with pytest.raises(ValueError, match=f"^{name}: "):
        named(name).check_slug(slug)
    with pytest.raises(ValueError, match=f"^{name}: "):
        named(name).requests(board(name, slug or " "), Route.RELIABLE)


@pytest.mark.parametrize("name", NAMES)
def test_source_asked_elsewhere_stays_there_with_port_and_path(name):
    moved = with_base_url(named(name), f"http://127.0.0.1:8080/{name}/{{slug}}/")
    asked = board(name)
    (request,) = moved.requests(asked, Route.RELIABLE)
    place = quote(named(name).place(asked.slug), safe="")
    assert request.url.startswith(f"http://127.0.0.1:8080/{name}/{place}/")
    assert "//" not in request.url.removeprefix("http://")
    assert moved.hosts(asked) == frozenset({Domain("127.0.0.1:8080")})
    assert moved.domain(asked) == "127.0.0.1:8080"
    assert (moved.name, moved.coverage, moved.pace) == (
        named(name).name,
        named(name).coverage,
        named(name).pace,
    )


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "a.example", "https://u:p@a.example", "https://a.example?x=1", ""]
)
def test_source_refuses_a_base_url_that_requests_cannot_be_built_upon(url):
    with pytest.raises(ValueError, match=r"URL|query"):
        with_base_url(named("lever"), url)


@pytest.mark.parametrize(
    "name", ["recruitee", "personio", "bamboohr", "breezy", "workday", "site", "feed"]
)
def test_source_with_a_host_per_company_wants_the_slug_in_its_base_url(name):
    with pytest.raises(ValueError, match="must hold"):
        with_base_url(named(name), "https://proxy.example")


def test_hosts_of_one_source_belong_to_no_other():
    owners = {}
    for source in SOURCES:
        for host in source.hosts(board(source.name)):
            assert owners.setdefault(host, source.name) == source.name


@pytest.mark.parametrize("name", JSON_NAMES)
@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"<!doctype html><title>Maintenance</title>", "text/html"),
        (b"<!doctype html><title>Maintenance</title>", "application/json"),
        (b"", "application/json"),
        (b'{"ok":false,"error":"Document not found"}', "application/json"),
        (b'{"postings":[]}', "application/json"),
        (b'"text"', "application/json"),
        (b'{"jobs":[],"data":[],"offers":[],"content":[]', "application/json"),
        (b'[{"id":NaN}]', "application/json"),
        (b"[]x", "application/json"),
        (b'{"jobs":[],"data":[],"offers":[],"content":[]}{}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"jobs":' + b"[" * 100_000, "application/json"),
        (b"[]", "text/plain"),
        (b"[]", "application/json; charset=utf-7"),
        (b"[]", "application/json; charset=klingon"),
    ],
)
def test_json_source_calls_another_shape_malformed_and_names_itself(synthetic, name, body, media):
    answer = synthetic(name, body, media=media)
    with pytest.raises(MalformedPage) as caught:
        list(answer.source.parse(answer.page, answer.board))
    assert caught.value.why.startswith(f"{name}: ")
    assert len(caught.value.why) < 400


@pytest.mark.parametrize(("name", "other"), [("lever", b"{}"), ("greenhouse", b"[]")])
def test_source_calls_object_and_array_confused_malformed(synthetic, name, other):
    answer = synthetic(name, other)
    with pytest.raises(MalformedPage, match="expected an"):
        list(answer.source.parse(answer.page, answer.board))


@pytest.mark.parametrize(
    "body",
    [
        b"<html></html>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><workzag-jobs>&a;</workzag-jobs>',
        b'<!DOCTYPE workzag-jobs SYSTEM "http://a.example/x.dtd"><workzag-jobs/>',
        b"<workzag-jobs><position>",
        b"<a>" * 50_000,
        b"<workzag-jobs>" + b"<position>" * 101 + b"</position>" * 101 + b"</workzag-jobs>",
        b'<?xml version="1.0" encoding="klingon"?><workzag-jobs/>',
        b"<workzag-jobs>&undefined;</workzag-jobs>",
        b"",
        b"{}",
    ],
)
def test_personio_refuses_xml_with_dtd_depth_or_another_root(synthetic, body):
    answer = synthetic("personio", body)
    with pytest.raises(MalformedPage, match=r"^personio: "):
        list(answer.source.parse(answer.page, answer.board))


def test_personio_reads_the_encoding_that_the_document_declares(synthetic, read):
    text = (
        "<?xml version='1.0' encoding='iso-8859-1'?><workzag-jobs><position><id>1</id>"
        "<name>Prüfer</name></position></workzag-jobs>"
    )
    assert read(synthetic("personio", text.encode("latin-1"))).drafts[0].title == "Prüfer"


def test_json_source_reads_a_declared_charset_and_counts_lost_characters(synthetic, read):
    items = [{"id": "1", "text": "Prüfer", "hostedUrl": "https://a.example/1"}]
    body = json.dumps(items, ensure_ascii=False)
    media = "application/json; charset=windows-1252"
    found = read(synthetic("lever", body.encode("cp1252"), media=media))
    assert (found.drafts[0].title, found.parsed.replaced) == ("Prüfer", 0)
    broken = body.encode("cp1252").replace(b"\xfc", b"\x81")
    found = read(synthetic("lever", broken, media=media))
    assert (found.drafts[0].title, found.parsed.replaced) == ("Pr\ufffdfer", 1)


def test_json_source_reads_past_a_byte_order_mark_and_half_a_surrogate(synthetic, read):
    body = b'\xef\xbb\xbf[{"id":"1","text":"Cut \\ud83d","hostedUrl":"https://a.example/1"}]'
    assert read(synthetic("lever", body)).drafts[0].title == "Cut \ufffd"
    whole = (
        b'[{"id":"1","text":"\\ud83d\\ude80 \\\\ud83d \\ud83d","hostedUrl":"https://a.example/1"}]'
    )
    assert read(synthetic("lever", whole)).drafts[0].title == "\U0001f680 \\ud83d \ufffd"


def lever(**changes):
    return {"id": "1", "text": "Title", "hostedUrl": "https://a.example/1", **changes}


@pytest.mark.parametrize(
    ("item", "external_id", "reason"),
    [
        ({"id": "1", "hostedUrl": "https://a.example/1"}, "1", "`text` is missing"),
        (lever(text=" \u200b"), "1", "no title"),
        (lever(text=["a"]), "1", "`text`: Expected `str`, got `array`"),
        (lever(text="x" * 1001), "1", "title of 1001 characters"),
        (lever(hostedUrl="/jobs/1"), "1", "no absolute http(s) URL"),
        (lever(hostedUrl="javascript:alert(1)"), "1", "no absolute http(s) URL"),
        (lever(hostedUrl="https://a.example/ 1"), "1", "URL with blanks"),
        (lever(hostedUrl="https://u@a.example/1"), "1", "URL with blanks"),
        (lever(hostedUrl="http://[/1"), "1", "no absolute http(s) URL"),
        (lever(id=""), None, "id is empty"),
        (lever(id=None), None, "`id`: Expected"),
        (lever(id="x" * 201), None, "id is empty, too long"),
        (lever(id="a\x00"), None, "id is empty, too long or unprintable"),
        ("text", None, "Expected `object`"),
    ],
)
def test_item_that_is_no_job_is_rejected_with_its_id_and_a_reason(
    synthetic, read, item, external_id, reason
):
    found = read(synthetic("lever", json.dumps([item, lever(id="2")]).encode()))
    (rejected,) = found.parsed.rejected
    assert (rejected.external_id, found.parsed.items, len(found.drafts)) == (external_id, 2, 1)
    assert rejected.reason.startswith(reason)
    assert found.parsed.seen == ((external_id, "2") if external_id else ("2",))


@pytest.mark.parametrize(
    "item",
    [
        b'{"id":1e999,"text":"A","hostedUrl":"https://a.example/1"}',
        b'{"id":' + b"9" * 5_000 + b',"text":"A","hostedUrl":"https://a.example/1"}',
        b'{"id":"1","text":"A\x07","hostedUrl":"https://a.example/1"}',
        b'{"id":"1","text":"A\xff","hostedUrl":"https://a.example/1"}',
    ],
)
def test_item_of_broken_json_is_no_job(synthetic, read, item):
    answer = synthetic("lever", b"[" + item + b"," + json.dumps(lever(id="2")).encode() + b"]")
    try:
        found = read(answer).drafts
    except MalformedPage:
        found = []
    assert [draft.external_id for draft in found] in ([], ["2"])


def test_last_of_two_equal_keys_wins_and_nul_goes(synthetic, read):
    url = b'"hostedUrl":"https://evil.example/","hostedUrl":"https://a.example/1"'
    (draft,) = read(synthetic("lever", b'[{"id":"1","text":"A\\u0000B",' + url + b"}]")).drafts
    assert (draft.title, draft.url) == ("AB", "https://a.example/1")


def test_item_with_wrong_types_in_optional_keys_is_still_a_job(synthetic, read):
    item = lever(
        categories="Sales", createdAt="yesterday", lists={"a": 1}, salaryRange=[1], country=7,
        description=None, workplaceType={"x": 1}, unknown=[[[]]],
    )  # fmt: skip
    (draft,) = read(synthetic("lever", json.dumps([item]).encode())).drafts
    assert (draft.title, draft.locations, draft.posted_at, draft.salary) == (
        "Title",
        (),
        None,
        None,
    )


def test_item_with_an_id_beyond_64_bits_keeps_its_id_as_text(synthetic, read):
    body = json.dumps([lever(id=10**30)]).encode()
    assert read(synthetic("lever", body)).drafts[0].external_id == "1" + "0" * 30


def test_repeated_ids_on_a_page_are_counted_and_given_once(synthetic, read):
    body = json.dumps([lever(), lever(text="Again"), lever(id="2")]).encode()
    found = read(synthetic("lever", body))
    assert [draft.title for draft in found.drafts] == ["Title", "Title"]
    assert (found.parsed.items, found.parsed.repeated, found.parsed.seen) == (3, 1, ("1", "2"))


def test_sound_item_is_taken_after_a_rejected_one_of_the_same_id(synthetic, read):
    found = read(synthetic("lever", json.dumps([lever(text=""), lever()]).encode()))
    assert (len(found.drafts), found.parsed.repeated, len(found.parsed.rejected)) == (1, 0, 1)


def test_answer_with_too_many_items_is_malformed(synthetic):
    answer = synthetic("lever", b"[" + b"1," * MAX_ITEMS + b"1]")
    with pytest.raises(MalformedPage, match=f"{MAX_ITEMS + 1} items"):
        list(answer.source.parse(answer.page, answer.board))


def test_future_date_is_clamped_to_the_moment_of_the_fetch(synthetic, read):
    answer = synthetic("lever", json.dumps([lever(createdAt=4_000_000_000_000)]).encode())
    (draft,) = read(answer).drafts
    assert (draft.posted_at, draft.posted_raw) == (answer.page.fetched_at, "4000000000000")


def test_digest_changes_with_item_and_board_but_not_with_other_items(synthetic, read):
    def digest(body, **fields):
        return read(synthetic("lever", json.dumps(body).encode(), **fields)).raws[0].source_digest

    plain = digest([lever()])
    assert digest([lever(), lever(id="2")]) == plain
    assert digest([lever(text="Other")]) != plain
    assert digest([lever()], company="Acme") != plain
    assert digest([lever()], slug="other") != plain


@pytest.mark.parametrize("name", NAMES)
def test_company_comes_from_the_answer_and_else_from_the_configuration(synthetic, read, name):
    found = read(synthetic(name, company="Configured Name"))
    assert all(draft.company for draft in found.drafts)
    told = {draft.company for draft in read(synthetic(name)).drafts} - {None}
    assert told <= {draft.company for draft in found.drafts}
    if name in ("lever", "ashby"):
        assert {draft.company for draft in found.drafts} == {"Configured Name"}


@pytest.mark.parametrize("name", NAMES)
def test_names_and_mail_addresses_of_persons_never_leave_the_source(synthetic, read, name):
    shown = repr(read(synthetic(name)).drafts)
    assert "Somebody Unread" not in shown
    assert "example.invalid" not in shown


def test_walk_over_smartrecruiters_asks_page_by_page_to_the_total(synthetic, read):
    answer = synthetic("smartrecruiters", slug="Example")
    walk = start(answer.source.requests(answer.board, Route.RELIABLE))
    walk = on_page(walk, read(answer).parsed)
    assert next_request(walk).url == "https://a.example/jobs/gb/search/1?limit=3&offset=3"
    rest = [{"id": str(number), "name": "Job"} for number in (4, 5)]
    body = json.dumps({"offset": 3, "limit": 3, "totalFound": 0, "content": rest}).encode()
    walk = on_page(walk, read(synthetic("smartrecruiters", body, slug="Example")).parsed)
    assert (next_request(walk), len(walk.seen), finish(walk)) == (None, 5, Complete())


def test_walk_over_a_smartrecruiters_that_repeats_its_pages_ends_partial(synthetic, read):
    answer = synthetic("smartrecruiters", slug="Example")
    walk = start(answer.source.requests(answer.board, Route.RELIABLE))
    for _ in range(2):
        walk = on_page(walk, read(answer).parsed)
    assert (next_request(walk), finish(walk)) == (None, Partial(reason="3 of 5 postings"))


def test_walk_over_arbeitnow_follows_the_link_at_the_place_asked_up_to_its_cap(synthetic, read):
    answer = synthetic("arbeitnow", slug="all")
    source = answer.source
    walk = start(
        source.requests(answer.board, Route.RELIABLE),
        coverage=source.coverage,
        page_cap=source.page_cap,
    )
    for number in range(source.page_cap):
        body = answer.page.body.replace(b'"slug":"', f'"slug":"{number}-'.encode())
        walk = on_page(walk, read(synthetic("arbeitnow", body, slug="all")).parsed)
        if number == 0:
            assert next_request(walk).url == "https://a.example/jobs/gb/search/1?page=2"
    assert (walk.pages, finish(walk)) == (3, Complete())


@pytest.mark.parametrize("link", ["https://evil.example/?page=x", "https://evil.example/", ""])
def test_arbeitnow_link_without_a_page_number_is_not_followed(synthetic, read, link):
    body = json.dumps({"data": [], "links": {"next": link}}).encode()
    assert read(synthetic("arbeitnow", body, slug="all")).parsed.following is None


@pytest.mark.parametrize(
    ("name", "body", "media", "gone"),
    [
        ("greenhouse", b'{"status":404,"error":"Job not found"}', "application/json", True),
        ("greenhouse", b"<html>", "text/html", False),
        ("lever", b'{"ok":false,"error":"Document not found"}', "application/json", True),
        ("lever", b"[]", "application/json", False),
        ("ashby", b"Not Found", "text/plain; charset=utf-8", True),
        ("ashby", b"<html>Not Found", "text/html", False),
        ("recruitee", b'{"error":"Not Found"}', "application/json", True),
        ("smartrecruiters", b'{"message":"no"}', "application/json", True),
        ("personio", b"<html>", "text/html", True),
        ("workable", b"Not Found", "text/plain; charset=utf-8", True),
        ("workable", b"<html>", "text/html", False),
        ("bamboohr", b'{"error":"no"}', "application/json", True),
        ("breezy", b"<html>", "text/html", False),
        ("remoteok", b"{}", "application/json", False),
        ("jobicy", b"{}", "application/json", False),
    ],
)
def test_404_means_a_gone_board_only_in_the_known_form(synthetic, name, body, media, gone):
    answer = synthetic(name, body, media=media, status=404)
    assert answer.source.is_gone(answer.page) is gone
    assert not answer.source.is_gone(attrs.evolve(answer.page, status=200))
    with pytest.raises(MalformedPage, match="404 in an unknown form"):
        list(answer.source.parse(answer.page, answer.board))


def test_convert_rejects_a_raw_item_of_another_source(synthetic):
    answer = synthetic("lever")
    item = RawItem(external_id="1", source_digest=b"", raw=b'{"id":"1"}')
    found = answer.source.convert(item, answer.page, answer.board)
    assert found == Rejected(external_id="1", reason="`text` is missing")


WITHOUT_DEFAULT = {"bamboohr", "breezy", "workday", "site", "feed"}


def test_default_boards_are_valid_unique_and_cover_every_source():
    keys = [(entry.source, entry.slug) for entry in DEFAULT_BOARDS]
    assert len(set(keys)) == len(keys)
    assert {source for source, _ in keys} == set(NAMES) - WITHOUT_DEFAULT
    for entry in DEFAULT_BOARDS:
        named(entry.source).check_slug(entry.slug)
        assert (entry.company is None) == (
            named(entry.source).coverage is Coverage.QUERY or (entry.source in FEEDS)
        )


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_poll_period_and_daily_quota_of_a_source_fit_its_terms(source):
    polls = 86_400 / source.pace.poll_every_s
    days = [quota.most for quota in source.pace.quotas if quota.span is Span.DAY]
    assert all(polls <= most for most in days)
    assert source.terms.polls_a_day in (None, *days)
    assert source.pace.burst >= 1
    assert source.terms.credit
