"""`jobping profile confirm|unsubscribe`: the person behind a profile."""

import argparse
import sys
from typing import TYPE_CHECKING, Final

from jobping.cli.parser import ExitCode, Parser, UsageError, add_command, add_config_options
from jobping.cli.session import with_stores
from jobping.core.consent import LIFE, Consent, Purpose
from jobping.core.profile import LONGEST_NAME, StoredProfile

if TYPE_CHECKING:
    from jobping.tree import Stores

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
