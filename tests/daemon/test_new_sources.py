"""Sources with keys, by POST and by sitemaps, in a whole daemon against local sites."""

import json
from pathlib import Path

from tests.daemon.processes import Home, rows, run
from tests.doubles.fault_server import Behaviour, FaultServer, open_fault_server, respond

PAGES = Path(__file__).parents[1] / "sources" / "pages"
KEY, ID = "k3y-canary-0123456789", "1d-canary-0123456789"
ADZUNA = '[[board]]\nsource = "adzuna"\nslug = "country:gb;what:analyst"\n'
STORED = "SELECT source, external_id, title, url FROM posting ORDER BY 1, 2"


def config(home: Home, text: str, **places: str) -> Path:
    moved = "".join(
        f'[source.{name}]\nrobots = "api"\nper_hour = 36000\nbase_url = "{place}"\n'
        for name, place in places.items()
    )
    head = 'default_boards = false\n[network]\nallow = ["127.0.0.0/8"]\n'
    return home.write("boards.toml", f"{head}{moved}{text}")


def answer(body: bytes, media: str = "application/json") -> Behaviour:
    return respond(body, headers=(("Content-Type", media),))


def place(server: FaultServer) -> str:
    return server.url("").rstrip("/")


async def test_source_without_its_key_is_off_in_one_line_and_with_it_is_polled(home: Home) -> None:
    body = (PAGES / "adzuna_synthetic.json").read_bytes()
    async with open_fault_server({"/v1/api/jobs/gb/search/1": answer(body)}) as server:
        file = config(home, ADZUNA, adzuna=place(server))
        once = ("run", "--once", "--minutes", "1", "--json", "--config", file)
        off = await run(*once, home=home, environ={"JOBPING_ADZUNA_APP_ID": ID})
        assert [line["why"] for line in off.lines("source.left_off")] == [
            "adzuna needs JOBPING_ADZUNA_APP_KEY"
        ]
        assert server.requests == []
        keys = {"JOBPING_ADZUNA_APP_ID": ID, "JOBPING_ADZUNA_APP_KEY": KEY}
        on = await run(*once, home=home, environ=keys)
        assert on.code == 0, on
        assert on.lines("source.left_off") == []
        asked = repr(server.requests)
        assert KEY in asked
        assert ID in asked
    assert len(await rows(STORED, home=home)) == 2
    kept = json.dumps(await rows("SELECT * FROM domain_gate", home=home))
    kept += json.dumps(await rows("SELECT * FROM stored_posting", home=home), default=str)
    for text in (on.stdout, on.stderr, off.stdout, off.stderr, kept):
        assert KEY not in text
        assert ID not in text


async def test_board_read_by_post_and_a_careers_site_are_stored(home: Home) -> None:
    listed = answer((PAGES / "workday_synthetic.json").read_bytes())
    job = answer((PAGES / "site_synthetic.html").read_bytes(), "text/html")
    robots = b"User-agent: *\nSitemap: /x.example/jobs.xml"
    async with (
        open_fault_server({"/acme.wd1/wday/cxs/acme/Jobs/jobs": listed}) as one,
        open_fault_server({"/x.example/robots.txt": answer(robots, "text/plain")}) as two,
    ):
        sitemap = f"<urlset><url><loc>{place(two)}/jobs/planner</loc></url></urlset>"
        two.behaviours["/x.example/jobs.xml"] = answer(sitemap.encode(), "application/xml")
        two.behaviours["/x.example/jobs/planner"] = job
        boards = (
            '[[board]]\nsource = "workday"\nslug = "acme:wd1:Jobs"\n'
            '[[board]]\nsource = "site"\nslug = "x.example"\n'
        )
        places = {"workday": f"{place(one)}/{{slug}}", "site": f"{place(two)}/{{slug}}"}
        file = config(home, boards, **places)
        ended = await run("run", "--once", "--minutes", "1", "--config", file, home=home)
        assert [request.method for request in one.requests] == ["POST", "GET", "GET"]
    assert ended.code == 0, ended
    found = await rows(STORED, home=home)
    assert [row["title"] for row in found] == [
        "Junior Planner",
        "Graduate Engineer",
        "Field Advisor",
    ]
