import gzip
import random

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobping.core.ids import Domain
from jobping.core.page import Page, PageRequest, Redirected
from jobping.errors import FetchError, MalformedPage, Unavailable, Unreached
from jobping.fetch import Exchange, FetchLimits, Phase
from tests.doubles.asking import ask, error_of, open_test_fetcher, page_of
from tests.doubles.fault_server import (
    After,
    Behaviour,
    bomb,
    chunked,
    drip,
    endless,
    endless_body,
    endless_headers,
    endless_interim,
    head,
    open_fault_server,
    raw,
    respond,
)

READ = 65_536
SMALL = FetchLimits(wire_bytes=300_000)
LENGTHLESS = head(200)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (endless_body(), "wire_bytes"),
        (endless(LENGTHLESS, b"x" * 10_000), "wire_bytes"),
        (endless(head(200, ("Content-Length", "9" * 12)), b"x" * 10_000), "wire_bytes"),
        (endless(head(404, ("Transfer-Encoding", "chunked")), b"1\r\nx\r\n" * 1000), "chunks"),
        (bomb(), "ratio"),
        (respond(b"x" * 300_000), "wire_bytes"),
        (raw(head(200, ("Content-Encoding", "gzip, gzip"), ("Content-Length", "0"))), "content_"),
        (raw(head(200, ("Content-Encoding", "zstd"), ("Content-Length", "0"))), "content_"),
        (respond(b"plain", headers=(("Content-Encoding", "gzip"),)), "gzip"),
        (
            respond(gzip.compress(b"cut")[:-1], headers=(("Content-Encoding", "gzip"),)),
            "gzip_cut",
        ),
    ],
)
async def test_fetcher_stops_a_hostile_body_and_works_again(answer: Behaviour, why: str) -> None:
    async with (
        open_fault_server({"/bad": answer, "/": respond()}) as server,
        open_test_fetcher(limits=SMALL) as fetcher,
    ):
        error = await error_of(fetcher, server.url("/bad"))
        statistics = fetcher.statistics()
        await page_of(fetcher, server.url())
    assert isinstance(error, MalformedPage)
    assert error.why.startswith(why)
    assert statistics.wire_bytes <= SMALL.wire_bytes + READ


@pytest.mark.parametrize("answer", [endless_headers(), endless_interim()])
async def test_fetcher_stops_headers_without_end_at_their_cap(answer: Behaviour) -> None:
    async with (
        open_fault_server({"/bad": answer, "/": respond()}) as server,
        open_test_fetcher() as fetcher,
    ):
        error = await error_of(fetcher, server.url("/bad"))
        statistics = fetcher.statistics()
        await page_of(fetcher, server.url())
    assert isinstance(error, Unavailable)
    assert error.failure is Unreached.RESET
    assert (statistics.open, statistics.wire_bytes) == (0, FetchLimits().header_bytes)


async def test_fetcher_takes_headers_just_below_their_cap() -> None:
    fields = tuple((f"X-{n}", "x" * 90) for n in range(300))
    async with (
        open_fault_server(respond(headers=fields)) as server,
        open_test_fetcher() as fetcher,
    ):
        assert len((await page_of(fetcher, server.url())).headers) == 302


@pytest.mark.parametrize("answer", [respond(b"x" * 2001), respond(b"x" * 2001, gzipped=True)])
async def test_fetcher_holds_a_body_to_the_ceiling_of_its_request(answer: Behaviour) -> None:
    async with open_fault_server(answer) as server, open_test_fetcher() as fetcher:
        request = PageRequest(url=server.url(), byte_ceiling=2000)
        error = await error_of(fetcher, request)
        page = await page_of(fetcher, PageRequest(url=server.url(), byte_ceiling=2001))
    assert isinstance(error, MalformedPage)
    assert error.why == "decoded_bytes"
    assert len(page.body) == 2001


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        head(200, ("Content-Length", "99999")),
        head(200, ("Transfer-Encoding", "chunked")) + b"ffff\r\n",
        head(503, ("Content-Length", "99999")),
    ],
)
async def test_fetcher_leaves_a_dripping_server_at_the_callers_deadline(answer: bytes) -> None:
    limits = FetchLimits(drain_seconds=0.05)
    behaviours = {"/bad": drip(answer, every_s=0.005), "/": respond()}
    async with (
        open_fault_server(behaviours) as server,
        open_test_fetcher(limits=limits) as fetcher,
    ):
        with trio.move_on_after(0.6):
            with pytest.raises((trio.TooSlowError, Unavailable)):
                await ask(fetcher, server.url("/bad"), seconds=0.3)
        assert fetcher.statistics().open == 0
        await page_of(fetcher, server.url())


