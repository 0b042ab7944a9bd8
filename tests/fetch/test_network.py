import datetime as dt
import gc
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from jobping.core.ids import Domain
from jobping.core.page import Page, PageRequest
from jobping.errors import Blocked, Unavailable, Unreached
from jobping.fetch import Phase
from jobping.fetch.network import MAX_ADDRESSES, Connections, Guard, connect_first
from tests.doubles.asking import LOOPBACK, Recorder, error_of, open_test_fetcher, page_of
from tests.doubles.certificates import Certificates, foreign_server
from tests.doubles.fault_server import (
    FaultServer,
    hang,
    open_fault_server,
    respond,
)

PUBLIC = (ipaddress.ip_network("127.0.0.1/32"),)
"""Plays the public network; 127.0.0.2 is then a private address with a listener behind it."""
NAME = "boards.example"


@attrs.define
class Resolver:
    """Gives the answers in turn; the last one stays."""

    answers: list[Sequence[str] | OSError]
    asked: list[tuple[str, int]] = attrs.field(factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


def named(server: FaultServer) -> str:
    return f"{server.scheme}://{NAME}:{server.port}/"


async def test_network_connects_to_the_resolved_address_and_keeps_the_name() -> None:
    resolve = Resolver([["127.0.0.1"]])
    async with (
        open_fault_server(respond()) as server,
        open_test_fetcher(resolve=resolve) as fetcher,
    ):
        await page_of(fetcher, named(server))
        await page_of(fetcher, named(server))
    assert resolve.asked == [(NAME, server.port)]
    assert server.requests[0].header("host") == f"{NAME}:{server.port}"


async def test_network_refuses_a_name_that_was_rebound_after_the_first_connect() -> None:
    resolve = Resolver([["127.0.0.1"], ["127.0.0.2"]])
    emit = Recorder()
    async with (
        open_fault_server(respond()) as server,
        open_test_fetcher(allow=PUBLIC, resolve=resolve, emit=emit) as fetcher,
    ):
        private = await trio.open_tcp_listeners(server.port, host="127.0.0.2")
        await page_of(fetcher, named(server))
        await fetcher.rest(Domain(f"{NAME}:{server.port}"))
        error = await error_of(fetcher, named(server))
        assert not private[0].socket.is_readable()
        await private[0].aclose()
    assert isinstance(error, Blocked)
    assert error.why == "address"
    assert len(resolve.asked) == 2
    why = f"address: {NAME} is 127.0.0.2; `[network] allow` can permit it"
    assert emit.named("url.refused") == [{"domain": f"{NAME}:{server.port}", "why": why}]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.1", "::1"],
        ["127.0.0.1", "fe80::1%lo"],
        ["127.0.0.1"] + [f"10.0.{n // 250}.{n % 250}" for n in range(1000)],
        ["0.0.0.0"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.2"],
        ["64:ff9b::7f00:2"],
    ],
)
async def test_network_refuses_the_whole_name_when_one_address_is_refused(
    answer: list[str],
) -> None:
    async with open_fault_server(respond()) as server:
        resolve = Resolver([answer])
        async with open_test_fetcher(allow=PUBLIC, resolve=resolve) as fetcher:
            error = await error_of(fetcher, named(server))
            statistics = fetcher.statistics()
    assert isinstance(error, Blocked)
    assert (error.why, error.status) == ("address", None)
    assert (server.connections, statistics.requests) == (0, 0)
    assert statistics.refusals == (("address", 1),)


@pytest.mark.parametrize(
    "host",
    """localhost localhost. 127.1 2130706433 0x7f.1 017700000001 0 127.0.0.1 127.000.000.001 [::1]
    [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [::] 0.0.0.0 127。0。0。1 ①②⑦.0.0.1
    %31%32%37.0.0.1 x@127.0.0.1""".split(),  # noqa: SIM905  # a table, not a list
)
async def test_network_sends_nothing_to_this_host_however_it_is_spelled(host: str) -> None:
    async with open_fault_server(respond()) as server, open_test_fetcher(allow=()) as fetcher:
        url = f"http://{host}:{server.port}/"
        hosts = [f"{name}:{server.port}" for name in (host, host.rstrip("."), "[::1]", "[::]")]
        error = await error_of(fetcher, url, hosts=hosts)
        statistics = fetcher.statistics()
    assert isinstance(error, Blocked)
    assert error.status is None
    assert (server.connections, statistics.connections, statistics.requests) == (0, 0, 0)


@pytest.mark.parametrize("answer", [OSError("no such name"), [], ["no address"]])
async def test_network_calls_a_name_that_does_not_resolve_a_dns_failure(
    answer: Sequence[str] | OSError,
) -> None:
    async with open_test_fetcher(resolve=Resolver([answer])) as fetcher:
        error = await error_of(fetcher, f"https://{NAME}/")
    assert isinstance(error, Unavailable)
    assert error.failure is Unreached.DNS


async def test_network_leaves_a_silent_resolver_at_the_deadline() -> None:
    async def silent(_host: str, _port: int) -> Sequence[str]:
        await trio.sleep_forever()
        raise AssertionError

    async with open_test_fetcher(resolve=silent) as fetcher:
        request, hosts = PageRequest(url=f"https://{NAME}/"), frozenset({Domain(NAME)})
        async with fetcher.exchange(request, hosts=hosts) as exchange:
            with trio.move_on_after(0.02) as scope:
                await exchange.run()
    assert scope.cancelled_caught
    assert exchange.sent_at is None
    assert exchange.lateness is Unreached.DNS


