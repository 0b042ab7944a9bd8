"""`jobping domains` and `jobping domain NAME hold|release|probe|reset`."""

import argparse
import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobping.cli.output import Column, age, print_json, print_table
from jobping.cli.parser import Commands, add_config_options, add_json_option
from jobping.cli.session import settings_of, with_stores
from jobping.clock import Clock
from jobping.control import ask_daemon
from jobping.core import gate, gate_text
from jobping.core.board import StoredBoard
from jobping.core.duration import duration
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain, Monotonic
from jobping.core.ladder import Tier
from jobping.core.order import Order
from jobping.errors import DaemonAway, DaemonSilent, OrderFailed
from jobping.settings import Settings, known_source

if TYPE_CHECKING:
    from jobping.actors.messages import DomainView
    from jobping.store.gates import SavedGate
    from jobping.tree import Stores

_COLUMNS = (
    Column(title="domain", folds=True),
    Column(title="tier"),
    Column(title="breaker"),
    Column(title="an hour", right=True),
    Column(title="next request"),
    Column(title="today", right=True),
    Column(title="last success"),
)
_DONE = {
    Order.HOLD: "held; nothing is sent until it is released",
    Order.RELEASE: "released",
    Order.PROBE: "asked once as soon as its pace allows",
    Order.RESET: "breaker and tier begin anew",
}
_STATE, _RUN = Path("/var/lib"), Path("/run")


def add(commands: Commands) -> None:
    """Add the commands."""
    listing = commands.add(
        "domains",
        "how each site stands, and what it waits for",
        group="watch and steer",
        details="Answered by the daemon that runs on the state directory; without one, from what"
        " the database holds. A demo is asked by its --state-dir.",
        examples=["jobping domains", "jobping domains --json --state-dir /var/lib/jobping"],
    )
    add_json_option(listing)
    add_config_options(listing)
    listing.set_defaults(command=_list)
    ordering = commands.add(
        "domain",
        "hold, release, probe or reset one site",
        group="watch and steer",
        usage="NAME ORDER",
        details="hold: send nothing until release, also after a restart. release: end the hold."
        " probe: ask once now, without waiting for breaker, trial or schedule. reset: breaker and"
        " tier begin anew. None of them lifts the pace or a wait that the site asked for.",
        examples=["jobping domain boards-api.greenhouse.io hold"],
    )
    ordering.add_argument("domain", metavar="NAME", help="as `jobping domains` shows it")
    ordering.add_argument("order", choices=[order.value for order in Order], metavar="ORDER")
    add_config_options(ordering)
    ordering.set_defaults(command=_order)


def places(settings: Settings) -> tuple[Path, ...]:
    """Return where a daemon's socket may lie: where systemd puts it, else in its state directory.

    A shell knows of a unit's runtime directory by its name alone, which is the state directory's.
    """
    found = [settings.state_dir]
    if settings.state_dir.parent == _STATE:
        found.insert(0, _RUN / settings.state_dir.name)
    if settings.system.runtime_dir is not None:
        found.insert(0, settings.system.runtime_dir)
    return tuple(found)


