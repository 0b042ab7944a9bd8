import datetime as dt
import gc
import os
from pathlib import Path

import pytest
import trio

from jobping.clock import Clock
from jobping.core.ids import Domain
from jobping.core.page import Page, PageRequest, Redirected
from jobping.errors import Blocked, MalformedPage, Throttled, Unavailable, Unreached
from jobping.fetch import FetchLimits, FetchStatistics, Phase, open_fetcher
from tests.doubles.asking import (
    LOOPBACK,
    USER_AGENT,
    Recorder,
    ask,
    error_of,
    open_test_fetcher,
    page_of,
)
from tests.doubles.fault_server import (
    After,
    Behaviour,
    chunked,
    delay,
    hang,
    head,
    in_turn,
    open_fault_server,
    raw,
    redirect,
    reset,
    respond,
)


async def test_fetcher_returns_a_page_with_lower_case_headers() -> None:
    async with (
        open_fault_server(respond(b'{"a":1}', gzipped=True)) as server,
        open_test_fetcher() as fetcher,
    ):
        page = await page_of(fetcher, server.url("/jobs?x=1#part"))
    assert page == Page(
        url=server.url("/jobs?x=1"),
        status=200,
        headers=(
            ("content-type", "application/json"),
            ("content-length", "27"),
            ("content-encoding", "gzip"),
        ),
        body=b'{"a":1}',
        fetched_at=page.fetched_at,
    )
    assert page.fetched_at.tzinfo is dt.UTC


async def test_fetcher_sends_its_own_headers_and_those_of_the_request_only() -> None:
    async with open_fault_server(respond()) as server, open_test_fetcher() as fetcher:
        await page_of(
            fetcher,
            PageRequest(
                url=server.url("/a%20b/?q=%2F"),
                method="POST",
                body=b"{}",
                headers=(("Content-Type", "application/json"),),
                accept=("application/json", "text/html"),
            ),
        )
    assert [(one.method, one.target, one.body) for one in server.requests] == [
        ("POST", "/a%20b/?q=%2F", b"{}")
    ]
    assert dict(server.requests[0].headers) == {
        "host": server.domain,
        "user-agent": USER_AGENT,
        "accept": "application/json, text/html",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "content-length": "2",
    }


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299, 404, 410])
async def test_fetcher_leaves_these_statuses_to_the_source(status: int) -> None:
    body = b"" if status == 204 else b"gone?"
    async with (
        open_fault_server(respond(body, status=status)) as server,
        open_test_fetcher() as fetcher,
    ):
        page = await page_of(fetcher, server.url())
    assert (page.status, page.body, page.framed) == (status, body, True)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, Unreached.CLIENT),
        (405, Unreached.CLIENT),
        (418, Unreached.CLIENT),
        (408, Unreached.TIMEOUT),
        (500, Unreached.SERVER),
        (503, Unreached.SERVER),
        (599, Unreached.SERVER),
    ],
)
async def test_fetcher_raises_unavailable_for_a_failing_status(
    status: int, failure: Unreached
) -> None:
    async with (
        open_fault_server(respond(status=status)) as server,
        open_test_fetcher() as fetcher,
    ):
        error = await error_of(fetcher, server.url("/x?key=secret"))
    assert isinstance(error, Unavailable)
    assert (error.failure, error.status, error.url) == (failure, status, server.url("/x"))


@pytest.mark.parametrize("status", [401, 403, 451])
async def test_fetcher_raises_blocked_where_the_site_says_no(status: int) -> None:
    async with (
        open_fault_server(respond(status=status)) as server,
        open_test_fetcher() as fetcher,
    ):
        error = await error_of(fetcher, server.url())
    assert isinstance(error, Blocked)
    assert (error.status, error.why) == (status, str(status))


