import datetime as dt
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from jobping.cli import main
from jobping.cli.main import build
from jobping.cli.parser import EXIT_CODES, ExitCode
from jobping.cli.profile import fields_of
from jobping.core.profile import Level, RemoteWish
from jobping.core.schedule import DigestWish, Weekday, When
from jobping.settings import parse_profile
from jobping.sources import SOURCES
from jobping.store.dumps import split_password

ROOT = Path(__file__).parents[2]
GROUPS = {
    "run": (), "demo": (), "reload": (), "sources": ("probe", "test"),
    "board": ("add", "import", "list", "remove"),
    "profile": ("add", "list", "show", "remove"), "jobs": ("search",), "matches": (),
    "digest": ("preview",), "check": (), "config": ("check", "show"),
    "db": ("check", "dump", "restore", "shell"),
}  # fmt: skip
COMMANDS = [[name] for name in GROUPS] + [
    [name, below] for name, parts in GROUPS.items() for below in parts
]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "jobping", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
    )


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("JOBPING_CONFIG", "JOBPING_STATE_DIR", "JOBPING_DATABASE_URL", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "jobping.toml"
    file.write_text("[log]\nlevel = 'error'\n[[board]]\nsource = 'greenhouse'\nslug = 'acme'\n")
    file.chmod(0o600)
    return file


def test_help_shows_every_command_its_groups_and_every_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(len(line) <= 100 for line in text.splitlines())
    for name in GROUPS:
        assert re.search(rf"^  {name}\b", text, re.MULTILINE), name
    for code, meaning in EXIT_CODES:
        assert re.search(rf"^  {code}\s+{re.escape(meaning)}$", text, re.MULTILINE)
    assert "examples:" in text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_each_command_fits_a_terminal(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: jobping {' '.join(command)}")
    assert all(len(line) <= 100 for line in text.splitlines())


def test_examples_of_the_help_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    examples = set()
    for command in ([], *COMMANDS):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        text = capsys.readouterr().out
        examples |= set(re.findall(r"^  (jobping .*)$", text.partition("examples:")[2], re.M))
    assert len(examples) > 15
    for example in examples:
        words = re.split(r"\s{3,}|\s+\d?>", example)[0]
        arguments = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", words)[1:]]
        if "--recordings" not in arguments:  # a folder that need not be here
            assert build().parse_args(arguments).command, example


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["bogus"], "invalid choice: 'bogus'"),
        (["board"], "required: COMMAND"),
        (["run", "--minutes", "0", "--once"], "'0' is not a number of minutes above 0"),
        (["run", "--minutes", "nan", "--once"], "'nan' is not a number"),
        (["run", "--onc"], "unrecognized arguments: --onc"),
        (["demo", "--config", "x"], "unrecognized arguments: --config x"),
        (["demo", "--recordings", "/nonexistent"], "/nonexistent: holds no INDEX.json"),
        (["jobs", "search", "x", "--limit", "-1"], "'-1' is not a whole number from 1"),
    ],
)
def test_wrong_usage_exits_64_and_says_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (64, "")
    assert said in err
    assert "--help` says what is possible" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--minutes", "3"], "run: --minutes needs --once"),
        (["run", "--json"], "run: --json needs --once"),
        (["board", "add", "leever", "x"], 'source = "leever": unknown source; did you mean lever?'),
        (["board", "add", "greenhouse", "../x"], 'slug = "../x": '),
        (["profile", "add", "Me"], 'name = "Me": must be lower-case letters'),
        (["profile", "add", "me", "--levels", "junior"], 'levels = ["junior"]: must be'),
        (["profile", "add", "me", "--pay-floor", "much"], 'pay_floor = "much": must be an amount'),
        (
            ["profile", "add", "me", "--words", "wid\u202eget\x00"],
            'words = ["widget\\u0000"]: must',
        ),
        (["profile", "erase", "a\udcff@reader.example"], "who must be text in UTF-8"),
    ],
)
def test_impossible_wish_exits_64_without_touching_a_database(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_profile_options_make_the_profile_that_the_file_would(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = build().parse_args(
        ["profile", "add", "me", "--words", "python, data engineer", "--words", "sql",
         "--not-words", "senior", "--places", "Berlin,CH", "--remote", "only", "--levels",
         "entry,mid", "--pay-floor", "60k EUR", "--languages", "en,DE", "--max-items", "7",
         "--when", "weekly", "--at", "07:30,18:00", "--weekday", "friday", "--zone", "UTC",
         "--no-send-empty"]
    )  # fmt: skip
    profile = parse_profile(fields_of(arguments))
    assert profile.words == ("python", "data engineer", "sql")
    assert profile.not_words == ("senior",)
    assert profile.places == ("Berlin", "CH")
    assert profile.remote is RemoteWish.ONLY
    assert profile.levels == (Level.ENTRY, Level.MID)
    assert profile.pay_floor is not None
    assert profile.pay_floor.amount == 60000
    assert profile.languages == ("en", "de")
    assert (profile.max_items, profile.max_per_company) == (7, 3)
    assert profile.digest == DigestWish(
        when=When.WEEKLY,
        at=(dt.time(7, 30), dt.time(18, 0)),
        weekday=Weekday.FRIDAY,
        zone=dt.UTC,
        send_empty=False,
    )


def test_good_configuration_is_called_good_with_the_times_of_its_boards(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check", "--config", str(config)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{config}: good",
        "board greenhouse acme: polled every 1 h",
    ]


def test_wrong_configuration_exits_78_with_every_mistake_and_no_traceback(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("[store]\npool_min = 0\n[log]\nlevl = 'debug'\n")
    for arguments in (["config", "check"], ["config", "show"], ["sources"], ["board", "list"]):
        assert main([*arguments, "--config", str(config)]) == 78, arguments
        assert capsys.readouterr() == (
            "",
            "jobping: the configuration is wrong:\n"
            f"  {config}: [store] pool_min = 0: must be a whole number from 1 to 200\n"
            f"  {config}: [log] levl: unknown key; did you mean level?\n",
        )


def test_wrong_configuration_of_a_service_is_also_an_event_on_stdout(config: Path) -> None:
    config.write_text("colour = 1")
    ended = run("run", "--config", str(config))
    assert ended.returncode == 78
    assert "unknown key" in ended.stderr
    assert "Traceback" not in ended.stderr
    event = json.loads(ended.stdout)
    assert (event["event"], event["level"]) == ("config.rejected", "error")
    assert event["errors"][0].startswith(f"{config}: colour: unknown key")


def test_config_show_prints_every_value_with_its_origin(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["config", "show", "--config", str(config), "--state-dir", "/s", "--json"]
    assert main(command) == 0
    shown = {
        row["key"]: (row["value"], row["origin"]) for row in json.loads(capsys.readouterr().out)
    }
    assert shown["state_dir"] == ("/s", "command line --state-dir")
    assert shown["log.level"] == ("error", str(config))
    assert shown["store.pool_max"] == ("20", "default")
    assert shown["board.1.slug"] == ("acme", str(config))
    assert main(command[:-1]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"setting +value +from", lines[0])
    assert any(re.fullmatch(r"log.level +error +/.*/jobping.toml", line) for line in lines)


def test_sources_lists_all_with_their_pace_and_the_default_set(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    assert main(["sources", "--config", str(config)]) == 0
    text = capsys.readouterr().out
    assert main(["sources", "--config", str(config), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["source"] for row in listed] == [source.name for source in SOURCES]
    for row in listed:
        state = "on" if row["why_off"] is None else "off"
        line = rf"^{row['source']} .* {state} .*{re.escape(row['base_url'])}$"
        assert re.search(line, text, re.M)
        assert row["why_off"] is None or f"off: {row['why_off']}" in text.splitlines()
        assert row["per_hour"] > 0
    assert sum(len(row["default_boards"]) for row in listed) > 10
    assert "off: adzuna needs JOBPING_ADZUNA_APP_ID and JOBPING_ADZUNA_APP_KEY" in text


def test_version_names_the_package_and_python(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"jobping \d+\.\d+\.\d+, Python 3\.\d+\.\d+\n", capsys.readouterr().out)


def test_reader_that_goes_away_causes_no_traceback() -> None:
    ended = subprocess.run(
        f"{sys.executable} -m jobping sources --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    assert (ended.stdout, ended.stderr) == ("[\n", "")


def test_closed_stdout_causes_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [sys.executable, "-m", "jobping", "sources"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    ) as process:
        os.close(writer)
        _out, err = process.communicate(timeout=30)
    assert err == b""
    assert process.returncode == 0


def test_interrupt_ends_a_command_quietly_as_a_shell_expects(config: Path) -> None:
    boards = (f"[[board]]\nsource = 'greenhouse'\nslug = 'acme{n}'\n" for n in range(200))
    config.write_text("".join(boards))
    reader, writer = os.pipe()
    room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen(
        [sys.executable, "-m", "jobping", "config", "show", "--config", str(config)],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    ) as process:
        os.close(writer)
        deadline = time.monotonic() + 20
        while _waiting_bytes(reader) < room and time.monotonic() < deadline:
            time.sleep(0.01)  # until it is stuck in its output, which nobody reads
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=20)
    os.close(reader)
    assert (process.returncode, err) == (-signal.SIGINT, b"")


def _waiting_bytes(descriptor: int) -> int:
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize(
    ("url", "left", "password"),
    [
        ("postgresql://me:s%40c@db:5432/x?a=1", "postgresql://me@db:5432/x?a=1", "s@c"),
        ("postgresql://me@db/x", "postgresql://me@db/x", None),
        ("postgresql:///x?user=me&password=s%40c", "postgresql:///x?user=me", "s@c"),
        ("postgresql://me:one@db/x?password=two", "postgresql://me@db/x", "one"),
        ("postgresql:///x?host=/run", "postgresql:///x?host=/run", None),
        ("postgresql:///x?password=s%26c&host=/run", "postgresql:///x?host=/run", "s&c"),
    ],
)
def test_password_is_taken_out_of_the_url_that_psql_gets(
    url: str, left: str, password: str | None
) -> None:
    assert split_password(url) == (left, password)


def test_exit_codes_are_those_of_the_operators_guide() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "FAILED": 1, "DOWN": 3,
        "USAGE": 64, "UNREACHABLE": 69, "INTERNAL": 70, "CONFIG": 78,
    }  # fmt: skip
