"""Which postings are one job; with pairs of recorded postings labelled by hand.

`same_job_labels.txt` holds 348 pairs, each read in full and put under its verdict and reason. Same:
one employer or agency, role, level and place, and nothing in text or pay that tells them apart.
They were drawn from what a first form of the rule joined, from what the predecessor's key joined,
and from pairs alike in text or title, at most three of one company and title; the rule was then
mended on them, so the figures are no forecast for other boards. Run alone, with `-s`, it prints
the figures. The postings belong to their employers and are read from the recordings.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import attrs
import pytest

from jobping.core.ids import ExternalId, SourceName
from jobping.core.places import places
from jobping.core.posting import Interval, PostingDraft, Remote, Salary, SalaryOrigin
from jobping.core.same_job import is_one_text, kin, same_job
from jobping.errors import MalformedPage
from tests.sources.conftest import RECORDINGS, Answer, read_answer, recorded_answers

LABELS = Path(__file__).with_name("same_job_labels.txt")
REAL = {"recorded", "recorded-trimmed", "rebuilt"}
TEXT = (
    "We look for a data engineer who keeps our pipelines for weather data running, day and night. "
    "You write Python and SQL, you like clean tables, and you speak up when a figure looks wrong. "
    "We offer time to learn, thirty days of leave and a bicycle."
)
DRAFT = PostingDraft(
    source=SourceName("lever"),
    external_id=ExternalId("1"),
    title="Data Engineer (m/w/d)",
    company="Kestrel Weather GmbH",
    url="https://a.example/1",
    locations=places("Berlin, Germany"),
    description=TEXT,
)
ELSEWHERE = attrs.evolve(DRAFT, source=SourceName("adzuna"))


def pay(low: int, high: int, **fields: object) -> Salary:
    values = {"raw": "pay", "currency": "EUR", "interval": Interval.YEAR, **fields}
    return Salary(minimum=Decimal(low), maximum=Decimal(high), **values)


def are_one(one: PostingDraft, other: PostingDraft) -> bool:
    assert same_job(one, other) == same_job(other, one)
    return kin(one) == kin(other) and same_job(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Engineer, Data - Berlin"},
        {"company": "Kestrel"},
        {"company": "The Kestrel Weather"},
        {"description": TEXT[:200]},
        {"description": f"Kestrel is the house of wind and rain since 1998. {TEXT}"},
        {"description": TEXT.replace(", you like", " you like").replace("who keeps", "whokeeps")},
        {"locations": places("Mitte, Berlin")},
        {"locations": places("Paris, France; Berlin")},
        {"salary": pay(50_000, 60_000)},
    ],
)
def test_posting_at_another_source_is_the_same_job(change):
    stated = attrs.evolve(DRAFT, salary=pay(50_000, 70_000) if "salary" in change else None)
    assert are_one(stated, attrs.evolve(ELSEWHERE, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Senior Data Engineer (m/w/d)"},
        {"title": "Data Engineer II"},
        {"company": "Kestrel Software GmbH"},
        {"company": None},
        {"description": TEXT.replace("weather data", "payment data")},
        {"description": TEXT.replace("thirty", "28")},
        {"description": "Other words. " * 40},
        {"locations": places("Hamburg, Germany")},
        {"locations": places("Berlin, NH, United States")},
        {"locations": ()},
        {"salary": pay(70_000, 90_000)},
    ],
)
def test_posting_at_another_source_is_another_job(change):
    stated = attrs.evolve(
        DRAFT,
        salary=pay(50_000, 60_000) if "salary" in change else None,
        description=TEXT.replace("thirty", "30") if "28" in str(change) else TEXT,
    )
    assert not are_one(stated, attrs.evolve(ELSEWHERE, **change))


@pytest.mark.parametrize(
    "other",
    [
        pay(70_000, 90_000, currency="CHF"),
        pay(30, 40, interval=Interval.HOUR),
        pay(70_000, 90_000, interval=Interval.UNKNOWN),
        pay(70_000, 90_000, origin=SalaryOrigin.PREDICTED),
        Salary(raw="on request"),
    ],
)
def test_pay_contradicts_only_where_both_state_it_in_the_same_unit(other):
    stated = attrs.evolve(DRAFT, salary=pay(50_000, 60_000))
    assert are_one(stated, attrs.evolve(ELSEWHERE, salary=other))


def test_remote_job_is_one_in_countries_that_meet():
    remote = attrs.evolve(DRAFT, remote=Remote.YES)
    for raw, meets in (("Anywhere", True), ("Europe", True), ("Germany", True), ("USA", False)):
        there = attrs.evolve(ELSEWHERE, remote=Remote.YES, locations=places(raw))
        assert are_one(remote, there) is meets
        assert not are_one(DRAFT, there)


def test_one_source_posts_one_job_twice_only_at_the_same_places():
    twin = attrs.evolve(DRAFT, external_id=ExternalId("2"))
    assert are_one(DRAFT, twin)
    assert not are_one(DRAFT, attrs.evolve(twin, locations=places("Berlin; Paris, France")))
    parts = [attrs.evolve(twin, locations=places(f"{part}, Berlin")) for part in ("Mitte", "Britz")]
    assert not are_one(*parts)


def test_without_a_text_only_another_source_can_have_the_same_job():
    bare = attrs.evolve(DRAFT, description="")
    assert are_one(bare, ELSEWHERE)
    assert not are_one(bare, attrs.evolve(bare, external_id=ExternalId("2")))
    assert not are_one(bare, attrs.evolve(ELSEWHERE, title="Engineer Data"))


def test_texts_in_which_both_say_otherwise_are_two():
    words = tuple(TEXT.split())
    assert is_one_text(words, words[:40])
    assert is_one_text((*words[:9], "really", *words[9:]), words)
    assert not is_one_text((*words[:9], "10", *words[10:]), (*words[:9], "20", *words[10:]))
    assert not is_one_text(words[:20], words[:20])


@attrs.frozen(kw_only=True)
class Label:
    one: str
    other: str
    is_same: bool
    reason: str


def read_labels() -> list[Label]:
    labels: list[Label] = []
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            verdict, _, reason = line[1:].partition("] ")
        else:
            one, other = line.split()
            labels.append(Label(one=one, other=other, is_same=verdict == "same", reason=reason))
    return labels


def drafts_of(answer: Answer) -> tuple[PostingDraft, ...]:
    try:
        return read_answer(answer).drafts
    except MalformedPage:  # an old shape, or one of the individual route
        return ()


def recorded() -> dict[str, PostingDraft]:
    """All recorded postings in the order of the index, each id of a source once."""
    found: dict[str, PostingDraft] = {}
    seen: set[tuple[str, str]] = set()
    for answer in recorded_answers():
        if answer.kind in REAL:
            company = unquote(Path(answer.file).stem)
            board = attrs.evolve(answer.board, company=company)
            for draft in drafts_of(attrs.evolve(answer, board=board)):
                if (draft.source, draft.external_id) not in seen:
                    seen.add((draft.source, draft.external_id))
                    found[f"{answer.file}#{draft.external_id}"] = draft
    return found


def group(drafts: dict[str, PostingDraft]) -> dict[str, str]:
    """Name the job of each posting as the store does, one posting after the other."""
    jobs: dict[bytes, list[str]] = {}
    named: dict[str, str] = {}
    for key, draft in drafts.items():
        family = kin(draft)
        firsts = jobs.setdefault(family, []) if family else []
        named[key] = next((one for one in firsts if same_job(drafts[one], draft)), key)
        if named[key] == key:
            firsts.append(key)
    return named


def predecessor(draft: PostingDraft) -> str:
    place = draft.locations[0].raw if draft.locations else ""
    return f"{draft.title}|{draft.company}|{place}".lower()


@attrs.frozen(kw_only=True)
class Errors:
    joined: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return 1 - self.wrong / self.joined

    @property
    def recall(self) -> float:
        right = self.joined - self.wrong
        return right / (right + self.missed)


def judge(labels: list[Label], joins: Callable[[str, str], bool]) -> Errors:
    joined = [label for label in labels if joins(label.one, label.other)]
    same = sum(label.is_same for label in labels)
    right = sum(label.is_same for label in joined)
    return Errors(joined=len(joined), wrong=len(joined) - right, missed=same - right)


def test_labels_are_pairs_with_a_reason_each_pair_once():
    labels = read_labels()
    pairs = {frozenset((label.one, label.other)) for label in labels}
    assert len(pairs) == len(labels) == 348
    assert all(len(label.reason) > 10 for label in labels)


def test_groups_of_recorded_postings_beat_the_predecessors_key_on_both_kinds_of_error():
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    drafts, labels = recorded(), read_labels()
    jobs = group(drafts)
    ours = judge(labels, lambda one, other: jobs[one] == jobs[other])
    keys = judge(labels, lambda one, other: predecessor(drafts[one]) == predecessor(drafts[other]))
    for name, errors in (("groups", ours), ("title|company|place", keys)):
        figures = f"precision {errors.precision:.3f} recall {errors.recall:.3f}"
        print(f"\n{name:20} {figures} joined {errors.joined} wrong {errors.wrong}", end="")
    assert ours.joined >= 100
    assert ours.precision >= 0.98
    assert ours.recall >= 0.8
    assert ours.wrong < keys.wrong
    assert ours.missed < keys.missed


def test_kin_are_few_enough_to_compare():
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    sizes: dict[bytes | None, int] = {}
    for draft in recorded().values():
        sizes[kin(draft)] = sizes.get(kin(draft), 0) + 1
    pairs = sum(size * (size - 1) // 2 for family, size in sizes.items() if family)
    assert pairs < sum(sizes.values())
