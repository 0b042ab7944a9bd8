"""`jobping profile confirm|unsubscribe|export|erase`: the person behind a profile."""

import argparse
import sys
from typing import TYPE_CHECKING, Final

from jobping.cli.output import print_json
from jobping.cli.parser import ExitCode, Parser, UsageError, add_command, add_config_options
from jobping.cli.session import audit_log, settings_of, with_stores
from jobping.clock import Clock
from jobping.core.consent import LIFE, Consent, Purpose
from jobping.core.profile import LONGEST_NAME, NAME_PATTERN, StoredProfile
from jobping.delivery.kept import KeptFiles
from jobping.errors import StoreUnavailable
from jobping.settings import Settings

if TYPE_CHECKING:
    from jobping.tree import Stores

_UNKNOWN: Final = "no profile or mail address of that name; `jobping profile list` shows all"
_DONE: Final = {Purpose.CONFIRM: "confirmed", Purpose.UNSUBSCRIBE: "unsubscribed"}


def add(below: "argparse._SubParsersAction[Parser]") -> None:
    """Add the commands below `jobping profile`."""
    confirming = add_command(
        below,
        "confirm",
        "let mail go to the person behind a profile",
        details="By your word, also after they unsubscribed; or by the token that `profile add`"
        " printed and that they sent back.",
    )
    leaving = add_command(
        below,
        "unsubscribe",
        "stop all mail to the person behind a profile, at once",
        details="By your word, or by the token of a digest.",
    )
    exporting = add_command(
        below,
        "export",
        "print all that is stored about a person, as one JSON document",
        details="All their profiles, matches, digests and rankings, and the texts of the digests"
        " in the state directory of this machine.",
    )
    erasing = add_command(
        below,
        "erase",
        "delete all that is stored about a person, for good",
        details="All their profiles with matches, digests and rankings, the mail address, and the"
        " files of the digests in the state directory of this machine.",
    )
    for parser, command in ((exporting, _export), (erasing, _erase)):
        parser.add_argument("who", metavar="NAME|ADDRESS")
        add_config_options(parser)
        parser.set_defaults(command=command)
    _add_consent(confirming, Purpose.CONFIRM)
    _add_consent(leaving, Purpose.UNSUBSCRIBE)


def _add_consent(parser: Parser, purpose: Purpose) -> None:
    parser.add_argument("who", metavar="NAME|TOKEN")
    parser.add_argument(
        "--token",
        action="store_true",
        help="take nothing but a token: for a web page or mail alias, where strangers write it",
    )
    add_config_options(parser)
    parser.set_defaults(command=lambda arguments: _say_word(arguments, purpose))


def _say_word(arguments: argparse.Namespace, purpose: Purpose) -> int:
    async def body(stores: "Stores") -> int:
        people = stores.subscribers
        if arguments.token or len(arguments.who) > LONGEST_NAME:
            if not await people.redeem(arguments.who, purpose):
                print("this token is not valid", file=sys.stderr)
                return ExitCode.FAILED
        else:
            stored = await find(stores, arguments.who)
            if stored.subscriber is None:
                raise UsageError(f"{stored.profile.name} has no mail address")
            await people.obey(stored.subscriber, purpose)
        print(_DONE[purpose])
        return 0

    return with_stores(arguments, body)


def _export(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    files = _files(settings)

    async def body(stores: "Stores") -> int:
        person = await stores.people.find(arguments.who)
        if person is None:
            raise UsageError(_UNKNOWN)
        stored = await stores.people.export(person)
        try:
            texts = {name: files.of(name) for _id, name in person.profiles}
        except OSError as error:
            print(f"the files cannot be read: {error}", file=sys.stderr)
            return ExitCode.FAILED
        print_json(
            {
                "exported_at": Clock().utcnow().isoformat(),
                "tables": stored.tables,
                "postings": stored.postings,
                "files": texts,
            }
        )
        with audit_log(settings) as emit:
            emit(
                "profile.exported",
                profile=person.ids,
                subscriber=person.subscriber,
                rows=stored.count,
                files=sum(map(len, texts.values())),
            )
        return 0

    return with_stores(arguments, body)


def _erase(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    files = _files(settings)

    async def body(stores: "Stores") -> int:
        person = await stores.people.find(arguments.who)
        # the files of a profile that the database has no more go by its name
        is_name = NAME_PATTERN.fullmatch(arguments.who) is not None
        names = {arguments.who} if is_name else set()
        if person is not None:
            names = {name for _id, name in person.profiles}
        for profile in settings.profiles:
            if profile.name in names or (profile.email or "").lower() == arguments.who.lower():
                raise UsageError(
                    f"profile {profile.name} stands in {settings.config_file} and would return;"
                    " take it out there first"
                )
        tables = (await stores.people.erase(person)).tables if person else {}
        rows, gone, problem = sum(map(len, tables.values())), 0, None
        try:
            gone = sum(files.erase(name) for name in names)
        except OSError as error:
            problem = error
        if person is None and not gone and problem is None:
            raise UsageError(_UNKNOWN)
        with audit_log(settings) as emit:
            ids = person.ids if person else []
            subscriber = person and person.subscriber
            emit("profile.erased", profile=ids, subscriber=subscriber, rows=rows, files=gone)
        print(f"erased: {rows} rows, {gone} files; older backups still hold them")
        if problem is not None:
            print(f"not all files could be deleted: {problem}", file=sys.stderr)
            return ExitCode.FAILED
        await _compact(stores, list(tables))
        return ExitCode.OK

    return with_stores(arguments, body)


async def _compact(stores: "Stores", tables: list[str]) -> None:
    try:
        await stores.people.compact(tables)
    except StoreUnavailable as error:
        print(f"PostgreSQL frees the space later: {error}", file=sys.stderr)


def _files(settings: Settings) -> KeptFiles:
    return KeptFiles(settings.delivery.files or settings.state_dir / "digests")


async def find(stores: "Stores", name: str) -> StoredProfile:
    """Return the profile of that name.

    Raises:
        UsageError: There is none; the message names those that exist.
    """
    profiles = await stores.profiles.all()
    for stored in profiles:
        if stored.profile.name == name:
            return stored
    known = ", ".join(stored.profile.name for stored in profiles) or "none"
    raise UsageError(f"no profile is called {name!r}; there are: {known}")


async def consent_of(stores: "Stores", stored: StoredProfile) -> dict[str, object]:
    """Return what the person behind a profile has said, and a new token while that is nothing."""
    person, token = stored.subscriber, None
    said = await stores.subscribers.consent(person) if person is not None else None
    if person is not None and said is Consent.UNCONFIRMED:
        token = await stores.subscribers.token(person, Purpose.CONFIRM)
    return {"consent": said and said.value, "confirm_token": token}


def say_no_mail(name: str, consent: dict[str, object]) -> None:
    """Say why no mail goes to a person, and what changes that."""
    if (token := consent["confirm_token"]) is not None:
        days = LIFE[Purpose.CONFIRM].days
        print(
            f"{name}: no mail before its owner has confirmed; send them this token, good for {days}"
            f" days, for `jobping profile confirm TOKEN`: {token}"
        )
    elif consent["consent"] == Consent.UNSUBSCRIBED.value:
        print(f"{name}: no mail, its owner has unsubscribed; `jobping profile confirm {name}`")
    elif consent["consent"] == Consent.REFUSED.value:
        print(
            f"{name}: no mail, a mail server knows nobody at its address; once that is mended,"
            f" `jobping profile confirm {name}`"
        )
