import xml.dom.minidom
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_samples import NOW, ago, matched, posting, profile

from jobping.core.digest import Digest, Selection, compose, dedup_key, select
from jobping.core.digest_view import Failing, ItemView, LeftOut, Watch
from jobping.core.match import Link
from jobping.core.posting import Interval, Precision, Remote, Salary, SalaryOrigin
from jobping.core.schedule import DigestRules, DigestWish, When

NONE_DOWN = Watch(boards=3, domains=2)
WEEK_AGO = ago(7)


def made(wanted, items, since=None, watch=NONE_DOWN, **more) -> Digest:
    defaults = {"credits": {}, "expects_model": False, "rules": DigestRules()}
    return compose(wanted, items, NOW, since, watch, **{**defaults, **more})


def down(*domains: str) -> Watch:
    return Watch(boards=1, domains=1, down=frozenset(domains))


def text_of(*items, since=None, watch=NONE_DOWN, **more) -> str:
    return made(profile(), items, since, watch, **more).text


def facts(salary: Salary) -> str:
    """The line of pay and age of a digest of one posting."""
    lines = text_of(matched(posting(salary=salary))).splitlines()
    return next(line for line in lines if "posted" in line).strip()


def test_choice_is_best_first_and_ties_go_to_the_newest_then_the_lowest_id():
    items = [
        matched(posting(1, company="A", days=3), 70),
        matched(posting(4, company="B"), 70),
        matched(posting(2, company="C"), 70),
        matched(posting(3, company="D"), 90),
        matched(posting(5, company="E", days=None, first_seen_at=ago(1)), 70),
    ]

    assert [item.posting.id for item in select(profile(), items).items] == [3, 5, 2, 4, 1]


def test_selection_keeps_the_limits_and_counts_what_it_leaves_out():
    job = b"j" * 32
    items = [
        matched(posting(1, company="Kestrel"), 90),
        matched(posting(2, company="KESTREL"), 80),
        matched(posting(3, company="Kestrel"), 70),
        matched(posting(4, company="Umbra", fingerprint=job), 60),
        matched(posting(5, company="Umbra", fingerprint=job), 50),
        matched(posting(6, company=None), 40),
        matched(posting(7, company=None), 30),
        matched(posting(8, company=None), 20),
    ]

    chosen = select(profile(max_items=5, max_per_company=2), items)

    assert chosen == Selection(
        items=(items[0], items[1], items[3], items[5], items[6]),
        left_out=LeftOut(beyond_limit=1, beyond_company=1, repeats=1),
    )


def test_selection_shows_a_job_by_the_companys_own_posting_where_its_best_copy_stood():
    job = b"j" * 32
    copy = matched(posting(1, company="A", source="adzuna", fingerprint=job), 90)
    other = matched(posting(2, company="B", source="adzuna"), 80)
    own = matched(posting(3, company="A", source="lever", fingerprint=job), 70)
    chosen = select(profile(), [own, other, copy], frozenset({"lever"}))
    assert chosen == Selection(items=(own, other), left_out=LeftOut(repeats=1))
    assert select(profile(), [own, other, copy]).items == (copy, other)


def test_digest_shows_every_page_of_a_job_once():
    pages = [
        ("reed", "https://www.reed.example/3"),
        ("lever", "https://jobs.example/1"),
        ("adzuna", "https://adzuna.example/?a=1&b=<2>"),
        ("feed", "javascript:1"),
        ("reed", "https://www.reed.example/3"),
    ]
    also = tuple(Link(source=source, url=url) for source, url in pages)
    item = attrs.evolve(matched(posting(1)), also=also)
    digest = made(profile(), [item], credits={"reed": "Reed <3>"})
    assert (
        """\
    From ashby, jobs.example:
    https://jobs.example/1
    Also Reed <3>, www.reed.example:
    https://www.reed.example/3
    Also adzuna, adzuna.example:
    https://adzuna.example/?a=1&b=%3C2%3E

"""
        in digest.text
    )
    assert digest.html.count("Also ") == 2
    assert (
        '<a href="https://www.reed.example/3">Reed &lt;3&gt;</a> · www.reed.example' in digest.html
    )
    xml.dom.minidom.parseString(digest.html)


