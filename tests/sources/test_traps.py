"""Paging, keys and the traps of single sources, on synthetic answers."""

import base64
import datetime as dt
import gzip
import json

import attrs
import pytest

from jobping.core.board import Board, Route
from jobping.core.ids import SourceName
from jobping.core.walk import Complete, Partial, finish, next_request, on_page, start
from jobping.errors import MalformedPage
from jobping.sources import SOURCES
from tests.sources.conftest import SLUGS, page_of, source_named

MAY = pytest.mark.parametrize


def walked(name, answers, slug=None):
    """Walk a board over answers by request; return the walk and what was asked."""
    source = source_named(name)
    board = Board(source=source.name, slug=slug or SLUGS.get(name, "example"))
    walk = start(
        source.requests(board, Route.RELIABLE),
        coverage=source.coverage,
        page_cap=source.page_cap,
    )
    asked = []
    while (request := next_request(walk)) is not None:
        asked.append(request)
        answer = answers(request)
        if isinstance(answer, bytes):
            answer = (answer, "application/json")
        body, media, status = answer if len(answer) == 3 else (*answer, 200)
        page = attrs.evolve(
            page_of(body, url=request.url, media=media, status=status), sent=request.body
        )
        *_, parsed = source.parse(page, board)
        walk = on_page(walk, parsed)
    return walk, asked


def encoded(value):
    return json.dumps(value).encode()


# --- Workday


def requisitions(numbers):
    return [
        {"title": "Job", "externalPath": f"/job/x/Job_{n}", "bulletFields": [f"JR{n}"]}
        for n in numbers
    ]


def workday(total, *, listed=None, facets=()):
    """Answer as Workday does: the total on page 1 alone, offsets beyond the list begin anew."""
    listed = total if listed is None else listed

    def answer(request):
        asked = json.loads(request.body)
        assert (request.method, request.is_read, asked["limit"]) == ("POST", False, 20)
        (applied,) = asked["appliedFacets"].values() or [None]
        own = [n for n in range(listed) if applied is None or str(n % 3) == applied[0]]
        offset = asked["offset"] % max(len(own[:2000]), 1)
        stated = {"total": 0 if asked["offset"] else total if applied is None else len(own)}
        page = requisitions(own[offset : offset + 20])
        return encoded({**stated, "jobPostings": page, "facets": list(facets)})

    return answer


