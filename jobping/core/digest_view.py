"""What one digest says, as lines of safe text; the renderers only lay them out."""

import datetime as dt
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from typing import Final

import attrs

from jobping.core.age import ago, day, day_ago, minute
from jobping.core.ids import Domain, PostingId, SourceName
from jobping.core.match import LOCAL, MatchedPosting
from jobping.core.places import says_remote
from jobping.core.posting import (
    Interval,
    PostingDraft,
    Precision,
    Remote,
    Salary,
    SalaryOrigin,
    StoredPosting,
)
from jobping.core.printable import link, printable
from jobping.core.profile import Profile

_MOST_PLACES: Final = 3
_MOST_FAILING: Final = 10
_PLACE_LIMIT: Final = 60
_NAME_LIMIT: Final = 100
_NAMES_LIMIT: Final = 200
_REASON_LIMIT: Final = 300
_SUBJECT_LIMIT: Final = 120
_MOST_PAY: Final = Decimal(10) ** 9
"""From here on an amount is noise and the source's own text is shown."""

_A: Final = {
    Interval.HOUR: " an hour",
    Interval.DAY: " a day",
    Interval.WEEK: " a week",
    Interval.MONTH: " a month",
    Interval.YEAR: " a year",
    Interval.ONCE: " once",
    Interval.UNKNOWN: "",
}


@attrs.frozen(kw_only=True)
class LeftOut:
    """How many matches were left out of a digest.

    Attributes:
        beyond_limit: Over the most postings of a digest.
        beyond_company: Over the most postings of one company.
        repeats: The same job as one that is in it, from another source.
        closed: Closed between the choice and the sending.
    """

    beyond_limit: int = 0
    beyond_company: int = 0
    repeats: int = 0
    closed: int = 0


@attrs.frozen(kw_only=True)
class Failing:
    """Boards of one domain that cannot be read at present.

    Attributes:
        since: The oldest of their last good polls, aware UTC; None: none was ever read.
    """

    domain: Domain
    boards: int
    since: dt.datetime | None


@attrs.frozen(kw_only=True)
class Watch:
    """What was watched for a digest.

    Attributes:
        unread: Boards whose first poll is still to come.
        read: The oldest and the newest of the last polls of boards that can be read, aware UTC.
        down: Domains whose postings come from the store at present.
    """

    boards: int = 0
    domains: int = 0
    unread: int = 0
    read: tuple[dt.datetime, dt.datetime] | None = None
    failing: tuple[Failing, ...] = ()
    down: frozenset[Domain] = frozenset()


@attrs.frozen(kw_only=True)
class LinkView:
    """Where a job is posted as well: a source's name, its page in ASCII, and the page's host."""

    source: str
    url: str
    host: str


@attrs.frozen(kw_only=True)
class ItemView:
    """One posting of a digest; every text is one safe line, empty where there is nothing to say.

    Attributes:
        posting: The id of its row.
        score: 0 to 100.
        seen: When it was last seen open.
        earlier: The mark of a posting that is not news.
        source: The name that the source wants to see.
        url: The source's own page in ASCII, or None where it is no web address.
        host: Where the link leads.
        also: The same job elsewhere.
    """

    posting: PostingId
    score: int
    title: str
    company: str
    places: str
    pay: str
    age: str
    seen: str
    earlier: str
    reason: str
    source: str
    url: str | None
    host: str
    also: tuple[LinkView, ...]


@attrs.frozen(kw_only=True)
class DigestView:
    """A whole digest.

    Attributes:
        headline: What it is, without the day.
        day: The day it was made.
        notes: Sentences above the postings.
        watched: Sentences below them: what was read for it, and what could not be.
        profile: The profile's name.
        schedule: When it is sent, in words.
    """

    subject: str
    headline: str
    day: str
    notes: tuple[str, ...]
    items: tuple[ItemView, ...]
    watched: tuple[str, ...]
    profile: str
    schedule: str


def view_digest(
    profile: Profile,
    items: Iterable[MatchedPosting],
    now: dt.datetime,
    since: dt.datetime | None,
    watch: Watch,
    *,
    left_out: LeftOut,
    credits: Mapping[SourceName, str],
    expects_model: bool,
    schedule: str,
) -> DigestView:
    """Return what the digest says; parameters as those of `digest.compose`."""
    items, down = tuple(items), watch.down
    views = tuple(_item(item, now, since, down, credits) for item in items)
    local = sum(item.match.origin == LOCAL for item in items) if expects_model else 0
    headline = f"{_count(len(views), 'job') if views else 'Nothing new'} for {profile.name}"
    subject = f"{headline}: {views[0].title}" if views else headline
    return DigestView(
        subject=printable(subject, _SUBJECT_LIMIT),
        headline=headline,
        day=day(now),
        notes=(
            *_ranked_locally(local, len(views)),
            *_why_earlier(items, views, down),
            *_notes(profile, views, left_out),
        ),
        items=views,
        watched=tuple(_watched(watch)),
        profile=profile.name,
        schedule=printable(schedule, _NAME_LIMIT),
    )


def _ranked_locally(local: int, count: int) -> Iterable[str]:
    """Say for how many postings a model was wanted and not to be had."""
    if local:
        which = "Ranked" if local == count else f"{local} of {count} ranked"
        yield f"{which} locally, without the language model."


def _why_earlier(
    items: tuple[MatchedPosting, ...], views: tuple[ItemView, ...], down: Set[Domain]
) -> Iterable[str]:
    """Say how many postings are no news, and why stored ones stand in for it."""
    earlier = sum(bool(view.earlier) for view in views)
    if earlier:
        yield f"{earlier} of {len(views)} from earlier, marked so."
    unreached = [item.posting.domain for item in items if item.posting.domain in down]
    if unreached:
        names = printable(", ".join(sorted(set(unreached))), _NAMES_LIMIT)
        yield f"{len(unreached)} from the database, for these sites cannot be read now: {names}."
    fill = sum(item.posting.news_at is None and item.posting.domain not in down for item in items)
    if fill:
        yield f"{fill} from the database to fill up, for the boards list too little."


