"""The commands that read and write the database, on a real one."""

import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path

import trio

from jobping.core.board import Board
from jobping.core.ids import Domain, ExternalId, SourceName
from jobping.core.match import Match
from jobping.core.posting import Location, PostingDraft
from jobping.core.profile import Profile
from jobping.daemon import Stores, open_stores
from jobping.settings import load
from jobping.store.bridge import Dsn
from tests.cli.conftest import Call
from tests.doubles.leases import hold
from tests.store.store_samples import sql

ROOT = Path(__file__).parents[2]
NOW = dt.datetime.now(dt.UTC)


def draft(number: int, title: str) -> PostingDraft:
    return PostingDraft(
        source=SourceName("greenhouse"),
        external_id=ExternalId(str(number)),
        title=title,
        company="Acme \u202eGmbH",
        url=f"https://boards.greenhouse.io/acme/jobs/{number}",
        locations=(Location(raw="Berlin", city="Berlin", country="DE"),),
        description="We write Python.",
        posted_at=NOW - dt.timedelta(days=2),
        source_digest=bytes([number]) * 16,
    )


async def _fill(titles: tuple[str, ...]) -> None:
    async with open_stores(load(), lambda *_event, **_fields: None) as stores:
        board = await stores.boards.add(
            Board(source=SourceName("greenhouse"), slug="acme"), Domain("boards-api.greenhouse.io")
        )
        drafts = [draft(number, title) for number, title in enumerate(titles)]
        digests = [item.source_digest for item in drafts]
        fence = await hold(stores.boards.database, board.domain)
        await stores.postings.store(
            board.id, drafts, digests, [None] * len(drafts), news_after=None, fence=fence
        )
        await _match(stores)


async def _match(stores: Stores) -> None:
    profile = await stores.profiles.add(Profile(name="me", words=("developer",)))
    found = await stores.postings.search("developer", limit=10)
    matches = [
        Match(
            profile_id=profile.id,
            posting_id=posting.id,
            posting_version=posting.version,
            score=90 - n,
            origin="local",
            reason=f"reason {n}",
        )
        for n, posting in enumerate(found)
    ]
    await stores.matches.record_search(profile.id, profile.version, matches)


def test_board_is_added_listed_and_removed(call: Call) -> None:
    code, out, _err = call("board", "add", "greenhouse", "acme", "--company", "Acme GmbH")
    assert (code, out) == (0, "greenhouse acme: added; polled every 1 h\n")
    code, out, _err = call("board", "list")
    assert code == 0
    assert re.search(r"^greenhouse +acme +Acme GmbH +command +- +now +- +0$", out, re.MULTILINE)
    _code, out, _err = call("board", "list", "--json")
    (added,) = (row for row in json.loads(out) if row["slug"] == "acme")
    assert (added["domain"], added["origin"]) == ("boards-api.greenhouse.io", "command")
    assert call("board", "remove", "greenhouse", "acme")[0] == 0
    assert "acme" not in call("board", "list")[1]


def test_standby_board_is_shown_as_such(call: Call) -> None:
    _code, out, _err = call("board", "add", "greenhouse", "acme", "--standby")
    assert out == "greenhouse acme: added; polled every 1 h, while the others find too little\n"
    assert re.search(r"^greenhouse +acme +- +command, standby ", call("board", "list")[1], re.M)
    _code, out, _err = call("board", "list", "--json")
    (added,) = (row for row in json.loads(out) if row["slug"] == "acme")
    assert added["standby"] is True


def test_board_that_is_there_or_not_there_exits_1_with_the_reason(call: Call) -> None:
    call("board", "add", "greenhouse", "acme")
    code, out, err = call("board", "add", "greenhouse", "acme")
    assert (code, out) == (1, "")
    assert err.startswith("jobping: board greenhouse/acme is there already")
    code, _out, err = call("board", "remove", "greenhouse", "other")
    assert code == 1
    assert err.startswith("jobping: no board greenhouse/other")


