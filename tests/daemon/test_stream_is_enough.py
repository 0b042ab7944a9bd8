"""The log alone says what the database says, and what was told: of whole runs of the daemon."""

import json
from collections.abc import Iterable
from pathlib import Path
from signal import SIGTERM
from typing import Any

from tests.daemon.boards import PROFILE, config, greenhouse
from tests.daemon.processes import Ended, Home, jobping, rows, run
from tests.daemon.rounds import Rounds
from tests.doubles.fault_server import open_fault_server, respond

SPENT = (
    "SELECT day::text, coalesce(answered_model, model) AS model, count(*)::int AS calls,"
    " sum(counted_tokens)::bigint AS tokens, sum(counted_nanousd)::bigint AS nanousd"
    " FROM budget_booked WHERE state IN ('settled', 'lapsed') GROUP BY 1, 2"
)
WINDOWS = "SELECT kind, starts::text, used_nanousd, used_tokens FROM budget_window"
POSTINGS = "SELECT source, count(*)::int AS n FROM posting GROUP BY 1"
MATCHES = "SELECT count(*)::int AS n FROM match"
DIGESTS = (
    "SELECT count(DISTINCT d.id)::int AS sent, count(i.*)::int AS items FROM digest d"
    " LEFT JOIN digest_item i ON i.digest_id = d.id WHERE d.sent_at IS NOT NULL"
)
CAPTCHA = b"<!doctype html><html><head><title>Just a moment...</title></head></html>"


def saved(home: Home, *ended: Ended) -> Path:
    """Write the logs of runs into one file."""
    lines = (json.dumps(line) for one in ended for line in one.log)
    return home.write("jobping.log", "\n".join(lines) + "\n")


async def reported(home: Home, file: Path) -> dict[str, Any]:
    ended = await run("report", "--json", "--since", "1d", "--file", file, home=home)
    assert ended.code == 0, ended
    return json.loads(ended.stdout)


async def test_report_from_the_log_alone_agrees_with_ledger_and_store(synthetic: Rounds) -> None:
    home, both = synthetic.home, (synthetic.first, synthetic.second)
    report = await reported(home, saved(home, *both))

    booked = await rows(SPENT, home=home)
    assert booked
    by_day: dict[str, dict[str, dict[str, int]]] = {}
    for row in booked:
        figures = {key: row[key] for key in ("calls", "tokens", "nanousd")}
        by_day.setdefault(row["day"], {})[row["model"]] = figures
    assert {
        day: {
            model: {key: spend[key] for key in ("calls", "tokens", "nanousd")}
            for model, spend in models.items()
        }
        for day, models in report["spend"]["by_day"].items()
    } == by_day
    for window in await rows(WINDOWS, home=home):
        own = report["spend"]["by_day" if window["kind"] == "day" else "by_month"]
        key = window["starts"] if window["kind"] == "day" else window["starts"][:7]
        spends = own[key].values() if window["kind"] == "day" else [own[key]]
        assert sum(spend["nanousd"] for spend in spends) == window["used_nanousd"]
        assert sum(spend["tokens"] for spend in spends) == window["used_tokens"]

    stored = {row["source"]: row["n"] for row in await rows(POSTINGS, home=home)}
    assert report["postings"]["by_source"] == stored
    assert report["postings"]["new"] == sum(stored.values())
    [digests] = await rows(DIGESTS, home=home)
    assert report["digests"]["sent"] == digests["sent"]
    assert report["digests"]["items"] == digests["items"]
    asked = sum(ended.summary()["http"]["requests"] for ended in both)
    assert sum(report["http"].values()) == asked
    assert report["uptime"]["exit_codes"] == {"0": 2}
    assert (report["log"]["lost"], report["log"]["foreign"]) == (0, 0)


async def test_alerts_are_told_by_webhook_and_are_those_of_a_replay(home: Home) -> None:
    async with (
        open_fault_server(respond(CAPTCHA)) as walled,
        open_fault_server(respond(greenhouse(range(3)))) as well,
        open_fault_server({"*": respond(b"", status=204)}) as hook,
    ):
        rest = (
            f'[delivery.webhook]\nurl = "{hook.url("/alerts")}"\n[alerts]\nwebhook = true\n'
            f"[alerts.breaker_open]\nfor_minutes = 0\n{PROFILE}"
        )
        servers = {"arbeitnow": walled.url(""), "greenhouse": well.url("")}
        file = home.write("jobping.toml", config(servers, rest=rest))
        async with jobping("run", "--config", file, home=home) as daemon:
            fired = await daemon.wait_for("alert.fired")
            await daemon.wait_until(lambda: bool(_alerts(hook.requests)))
            ended = await daemon.end_by(SIGTERM)

    assert (fired["rule"], fired["subject"]) == ("breaker_open", walled.domain)
    [told] = _alerts(hook.requests)
    assert f"breaker_open {walled.domain}" in told["subject"]
    log = saved(home, ended)
    words = ("alerts", "check", "--json", "--file", log, "--config", file)
    check = await run(*words, home=home)
    live = [(line["event"], line["rule"], line["subject"]) for line in ended.log
            if line["event"] in ("alert.fired", "alert.resolved")]  # fmt: skip
    assert [
        (f"alert.{change['state']}", change["rule"], change["subject"])
        for change in json.loads(check.stdout)["changes"]
    ] == live
    assert check.code == 0  # it was stopped in order, so nothing fires any more

    without_end = home.write("cut.log", log.read_text().rsplit('"daemon.stopped"', 1)[0] + "\n")
    cut = await run("alerts", "check", "--file", without_end, "--config", file, home=home)
    assert cut.code == 1
    assert f"fires: breaker_open {walled.domain}" in cut.stdout


def _alerts(requests: Iterable[Any]) -> list[dict[str, Any]]:
    bodies = (json.loads(request.body) for request in requests)
    return [body for body in bodies if body["profile"] == "alerts"]
