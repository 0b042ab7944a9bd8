"""`jobping alerts`: the rules, and what they would have told."""

import argparse
import datetime as dt
import math
import sys
from typing import Any

import trio

from jobping.cli.output import Column, print_json, print_table
from jobping.cli.parser import (
    Commands,
    ExitCode,
    UsageError,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
)
from jobping.cli.report import add_period_options
from jobping.cli.session import quiet_log, settings_of
from jobping.cli.watch import Watch, add_stream_options, now
from jobping.core.alerting import RULES, Alerts, Change, Rule, State
from jobping.core.duration import duration
from jobping.core.printable import printable
from jobping.monitor.replay import replay

_COLUMNS = (
    Column(title="rule"),
    Column(title="on"),
    Column(title="threshold", right=True),
    Column(title="for", right=True),
    Column(title="resolved after", right=True),
    Column(title="meaning", folds=True),
)


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add(
        "alerts",
        "what you are told of, and what you would have been told",
        group="watch and steer",
        usage="[check|test]",
        details="Without a command: the rules as they hold. `[alerts.RULE]` in the configuration"
        " changes one.",
        examples=[
            "jobping alerts",
            "jobping alerts check                    exit code 1: something fires",
            "jobping alerts check --since 7d         would it have fired last week?",
            "jobping alerts check --file jobping.log --json",
            "jobping alerts test breaker_open        does a notice arrive?",
        ],
    )
    add_json_option(parser)
    add_config_options(parser)
    parser.set_defaults(command=_list)
    below = add_commands(parser, required=False)
    checking = add_command(
        below,
        "check",
        "replay the log: what fired, what was resolved, what fires",
        details="The same rules on the same events as in the daemon come to the same alerts. Of the"
        " journal also what should have come up to now is judged, such as statistics of a daemon"
        " that is gone. Exits 1 where something fires at the end.",
    )
    testing = add_command(below, "test", "send a notice as if a rule had fired just now")
    testing.add_argument("name", metavar="RULE", help="one of `jobping alerts`")
    add_config_options(testing)
    testing.set_defaults(command=_test)
    add_period_options(checking, "1d")
    add_json_option(checking)
    add_stream_options(checking)
    checking.set_defaults(command=_check)


def _test(arguments: argparse.Namespace) -> int:
    rule = next((rule for rule in RULES if rule.name == arguments.name), None)
    if rule is None:
        raise UsageError(f"alerts test: {arguments.name}: no such rule; see `jobping alerts`")
    settings = settings_of(arguments)
    change = Change(rule=rule, subject="(a test)", state=State.FIRED, at=now())
    # here: it imports every part of the daemon
    from jobping.daemon import send_notice

    with quiet_log(settings) as emit:
        answers = trio.run(send_notice, settings, change, emit)
    for way, error in answers.items():
        print(f"{way}: {error or 'sent'}")
    if not answers:
        print("alerts go to the log only; `[alerts] email` and `webhook` send them on")
    return ExitCode.FAILED if any(answers.values()) else ExitCode.OK


def _list(arguments: argparse.Namespace) -> int:
    chosen = {rule.name: rule for rule in settings_of(arguments).alerts.rules}
    rules = [(chosen.get(rule.name, rule), rule.name in chosen) for rule in RULES]
    if arguments.json:
        print_json([_rule_json(rule, is_on=is_on) for rule, is_on in rules])
        return 0
    rows = [
        [
            rule.name,
            "yes" if is_on else "no",
            "" if rule.threshold is None else f"{rule.threshold:g}",
            duration(rule.for_s) if rule.for_s else "",
            duration(rule.resolve_after_s) if rule.resolve_after_s else "",
            rule.summary,
        ]
        for rule, is_on in rules
    ]
    print_table(_COLUMNS, rows, empty="")
    return 0


def _rule_json(rule: Rule, *, is_on: bool) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "on": is_on,
        "threshold": rule.threshold,
        "for_s": rule.for_s,
        "resolve_after_s": rule.resolve_after_s,
        "summary": rule.summary,
    }


def _check(arguments: argparse.Namespace) -> int:
    alerts = Alerts(settings_of(arguments).alerts.rules)
    since, until = arguments.since, arguments.until
    changes = list[Change]()
    with Watch.of(arguments).opened(since=since, until=until) as stream:
        inside = (
            item
            for item in stream
            if item.ts is not None and since <= item.ts / 1e6 < (until or math.inf)
        )
        changes += replay(inside, alerts)
    if not alerts.has_begun:
        print("there is no event of this period in the log", file=sys.stderr)
        return ExitCode.FAILED
    if arguments.file is None:
        changes += alerts.advance(now() if until is None else min(until, now()))
    firing = alerts.firing()
    if arguments.json:
        print_json(
            {
                "changes": [_change_json(change) for change in changes],
                "firing": [{"rule": rule, "subject": subject} for rule, subject in firing],
            }
        )
    else:
        for change in changes:
            print(f"{_moment(change)}  {change.state.value:<8}  {printable(change.text(), 400)}")
        names = ", ".join(" ".join(id).strip() for id in firing)
        print(f"fires: {printable(names, 2_000)}" if firing else "nothing fires")
    return ExitCode.FAILED if firing else ExitCode.OK


def _moment(change: Change) -> str:
    return f"{dt.datetime.fromtimestamp(change.at, dt.UTC):%Y-%m-%d %H:%M:%S}"


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "at": f"{dt.datetime.fromtimestamp(change.at, dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "state": change.state.value,
        "rule": change.rule.name,
        "subject": change.subject,
        "value": change.value,
        "why": change.rule.summary if change.state is State.FIRED else None,
    }