def test_profile_is_added_shown_and_removed(call: Call) -> None:
    words = ("--words", "python", "--levels", "entry", "--when", "weekly", "--send-empty")
    assert call("profile", "add", "me", *words)[0] == 0
    assert "Nothing new for me" in call("digest", "preview", "me")[1]
    code, out, _err = call("profile", "show", "me")
    assert code == 0
    shown = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines())
    assert (shown["words"], shown["levels"], shown["from"]) == ("python", "entry", "command")
    assert (shown["when"], shown["zone"]) == ("weekly", "-")
    _code, out, _err = call("profile", "show", "me", "--json")
    assert json.loads(out)["words"] == ["python"]
    assert "me" in call("profile", "list")[1]
    assert call("profile", "remove", "me")[0] == 0
    code, _out, err = call("profile", "show", "me")
    assert code == 64
    assert err.startswith("jobping: no profile is called 'me'; there are: ")


def test_postings_are_found_and_printed_without_the_tricks_of_strangers(call: Call) -> None:
    trio.run(_fill, ("Python\x1b[2J Developer", "Baker"))
    code, out, _err = call("jobs", "search", "python developer")
    assert code == 0
    assert out.splitlines()[1].startswith("Python [2J Developer  Acme GmbH  Berlin  2 d ago")
    assert "Baker" not in out
    _code, out, _err = call("jobs", "search", "baker", "--json")
    assert [row["title"] for row in json.loads(out)] == ["Baker"]
    assert call("jobs", "search", "'; DROP TABLE posting; --")[1] == "nothing found\n"


def test_matches_and_digest_preview_show_what_fits_best_first(call: Call) -> None:
    trio.run(_fill, ("Go Developer", "Java Developer", "Baker"))
    code, out, _err = call("matches", "me")
    assert code == 0
    scores = re.findall(r"^ +(\d+)  (?:Go|Java) Developer", out, re.MULTILINE)
    assert scores == ["90", "89"]
    out = call("matches", "me", "--why")[1]
    assert re.search(r"^   90  local +\S.* reason 0 +\d+ +Matches", out, re.MULTILINE)
    out = call("matches", "me", "--rates")[1]
    assert out.splitlines()[1].split() == ["greenhouse", "3", "3", "0", "0", "3", "0", "0", "3"]
    assert json.loads(call("matches", "me", "--rates", "--json")[1]) == [
        {
            "source": "greenhouse",
            "postings": 3,
            "levels": {"yes": 3, "maybe": 0, "no": 0},
            "places": {"yes": 3, "maybe": 0, "no": 0},
            "kept": 3,
        }
    ]
    _code, out, _err = call("matches", "me", "--json", "--limit", "1")
    (best,) = json.loads(out)
    assert (best["score"], best["reason"], best["sent_at"]) == (90, "reason 0", None)
    head, first, *_rest = call("matches", "me", "--csv")[1].splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert (row["score"], row["title"], row["places"]) == ("90", "Java Developer", "Berlin")
    code, text, _err = call("digest", "preview", "me")
    assert code == 0
    assert "Go Developer" in text
    assert "Baker" not in text
    assert "seen open today" in text
    assert "\nWatched: 1 board at 1 site.\n" in text
    _code, page, _err = call("digest", "preview", "me", "--html")
    assert page.lower().startswith("<!doctype html>")


async def _send_best() -> None:
    async with open_stores(load(), lambda *_event, **_fields: None) as stores:
        [me] = await stores.profiles.all()
        best = (await stores.matches.listed(me.id, limit=1))[0].posting.id
        await sql(
            stores.boards.database,
            "WITH d AS (INSERT INTO digest (profile_id, period) VALUES ($1, 'monday') RETURNING id)"
            " INSERT INTO digest_item (digest_id, position, profile_id, posting_id, dedup_key)"
            " SELECT id, 1, $1, $2, 'key' FROM d",
            me.id,
            best,
        )


