"""One person's data in a real daemon: nothing of it in the log, and nothing left after erasure."""

import json
import subprocess
from pathlib import Path

from jobping.store.binaries import find_binaries
from jobping.store.bridge import Dsn
from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import Ended, Home, Line, run
from tests.doubles.fault_server import open_fault_server, respond

ADDRESS, NAME, WISH = "Canary.Ana+jobs@Person.example", "canary-ana", "kanarienwidget"
PERSON = f"""
[[profile]]
name = "{NAME}"
words = ["widget", "{WISH}"]
companies = ["{WISH} GmbH"]
email = "{ADDRESS}"
"""
OTHER = """
[[profile]]
name = "other"
words = ["widget"]
email = "other@person.example"
"""
PLANTED = (ADDRESS.lower(), "canary.ana", NAME, WISH)


def hits(text: str) -> list[str]:
    return [planted for planted in PLANTED if planted in text.lower()]


def dump(dsn: Dsn) -> str:
    """Return the whole database, as the real pg_dump writes it."""
    bin_dir = find_binaries(None, major=None, data_dir=Path("/nowhere")).bin_dir
    command = [bin_dir / "pg_dump", f"--dbname={dsn.url}", "--inserts"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def on_record(ended: Ended, event: str) -> list[Line]:
    """Return the events of that name that a command wrote to standard error."""
    lines = [json.loads(text) for text in ended.stderr.splitlines()]
    return [line for line in lines if line["event"] == event]


def left_in(home: Home) -> list[str]:
    """Return the files below the state directory that hold something planted."""
    files = [path for path in home.state.rglob("*") if path.is_file()]
    return [str(path) for path in files if hits(f"{path}{path.read_text(errors='replace')}")]


async def test_person_leaves_no_trace_in_the_log_and_none_after_erasure(
    home: Home, dsn: Dsn
) -> None:
    environ = {"JOBPING_DATABASE_URL": dsn.url}

    async def say(*words: str) -> Ended:
        return await run(*words, "--config", file, home=home, environ=environ)

    async with open_fault_server(respond(greenhouse(range(5)))) as server:
        servers = {"greenhouse": server.url("")}
        file = home.write("jobping.toml", config(servers, rest=PERSON + OTHER))
        once = await say("run", "--once", "--json", "--log-level", "debug")
    assert once.code == 0, once
    assert once.lines("digest.sent")
    assert once.lines("retention.enforced")
    assert hits(once.stderr) == []
    assert sorted(hits(dump(dsn))) == sorted(PLANTED)
    assert left_in(home)

    exported = await say("profile", "export", NAME)
    document = json.loads(exported.stdout)
    assert (exported.code, set(hits(exported.stdout))) == (0, set(PLANTED))
    assert document["tables"]["match"]
    assert [len(texts) for texts in document["files"].values()] == [1]
    assert "other" not in json.dumps(document["tables"])
    [line] = on_record(exported, "profile.exported")
    assert hits(exported.stderr) == []
    assert line["files"] == 1

    refused = await say("profile", "erase", NAME)
    assert refused.code == 64
    assert "take it out there first" in refused.stderr
    home.write("jobping.toml", config(servers, rest=OTHER))
    erased = await say("profile", "erase", ADDRESS.lower())
    assert erased.code == 0, erased
    assert hits(erased.stdout + erased.stderr) == []
    [line] = on_record(erased, "profile.erased")
    assert (line["rows"], line["files"]) == (sum(map(len, document["tables"].values())), 3)
    assert hits(dump(dsn)) == []
    assert left_in(home) == []
    assert "other@person.example" in dump(dsn)

    again = await say("profile", "erase", NAME)
    assert (again.code, again.stdout) == (64, "")
