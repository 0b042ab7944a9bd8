"""The digests of one profile as an Atom feed, made anew from their pages. Pure."""

import datetime as dt
from collections.abc import Iterable
from html import escape
from typing import Final

import attrs

MOST_ENTRIES: Final = 30
MOST_CHARACTERS: Final = 1_000_000
"""Of all pages; the newest is always there."""


@attrs.frozen(kw_only=True)
class Entry:
    """A digest that was written.

    Attributes:
        id: Its message id, a UUID.
        page: The page as `core.digest_html` renders it.
        href: Where the page lies, beside the feed.
        updated: Aware UTC.
    """

    id: str
    page: str
    href: str
    updated: dt.datetime


def render_feed(profile: str, id: str, entries: Iterable[Entry]) -> str:
    """Return the feed.

    Args:
        id: A URI for this feed and no other.
        entries: At least one, the newest first; those after the bounds are not read.

    Source:
        RFC 4287: 4.1.1 and 4.1.2 for what must be there, 4.1.3.3 for content of type html.
    """
    kept, updated, left = list[str](), "", MOST_CHARACTERS
    for entry in entries:
        left -= len(entry.page)
        if kept and (left < 0 or len(kept) == MOST_ENTRIES):
            break
        kept.append(_entry(entry))
        updated = updated or _moment(entry.updated)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
<id>{escape(id)}</id>
<title>JobPing: {escape(profile)}</title>
<updated>{updated}</updated>
<author><name>JobPing</name></author>
<link rel="self" type="application/atom+xml" href="feed.atom" />
{"".join(kept)}</feed>
"""


def _entry(entry: Entry) -> str:
    """Return an entry; the title stands escaped in the page, the rest is escaped once more."""
    return f"""<entry>
<id>urn:uuid:{escape(entry.id)}</id>
<title>{_between(entry.page, "title")}</title>
<updated>{_moment(entry.updated)}</updated>
<link rel="alternate" type="text/html" href="{escape(entry.href)}" />
<content type="html">{escape(_between(entry.page, "main"), quote=False)}</content>
</entry>
"""


def _between(page: str, tag: str) -> str:
    return page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def _moment(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
