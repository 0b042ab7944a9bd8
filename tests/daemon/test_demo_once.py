"""`jobping demo --once --json`, as a stranger would run it: what it says, what it stores."""

import json
from pathlib import Path

from jobping.events import CATALOGUE, ENVELOPE, LEVELS
from tests.daemon.processes import Ended, Line, rows
from tests.daemon.rounds import LINK, REPEATED, SOURCES, Rounds, count_by_index

COUNTS = {"new", "changed", "unchanged", "duplicate", "rejected"}
KEYS = {"boards", "postings", "by_source", "digests", "models", "http", "db", "duration_s"}


def counts(ended: Ended) -> dict[str, int]:
    return ended.summary()["postings"]


def test_summary_of_the_demo_has_exactly_the_documented_keys(synthetic: Rounds) -> None:
    for ended in (synthetic.first, synthetic.second):
        assert ended.code == 0, ended
        summary = ended.summary()
        assert set(summary) == KEYS
        assert set(summary["boards"]) == {"polled", "failed"}
        assert set(summary["postings"]) == COUNTS
        assert set(summary["by_source"]) == SOURCES
        assert all(set(of_source) == COUNTS for of_source in summary["by_source"].values())
        assert set(summary["http"]) == {"requests", "connections"}
        assert set(summary["models"]) == {"calls", "cost_nanousd"}
        assert set(summary["db"]) == {"statements", "connections"}
        assert all(
            type(value) is int for value in _leaves(summary) if value != summary["duration_s"]
        )


def _leaves(summary: Line) -> list[object]:
    found: list[object] = []
    for value in summary.values():
        found += _leaves(value) if isinstance(value, dict) else [value]
    return found


def test_summary_of_the_demo_agrees_with_its_sources_and_its_log(synthetic: Rounds) -> None:
    for ended in (synthetic.first, synthetic.second):
        summary = ended.summary()
        polls = ended.lines("scraper.polled")
        assert summary["boards"] == {"polled": 20, "failed": 0}
        assert len(polls) == 20
        for key in COUNTS:
            by_source = sum(of_source[key] for of_source in summary["by_source"].values())
            assert summary["postings"][key] == by_source == sum(line[key] for line in polls)
        assert summary["digests"] == len(ended.lines("digest.sent"))


def test_demo_opens_one_connection_per_origin(synthetic: Rounds) -> None:
    for ended in (synthetic.first, synthetic.second):
        http = ended.summary()["http"]
        [ready] = ended.lines("daemon.became_ready")
        origins = {line["domain"] for line in ended.lines("scraper.polled")}
        assert http["connections"] == len(origins) == ready["domains"] == len(SOURCES)
        assert http["requests"] > http["connections"]


def test_demo_stores_what_its_world_holds_and_sends_a_digest(synthetic: Rounds) -> None:
    first = counts(synthetic.first)
    assert first["new"] == len(synthetic.content) > 300
    assert first["changed"] == first["unchanged"] == 0
    assert first["rejected"] == 1  # the posting that lacks its title
    assert synthetic.first.summary()["digests"] == 1


def test_second_demo_on_the_same_state_finds_nothing_new(synthetic: Rounds) -> None:
    first, second = counts(synthetic.first), counts(synthetic.second)
    assert second == {
        "new": 0,
        "changed": 0,
        "unchanged": first["new"],
        "duplicate": first["duplicate"],
        "rejected": first["rejected"],
    }
    assert_next_digest_is_of_another_period(synthetic)


def assert_next_digest_is_of_another_period(rounds: Rounds) -> None:
    """Check that the second run sent nothing, or what the first digest had no room for."""
    periods = [
        line["period"]
        for ended in (rounds.first, rounds.second)
        for line in ended.lines("digest.sent")
    ]
    assert len(periods) == len(set(periods)) == len(rounds.home.digests) <= 2
    assert rounds.second.summary()["digests"] == len(periods) - 1
    texts = [path.read_text() for path in rounds.home.digests]
    assert sum(text.count("Why: ") for text in texts) == 10 * len(periods)
    links = [link for text in texts for link in LINK.findall(text)]
    assert len(links) == len(set(links)) >= 10 * len(periods)


def test_first_digest_of_the_demo_comes_within_half_a_minute(synthetic: Rounds) -> None:
    [sent] = synthetic.first.lines("digest.sent")
    [started] = synthetic.first.lines("daemon.started")
    assert sent["ts"] - started["ts"] < 30_000_000


