"""Notices of alerts over the ways of digests."""

import json

import pytest

from jobping.core.alerting import RULES, Change, State
from jobping.delivery import Form, Hook, SmtpDelivery, WebhookDelivery, write_notice
from jobping.delivery.posts import write_post
from tests.doubles.asking import open_test_fetcher
from tests.doubles.certificates import Certificates
from tests.doubles.fault_server import open_fault_server, respond
from tests.doubles.mail_server import mail_server

OPERATOR = "operator@home.example"
OWN = Certificates()
URLS = {
    Form.JSON: "https://hooks.example/x",
    Form.NTFY: "https://ntfy.example/jobs",
    Form.SLACK: "https://hooks.slack.example/services/T/B/X",
    Form.DISCORD: "https://discord.example/api/webhooks/1/X",
    Form.TELEGRAM: "https://api.telegram.example/bot1:A/sendMessage?chat_id=-7",
}
RULE = {rule.name: rule for rule in RULES}


def change(subject: str = "a.example", state: State = State.FIRED) -> Change:
    return Change(
        rule=RULE["breaker_open"], subject=subject, state=state, at=1_790_000_000.25, value=None
    )


async def test_notice_is_a_mail_to_the_operator():
    with mail_server(tls=OWN.server("localhost")) as server:
        way = SmtpDelivery(relay=server.relay(per_minute=60_000), tls=OWN.client)
        await way.send(write_notice(change(), "box", OPERATOR))
        way.close()
    [mail] = server.mails
    assert mail.to == (OPERATOR,)
    assert "JobPing on box: breaker_open a.example: its breaker is open" in mail.part("plain")
    assert "2026-09-21 14:13:20 UTC" in mail.part("plain")


async def test_notice_is_posted():
    async with (
        open_fault_server({"*": respond(b"", status=204)}) as server,
        open_test_fetcher() as fetcher,
    ):
        way = WebhookDelivery(hook=Hook(url=server.url("/hook")), post=fetcher.call)
        await way.send(write_notice(change(), "box", None))
    [received] = server.requests
    assert json.loads(received.body)["subject"].startswith("JobPing on box: breaker_open a.example")


@pytest.mark.parametrize("form", list(Form))
def test_every_form_says_what_it_is_about(form):
    body = write_post(write_notice(change(), "box", None), Hook(url=URLS[form], form=form))
    said = body.decode().replace("\\\\", "")
    assert "breaker_open a.example" in said


def test_notice_of_an_end_and_of_a_beginning_have_names_of_their_own():
    fired, resolved = (write_notice(change(state=state), "box", None) for state in State)
    assert fired.message_id != resolved.message_id
    assert write_notice(change(), "box", None).message_id == fired.message_id
    assert resolved.digest.subject == "JobPing on box: resolved: breaker_open a.example"


def test_subject_of_a_stranger_is_one_harmless_line():
    notice = write_notice(change("<b>\r\nBcc: x@y\u202e"), "box", OPERATOR)
    assert "\n" not in notice.digest.subject
    assert "\u202e" not in notice.digest.text
    assert "<b>" not in notice.digest.html
