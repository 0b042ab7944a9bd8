"""`jobping run`, `jobping demo` and `jobping reload`."""

import argparse
import errno
import sys
import time
from functools import partial
from pathlib import Path

from jobping.cli.domains import order
from jobping.cli.parser import (
    Commands,
    Parser,
    UsageError,
    add_config_options,
    add_state_options,
    minutes,
    overrides,
    positive,
)
from jobping.cli.summary import print_record, print_summary
from jobping.clock import monotonic_ns
from jobping.errors import ConfigError, OrderFailed
from jobping.logs import LogConfig, is_journal, open_log
from jobping.sdnotify import notify
from jobping.settings import (
    DemoOptions,
    RunOptions,
    Settings,
    load,
    load_demo,
    read_system,
)

_WAIT_S = 60
_LOOK_EVERY_S = 0.1
_RUN_MINUTES = RunOptions().minutes
_DEMO_MINUTES = DemoOptions().minutes


def add(commands: Commands) -> None:
    """Add the commands."""
    _add_run(commands)
    _add_demo(commands)
    _add_reload(commands)


def _add_reload(commands: Commands) -> None:
    parser = commands.add(
        "reload",
        "let the daemon read its configuration anew, all of it or nothing",
        group="run",
        usage="[--wait S]",
        details="A configuration with a mistake is refused here; one that cannot be put into force"
        " changes nothing. What the daemon is built on (state directory, database, log, networks)"
        " needs a restart.",
        examples=["jobping reload", "jobping reload --state-dir /var/lib/jobping"],
    )
    parser.add_argument(
        "--wait",
        type=positive,
        default=_WAIT_S,
        metavar="S",
        help=f"longest time for it in seconds (default {_WAIT_S}); work in hand is finished first",
    )
    add_config_options(parser)
    parser.set_defaults(command=_reload)


def _reload(arguments: argparse.Namespace) -> int:
    settings = load(overrides(arguments))
    tries = order(settings, {"order": "reload"})["tries"]
    deadline = monotonic_ns() + arguments.wait * 10**9
    while (answer := order(settings, {"ask": "generation"}))["tries"] < tries:
        if monotonic_ns() > deadline:
            raise OrderFailed(
                f"not done within {arguments.wait} s; the log says what becomes of it"
            )
        time.sleep(_LOOK_EVERY_S)
    if answer["refused"]:
        raise OrderFailed(f"nothing changed: {answer['refused']}")
    print(f"reloaded; configuration number {answer['number']} holds")
    return 0


def _add_run(commands: Commands) -> None:
    parser = commands.add(
        "run",
        "poll the boards, match and send digests, until stopped",
        group="run",
        usage="[--once]",
        details="Without a configuration it polls a default set of boards that needs no key, for"
        " an example profile, with a private PostgreSQL that it starts and stops itself. The first"
        " SIGTERM or Ctrl-C ends it in order, the second one at once.",
        examples=[
            "jobping run",
            "jobping run --once --minutes 2          poll what is due, send what is due, stop",
            "jobping run --once --json 2>log.json    the summary as JSON, the log elsewhere",
        ],
    )
    parser.add_argument(
        "--once", action="store_true", help="poll each due board once, send what is due, and stop"
    )
    parser.add_argument(
        "--minutes",
        type=minutes,
        metavar="N",
        help=f"longest time of --once (default {_RUN_MINUTES:g}); boards that the pace leaves"
        " waiting are named",
    )
    _add_json(parser, "with --once: ")
    add_config_options(parser)
    parser.set_defaults(command=_run)


def _add_demo(commands: Commands) -> None:
    parser = commands.add(
        "demo",
        "the whole daemon on a local world of boards; no network, no key",
        group="run",
        usage="[--once]",
        details="A server on loopback answers as the real boards do, from synthetic postings or"
        " from recorded answers. The database is the demo's own and is kept, so a second demo"
        " on the same day finds nothing new.",
        examples=[
            "jobping demo --once",
            "jobping demo --minutes 5 --seed 7",
            "jobping demo --once --recordings ../shared/recordings",
        ],
    )
    parser.add_argument(
        "--recordings",
        type=_folder,
        metavar="DIR",
        help="folder of recorded answers with its INDEX.json",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of synthetic postings (default 1)"
    )
    parser.add_argument(
        "--minutes",
        type=minutes,
        default=_DEMO_MINUTES,
        metavar="N",
        help=f"end after so long (default {_DEMO_MINUTES:g})",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="end when every board was polled and the digest was sent",
    )
    _add_json(parser, "")
    add_state_options(parser.add_argument_group("settings"))
    parser.set_defaults(command=_demo)


def _add_json(parser: Parser, when: str) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help=f"{when}one JSON object as summary on stdout; the log goes to stderr",
    )


def _folder(text: str) -> Path:
    path = Path(text)
    if not (path / "INDEX.json").is_file():
        raise argparse.ArgumentTypeError(f"{text}: holds no INDEX.json")
    return path


def _run(arguments: argparse.Namespace) -> int:
    for option in ("minutes", "json"):
        if getattr(arguments, option) and not arguments.once:
            raise UsageError(f"run: --{option} needs --once")
    options = RunOptions(
        once=arguments.once, minutes=arguments.minutes or _RUN_MINUTES, json=arguments.json
    )
    try:
        settings = _load(arguments)
        # here: it imports every part of the daemon, which the other commands do without
        from jobping import daemon

        outcome = daemon.run(settings, options, partial(load, overrides(arguments)))
    except ConfigError as error:
        notify(read_system().notify_socket, f"ERRNO={errno.EINVAL}", f"STATUS={error}")
        raise
    if options.json:
        print_record(outcome)
    elif options.once:
        print_summary(outcome)
    return outcome.code


def _load(arguments: argparse.Namespace) -> Settings:
    """Return the settings; a wrong configuration is also said in the log of a service."""
    try:
        return load(overrides(arguments))
    except ConfigError as error:
        stream = sys.stderr if arguments.json else sys.stdout
        if not stream.isatty():
            journal = is_journal(stream, read_system().journal_stream)
            with open_log(LogConfig(), stream=stream, journal=journal) as log:
                log.emit("config.rejected", errors=str(error).splitlines())
        raise


def _demo(arguments: argparse.Namespace) -> int:
    options = DemoOptions(
        recordings=arguments.recordings,
        seed=arguments.seed,
        once=arguments.once,
        minutes=arguments.minutes,
        json=arguments.json,
    )
    settings = load_demo(overrides(arguments))
    # here: as in `_run`
    from jobping import daemon

    outcome = daemon.demo(settings, options)
    if options.json:
        print_record(outcome)
    else:
        print_summary(outcome)
    return outcome.code
