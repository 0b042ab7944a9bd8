import contextlib
import gc
import random
import ssl
import traceback
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from jobping.core.addresses import domain_of, follow
from jobping.core.ids import Domain
from jobping.core.page import Page, PageRequest, Redirected
from jobping.errors import Blocked, FetchError, MalformedPage, Unavailable, Unreached
from jobping.fetch import Fetcher, FetchLimits, Phase
from tests.doubles.asking import ask, error_of, open_test_fetcher, page_of
from tests.doubles.certificates import Certificates
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
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

STOLEN = head(200, ("Content-Length", "6")) + b"stolen"


@pytest.mark.parametrize("answer", [respond(b"{}", gzipped=True), chunked(b"{", b"}")])
async def test_transport_sends_a_walk_of_1000_requests_over_one_connection(
    answer: Behaviour,
) -> None:
    async with open_fault_server(answer) as server, open_test_fetcher() as fetcher:
        for _ in range(1000):
            await page_of(fetcher, server.url())
        statistics = fetcher.statistics()
    assert (statistics.requests, statistics.connections, statistics.reused) == (1000, 1, 999)
    assert server.connections == 1


async def test_transport_keeps_one_connection_per_origin() -> None:
    async with (
        open_fault_server(respond()) as one,
        open_fault_server(respond()) as two,
        open_test_fetcher() as fetcher,
    ):
        for server in (one, two, one, two):
            await page_of(fetcher, server.url())
        assert fetcher.statistics().open == 2
    assert (one.connections, two.connections) == (1, 1)


async def test_transport_makes_no_tls_context_of_its_own_for_many_domains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    make = ssl.SSLContext.__new__

    def counted(cls: type[ssl.SSLContext], protocol: int) -> ssl.SSLContext:
        made.append("".join(traceback.format_stack(limit=8)))
        return make(cls, protocol)

    own = Certificates()
    async with AsyncExitStack() as stack:
        tls = own.server()
        servers = [
            await stack.enter_async_context(open_fault_server(respond(), tls=tls))
            for _ in range(30)
        ]
        fetcher = await stack.enter_async_context(open_test_fetcher(tls=own.client))
        monkeypatch.setattr(ssl.SSLContext, "__new__", counted)
        ssl.create_default_context()
        assert len(made) == 1, "a context that is made is not seen"
        for server in servers:
            await page_of(fetcher, server.url())
        assert fetcher.statistics().open == len(servers)
        assert made[1:] == []


async def test_transport_opens_anew_when_the_server_has_hung_up() -> None:
    answers = in_turn(raw(head(200, ("Content-Length", "2")) + b"{}", after=After.CLOSE), respond())
    async with open_fault_server(answers) as server, open_test_fetcher() as fetcher:
        await page_of(fetcher, server.url())
        with trio.fail_after(1):
            await server.wait_until(lambda: not server.open)
        await page_of(fetcher, server.url())
        assert fetcher.statistics().open == 1
    assert server.connections == 2


async def test_transport_opens_anew_when_a_connection_was_idle_too_long() -> None:
    limits = FetchLimits(keepalive_seconds=0.01)
    async with open_fault_server(respond()) as server, open_test_fetcher(limits=limits) as fetcher:
        await page_of(fetcher, server.url())
        await trio.sleep(0.02)
        await page_of(fetcher, server.url())
    assert server.connections == 2


async def test_transport_closes_the_idle_connections_of_a_domain_at_rest() -> None:
    async with (
        open_fault_server(respond()) as one,
        open_fault_server(respond()) as two,
        open_test_fetcher() as fetcher,
    ):
        await page_of(fetcher, one.url())
        await page_of(fetcher, two.url())
        await fetcher.rest(Domain(one.domain))
        assert fetcher.statistics().open == 1
        await page_of(fetcher, two.url())
        await fetcher.rest(Domain("unknown.example"))
    assert (one.connections, two.connections) == (1, 1)


