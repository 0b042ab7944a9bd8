"""The invented postings as each source would write them.

Source:
    Keys and traps as recorded in answers of the real sites: Greenhouse escapes its HTML once more,
    Remote OK breaks UTF-8 and adds a line about its reader, Jobicy writes pay as text.
"""

import html
import re
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

import msgspec

from jobping.core.ids import SourceName
from jobping.demo.feeds import WORD
from jobping.demo.jobs import Job, Pay
from jobping.demo.phrases import EMPLOYMENT

READER: Final = "RMTI3LjAuMC4x"
"""What Remote OK makes of its reader's address, here 127.0.0.1."""

_EMPLOYMENT: Final = {
    "greenhouse": ("Full-time", "Part-time", "Working Student", "Internship"),
    "ashby": ("FullTime", "PartTime", "PartTime", "Intern"),
    "recruitee": ("fulltime_permanent", "parttime_permanent", "parttime_fixed_term", "internship"),
    "personio": ("permanent", "permanent", "working_student", "intern"),
    "remotive": ("full_time", "part_time", "part_time", "internship"),
}
"""The words of each source for the kinds of `EMPLOYMENT`."""
_LEVELS: Final = {
    "intern": ("internship", "Internship", "student"),
    "entry": ("entry_level", "Entry Level", "entry-level"),
    "mid": ("associate", "Associate", "experienced"),
    "senior": ("mid_senior_level", "Mid-Senior Level", "experienced"),
    "lead": ("director", "Director", "executive"),
}
"""The level as SmartRecruiters' id and label, and as Personio writes it."""


def greenhouse(job: Job) -> bytes:
    """Return an item of Greenhouse."""
    place = f"{job.city.name}, {job.city.country}"
    kind = {"id": 4_000_001, "name": "Employment Type", "value_type": "single_select"}
    return _json(
        absolute_url=f"https://job-boards.greenhouse.io/{job.company.slug}/jobs/{job.number}",
        internal_job_id=job.number + 1,
        location={"name": f"Remote - {job.city.country}" if job.is_remote else place},
        metadata=[kind | {"value": _employment(job, "greenhouse")}],
        id=job.number,
        updated_at=job.posted_at.isoformat(),
        requisition_id=f"R-{job.number % 10_000}",
        title=job.role.title,
        company_name=f"{job.company.name} ",
        first_published=job.posted_at.isoformat(),
        language=job.language,
        application_deadline=None,
        content=html.escape(html_of(job)),
        departments=[{"id": 1, "name": job.role.department, "child_ids": [], "parent_id": None}],
        offices=[{"id": 2, "name": job.city.name, "location": place, "child_ids": []}],
    )


def lever(job: Job) -> bytes:
    """Return an item of Lever."""
    place = f"{job.city.name}, {job.city.country}"
    url = f"https://jobs.lever.co/{_company(job)}/{job.uuid}"
    duties = "".join(f"<li>{html.escape(duty)}</li>" for duty in job.duties)
    fields = {
        "id": job.uuid,
        "text": job.role.title,
        "categories": {
            "commitment": _employment(job, "greenhouse"),
            "department": job.role.department,
            "location": place,
            "team": job.role.department,
            "allLocations": [place],
        },
        "country": job.city.code,
        "createdAt": int(job.posted_at.timestamp() * 1000),
        "description": f"<div>{html.escape(job.paragraphs[0])}</div>",
        "descriptionPlain": job.paragraphs[0],
        "lists": [{"text": job.role.department, "content": duties}],
        "additional": "".join(f"<div>{html.escape(part)}</div>" for part in job.paragraphs[1:]),
        "additionalPlain": "\n".join(job.paragraphs[1:]),
        "workplaceType": _workplace(job),
        "hostedUrl": url,
        "applyUrl": f"{url}/apply",
    }
    if job.pay:
        interval = f"per-{job.pay.interval}-salary"
        fields["salaryRange"] = _range(job.pay) | {"interval": interval}
    return _json(**fields)


def ashby(job: Job) -> bytes:
    """Return an item of Ashby."""
    url = f"https://jobs.ashbyhq.com/{_company(job)}/{job.uuid}"
    components = []
    if job.pay:
        components.append(
            {
                "compensationType": "Salary",
                "interval": f"1 {job.pay.interval.upper()}",
                "currencyCode": job.pay.currency,
                "minValue": job.pay.minimum,
                "maxValue": job.pay.maximum,
            }
        )
    address = {
        "addressRegion": job.city.region,
        "addressCountry": job.city.country,
        "addressLocality": job.city.name,
    }
    return _json(
        id=job.uuid,
        title=f"{job.role.title} ",
        department=job.role.department,
        team=job.role.department,
        employmentType=_employment(job, "ashby"),
        location=job.city.name,
        secondaryLocations=[],
        publishedAt=job.posted_at.isoformat(timespec="milliseconds"),
        isListed=True,
        isRemote=job.is_remote,
        address={"postalAddress": address},
        jobUrl=url,
        applyUrl=f"{url}/application",
        descriptionHtml=html_of(job),
        descriptionPlain="\n\n".join(job.paragraphs),
        compensation={
            "compensationTierSummary": _pay_text(job.pay) or None,
            "compensationTiers": [],
            "summaryComponents": components,
        },
    )