def test_digest_says_what_was_ranked_without_the_model_that_ranks_as_a_rule():
    local, ranked = matched(posting(1)), matched(posting(2))
    ranked = attrs.evolve(ranked, match=attrs.evolve(ranked.match, origin="gpt-6-luna"))
    whole = "Ranked locally, without the language model."
    part = "1 of 2 ranked locally, without the language model."
    assert whole in text_of(local, expects_model=True)
    assert part in text_of(local, ranked, expects_model=True)
    assert "locally" not in text_of(ranked, expects_model=True)
    assert "locally" not in text_of(local)
    assert part in made(profile(), (local, ranked), expects_model=True).html


def test_dedup_key_names_the_job_or_else_the_row():
    assert dedup_key(posting(5, fingerprint=b"\x01" * 32)) == "01" * 32
    assert dedup_key(posting(5)) == "row:5"


def test_text_of_a_digest_reads_well():
    salary = Salary(
        raw="45-52k", minimum=Decimal(45_000), maximum=Decimal(52_000), currency="EUR",
        interval=Interval.YEAR,
    )  # fmt: skip
    items = [
        matched(
            posting(1, title="Junior Data Analyst", salary=salary, source="remoteok"),
            reason="Matches “analyst” in the title; entry level; Berlin is in Europe",
            last_seen=ago(1).date(),
        ),
        matched(posting(2, title="Clerk", company=None, place="", days=None, url="javascript:1")),
    ]

    digest = made(
        profile(max_items=2),
        items,
        WEEK_AGO,
        Watch(
            boards=50,
            domains=11,
            unread=1,
            read=(ago(1 / 12), NOW),
            failing=(
                Failing(domain="a.example", boards=12, since=ago(2)),
                Failing(domain="b.example", boards=1, since=None),
            ),
        ),
        left_out=LeftOut(beyond_limit=3, beyond_company=2, repeats=1, closed=1),
        credits={"remoteok": "Remote OK"},
    )

    assert digest.subject == "2 jobs for berlin: Junior Data Analyst"
    assert (
        digest.text
        == f"""\
2 jobs for berlin                                                  12 Nov 2026
{"=" * 78}
Left out: 3 over the limit of 2, 2 more of companies shown already, 1 the same
as a job shown, 1 closed by now.

 1. Junior Data Analyst
    Kestrel GmbH · Berlin, Germany
    45,000–52,000 EUR a year · posted 2 days ago · seen open yesterday
    Why: Matches “analyst” in the title; entry level; Berlin is in Europe
    From Remote OK, jobs.example:
    https://jobs.example/1

 2. Clerk
    company not stated · place not stated
    first seen 2 days ago
    Why: Matches
    From ashby, no link:

{"-" * 78}
Watched: 50 boards at 11 sites, last read 12 Nov 2026 06:00 to 08:00 UTC.
Not read yet: 1 board.
Cannot be read now: a.example (12 boards) since 10 Nov 2026 08:00 UTC;
b.example (1 board) never read.
Sent by JobPing for the profile berlin, daily at 08:00 (UTC).
All matches:           jobping matches berlin
See what it asks for:  jobping profile show berlin
"""
    )


def test_html_says_what_the_text_says_and_loads_nothing():
    item = posting(title="Clerk <b>", company='"A" & Co')

    html = made(profile(), [matched(item)]).html

    body = html[html.index("<main>") :]
    assert (
        """<li>
<h2 dir="auto"><a href="https://jobs.example/1">Clerk &lt;b&gt;</a></h2>
<p><bdi>&quot;A&quot; &amp; Co</bdi> · <bdi>Berlin, Germany</bdi></p>
<p class="dim"><bdi>posted 2 days ago</bdi></p>
<p class="why"><bdi>Matches</bdi></p>
<p class="dim">From <a href="https://jobs.example/1">ashby</a> · jobs.example</p>
</li>"""
        in body
    )
    assert "default-src &#x27;none&#x27;" in html
    assert "prefers-color-scheme: dark" in html
    assert not any(word in html for word in ("src=", "url(", "@import", "<script", "<link"))


def test_empty_digest_says_that_nothing_is_new():
    digest = made(profile(), (), WEEK_AGO)

    assert digest.subject == "Nothing new for berlin"
    assert "No new posting matches this profile." in digest.text
    assert "<ol>" not in digest.html


