import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import httpx
import pytest
import trio
import trio.testing

from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.core.robots import is_allowed, parse
from jobping.demo.answers import Items, Whole
from jobping.demo.server import MAX_CONNECTIONS
from jobping.demo.world import Extra, Supply, World, open_world

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)


@attrs.frozen
class Given:
    """A supplier of what a test says; each step adds one job to Ashby's board."""

    def supply(self, step: int) -> Supply:
        numbered = tuple(f'{{"id":"{n}","name":"n{n}"}}'.encode() for n in range(7 + step))
        return Supply(
            boards=(
                (board("greenhouse", "acme"), Items((b'{"id":5,"title":"a","content":"long"}',))),
                (board("greenhouse", "fixed"), Whole(b'{"jobs": [ ],"meta":{"total":3}}')),
                (board("lever", "acme"), Items((b'{"id":"x"}', b'{"id":"y"}', b'{"id":"z"}'))),
                (board("lever", "fixed"), Whole(b'[{"id":"x"}, {"id":"y"}]')),
                (board("ashby", "Big Co"), Items(numbered)),
                (board("recruitee", "acme"), Items((b'{"id":1}',))),
                (board("smartrecruiters", "Acme"), Items(numbered, 9)),
                (board("personio", "acme"), Items((b"<position><id>1</id></position>",))),
                (board("remoteok", "all"), Items((b'{"id":"1","description":"**@WORD@**"}',))),
                (board("jobicy", "all"), Items(numbered)),
                (board("jobicy", "geo:europe"), Items(numbered[:1])),
                (board("remotive", "all"), Items(numbered)),
                (board("arbeitnow", "all"), Items(numbered * 8)),
            ),
            extras=(Extra(SourceName("greenhouse"), "/v1/boards/acme/departments", Whole(b"[]")),),
            as_of=NOON,
        )


def board(source: str, slug: str) -> Board:
    return Board(source=SourceName(source), slug=slug)


@asynccontextmanager
async def open_client() -> AsyncIterator[tuple[World, httpx.AsyncClient]]:
    with trio.fail_after(10):
        async with open_world(Given()) as world, httpx.AsyncClient(verify=False) as client:
            yield world, client


def url(world: World, source: str, path: str, slug: str = "acme") -> str:
    return world.base_urls[SourceName(source)].replace("{slug}", slug) + path


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        ("greenhouse", "/v1/boards/acme/jobs?content=true",
         '{"jobs":[{"id":5,"title":"a","content":"long"}],"meta":{"total":1}}'),
        ("greenhouse", "/v1/boards/acme/jobs",
         '{"jobs":[{"id":5,"title":"a"}],"meta":{"total":1}}'),
        ("greenhouse", "/v1/boards/fixed/jobs?content=true", '{"jobs": [ ],"meta":{"total":3}}'),
        ("greenhouse", "/v1/boards/acme/jobs/5", '{"id":5,"title":"a","content":"long"}'),
        ("greenhouse", "/v1/boards/acme/departments", "[]"),
        ("lever", "/v0/postings/acme?mode=json&skip=1&limit=1", '[{"id":"y"}]'),
        ("lever", "/v0/postings/fixed?mode=json", '[{"id":"x"}, {"id":"y"}]'),
        ("lever", "/v0/postings/fixed?mode=json&skip=1", '[{"id":"y"}]'),
        ("lever", "/v0/postings/acme/z", '{"id":"z"}'),
        ("recruitee", "/api/offers/", '{"offers":[{"id":1}]}'),
        ("smartrecruiters", "/v1/companies/Acme/postings?limit=2&offset=6",
         '{"offset":6,"limit":2,"totalFound":9,"content":[{"id":"6","name":"n6"}]}'),
        ("smartrecruiters", "/v1/companies/nobody/postings?limit=100&offset=0",
         '{"offset":0,"limit":100,"totalFound":0,"content":[]}'),
        ("smartrecruiters", "/v1/companies/Acme/postings/3", '{"id":"3","name":"n3"}'),
        ("personio", "/xml?language=en",
         '<?xml version="1.0" encoding="UTF-8"?>\n<workzag-jobs>\n'
         "<position><id>1</id></position>\n</workzag-jobs>\n"),
        ("remotive", "/api/remote-jobs?limit=1",
         '{"jobs":[{"id":"0","name":"n0"}],"job-count":1,"total-job-count":7}'),
    ],
)  # fmt: skip
async def test_a_site_answers_its_own_paths_in_its_own_shape(
    source: str, path: str, expected: str
) -> None:
    async with open_client() as (world, client):
        answer = await client.get(url(world, source, path))
        assert (answer.status_code, answer.text) == (200, expected)


