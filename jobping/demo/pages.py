"""What the boards of invented postings answer for one posting: its page, with JobPosting in it.

Source:
    schema.org/JobPosting and the paths of the vendors; that their pages carry it was never seen.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from jobping.core.ids import SourceName
from jobping.demo.answers import HTML, JSON, Whole
from jobping.demo.jobs import Company, Job, Pay
from jobping.demo.shapes import html_of, recruitee_path
from jobping.demo.world import Extra

_GERMAN: Final = {
    "full": ("Festanstellung", "Vollzeit"),
    "part": ("Festanstellung", "Teilzeit"),
    "student": ("Werkstudent", "Teilzeit"),
    "intern": ("Praktikant", "Vollzeit"),
}
"""Kind and hours of work as Personio's search writes them."""
_EMPLOYMENT: Final = {"full": "FULL_TIME", "intern": "INTERN"}


def pages_of(source: SourceName, company: Company, jobs: Sequence[Job]) -> Iterator[Extra]:
    """Yield what a source answers beside its lists, for those that have pages of their own."""
    slug = quote(company.slug, safe="")
    match source:
        case "ashby":
            for job in jobs:
                yield _page(source, f"/{slug}/{job.uuid}", job, job.uuid)
        case "recruitee":
            for job in jobs:
                yield _page(source, f"/{slug}{recruitee_path(job)}", job, str(job.number))
        case "personio":
            found = msgspec.json.encode([_found(job) for job in jobs])
            yield Extra(source, f"/{slug}/search.json", Whole(found, JSON))
            for job in jobs:
                yield _page(source, f"/{slug}/job/{job.number}", job, str(job.number))
        case _:
            pass


def _found(job: Job) -> dict[str, str]:
    kind, hours = _GERMAN[job.role.employment]
    return {
        "id": str(job.number),
        "name": job.role.title,
        "subcompany": job.company.name,
        "office": job.city.name,
        "department": job.role.department,
        "employment_type": kind,
        "schedule": hours,
    }


def _page(source: SourceName, path: str, job: Job, id: str) -> Extra:
    data = msgspec.json.encode(_job_posting(job, id)).replace(b"</", b"<\\/")
    head = b'<!doctype html>\n<title>Job</title>\n<script type="application/ld+json">%b</script>\n'
    return Extra(source, path, Whole(head % data + html_of(job).encode(), HTML))


def _job_posting(job: Job, id: str) -> dict[str, object]:
    address = {
        "@type": "PostalAddress",
        "addressLocality": job.city.name,
        "addressRegion": job.city.region,
        "addressCountry": job.city.code,
    }
    fields: dict[str, object] = {
        "@context": "https://schema.org/",
        "@type": "JobPosting",
        "identifier": {"@type": "PropertyValue", "name": job.company.name, "value": id},
        "title": job.role.title,
        "description": html_of(job),
        "datePosted": f"{job.posted_at:%Y-%m-%d}",
        "hiringOrganization": {"@type": "Organization", "name": job.company.name},
        "jobLocation": [{"@type": "Place", "address": address}],
        "employmentType": _EMPLOYMENT.get(job.role.employment, "PART_TIME"),
    }
    if job.is_remote:
        fields["jobLocationType"] = "TELECOMMUTE"
    return fields | ({"baseSalary": _salary(job.pay)} if job.pay else {})


def _salary(pay: Pay) -> dict[str, object]:
    value = {
        "@type": "QuantitativeValue",
        "minValue": pay.minimum,
        "maxValue": pay.maximum,
        "unitText": pay.interval.upper(),
    }
    return {"@type": "MonetaryAmount", "currency": pay.currency, "value": value}