async def test_transport_leaves_a_busy_connection_alone_at_rest() -> None:
    async with (
        open_fault_server(delay(0.05, respond())) as server,
        open_test_fetcher() as fetcher,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(page_of, fetcher, server.url())
        await server.wait_until(lambda: bool(server.requests))
        await fetcher.rest(Domain(server.domain))
        assert fetcher.statistics().open == 1


async def test_transport_raises_on_a_second_exchange_of_a_busy_origin() -> None:
    async with (
        open_fault_server(delay(0.05, respond())) as server,
        open_test_fetcher() as fetcher,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(page_of, fetcher, server.url())
        await server.wait_until(lambda: bool(server.requests))
        with pytest.raises(RuntimeError, match="second exchange"):
            await ask(fetcher, server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        raw(head(200, ("Content-Length", "2")) + b"{}" + STOLEN),
        raw(head(204) + STOLEN),
        raw(head(304) + STOLEN),
        raw(head(200, ("Content-Length", "0")) + STOLEN),
        chunked(b"{}", surplus=STOLEN),
        chunked(b"{}", surplus=head(200, ("Transfer-Encoding", "chunked")) + b"0\r\n\r\n"),
        chunked(b"{}", surplus=head(103)),
        chunked(b"{}", surplus=b"HTTP/1.1 200 OK\r\nX: 0\r\n\r\n"),
        respond(b"{}", status=500),
    ],
)
async def test_transport_never_hands_surplus_bytes_to_the_next_request(answer: Behaviour) -> None:
    answers: dict[str, Behaviour] = {"/a": answer, "/b": respond(b"true answer")}
    async with open_fault_server(answers) as server, open_test_fetcher() as fetcher:
        for _ in range(3):
            for path in answers:
                try:
                    page = await page_of(fetcher, server.url(path))
                except (FetchError, MalformedPage):
                    continue
                assert page.body in {b"{}", b"true answer", b""}
                assert (path, page.body) != ("/b", b"")
    assert {"/a", "/b"} == {one.path for one in server.requests}


async def test_transport_never_takes_an_answer_that_came_before_the_question() -> None:
    async def early(stream: trio.abc.Stream, _received: object) -> After:
        await stream.send_all(head(200, ("Content-Length", "2")) + b"{}")
        await trio.sleep(0.02)
        await stream.send_all(STOLEN)
        return After.KEEP

    answers: dict[str, Behaviour] = {"/a": early, "/b": respond(b"true answer")}
    async with open_fault_server(answers) as server, open_test_fetcher() as fetcher:
        await page_of(fetcher, server.url("/a"))
        await trio.sleep(0.05)
        assert (await page_of(fetcher, server.url("/b"))).body == b"true answer"
    assert server.connections == 2


async def walk(fetcher: Fetcher, request: PageRequest, hosts: list[str]) -> Page | int:
    """Follow at most 5 hops as a caller does; return the page, or the hops taken."""
    for _ in range(6):
        answer = await ask(fetcher, request, hosts=hosts)
        if isinstance(answer, Page):
            return answer
        request = follow(request, answer)
    return 6


async def test_no_credential_reaches_another_host_over_redirects() -> None:
    async with (
        open_fault_server(respond(b"{}")) as other,
        open_fault_server({"/a": redirect("/b"), "/b": redirect(other.url("/c"))}) as one,
        open_test_fetcher() as fetcher,
    ):
        secrets = ("Authorization", "Cookie", "X-RapidAPI-Key", "Authorization-Key")
        request = PageRequest(
            url=one.url("/a?api_key=secret"),
            headers=tuple((name, "secret") for name in secrets),
        )
        page = await walk(fetcher, request, [one.domain, other.domain])
    assert isinstance(page, Page)
    assert [dict(received.headers).get("x-rapidapi-key") for received in one.requests] == [
        "secret",
        "secret",
    ]
    assert {name for name, _ in other.requests[0].headers} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
    }
    assert "secret" not in repr(other.requests)


@pytest.mark.parametrize("hop", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["other port", "private address", "other name"])
async def test_no_request_leaves_the_source_as_a_later_hop(hop: int, kind: str) -> None:
    async with open_fault_server(respond()) as target, open_fault_server(respond()) as server:
        goal = {
            "other port": target.url(),
            "private address": f"http://127.0.0.2:{target.port}/",
            "other name": f"http://localhost:{target.port}/",
        }[kind]
        for step in range(1, hop):
            server.behaviours[f"/{step}"] = redirect(f"/{step + 1}")
        server.behaviours[f"/{hop}"] = redirect(goal)
        async with open_test_fetcher() as fetcher:
            with pytest.raises(Blocked):
                await walk(fetcher, PageRequest(url=server.url("/1")), [server.domain])
    assert (target.connections, len(server.requests)) == (0, hop)


async def test_every_hop_of_a_loop_is_an_exchange_of_its_own() -> None:
    async with open_fault_server(redirect("/")) as server, open_test_fetcher() as fetcher:
        assert await walk(fetcher, PageRequest(url=server.url()), [server.domain]) == 6
    assert (len(server.requests), server.connections) == (6, 1)


