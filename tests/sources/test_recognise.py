import pytest

from jobping.sources import SOURCES
from jobping.sources.recognise import boards_in, feeds_in


@pytest.mark.parametrize(
    ("address", "source", "slug"),
    [
        ("https://boards.greenhouse.io/acme", "greenhouse", "acme"),
        ("https://job-boards.greenhouse.io/acme/jobs/4100001?x=1", "greenhouse", "acme"),
        ("https://boards.greenhouse.io/embed/job_board?for=acme&b=c", "greenhouse", "acme"),
        ("https://boards.greenhouse.io/embed/job_board/js?for=acme", "greenhouse", "acme"),
        ("https://boards-api.greenhouse.io/v1/boards/acme/jobs?content=true", "greenhouse", "acme"),
        ("https://jobs.lever.co/acme/11111111-aaaa", "lever", "acme"),
        ("https://api.lever.co/v0/postings/acme?mode=json", "lever", "acme"),
        ("https://jobs.ashbyhq.com/Hyperliquid%20Labs", "ashby", "Hyperliquid Labs"),
        ("https://jobs.ashbyhq.com/li.fi/aaaa", "ashby", "li.fi"),
        ("https://jobs.smartrecruiters.com/Acme/744", "smartrecruiters", "Acme"),
        ("https://careers.smartrecruiters.com/Acme", "smartrecruiters", "Acme"),
        ("https://apply.workable.com/acme/", "workable", "acme"),
        ("https://apply.workable.com/api/v1/widget/accounts/acme?details=true", "workable", "acme"),
        ("https://acme.recruitee.com/o/planner", "recruitee", "acme"),
        ("https://acme.jobs.personio.de/job/1", "personio", "acme"),
        ("https://acme.jobs.personio.com", "personio", "acme"),
        ("https://Acme.teamtailor.com/jobs", "teamtailor", "acme"),
        ("https://acme.bamboohr.com/careers/86", "bamboohr", "acme"),
        ("https://acme.breezy.hr/p/1-x", "breezy", "acme"),
        (
            "https://acme.wd3.myworkdayjobs.com/en-US/Careers/job/x/y_1",
            "workday",
            "acme:wd3:Careers",
        ),
        ("https://acme.wd3.myworkdayjobs.com/Careers", "workday", "acme:wd3:Careers"),
        (
            "https://acme.wd3.myworkdayjobs.com/wday/cxs/acme/Careers/jobs",
            "workday",
            "acme:wd3:Careers",
        ),
    ],
)
def test_address_names_a_board_that_its_source_can_have(address, source, slug):
    (board,) = boards_in(address)
    assert (board.source, board.slug) == (source, slug)
    next(known for known in SOURCES if known.name == source).check_slug(slug)


@pytest.mark.parametrize(
    "address",
    [
        "https://www.bamboohr.com/careers",
        "https://www.teamtailor.com",
        "https://support.breezy.hr/x",
        "https://apply.workable.com/j/A1B2",
        "https://apply.workable.com/api/v3",
        "https://notjobs.lever.co.example/acme",
        "https://evil-jobs.lever.co/acme",
        "https://careers.example.com",
        "",
    ],
)
def test_address_of_a_vendor_or_a_stranger_names_none(address):
    assert boards_in(address) == []


def test_page_names_the_boards_that_it_links_to_the_most_frequent_first():
    page = (
        '<a href="https://jobs.lever.co/acme/1">'
        '<iframe src="https://boards.greenhouse.io/embed/job_board?for=beta"></iframe>'
        '<a href="https://boards.greenhouse.io/beta/jobs/2">'
    )
    assert [(board.source, board.slug) for board in boards_in(page)] == [
        ("greenhouse", "beta"),
        ("lever", "acme"),
    ]


def test_page_names_its_feeds():
    page = (
        '<link rel="alternate" type="application/rss+xml" href="/jobs.rss?lang=en">'
        "<link type='application/atom+xml' href='https://feeds.example.com/a.xml'>"
        '<link rel="stylesheet" href="/x.css"><link type="application/rss+xml">'
    )
    assert [board.slug for board in feeds_in(page, "https://example.com/careers")] == [
        "example.com/jobs.rss?lang=en",
        "feeds.example.com/a.xml",
    ]
