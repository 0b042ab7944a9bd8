"""What a posting costs from the answer's bytes to a draft: ours, json + BeautifulSoup, JobSpy's.

The postings are recorded ones that come as HTML, or, where there are no recordings, one of our own.
Ours is the whole `parse` and `convert`: checks, digest, places, pay, dates and the text with its
lists. The others decode the answer and turn the same HTML into text; of JobSpy only the converters
of descriptions are used, for its readers ask for pages themselves.
"""

import datetime as dt
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.posting import PostingDraft
from jobping.core.text import unescape
from jobping.sources import SOURCES
from jobping.sources.source import Parsed
from tests.bench.contender import Contender, Meter, Shape

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
UNITS = 2_000
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
FILES = (
    "ashby/docker.json", "ashby/alan.json", "ashby/uipath.json", "ashby/notion.json",
    "jobicy/2024-12-08_0_20.json", "recruitee/hotjar.json",
    "remoteok/api_2024-12-04_first.json", "greenhouse/board_content_2026.json",
)  # fmt: skip
TEXT = "<p>We like <b>clean tables</b> &amp; tea.</p><ul><li><p>Numbers, large ones</p></li></ul>"

Job = dict[str, str]
Answer = tuple[str, bytes]
Read = Callable[[Answer], Iterator[str | None]]
MARKUP: dict[str, Callable[[Job], str]] = {
    "ashby": lambda job: job["descriptionHtml"],
    "jobicy": lambda job: job["jobDescription"],
    "recruitee": lambda job: job["description"] + job["requirements"],
    "remoteok": lambda job: job.get("description", ""),
    "greenhouse": lambda job: unescape(job["content"]),
}
"""Where a source has the markup of a posting."""


def answers() -> list[Answer]:
    """Return the answers to read, each with its source."""
    if RECORDINGS.is_dir():
        return [(file.partition("/")[0], (RECORDINGS / file).read_bytes()) for file in FILES]
    job = {"title": "Analyst", "jobUrl": "https://a.example/1", "descriptionHtml": TEXT * 70}
    body = json.dumps({"jobs": [{**job, "id": number} for number in range(100)]})
    return [("ashby", body.encode())]


def ours(answer: Answer) -> Iterator[str | None]:
    """Read the answer as a poll does; None stands for a posting that is refused."""
    [source] = [source for source in SOURCES if source.name == answer[0]]
    board = Board(source=SourceName(answer[0]), slug="example", company="Example")
    page = Page(
        url="https://a.example/",
        status=200,
        headers=(("content-type", "application/json"),),
        body=answer[1],
        fetched_at=NOON,
    )
    for item in source.parse(page, board):
        if not isinstance(item, Parsed):
            draft = source.convert(item, page, board)
            yield draft.description if isinstance(draft, PostingDraft) else None


def plain(convert: Callable[[str], str]) -> Read:
    """Return a reading that decodes the answer and converts the texts, and nothing else."""

    def read(answer: Answer) -> Iterator[str | None]:
        found = json.loads(answer[1])
        jobs = found if isinstance(found, list) else found.get("jobs") or found["offers"]
        yield from (convert(MARKUP[answer[0]](job)) for job in jobs if "id" in job)

    return read


def measured(read: Read, meter: Meter) -> None:
    """Read posting after posting, the answers over and over; a refused one answers wrongly."""
    texts = itertools.chain.from_iterable(map(read, itertools.cycle(answers())))
    for number in meter.each():
        meter.add(2 * number + 1 if next(texts) is not None else -1)


def soup(meter: Meter) -> None:
    from bs4 import BeautifulSoup

    measured(plain(lambda markup: BeautifulSoup(markup, "html.parser").get_text("\n")), meter)


def soup_lxml(meter: Meter) -> None:
    from bs4 import BeautifulSoup

    measured(plain(lambda markup: BeautifulSoup(markup, "lxml").get_text("\n")), meter)


def jobspy(meter: Meter) -> None:
    from jobspy.model import DescriptionFormat
    from jobspy.util import description_fields

    markdown = DescriptionFormat.MARKDOWN
    convert = plain(lambda markup: str(description_fields(markup, markdown)["description"]))
    measured(convert, meter)


SHAPES = (
    Shape(
        name="posting",
        units=UNITS,
        contenders=(
            Contender("ours", lambda meter: measured(ours, meter)),
            Contender("json, soup", soup, needs="bs4"),
            Contender("json, soup, lxml", soup_lxml, needs="bs4"),
            Contender("json, JobSpy", jobspy, needs="jobspy"),
        ),
    ),
)