async def test_fetcher_returns_a_redirect_off_the_source_as_an_answer() -> None:
    async with (
        open_fault_server(redirect("https://www.example.com/home")) as server,
        open_test_fetcher() as fetcher,
    ):
        answer = await ask(fetcher, server.url())
    assert isinstance(answer, Redirected)
    assert domain_of(answer.url) == "www.example.com"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (reset(), Unreached.RESET),
        (raw(b"", after=After.CLOSE), Unreached.RESET),
        (reset(head(200, ("Content-Length", "9")) + b"x"), Unreached.RESET),
        (raw(head(200, ("Content-Length", "9")) + b"x", after=After.CLOSE), Unreached.RESET),
        (raw(b"not http at all\r\n\r\n"), Unreached.RESET),
        (raw(b"<html>HTTP/0.9</html>\r\n", after=After.CLOSE), Unreached.RESET),
        (raw(b"\r\n\r\n"), Unreached.RESET),
        (raw(head(101)), Unreached.RESET),
        (raw(head(200, ("Content-Length", "-1"))), Unreached.RESET),
        (
            raw(head(200, ("Content-Length", "2"), ("Content-Length", "3")) + b"abc"),
            Unreached.RESET,
        ),
        (raw(head(200, ("Transfer-Encoding", "gzip"))), Unreached.RESET),
        (raw(head(200, ("Transfer-Encoding", "chunked")) + b"zz\r\n"), Unreached.RESET),
    ],
)
async def test_transport_survives_a_broken_answer_and_asks_again(
    answer: Behaviour, failure: Unreached
) -> None:
    async with (
        open_fault_server({"/bad": answer, "/": respond()}) as server,
        open_test_fetcher() as fetcher,
    ):
        error = await error_of(fetcher, server.url("/bad"), seconds=2)
        assert fetcher.statistics().open == 0
        await page_of(fetcher, server.url())
    assert isinstance(error, Unavailable)
    assert error.failure is failure


async def test_transport_abandons_nothing_when_a_send_is_cancelled() -> None:
    async def deaf(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
    async with open_test_fetcher() as fetcher, trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, deaf, listeners)
        request = PageRequest(url=url, method="POST", body=bytes(20_000_000))
        hosts = frozenset({domain_of(url)})
        async with fetcher.exchange(request, hosts=hosts) as exchange:
            with trio.move_on_after(0.1) as scope:
                await exchange.run()
        assert scope.cancelled_caught
        assert (exchange.sent_at is not None, exchange.phase) == (True, Phase.SEND)
        assert fetcher.statistics().open == 0
        nursery.cancel_scope.cancel()
    gc.collect()


def chaos(dice: random.Random) -> Behaviour:
    """A server that delays, closes, chunks, cuts and resets at random."""
    body = bytes(dice.randrange(256) for _ in range(200)) * dice.choice((1, 10, 1000))
    good = [
        respond(body),
        respond(body, gzipped=True),
        chunked(body, body),
        raw(head(200, ("Content-Length", "2"), ("Connection", "close")) + b"{}", after=After.CLOSE),
        respond(status=503, headers=(("Retry-After", "1"),)),
    ]
    bad = [
        reset(),
        reset(head(200, ("Content-Length", "9")) + b"x"),
        raw(head(200, ("Content-Length", "9")) + b"x", after=After.CLOSE),
        hang(),
        hang(head(200, ("Content-Length", "9")) + b"x"),
        raw(head(200, ("Content-Length", "2")) + b"{}" + STOLEN),
    ]

    async def behave(stream: trio.abc.Stream, received: object) -> After:
        behaviour = dice.choice(good * 3 + bad)
        if dice.random() < 0.3:
            behaviour = delay(dice.random() * 0.02, behaviour)
        return await behaviour(stream, received)

    return behave


async def soak(*, hosts: int, exchanges: int) -> None:
    """Cancel exchanges at random moments; afterwards everything must work and nothing be lost."""
    dice = random.Random(7)
    own = Certificates()
    before = descriptors()
    async with open_test_fetcher(tls=own.client) as fetcher, trio.open_nursery() as nursery:
        servers: list[FaultServer] = []

        async def host(number: int, task_status: trio.TaskStatus[FaultServer]) -> None:
            tls = own.server() if number % 2 else None
            async with open_fault_server(chaos(dice), tls=tls) as server:
                task_status.started(server)
                await trio.sleep_forever()

        async def ask_often(server: FaultServer) -> None:
            for _ in range(exchanges // hosts):
                with trio.move_on_after(dice.choice((0.0, 0.001, 0.003, 0.01, 0.03))):
                    with contextlib.suppress(FetchError, MalformedPage):
                        await ask(fetcher, server.url(), seconds=1)

        for number in range(hosts):
            servers.append(await nursery.start(host, number))
        async with trio.open_nursery() as askers:
            for server in servers:
                askers.start_soon(ask_often, server)
        assert fetcher.statistics().open <= hosts
        for server in servers:
            server.behaviours["*"] = respond(b"well again")
            assert (await page_of(fetcher, server.url())).body == b"well again"
        assert fetcher.statistics().open == hosts
        assert fetcher.statistics().in_flight == 0
        nursery.cancel_scope.cancel()
    assert fetcher.statistics().open == 0
    gc.collect()
    assert descriptors() == before


async def test_transport_loses_nothing_when_500_exchanges_are_cancelled_at_random() -> None:
    await soak(hosts=10, exchanges=500)


@pytest.mark.slow
async def test_transport_loses_nothing_when_10000_exchanges_are_cancelled_at_random() -> None:
    await soak(hosts=40, exchanges=10_000)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
