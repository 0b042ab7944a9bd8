"""Local boards and the configuration that points the daemon at them."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

PAGES = Path(__file__).parents[1] / "sources" / "pages"
PATHS = {
    "arbeitnow": "",
    "ashby": "",
    "greenhouse": "",
    "jobicy": "",
    "lever": "",
    "personio": "/{slug}",
    "recruitee": "/{slug}",
    "remoteok": "",
    "remotive": "",
    "smartrecruiters": "",
}
"""What follows host and port in each source's base URL."""
COMPANIES = ("ashby", "greenhouse", "lever", "personio", "recruitee", "smartrecruiters")
LONG_AGO = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=60)
YESTERDAY = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=1)
PROFILE = """
[[profile]]
name = "widgets"
words = ["widget"]
"""


def config(servers: Mapping[str, str], *, rest: str = PROFILE) -> str:
    """Return a configuration with one board of each source, asked at `http://host:port`.

    Args:
        servers: By source, where it is asked.
        rest: More of the file; its bare keys must not be missed.
    """
    parts = ["[network]", 'allow = ["127.0.0.0/8"]']
    for name, server in servers.items():
        place = f'base_url = "{server}{PATHS[name]}"'
        parts += [f"[source.{name}]", place, "per_hour = 36000"]
    for name in servers:
        slug = "example" if name in COMPANIES else "all"
        parts += ["[[board]]", f'source = "{name}"', f'slug = "{slug}"', 'company = "Example"']
    return "\n".join([*parts, rest])


def page(source: str) -> bytes:
    """Return a right answer of a source: a small page of its documented shape."""
    return next(PAGES.glob(f"{source}_synthetic.*")).read_bytes()


def greenhouse(numbers: Iterable[int], *, old: Iterable[int] = ()) -> bytes:
    """Return a Greenhouse board with these postings, some of them too old to be news."""
    jobs = [greenhouse_job(number) for number in numbers]
    jobs += [greenhouse_job(number, LONG_AGO) for number in old]
    return json.dumps({"jobs": jobs, "meta": {"total": len(jobs)}}).encode()


def greenhouse_job(number: int, posted_at: dt.datetime = YESTERDAY) -> dict[str, object]:
    """Return one posting of a Greenhouse board."""
    id = 4_000_000 + number
    return {
        "id": id,
        "title": f"Widget maker {number}",
        "absolute_url": f"https://job-boards.greenhouse.io/example/jobs/{id}",
        "company_name": "Example Widgets",
        "location": {"name": "Berlin, Germany"},
        "first_published": posted_at.isoformat(),
        "updated_at": posted_at.isoformat(),
        "content": f"&lt;p&gt;You make widget number {number}.&lt;/p&gt;",
    }


def lever(numbers: Iterable[int]) -> bytes:
    """Return a Lever board with these postings."""
    return json.dumps(
        [
            {
                "id": f"00000000-0000-4000-8000-{number:012d}",
                "text": f"Widget seller {number}",
                "hostedUrl": f"https://jobs.lever.co/example/{number}",
                "createdAt": int(YESTERDAY.timestamp() * 1000),
                "workplaceType": "hybrid",
                "categories": {"location": "Paris", "commitment": "Permanent"},
                "description": f"<p>You sell widget number {number}.</p>",
                "lists": [],
                "additional": "",
            }
            for number in numbers
        ]
    ).encode()