@MAY("total", [0, 1, 19, 20, 21, 40, 333])
def test_workday_walk_ends_at_the_total_of_its_first_page(total):
    walk, asked = walked("workday", workday(total))
    assert finish(walk) == Complete()
    assert (len(walk.seen), walk.repeated) == (total, 0)
    assert len(asked) <= -(-total // 20) + 1


def test_workday_list_that_begins_anew_ends_the_walk_without_duplicates():
    walk, asked = walked("workday", workday(60, listed=40))
    assert finish(walk) == Partial(reason="40 of 60 postings")
    assert (len(walk.seen), len(asked)) == (40, 3)


def test_workday_list_that_is_cut_is_read_by_the_facet_that_divides_it_best():
    thirds = [{"descriptor": "x", "id": str(n), "count": 1000} for n in range(3)]
    facets = [
        {"facetParameter": "all", "values": [{"id": "y", "count": 3000}]},
        {"facetParameter": "groups", "values": [{"facetParameter": "inner", "values": []}]},
        {"facetParameter": "third", "values": thirds},
    ]
    walk, asked = walked("workday", workday(2000, listed=3000, facets=facets))
    assert (finish(walk), len(walk.seen)) == (Complete(), 3000)
    assert len(asked) <= 1 + 3 * 51
    applied = {json.dumps(json.loads(request.body)["appliedFacets"]) for request in asked}
    assert applied == {"{}", '{"third": ["0"]}', '{"third": ["1"]}', '{"third": ["2"]}'}


def test_workday_list_that_is_cut_and_cannot_be_divided_is_never_complete():
    walk, asked = walked("workday", workday(2000, listed=3000))
    assert finish(walk) == Partial(reason="2000 of 2001 postings")
    assert len(asked) <= 101


def test_workday_item_has_the_same_digest_a_day_later(synthetic, read):
    answer = synthetic("workday")
    later = answer.page.body.replace(b"Posted 3 Days Ago", b"Posted 4 Days Ago")
    assert later != answer.page.body
    digests = [raw.source_digest for raw in read(answer).raws]
    assert [raw.source_digest for raw in read(synthetic("workday", later)).raws] == digests


# --- paging of the others


def test_himalayas_follows_the_cursor_up_to_its_cap():
    def answer(request):
        number = request.url.count("z")
        job = {"guid": f"https://himalayas.app/{number}", "title": "Job"}
        return encoded({"jobs": [job], "nextCursor": "z" * (number + 1), "totalCount": 99999})

    walk, asked = walked("himalayas", answer)
    assert (finish(walk), len(walk.seen)) == (Complete(), 5)
    assert asked[1].url == "https://himalayas.app/jobs/api?cursor=z"


@MAY("first", [0, 1])
def test_the_muse_counts_pages_from_where_the_answer_says(first):
    def answer(request):
        number = max(first, int(request.url.rpartition("page=")[2].partition("&")[0]))
        job = {"id": number, "name": "Job", "refs": {"landing_page": "https://a.example/1"}}
        return encoded({"results": [job], "page": number, "page_count": first + 2})

    walk, asked = walked("themuse", answer)
    assert (finish(walk), len(walk.seen), len(asked)) == (Complete(), 2, 2)


def test_adzuna_asks_for_full_pages_until_one_is_short():
    def answer(request):
        number = int(request.url.partition("/search/")[2].partition("?")[0])
        jobs = [
            {"id": f"{number}-{n}", "title": "Job", "redirect_url": "https://a.example/1"}
            for n in range(50 if number < 2 else 3)
        ]
        return encoded({"count": 53, "results": jobs})

    walk, asked = walked("adzuna", answer)
    assert (finish(walk), len(walk.seen), len(asked)) == (Complete(), 53, 2)
    assert "/v1/api/jobs/gb/search/2?" in asked[1].url


def test_reed_skips_what_it_has_taken():
    def answer(request):
        skip = int(request.url.rpartition("=")[2])
        jobs = [{"jobId": n, "jobTitle": "Job"} for n in range(skip, min(skip + 100, 130))]
        return encoded({"results": jobs, "totalResults": 130})

    walk, asked = walked("reed", answer)
    assert (finish(walk), len(walk.seen), len(asked)) == (Complete(), 130, 2)


def test_bundesagentur_never_asks_beyond_ten_thousand_and_carries_its_public_header():
    def answer(request):
        assert request.headers == (("X-API-Key", "jobboerse-jobsuche"),)
        page = int(request.url.partition("&page=")[2].partition("&")[0])
        jobs = [
            {"referenznummer": f"{page}-{n}", "stellenangebotsTitel": "Job"} for n in range(100)
        ]
        return encoded({"maxErgebnisse": 50_000, "ergebnisliste": jobs})

    walk, asked = walked("arbeitsagentur", answer)
    assert (finish(walk), len(asked), walk.pages) == (Complete(), 10, 10)
    source, last = source_named("arbeitsagentur"), asked[-1].url.replace("page=10", "page=100")
    *_, parsed = source.parse(page_of(answer(asked[0]), url=last), Board(source="x", slug="all"))
    assert parsed.following is None


def test_bundesagentur_without_a_list_is_empty_only_where_it_found_nothing(synthetic, read):
    assert read(synthetic("arbeitsagentur", b'{"maxErgebnisse":0}')).parsed.items == 0
    answer = synthetic("arbeitsagentur", b'{"maxErgebnisse":3}')
    with pytest.raises(MalformedPage, match="`ergebnisliste`"):
        list(answer.source.parse(answer.page, answer.board))


def test_hacker_news_asks_for_the_newest_thread_of_jobs():
    stories = [
        {"objectID": "3", "title": "Ask HN: Freelancer? Seeking freelancer? (October 2026)"},
        {"objectID": "2", "title": "Ask HN: Who wants to be hired? (October 2026)"},
        {"objectID": "1", "title": "Ask HN: Who is hiring? (October 2026)"},
        {"objectID": "0", "title": "Ask HN: Who is hiring? (September 2026)"},
    ]
    comments = [{"id": 7, "text": "A | B"}, {"id": 8, "text": None}, {"id": 9, "text": "C | D"}]
    comments += [{"id": n, "text": "E | F"} for n in range(20, 30)]

    def answer(request):
        is_search = "search_by_date" in request.url
        return encoded({"hits": stories} if is_search else {"id": 1, "children": comments})

    walk, asked = walked("hackernews", answer)
    assert asked[1].url == "https://hn.algolia.com/api/v1/items/1"
    assert (finish(walk), walk.items, len(walk.rejected)) == (Complete(), 13, 1)
    with pytest.raises(MalformedPage, match="no thread"):
        walked("hackernews", lambda _request: encoded({"hits": stories[:2]}))


# --- keys


KEYED = [source for source in SOURCES if source.credentials]


@MAY("source", KEYED, ids=lambda source: source.name)
def test_key_goes_with_every_request_and_shows_in_no_repr(source):
    keys = tuple(f"s3cret-{n}" for n in range(len(source.credentials)))
    keyed = source.with_keys(keys)
    board = Board(source=source.name, slug=SLUGS[source.name])
    (request,) = keyed.requests(board, Route.RELIABLE)
    plain = base64.b64encode(b"s3cret-0:").decode()
    for key in keys:
        sent = repr((request.url, request.headers))
        assert key in sent or plain in sent
    assert "s3cret" not in repr(keyed)
    assert keyed.dress(request, keys) == request
    with pytest.raises(ValueError, match="needs"):
        source.with_keys((*keys, "more"))


def test_key_of_adzuna_stands_once_in_the_request_for_the_second_page():
    source = source_named("adzuna").with_keys(("an-id", "a-key"))
    board = Board(source=source.name, slug=SLUGS["adzuna"])
    (request,) = source.requests(board, Route.RELIABLE)
    jobs = [{"id": n, "title": "J", "redirect_url": "https://a.example/1"} for n in range(50)]
    *_, parsed = source.parse(page_of(encoded({"results": jobs}), url=request.url), board)
    assert parsed.following.url.count("app_key=a-key") == 1
    assert parsed.following.url.count("app_id=an-id") == 1


def test_link_of_adzuna_that_differs_in_its_tracking_alone_is_the_same_item(synthetic, read):
    answer = synthetic("adzuna")
    other = answer.page.body.replace(b"se=abc&v=1", b"se=def&v=2")
    first, second = read(answer), read(synthetic("adzuna", other))
    assert other != answer.page.body
    assert [raw.source_digest for raw in first.raws] == [raw.source_digest for raw in second.raws]


# --- feeds


@MAY("name", ["feed", "weworkremotely"])
@MAY(
    "body",
    [
        b"<html></html>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><rss>&a;</rss>',
        b"<rss><channel>",
        b"<rss>" + b"<item>" * 101 + b"</item>" * 101 + b"</rss>",
        b"",
    ],
)
def test_feed_refuses_what_is_none(synthetic, name, body):
    answer = synthetic(name, body)
    with pytest.raises(MalformedPage, match=f"^{name}: "):
        list(answer.source.parse(answer.page, answer.board))


def test_rss_item_goes_by_guid_then_link_then_a_hash_and_needs_title_and_link(synthetic, read):
    items = (
        "<item><title>A</title><link>https://a.example/1</link><guid>g1</guid></item>"
        "<item><title>B</title><link>https://a.example/2</link></item>"
        "<item><title>C</title><guid>https://a.example/3</guid></item>"
        "<item><title>D only</title></item>"
        "<item><link>https://a.example/5</link></item>"
        f"<item><title>F</title><link>https://a.example/{'x' * 300}</link></item>"
    )
    body = f"<rss version='2.0'><channel><title>T</title>{items}</channel></rss>".encode()
    found = read(synthetic("feed", body))
    ids = [draft.external_id.removeprefix("example.com/jobs.xml/") for draft in found.drafts]
    assert ids[:3] == ["g1", "https://a.example/2", "https://a.example/3"]
    assert (len(ids), len(ids[3]), found.parsed.items) == (4, 32, 6)
    assert sorted(item.reason for item in found.parsed.rejected) == [
        "no absolute http(s) URL", "no title",
    ]  # fmt: skip


@MAY(("said", "ttl_s"), [("60", 3600), (" 5 ", 300), ("", 0), ("-5", 0), ("x", 0), ("9" * 9, 0)])
def test_ttl_of_a_feed_is_minutes_and_anything_else_is_none(synthetic, read, said, ttl_s):
    body = f"<rss><channel><ttl>{said}</ttl></channel></rss>".encode()
    assert read(synthetic("feed", body)).parsed.ttl_s == ttl_s


@MAY(
    ("link", "is_followed"),
    [("https://example.com/2.json", True), ("/2.json", True), ("https://b.example/2", False)],
)
def test_json_feed_is_followed_on_its_own_host_alone(link, is_followed):
    def answer(request):
        feed = {"version": "https://jsonfeed.org/version/1.1", "items": []}
        return encoded(feed if "2.json" in request.url else {**feed, "next_url": link})

    _, asked = walked("feed", answer)
    assert [request.url for request in asked[1:]] == ["https://example.com/2.json"] * is_followed


# --- careers sites


def sitemap(*entries, kind="urlset"):
    inner = "".join(
        f"<url><loc>{url}</loc>{f'<lastmod>{at}</lastmod>' if at else ''}</url>"
        for url, at in entries
    )
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0"?><{kind} xmlns="{space}">{inner}</{kind}>'.encode()


PLACE = "https://careers.example.com"


def site(request):
    path = request.url.removeprefix(PLACE)
    pages = {
        "/robots.txt": (
            b"User-agent: *\nSitemap: /index.xml\nSITEMAP:https://b.example/x",
            "text/plain",
        ),
        "/index.xml": (
            sitemap(
                (f"{PLACE}/jobs.xml.gz", None), (f"{PLACE}/index.xml", None), kind="sitemapindex"
            ),
            "text/xml",
        ),
        "/jobs.xml.gz": (
            gzip.compress(
                sitemap(
                    (f"{PLACE}/about", "2026-09-30"),
                    (f"{PLACE}/jobs/undated", None),
                    (f"{PLACE}/jobs/new", "2026-09-29"),
                    (f"{PLACE}/jobs/gone", "2026-09-30"),
                    (f"{PLACE}/jobs/old", "2025-01-01"),
                    ("https://b.example/jobs/other", "2026-09-30"),
                    ("javascript:alert(1)/jobs/x", "2026-09-30"),
                )
            ),
            "application/gzip",
        ),
    }
    return pages[path]


def test_careers_site_is_read_from_robots_over_sitemaps_that_name_each_other_and_each_once():
    walk, asked = walked("site", site)
    assert [request.url.removeprefix(PLACE) for request in asked] == [
        "/robots.txt", "/index.xml", "/jobs.xml.gz",
    ]  # fmt: skip
    assert finish(walk) == Complete()
    assert walk.seen == {f"careers.example.com/jobs/{name}" for name in ("gone", "new", "undated")}


def entries(body, day=0):
    """Return the items of a sitemap, read so many days later."""
    board = Board(source=SourceName("site"), slug=SLUGS["site"])
    page = page_of(body, url=f"{PLACE}/sitemap.xml", media="text/xml")
    page = attrs.evolve(page, fetched_at=page.fetched_at + dt.timedelta(days=day))
    *items, _ = source_named("site").parse(page, board)
    return {item.detail.url.removeprefix(PLACE): item.source_digest for item in items}


def test_page_of_a_sitemap_is_another_item_when_it_was_changed_and_never_without_reason():
    first = entries(sitemap((f"{PLACE}/jobs/a?x=1", "2026-09-29"), (f"{PLACE}/jobs/b", None)))
    later = entries(sitemap((f"{PLACE}/jobs/a?x=1", "2026-09-30"), (f"{PLACE}/jobs/b", None)))
    assert list(first) == ["/jobs/a?x=1", "/jobs/b"]
    assert first["/jobs/a?x=1"] != later["/jobs/a?x=1"]
    assert first["/jobs/b"] == later["/jobs/b"]


def test_undated_page_of_a_sitemap_is_another_item_once_a_week():
    body = sitemap((f"{PLACE}/jobs/b", None))
    days = [entries(body, day)["/jobs/b"] for day in range(28)]
    assert len(set(days)) in (4, 5)
    assert sorted(map(days.count, set(days)))[-3:] == [7, 7, 7]


def test_long_address_in_a_sitemap_goes_by_a_hash_and_is_still_asked_for():
    long = "/jobs/" + "x" * 300
    assert list(entries(sitemap((PLACE + long, None)))) == [long]


def test_careers_site_without_robots_is_asked_for_the_usual_sitemap():
    def answer(request):
        if request.url.endswith("/robots.txt"):
            return b"<h1>no</h1>", "text/html", 404
        return sitemap((f"{PLACE}/careers", None)), "application/xml"

    walk, asked = walked("site", answer)
    assert [request.url for request in asked] == [f"{PLACE}/robots.txt", f"{PLACE}/sitemap.xml"]
    assert (finish(walk), walk.items) == (Complete(), 0)


@MAY(
    ("body", "media"),
    [
        (b"\x1f\x8bbroken", "application/gzip"),
        (gzip.compress(b" " * 11_000_000), "application/gzip"),
        (b"<rss></rss>", "text/xml"),
        (b"{}", "application/json"),
    ],
)
def test_careers_site_refuses_what_is_no_sitemap(body, media):
    board = Board(source=SourceName("site"), slug=SLUGS["site"])
    page = page_of(body, url=f"{PLACE}/sitemap.xml", media=media)
    with pytest.raises(MalformedPage, match=r"^site: "):
        list(source_named("site").parse(page, board))