def recruitee(job: Job) -> bytes:
    """Return an item of Recruitee."""
    url = f"https://{job.company.slug}.recruitee.com{recruitee_path(job)}"
    published = f"{job.posted_at:%Y-%m-%d %H:%M:%S} UTC"
    place = {
        "id": 1,
        "name": job.city.name,
        "city": job.city.local,
        "state": job.city.region,
        "country": job.city.country,
        "country_code": job.city.code,
    }
    pay = _range(job.pay) if job.pay else {"min": None, "max": None, "currency": None}
    return _json(
        id=job.number,
        guid=f"{job.number:x}",
        slug=slug_of(job),
        status="published",
        title=job.role.title,
        company_name=job.company.name,
        department=job.role.department,
        description=f"<p>{html.escape(job.paragraphs[0])}</p>{_duties(job)}",
        requirements="".join(f"<p>{html.escape(part)}</p>" for part in job.paragraphs[1:]),
        locations=[place],
        location=f"{job.city.local}, {job.city.country}",
        city=job.city.local,
        country=job.city.country,
        country_code=job.city.code,
        remote=bool(job.is_remote),
        hybrid=job.is_remote is None,
        on_site=job.is_remote is False,
        salary={key: value and str(value) for key, value in pay.items()}
        | {"period": job.pay.interval if job.pay else None},
        employment_type_code=_employment(job, "recruitee"),
        category_code="other",
        experience_code=_LEVELS[job.role.level][0],
        created_at=published,
        published_at=published,
        close_at=None,
        tags=[],
        careers_url=url,
        careers_apply_url=f"{url}/c/new",
        mailbox_email="jobs@demo.invalid",
    )


def recruitee_path(job: Job) -> str:
    """Return where the offer's own page lies."""
    return f"/o/{slug_of(job)}-{job.number % 100_000}"


def smartrecruiters(job: Job) -> bytes:
    """Return a detail of SmartRecruiters; the list leaves out what stands last."""
    identifier, label, _ = _LEVELS[job.role.level]
    department = {"id": job.role.department.lower(), "label": job.role.department}
    root = "https://api.smartrecruiters.com/v1/companies"
    return _json(
        id=str(job.number),
        name=job.role.title,
        uuid=job.uuid,
        refNumber=f"REF{job.number % 10_000}X",
        company={"identifier": job.company.slug, "name": job.company.name},
        releasedDate=f"{job.posted_at:%Y-%m-%dT%H:%M:%S}.000Z",
        location={
            "city": job.city.name,
            "region": job.city.region,
            "country": job.city.code.lower(),
            "remote": bool(job.is_remote),
        },
        industry={"id": "other", "label": "Other"},
        department=department,
        function=department,
        typeOfEmployment={"label": _employment(job, "greenhouse")},
        experienceLevel={"id": identifier, "label": label},
        customField=[],
        ref=f"{root}/{job.company.slug.lower()}/postings/{job.number}",
        creator={"name": "Demo"},
        language={"code": job.language, "label": job.language},
        postingUrl=f"https://jobs.smartrecruiters.com/{job.company.slug}/{job.number}-{slug_of(job)}",
        jobAd={"sections": {"jobDescription": {"title": "Job", "text": html_of(job)}}},
    )


def personio(job: Job) -> bytes:
    """Return a position of Personio, in XML."""
    fields = {
        "id": str(job.number),
        "subcompany": job.company.name,
        "office": job.city.name,
        "department": job.role.department,
        "recruitingCategory": job.role.department,
        "name": job.role.title,
    }
    rest = {
        "employmentType": _employment(job, "personio"),
        "seniority": _LEVELS[job.role.level][2],
        "schedule": "part-time" if job.role.employment in ("part", "student") else "full-time",
        "occupation": "other",
        "occupationCategory": "other",
        "createdAt": job.posted_at.isoformat(),
    }
    text = _element("name", job.role.department) + f"<value><![CDATA[{html_of(job)}]]></value>"
    texts = f"<jobDescriptions><jobDescription>{text}</jobDescription></jobDescriptions>"
    inner = "".join(_element(name, value) for name, value in fields.items()) + texts
    inner += "".join(_element(name, value) for name, value in rest.items())
    return f"<position>{inner}</position>".encode()