async def test_guard_tries_only_the_first_addresses_of_a_long_answer() -> None:
    resolve = Resolver([[f"8.8.{n // 250}.{n % 250}" for n in range(1000)]])
    guard = Guard(resolve=resolve, allow=(), connections=Connections())
    assert len(await guard.addresses(NAME, 443)) == MAX_ADDRESSES


async def test_network_resolves_localhost_by_the_machine() -> None:
    async with open_fault_server(respond()) as server:
        allow = (*LOOPBACK, ipaddress.ip_network("::1/128"))
        async with open_test_fetcher(allow=allow) as fetcher:
            page = await page_of(fetcher, f"http://localhost:{server.port}/")
    assert isinstance(page, Page)


async def test_network_calls_a_refused_connect_a_connect_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with open_test_fetcher() as fetcher:
        error = await error_of(fetcher, f"http://127.0.0.1:{port}/")
        statistics = fetcher.statistics()
    assert isinstance(error, Unavailable)
    assert error.failure is Unreached.CONNECT
    assert (statistics.open, statistics.requests) == (0, 0)


async def test_network_tells_an_address_without_a_way_from_one_that_refuses() -> None:
    nowhere = ipaddress.ip_address("127.255.255.255")  # broadcast: connect(2) finds no way
    async with open_test_fetcher() as fetcher:
        error = await error_of(fetcher, f"http://{nowhere}:9/")
    assert isinstance(error, Unavailable)
    assert error.failure is Unreached.UNREACHABLE
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await connect_first([ipaddress.ip_address("127.0.0.1"), nowhere], port)


async def test_connect_first_goes_on_to_the_next_address_when_one_fails() -> None:
    async with open_fault_server(respond(), host="127.0.0.2") as server:
        addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("127.0.0.2")]
        with trio.fail_after(0.2):  # less than the stagger
            connected = await connect_first(addresses, server.port)
        assert connected.getpeername()[0] == "127.0.0.2"
        connected.close()


async def test_connect_first_closes_its_sockets_when_it_is_cancelled() -> None:
    before = descriptors()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        with trio.move_on_after(0.05) as scope:
            await connect_first([ipaddress.ip_address("127.0.0.1")] * 3, full.getsockname()[1])
        for filler in fillers:
            filler.close()
    assert scope.cancelled_caught
    assert descriptors() == before


EPOCH = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
FAR = dt.datetime(2090, 1, 1, tzinfo=dt.UTC)


def servers() -> dict[str, tuple[Certificates, ssl.SSLContext]]:
    own = Certificates()
    old = own.server()
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    return {
        "expired": (own, own.server(not_before=EPOCH, not_after=EPOCH + dt.timedelta(days=1))),
        "not yet valid": (own, own.server(not_before=FAR, not_after=FAR + dt.timedelta(days=1))),
        "wrong host": (own, own.server("other.example")),
        "unknown authority": (own, foreign_server()),
        "address only": (own, own.server("127.0.0.1")),
        "TLS 1.1": (own, old),
    }


@pytest.mark.filterwarnings(
    "ignore:ssl.TLSVersion:DeprecationWarning"
)  # the server plays an old one
async def test_network_refuses_every_bad_certificate_and_never_asks_in_clear() -> None:
    for why, (own, context) in servers().items():
        resolve = Resolver([["127.0.0.1"]])
        async with (
            open_fault_server(respond(), tls=context) as server,
            open_test_fetcher(tls=own.client, resolve=resolve) as fetcher,
        ):
            host = NAME if why == "address only" else "127.0.0.1"
            error = await error_of(fetcher, f"https://{host}:{server.port}/")
            statistics = fetcher.statistics()
        assert isinstance(error, Unavailable), why
        assert error.failure is Unreached.TLS, why
        assert (server.requests, statistics.open, statistics.requests) == ([], 0, 0), why


async def test_network_calls_a_reset_during_the_handshake_a_reset() -> None:
    async def slam(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        await stream.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery, open_test_fetcher() as fetcher:
        nursery.start_soon(trio.serve_listeners, slam, listeners)
        port = listeners[0].socket.getsockname()[1]
        error = await error_of(fetcher, f"https://127.0.0.1:{port}/")
        nursery.cancel_scope.cancel()
    assert isinstance(error, Unavailable)
    assert error.failure in {Unreached.RESET, Unreached.TLS}


async def test_network_reads_pages_over_tls_and_reuses_the_connection() -> None:
    own = Certificates()
    async with (
        open_fault_server(respond(b"x" * 100_000), tls=own.server(NAME)) as server,
        open_test_fetcher(tls=own.client, resolve=Resolver([["127.0.0.1"]])) as fetcher,
    ):
        for _ in range(3):
            assert len((await page_of(fetcher, named(server))).body) == 100_000
    assert server.connections == 1


async def test_network_leaves_no_socket_after_cancelled_handshakes() -> None:
    gc.disable()
    try:
        async with open_fault_server(hang()) as server, open_test_fetcher() as fetcher:
            before = descriptors()
            request = PageRequest(url=f"https://{server.domain}/")
            hosts = frozenset({Domain(server.domain)})
            for _ in range(100):
                heard = server.heard
                async with (
                    fetcher.exchange(request, hosts=hosts) as exchange,
                    trio.open_nursery() as nursery,
                ):
                    nursery.start_soon(exchange.run)
                    await server.wait_until(partial(lambda before: server.heard > before, heard))
                    nursery.cancel_scope.cancel()
                assert (exchange.sent_at, exchange.phase) == (None, Phase.TLS)
            assert fetcher.statistics().open == 0
            assert server.connections == 100
            with trio.fail_after(2):
                await server.wait_until(lambda: not server.open)
            assert descriptors() == before
    finally:
        gc.enable()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