def _notes(profile: Profile, views: tuple[ItemView, ...], left_out: LeftOut) -> Iterable[str]:
    if not views:
        yield "No new posting matches this profile."
    parts = [
        (left_out.beyond_limit, f"over the limit of {profile.max_items}"),
        (left_out.beyond_company, "more of companies shown already"),
        (left_out.repeats, "the same as a job shown"),
        (left_out.closed, "closed by now"),
    ]
    said = [f"{count} {why}" for count, why in parts if count]
    if said:
        yield f"Left out: {', '.join(said)}."


def _watched(watch: Watch) -> Iterable[str]:
    """Say what was read and when, and what cannot be read since when."""
    read = ""
    if watch.read is not None:
        oldest, newest = (minute(moment) for moment in watch.read)
        until = newest.removeprefix(day(watch.read[0])).strip()
        read = f", last read {newest}" if oldest == newest else f", last read {oldest} to {until}"
    boards, sites = _count(watch.boards, "board"), _count(watch.domains, "site")
    yield f"Watched: {boards} at {sites}{read}{' UTC' if read else ''}."
    if watch.unread:
        yield f"Not read yet: {_count(watch.unread, 'board')}."
    said = [
        f"{printable(one.domain, _NAME_LIMIT)} ({_count(one.boards, 'board')}) "
        + (f"since {minute(one.since)} UTC" if one.since else "never read")
        for one in watch.failing[:_MOST_FAILING]
    ]
    if said:
        more = sum(one.boards for one in watch.failing[_MOST_FAILING:])
        rest = f"; and {_count(more, 'board')} more" if more else ""
        yield f"Cannot be read now: {'; '.join(said)}{rest}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _item(
    item: MatchedPosting,
    now: dt.datetime,
    since: dt.datetime | None,
    down: Set[Domain],
    credits: Mapping[SourceName, str],
) -> ItemView:
    posting, draft = item.posting, item.posting.draft
    url, host = link(draft.url) or (None, "")
    return ItemView(
        posting=posting.id,
        score=item.match.score,
        title=printable(draft.title) or "(no title)",
        company=printable(draft.company or "", _NAME_LIMIT) or "company not stated",
        places=_places(draft),
        pay=_pay(draft.salary) if draft.salary else "",
        age=_age(draft, posting, now),
        seen=f"seen open {day_ago(item.last_seen, now)}" if item.last_seen else "",
        earlier=_earlier(posting, now, since, down),
        reason=printable(item.match.reason, _REASON_LIMIT),
        source=_credit(draft.source, credits),
        url=url,
        host=host,
        also=tuple(_also(item, url, credits)),
    )


def _also(
    item: MatchedPosting, own: str | None, credits: Mapping[SourceName, str]
) -> Iterable[LinkView]:
    """Yield the other pages of a job, each once."""
    shown = {own}
    for other in item.also:
        url, host = link(other.url) or (None, "")
        if url is not None and url not in shown:
            shown.add(url)
            yield LinkView(source=_credit(other.source, credits), url=url, host=host)


def _credit(source: SourceName, credits: Mapping[SourceName, str]) -> str:
    return printable(credits.get(source, source), _NAME_LIMIT)


def _earlier(
    posting: StoredPosting, now: dt.datetime, since: dt.datetime | None, down: Set[Domain]
) -> str:
    """Return the mark of a posting that is no news, or whose board cannot be reached."""
    is_old = posting.news_at is None or (since is not None and posting.news_at < since)
    if not is_old and posting.domain not in down:
        return ""
    return f"from earlier: first seen {ago(posting.first_seen_at, now)}"


def _age(draft: PostingDraft, posting: StoredPosting, now: dt.datetime) -> str:
    if draft.posted_at is None:
        return f"first seen {ago(posting.first_seen_at, now)}"
    verb = "updated" if draft.posted_precision is Precision.UPDATED else "posted"
    return f"{verb} {ago(draft.posted_at, now)}"


def _places(draft: PostingDraft) -> str:
    raw = list(dict.fromkeys(printable(place.raw, _PLACE_LIMIT) for place in draft.locations))
    said = " / ".join(raw[:_MOST_PLACES])
    if len(raw) > _MOST_PLACES:
        said += f" and {len(raw) - _MOST_PLACES} more"
    if draft.remote is Remote.YES and not says_remote(said):
        said = f"{said}, remote" if said else "remote"
    elif "hybrid" in draft.tags:
        said = f"{said}, hybrid" if said else "hybrid"
    return said or "place not stated"


def _pay(salary: Salary) -> str:
    amounts = [salary.minimum, salary.maximum]
    usable = all(a is None or (a.is_finite() and 0 < a < _MOST_PAY) for a in amounts)
    if salary.currency is None or not usable or amounts == [None, None]:
        return printable(salary.raw, _PLACE_LIMIT)
    note = "" if salary.origin is SalaryOrigin.STATED else " (estimate)"
    currency = printable(salary.currency, 3)
    return f"{_span(salary.minimum, salary.maximum)} {currency}{_A[salary.interval]}{note}"


def _span(least: Decimal | None, most: Decimal | None) -> str:
    if least is None or most is None:
        return f"from {_amount(least)}" if least is not None else f"up to {_amount(most)}"
    return _amount(least) if least == most else f"{_amount(least)}–{_amount(most)}"


def _amount(amount: Decimal | None) -> str:
    value = amount or Decimal(0)
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.2f}"
