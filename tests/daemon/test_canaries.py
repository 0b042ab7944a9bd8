"""Planted secrets: none shows in anything that a daemon, its commands or its files say.

Every secret has a value of its own without a form that the log's mask knows, so that nothing but
keeping it out keeps it out. Everything outside fails, and says aloud what it was told.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGHUP, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2

import pytest
import trio

from jobping.store.bridge import Dsn
from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import Ended, Home, Running, jobping, run
from tests.daemon.test_digests_by_mail import authority, mail
from tests.doubles.certificates import Certificates
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
    Received,
    head,
    in_turn,
    open_fault_server,
    respond,
)
from tests.doubles.mail_server import MailServer

__all__ = ["authority", "mail"]

SIGNING = b64encode(b"canary of the signing secret 0").decode()
SECRETS = {
    "openai_api_key": "canaryModel0001",
    "database_url": "canaryDatabase0002",
    "smtp_password": "canaryMail0003",
    "webhook_url": "canaryHook0004",
    "webhook_secret": SIGNING,
    "heartbeat_url": "canaryHeart0005",
    "reed_key": "canaryReed0006",
    "adzuna_app_id": "canaryAdzunaId0007",
    "adzuna_app_key": "canaryAdzuna0008",
    "jsearch_key": "canaryJsearch0009",
    "themuse_key": "canaryMuse0010",
}
ENCODED = (
    b64encode(f"{SECRETS['reed_key']}:".encode()).decode(),
    b64encode(f"\0me\0{SECRETS['smtp_password']}".encode()).decode(),
    b64encode(b"canary of the signing").decode(),
)
ADDRESSES = ("canary.ana@person.example", "canary.operator@sender.example")
WISHES = ("kanarienwidget", "canary-gmbh", "canary-ana")
PERSON = f"""
[[profile]]
name = "{WISHES[2]}"
words = ["widget", "{WISHES[0]}"]
companies = ["{WISHES[1]}"]
email = "{ADDRESSES[0]}"
"""
KEYED = {
    "adzuna": "country:gb;what:analyst",
    "jsearch": "query:analyst",
    "reed": "keywords:analyst",
    "themuse": "category:Data Science",
}


def planted(text: str, *more: str) -> list[str]:
    """Return what of the secrets, and of the texts named, stands in a text."""
    return [one for one in (*SECRETS.values(), *ENCODED, *more) if one.lower() in text.lower()]


def echo(status: int) -> Behaviour:
    """Fail and say aloud all that was asked, in the body, in headers and in the reason."""

    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        said = f"{received.target} {dict(received.headers)} {received.body.decode()}"
        error = {"message": said, "type": said, "code": said, "param": None}
        body = json.dumps({"error": error}).encode()
        fields = (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
        shown = ("X-Request-Id", json.dumps(dict(received.headers)))
        start = head(status, *fields, shown).replace(
            b"Whatever", received.target.encode() + json.dumps(dict(received.headers)).encode()
        )
        await stream.send_all(start + body)
        return After.KEEP

    return behave


def site(status: int) -> dict[str, Behaviour]:
    """Answer every request but that for robots.txt with a failure."""
    return {"*": echo(status), "/robots.txt": respond(b"", status=404)}


def environ(home: Home, dsn: Dsn, authority: Certificates) -> dict[str, str]:
    """Hand over the secrets in all the ways there are."""
    folder = home.path / "credentials"
    folder.mkdir(mode=0o700, exist_ok=True)
    credentials = {
        "database_url": dsn.url.replace("@", f":{SECRETS['database_url']}@", 1),
        "webhook_secret": f"whsec_{SIGNING}",
        "jsearch_key": SECRETS["jsearch_key"],
    }
    for name, text in credentials.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return {
        "CREDENTIALS_DIRECTORY": str(folder),
        "OPENAI_API_KEY_FILE": str(home.write("openai", SECRETS["openai_api_key"])),
        "JOBPING_REED_KEY_FILE": str(home.write("reed", SECRETS["reed_key"])),
        "JOBPING_ADZUNA_APP_ID": SECRETS["adzuna_app_id"],
        "JOBPING_ADZUNA_APP_KEY": SECRETS["adzuna_app_key"],
        "JOBPING_THEMUSE_KEY": SECRETS["themuse_key"],
        "SMTP_PASSWORD": SECRETS["smtp_password"],
        "OPENAI_LOG": "debug",
        "SSL_CERT_FILE": str(authority.write(home.path / "authority.pem")),
    }


def configured(
    home: Home, boards: Mapping[str, FaultServer], outside: FaultServer, mail: MailServer
) -> Path:
    places = "".join(
        f'[source.{name}]\nbase_url = "{boards[name].url("").rstrip("/")}"\nper_hour = 36000\n'
        f'[[board]]\nsource = "{name}"\nslug = "{slug}"\n'
        for name, slug in KEYED.items()
    )
    rest = f"""{places}{PERSON}
