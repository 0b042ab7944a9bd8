"""`jobping budget`, `jobping budget ledger|reconcile|prices`."""

import argparse
import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from jobping.cli.output import Column, age, print_json, print_pairs, print_table
from jobping.cli.parser import (
    Commands,
    UsageError,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
    add_limit_option,
)
from jobping.cli.session import settings_of, with_stores
from jobping.clock import Clock
from jobping.core.budget import Balance, EntryState, Limits, Measure, Window, binding, forecast
from jobping.core.pricing import STALE_AFTER, USD, Bound, NanoUsd, Price, bound, dollars, to_nanousd
from jobping.core.shortlist import BATCH, SHORTLIST
from jobping.settings import Settings

if TYPE_CHECKING:
    from jobping.store.spending import Account, Entry, Spent
    from jobping.tree import Stores

_TYPICAL_CALL = (4_200, 1_400)
_CALLS_A_PROFILE = SHORTLIST // BATCH
_ALL = 100_000
_LIMITS = (
    Column(title="limit"),
    Column(title="of", right=True),
    Column(title="spent", right=True),
    Column(title="reserved", right=True),
    Column(title="left", right=True),
    Column(title="at its end", right=True),
    Column(title="resets"),
)
_MODELS = (
    Column(title="model"),
    Column(title="calls", right=True),
    Column(title="tokens", right=True),
    Column(title="cost", right=True),
)
_ENTRIES = (
    Column(title="reserved"),
    Column(title="id"),
    Column(title="state"),
    Column(title="model"),
    Column(title="tokens", right=True),
    Column(title="of", right=True),
    Column(title="cost", right=True),
    Column(title="of", right=True),
    Column(title="outcome", folds=True),
)
_PRICES = (
    Column(title="model"),
    Column(title="input", right=True),
    Column(title="cached", right=True),
    Column(title="written", right=True),
    Column(title="output", right=True),
    Column(title="shutdown"),
    Column(title="as of"),
    Column(title="from", folds=True),
)


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add(
        "budget",
        "what language models have cost, and what is left",
        group="watch and steer",
        usage="[ledger]",
        examples=[
            "jobping budget",
            "jobping budget ledger --limit 50",
            "jobping budget reconcile all --tokens 0 --cost 0 --reason 'not on the bill'",
            "jobping budget prices --all",
        ],
    )
    parser.set_defaults(command=_show)
    below = add_commands(parser, required=False)
    listing = add_command(below, "ledger", "the calls of models, newest first")
    add_limit_option(listing, 20)
    listing.set_defaults(command=_ledger)
    reconciling = add_command(
        below,
        "reconcile",
        "say what a lapsed call really cost, once the bill is known",
        details="A call whose bill is not known counts as its worst case. Its entry stays as it"
        " is; what you say is added as a correction, with your reason.",
    )
    reconciling.add_argument(
        "id", type=_call, metavar="ID", help="of `jobping budget ledger`; all: all of them"
    )
    reconciling.add_argument("--tokens", type=_count, required=True, metavar="N")
    reconciling.add_argument(
        "--cost", type=_dollars, required=True, metavar="USD", help="in dollars; 0: not billed"
    )
    reconciling.add_argument("--reason", required=True, metavar="TEXT")
    reconciling.set_defaults(command=_reconcile)
    pricing = add_command(below, "prices", "the prices in force, in dollars per million tokens")
    pricing.add_argument(
        "--all", action="store_true", help="every model, not only those that are asked"
    )
    pricing.set_defaults(command=_prices)
    for command in (parser, listing, pricing):
        add_json_option(command)
    for command in (parser, listing, reconciling, pricing):
        add_config_options(command)


# --- show


def _show(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)

    async def body(stores: "Stores") -> int:
        account = await stores.spending.account()
        served = await stores.rankings.served_today()
        profiles = len(await stores.profiles.all())
        if arguments.json:
            print_json(_account_json(settings, account, served, profiles))
            return 0
        print_table(_LIMITS, _limit_rows(settings.budget.limits, account), empty="")
        print()
        print_table(_MODELS, _model_rows(account), empty="no call this month")
        print()
        print_pairs(_facts(settings, account, served, profiles))
        return 0

    return with_stores(arguments, body)


