"""`jobping digest preview`."""

import argparse
from typing import TYPE_CHECKING

from jobping.cli.parser import Commands, add_command, add_commands, add_config_options
from jobping.cli.people import find
from jobping.cli.session import settings_of, with_stores
from jobping.clock import Clock
from jobping.core.digest import compose, select
from jobping.sources import FIRSTHAND, SOURCES

if TYPE_CHECKING:
    from jobping.tree import Stores

_DAY_S = 86_400.0
_CANDIDATES = 500
"""More than any digest holds, so that the limits of the profile decide (our choice)."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "digest",
        "the digest that a profile would get now; nothing is sent",
        group="results",
        usage="preview PROFILE",
        examples=["jobping digest preview me", "jobping digest preview me --html >digest.html"],
    )
    previewing = add_command(
        add_commands(parser), "preview", "print the digest that a profile would get now"
    )
    previewing.add_argument("profile", metavar="PROFILE")
    previewing.add_argument("--html", action="store_true", help="print its HTML form")
    add_config_options(previewing)
    previewing.set_defaults(command=_preview)


def _preview(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    within_s = settings.matching.backfill_days * _DAY_S

    async def body(stores: "Stores") -> int:
        stored = await find(stores, arguments.profile)
        pending = await stores.matches.pending(stored.id, within_s=within_s, limit=_CANDIDATES)
        chosen = select(stored.profile, pending, FIRSTHAND)
        rules = stored.profile.digest.over(settings.digest)
        if not chosen.items and not rules.sends_empty:
            print(f"nothing new for {stored.profile.name}; no digest would go out")
            return 0
        now = Clock().utcnow()
        history = (await stores.digests.histories(now)).get(stored.id)
        digest = compose(
            stored.profile,
            chosen.items,
            now,
            history.since if history else None,
            await stores.digests.watch(),
            left_out=chosen.left_out,
            credits={source.name: source.terms.credit for source in SOURCES},
            expects_model=settings.llm.is_on,
            rules=settings.digest,
        )
        print(digest.html if arguments.html else f"{digest.subject}\n\n{digest.text}")
        return 0

    return with_stores(arguments, body)
