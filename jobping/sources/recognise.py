"""Which board is it? From addresses of careers pages, and from the links within them."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.sources.fields import linked

_NAME: Final = r"(?P<slug>[A-Za-z0-9][\w.%-]{0,98})"
_LABEL: Final = r"(?P<slug>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
_SITES: Final = tuple(
    (SourceName(name), re.compile(rf"(?<![\w.-]){pattern}", re.ASCII | flags))
    for name, flags, pattern in (
        ("greenhouse", 0, rf"(?:job-)?boards\.greenhouse\.io/embed/job_board(?:/js)?\?for={_NAME}"),
        ("greenhouse", 0, rf"boards-api\.greenhouse\.io/v1/boards/{_NAME}"),
        ("greenhouse", 0, rf"(?:job-)?boards\.greenhouse\.io/(?!embed\b){_NAME}"),
        ("lever", 0, rf"(?:jobs\.lever\.co|api\.lever\.co/v0/postings)/{_NAME}"),
        ("ashby", 0, rf"(?:jobs\.ashbyhq\.com|api\.ashbyhq\.com/posting-api/job-board)/{_NAME}"),
        (
            "smartrecruiters",
            0,
            rf"(?:(?:jobs|careers)\.smartrecruiters\.com|api\.smartrecruiters\.com/v1/companies)"
            rf"/{_NAME}",
        ),
        ("workable", 0, rf"apply\.workable\.com/api/v\d/(?:widget/)?accounts/{_NAME}"),
        ("workable", 0, rf"apply\.workable\.com/(?!(?:api|j)/){_NAME}"),
        ("recruitee", re.I, rf"{_LABEL}\.recruitee\.com"),
        ("personio", re.I, rf"{_LABEL}\.jobs\.personio\.(?:de|com)"),
        ("teamtailor", re.I, rf"{_LABEL}\.teamtailor\.com"),
        ("bamboohr", re.I, rf"{_LABEL}\.bamboohr\.com"),
        ("breezy", re.I, rf"{_LABEL}\.breezy\.hr"),
        (
            "workday",
            0,
            r"(?P<slug>[a-z0-9_-]{1,60})\.(?P<number>wd\d{1,4})\.myworkdayjobs\.com/"
            r"(?:wday/cxs/[\w-]+/|[a-z]{2}-[A-Z]{2}/)?(?!wday\b)(?P<site>[A-Za-z0-9][\w-]{0,59})",
        ),
    )
)
_VENDORS_OWN: Final = frozenset(
    ("www", "app", "api", "help", "support", "blog", "cdn", "static", "assets", "resources")
)
_FEED_LINK: Final = re.compile(
    r"<link\b[^>]*\btype\s*=\s*[\"']?application/(?:rss\+xml|atom\+xml|feed\+json)[^>]*>", re.I
)
_HREF: Final = re.compile(r"\bhref\s*=\s*[\"']?([^\"'\s>]{1,2000})", re.I)


def boards_in(text: str) -> list[Board]:
    """Return the boards that addresses within a text belong to, the most frequent first.

    Args:
        text: One address, or a whole page.
    """
    return [board for board, _ in Counter(_found(text)).most_common()]


def feeds_in(markup: str, url: str) -> list[Board]:
    """Return the feeds that a page names in its head."""
    found = (_HREF.search(tag.group()) for tag in _FEED_LINK.finditer(markup))
    places = (linked(url, link.group(1)) for link in found if link)
    slugs = (
        f"{place.netloc}{place.path}{'?' if place.query else ''}{place.query}"
        for place in places
        if place
    )
    return [Board(source=SourceName("feed"), slug=slug) for slug in dict.fromkeys(slugs)]


def _found(text: str) -> Iterator[Board]:
    for name, pattern in _SITES:
        for match in pattern.finditer(text):
            slug = unquote(match["slug"]).rstrip(".")
            if slug.lower() in _VENDORS_OWN:
                continue
            if pattern.flags & re.IGNORECASE:
                slug = slug.lower()
            if name == "workday":
                slug = f"{slug}:{match['number']}:{match['site']}"
            yield Board(source=name, slug=slug)
