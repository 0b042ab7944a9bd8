import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from outgoing import ID, NOW, item, outgoing

from jobping.core.digest import Digest
from jobping.delivery import Form, Hook, WebhookDelivery
from jobping.delivery.posts import write_post
from jobping.errors import DeliveryDeferred, DeliveryRejected
from tests.doubles.asking import open_test_fetcher
from tests.doubles.fault_server import Behaviour, FaultServer, hang, open_fault_server, respond

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
KEY = b"0123456789abcdef0123456789abcdef"
CHAT = "https://api.telegram.example/bot1:A/sendMessage?chat_id=-7&message_thread_id=3"
HOOKS = {
    Form.NTFY: "https://ntfy.example/jobs",
    Form.SLACK: "https://hooks.slack.example/services/T/B/X",
    Form.DISCORD: "https://discord.example/api/webhooks/1/X",
    Form.TELEGRAM: CHAT,
}


@asynccontextmanager
async def posting_to(
    behaviour: Behaviour, **fields: object
) -> AsyncIterator[tuple[WebhookDelivery, FaultServer]]:
    async with (
        open_fault_server({"*": behaviour}) as server,
        open_test_fetcher() as fetcher,
    ):
        own = {"url": server.url("/hook?key=plum"), "per_minute": 6_000}
        hook = Hook(**{**own, **fields})
        yield WebhookDelivery(hook=hook, post=fetcher.call), server


async def fails(way: WebhookDelivery, error: type[Exception], match: str) -> None:
    await way.wait_turn()
    with pytest.raises(error, match=match) as raised:
        await way.send(outgoing())
    assert "plum" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_program_gets_the_whole_digest_signed_under_its_id() -> None:
    async with posting_to(respond(b"", status=204), secret=SECRET) as (way, server):
        await way.wait_turn()
        await way.send(outgoing())

    [received] = server.requests
    assert (received.method, received.target) == ("POST", "/hook?key=plum")
    assert received.header("content-type") == "application/json"
    assert received.header("webhook-id") == ID
    timestamp = received.header("webhook-timestamp")
    assert timestamp is not None
    signed = hmac.new(KEY, f"{ID}.{timestamp}.".encode() + received.body, hashlib.sha256)
    expected = base64.b64encode(signed.digest()).decode()
    assert received.header("webhook-signature") == f"v1,{expected}"
    digest = outgoing().digest
    assert json.loads(received.body) == {
        "type": "digest",
        "id": ID,
        "profile": "berlin",
        "period": "2026-11-12T08:00",
        "made_at": NOW.isoformat().replace("+00:00", "Z"),
        "subject": digest.subject,
        "text": digest.text,
        "items": [attrs.asdict(item()) | {"also": []}],
    }
    assert b"reader.example" not in received.body
    assert b"tok-1" not in received.body


async def test_nothing_is_signed_without_a_secret() -> None:
    async with posting_to(respond()) as (way, server):
        await way.send(outgoing())

    assert server.requests[0].header("webhook-signature") is None
    assert server.requests[0].header("webhook-id") == ID


@pytest.mark.parametrize(
    ("status", "headers", "error", "match"),
    [
        (400, (), DeliveryRejected, "answered 400"),
        (401, (), DeliveryRejected, "answered 401"),
        (404, (), DeliveryRejected, "answered 404"),
        (410, (), DeliveryRejected, "answered 410"),
        (413, (), DeliveryRejected, "answered 413"),
        (408, (), DeliveryDeferred, "failed"),
        (429, (("Retry-After", "7"),), DeliveryDeferred, "answered 429"),
        (500, (), DeliveryDeferred, "failed"),
        (503, (("Retry-After", "7"),), DeliveryDeferred, "answered 503"),
        (302, (("Location", "/elsewhere"),), DeliveryDeferred, "failed"),
        (303, (("Location", "/elsewhere"),), DeliveryRejected, "answered a redirect"),
    ],
)
async def test_answer_says_what_becomes_of_the_digest(status, headers, error, match) -> None:
    async with posting_to(respond(b"plum", status=status, headers=headers)) as (way, server):
        await fails(way, error, match)
        assert len(server.requests) == 1