def test_matches_that_no_digest_had_room_for_are_listed_alone(call: Call) -> None:
    trio.run(_fill, ("=HYPERLINK(1) Developer", "Java Developer", "Go Developer"))
    trio.run(_send_best)
    out = call("matches", "me", "--unsent", "--csv")[1]
    assert "Go Developer" not in out
    assert [line.split(",")[1] for line in out.splitlines()[1:]] == [
        "Java Developer", "'=HYPERLINK(1) Developer",
    ]  # fmt: skip


async def _configure() -> None:
    """Do what a daemon with a configuration file does at its start."""
    async with open_stores(load(), lambda *_event, **_fields: None) as stores:
        board = Board(source=SourceName("lever"), slug="acme")
        await stores.boards.sync([(board, Domain("api.lever.co"))], [], use_defaults=None)
        await stores.profiles.sync([Profile(name="filed")])


def test_command_without_the_file_of_the_daemon_leaves_its_boards_and_profiles(call: Call) -> None:
    trio.run(_configure)
    _code, out, _err = call("board", "list", "--json")
    assert [(row["slug"], row["origin"]) for row in json.loads(out)] == [("acme", "file")]
    _code, out, _err = call("profile", "list", "--json")
    assert [(row["name"], row["from"]) for row in json.loads(out)] == [("filed", "file")]


def test_database_shell_runs_psql_on_the_database(dsn: Dsn, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "jobping", "db", "shell", "--", "-AXtc", "SELECT 6 * 7"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "JOBPING_DATABASE_URL": dsn.url,
            "JOBPING_STATE_DIR": str(tmp_path),
        },
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "42\n", "")


def test_database_that_cannot_be_reached_exits_69_without_a_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "jobping", "board", "list"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "JOBPING_DATABASE_URL": "postgresql://me:s3cret@127.0.0.1:1/x",
        },
    )
    assert ended.returncode == 69
    assert ended.stderr.startswith("jobping: the database cannot be reached:\n  ")
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr


def test_board_is_added_by_its_address(call: Call) -> None:
    code, out, _err = call("board", "add", "https://jobs.lever.co/acme/1", "--company", "Acme")
    assert (code, out) == (0, "lever acme: added; polled every 1 h\n")
    code, out, err = call("board", "add", "https://careers.example.com")
    assert (code, out) == (64, "")
    assert "`jobping sources probe https://careers.example.com` looks behind it" in err
    code, _out, err = call("board", "add", "greenhouse")
    assert (code, "give SOURCE and SLUG" in err) == (64, True)


def test_boards_of_a_file_are_added_with_their_polling_intervals(
    call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "boards.csv"
    file.write_text(
        "# ours\ngreenhouse,acme,Acme GmbH\n\nhttps://jobs.lever.co/beta,Beta\n"
        '"ashby","Gamma Labs"\ngreenhouse,acme,Acme GmbH\nreed,keywords:planner\n'
    )
    code, out, _err = call("board", "import", str(file))
    assert code == 0
    assert out.splitlines() == [
        "greenhouse acme: added; polled every 1 h",
        "lever beta: added; polled every 1 h",
        "ashby Gamma Labs: added; polled every 1 h",
        "reed keywords:planner: added; off: reed needs JOBPING_REED_KEY",
    ]
    _code, out, _err = call("board", "list", "--json")
    companies = {row["slug"]: row["company"] for row in json.loads(out)}
    assert (companies["acme"], companies["beta"], companies["Gamma Labs"]) == (
        "Acme GmbH",
        "Beta",
        None,
    )
    code, out, _err = call("board", "import", str(file))
    assert code == 0
    assert out.splitlines()[0].startswith("board greenhouse/acme is there already")


def test_file_with_a_wrong_line_adds_nothing_and_names_each(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "boards.csv"
    file.write_text("greenhouse,acme\n\nnobody,x\nlever,a/b\nhttps://careers.example.com\n")
    code, out, err = call("board", "import", str(file))
    assert (code, out) == (64, "")
    assert re.findall(r"line (\d+): ", err) == ["3", "4", "5"]
    assert "acme" not in call("board", "list")[1]
    assert call("board", "import", str(tmp_path / "none.csv"))[0] == 64