def _limit_rows(limits: Limits, account: "Account") -> list[list[str]]:
    return [
        [
            f"{balance.window.value} {measure.value}",
            *(
                _amount(measure, amount)
                for amount in (
                    limits.of(balance.window, measure),
                    balance.used(measure),
                    balance.held(measure),
                    balance.left(limits, measure),
                    forecast(balance, measure, account.now),
                )
            ),
            age(_midnight(balance.ends), account.now),
        ]
        for balance in account.balances
        for measure in Measure
    ]


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


def _amount(measure: Measure, amount: int) -> str:
    return f"{amount:,}" if measure is Measure.TOKENS else dollars(amount)


def _model_rows(account: "Account") -> list[list[str]]:
    return [
        [spent.model, str(spent.calls), f"{spent.tokens:,}", dollars(spent.nanousd)]
        for spent in account.by_model
    ]


def _facts(
    settings: Settings, account: "Account", served: int, profiles: int
) -> list[tuple[str, str]]:
    lapsed = account.lapsed
    how = "; see `jobping budget reconcile --help`" if lapsed.calls else ""
    facts = [
        ("models", ", ".join(_chain(settings)) or f"none, as there is {_lacks(settings)}"),
        (
            "lapsed",
            f"{lapsed.calls} calls without a bill, counted as {lapsed.tokens:,} tokens and"
            f" {dollars(lapsed.nanousd)}{how}",
        ),
    ]
    needed = _for_all(settings, account, served, profiles)
    more = f"; all would need about {needed[0]:,} tokens, {dollars(needed[1])}" if needed else ""
    facts.append(("served today", f"{served} of {profiles} profiles{more}"))
    if settings.llm.models:
        first = binding(settings.budget.limits, account.balances, _typical(settings, account))
        limit = f"{first.window.value} {first.measure.value}"
        facts.append(("comes first", f"{limit}: about {first.calls} more calls fit"))
    return facts


def _chain(settings: Settings) -> Sequence[str]:
    return _asked(settings) if settings.llm.is_on else ()


def _lacks(settings: Settings) -> str:
    return "no key: everything is ranked locally" if settings.llm.models else "none in [llm] models"


