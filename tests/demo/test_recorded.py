import datetime as dt
import json
from pathlib import Path

import pytest

from jobping.demo.answers import Items, Whole
from jobping.demo.recorded import company_of, read_recordings
from jobping.errors import ConfigError

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings")


def folder(at: Path, *entries: dict[str, object], **files: str) -> Path:
    for name, text in files.items():
        (at / name).write_text(text)
    (at / "INDEX.json").write_text(json.dumps(entries))
    return at


def entry(source: str, url: str, file: str = "a", **others: object) -> dict[str, object]:
    return {
        "source": source,
        "file": file,
        "method": "GET",
        "endpoint_it_answers": url,
        "status": 200,
        "kind": "recorded",
        **others,
    }


ASHBY = "https://api.ashbyhq.com/posting-api/job-board"


@pytest.mark.parametrize(
    ("source", "url", "slug"),
    [
        ("ashby", f"{ASHBY}/Hyper%20Labs?includeCompensation=true", "Hyper Labs"),
        ("ashby", f"{ASHBY}/{{org}}", "board-2026"),
        ("greenhouse", "https://boards-api.greenhouse.io/v1/boards/acme/jobs?content=true", "acme"),
        ("lever", "https://api.lever.co/v0/postings/acme?mode=json&skip=0&limit=16", "acme"),
        ("recruitee", "https://acme.recruitee.com/api/offers/", "acme"),
        ("recruitee", "https://{company}.recruitee.com/api/offers/", "board-2026"),
        ("personio", "https://acme.jobs.personio.de/xml?language=en", "acme"),
        ("remoteok", "https://remoteok.com/api", "all"),
        ("remotive", "https://remotive.com/api/remote-jobs", "all"),
        ("arbeitnow", "https://www.arbeitnow.com/api/job-board-api", "all"),
        ("jobicy", "https://jobicy.com/api/v2/remote-jobs?count=20", "all"),
        ("jobicy", "https://jobicy.com/api/v2/remote-jobs?count=20&tag=python", "tag:python"),
    ],
)
def test_an_answer_becomes_the_board_of_its_endpoint_byte_for_byte(
    tmp_path: Path, source: str, url: str, slug: str
) -> None:
    recorded = read_recordings(folder(tmp_path, entry(source, url), a="{ }\n"), NOW)
    ((board, content),) = recorded.boards
    assert (board.source, board.slug) == (source, slug)
    assert content == Whole(b"{ }\n")


def test_pages_of_one_board_are_joined_in_the_order_of_their_offsets(tmp_path: Path) -> None:
    url = "https://api.smartrecruiters.com/v1/companies/Acme/postings?limit=2&offset="
    at = folder(
        tmp_path,
        entry("smartrecruiters", f"{url}2", "second"),
        entry("smartrecruiters", f"{url}0", "first"),
        first='{"totalFound":3,"content":[{"id": 1},{"id":2}]}',
        second='{"totalFound":3,"content":[{"id":3}]}',
    )
    ((_, content),) = read_recordings(at, NOW).boards
    assert content == Items((b'{"id": 1}', b'{"id":2}', b'{"id":3}'), 3)


def test_what_is_not_real_or_not_a_list_of_the_ten_sources_is_no_board(tmp_path: Path) -> None:
    departments = "https://boards-api.greenhouse.io/v1/boards/acme/departments"
    at = folder(
        tmp_path,
        entry("ashby", f"{ASHBY}/acme"),
        entry("ashby", f"{ASHBY}/shape", kind="shape-only"),
        entry("ashby", f"{ASHBY}/gone", status=404, kind="observed-answer"),
        entry("reed", "https://www.reed.co.uk/api/1.0/search", kind="rebuilt"),
        entry("greenhouse", departments),
        a="[]",
    )
    recorded = read_recordings(at, NOW)
    assert [board.slug for board, _ in recorded.boards] == ["acme"]
    assert [extra.path for extra in recorded.extras] == ["/v1/boards/acme/departments"]


def test_a_company_is_named_only_where_the_answers_do_not_name_it(tmp_path: Path) -> None:
    greenhouse = "https://boards-api.greenhouse.io/v1/boards/acme/jobs"
    at = folder(tmp_path, entry("ashby", f"{ASHBY}/acme"), entry("greenhouse", greenhouse), a="{}")
    companies = {board.source: board.company for board, _ in read_recordings(at, NOW).boards}
    assert companies == {"ashby": "Acme", "greenhouse": None}


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("acme", "Acme"),
        ("big-data_co", "Big Data Co"),
        ("Hyper Labs", "Hyper Labs"),
        ("9fin", "9fin"),
    ],
)
def test_a_company_is_named_after_its_slug(slug: str, name: str) -> None:
    assert company_of(slug) == name


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (entry("ashby", f"{ASHBY}/x", "missing"), r"entry 0 \(missing\): cannot be read"),
        (entry("ashby", f"{ASHBY}/x", "../a"), r"entry 0 \(\.\./a\): .* outside the folder"),
        (entry("ashby", "(not stated)"), r"entry 0 \(a\): no path in endpoint"),
        ({"source": "ashby"}, "entry 0: Object missing required field"),
        (entry("reed", "https://www.reed.co.uk/"), "no recorded answer of greenhouse"),
        (
            entry("smartrecruiters", "https://api.smartrecruiters.com/v1/companies/A/postings"),
            r"entry 0 \(a\): no page of postings",
        ),
        (
            entry(
                "smartrecruiters",
                "https://api.smartrecruiters.com/v1/companies/A/postings?offset=x",
            ),
            r"entry 0 \(a\): offset 'x'",
        ),
    ],
)
def test_a_broken_entry_is_named_with_the_file(
    tmp_path: Path, broken: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"INDEX.json: {message}"):
        read_recordings(folder(tmp_path, broken, a="{}"), NOW)


def test_two_answers_of_one_board_are_refused(tmp_path: Path) -> None:
    twice = entry("ashby", f"{ASHBY}/x")
    with pytest.raises(
        ConfigError, match=r"entry 1 \(a\): the board ashby x has an answer already"
    ):
        read_recordings(folder(tmp_path, twice, twice, a="{}"), NOW)


@pytest.mark.parametrize("index", [None, "", "{}", "[1]"])
def test_a_folder_without_a_readable_index_is_refused(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "INDEX.json").write_text(index)
    with pytest.raises(ConfigError, match=r"INDEX\.json: (cannot be read|entry 0)"):
        read_recordings(tmp_path, NOW)


@needs_recordings
def test_every_real_answer_of_the_ten_sources_is_a_board() -> None:
    recorded = read_recordings(RECORDINGS, NOW)
    index = json.loads((RECORDINGS / "INDEX.json").read_text())
    sizes = {item["file"]: item["bytes"] for item in index}
    boards = {(board.source, board.slug): content for board, content in recorded.boards}
    assert len(boards) == 28
    bodies = [len(c.body) for c in boards.values() if isinstance(c, Whole)]
    assert set(bodies) <= set(sizes.values())
    assert ("ashby", "Hyperliquid Labs") in boards
    assert {slug for source, slug in boards if source == "jobicy"} == {
        "tag:python",
        "geo:canada",
        "industry:supporting",
    }
    shopify = boards["smartrecruiters", "Shopify"]
    assert isinstance(shopify, Items)
    assert (len(shopify.items), shopify.total) == (78, 78)
    assert [extra.path for extra in recorded.extras] == ["/v1/boards/netlify/departments"]
