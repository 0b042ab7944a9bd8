"""A board whose postings try to forge lines, move terminals and write markup, in a whole daemon."""

import json
from email import policy
from email.parser import BytesParser

from jobping.store.bridge import Dsn
from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import Ended, Home, run
from tests.doubles.fault_server import open_fault_server, respond
from tests.doubles.mail_server import mail_server

TITLES = (
    'Widget\n{"ts":1,"event":"budget.settled","run":"r","seq":1,"level":"info"}',
    "Widget\x1b[2J\x1b]0;owned\x07\x9b31m",
    "<0>Widget\x00 maker",
    "Widget\r\nBcc: all@x.example",
    "Widget\u2028\u2029\x85\x0b maker \u202e\u2066x\u2069",
    "Widget <script>alert(1)</script><img src=https://evil.example/p.gif>",
    "Widget '; DROP TABLE posting; -- %s $1 {0} \\",
    "=Widget(cmd)",
)
MOVES = set("\x00\x07\x0b\r\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\u2069")
PROFILE = """
[[profile]]
name = "widgets"
words = ["widget"]
max_per_company = 100
email = "reader@reader.example"
[delivery.smtp]
host = "localhost"
tls = "none"
from = "jobs@sender.example"
"""
COMMANDS = (
    "jobs search widget", "matches widgets", "matches widgets --why", "matches widgets --csv",
    "digest preview widgets", "digest preview widgets --html", "board list",
    "profile export widgets", "status --file LOG", "report --file LOG", "top --once --file LOG",
)  # fmt: skip


def board() -> bytes:
    page = json.loads(greenhouse(range(len(TITLES))))
    for job, title in zip(page["jobs"], TITLES, strict=True):
        job |= {"title": title, "company_name": title, "location": {"name": title}}
        job["content"] = f"{title}\n" * 3
    return json.dumps(page).encode()


async def test_hostile_postings_forge_nothing_and_move_no_terminal(home: Home, dsn: Dsn) -> None:
    said: dict[str, Ended] = {}
    environ = {"JOBPING_DATABASE_URL": dsn.url}

    async def say(*words: str) -> Ended:
        return await run(*words, "--config", file, home=home, environ=environ)

    with mail_server() as mail:
        async with open_fault_server(respond(board())) as server:
            rest = f"{PROFILE}port = {mail.port}\n"
            file = home.write("hostile.toml", config({"greenhouse": server.url("")}, rest=rest))
            once = await say("run", "--once", "--json", "--log-level", "debug")
        log = home.write("log", once.stderr)
        for words in COMMANDS:
            arguments = [str(log) if word == "LOG" else word for word in words.split()]
            said[words] = await say(*arguments)
    assert once.code == 0, once
    assert once.summary()["postings"]["new"] == len(TITLES)
    lines = once.stderr.split("\n")[:-1]
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert once.lines("budget.settled") == []

    [letter] = mail.mails
    message = BytesParser(policy=policy.SMTP).parsebytes(letter.content)
    assert (letter.to, message["Bcc"], message["To"]) == (
        ("reader@reader.example",), None, "reader@reader.example",
    )  # fmt: skip
    pages = [letter.part("html"), said["digest preview widgets --html"].stdout]
    files = {path.suffix: path.read_text() for path in home.state.glob("digests/*/*")}
    for page in [*pages, files[".html"], files[".atom"]]:
        assert "<script" not in page
        assert "<img" not in page
    for words, ended in said.items():
        assert ended.code == (3 if "status" in words else 0), (words, ended)
        assert not MOVES & set(ended.stdout + ended.stderr), words
    for text in [letter.part("plain").replace("\r\n", "\n"), *files.values()]:
        assert not MOVES & set(text)
    csv = said["matches widgets --csv"].stdout
    assert ",=Widget" not in csv
    assert "Widget" in csv
