"""Which matches make one digest, and its texts."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

import attrs

from jobping.core.digest_html import render_html
from jobping.core.digest_text import render_text
from jobping.core.digest_view import ItemView, LeftOut, Watch, view_digest
from jobping.core.ids import SourceName
from jobping.core.match import MatchedPosting
from jobping.core.posting import StoredPosting
from jobping.core.profile import Profile
from jobping.core.schedule import DigestRules, describe
from jobping.core.words import tokens

_NOTHING: Final = LeftOut()
_NO_SOURCES: Final[Set[SourceName]] = frozenset()


@attrs.frozen(kw_only=True)
class Digest:
    """One digest, ready to send.

    Attributes:
        subject: One line without control characters, at most 120 characters.
        text: Plain text that ends with a line feed.
        html: The same content as a whole page.
        items: The postings as values, in the same order.
    """

    subject: str
    text: str
    html: str
    items: tuple[ItemView, ...] = ()


@attrs.frozen(kw_only=True)
class Selection:
    """What goes into a digest, and how much does not."""

    items: tuple[MatchedPosting, ...]
    left_out: LeftOut


def select(
    profile: Profile,
    pending: Sequence[MatchedPosting],
    firsthand: Set[SourceName] = _NO_SOURCES,
) -> Selection:
    """Return the matches for one digest and the numbers of those left out.

    News before stock, which only fills up; best score first, then the newest, then the lowest id;
    at most one per job (fingerprint), at most `max_per_company` per company, at most `max_items`.
    An unknown company has no limit. A job stands where its best posting does.

    Args:
        firsthand: Sources that are the companies' own; their postings represent a job.
    """
    chosen: list[MatchedPosting] = []
    jobs: set[bytes] = set()
    companies: Counter[str] = Counter()
    limit = company_limit = repeats = 0
    for item in sorted(pending, key=_order):
        job, company = item.posting.fingerprint, _company(item)
        if job is not None and job in jobs:
            repeats += 1
        elif company and companies[company] >= profile.max_per_company:
            company_limit += 1
        elif len(chosen) >= profile.max_items:
            limit += 1
        else:
            chosen.append(item)
            companies[company] += 1
            jobs |= {job} if job is not None else set()
    left_out = LeftOut(beyond_limit=limit, beyond_company=company_limit, repeats=repeats)
    own = [item for item in pending if item.posting.draft.source in firsthand]
    return Selection(items=tuple(_represented(chosen, own)), left_out=left_out)


def compose(
    profile: Profile,
    items: Sequence[MatchedPosting],
    now: dt.datetime,
    since: dt.datetime | None,
    watch: Watch,
    *,
    left_out: LeftOut = _NOTHING,
    credits: Mapping[SourceName, str],
    expects_model: bool,
    rules: DigestRules,
) -> Digest:
    """Return the texts of a digest; without items one that says so.

    Args:
        items: In the order in which they are shown.
        now: Aware UTC.
        since: When the previous digest was made, aware UTC; news from before it is marked as from
            earlier. None for a first digest: all of it is new to the reader. Stock is always
            marked, and so is what lies at a domain that is down.
        left_out: How many matches were left out.
        credits: The name that each source wants to see; its own name stands for a missing one.
        expects_model: A model ranks as a rule, so what is ranked locally is marked.
        rules: Those of the defaults; the profile's own wishes go before them.
    """
    view = view_digest(
        profile,
        items,
        now,
        since,
        watch,
        left_out=left_out,
        credits=credits,
        expects_model=expects_model,
        schedule=describe(profile.digest.over(rules)),
    )
    return Digest(
        subject=view.subject, text=render_text(view), html=render_html(view), items=view.items
    )


def dedup_key(posting: StoredPosting) -> str:
    """Return what a profile gets only once: the job where it is known, else the stored row."""
    return posting.fingerprint.hex() if posting.fingerprint else f"row:{posting.id}"


def _represented(
    chosen: Sequence[MatchedPosting], own: Sequence[MatchedPosting]
) -> Iterable[MatchedPosting]:
    """Put a company's own posting in the place of a copy elsewhere."""
    by_job = {dedup_key(item.posting): item for item in own}
    for item in chosen:
        yield item if item in own else by_job.get(dedup_key(item.posting), item)


def _order(item: MatchedPosting) -> tuple[bool, int, float, int]:
    posting = item.posting
    moment = posting.draft.posted_at or posting.first_seen_at
    return posting.news_at is None, -item.match.score, -moment.timestamp(), posting.id


def _company(item: MatchedPosting) -> str:
    return " ".join(tokens(item.posting.draft.company or ""))
