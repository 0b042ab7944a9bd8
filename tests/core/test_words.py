import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.words import lined, needle, phrases, relatives, tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Front-end  Developer\n(m/w/d)", "front end developer m w d"),
        ("Präsident, Łódź — STRASSE/straße", "prasident lodz strasse strasse"),
        ("C++ and C# and #ops, 5+ years", "c++ and c# and ops 5+ years"),
        ("Don’t “stop”…", "don t stop"),
        ("Розробник, Київ", "розробник киів"),
        ("&#8211; &#9999999; \ud800 x", "9999999 x"),
        ("", ""),
    ],
)
def test_words_of_a_text_are_folded_and_parted(text, words):
    assert tokens(text) == words.split()


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("intern", "Internal audit", False),
        ("intern", "Interns wanted", True),
        ("analyst", "Data Analysts", True),
        ("companies", "one company", True),
        ("customer success", "Success of a customer", False),
        ("Customer Success", "head of customer-success team", True),
        ("front-end", "Frontend developer", True),
        ("backend", "Developer, Back End", True),
        ("marketing", "mark eting", True),
        ("backend", "back to the end", False),
        ("sales", "sa les", False),
        ("uk", "Milwaukee or Ukraine", False),
        ("c++", "C developer", False),
        ("データ", "シニアデータ分析", True),
        ("", "anything", False),
        ("--", "anything", False),
    ],
)
def test_needle_finds_whole_words_only(phrase, text, found):
    assert needle(phrase).is_in(lined(text)) is found


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("product designer", "Senior Product Design", True),
        ("business developer", "Business Development Representative", True),
        ("recruiter", "Recruiting Coordinator", True),
        ("marketing", "Growth Marketers", True),
        ("marketing", "Market Analyst", False),
        ("designer", "Designer", False),
        ("data", "dataer", False),
        ("c++", "c++er", False),
        ("", "er ing", False),
    ],
)
def test_relatives_are_other_forms_of_the_last_word(phrase, text, found):
    assert any(kin.is_in(lined(text)) for kin in relatives(phrase)) is found


def test_phrases_find_any_of_them_as_whole_words():
    wanted = phrases(["0-2 years", "entry level"])
    texts = ["0–2 years", "10-2 years", "Entry-level"]

    assert [wanted.is_any_in(lined(text)) for text in texts] == [True, False, True]


@given(st.text())
def test_any_text_folds_to_words_without_blanks_that_fold_to_themselves(text):
    words = tokens(text)

    assert all(word and not word.isspace() for word in words)
    assert tokens(" ".join(words)) == words


@given(st.text(min_size=1, max_size=30))
def test_any_phrase_with_words_is_found_in_itself(phrase):
    assert needle(phrase).is_in(lined(phrase)) is bool(tokens(phrase))