async def test_place_that_says_when_is_asked_again_then(mock_clock) -> None:
    busy = respond(status=429, headers=(("Retry-After", "7"),))
    async with posting_to(busy) as (way, server):
        await fails(way, DeliveryDeferred, "429")
        server.behaviours["*"] = respond()
        began = trio.current_time()
        mock_clock.autojump_threshold = 0.05
        await way.wait_turn()
        assert trio.current_time() - began == pytest.approx(7, abs=0.5)
        mock_clock.autojump_threshold = float("inf")
        await way.send(outgoing())
    assert len(server.requests) == 2


async def test_place_that_failed_is_left_alone_for_a_while() -> None:
    async with posting_to(respond(status=500)) as (way, server):
        await fails(way, DeliveryDeferred, "5xx|500")
        with pytest.raises(DeliveryDeferred, match="not before 30 s"):
            await way.send(outgoing())
        assert len(server.requests) == 1


async def test_slow_place_is_given_up_in_time(mock_clock) -> None:
    mock_clock.rate = 60
    async with posting_to(hang()) as (way, _):
        began = trio.current_time()
        await fails(way, DeliveryDeferred, "no answer in time")
        assert trio.current_time() - began < 30


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"],
)
async def test_private_place_gets_nothing(host: str) -> None:
    async with open_fault_server({"*": respond()}) as server:
        port = server.domain.rpartition(":")[2]
        async with open_test_fetcher(allow=()) as fetcher:

            async def send() -> None:
                hook = Hook(url=f"https://{host}:{port}/")
                await WebhookDelivery(hook=hook, post=fetcher.call).send(outgoing())

            with pytest.raises((ValueError, DeliveryDeferred), match=r"wrong host|guard"):
                await send()
        assert (server.requests, server.connections) == ([], 0)


async def test_name_that_leads_to_a_private_address_gets_nothing() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["93.184.216.34", "10.0.0.1"]

    async with open_test_fetcher(allow=(), resolve=resolve) as fetcher:
        way = WebhookDelivery(hook=Hook(url="https://hooks.example/x"), post=fetcher.call)
        await fails(way, DeliveryDeferred, "guard")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": "ftp://a.example/plum"}, "scheme"),
        ({"url": "https://u:plum@a.example/"}, "user"),
        ({"url": "http://a.example/plum"}, "https"),
        ({"url": "https://ntfy.example/a/plum", "form": Form.NTFY}, "topic"),
        ({"url": "https://t.example/botplum/sendMessage", "form": Form.TELEGRAM}, "chat_id"),
        ({"url": "https://a.example/", "secret": "plum"}, "whsec_"),
        ({"url": "https://a.example/", "secret": "whsec_cGx1bQ=="}, "24 to 64"),
    ],
)
def test_hook_that_cannot_work_is_refused_without_showing_it(fields, why) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        Hook(**fields)
    assert "plum" not in str(raised.value)


def test_hook_shows_no_secrets() -> None:
    shown = repr(Hook(url="https://a.example/plum", secret=SECRET))
    assert "plum" not in shown
    assert SECRET not in shown


def test_url_goes_where_the_service_wants_it() -> None:
    assert Hook(url="https://n.example/jobs?auth=X", form=Form.NTFY).post_url == (
        "https://n.example/?auth=X"
    )
    assert Hook(url=CHAT, form=Form.TELEGRAM).post_url == CHAT.partition("?")[0]


def post(form: Form, *items, subject: str = "2 jobs for berlin") -> dict:
    digest = Digest(subject=subject, text="", html="", items=items)
    return json.loads(write_post(outgoing(digest=digest), Hook(url=HOOKS[form], form=form)))


TWO = (item(title="Data & <b>ops</b>"), item(url=None, host="", earlier="from earlier"))
FACTS = "Kestrel · Berlin\n50,000 EUR a year · posted today · last seen open today"


def test_ntfy_gets_plain_text_for_its_topic() -> None:
    assert post(Form.NTFY, *TWO) == {
        "topic": "jobs",
        "title": "2 jobs for berlin",
        "message": f"Data & <b>ops</b>\n{FACTS}\nasks for your words\n"
        "https://jobs.kestrel.example/1\n\n"
        f"Software engineer\n{FACTS}\nfrom earlier\nasks for your words\nno link",
    }