@pytest.mark.parametrize("status", [429, 503])
async def test_fetcher_hands_on_retry_after_and_date_as_they_are(status: int) -> None:
    fields = (("Retry-After", "5"), ("Retry-After", "x, 7"), ("Date", "yesterday"))
    async with (
        open_fault_server(respond(status=status, headers=fields)) as server,
        open_test_fetcher() as fetcher,
    ):
        error = await error_of(fetcher, server.url())
    assert isinstance(error, Throttled)
    assert (error.status, error.retry_after, error.date) == (status, ("5", "x, 7"), "yesterday")


@pytest.mark.parametrize("status", [300, 304, 305, 600, 999])
async def test_fetcher_refuses_a_status_that_means_nothing_to_us(status: int) -> None:
    body = b"" if status == 304 else b"{}"
    async with (
        open_fault_server(respond(body, status=status)) as server,
        open_test_fetcher() as fetcher,
    ):
        error = await error_of(fetcher, server.url())
    assert isinstance(error, MalformedPage)
    assert error.why == f"status {status}"


async def test_fetcher_hands_on_a_304_that_was_asked_for_and_keeps_the_connection() -> None:
    fields = (("ETag", 'W/"2"'), ("Content-Encoding", "gzip"))
    async with (
        open_fault_server(respond(b"", status=304, headers=fields)) as server,
        open_test_fetcher() as fetcher,
    ):
        request = PageRequest(url=server.url(), headers=(("If-None-Match", 'W/"1"'),))
        for _ in range(2):
            page = await page_of(fetcher, request)
            assert (page.status, page.body, page.header("etag")) == (304, b"", 'W/"2"')
        assert server.requests[1].header("if-none-match") == 'W/"1"'
        assert server.connections == 1


async def test_fetcher_takes_a_challenge_for_a_ban_whatever_its_status() -> None:
    fields = (("cf-mitigated", "challenge"),)
    async with (
        open_fault_server(respond(b"", status=503, headers=fields)) as server,
        open_test_fetcher() as fetcher,
    ):
        error = await error_of(fetcher, server.url())
    assert isinstance(error, Blocked)
    assert error.status == 503


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_fetcher_returns_a_redirect_and_does_not_follow_it(status: int) -> None:
    async with (
        open_fault_server({"/a": redirect("b?x=é", status=status)}) as server,
        open_test_fetcher() as fetcher,
    ):
        answer = await ask(fetcher, server.url("/a"))
    assert answer == Redirected(url=server.url("/b?x=%C3%A9"), permanent=status in (301, 308))
    assert [one.target for one in server.requests] == ["/a"]


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "gopher://x/",
        "javascript:1",
        "http://u:p@x/",
        "http://127.1/",
        "http://[",
    ],
)
async def test_fetcher_calls_an_unusable_location_malformed(location: str) -> None:
    async with open_fault_server(redirect(location)) as server, open_test_fetcher() as fetcher:
        error = await error_of(fetcher, server.url())
    assert isinstance(error, MalformedPage)
    assert error.why.startswith("location ")


async def test_fetcher_calls_a_redirect_without_location_malformed() -> None:
    async with open_fault_server(respond(status=302)) as server, open_test_fetcher() as fetcher:
        error = await error_of(fetcher, server.url())
    assert isinstance(error, MalformedPage)
    assert error.why == "location location"


@pytest.mark.parametrize(("status", "follows"), [(302, False), (307, False), (303, True)])
async def test_fetcher_lets_a_post_be_redirected_by_303_only(status: int, follows: bool) -> None:
    async with (
        open_fault_server(redirect("/b", status=status)) as server,
        open_test_fetcher() as fetcher,
    ):
        request = PageRequest(url=server.url("/a"), method="POST", body=b"{}")
        try:
            answer = await ask(fetcher, request)
        except MalformedPage:
            assert not follows
        else:
            assert follows
            assert answer == Redirected(url=server.url("/b"), permanent=False)


async def test_fetcher_marks_a_page_that_only_a_closed_connection_ends() -> None:
    async with (
        open_fault_server(raw(head(200) + b"half a p", after=After.CLOSE)) as server,
        open_test_fetcher() as fetcher,
    ):
        page = await page_of(fetcher, server.url())
    assert (page.body, page.framed) == (b"half a p", False)