JOB = '{"status":404,"error":"Job not found"}'
BOARD = '{"status":404,"error":"Job board not found"}'
DOCUMENT = '{"ok":false,"error":"Document not found"}'
POSTING = '{"message":"Posting not found","errors":[]}'
PAGE = "<h1>404 Not Found</h1>"


@pytest.mark.parametrize(
    ("source", "path", "media_type", "body"),
    [
        ("greenhouse", "/v1/boards/zz/jobs", "application/json", JOB),
        ("greenhouse", "/v1/boards/acme/jobs/6", "application/json", JOB),
        ("greenhouse", "/v1/boards/zz", "application/json", BOARD),
        ("lever", "/v0/postings/zz?mode=json", "application/json", DOCUMENT),
        ("lever", "/v0/postings/fixed/q", "application/json", DOCUMENT),
        ("ashby", "/posting-api/job-board/zz", "text/plain", "Not Found"),
        ("recruitee", "/api/offers/", "application/json", '{"error":"Not Found"}'),
        ("smartrecruiters", "/v1/companies/Acme/postings/zz", "application/json", POSTING),
        ("personio", "/xml", "text/html", PAGE),
        ("jobicy", "/api/v2/remote-jobs?geo=mars", "text/html", PAGE),
    ],
)
async def test_what_does_not_exist_is_answered_in_the_sites_own_form(
    source: str, path: str, media_type: str, body: str
) -> None:
    async with open_client() as (world, client):
        answer = await client.get(url(world, source, path, slug="zz"))
        assert (answer.status_code, answer.text) == (404, body)
        assert answer.headers["content-type"].startswith(media_type)


async def test_each_source_has_a_place_of_its_own() -> None:
    async with open_client() as (world, _):
        places = {base.replace("/{slug}", "") for base in world.base_urls.values()}
        assert len(places) == len(world.base_urls) == 10
        assert all(place.startswith("http://127.0.0.1:") for place in places)


async def test_an_unchanged_answer_is_not_sent_to_one_who_has_it() -> None:
    async with open_client() as (world, client):
        lists = {"greenhouse": "/v1/boards/acme/jobs", "lever": "/v0/postings/acme"}
        for source, path in lists.items():
            first = await client.get(url(world, source, path))
            headers = {"if-none-match": first.headers["etag"]}
            again = await client.get(url(world, source, path), headers=headers)
            assert (again.status_code, again.content) == (304, b"")
            other = await client.get(url(world, source, path), headers={"if-none-match": "x"})
            assert other.status_code == 200


async def test_remote_ok_is_dated_and_differs_by_a_word_per_request() -> None:
    async with open_client() as (world, client):
        first = await client.get(url(world, "remoteok", "/api"))
        second = await client.get(url(world, "remoteok", "/api"))
        assert "legal" in first.json()[0]
        assert first.json()[1]["description"] != second.json()[1]["description"]
        assert first.headers["cache-control"] == "public, max-age=3600"
        headers = {"if-modified-since": first.headers["last-modified"]}
        again = await client.get(url(world, "remoteok", "/api"), headers=headers)
        assert again.status_code == 304


