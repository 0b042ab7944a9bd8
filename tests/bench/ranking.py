"""`python -m tests.bench.ranking`: how well the local ranker orders real postings.

Twelve profiles with forty postings each, labelled by hand in `ranking_labels.txt`: 3 fits in work,
place and level; 2 with one reservation; 1 in part; 0 not, each with its reason. The forty of a
profile were drawn from the first places of all three rankers, from titles that hold one of its
words and at random, and labelled before any ranking was looked at. The postings themselves belong
to their employers and are read from the recordings beside the repository.

All postings count as equally old: the labels judge fit. NDCG@10 is over the forty; recall is the
share of those labelled 2 or 3 among the first 40 of all recorded postings.
"""

import datetime as dt
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from jobping.core.ids import BoardId, Domain, PostingId
from jobping.core.matcher import prepare, read
from jobping.core.posting import PostingDraft, Precision, StoredPosting
from jobping.core.profile import Level, Profile, RemoteWish
from jobping.core.ranking import Scored, judge_reading
from jobping.core.words import tokens
from tests.sources.conftest import RECORDINGS, read_answer, recorded_answers

LABELS = Path(__file__).with_name("ranking_labels.txt")
NOW = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
REAL = {"recorded", "recorded-trimmed", "rebuilt"}
FIRST = 10
SHORTLIST = 40
GOOD = 2

INTERN, ENTRY, MID, SENIOR = Level.INTERN, Level.ENTRY, Level.MID, Level.SENIOR
PROFILES = (
    Profile(
        name="early-europe",
        words=("intern", "graduate", "junior", "working student", "trainee", "software",
               "marketing", "data"),
        places=("Europe",),
        levels=(INTERN, ENTRY),
    ),
    Profile(
        name="sales-dach",
        words=("account executive", "sales", "business development"),
        places=("Germany", "Austria", "Switzerland"),
        languages=("de", "en"),
    ),
    Profile(
        name="backend-remote",
        words=("backend", "software engineer", "python", "golang", "postgres"),
        not_words=("manager",),
        places=("Europe",),
        remote=RemoteWish.ONLY,
        levels=(MID, SENIOR),
    ),
    Profile(
        name="design-europe",
        words=("product designer", "ux", "ui", "brand designer"),
        places=("Europe",),
    ),
    Profile(
        name="success-us",
        words=("customer success", "onboarding", "account manager"),
        places=("United States",),
        levels=(MID, SENIOR),
    ),
    Profile(
        name="ml-asia",
        words=("machine learning", "computer vision", "llm", "mlops"),
        places=("Singapore", "Malaysia", "China", "Hong Kong", "Vietnam"),
    ),
    Profile(
        name="paris-sales",
        words=("commercial", "account executive", "business developer", "sales development"),
        places=("Paris", "France"),
        languages=("fr", "en"),
    ),
    Profile(
        name="london-finance",
        words=("analyst", "finance", "credit", "reporter", "accountant"),
        places=("London", "United Kingdom"),
    ),
    Profile(
        name="reliability",
        words=("site reliability", "devops", "infrastructure", "platform engineer", "kubernetes"),
        not_words=("manager", "director"),
        remote=RemoteWish.ONLY,
    ),
    Profile(
        name="people-asia",
        words=("recruiter", "talent acquisition", "human resources"),
        places=("Malaysia", "Singapore", "Japan", "Indonesia", "Vietnam", "Thailand"),
    ),
    Profile(
        name="frontend-america",
        words=("frontend", "react", "typescript", "javascript"),
        places=("United States", "Canada"),
        remote=RemoteWish.ONLY,
        levels=(MID, SENIOR),
    ),
    Profile(
        name="marketing-europe",
        words=("marketing", "content", "growth", "community"),
        not_words=("director", "head", "vp"),
        places=("Europe",),
        levels=(ENTRY, MID),
    ),
)  # fmt: skip

LABELLED = (
    "arbeitnow", "ashby", "greenhouse", "jobicy", "lever",
    "personio", "recruitee", "remoteok", "remotive", "smartrecruiters",
)  # fmt: skip
"""The sources whose recorded postings were labelled."""

Rank = Callable[[Profile], Sequence[float]]
"""From a profile to a score for each posting, by place; the first of equals comes first."""


@attrs.frozen
class Quality:
    """What one ranker reaches for one profile, each from 0 to 1."""

    ndcg: float
    recall: float


def load_postings() -> dict[str, StoredPosting]:
    """Return all recorded postings by `file#id`, one of each kind, made equally old."""
    found: dict[str, StoredPosting] = {}
    seen = set()
    for answer in recorded_answers():
        if answer.kind not in REAL or "departments" in answer.file:
            continue
        if answer.source.name not in LABELLED:
            continue
        for draft in read_answer(answer).drafts:
            company = draft.company if draft.company != "Example Company" else answer.file
            places = tuple(sorted(place.raw for place in draft.locations))
            kind = (draft.title.lower(), (company or "").lower(), places)
            if kind not in seen:
                seen.add(kind)
                key = f"{answer.file}#{draft.external_id}"
                found[key] = _stored(len(found), draft)
    return found


def _stored(id: int, draft: PostingDraft) -> StoredPosting:
    day = NOW - dt.timedelta(days=2)
    return StoredPosting(
        id=PostingId(id),
        version=1,
        board_id=BoardId(1),
        domain=Domain("recorded.example"),
        draft=attrs.evolve(
            draft, posted_at=day, posted_precision=Precision.DATE, closes_at=None, company=None
        ),
        first_seen_at=day,
        news_at=day,
        closed_at=None,
        fingerprint=None,
    )