def test_slack_gets_a_section_that_it_reads_word_for_word() -> None:
    body = post(Form.SLACK, *TWO)

    assert body["text"] == "2 jobs for berlin"
    head, section = body["blocks"]
    assert head["text"]["text"] == "2 jobs for berlin"
    assert section["text"] == {
        "type": "mrkdwn",
        "text": "<https://jobs.kestrel.example/1|Data &amp; &lt;b&gt;ops&lt;/b&gt;> "
        f"(jobs.kestrel.example)\n{FACTS}\nasks for your words\n\n"
        f"Software engineer (no link)\n{FACTS}\nfrom earlier\nasks for your words",
        "verbatim": True,
    }


def test_discord_gets_an_embed_and_mentions_nobody() -> None:
    hostile = item(title="@everyone [x](https://evil.example) **", url="https://a.example/(1)")
    body = post(Form.DISCORD, hostile, subject="1 job: @everyone <@1>")

    assert body["allowed_mentions"] == {"parse": []}
    assert body["content"] == r"1 job\: \@everyone \<\@1\>"
    [embed] = body["embeds"]
    title = r"\@everyone \[x\]\(https\://evil.example\) \*\*"
    assert embed["description"].startswith(
        f"[{title}](https://a.example/%281%29) (jobs.kestrel.example)\n"
    )


def test_telegram_gets_html_of_its_few_tags_and_the_parameters_of_the_url() -> None:
    body = post(Form.TELEGRAM, item(title='<a href="x">Data</a> &'), subject="1 <job>")

    assert (body["chat_id"], body["message_thread_id"]) == ("-7", "3")
    assert (body["parse_mode"], body["link_preview_options"]) == ("HTML", {"is_disabled": True})
    assert body["text"] == (
        "<b>1 &lt;job&gt;</b>\n\n"
        '<a href="https://jobs.kestrel.example/1">&lt;a href="x"&gt;Data&lt;/a&gt; &amp;</a> '
        f"(jobs.kestrel.example)\n{FACTS}\nasks for your words"
    )


SIZES: dict[Form, Callable[[dict], int]] = {
    Form.NTFY: lambda body: len(body["message"].encode()),
    Form.SLACK: lambda body: len(body["blocks"][1]["text"]["text"]),
    Form.DISCORD: lambda body: len(body["embeds"][0]["description"]) + len(body["content"]),
    Form.TELEGRAM: lambda body: len(body["text"].encode("utf-16-le")) // 2,
}
LIMITS = {Form.NTFY: 4_096, Form.SLACK: 3_000, Form.DISCORD: 6_000, Form.TELEGRAM: 4_096}


@pytest.mark.parametrize("form", LIMITS)
@pytest.mark.parametrize("character", ["x", "&", "<", "*", "\u00e4", "\U0001f600"])
def test_long_digest_is_cut_to_what_the_service_takes_and_says_so(form, character) -> None:
    long = item(
        title=character * 200,
        company=character * 100,
        reason=character * 300,
        url="https://a.example/" + "&" * 400,
    )
    body = post(form, *[long] * 40, *[item()] * 20, subject=character * 120)

    assert LIMITS[form] * 0.3 < SIZES[form](body) <= LIMITS[form]
    assert "… and " in json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize("form", LIMITS)
def test_digest_without_postings_has_its_subject(form) -> None:
    assert "Nothing new for berlin" in json.dumps(post(form, subject="Nothing new for berlin"))


async def test_check_in_the_readme_accepts_our_signature_and_no_other() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [snippet] = re.findall(r"```python\n(import base64.*?)```", readme, re.DOTALL)
    names: dict = {}
    exec(snippet, names)
    check = names["is_from_jobping"]
    async with posting_to(respond(), secret=SECRET) as (way, server):
        await way.send(outgoing())

    [received] = server.requests
    headers = dict(received.headers)
    late = {**headers, "webhook-timestamp": "1"}
    assert check(SECRET, headers, received.body)
    assert not check(SECRET, headers, received.body + b" ")
    assert not check(SECRET.replace("whsec_M", "whsec_N"), headers, received.body)
    assert not check(SECRET, {**headers, "webhook-id": "other"}, received.body)
    assert not check(SECRET, late, received.body)


async def test_two_ways_to_one_place_wait_for_each_other() -> None:
    inner = respond(b"OK")

    async def slowly(stream: trio.abc.Stream, received: object) -> object:
        await trio.sleep(0.1)
        return await inner(stream, received)

    async with posting_to(slowly) as (way, server):
        other = WebhookDelivery(hook=way.hook, post=way.post)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(way.send, outgoing())
            nursery.start_soon(other.send, outgoing())
    assert len(server.requests) == 2
