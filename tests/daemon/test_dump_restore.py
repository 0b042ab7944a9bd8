"""`jobping db` as an operator uses it: on the content of a demo, beside a daemon, and killed."""

import json
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
import trio

from tests.daemon.processes import Home, jobping, open_home, rows, run
from tests.daemon.rounds import Rounds

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


async def content(home: Home) -> dict[str, object]:
    """Return a digest of every table."""
    names = [str(row["tablename"]) for row in await rows(TABLES, home=home)]
    parts = [
        f"(SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), ''))"
        f" FROM {name} t) AS {name}"
        for name in names
    ]
    [found] = await rows(f"SELECT {', '.join(parts)}", home=home)
    assert len(found) > 15
    return found


async def test_demo_is_dumped_checked_and_restored_elsewhere(
    synthetic: Rounds, tmp_path: Path
) -> None:
    file = tmp_path / "demo.dump"
    dumped = await run("db", "dump", file, home=synthetic.home)
    assert dumped.code == 0, dumped
    before = await content(synthetic.home)
    with open_home() as other:
        restored = await run("db", "restore", file, home=other)
        assert (restored.code, restored.stderr) == (0, ""), restored
        assert await content(other) == before
        checked = await run("db", "check", "--json", home=other)
        said = json.loads(checked.stdout)
        assert (checked.code, said["holds"], len(said["findings"])) == (0, True, 10)
        shown = await run("db", "check", home=other)
        assert all(len(line) <= 80 for line in shown.stdout.splitlines())
        assert shown.stdout.endswith("9 hold, 0 fail, 1 skipped\n")


async def test_daemon_may_run_beside_a_dump_but_not_beside_a_restore(home: Home) -> None:
    async with jobping("demo", "--json", home=home) as daemon:
        await daemon.wait_for("cycle.completed")
        dumped = await run("db", "dump", home=home)
        assert dumped.code == 0, dumped
        [file] = home.state.glob("dumps/dump-*.dump")
        refused = await run("db", "restore", file, "--replace", home=home)
        assert refused.code == 1, refused
        assert "A daemon runs on" in refused.stderr
        assert (await daemon.end_by(SIGTERM)).code == 0
    assert (await run("db", "restore", file, "--replace", home=home)).code == 0


async def test_check_finds_a_damaged_page(synthetic: Rounds) -> None:
    query = "SELECT pg_relation_filepath('posting_text') AS path, current_setting('data_checksums')"
    [found] = await rows(query, home=synthetic.home)
    if found["current_setting"] != "on":
        pytest.skip("these binaries keep no checksums")
    with open_home() as home:
        await trio.run_process(["cp", "-a", synthetic.home.state, home.path])
        with (home.state / "postgres" / found["path"]).open("r+b") as file:
            file.seek(12_000)  # within the second page
            file.write(b"damage")
        checked = await run("db", "check", "--json", home=home)
        assert checked.code == 1, checked
        verdicts = {one["section"]: one for one in checked.summary()["findings"]}
    assert verdicts["rows"]["verdict"] == verdicts["checksums"]["verdict"] == "fail"
    assert "jobping db restore FILE --replace" in verdicts["rows"]["advice"]


@pytest.mark.slow
async def test_restore_that_is_killed_leaves_the_old_database_or_the_new_one(
    synthetic: Rounds, tmp_path: Path
) -> None:
    file, fewer = tmp_path / "demo.dump", "DELETE FROM posting"
    assert (await run("db", "dump", file, home=synthetic.home)).code == 0
    with open_home() as home:
        whole = await run("db", "restore", file, home=home)
        assert whole.code == 0, whole
        await run("db", "shell", "--", "-c", fewer, home=home)
        before = await content(home)
        after = await content(synthetic.home)
        assert before["posting"] != after["posting"]
        for share in (0.3, 0.5, 0.6, 0.7):
            async with jobping("db", "restore", file, "--replace", home=home) as restoring:
                await trio.sleep(whole.took_s * share)
                restoring.send(SIGKILL)
                await restoring.ended()
            assert await content(home) in (before, after)
        assert (await run("db", "restore", file, "--replace", home=home)).code == 0
        assert await content(home) == after
        checked = await run("db", "check", home=home)
        assert checked.code == 0, checked
