"""`jobping sources test` and `probe`; the latter as a process against a site on loopback."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from jobping.cli.main import main
from tests.doubles.fault_server import After, Behaviour, Received, open_fault_server, respond

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "tests" / "sources" / "pages"
JSON = (("Content-Type", "application/json"),)
HTML = (("Content-Type", "text/html"),)


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("greenhouse", "greenhouse_synthetic.json", 2),
        ("personio", "personio_synthetic.xml", 2),
        ("workday", "workday_synthetic.json", 2),
        ("adzuna", "adzuna_synthetic.json", 2),
        ("site", "site_synthetic.xml", 2),
    ],
)
def test_saved_answer_is_read_and_counted(
    capsys: pytest.CaptureFixture[str], name: str, file: str, count: int
) -> None:
    where = ["--url", "https://a.example/sitemap.xml"] if name == "site" else []
    assert main(["sources", "test", name, "--file", str(PAGES / file), *where]) == 0
    out = capsys.readouterr().out
    assert f"= {count} postings + " in out.splitlines()[0]
    assert main(["sources", "test", name, "--file", str(PAGES / file), *where, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["postings"]) == count
    assert found["items"] == count + found["repeated"] + len(found["rejected"])


def test_answer_of_another_shape_exits_1_and_a_gone_board_does_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "answer.json"
    file.write_text('{"ok":false,"error":"Document not found"}')
    asked = ["sources", "test", "lever", "--file", str(file)]
    assert main(asked) == 1
    assert capsys.readouterr().out.startswith("malformed: lever: expected an array")
    assert main([*asked, "--status", "404"]) == 0
    assert "no such board" in capsys.readouterr().out
    for wrong in (["--slug", "a/b"], ["--file", str(tmp_path / "none")]):
        assert main([*asked, *wrong]) == 64
    assert main(["sources", "test", "nobody", "--file", str(file)]) == 64


def site(answers: dict[str, Behaviour]) -> Behaviour:
    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        known = answers.get(received.path, respond(b"none", status=404, headers=HTML))
        return await known(stream, received)

    return behave


async def probed(tmp_path: Path, answers: dict[str, Behaviour]) -> tuple[int, str, list[str]]:
    """Probe a page of a local site that Greenhouse's place is moved to, too."""
    async with open_fault_server(site(answers)) as server:
        config = tmp_path / "jobping.toml"
        place = server.url("").rstrip("/")
        config.write_text(
            f'[network]\nallow = ["127.0.0.0/8"]\n[source.greenhouse]\nbase_url = "{place}"\n'
        )
        config.chmod(0o600)
        command = [sys.executable, "-m", "jobping", "sources", "probe", f"{place}/careers"]
        run = partial(
            trio.run_process,
            [*command, "--config", str(config), "--state-dir", str(tmp_path)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        with trio.fail_after(30):
            ended: subprocess.CompletedProcess[bytes] = await run()
        asked = [request.path for request in server.requests]
    return ended.returncode, ended.stdout.decode() + ended.stderr.decode(), asked


async def test_probe_finds_the_board_behind_a_page_and_says_what_it_lists(tmp_path: Path) -> None:
    link = b'<a href="https://boards.greenhouse.io/example">Jobs</a>'
    board = (PAGES / "greenhouse_synthetic.json").read_bytes()
    code, out, asked = await probed(
        tmp_path,
        {
            "/careers": respond(link, headers=HTML),
            "/v1/boards/example/jobs": respond(board, headers=JSON),
        },
    )
    assert code == 0, out
    assert out.splitlines() == [
        "greenhouse example: alive, its first page lists 2 postings; would be polled every 1 h",
        "  jobping board add greenhouse 'example'",
    ]
    assert asked == ["/robots.txt", "/careers", "/robots.txt", "/v1/boards/example/jobs"]


async def test_probe_says_so_where_there_is_no_board_or_none_may_be_asked(tmp_path: Path) -> None:
    code, out, _asked = await probed(tmp_path, {"/careers": respond(b"<h1>Us</h1>", headers=HTML)})
    assert (code, "no board, no feed and no JobPosting data" in out) == (1, True)
    link = respond(b'<a href="https://boards.greenhouse.io/example">', headers=HTML)
    gone = respond(b'{"status":404,"error":"Job not found"}', status=404, headers=JSON)
    code, out, _asked = await probed(tmp_path, {"/careers": link, "/v1/boards/example/jobs": gone})
    assert (code, "there is no such board" in out) == (1, True)
    rules = respond(b"User-agent: *\nDisallow: /", headers=(("Content-Type", "text/plain"),))
    code, out, asked = await probed(tmp_path, {"/robots.txt": rules, "/careers": link})
    assert (code, asked) == (1, ["/robots.txt"])
    assert "robots.txt does not let us ask" in out
