"""When two postings are one advertisement, and when one posting has changed."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable

from jobping.core.places import name_in_country, part_of_town
from jobping.core.posting import Location, PostingDraft, Salary

_VERSION, _CONTENT_VERSION = 2, 1

_GENDER = re.compile(
    r"[(\[]\s*(?:(?:all|any|alle)\s+(?:genders?|geschlechter)|gn|"
    r"[mwfdxhi](?:\s*[/|,*+]\s*(?:[mwfdxhi]|div|nb|diverse?|gn)){1,4})\s*[)\]]"
    r"|(?<!\w)[mwf]\s?/\s?[mwf](?:\s?/\s?[dx])?(?!\w)|(?<!\w)all genders(?!\w)"
)
_LEGAL = re.compile(
    r"(?<!\w)(?:(?:gmbh|se|ag|ug)\s*(?:&|und)\s*co\.?\s*(?:kgaa|kg|ohg)?|ggmbh|gmbh|mbh|kgaa|ohg|"
    r"ltd|limited|llc|llp|plc|inc|incorporated|corp|corporation|sp\.?\s?z\.?\s?o\.?\s?o|"
    r"(?:ag|se|kg|ug|lp|pte|pty|sas|sarl|srl|spa|sl|sa|bv|nv|aps|as|ab|asa|oy|oyj|sro|ev|a/s|"
    r"s\.\s?a\.\s?s|s\.\s?a\.\s?r\.\s?l|s\.\s?r\.\s?l|s\.\s?p\.\s?a|s\.\s?l|s\.\s?a|b\.\s?v|n\.\s?v|"
    r"s\.\s?r\.\s?o|e\.\s?v)(?=[\s.,)]*$))(?!\w)\.?"
)
_OTHER = re.compile(r"[^\w+#]+")


def fold_title(title: str) -> str:
    """Return a title without case, gender marks, punctuation and repeated blanks."""
    return _words(_GENDER.sub(" ", _plain(title)))


def fold_company(company: str) -> str:
    """Return a company's name without case, legal form, punctuation and repeated blanks.

    A name that is nothing but a legal form stays.
    """
    plain = _plain(company)
    return _words(_LEGAL.sub(" ", plain)) or _words(plain)


def fingerprint(draft: PostingDraft) -> bytes | None:
    """Return 32 bytes that name an advertisement across sources; None: the company is unknown.

    It covers title, company, places, pay and words of the text. The order of places has no effect.
    What is one job although it is written otherwise: `same_job`.
    """
    company = fold_company(draft.company) if draft.company else ""
    title = fold_title(draft.title)
    if not company or not title:
        return None
    pay = _pay(draft.salary)
    text = _words(_plain(draft.description))
    key = json.dumps([_VERSION, title, company, _places(draft.locations), pay and pay[1:], text])
    return hashlib.sha256(key.encode()).digest()


def content_hash(draft: PostingDraft) -> bytes:
    """Return 16 bytes over what a reader would call the content; only this says "changed".

    Places and employment are sets: their order has no effect.
    """
    key = json.dumps(
        [
            _CONTENT_VERSION,
            draft.title,
            draft.company,
            sorted([[place.raw, place.country or ""] for place in draft.locations]),
            draft.description,
            _pay(draft.salary),
            sorted(draft.employment),
        ]
    )
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def _places(locations: Iterable[Location]) -> list[str]:
    """Return the places in order, by country and town where known, else by their text."""
    return sorted(
        {
            f"{place.country}|{name_in_country(place)}|{part_of_town(place)}"
            if place.country
            else _words(_plain(place.raw))
            for place in locations
        }
    )


def _pay(salary: Salary | None) -> list[str | None] | None:
    """Return pay as values that compare equal when they mean the same."""
    if salary is None:
        return None
    amounts = (salary.minimum, salary.maximum)
    shown = [None if amount is None else f"{amount.normalize():f}" for amount in amounts]
    return [salary.raw, *shown, salary.currency, salary.interval.value]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _words(text: str) -> str:
    return " ".join(_OTHER.sub(" ", text).split())