def remoteok(job: Job) -> bytes:
    """Return an item of Remote OK: UTF-8 read as Latin-1, and a line that differs per request."""
    slug = f"{slug_of(job)}-{job.number}"
    url = f"https://remoteOK.com/remote-jobs/{slug}"
    line = (
        f"<br/><br/>Please mention the word **{WORD.decode()}** and tag {READER} "
        f"when applying to show you read the job post completely (#{READER})."
    )
    pay = job.pay if job.pay and job.pay.interval == "year" else None
    return _json(
        slug=slug,
        id=str(job.number),
        epoch=int(job.posted_at.timestamp()),
        date=job.posted_at.isoformat(),
        company=_mojibake(job.company.name),
        company_logo="",
        position=_mojibake(job.role.title),
        tags=[job.role.department.lower(), job.role.level, job.role.level],
        description=_mojibake(html_of(job)) + line,
        location=_mojibake(job.city.country),
        salary_min=pay.minimum if pay else 0,
        salary_max=pay.maximum if pay else 0,
        apply_url=url,
        logo="",
        url=url,
    )


def jobicy(job: Job) -> bytes:
    """Return an item of Jobicy."""
    number = job.number % 10_000_000
    fields = {
        "id": number,
        "url": f"https://jobicy.com/jobs/{number}-{slug_of(job)}",
        "jobSlug": f"{number}-{slug_of(job)}",
        "jobTitle": html.escape(job.role.title),
        "companyName": html.escape(job.company.name),
        "companyLogo": "",
        "jobIndustry": [job.role.department],
        "jobType": [_employment(job, "greenhouse").lower()],
        "jobGeo": f"Europe,  {job.city.country}",
        "jobLevel": _LEVELS[job.role.level][1],
        "jobExcerpt": job.paragraphs[0],
        "jobDescription": html_of(job),
        "pubDate": f"{job.posted_at:%Y-%m-%d %H:%M:%S}",
    }
    if job.pay and job.pay.interval == "year":
        fields["annualSalaryMin"] = str(job.pay.minimum)
        fields["annualSalaryMax"] = str(job.pay.maximum)
        fields["salaryCurrency"] = job.pay.currency
    return _json(**fields)


def remotive(job: Job) -> bytes:
    """Return an item of Remotive."""
    number = job.number % 10_000_000
    return _json(
        id=number,
        url=f"https://remotive.com/remote-jobs/all-others/{slug_of(job)}-{number}",
        title=job.role.title,
        company_name=job.company.name,
        company_logo=f"https://remotive.com/job/{number}/logo",
        category=job.role.department,
        tags=[job.role.department.lower(), f"{job.role.level} "],
        job_type=_employment(job, "remotive"),
        publication_date=f"{job.posted_at:%Y-%m-%dT%H:%M:%S}",
        candidate_required_location=f"Europe, {job.city.country}",
        salary=_pay_text(job.pay),
        description=html_of(job),
    )


def arbeitnow(job: Job) -> bytes:
    """Return an item of Arbeitnow."""
    slug = f"{slug_of(job)}-{job.number % 1_000_000}"
    return _json(
        slug=slug,
        company_name=job.company.name,
        title=job.role.title,
        description=html.escape(html_of(job)),
        remote=bool(job.is_remote),
        url=f"https://www.arbeitnow.com/jobs/companies/{_company(job)}/{slug}",
        tags=[job.role.department],
        job_types=[] if job.role.employment == "full" else [job.role.employment],
        location=f"{job.city.name}, {job.city.country}",
        created_at=int(job.posted_at.timestamp()),
    )


SHAPES: Final = {
    SourceName("greenhouse"): greenhouse,
    SourceName("lever"): lever,
    SourceName("ashby"): ashby,
    SourceName("recruitee"): recruitee,
    SourceName("smartrecruiters"): smartrecruiters,
    SourceName("personio"): personio,
    SourceName("remoteok"): remoteok,
    SourceName("jobicy"): jobicy,
    SourceName("remotive"): remotive,
    SourceName("arbeitnow"): arbeitnow,
}
"""How each source writes a posting."""


def _json(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


def html_of(job: Job) -> str:
    """Return the text as most sources write it."""
    first, *others = (f"<p>{html.escape(part, quote=False)}</p>" for part in job.paragraphs)
    return first + _duties(job) + "".join(others)


def _duties(job: Job) -> str:
    items = "".join(f"<li>{html.escape(duty, quote=False)}</li>" for duty in job.duties)
    return f"<ul>{items}</ul>"


def slug_of(job: Job) -> str:
    """Return the title as it stands in links."""
    return re.sub(r"[^a-z0-9]+", "-", job.role.title.lower()).strip("-")


def _company(job: Job) -> str:
    return quote(job.company.slug)


def _range(pay: Pay) -> dict[str, int | str]:
    return {"min": pay.minimum, "max": pay.maximum, "currency": pay.currency}


def _pay_text(pay: Pay | None) -> str:
    return f"{pay.currency} {pay.minimum:,} - {pay.maximum:,} per {pay.interval}" if pay else ""


def _employment(job: Job, source: str) -> str:
    return _EMPLOYMENT[source][EMPLOYMENT.index(job.role.employment)]


def _workplace(job: Job) -> str:
    return {True: "remote", False: "onsite", None: "hybrid"}[job.is_remote]


def _mojibake(text: str) -> str:
    return text.encode().decode("latin-1")


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"
