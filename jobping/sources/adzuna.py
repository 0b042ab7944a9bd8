"""Adzuna: pages of a query in one country; texts are cut at 500 characters; it needs two keys."""

import re
from decimal import Decimal
from urllib.parse import quote, urlencode, urlsplit

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import place
from jobping.core.posting import PostingDraft, Remote, Salary, SalaryOrigin
from jobping.core.quota import Quota, Span
from jobping.core.salary import size_interval, stated_salary
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import line, lines, number_in, query_of, query_slug, with_query
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

PAGE_SIZE = 50
NAMELESS = "company not specified"
CURRENCIES = {
    "gb": "GBP", "ch": "CHF", "pl": "PLN", "us": "USD", "ca": "CAD", "au": "AUD", "nz": "NZD",
    "in": "INR", "sg": "SGD", "br": "BRL", "mx": "MXN", "za": "ZAR",
} | dict.fromkeys(("de", "fr", "nl", "es", "it", "at", "be"), "EUR")  # fmt: skip
"""The countries that it has, and what is paid there."""
_PAGE = re.compile(r"/jobs/([a-z]{2})/search/(\d{1,4})")
_TRACKED = re.compile(rb'("redirect_url":\s*"[^"?]*)\?[^"]*')


@attrs.frozen(kw_only=True)
class Named:
    """A company or a place."""

    display_name: str | None = None
    area: list[str] | None = None


@attrs.frozen(kw_only=True)
class Category:
    """What kind of work."""

    label: str | None = None
    tag: str | None = None


@attrs.frozen(kw_only=True)
class Job:
    """One item of `results`; most pay is a prediction."""

    id: int | str
    title: str
    redirect_url: str
    company: Named | None = None
    location: Named | None = None
    category: Category | None = None
    description: str | None = None
    created: str | None = None
    contract_time: str | None = None
    contract_type: str | None = None
    salary_min: Decimal | None = None
    salary_max: Decimal | None = None
    salary_is_predicted: int | str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """One page."""

    results: list[msgspec.Raw]
    count: int | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="adzuna", expected="an object with `results`")
    path = urlsplit(page.url).path
    found = _PAGE.search(path)
    is_last = len(answer.results) < number_in(page.url, "results_per_page", PAGE_SIZE)
    if found is None or is_last:
        return Listing(items=answer.results, total=answer.count)
    number = str(int(found.group(2)) + 1)
    here = urlsplit(page.url)._replace(path=path[: found.start(2)] + number + path[found.end(2) :])
    following = PageRequest(url=here.geturl())
    return Listing(items=answer.results, total=answer.count, following=following)


def _head(job: Job, _board: Board) -> Head:
    company = line(job.company.display_name) if job.company else None
    is_named = (company or "").lower() != NAMELESS
    return Head(
        title=html_to_text(job.title), company=company if is_named else None, url=job.redirect_url
    )


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    country = _PAGE.search(urlsplit(page.url).path)
    code = country.group(1) if country else ""
    filled = attrs.evolve(
        draft,
        locations=place(job.location.display_name, country=code) if job.location else (),
        remote=Remote.UNKNOWN,
        description=html_to_text(job.description or ""),
        salary=_salary(job, CURRENCIES.get(code)),
        employment=lines(job.contract_time, job.contract_type),
        department=line(job.category.label) if job.category else None,
        tags=lines(job.category.tag) if job.category else (),
    )
    return dates.posted(filled, dates.iso(job.created), page.fetched_at)


def _salary(job: Job, currency: str | None) -> Salary | None:
    """Return the pay; its interval is never sent, so that its size has to say it."""
    is_predicted = str(job.salary_is_predicted) == "1"
    return stated_salary(
        "",
        minimum=job.salary_min,
        maximum=job.salary_max,
        currency=currency,
        interval=size_interval(job.salary_min or job.salary_max),
        origin=SalaryOrigin.PREDICTED if is_predicted else SalaryOrigin.INFERRED,
    )


def _path(slug: str) -> str:
    query = dict(query_of(slug))
    country = query.pop("country")
    fixed = {"results_per_page": str(PAGE_SIZE), "max_days_old": "7", "sort_by": "date", **query}
    return f"/v1/api/jobs/{country}/search/1?{urlencode(fixed, quote_via=quote)}"


def _dress(request: PageRequest, keys: tuple[str, ...]) -> PageRequest:
    if not keys:
        return request
    return attrs.evolve(request, url=with_query(request.url, app_id=keys[0], app_key=keys[1]))


_QUERY = query_slug("what", "where", "category", "max_days_old", "distance").pattern

ADZUNA = ItemSource(
    name=SourceName("adzuna"),
    coverage=Coverage.QUERY,
    terms=Terms(credit="Adzuna", hands_on=True, note="needs two keys; its links as sent"),
    pace=Pace(
        per_hour=1_200,
        min_gap_s=2.5,
        quotas=(
            Quota(Span.MINUTE, 25),
            Quota(Span.DAY, 50),
            Quota(Span.WEEK, 1_000),
            Quota(Span.MONTH, 2_500),
        ),
        poll_every_s=24 * 3600,
    ),
    base_url="https://api.adzuna.com",
    path=_path,
    dress=_dress,
    credentials=("JOBPING_ADZUNA_APP_ID", "JOBPING_ADZUNA_APP_KEY"),
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(rf"country:(?:{'|'.join(CURRENCIES)})(?:;(?:{_QUERY.partition('|')[2]}))?"),
    slug_help="as country:gb;where:London;what:graduate analyst, in the words of its API",
    stable=lambda raw: _TRACKED.sub(rb"\1", raw),
    page_cap=3,
)
