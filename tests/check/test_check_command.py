"""`jobping check` as an operator runs it: alone, beside the daemon, cut off, and without a way."""

import json
from signal import SIGINT, SIGTERM, Signals

import pytest
import trio

from jobping.store.bridge import Dsn
from tests.daemon.conftest import home
from tests.daemon.processes import Ended, Home, jobping, rows, run
from tests.doubles.postgres import Cluster

__all__ = ["home"]

SECTIONS = [
    *("config", "unit", "disk", "clock", "store", "fetch", "breaker", "limiter", "degradation"),
    *("budget", "logs"),
]
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'jobping_check%'"


def environ(home: Home) -> dict[str, str]:
    """Keep what the check puts into the temporary directory apart."""
    folder = home.path / "tmp"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    return {"TMPDIR": str(folder), "OPENAI_API_KEY": "sk-of-the-operator"}


def left(home: Home) -> list[str]:
    return [path.name for path in (home.path / "tmp").iterdir() if "check" in path.name]


def verdicts(ended: Ended) -> dict[str, str]:
    return {one["section"]: one["verdict"] for one in ended.summary()["findings"]}


async def test_check_of_a_fresh_installation_holds_and_leaves_nothing(home: Home) -> None:
    ended = await run("check", home=home, environ=environ(home))
    print(ended.stdout)
    assert ended.code == 0, ended
    assert ended.stderr == ""
    assert all(len(line) <= 80 for line in ended.stdout.splitlines())
    starts = [line.split() for line in ended.stdout.splitlines() if line[:1].strip()]
    assert [words[1] for words in starts[:-1]] == SECTIONS
    assert " 0 fail" in ended.stdout.splitlines()[-1]
    assert "sk-of-the-operator" not in ended.stdout
    assert await rows(SCHEMAS, home=home) == []
    assert left(home) == []
    assert [
        row["count"]
        for row in await rows(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", home=home
        )
    ] == [0]


@pytest.mark.slow
async def test_check_runs_beside_the_daemon_and_disturbs_nothing(home: Home) -> None:
    async with jobping("demo", "--json", "--minutes", "5", home=home) as daemon:
        await daemon.wait_for("cycle.completed")
        ended = await run("check", "--json", home=home, environ=environ(home))
        stopped = await daemon.end_by(SIGTERM)
    assert ended.code == 0, ended
    assert list(verdicts(ended)) == SECTIONS
    assert stopped.code == 0, stopped
    assert [line for line in stopped.log if line["level"] == "error"] == []
    assert await rows(SCHEMAS, home=home) == []


@pytest.mark.parametrize(
    ("number", "moments"),
    [
        (SIGTERM, (5.0,)),
        pytest.param(SIGTERM, (0.5, 1.0, 12.0, 16.0, 25.0), marks=pytest.mark.slow),
        pytest.param(SIGINT, (1.0, 4.0, 12.0), marks=pytest.mark.slow),
    ],
)
async def test_check_that_is_cut_off_takes_everything_away(
    cluster: Cluster, dsn: Dsn, home: Home, number: Signals, moments: tuple[float, ...]
) -> None:
    around = {**environ(home), "JOBPING_DATABASE_URL": dsn.url}
    for after_s in moments:
        async with jobping("check", home=home, environ=around) as checking:
            await checking.wait_for_signals()
            await trio.sleep(after_s)
            ended = await checking.end_by(number)
        assert ended.code == -number, ended
        assert await rows(SCHEMAS, home=home, environ=around) == []
        assert left(home) == []


@pytest.mark.slow
async def test_check_without_a_state_directory_goes_on_and_fails(
    cluster: Cluster, dsn: Dsn, home: Home
) -> None:
    around = {**environ(home), "JOBPING_DATABASE_URL": dsn.url}
    file = home.write("state", "in the way")
    ended = await run("check", "--json", home=home, environ=around)
    assert ended.code == 1, ended
    assert file.read_text() == "in the way"
    wrong = [name for name, verdict in verdicts(ended).items() if verdict == "fail"]
    assert wrong == ["disk"]
    [disk] = [one for one in ended.summary()["findings"] if one["section"] == "disk"]
    assert "name another --state-dir" in disk["advice"]


@pytest.mark.slow
async def test_what_was_left_by_a_killed_check_is_removed_by_a_later_one(
    cluster: Cluster, dsn: Dsn, home: Home
) -> None:
    around = {**environ(home), "JOBPING_DATABASE_URL": dsn.url}
    make = "CREATE SCHEMA jobping_check_1700000000; CREATE SCHEMA jobping_check_9999999999"
    await run("db", "shell", "--", "-qc", make, home=home, environ=around)
    assert (await run("check", "--json", home=home, environ=around)).code == 0
    assert await rows(SCHEMAS, home=home, environ=around) == [
        {"nspname": "jobping_check_9999999999"}
    ]


async def test_wrong_configuration_and_an_absent_database_have_their_exit_codes(
    home: Home,
) -> None:
    file = home.write("wrong.toml", "[llm]\nmodels = ['no-such-model']\n[polling]\n")
    wrong = await run("check", "--config", file, home=home)
    assert wrong.code == 78, wrong
    url = f"postgresql://nobody@/none?host={home.path}"
    around = {**environ(home), "JOBPING_DATABASE_URL": url}
    absent = await run("check", "--json", home=home, environ=around)
    assert absent.code == 69, absent
    assert json.loads(absent.stdout)["holds"] is False
    assert left(home) == []