@pytest.mark.parametrize(
    ("fields", "since", "watch", "mark"),
    [
        ({"news_at": ago(8), "first_seen_at": ago(9)}, WEEK_AGO, NONE_DOWN, "9 days ago"),
        ({"news_at": None, "first_seen_at": ago(40)}, WEEK_AGO, NONE_DOWN, "40 days ago"),
        ({"news_at": ago(1)}, WEEK_AGO, down("api.ashbyhq.com"), "2 days ago"),
        ({"news_at": ago(6)}, WEEK_AGO, down("other.example"), None),
        ({"news_at": WEEK_AGO}, WEEK_AGO, NONE_DOWN, None),
        ({"news_at": None, "first_seen_at": ago(3)}, None, NONE_DOWN, "3 days ago"),
    ],
)
def test_backfill_is_marked_with_its_age(fields, since, watch, mark):
    digest = made(profile(), [matched(posting(**fields))], since, watch)

    marked = f"from earlier: first seen {mark}"
    assert (f"[{marked}]" in digest.text) is (mark is not None)
    assert (marked in digest.html) is (mark is not None)
    assert ("1 of 1 from earlier, marked so." in digest.text) is (mark is not None)


def test_digest_says_why_it_carries_what_is_stored():
    items = [
        matched(posting(1)),
        matched(posting(2, news_at=None)),
        matched(posting(3, news_at=None, domain="b.example")),
        matched(posting(4, domain="a.example")),
    ]

    text = text_of(*items, watch=down("a.example", "b.example", "c.example"))

    head = " ".join(text.partition(" 1. ")[0].split())
    assert "3 of 4 from earlier, marked so." in head
    assert "2 from the database, for these sites cannot be read now: a.example, b.example." in head
    assert "1 from the database to fill up, for the boards list too little." in head
    assert "from the database" not in text_of(items[0])


def test_choice_takes_stock_only_to_fill_up():
    items = [
        matched(posting(1, company="A", news_at=None), 90),
        matched(posting(2, company="B"), 50),
        matched(posting(3, company="C", news_at=None), 70),
        matched(posting(4, company="D"), 40),
    ]

    assert [item.posting.id for item in select(profile(max_items=3), items).items] == [2, 4, 1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"place": "Berlin; Paris; Rome; Oslo"}, "Berlin / Paris / Rome and 1 more"),
        ({"place": "Berlin", "remote": Remote.YES}, "Berlin, remote"),
        ({"place": "Remote - EU", "remote": Remote.YES}, "Remote - EU"),
        ({"place": "", "remote": Remote.YES}, "remote"),
        ({"place": "Bonn", "remote": Remote.NO, "tags": ("hybrid",)}, "Bonn, hybrid"),
        ({"place": "", "remote": Remote.UNKNOWN}, "place not stated"),
    ],
)
def test_places_are_shown_with_remote_work(fields, said):
    assert f"    Kestrel GmbH · {said}\n" in text_of(matched(posting(**fields)))


@pytest.mark.parametrize(
    ("least", "most", "interval", "said"),
    [
        (30, 30, Interval.HOUR, "30 EUR an hour"),
        ("12.5", 15, Interval.HOUR, "12.50–15 EUR an hour"),
        (2_000, None, Interval.MONTH, "from 2,000 EUR a month"),
        (None, 300, Interval.DAY, "up to 300 EUR a day"),
        (1, 2, Interval.UNKNOWN, "1–2 EUR"),
        (None, None, Interval.YEAR, "as written"),
        ("NaN", None, Interval.YEAR, "as written"),
        (1, "1E+99999", Interval.YEAR, "as written"),
        (-5, 5, Interval.YEAR, "as written"),
    ],
)
def test_pay_is_shown_with_its_interval_or_as_written(least, most, interval, said):
    def amount(value):
        return None if value is None else Decimal(value)

    salary = Salary(
        raw="as\nwritten", minimum=amount(least), maximum=amount(most), currency="EUR",
        interval=interval,
    )  # fmt: skip
    assert facts(salary) == f"{said} · posted 2 days ago"


def test_pay_that_a_source_predicts_is_called_an_estimate():
    salary = Salary(
        raw="x", minimum=Decimal(5), maximum=None, currency="EUR", origin=SalaryOrigin.PREDICTED
    )

    assert facts(salary) == "from 5 EUR (estimate) · posted 2 days ago"


