"""Which fields of a posting each source fills, on recorded answers; see design/sources.md, 6.

`all`: in every recorded posting, `some`: in one at least. `country`: of a place; `amount`: of the
pay. Title, URL and id are checked elsewhere, for all have them. A source whose recordings are cut
(`INDEX.json`) may fill more than stands here, so a field that is missing here is no finding.
"""

from collections import defaultdict

import pytest

from jobping.core.posting import CONTENT, PostingDraft, unknown_fields
from jobping.errors import MalformedPage
from tests.sources.conftest import RECORDINGS, read_answer, recorded_answers

REAL = {"recorded", "recorded-trimmed", "rebuilt"}
TABLE = """
[ashby]
all: company department description employment locations posted_at
some: amount country remote salary tags
[remoteok]
all: company posted_at remote
some: amount country description locations salary tags
[jobicy]
all: company department description employment locations posted_at remote
some: amount country level salary
[greenhouse]
all: company country department description employment language locations posted_at
[lever]
all: company country department description employment locations posted_at
some: remote tags
[smartrecruiters]
all: company country department employment language level locations posted_at remote tags
[recruitee]
all: company country department description employment level locations posted_at remote tags
some: amount salary
[workday]
all: company posted_at
[workable]
all: company country department locations posted_at remote
[personio]
all: company country department employment level locations posted_at tags
[bamboohr]
all: company country department employment locations remote
[teamtailor]
all: company country locations posted_at
[adzuna]
all: company country department description locations posted_at
some: amount employment salary
[reed]
all: company description locations
some: amount country salary
[himalayas]
all: amount closes_at company country department description employment level locations posted_at
  remote salary tags
[arbeitnow]
all: company country locations posted_at remote tags
some: description
[remotive]
all: company country department employment locations posted_at remote tags
some: amount description salary
[hackernews]
all: closes_at company description posted_at
some: amount country employment locations remote salary tags
[breezy]
all: amount company country department employment locations posted_at salary
some: remote
[weworkremotely]
all: company department description locations posted_at remote
"""


def known_fields(draft: PostingDraft) -> set[str]:
    found = set(CONTENT - unknown_fields(draft) - {"title", "url"})
    found |= {"country"} if any(place.country for place in draft.locations) else set()
    has_amount = draft.salary is not None and draft.salary.minimum is not None
    return found | ({"amount"} if has_amount else set())


def filled() -> str:
    """Return the table as the recordings have it."""
    drafts: defaultdict[str, list[set[str]]] = defaultdict(list)
    for answer in recorded_answers():
        if answer.kind in REAL:
            try:
                drafts[answer.source.name] += map(known_fields, read_answer(answer).drafts)
            except MalformedPage:  # an old shape, or one of the individual route
                continue
    return "\n".join(row for source, found in drafts.items() for row in rows(source, found))


def rows(source: str, found: list[set[str]]) -> list[str]:
    always = set.intersection(*found)
    some = set.union(*found) - always
    lists = {"all": always, "some": some}
    return [f"[{source}]", *(f"{name}: {' '.join(sorted(of))}" for name, of in lists.items() if of)]


def test_each_source_fills_the_fields_of_the_table():
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    assert filled() == TABLE.replace("\n  ", " ").strip()
