import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.text import (
    clean_line,
    drop_controls,
    fold_lines,
    repair_mojibake,
    unescape,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Senior  Recruiter ", "Senior Recruiter"),
        ("R&amp;D Lead", "R&D Lead"),
        ("R&amp;amp;D", "R&D"),
        ("a\u00a0b\tc\nd", "a b c d"),
        ("Berlin \U0001f680", "Berlin \U0001f680"),
        ("x\x00y\u202ez", "xyz"),
        ("", ""),
        (None, ""),
    ],
)
def test_clean_line_gives_one_stripped_line_for_any_title(text, expected):
    assert clean_line(text) == expected


def test_unescape_stops_after_two_rounds():
    assert unescape("&amp;amp;amp;lt;") == "&amp;lt;"


@pytest.mark.parametrize("text", ["plain", "Zürich", "naïve – dash", "日本", "Ãx", ""])
def test_repair_mojibake_leaves_a_sound_text_alone(text):
    assert repair_mojibake(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_repair_mojibake_undoes_utf8_read_as_latin1(text):
    broken = text.encode("utf-8").decode("latin-1")
    assert repair_mojibake(broken) == text


def test_drop_controls_keeps_lines_and_tabs_when_it_removes_the_rest():
    assert drop_controls("a\r\nb\rc\td\x07\x9b\u200be\ud83d") == "a\nb\nc\tde"


def test_fold_lines_keeps_one_empty_line_between_paragraphs():
    assert fold_lines("\n\n a  b \n\n\n\n c\n") == "a b\n\nc"
