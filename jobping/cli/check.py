"""`jobping check`."""

import argparse

from jobping.cli.findings import Findings
from jobping.cli.parser import Commands, add_config_options, add_json_option
from jobping.cli.session import settings_of
from jobping.errors import JobPingError


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "check",
        "measure whether all is ready; exits 1 if something does not hold",
        group="installation",
        usage="[--live]",
        details="The daemon's own parts on your configuration, on local sites and models and in a"
        " schema of its own, which it removes: connections, pace, breaker, tiers, budget, log,"
        " clock, disk and unit, each with a figure, a verdict and what to do. It takes about half"
        " a minute.",
        examples=["jobping check", "jobping check --live"],
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="also ask each site of your boards for its robots.txt, within its pace: the only"
        " requests that leave this machine",
    )
    add_json_option(parser)
    add_config_options(parser)
    parser.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    # here: it imports every part of the daemon, which the other commands do without
    from jobping.check import check

    findings = Findings(json=arguments.json)
    try:
        check(settings, live=arguments.live, say=findings.say)
    except* JobPingError:
        findings.end()
        raise
    return findings.end()