async def test_fetcher_forgets_cookies() -> None:
    cookie = (("Set-Cookie", "id=1; Path=/"),)
    async with (
        open_fault_server(respond(headers=cookie)) as server,
        open_test_fetcher() as fetcher,
    ):
        page = await page_of(fetcher, server.url())
        await page_of(fetcher, server.url())
    assert page.header("set-cookie") is None
    assert [one.header("cookie") for one in server.requests] == [None, None]


async def test_fetcher_ignores_proxies_and_netrc_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    async with open_fault_server(respond()) as proxy, open_fault_server(respond()) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        monkeypatch.setenv("NETRC", str(netrc))
        async with open_test_fetcher() as fetcher:
            await page_of(fetcher, server.url())
    assert (proxy.connections, server.connections) == (0, 1)
    assert server.requests[0].header("authorization") is None


async def test_fetcher_emits_one_line_per_malformed_answer() -> None:
    emit = Recorder()
    async with (
        open_fault_server(
            raw(head(200, ("Content-Encoding", "br"), ("Content-Length", "0")))
        ) as server,
        open_test_fetcher(emit=emit) as fetcher,
    ):
        await error_of(fetcher, server.url())
    assert emit.events == [
        ("payload.malformed", {"domain": server.domain, "why": "content_encoding"})
    ]


async def test_fetcher_refuses_a_url_off_the_source_before_anything_is_sent() -> None:
    emit = Recorder()
    async with open_fault_server(respond()) as server, open_test_fetcher(emit=emit) as fetcher:
        error = await error_of(fetcher, server.url("/x?key=secret"), hosts=["boards.example"])
        statistics = fetcher.statistics()
    assert isinstance(error, Blocked)
    assert (error.why, error.status, error.url) == ("off_source", None, server.url("/x"))
    assert emit.events == [
        ("url.refused", {"domain": server.domain, "why": f"off_source: {server.url('/x')}"})
    ]
    assert (server.connections, statistics.refusals) == (0, (("off_source", 1),))


async def test_exchange_tells_sent_and_phase_when_it_is_cancelled() -> None:
    answers: dict[str, Behaviour] = {
        "/head": hang(),
        "/body": hang(head(200, ("Content-Length", "9")) + b"x"),
    }
    async with open_fault_server(answers) as server, open_test_fetcher() as fetcher:
        for path, phase in (("/head", Phase.HEAD), ("/body", Phase.BODY)):
            request = PageRequest(url=server.url(path))
            async with fetcher.exchange(
                request, hosts=frozenset({Domain(server.domain)})
            ) as exchange:
                assert (exchange.sent_at, exchange.phase) == (None, Phase.RESOLVE)
                with trio.move_on_after(0.05) as scope:
                    await exchange.run()
            assert scope.cancelled_caught
            assert (exchange.sent_at is not None, exchange.phase) == (True, phase)
            assert exchange.lateness is Unreached.TIMEOUT
        assert fetcher.statistics().open == 0


async def test_exchange_waits_for_an_in_flight_place() -> None:
    limits = FetchLimits(in_flight=2)
    async with open_test_fetcher(limits=limits) as fetcher:
        request, hosts = PageRequest(url="http://a.example/"), frozenset({Domain("a.example")})
        async with fetcher.exchange(request, hosts=hosts), fetcher.exchange(request, hosts=hosts):
            assert fetcher.statistics().in_flight == 2
            with trio.move_on_after(0.02) as scope:
                async with fetcher.exchange(request, hosts=hosts):
                    raise AssertionError("a third place")
            assert scope.cancelled_caught
        async with fetcher.exchange(request, hosts=hosts):
            assert fetcher.statistics().in_flight == 1
        assert fetcher.statistics().in_flight == 0