def test_log_of_the_demo_is_json_lines_as_the_catalogue_says(synthetic: Rounds) -> None:
    for ended in (synthetic.first, synthetic.second):
        lines = [json.loads(line) for line in ended.stderr.splitlines()]
        assert len(lines) > 20
        assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
        assert len({line["run"] for line in lines}) == 1
        assert [line["event"] for line in lines[:1]] == ["daemon.started"]
        assert [line["event"] for line in lines[-1:]] == ["daemon.stopped"]
        for line in lines:
            assert_catalogued(line)


def assert_catalogued(line: Line) -> None:
    kind = CATALOGUE[line["event"]]
    assert set(ENVELOPE) <= set(line)
    assert set(line) - {*ENVELOPE, "cut"} == set(kind.fields), line
    assert line["v"] == kind.version
    assert line["level"] in LEVELS


def test_digest_of_the_demo_is_ranked_by_its_model(synthetic: Rounds) -> None:
    called = synthetic.first.lines("model.called")
    assert {line["outcome"] for line in called} == {"stop"}
    assert synthetic.first.summary()["models"] == {
        "calls": len(called),
        "cost_nanousd": sum(line["cost_nanousd"] for line in called),
    }
    first = min(synthetic.home.digests, key=lambda path: path.stat().st_mtime)
    text = first.read_text(encoding="utf-8")
    by_model, items = text.count("Why: Speaks of"), text.count("Why: ")
    assert by_model >= 5
    assert (f"{items - by_model} of {items} ranked locally" in text) is (by_model < items)


def test_log_of_a_demo_without_trouble_holds_no_error(synthetic: Rounds) -> None:
    for ended in (synthetic.first, synthetic.second):
        assert [line for line in ended.log if line["level"] == "error"] == []
        warnings = {line["event"] for line in ended.log if line["level"] == "warning"}
        assert warnings <= {"profile.example_used", "postings.rejected", "postgres.account_shared"}


def test_demo_with_recordings_stores_the_counts_of_their_index(
    recorded: Rounds, recordings: Path
) -> None:
    assert recorded.first.code == 0, recorded.first
    expected = {
        name: {
            "new": items - REPEATED.get(name, 0),
            "changed": 0,
            "unchanged": 0,
            "duplicate": REPEATED.get(name, 0),
            "rejected": 0,
        }
        for name, items in count_by_index(recordings).items()
    }
    assert recorded.first.summary()["by_source"] == expected
    stored = {name: sum(row["source"] == name for row in recorded.content) for name in SOURCES}
    assert stored == {name: of_source["new"] for name, of_source in expected.items()}
    assert len(recorded.content) == 980


def test_second_demo_with_recordings_changes_nothing(recorded: Rounds) -> None:
    first, second = counts(recorded.first), counts(recorded.second)
    assert recorded.second.code == 0, recorded.second
    assert second["new"] == second["changed"] == 0
    assert second["unchanged"] == first["new"]
    assert_next_digest_is_of_another_period(recorded)


async def test_recorded_postings_in_the_store_have_title_company_and_link(
    recorded: Rounds,
) -> None:
    stored = await rows(
        "SELECT source, external_id, title, company, url, first_seen_at, news_at,"
        " closed_at FROM posting",
        home=recorded.home,
    )
    assert len(stored) == len(recorded.content)
    for row in stored:
        assert row["title"].strip() == row["title"] != "", row
        assert row["url"].startswith(("https://", "http://")), row
        assert row["company"] or row["source"] == "remoteok", row
        assert row["closed_at"] is None
        assert row["news_at"] is not None
    assert sum(not row["company"] for row in stored) <= 1


async def test_recorded_postings_in_the_store_have_text_place_and_date(recorded: Rounds) -> None:
    [found] = await rows(
        "SELECT count(*) FILTER (WHERE description = '') AS bare,"
        " count(*) FILTER (WHERE posted_at IS NULL) AS undated,"
        " count(*) FILTER (WHERE locations <> '[]') AS placed,"
        " count(*) FILTER (WHERE salary_raw IS NOT NULL) AS paid,"
        " count(*) FILTER (WHERE s.absent_since IS NOT NULL) AS absent"
        " FROM posting p JOIN posting_text t ON t.posting_id = p.id"
        " JOIN posting_seen s ON s.posting_id = p.id",
        home=recorded.home,
    )
    # SmartRecruiters lists 78 postings without texts; 3 of the others, and the shell, have none.
    assert found["bare"] <= 78 + 3 + 1
    assert found["undated"] == 0
    assert found["absent"] == 0
    assert found["placed"] > 800
    assert found["paid"] > 100
