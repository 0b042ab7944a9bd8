import json
from pathlib import Path

import pytest

from jobping.core.career import Career, career_of
from jobping.core.career_words import with_more
from jobping.core.posting import PostingDraft
from jobping.core.profile import Level

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "ashby"
EARLY = frozenset({Level.INTERN, Level.ENTRY})


def draft(title: str, **fields) -> PostingDraft:
    url = "https://jobs.example/1"
    return PostingDraft(source="x", external_id="1", title=title, company="A", url=url, **fields)


def sure(*levels: Level) -> Career:
    return Career(levels=frozenset(levels), sure=True)


def perhaps(*levels: Level, years: int | None = None) -> Career:
    return Career(levels=frozenset(levels), years=years)


@pytest.mark.parametrize(
    ("title", "levels"),
    [
        ("Software Engineer Internship (6 months)", [Level.INTERN]),
        ("Werkstudent:in Marketing (m/w/d)", [Level.INTERN]),
        ("Praktikum im Vertrieb", [Level.INTERN]),
        ("Stage - Assistant marketing H/F", [Level.INTERN]),
        ("Becario/a de finanzas", [Level.INTERN]),
        ("Tirocinio in ambito legale", [Level.INTERN]),
        ("Graduate Programme 2027", [Level.ENTRY]),
        ("Jr. Accountant", [Level.ENTRY]),
        ("Absolvent Ingenieur", [Level.ENTRY]),
        ("Développeur débutant", [Level.ENTRY]),
        ("Trainee Vertrieb", [Level.INTERN, Level.ENTRY]),
        ("Mid-level Developer", [Level.MID]),
        ("Sr Data Engineer", [Level.SENIOR]),
        ("Staff Software Engineer", [Level.SENIOR]),
        ("Head of Sales", [Level.LEAD]),
        ("Teamleiterin Einkauf", [Level.LEAD]),
    ],
)
def test_title_words_tell_the_level_in_several_languages(title, levels):
    assert career_of(draft(title)) == sure(*levels)


@pytest.mark.parametrize(
    "title",
    [
        "Internal Auditor",
        "International Sales",
        "Lead Generation Specialist",
        "Early-Stage Investor",
        "Stage Manager",
        "Graduate Recruiter",
        "Student Success Advisor",
        "Data Entry Clerk",
        "Account Manager",
        "Art Director",
    ],
)
def test_title_without_a_level_word_of_its_own_tells_nothing(title):
    assert career_of(draft(title)) == Career()


def test_source_field_wins_over_a_contradicting_word_of_the_title():
    assert career_of(draft("CTO Founder Associate Intern", employment=("Intern",))) == sure(
        Level.INTERN
    )


def test_field_and_title_that_disagree_leave_both_levels_unsure():
    found = career_of(draft("Junior Developer", level="Mid-Senior Level"))

    assert found == perhaps(Level.ENTRY, Level.MID, Level.SENIOR)


def test_title_with_both_ends_of_the_ladder_is_unsure():
    assert career_of(draft("Senior Recruiter, Interns")) == perhaps(Level.INTERN, Level.SENIOR)


@pytest.mark.parametrize("level", ["Not Applicable", "Any", ""])
def test_field_that_says_any_level_tells_nothing(level):
    assert career_of(draft("Accountant", level=level)) == Career()


def test_early_tags_are_believed_and_senior_tags_are_not():
    assert career_of(draft("Accountant", tags=("Internship",))) == sure(Level.INTERN)
    assert career_of(draft("Accountant", tags=("senior", "exec"))) == Career()


@pytest.mark.parametrize(
    ("text", "career"),
    [
        ("0–2 years of work", perhaps(Level.ENTRY)),
        ("No experience required!", perhaps(Level.ENTRY)),
        ("Keine Berufserfahrung nötig", perhaps(Level.ENTRY)),
        ("You bring 5+ years of relevant experience.", perhaps(Level.SENIOR, years=5)),
        ("Mindestens 3 Jahre Berufserfahrung", perhaps(Level.MID, years=3)),
        ("For 25 years we have been in business, with experience.", Career()),
        ("Our senior director manages the internal team.", Career()),
    ],
)
def test_text_phrases_only_suggest_a_level(text, career):
    assert career_of(draft("Accountant", description=text)) == career


def test_weak_words_never_decide_alone():
    assert career_of(draft("Legal Associate")) == perhaps(Level.ENTRY, Level.MID)


def _recorded() -> list[PostingDraft]:
    answers = (json.loads(path.read_bytes()) for path in sorted(RECORDINGS.glob("*.json")))
    return [
        draft(
            " ".join(job["title"].split()),
            description=job.get("descriptionPlain") or "",
            employment=(job.get("employmentType") or "",),
        )
        for answer in answers
        for job in answer.get("jobs", [])
        if job.get("title")
    ]


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings")
def test_recorded_interns_all_pass_and_no_post_passes_by_a_part_of_a_word():
    judged = [(item, career_of(item)) for item in _recorded()]
    passing = [(item, career) for item, career in judged if career.levels & EARLY]
    interns = [career for item, career in judged if "Intern" in item.employment]

    assert [career.sure and Level.INTERN in career.levels for career in interns] == [True] * 8
    whole_words = {"intern", "interns", "internship", "internships"}
    for item, career in passing:
        if "intern" in item.title.lower() and Level.INTERN in career.levels:
            words = set(item.title.lower().replace(",", " ").replace("(", " ").split())
            assert words & whole_words, item.title
    substring_rule = [i for i, _ in judged if "intern" in f"{i.title} {i.description}".lower()]
    assert len(passing) < len(substring_rule) / 3


def test_further_words_tell_a_level_or_none_in_titles_tags_and_fields():
    words = with_more(intern=["Ferialjob"], entry=["First Step", " "], none=["graduate chef"])
    for fields, levels in (
        ({"title": "Ferialjob im Lager"}, {Level.INTERN}),
        ({"title": "First-step engineer"}, {Level.ENTRY}),
        ({"title": "Engineer", "tags": ("first step",)}, {Level.ENTRY}),
        ({"title": "Engineer", "level": "First Step"}, {Level.ENTRY}),
        ({"title": "Graduate chef"}, set()),
        ({"title": "Graduate engineer"}, {Level.ENTRY}),
        ({"title": "Ferialjobs"}, set()),
    ):
        assert career_of(draft(**fields), words).levels == levels