async def test_exchange_with_a_big_body_waits_for_its_place() -> None:
    piece = bytes(os.urandom(1_500_000))
    limits = FetchLimits(big_bodies=1)
    async with (
        open_fault_server(respond(piece)) as one,
        open_fault_server(respond(piece)) as two,
        open_test_fetcher(limits=limits) as fetcher,
    ):
        hosts = frozenset({Domain(one.domain)})
        async with fetcher.exchange(PageRequest(url=one.url()), hosts=hosts) as exchange:
            await exchange.run()
            with pytest.raises(trio.TooSlowError):
                await ask(fetcher, two.url(), seconds=0.2)
        assert len((await page_of(fetcher, two.url())).body) == len(piece)


async def test_fetcher_counts_requests_connections_and_bytes() -> None:
    async with (
        open_fault_server({"/a": respond(), "/b": reset()}) as server,
        open_test_fetcher() as fetcher,
    ):
        await page_of(fetcher, server.url("/a"))
        await page_of(fetcher, server.url("/a"))
        await error_of(fetcher, server.url("/b"))
        await error_of(fetcher, "http://127.1/", hosts=["127.1"])
        statistics = fetcher.statistics()
    assert statistics == FetchStatistics(
        requests=3,
        connections=1,
        reused=2,
        open=0,
        in_flight=0,
        wire_bytes=server.written,
        refusals=(("host", 1),),
    )


async def test_fetcher_keeps_the_connection_of_an_error_with_a_small_body() -> None:
    answers = in_turn(respond(b"x" * 1000, status=500), redirect("/"), respond())
    async with open_fault_server(answers) as server, open_test_fetcher() as fetcher:
        await error_of(fetcher, server.url())
        await ask(fetcher, server.url())
        await ask(fetcher, server.url())
    assert server.connections == 1


async def test_fetcher_tells_the_status_although_its_body_is_endless_or_broken() -> None:
    answers: dict[str, Behaviour] = {
        "/long": respond(b"x" * 200_000, status=503),
        "/cut": raw(head(503, ("Content-Length", "9")) + b"x", after=After.RESET),
        "/coded": respond(b"no gzip", status=503, headers=(("Content-Encoding", "gzip"),)),
    }
    async with open_fault_server(answers) as server, open_test_fetcher() as fetcher:
        for path in answers:
            error = await error_of(fetcher, server.url(path))
            assert isinstance(error, Unavailable)
            assert error.status == 503


async def test_fetcher_does_not_wait_long_for_the_body_of_an_error() -> None:
    slow = hang(head(503, ("Content-Length", "9")))
    limits = FetchLimits(drain_seconds=0.05)
    async with open_fault_server(slow) as server, open_test_fetcher(limits=limits) as fetcher:
        error = await error_of(fetcher, server.url(), seconds=1)
    assert isinstance(error, Unavailable)


async def test_fetcher_closes_every_connection_at_the_end() -> None:
    async with open_fault_server(respond()) as server:
        async with open_test_fetcher() as fetcher:
            await page_of(fetcher, server.url())
            assert fetcher.statistics().open == 1
        assert fetcher.statistics().open == 0
        with trio.fail_after(1):
            await server.wait_until(lambda: not server.open)
    gc.collect()


async def test_fetcher_opens_with_the_machines_certificates() -> None:
    async with (
        open_fault_server(chunked(b"a", b"b")) as server,
        open_fetcher(
            limits=FetchLimits(),
            allow=LOOPBACK,
            user_agent="x",
            emit=Recorder(),
            clock=Clock(),
        ) as fetcher,
    ):
        assert (await page_of(fetcher, server.url())).body == b"ab"


async def test_fetcher_serves_other_sites_while_one_hangs() -> None:
    async with (
        open_fault_server(hang()) as stuck,
        open_fault_server(delay(0.01, respond())) as good,
        open_test_fetcher() as fetcher,
        trio.open_nursery() as nursery,
    ):

        async def hold() -> None:
            await ask(fetcher, stuck.url(), seconds=60)

        nursery.start_soon(hold)
        for _ in range(5):
            await page_of(fetcher, good.url())
        nursery.cancel_scope.cancel()