def ask(settings: Settings, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the daemon that runs on the state directory.

    Raises:
        DaemonAway: There is none.
        OrderFailed: It refuses.
    """
    answer = ask_daemon(places(settings), request)
    if "error" in answer:
        raise OrderFailed(str(answer["error"]))
    return answer


def order(settings: Settings, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the daemon an order, which makes no sense without one.

    Raises:
        DaemonAway: There is none.
        OrderFailed: It refuses.
    """
    try:
        return ask(settings, request)
    except DaemonSilent as error:
        raise DaemonSilent(f"the daemon gives no answer ({error})") from error
    except DaemonAway as error:
        raise DaemonAway(
            f"no daemon runs on {settings.state_dir}; start one with `jobping run` ({error})"
        ) from error


def _order(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    order(settings, {"order": arguments.order, "domain": arguments.domain})
    print(f"{arguments.domain}: {_DONE[Order(arguments.order)]}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    try:
        answer = ask(settings_of(arguments), {"ask": "domains"})
    except DaemonAway as error:
        is_there = isinstance(error, DaemonSilent)
        said = f"the daemon gives no answer ({error})" if is_there else "no daemon runs"
        print(f"jobping: {said}; this is what the database holds", file=sys.stderr)
        return with_stores(arguments, lambda stores: _list_stored(arguments, stores))
    return _print(arguments, answer["domains"], answer["silent"], answer["elsewhere"])


def _print(
    arguments: argparse.Namespace,
    records: list[dict[str, Any]],
    silent: Sequence[str] = (),
    elsewhere: Sequence[str] = (),
) -> int:
    if arguments.json:
        print_json({"domains": records, "silent": silent, "elsewhere": elsewhere})
        return 0
    now = Clock().utcnow()
    print_table(_COLUMNS, [_row(record, now) for record in records], empty="no domains")
    if silent:
        print(f"no answer, they restart or the database is slow: {', '.join(silent)}")
    if elsewhere:
        print(f"polled by another daemon: {', '.join(elsewhere)}")
    return 0


def _row(record: Mapping[str, Any], now: dt.datetime) -> list[str]:
    succeeded = record["succeeded_at"]
    limit = record["daily_limit"]
    cause = f" ({record['breaker_cause']})" if record["breaker"] != "closed" else ""
    return [
        record["domain"],
        record["tier"],
        f"{record['breaker']}{cause}",
        f"{record['per_hour']:g}",
        _next(record),
        f"{record['used_today']}" + (f" of {limit}" if limit is not None else ""),
        age(dt.datetime.fromisoformat(succeeded), now) if succeeded else "never",
    ]


def _next(record: Mapping[str, Any]) -> str:
    waits_for = record["waits_for"] or ""
    if record["next_in_s"] is None:
        return waits_for or "-"
    when = f"in {duration(record['next_in_s'])}" if record["next_in_s"] >= 1 else "now"
    return f"{when}, {waits_for}" if waits_for else when


async def _list_stored(arguments: argparse.Namespace, stores: "Stores") -> int:
    # here: they import every part of the daemon
    from jobping.actors.statistics import record_of

    settings = settings_of(arguments)
    rows = await stores.boards.enabled()
    known = {row.domain for row in rows}
    saved = [pair for pair in await stores.gates.all() if pair[0] in known]
    records = [record_of(_stored_view(settings, rows, *pair)) for pair in saved]
    return _print(arguments, records)


def _stored_view(
    settings: Settings, rows: Sequence[StoredBoard], domain: Domain, saved: "SavedGate"
) -> "DomainView":
    """Return how a domain stands by its rows; its pace as the settings are now."""
    from jobping.actors.domain_gate import turn_of
    from jobping.actors.messages import DomainView
    from jobping.tree import limiter_rules

    own = [row for row in rows if row.domain == domain]
    names = {row.board.source for row in own}
    paces = [settings.source(name).pace_of(known_source(name)) for name in sorted(names)]
    rules = GateRules(limiter=limiter_rules(paces))
    now, utcnow = Monotonic(0.0), Clock().utcnow()
    try:
        state = gate_text.load(saved.state, rules, now, saved.elapsed_s)
    except ValueError:  # the daemon will say so and begin anew
        state = gate.fresh(rules, now)
    view = gate.view(state, rules, now, utcnow)
    next_in_s, reason = turn_of(view)
    due_in = min(
        ((row.next_due_at - utcnow).total_seconds() for row in own if row.next_due_at), default=0.0
    )
    if next_in_s is not None and due_in > next_in_s:
        next_in_s, reason = due_in, "schedule"
    return DomainView(
        domain=domain,
        tier=Tier(saved.tier),
        gate=view,
        next_in_s=next_in_s,
        waits_for=reason,
        succeeded_at=max((row.polled_at for row in own if row.polled_at), default=None),
    )
