"""The log: planted secrets, lines outside the catalogue, and lost lines are found."""

import json

import pytest

from jobping.check.lines import check_logs
from jobping.core.finding import Verdict

SECRET = "sk-0123456789abcdef"


def line(seq: int, event: str = "log.adjusted", **fields: object) -> str:
    envelope = {"ts": 1, "event": event, "v": 1, "level": "info", "actor": None, "run": "r"}
    return json.dumps({**envelope, "seq": seq, **fields})


def test_lines_of_the_catalogue_without_a_secret_hold() -> None:
    lines = [line(1, at_level="debug", until_s=3), line(2, cut=True)]
    found = check_logs(lines, [SECRET, "short"])
    assert found.verdict is Verdict.HOLDS
    assert found.figure == ("2 lines, all as the catalogue says; 1 planted secrets found 0 times")


@pytest.mark.parametrize(
    ("lines", "figure"),
    [
        ([line(1, at_level=f"key {SECRET}!")], "secrets stand in 1 places: log.adjusted"),
        ([line(1, colour="red")], "log.adjusted has fields outside the catalogue: colour"),
        ([line(1, "log.adjust")], "log.adjust is in no catalogue"),
        ([line(1), line(3)], "line 3 is not where its number says"),
        ([line(1, "log.dropped", n=3, by_level={})], "log.dropped: lines were lost"),
        ([line(1).replace('"v": 1', '"v": 9')], "another version or level"),
        ([line(1)[:-2]], "a line that is no JSON"),
        (["[]"], "a line without its envelope"),
        ([line(1, at_level="x" * 4_000)], "a line of 4"),
        ([], "no line was written"),
    ],
)
def test_fault_of_the_log_is_found(lines: list[str], figure: str) -> None:
    found = check_logs(lines, [SECRET])
    assert found.verdict is Verdict.FAILS
    assert figure in found.figure
    assert SECRET not in found.figure
    assert "change the secrets that leaked" in found.advice