@pytest.mark.parametrize(
    ("answer", "turns"),
    [
        (bomb(50_000_000), 8),
        (endless(head(200, ("Transfer-Encoding", "chunked")), b"1\r\nx\r\n" * 10_000), 60),
    ],
)
async def test_fetcher_lets_others_run_while_it_reads_a_costly_body(
    answer: Behaviour, turns: int
) -> None:
    phases: list[Phase] = []

    async def watch(exchange: Exchange) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            phases.append(exchange.phase)

    async with open_fault_server(answer) as server, trio.open_nursery() as nursery:
        async with open_test_fetcher(limits=FetchLimits(ratio=10**9)) as fetcher:
            hosts = frozenset({Domain(server.domain)})
            async with fetcher.exchange(PageRequest(url=server.url()), hosts=hosts) as exchange:
                nursery.start_soon(watch, exchange)
                with pytest.raises(MalformedPage, match=r"decoded_bytes|chunks"):
                    await exchange.run()
        nursery.cancel_scope.cancel()
    assert phases.count(Phase.BODY) >= turns


async def outcome_of(answer: bytes, after: After) -> object:
    """Return what one exchange makes of these bytes."""
    behaviours = {"/bad": raw(answer, after=after), "/": respond(b"good")}
    async with open_fault_server(behaviours) as server:
        limits = FetchLimits(drain_seconds=0.02)
        async with open_test_fetcher(limits=limits) as fetcher:
            try:
                outcome: object = await ask(fetcher, server.url("/bad"), seconds=0.05)
            except (FetchError, MalformedPage, trio.TooSlowError) as error:
                outcome = error
            good = await page_of(fetcher, server.url("/"))
            assert good.body == b"good"
            assert fetcher.statistics().open == 1
    return outcome


def shaped() -> st.SearchStrategy[bytes]:
    """Answers that look like HTTP, with broken parts anywhere."""
    names = st.sampled_from(
        [b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Location", b"Set-Cookie",
         b"Connection", b"Content-Type", b"Retry-After", b"Date", b"X"]
    )  # fmt: skip
    values = st.sampled_from(
        [b"0", b"5", b"-1", b"5, 5", b"99999999999999999999", b"chunked", b"gzip", b"gzip,gzip",
         b"close", b"keep-alive", b"upgrade", b"file:///etc/passwd", b"javascript:1", b"//x",
         b"\xff\xfe", b"a=b; expires=never; domain=.com", b"text/html; charset=utf-99", b""]
    )  # fmt: skip
    fields = st.lists(st.tuples(names, values), max_size=6)
    status = st.sampled_from(
        [
            b"100",
            b"101",
            b"103",
            b"200",
            b"204",
            b"206",
            b"302",
            b"304",
            b"404",
            b"429",
            b"503",
            b"000",
            b"999",
        ]
    )
    body = st.one_of(
        st.binary(max_size=50),
        st.sampled_from(
            [
                b"5\r\nhello\r\n0\r\n\r\n",
                gzip.compress(b"hello"),
                b"0\r\n\r\n",
                b"ffffffffffffffffff\r\n",
            ]
        ),
    )
    return st.builds(
        lambda code, pairs, rest: b"HTTP/1.1 %b OK\r\n%b\r\n%b"
        % (code, b"".join(b"%b: %b\r\n" % pair for pair in pairs), rest),
        status, fields, body,
    )  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(shaped(), st.binary(max_size=200)), st.sampled_from([After.CLOSE, After.RESET]))
@example(answer=b"", after=After.CLOSE)
@example(answer=b"HTTP/1.1 200\r\n\r\n", after=After.CLOSE)
@example(answer=head(302, ("Location", "http://[")), after=After.CLOSE)
def test_any_bytes_as_an_answer_give_a_page_or_one_error_of_ours(
    answer: bytes, after: After
) -> None:
    outcome = trio.run(outcome_of, answer, after)
    assert isinstance(outcome, Page | Redirected | FetchError | MalformedPage | trio.TooSlowError)


async def test_every_mutation_of_a_good_answer_gives_a_page_or_one_error_of_ours() -> None:
    dice = random.Random(11)
    packed = gzip.compress(b'{"jobs": []}' * 20)
    good = head(200, ("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))) + packed
    behaviours: dict[str, Behaviour] = {"/": respond(b"good")}
    async with open_fault_server(behaviours) as server, open_test_fetcher() as fetcher:
        for _ in range(150):
            answer = bytearray(good)
            for _ in range(dice.randrange(1, 4)):
                answer[dice.randrange(len(answer))] = dice.randrange(256)
            behaviours["/bad"] = raw(bytes(answer), after=After.CLOSE)
            server.behaviours.update(behaviours)
            try:
                page = await ask(fetcher, server.url("/bad"), seconds=2)
            except (FetchError, MalformedPage):
                continue
            assert isinstance(page, Page)
        assert (await page_of(fetcher, server.url())).body == b"good"


async def test_every_prefix_of_a_chunked_gzip_answer_is_refused() -> None:
    packed = gzip.compress(b"hello")
    async with open_test_fetcher() as fetcher, open_fault_server(respond()) as server:
        for length in range(len(packed)):
            server.behaviours["*"] = raw(
                head(200, ("Content-Encoding", "gzip"), ("Content-Length", str(length)))
                + packed[:length]
            )
            error = await error_of(fetcher, server.url())
            assert isinstance(error, MalformedPage)
            assert error.why == "gzip_cut"
        server.behaviours["*"] = chunked(b"whole")
        assert (await page_of(fetcher, server.url())).body == b"whole"
