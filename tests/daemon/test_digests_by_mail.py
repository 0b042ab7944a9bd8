"""Mail and a webhook out of a whole daemon, on servers on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import Home, jobping, run
from tests.doubles.certificates import Certificates
from tests.doubles.fault_server import FaultServer, open_fault_server, respond
from tests.doubles.mail_server import SECRET, MailServer, mail_server

ADDRESSES = ("ana-canary@reader.example", "bo-canary@reader.example")
HOSTILE = 'Widget maker\r\nBcc: all@x.example\u202e <script>alert("x")</script>'


@pytest.fixture
def authority() -> Certificates:
    return Certificates()


@pytest.fixture
def mail(authority: Certificates) -> Iterator[MailServer]:
    with mail_server(tls=authority.server("localhost"), wants_login=True) as running:
        yield running


def board(titles: dict[int, str]) -> bytes:
    jobs = json.loads(greenhouse(titles))
    for job, title in zip(jobs["jobs"], titles.values(), strict=True):
        job["title"] = title
    return json.dumps(jobs).encode()


def configured(home: Home, boards: FaultServer, mail: MailServer, rest: str = "") -> Path:
    profiles = "".join(
        f'[[profile]]\nname = "reader-{n}"\nwords = ["widget"]\nemail = "{address}"\n'
        for n, address in enumerate(ADDRESSES)
    )
    smtp = (
        f'[delivery.smtp]\nhost = "localhost"\nport = {mail.port}\nuser = "me"\n'
        f'from = "jobs@sender.example"\nper_minute = 6000\n'
    )
    text = config({"greenhouse": boards.url("").rstrip("/")}, rest=profiles + smtp + rest)
    path = home.write("mail.toml", text)
    path.chmod(0o600)
    return path


def environ(home: Home, authority: Certificates, password: str = SECRET) -> dict[str, str]:
    trusted = authority.write(home.path / "authority.pem")
    return {"SMTP_PASSWORD": password, "SSL_CERT_FILE": str(trusted)}


async def test_each_reader_gets_one_mail_and_the_webhook_a_post_for_each(
    home: Home, mail: MailServer, authority: Certificates
) -> None:
    async with open_fault_server({"*": respond(board({1: HOSTILE, 2: "Widget seller"}))}) as boards:
        boards.behaviours["/hook-canary"] = respond(b"{}", status=200)
        hook = f'[delivery.webhook]\nurl = "{boards.url("/hook-canary")}"\n'
        file = configured(home, boards, mail, hook)
        once = ("run", "--once", "--json", "--config", file)
        ended = await run(*once, home=home, environ=environ(home, authority))
        posts = [json.loads(one.body) for one in boards.requests if one.method == "POST"]

    assert ended.code == 0, ended
    assert sorted(one.to for one in mail.mails) == [(address,) for address in ADDRESSES]
    assert len(set(mail.ids)) == 2
    assert {one.user for one in mail.mails} == {"me"}
    assert all(one.is_secured for one in mail.mails)
    for one in mail.mails:
        assert one.message["Bcc"] is None
        assert "<script" not in one.part("html")
        assert "Widget maker Bcc: all@x.example" in one.part("plain")
        assert one.part("html").count("<li>") == 2
    assert {post["id"] for post in posts} == {id[1:].partition("@")[0] for id in mail.ids}
    said = ended.stdout + ended.stderr
    for secret in (SECRET, "canary", "reader.example"):
        assert secret not in said, said


async def test_mail_that_a_kill_left_open_goes_again_with_the_same_id(
    home: Home, mail: MailServer, authority: Certificates
) -> None:
    async with open_fault_server({"*": respond(board({1: "Widget maker"}))}) as boards:
        file = configured(home, boards, mail)
        mail.answers["DATA"] = [30.0]
        surroundings = environ(home, authority)
        async with jobping("run", "--config", file, home=home, environ=surroundings) as daemon:
            await daemon.wait_until(lambda: not mail.answers["DATA"])
            await daemon.end_by(SIGKILL)
        async with jobping("run", "--config", file, home=home, environ=surroundings) as daemon:
            await daemon.wait_for("digest.sent", count=2)

    assert sorted(one.to for one in mail.mails) == [(address,) for address in ADDRESSES]
    assert len(set(mail.ids)) == 2


async def test_stop_inside_a_letter_waits_for_it_and_sends_it_once(
    home: Home, mail: MailServer, authority: Certificates
) -> None:
    async with open_fault_server({"*": respond(board({1: "Widget maker"}))}) as boards:
        file = configured(home, boards, mail)
        mail.answers["DATA"] = [2.0]
        surroundings = environ(home, authority)
        async with jobping("run", "--config", file, home=home, environ=surroundings) as daemon:
            await daemon.wait_until(lambda: not mail.answers["DATA"])
            stopped = await daemon.end_by(SIGTERM)
        assert stopped.code == 0
        assert len(mail.mails) == 1
        async with jobping("run", "--config", file, home=home, environ=surroundings) as daemon:
            await daemon.wait_until(lambda: len(mail.mails) == 2)
            await daemon.wait_for("digest.sent")

    assert sorted(one.to for one in mail.mails) == [(address,) for address in ADDRESSES]


async def test_wrong_password_is_said_once_for_both_and_the_files_are_there(
    home: Home, mail: MailServer, authority: Certificates
) -> None:
    async with open_fault_server({"*": respond(board({1: "Widget maker"}))}) as boards:
        file = configured(home, boards, mail)
        surroundings = environ(home, authority, "wrong-canary")
        async with jobping("run", "--config", file, home=home, environ=surroundings) as daemon:
            deferred = await daemon.wait_for("digest.deferred")
            await daemon.wait_until(lambda: len(home.digests) == 2)
            said = bytes(daemon.stdout + daemon.stderr).decode()

    assert deferred["why"] == "smtp: localhost: AUTH: 535"
    assert (mail.logins, mail.mails) == (1, [])
    assert "canary" not in said
