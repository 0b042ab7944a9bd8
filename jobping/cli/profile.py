"""`jobping profile add|list|show|remove`; what concerns people is in `people`."""

import argparse
from typing import TYPE_CHECKING

from jobping.cli import people, profile_import
from jobping.cli.output import Column, print_json, print_pairs, print_table
from jobping.cli.parser import (
    Commands,
    Parser,
    UsageError,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
    positive,
)
from jobping.cli.session import with_stores
from jobping.core.profile import Level, PayFloor, RemoteWish, StoredProfile
from jobping.core.schedule import Weekday, When
from jobping.errors import ConfigError
from jobping.settings import parse_profile

if TYPE_CHECKING:
    from jobping.tree import Stores

_COLUMNS = (
    Column(title="profile"),
    Column(title="from"),
    Column(title="mail"),
    Column(title="places"),
    Column(title="levels"),
    Column(title="words", folds=True),
)
_LISTS = (
    ("words", "words or phrases wanted"),
    ("not-words", "words that exclude a posting when they stand in its title"),
    ("companies", "companies wanted; their postings are lifted"),
    ("not-companies", "companies excluded"),
    ("places", "countries, groups such as Europe, or cities"),
    ("levels", "career levels: " + ", ".join(level.value for level in Level)),
    ("languages", "languages you read, such as en,de"),
)
_EXAMPLES = (
    "jobping profile add me --words 'python, data engineer' --not-words senior,lead",
    "jobping profile add me --places Berlin,Switzerland --remote only --pay-floor '60000 EUR/year'",
    "jobping profile show me",
)


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add(
        "profile",
        "what is wanted, and what is not",
        group="boards and profiles",
        usage="add|list|show|erase|...",
        details="Profiles of the configuration file can only be changed there; the others only"
        " here. While there is none, an example is used: early career in Europe.",
        examples=_EXAMPLES,
    )
    below = add_commands(parser)
    adding = add_command(
        below,
        "add",
        "add a profile",
        details="Lists are separated by commas, or the option is repeated.",
        examples=_EXAMPLES[:2],
    )
    adding.add_argument("name", metavar="NAME", help="lower-case letters, digits and hyphens")
    adding.add_argument(
        "--email", metavar="ADDRESS", help="where mail may go once its owner has confirmed"
    )
    adding.add_argument(
        "--confirmed", action="store_true", help="you vouch that the owner wants the mail"
    )
    _add_wishes(adding)
    adding.set_defaults(command=_add)
    listing = add_command(below, "list", "show all profiles")
    add_json_option(listing)
    listing.set_defaults(command=_list)
    showing = add_command(below, "show", "show one profile completely")
    showing.add_argument("name", metavar="NAME")
    add_json_option(showing)
    showing.set_defaults(command=_show)
    removing = add_command(below, "remove", "remove a profile with its matches and digests")
    removing.add_argument("name", metavar="NAME")
    removing.set_defaults(command=_remove)
    for command in (adding, listing, showing, removing):
        add_config_options(command)
    profile_import.add(below)
    people.add(below)


def _add_wishes(parser: Parser) -> None:
    group = parser.add_argument_group("wishes")
    for name, help in _LISTS:
        group.add_argument(f"--{name}", action="append", metavar="A,B,...", help=help)
    group.add_argument("--remote", choices=[wish.value for wish in RemoteWish], help="default: any")
    group.add_argument(
        "--pay-floor", metavar="PAY", help="such as '30000 EUR/year'; unknown pay is not excluded"
    )
    times = parser.add_argument_group("when digests are sent; default: as [digest] says")
    times.add_argument("--when", choices=[when.value for when in When])
    times.add_argument("--at", action="append", metavar="HH:MM,...", help="local times of a day")
    times.add_argument(
        "--weekday", choices=[day.value for day in Weekday], help="with --when weekly"
    )
    times.add_argument("--zone", metavar="ZONE", help="where they hold, such as Europe/Zurich")
    times.add_argument(
        "--send-empty",
        action=argparse.BooleanOptionalAction,
        help="send also that nothing was found, not with --when instant",
    )
    limits = parser.add_argument_group("limits of one digest")
    limits.add_argument("--max-items", type=positive, metavar="N", help="most postings")
    limits.add_argument(
        "--max-per-company", type=positive, metavar="N", help="most postings of one company"
    )


