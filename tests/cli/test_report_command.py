"""`report` and `alerts` as a person or a script calls them, on logs made for them."""

import json
import time
from pathlib import Path

import pytest

from jobping.cli import main
from jobping.monitor.stream import Event
from tests.monitor.samples import Writer, polled, sampled, started, stats, text

AGO_S = 600


@pytest.fixture
def write() -> Writer:
    return Writer(began=time.time() - AGO_S)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log file, where no configuration is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JOBPING_CONFIG", raising=False)
    return tmp_path / "log"


def put(log: Path, *events: Event) -> None:
    log.write_text("".join(map(text, events)))


def of_a_day(write: Writer) -> list[Event]:
    return [
        *started(write),
        sampled(write, 2, "a.example"),
        polled(write, 3, "a.example", http={"ok": 4}, http_s=1.0),
        stats(write, 60),
    ]


Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("option", "begins", "holds"),
    [
        ([], "report of ", "a.example"),
        (["--md"], "# JobPing report", "| a.example | 4 |"),
        (["--prom"], "# TYPE jobping_", 'jobping_requests{domain="a.example",result="ok"} 4'),
        (["--html", "-"], "<!DOCTYPE html>", "<td>a.example</td>"),
        (["--json"], "{", '"a.example": {'),
    ],
)
def test_report_has_a_form_for_every_reader(write, log, capsys: Captured, option, begins, holds):
    put(log, *of_a_day(write))
    assert main(["report", "--file", str(log), *option]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(begins)
    assert holds in shown.out
    assert shown.err == ""


def test_page_is_put_in_place_whole_and_nothing_is_left_beside_it(write, log, tmp_path):
    put(log, *of_a_day(write))
    page = tmp_path / "pages" / "report.html"
    page.parent.mkdir()
    page.write_text("old")
    assert main(["report", "--file", str(log), "--html", str(page)]) == 0
    assert page.read_text().endswith("</html>\n")
    assert list(page.parent.iterdir()) == [page]


def test_page_that_cannot_be_written_is_a_word_and_an_exit_code(write, log, capsys: Captured):
    put(log, *of_a_day(write))
    assert main(["report", "--file", str(log), "--html", str(log.parent / "no" / "x")]) == 64
    assert "No such file or directory" in capsys.readouterr().err


def test_period_leaves_out_what_is_before_and_after(write, log, capsys: Captured):
    put(log, *(polled(write, at, "a.example") for at in (0, 200, 400)))
    assert main(["report", "--json", "--file", str(log), "--since", "8m", "--until", "4m"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["domains"]["a.example"]["polls"] == {"complete": 1}
    assert found["log"]["outside"] == 2


@pytest.mark.parametrize("when", ["tomorrow", "7", "7w", "2026-13-01", "", "99999d99"])
def test_time_that_is_none_is_wrong_usage(when, log, capsys: Captured):
    with pytest.raises(SystemExit) as ended:
        main(["report", "--since", when])
    assert ended.value.code == 64
    assert "is no time such as" in capsys.readouterr().err


def test_log_without_an_event_is_said_and_no_failure_of_the_report(log, capsys: Captured):
    log.write_text("not an event\n")
    assert main(["report", "--file", str(log)]) == 0
    assert "There is no event of this period in the log." in capsys.readouterr().out


def test_rules_are_shown_as_the_configuration_has_them(log, tmp_path, capsys: Captured):
    file = tmp_path / "jobping.toml"
    file.write_text("[alerts.log_lost]\non = false\n[alerts.breaker_open]\nfor_minutes = 5\n")
    assert main(["alerts", "--json", "--config", str(file)]) == 0
    rules = {rule["rule"]: rule for rule in json.loads(capsys.readouterr().out)}
    assert not rules["log_lost"]["on"]
    assert rules["breaker_open"]["for_s"] == 300
    assert main(["alerts", "--config", str(file)]) == 0
    assert "no site is asked any more" in capsys.readouterr().out


def test_check_exits_1_while_something_fires(write, log, capsys: Captured):
    failed = write(3, "digest.failed", digest=1, profile=7, why="x")
    put(log, *started(write), failed)
    assert main(["alerts", "check", "--file", str(log)]) == 1
    shown = capsys.readouterr().out
    assert "fired     digest_failed profile 7: a digest did not go out" in shown
    assert shown.endswith("fires: digest_failed profile 7\n")
    put(log, *started(write), failed, write(9, "digest.sent", digest=2, profile=7))
    assert main(["alerts", "check", "--file", str(log)]) == 0
    assert capsys.readouterr().out.endswith("nothing fires\n")


def test_check_of_a_log_without_an_event_fails(log, capsys: Captured):
    log.touch()
    assert main(["alerts", "check", "--file", str(log)]) == 1
    assert "no event" in capsys.readouterr().err


def test_check_shows_no_control_character_of_a_stranger(write, log, capsys: Captured):
    lines = [write(1, "breaker.opened", domain="a\x1b[2J\u202e"), write(7200, "cycle.completed")]
    lines.append(write(7200, "log.dropped", n=1))
    put(log, *lines)
    assert main(["alerts", "check", "--file", str(log)]) == 1
    shown = capsys.readouterr().out
    assert "breaker_open a [2J" in shown
    assert not {"\x1b", "\u202e"} & {*shown}


def test_test_notice_needs_a_rule_and_says_where_it_went(log, capfd: pytest.CaptureFixture[str]):
    assert main(["alerts", "test", "nothing_known"]) == 64
    assert main(["alerts", "test", "log_lost"]) == 0
    assert "alerts go to the log only" in capfd.readouterr().out