def load_labels() -> dict[str, dict[str, int]]:
    """Return the grades by profile and posting."""
    labels: dict[str, dict[str, int]] = {}
    for line in filter(None, LABELS.read_text(encoding="utf-8").splitlines()):
        if line.startswith("["):
            grades = labels.setdefault(line.strip("[]"), {})
        else:
            grade, rest = line.split(" ", 1)
            grades[rest.split(" ", 1)[0]] = int(grade)
    return labels


def local(postings: Sequence[StoredPosting]) -> Rank:
    """Our ranker; what a hard filter excludes comes last."""
    readings = [read(posting) for posting in postings]

    def rank(profile: Profile) -> list[float]:
        matcher = prepare(profile)
        verdicts = [judge_reading(matcher, reading, NOW) for reading in readings]
        return [one.score if isinstance(one, Scored) else -1 for one in verdicts]

    return rank


def bm25(postings: Sequence[StoredPosting], k1: float = 1.2, b: float = 0.75) -> Rank:
    """Okapi BM25 over all of a posting's text; asked with all words of the profile."""
    documents = [Counter(tokens(_all_text(one.draft))) for one in postings]
    lengths = [document.total() for document in documents]
    mean = sum(lengths) / len(lengths)
    in_documents = Counter(word for document in documents for word in document)

    def weight(word: str) -> float:
        return math.log(
            1 + (len(documents) - in_documents[word] + 0.5) / (in_documents[word] + 0.5)
        )

    def rank(profile: Profile) -> list[float]:
        words = set(tokens(_query(profile)))
        return [
            sum(
                weight(word) * document[word] * (k1 + 1)
                / (document[word] + k1 * (1 - b + b * length / mean))
                for word in words
            )
            for document, length in zip(documents, lengths, strict=True)
        ]  # fmt: skip

    return rank


def trigram(postings: Sequence[StoredPosting]) -> Rank:
    """The similarity of pg_trgm between the profile's words and the title with its places."""
    known = [_trigrams(f"{one.draft.title} {_places(one.draft)}") for one in postings]

    def rank(profile: Profile) -> list[float]:
        asked = _trigrams(_query(profile))
        return [len(asked & found) / len(asked | found) for found in known]

    return rank


def behind_filters(rank: Rank, ours: Rank) -> Rank:
    """A ranker that orders only what our hard filters let through."""

    def filtered(profile: Profile) -> list[float]:
        pairs = zip(rank(profile), ours(profile), strict=True)
        return [score if own >= 0 else -1 for score, own in pairs]

    return filtered


def _query(profile: Profile) -> str:
    return " ".join((*profile.words, *profile.places, *(level.value for level in profile.levels)))


def _places(draft: PostingDraft) -> str:
    return " ".join(place.raw for place in draft.locations)


def _all_text(draft: PostingDraft) -> str:
    return " ".join(
        (draft.title, draft.department or "", *draft.tags, _places(draft), draft.description)
    )


def _trigrams(text: str) -> set[str]:
    padded = [f"  {word} " for word in tokens(text)]
    return {word[start : start + 3] for word in padded for start in range(len(word) - 2)}


def judge(scores: Sequence[float], keys: Sequence[str], grades: Mapping[str, int]) -> Quality:
    """Return what the scores of all postings are worth against the grades of some."""
    order = sorted(range(len(keys)), key=lambda place: (-scores[place], place))
    ordered = [grades[keys[place]] for place in order if keys[place] in grades]
    best = sorted(grades.values(), reverse=True)
    good = {key for key, grade in grades.items() if grade >= GOOD}
    first = {keys[place] for place in order[:SHORTLIST] if scores[place] > 0}
    return Quality(_gain(ordered) / _gain(best), len(good & first) / len(good))


def _gain(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades[:FIRST]))


def measure() -> dict[str, dict[str, Quality]]:
    """Return the quality of each ranker for each profile."""
    postings, labels = load_postings(), load_labels()
    keys, stored = list(postings), list(postings.values())
    ours, words, letters = local(stored), bm25(stored), trigram(stored)
    rankers = {
        "local": ours,
        "bm25": words,
        "trigram": letters,
        "filters, bm25": behind_filters(words, ours),
        "filters, trigram": behind_filters(letters, ours),
    }
    return {
        name: {one.name: judge(rank(one), keys, labels[one.name]) for one in PROFILES}
        for name, rank in rankers.items()
    }


def mean(qualities: Mapping[str, Quality]) -> Quality:
    """Return the mean over the profiles."""
    count = len(qualities)
    return Quality(
        sum(one.ndcg for one in qualities.values()) / count,
        sum(one.recall for one in qualities.values()) / count,
    )


def main() -> int:
    if not RECORDINGS.is_dir():
        print("no recordings")
        return 1
    found = measure()
    print(f"{'NDCG@10, recall@40':<20}" + "".join(f"{name:>18}" for name in found))
    for profile in PROFILES:
        row = [found[name][profile.name] for name in found]
        print(f"{profile.name:<20}" + "".join(f"{q.ndcg:12.3f}{q.recall:6.2f}" for q in row))
    means = [mean(qualities) for qualities in found.values()]
    print(f"{'mean':<20}" + "".join(f"{q.ndcg:12.3f}{q.recall:6.2f}" for q in means))
    return 0


if __name__ == "__main__":
    sys.exit(main())