[llm]
base_url = "{outside.url("/v1")}"
[delivery.smtp]
host = "localhost"
port = {mail.port}
user = "me"
from = "jobs@sender.example"
[delivery.webhook]
url = "{outside.url(f"/hook/{SECRETS['webhook_url']}?token={SECRETS['webhook_url']}")}"
[alerts]
email = "{ADDRESSES[1]}"
webhook = true
heartbeat_url = "{outside.url(f"/heart/{SECRETS['heartbeat_url']}")}"
"""
    return home.write(
        "canaries.toml", config({"greenhouse": boards["greenhouse"].url("")}, rest=rest)
    )


async def provoke(daemon: Running) -> None:
    """Let everything fail that can, and ask for all that signals show of the inside."""
    await daemon.wait_for("model.called")
    await daemon.wait_for("digest.deferred", count=2)
    await daemon.wait_for("scraper.polled", count=len(KEYED))  # Reed's hours may be over
    daemon.send(SIGUSR2)
    await daemon.wait_for("log.adjusted")
    daemon.send(SIGUSR1)
    await daemon.wait_for("tree.dumped")
    daemon.send(SIGQUIT)
    await daemon.wait_until(lambda: b"  root/heartbeat  " in daemon.stderr)


def outside_database(home: Home) -> dict[str, str]:
    """Return the files of the state directory."""
    files = [path for path in home.state.rglob("*") if path.is_file()]
    return {str(path): path.read_text(errors="replace") for path in files}


async def test_no_secret_shows_where_everything_fails(
    home: Home, dsn: Dsn, mail: MailServer, authority: Certificates
) -> None:
    surroundings = environ(home, dsn, authority)
    said: list[Ended] = []
    async with AsyncExitStack() as stack:
        open_site = stack.enter_async_context
        boards = {name: await open_site(open_fault_server(site(500))) for name in KEYED}
        boards["greenhouse"] = await open_site(open_fault_server(respond(greenhouse(range(5)))))
        outside = await open_site(open_fault_server(in_turn(echo(401), echo(500))))
        file = configured(home, boards, outside, mail)

        async def say(*words: str) -> Ended:
            ended = await run(*words, "--config", file, home=home, environ=surroundings)
            said.append(ended)
            return ended

        async with jobping(
            "run", "--config", file, "--log-level", "debug", home=home, environ=surroundings
        ) as daemon:
            await provoke(daemon)
            good = file.read_text()
            for wrong in (PERSON.replace('"widget"', '""'), PERSON.replace("@", "@@")):
                home.write(file.name, good.replace(PERSON, wrong))
                daemon.send(SIGHUP)
            await daemon.wait_for("config.rejected")
            home.write(file.name, good)
            assert (await say("reload")).code == 0
            for domain in json.loads((await say("domains", "--json")).stdout)["domains"]:
                await say("domain", domain["domain"], "probe")
            await say("status", "--json")
            await say("top", "--once")
            assert (await say("alerts", "test", "breaker_open")).code == 1
            await say("budget", "ledger")
            await say("config", "check")
            shown = [await say("config", "show", *form) for form in ((), ("--json",))]
            said.append(await daemon.end_by(SIGTERM))
        log = home.write("log", said[-1].stdout)
        for words in ("report", "report --json", "report --prom", "status", "alerts check"):
            assert (await say(*words.split(), "--file", str(log))).stdout
        assert (
            await say("report", "--html", str(home.state / "page.html"), "--file", str(log))
        ).code == 0
        asked = repr([boards[name].requests for name in KEYED] + [outside.requests])

    for name in ("openai_api_key", "webhook_url", "adzuna_app_key", "jsearch_key", "themuse_key"):
        assert SECRETS[name] in asked, f"{name} was never put at risk"
    assert ENCODED[0] in asked, "Reed was never asked"
    assert mail.logins > 0
    for ended in said:
        people = () if ended in shown else (*ADDRESSES, *WISHES)
        assert planted(f"{ended.stdout}{ended.stderr}", *people) == [], ended
    assert all("***" in ended.stdout for ended in shown)
    files = outside_database(home)
    assert files
    for path, text in files.items():
        assert planted(path + text, *ADDRESSES) == [], path


async def test_no_secret_shows_where_the_database_refuses(
    home: Home, authority: Certificates
) -> None:
    nobody = Dsn(url="postgresql://me@127.0.0.1:1/jobs")
    surroundings = environ(home, nobody, authority)
    file = home.write("canaries.toml", PERSON)
    for words in ("run --once --json --minutes 1", "check", "db check", "profile list"):
        ended = await run(*words.split(), "--config", file, home=home, environ=surroundings)
        assert ended.code != 0, ended
        assert planted(f"{ended.stdout}{ended.stderr}", *ADDRESSES, *WISHES) == [], ended
    for path, text in outside_database(home).items():
        assert planted(path + text, *ADDRESSES, *WISHES) == [], path


@pytest.mark.slow
async def test_check_shows_no_secret(home: Home, dsn: Dsn, authority: Certificates) -> None:
    file = home.write("canaries.toml", PERSON)
    surroundings = environ(home, dsn, authority)
    ended = await run("check", "--json", "--config", file, home=home, environ=surroundings)
    assert ended.summary()["findings"]
    assert planted(f"{ended.stdout}{ended.stderr}", *ADDRESSES, *WISHES) == [], ended
    for path, text in outside_database(home).items():
        assert planted(path + text, *ADDRESSES, *WISHES) == [], path


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("JOBPING_DATABASE_URL", "mysql://me:SECRET@db.example/jobs"),
        ("JOBPING_DATABASE_URL", "postgresql://me:SECRET@db.example:port/jobs"),
        ("JOBPING_WEBHOOK_URL", "ftp://hooks.example/SECRET"),
        ("JOBPING_WEBHOOK_URL", "https://me:SECRET@hooks.example/x"),
        ("JOBPING_WEBHOOK_SECRET", "whsec_SECRET"),
        ("OPENAI_API_KEY", "SECRET\u00e9 two words"),
        ("JOBPING_REED_KEY", "SECRET\u00e9 two words"),
        ("SMTP_PASSWORD", "SECRET\u0007"),
    ],
)
async def test_no_secret_shows_where_it_is_malformed(home: Home, variable: str, text: str) -> None:
    hook = '[delivery.webhook]\nurl = "https://hooks.example/x"\n'
    smtp = '[delivery.smtp]\nhost = "localhost"\nuser = "me"\nfrom = "me@sender.example"\n'
    file = home.write("canaries.toml", "" if variable == "JOBPING_WEBHOOK_URL" else hook + smtp)
    surroundings = {variable: text.replace("SECRET", "canaryOdd0011")}
    for words in ("config check", "run --once --json --minutes 1"):
        ended = await run(*words.split(), "--config", file, home=home, environ=surroundings)
        assert ended.code == 78, ended
        assert "canaryodd" not in f"{ended.stdout}{ended.stderr}".lower()
