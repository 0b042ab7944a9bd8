import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.text import MAX_MARKUP
from jobping.sources.text import html_to_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a</p><p>b<br>c</p>", "a\n\nb\nc"),
        ("<ul><li>x</li><li><p>y</p></li></ul>z", "- x\n- y\n\nz"),
        ("<ol><li>1<ul><li>1a</ul><li>2</ol>", "- 1\n- 1a\n- 2"),
        ("<h2>Head</h2>text <b>bold</b>, <i>it</i>alic", "Head\n\ntext bold, italic"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<p>unclosed <b>bold<p>next", "unclosed bold\n\nnext"),
        ('<p>x <p class="cut', "x"),
        ("a<script>b()</script><style>c{}</style><!-- d -->e", "ae"),
        ("<noscript>n</noscript><template>t</template><svg><text>s</text></svg>ok", "ok"),
        ("<div hidden>a</div><p style='display : NONE'>b</p><p>c</p>", "c"),
        ('<p style="Display:None">a</p><p Hidden>b</p><p style="visibility:Hidden">c</p>d', "d"),
        ("<svg><svg></svg>a</svg>b<SCRIPT>'</p>c</script >d", "bd"),
        ("<p title=\"a>b\" id=it's>c</p> it's <br hidden>d", "c\n\nit's d"),
        ("<?xml?><!DOCTYPE html>a</>b<3 <p>&#7;&#8203;<p>c", "ab<3\n\nc"),
        ("R&amp;D &lt;3 &nbsp; x", "R&D <3 x"),
        ("plain\n\n\ntext", "plain\n\ntext"),
        ("<li></li><li> </li><li>q</li>", "- q"),
        ("a\x00b\u202e<p>c", "ab\n\nc"),
        ("", ""),
    ],
)
def test_html_to_text_keeps_paragraphs_and_lists_and_drops_the_rest(markup, text):
    assert html_to_text(markup) == text


def test_html_to_text_cuts_what_is_longer_than_any_posting():
    assert len(html_to_text("<p>" + "word " * 100_000)) < MAX_MARKUP


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 13_000 + "deep",
        "<!--" * 16_000,
        "<b><i>" * 8_000,
        "<a " + "x=1 " * 15_000 + ">many</a>",
        "&#" * 30_000,
        "<ul><li>" * 6_000,
        "<table><tr><td>" * 4_000,
        "<p" * 30_000,
        '<a ="' * 12_000,
        "<a ='\" " * 9_000,
        "<svg>" * 12_000,
        "<svg></svg>" * 6_000,
        "<p hidden>" * 6_000,
        "<script>" * 8_000,
        "<" * 65_000,
    ],
)
def test_html_to_text_is_quick_on_markup_made_to_be_slow(markup):
    started = time.process_time()
    html_to_text(markup)
    assert time.process_time() - started < 0.5


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<ul>",
                "<li>",
                "</ul>",
                "<br>",
                "<div ",
                "<!--",
                "-->",
                "<b",
                ">",
                "&amp",
                "x",
                " ",
            ]
        )
    ).map("".join)
    | st.text(max_size=300)
    | st.text(alphabet="<>/!-abdiv =\"'\n&;\x00", max_size=400)
)
def test_html_to_text_never_fails_and_gives_folded_lines(markup):
    text = html_to_text(markup)
    assert text == text.strip()
    assert "\n\n\n" not in text
    assert "\x00" not in text
