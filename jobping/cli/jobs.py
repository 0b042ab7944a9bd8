"""`jobping jobs search` and `jobping matches`."""

import argparse
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobping.cli.output import Column, age, place, print_csv, print_json, print_table
from jobping.cli.parser import (
    Commands,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
    add_limit_option,
)
from jobping.cli.people import find
from jobping.cli.session import settings_of, with_stores
from jobping.clock import Clock
from jobping.core.fit import Fit
from jobping.core.ids import SourceName
from jobping.core.match import MatchedPosting
from jobping.core.pass_rates import PassRate, pass_rates
from jobping.core.posting import StoredPosting
from jobping.core.ranking import Excluded, Scored, judge

if TYPE_CHECKING:
    from jobping.tree import Stores

_FOUND = (
    Column(title="title"),
    Column(title="company"),
    Column(title="place"),
    Column(title="posted"),
    Column(title="source"),
    Column(title="url", folds=True),
)
_MATCHED = (
    Column(title="score", right=True),
    Column(title="title"),
    Column(title="company"),
    Column(title="place"),
    Column(title="sent"),
    Column(title="why", folds=True),
    Column(title="url", folds=True),
)
_ANY_AGE_S = 3650 * 86_400.0
_CSV = (
    *("score", "title", "company", "url", "places", "remote", "pay", "posted_at"),
    *("first_seen_at", "closed_at", "sent_at", "source", "origin", "reason"),
)
_WHY = (
    Column(title="score", right=True),
    Column(title="ranked by"),
    Column(title="title"),
    Column(title="why", folds=True),
    Column(title="local", right=True),
    Column(title="why", folds=True),
)
_RATES = (
    Column(title="source"),
    Column(title="postings", right=True),
    Column(title="level: yes", right=True),
    Column(title="maybe", right=True),
    Column(title="no", right=True),
    Column(title="place: yes", right=True),
    Column(title="maybe", right=True),
    Column(title="no", right=True),
    Column(title="kept", right=True),
)
_RATED = 500
"""Newest open postings of each source that the rates are of."""


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add(
        "jobs",
        "full-text search over the stored postings",
        group="results",
        usage="search QUERY",
        examples=[
            "jobping jobs search 'data engineer'",
            "jobping jobs search '\"machine learning\" -senior' --limit 5 --json",
        ],
    )
    searching = add_command(
        add_commands(parser),
        "search",
        "search the stored postings",
        details='Words must all occur; "a phrase" in quotation marks, `or` between words, and'
        " -word to exclude one.",
    )
    searching.add_argument("query", metavar="QUERY")
    searching.set_defaults(command=_search)
    matching = commands.add(
        "matches",
        "the postings that fit a profile, best first",
        group="results",
        usage="PROFILE",
        examples=["jobping matches example --why", "jobping matches me --unsent --csv >me.csv"],
    )
    matching.add_argument("profile", metavar="PROFILE")
    matching.add_argument(
        "--why",
        action="store_true",
        help="who ranked each, and what the local ranking says of it today",
    )
    matching.add_argument(
        "--unsent", action="store_true", help="what the digests so far had no room for"
    )
    matching.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    matching.set_defaults(command=_matches)
    matching.add_argument(
        "--rates",
        action="store_true",
        help="instead, how many of each source's newest postings pass the profile's filters",
    )
    for command in (searching, matching):
        add_limit_option(command, 20)
        add_json_option(command)
        add_config_options(command)