async def test_jobicy_answers_a_filter_and_a_count_with_keys_that_differ_per_call() -> None:
    async with open_client() as (world, client):
        path = url(world, "jobicy", "/api/v2/remote-jobs")
        whole = (await client.get(path, params={"count": 3})).json()
        europe = (await client.get(path, params={"count": 50, "geo": "europe"})).json()
        assert (whole["jobCount"], len(whole["jobs"]), europe["jobCount"]) == (3, 3, 1)
        assert whole["xRayHash"] != europe["xRayHash"]


async def test_arbeitnow_is_read_page_by_page_to_its_end() -> None:
    async with open_client() as (world, client):
        following, pages = url(world, "arbeitnow", "/api/job-board-api"), []
        while following:
            answer = (await client.get(following)).json()
            pages.append(len(answer["data"]))
            following = answer["links"]["next"]
        assert pages == [25, 25, 6]


async def test_a_step_changes_what_is_served_next() -> None:
    async with open_client() as (world, client):
        path = url(world, "ashby", "/posting-api/job-board/Big%20Co")
        before = (await client.get(path)).json()
        world.step()
        after = (await client.get(path)).json()
        assert (len(before["jobs"]), len(after["jobs"])) == (7, 8)


async def test_the_servers_count_requests_and_the_connections_they_came_over() -> None:
    async with open_client() as (world, client):
        for _ in range(3):
            await client.get(url(world, "ashby", "/posting-api/job-board/zz"))
        await client.get(url(world, "lever", "/v0/postings/acme"))
        statistics = world.statistics()
        assert (statistics.requests, statistics.connections) == (4, 2)
        ashby = next(site for site in statistics.sites if site.source == "ashby")
        assert (ashby.requests, ashby.connections, ashby.open) == (3, 1, 1)


async def test_sites_have_no_robots_txt_but_one_which_allows_its_board() -> None:
    async with open_client() as (world, client):
        assert (await client.get(url(world, "ashby", "/robots.txt"))).status_code == 404
        answer = await client.get(url(world, "remoteok", "/robots.txt"))
        place = url(world, "remoteok", "/api")
        assert answer.headers["content-type"].startswith("text/plain")
        robots = parse(answer.content)
        assert is_allowed(robots, place)
        assert not is_allowed(robots, place.replace("/api", "/private/x"))


async def test_only_reading_is_allowed_and_a_head_has_no_body() -> None:
    async with open_client() as (world, client):
        refused = await client.post(url(world, "ashby", "/anything"), content=b"x" * 100_000)
        assert refused.status_code == 405
        head = await client.head(url(world, "lever", "/v0/postings/acme"))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == "34"


async def test_what_is_no_http_is_refused_and_a_client_that_leaves_harms_nobody() -> None:
    async with open_client() as (world, client):
        host, port = world.base_urls[SourceName("ashby")].removeprefix("http://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(b"nonsense\r\n\r\n")
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 400")
        await stream.aclose()
        gone = await trio.open_tcp_stream(host, int(port))
        await gone.send_all(b"GET /x HTTP/1.1\r\nHost: a\r\n")
        await gone.aclose()
        assert (await client.get(url(world, "ashby", "/x"))).status_code == 404


async def test_connections_above_the_bound_are_closed_and_places_come_back() -> None:
    async with open_client() as (world, client):
        host, port = world.base_urls[SourceName("ashby")].removeprefix("http://").split(":")
        streams = [await trio.open_tcp_stream(host, int(port)) for _ in range(MAX_CONNECTIONS)]
        await trio.testing.wait_all_tasks_blocked()
        extra = await trio.open_tcp_stream(host, int(port))
        assert await extra.receive_some(1) == b""
        for stream in (*streams, extra):
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert (await client.get(url(world, "ashby", "/x"))).status_code == 404


async def test_the_world_closes_promptly_with_connections_open() -> None:
    with trio.fail_after(2):
        async with open_world(Given()) as world:
            host, port = world.base_urls[SourceName("ashby")].removeprefix("http://").split(":")
            stream = await trio.open_tcp_stream(host, int(port))
        assert await stream.receive_some(1) == b""
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream(host, int(port))
        await stream.aclose()
