"""Job sources: the requests that read a board, and the parsers from bytes to drafts. No I/O.

`source` is the contract, `items` the reading that all share, by the records of `reader`, out of
`decode`, `fields`, `text` and `dates`; `jobposting` reads the pages of single postings; one module
per source; `defaults` is what is polled while nothing is configured.
"""

from jobping.core.board import Coverage
from jobping.core.ids import SourceName
from jobping.sources.adzuna import ADZUNA
from jobping.sources.arbeitnow import ARBEITNOW
from jobping.sources.arbeitsagentur import ARBEITSAGENTUR
from jobping.sources.ashby import ASHBY
from jobping.sources.bamboohr import BAMBOOHR
from jobping.sources.breezy import BREEZY
from jobping.sources.defaults import DEFAULT_BOARDS
from jobping.sources.feed import FEED
from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.hackernews import HACKERNEWS
from jobping.sources.himalayas import HIMALAYAS
from jobping.sources.jobicy import JOBICY
from jobping.sources.jsearch import JSEARCH
from jobping.sources.lever import LEVER
from jobping.sources.personio import PERSONIO
from jobping.sources.recruitee import RECRUITEE
from jobping.sources.reed import REED
from jobping.sources.remoteok import REMOTEOK
from jobping.sources.remotive import REMOTIVE
from jobping.sources.site import SITE
from jobping.sources.smartrecruiters import SMARTRECRUITERS
from jobping.sources.source import Source
from jobping.sources.teamtailor import TEAMTAILOR
from jobping.sources.themuse import THEMUSE
from jobping.sources.weworkremotely import WEWORKREMOTELY
from jobping.sources.workable import WORKABLE
from jobping.sources.workday import WORKDAY

__all__ = ["DEFAULT_BOARDS", "FIRSTHAND", "SOURCES", "Source"]

SOURCES: tuple[Source, ...] = (
    GREENHOUSE,
    LEVER,
    ASHBY,
    RECRUITEE,
    SMARTRECRUITERS,
    PERSONIO,
    WORKABLE,
    BAMBOOHR,
    BREEZY,
    WORKDAY,
    TEAMTAILOR,
    REMOTEOK,
    JOBICY,
    REMOTIVE,
    ARBEITNOW,
    HIMALAYAS,
    WEWORKREMOTELY,
    HACKERNEWS,
    ARBEITSAGENTUR,
    THEMUSE,
    JSEARCH,
    ADZUNA,
    REED,
    SITE,
    FEED,
)
"""Every source, in the order in which they are listed to people."""

FIRSTHAND: frozenset[SourceName] = frozenset(
    source.name
    for source in SOURCES
    if source.coverage is Coverage.WHOLE or source in (TEAMTAILOR, SITE)
)
"""Those whose boards are each one company's own."""