@pytest.mark.parametrize(
    ("days", "precision", "said"),
    [
        (0.01, Precision.EXACT, "posted just now"),
        (-3, Precision.EXACT, "posted just now"),
        (0.05, Precision.EXACT, "posted 1 hour ago"),
        (0.9, Precision.EXACT, "posted 21 hours ago"),
        (1.9, Precision.DATE, "posted yesterday"),
        (59, Precision.DATE, "posted 59 days ago"),
        (200, Precision.DATE, "posted 6 months ago"),
        (800, Precision.DATE, "posted 2 years ago"),
        (4, Precision.UPDATED, "updated 4 days ago"),
    ],
)
def test_age_is_said_as_people_say_it(days, precision, said):
    assert f"    {said}\n" in text_of(matched(posting(days=days, posted_precision=precision)))


HOSTILE = "Dev\r\nBcc: all@x\u2028\x0b\x85\x00\x1b[2J\u202e\u2066<script>alert(1)</script>" + (
    "\ud800\ufffe]]>&amp;<p onclick=x>\U000e0041" + "x" * 10_000
)


def test_hostile_posting_stays_text_on_lines_of_ours():
    item = posting(
        title=HOSTILE, company=HOSTILE, place=HOSTILE, url="https://a.example/\u202e\"'<x>",
        salary=Salary(raw=HOSTILE, currency=HOSTILE[:9]),
    )  # fmt: skip

    digest = made(
        profile(),
        [matched(item, reason=HOSTILE)],
        credits={"ashby": HOSTILE},
    )

    assert digest.subject.isprintable()
    assert len(digest.subject) <= 120
    assert all(line.isprintable() for line in digest.text.split("\n"))
    assert not any(line.startswith(("Bcc", ".")) for line in digest.text.splitlines())
    page = xml.dom.minidom.parseString(digest.html.encode())
    names = {element.tagName for element in page.getElementsByTagName("*")}
    assert names <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ol", "li"),
        *("a", "bdi", "span", "footer", "strong", "code"),
    }
    hrefs = {link.getAttribute("href") for link in page.getElementsByTagName("a")}
    assert hrefs == {"https://a.example/%22'%3Cx%3E"}


def test_title_is_cut_at_200_characters():
    html = made(profile(), [matched(posting(title="x" * 300))]).html

    assert f">{'x' * 199}…</a>" in html


def test_only_links_are_wider_than_the_terminal():
    item = posting(title="word " * 60, company="c" * 90, place="p" * 200)

    lines = text_of(matched(item, reason="because " * 40)).splitlines()

    assert [line for line in lines if len(line) > 78 and "://" not in line] == []


anything = st.text(alphabet=st.characters(), max_size=40)


@settings(max_examples=150, deadline=None)
@given(anything, anything, anything, anything)
def test_any_texts_make_a_well_formed_page_and_clean_lines(title, company, url, reason):
    item = attrs.evolve(
        posting(), draft=attrs.evolve(posting().draft, title=title, company=company, url=url)
    )

    digest = made(profile(), [matched(item, reason=reason)])

    xml.dom.minidom.parseString(digest.html.encode())
    assert "\n" not in digest.subject
    assert all(line == "".join(line.splitlines()) for line in digest.text.split("\n"))


def test_digest_carries_its_postings_as_values():
    salary = Salary(raw="52k", minimum=Decimal(52_000), currency="EUR", interval=Interval.YEAR)
    item = matched(posting(4, salary=salary), 77, reason="Fits", last_seen=NOW.date())

    [view] = made(profile(), [item], credits={"ashby": "Ashby"}).items

    assert view == ItemView(
        posting=4,
        score=77,
        title="Data Analyst",
        company="Kestrel GmbH",
        places="Berlin, Germany",
        pay="from 52,000 EUR a year",
        age="posted 2 days ago",
        seen="seen open today",
        earlier="",
        reason="Fits",
        source="Ashby",
        url="https://jobs.example/4",
        host="jobs.example",
        also=(),
    )


def test_footer_of_a_broken_world_stays_short():
    failing = tuple(Failing(domain=f"{n}.example", boards=2, since=NOW) for n in range(40))

    text = text_of(watch=Watch(boards=80, domains=40, failing=failing))

    assert "; and 60 boards more." in " ".join(text.split())
    assert "9.example" in text
    assert "10.example" not in text


def test_digest_says_when_it_is_sent_by_the_wish_of_its_profile():
    wanted = profile(digest=DigestWish(when=When.INSTANT))

    assert "bundled over 15 minutes" in made(wanted, []).html
    assert "bundled over 15 minutes" in made(wanted, []).text