def _typical(settings: Settings, account: "Account") -> Bound:
    """Return what a call uses: on average of this month, else of a full batch."""
    calls = sum(spent.calls for spent in account.by_model)
    if calls:
        return Bound(
            tokens=sum(spent.tokens for spent in account.by_model) // calls,
            nanousd=NanoUsd(sum(spent.nanousd for spent in account.by_model) // calls),
        )
    return bound(settings.budget.prices.prices[settings.llm.models[0]], *_TYPICAL_CALL)


def _for_all(
    settings: Settings, account: "Account", served: int, profiles: int
) -> tuple[int, int] | None:
    """Return the tokens and nano-dollars that serving every profile today would need."""
    if not settings.llm.models:
        return None
    if not served:
        typical, calls = _typical(settings, account), _CALLS_A_PROFILE * profiles
        return calls * typical.tokens, calls * typical.nanousd
    today = next(one for one in account.balances if one.window is Window.DAY)
    return today.used_tokens * profiles // served, today.used_nanousd * profiles // served


def _account_json(
    settings: Settings, account: "Account", served: int, profiles: int
) -> dict[str, object]:
    limits = settings.budget.limits
    needed = _for_all(settings, account, served, profiles)
    return {
        "limits": [
            _balance_json(limits, balance, measure, account)
            for balance in account.balances
            for measure in Measure
        ],
        "models": list(_chain(settings)),
        "by_model": [_spent_json(spent) for spent in account.by_model],
        "lapsed": _spent_json(account.lapsed),
        "served_today": served,
        "profiles": profiles,
        "needed_for_all": {"tokens": needed[0], "nanousd": needed[1]} if needed else None,
        "binds": _binds_json(settings, account) if settings.llm.models else None,
    }


def _binds_json(settings: Settings, account: "Account") -> dict[str, object]:
    first = binding(settings.budget.limits, account.balances, _typical(settings, account))
    return {"limit": f"{first.window.value} {first.measure.value}", "calls": first.calls}


def _balance_json(
    limits: Limits, balance: Balance, measure: Measure, account: "Account"
) -> dict[str, object]:
    return {
        "window": balance.window.value,
        "measure": measure.value,
        "unit": "tokens" if measure is Measure.TOKENS else "nanousd",
        "starts": balance.starts.isoformat(),
        "ends": balance.ends.isoformat(),
        "limit": limits.of(balance.window, measure),
        "spent": balance.used(measure),
        "reserved": balance.held(measure),
        "left": balance.left(limits, measure),
        "forecast": forecast(balance, measure, account.now),
    }


def _spent_json(spent: "Spent") -> dict[str, object]:
    return {
        "model": spent.model or None,
        "calls": spent.calls,
        "tokens": spent.tokens,
        "nanousd": spent.nanousd,
    }


# --- ledger, reconcile


def _ledger(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        entries = await stores.spending.entries(limit=arguments.limit)
        if arguments.json:
            print_json([_entry_json(entry) for entry in entries])
            return 0
        now = Clock().utcnow()
        print_table(_ENTRIES, [_entry_row(entry, now) for entry in entries], empty="no call yet")
        return 0

    return with_stores(arguments, body)


def _entry_row(entry: "Entry", now: dt.datetime) -> list[str]:
    return [
        age(entry.reserved_at, now),
        entry.id,
        entry.state.value,
        entry.model,
        "-" if entry.tokens is None else f"{entry.tokens:,}",
        f"{entry.bound_tokens:,}",
        "-" if entry.nanousd is None else dollars(entry.nanousd),
        dollars(entry.bound_nanousd),
        entry.outcome,
    ]


def _entry_json(entry: "Entry") -> dict[str, object]:
    return {
        "id": entry.id,
        "state": entry.state.value,
        "model": entry.model,
        "outcome": entry.outcome,
        "tokens": entry.tokens,
        "nanousd": entry.nanousd,
        "bound_tokens": entry.bound_tokens,
        "bound_nanousd": entry.bound_nanousd,
        "reserved_at": entry.reserved_at.isoformat(),
    }


def _reconcile(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        # here: it brings asyncpg
        from jobping.store.ledger import Ledger

        ledger = Ledger(database=stores.spending.database)
        done = 0
        for id in await _lapsed_ids(stores, arguments.id):
            done += await ledger.correct(
                id,
                tokens=arguments.tokens,
                nanousd=arguments.cost,
                reason=arguments.reason,
                by_operator=True,
            )
        if not done and arguments.id != "all":
            raise UsageError(f"{arguments.id} is no lapsed call; see `jobping budget ledger`")
        print(f"{done} corrected")
        return 0

    return with_stores(arguments, body)


async def _lapsed_ids(stores: "Stores", id: str) -> Sequence[str]:
    if id != "all":
        return [id]
    return [
        entry.id for entry in await stores.spending.entries(limit=_ALL, state=EntryState.LAPSED)
    ]


# --- prices


def _prices(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    table = settings.budget.prices
    names = table.prices if arguments.all else _asked(settings)
    chosen = {name: table.prices[name] for name in names}
    if arguments.json:
        print_json([_price_json(price) for price in chosen.values()])
        return 0
    print_table(_PRICES, [_price_row(price) for price in chosen.values()], empty="no models")
    for model, why in table.refused.items():
        print_pairs([("refused", f"{model}: {why}")])
    today = Clock().utcnow().date()
    if today - table.as_of > STALE_AFTER:
        print_pairs([("old", f"the packaged table is of {table.as_of}; check it")])
    print_pairs([("version", table.version)])
    return 0


def _asked(settings: Settings) -> Sequence[str]:
    return settings.llm.models if settings.budget.fallback else settings.llm.models[:1]


def _price_row(price: Price) -> list[str]:
    base = price.base
    return [
        price.model,
        *(_per_million(amount) for amount in (base.input, base.cached, base.written, base.output)),
        price.shutdown.isoformat() if price.shutdown else "-",
        price.as_of.isoformat(),
        f"{price.origin}: {price.source.partition(',')[0]}",
    ]


def _per_million(amount: int) -> str:
    return f"{amount / USD:.9f}".rstrip("0").rstrip(".")


def _price_json(price: Price) -> dict[str, object]:
    base = price.base
    return {
        "model": price.model,
        "input_nanousd": base.input,
        "cached_nanousd": base.cached,
        "written_nanousd": base.written,
        "output_nanousd": base.output,
        "shutdown": price.shutdown.isoformat() if price.shutdown else None,
        "as_of": price.as_of.isoformat(),
        "origin": price.origin,
        "source": price.source,
    }


def _call(text: str) -> str:
    if text == "all":
        return text
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no id of a call") from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens")
    return int(text)


def _dollars(text: str) -> int:
    try:
        amount = to_nanousd(Decimal(text))
    except (InvalidOperation, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount of dollars") from error
    if not 0 <= amount <= 1_000_000 * USD:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1000000")
    return amount