def fields_of(arguments: argparse.Namespace) -> dict[str, object]:
    """Return what was given, under the names that the configuration file uses."""
    fields: dict[str, object] = {"name": arguments.name}
    for option in (*(name for name, _help in _LISTS), "at"):
        key = option.replace("-", "_")
        if (given := getattr(arguments, key)) is not None:
            fields[key] = [word.strip() for text in given for word in text.split(",")]
    single = ("remote", "pay_floor", "max_items", "max_per_company", "email")
    for key in (*single, "when", "weekday", "zone", "send_empty"):
        if (value := getattr(arguments, key)) is not None:
            fields[key] = value
    return fields


def _add(arguments: argparse.Namespace) -> int:
    try:
        profile = parse_profile(fields_of(arguments))
    except ConfigError as error:
        raise UsageError(str(error)) from error

    async def body(stores: "Stores") -> int:
        stored = await stores.profiles.add(profile, is_confirmed=arguments.confirmed)
        print(f"{profile.name}: added; a running daemon finds it within half a minute")
        people.say_no_mail(profile.name, await people.consent_of(stores, stored))
        return 0

    return with_stores(arguments, body)


def _list(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        profiles = await stores.profiles.all()
        if arguments.json:
            print_json([as_json(stored) for stored in profiles])
        else:
            print_table(_COLUMNS, [_row(stored) for stored in profiles], empty="no profiles")
        return 0

    return with_stores(arguments, body)


def _show(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        stored = await people.find(stores, arguments.name)
        shown = as_json(stored) | await people.consent_of(stores, stored)
        if arguments.json:
            print_json(shown)
        else:
            print_pairs([(key, _text(value)) for key, value in shown.items()])
        return 0

    return with_stores(arguments, body)


def _remove(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        await stores.profiles.remove(arguments.name)
        print(f"{arguments.name}: removed")
        return 0

    return with_stores(arguments, body)


def _row(stored: StoredProfile) -> list[str]:
    profile = stored.profile
    return [
        profile.name,
        stored.origin.value,
        "-" if profile.email is None else _text(stored.address is not None),
        _text(profile.places),
        _text([level.value for level in profile.levels]),
        _text(profile.words),
    ]


def as_json(stored: StoredProfile) -> dict[str, object]:
    """Return a profile under the names of the configuration file, with its origin."""
    profile = stored.profile
    return {
        "name": profile.name,
        "from": stored.origin.value,
        "words": list(profile.words),
        "not_words": list(profile.not_words),
        "companies": list(profile.companies),
        "not_companies": list(profile.not_companies),
        "places": list(profile.places),
        "remote": profile.remote.value,
        "levels": [level.value for level in profile.levels],
        "pay_floor": _pay(profile.pay_floor),
        "languages": list(profile.languages),
        "max_items": profile.max_items,
        "max_per_company": profile.max_per_company,
        "when": _value(profile.digest.when),
        "at": [at.strftime("%H:%M") for at in profile.digest.at],
        "weekday": _value(profile.digest.weekday),
        "zone": None if profile.digest.zone is None else str(profile.digest.zone),
        "send_empty": profile.digest.send_empty,
        "email": profile.email,
        "takes_mail": stored.address is not None,
    }


def _value(choice: When | Weekday | None) -> str | None:
    return None if choice is None else choice.value


def _pay(floor: PayFloor | None) -> str | None:
    return f"{floor.amount} {floor.currency}/{floor.interval.value}" if floor else None


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(str(item) for item in value) or "-"
        case _:
            return str(value)