def _search(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        found = await stores.postings.search(arguments.query, limit=arguments.limit)
        if arguments.json:
            print_json([as_json(posting) for posting in found])
            return 0
        now = Clock().utcnow()
        print_table(_FOUND, [_found_row(posting, now) for posting in found], empty="nothing found")
        return 0

    return with_stores(arguments, body)


def _matches(arguments: argparse.Namespace) -> int:
    words = settings_of(arguments).matching.words

    async def body(stores: "Stores") -> int:
        stored = await find(stores, arguments.profile)
        if arguments.rates:
            newest = await stores.postings.newest_of_each(limit=_RATED)
            _say_rates(pass_rates(stored.profile, newest, Clock().utcnow(), words), arguments.json)
            return 0
        if arguments.unsent:
            matched = await stores.matches.pending(
                stored.id, within_s=_ANY_AGE_S, limit=arguments.limit
            )
        else:
            matched = await stores.matches.listed(stored.id, limit=arguments.limit)
        now = Clock().utcnow()
        empty = f"nothing fits {stored.profile.name} yet"
        if arguments.json:
            print_json([_matched_json(item) for item in matched])
        elif arguments.csv:
            print_csv(_CSV, [_csv_row(item) for item in matched])
        elif arguments.why:
            rows = [
                _why_row(item, judge(stored.profile, item.posting, now, words)) for item in matched
            ]
            print_table(_WHY, rows, empty=empty)
        else:
            print_table(_MATCHED, [_matched_row(item, now) for item in matched], empty=empty)
        return 0

    return with_stores(arguments, body)


def _say_rates(rates: Mapping[SourceName, PassRate], as_json: bool) -> None:
    if as_json:
        print_json([_rate_json(source, rate) for source, rate in rates.items()])
        return
    rows = [[source, *map(str, _rate_counts(rate))] for source, rate in rates.items()]
    print_table(_RATES, rows, empty="no postings yet")


def _rate_counts(rate: PassRate) -> list[int]:
    levels, places = ([counted[fit] for fit in Fit] for counted in (rate.levels, rate.places))
    return [rate.postings, *levels, *places, rate.kept]


def _rate_json(source: SourceName, rate: PassRate) -> dict[str, object]:
    return {
        "source": source,
        "postings": rate.postings,
        "levels": {fit.value: rate.levels[fit] for fit in Fit},
        "places": {fit.value: rate.places[fit] for fit in Fit},
        "kept": rate.kept,
    }


def _found_row(posting: StoredPosting, now: dt.datetime) -> list[str]:
    draft = posting.draft
    return [
        draft.title,
        draft.company or "-",
        place(draft),
        age(draft.posted_at, now),
        draft.source,
        draft.url,
    ]


def _matched_row(item: MatchedPosting, now: dt.datetime) -> list[str]:
    draft = item.posting.draft
    return [
        str(item.match.score),
        draft.title,
        draft.company or "-",
        place(draft),
        age(item.sent_at, now),
        item.match.reason,
        draft.url,
    ]


def _csv_row(item: MatchedPosting) -> list[str]:
    row = as_json(item.posting) | _matched_json(item)
    values = (row[key] for key in _CSV)
    return ["; ".join(value) if isinstance(value, list) else str(value or "") for value in values]


def _why_row(item: MatchedPosting, local: Excluded | Scored) -> list[str]:
    match local:
        case Scored():
            now = [str(local.score), local.reason]
        case Excluded():
            now = ["-", f"excluded by now: {local.why}"]
    match = item.match
    return [str(match.score), match.origin, item.posting.draft.title, match.reason, *now]


def as_json(posting: StoredPosting) -> dict[str, object]:
    """Return what a list of postings says about one."""
    draft = posting.draft
    return {
        "id": posting.id,
        "source": draft.source,
        "title": draft.title,
        "company": draft.company,
        "url": draft.url,
        "places": [location.raw for location in draft.locations],
        "remote": draft.remote.value,
        "pay": draft.salary.raw if draft.salary else None,
        "posted_at": draft.posted_at.isoformat() if draft.posted_at else None,
        "first_seen_at": posting.first_seen_at.isoformat(),
        "closed_at": posting.closed_at.isoformat() if posting.closed_at else None,
    }


def _matched_json(item: MatchedPosting) -> dict[str, object]:
    return {
        "score": item.match.score,
        "reason": item.match.reason,
        "origin": item.match.origin,
        "sent_at": item.sent_at.isoformat() if item.sent_at else None,
        "posting": as_json(item.posting),
    }
