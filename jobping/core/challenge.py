"""Is a 200 a page for people that stands in the way: a captcha or a login form?"""

import enum
import re
from typing import Final

from jobping.core.page import Page

READ_BYTES: Final = 65_536
"""Such pages are small, and their marks stand near the beginning."""
_HTML: Final = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|title|meta|body|script|form)\b",
    re.I | re.S,
)
_CAPTCHA: Final = re.compile(
    rb"captcha|cf-chl|challenge-platform|just a moment\.\.\.|datadome|_incapsula_|perimeterx"
    rb"|unusual traffic|verify (?:that )?you are (?:a )?human|are you (?:a )?human",
    re.I,
)
_LOGIN: Final = re.compile(rb"type\s*=\s*[\"']?password\b", re.I)


class Challenge(enum.StrEnum):
    """What stands in the way."""

    CAPTCHA = "captcha"
    LOGIN = "login"


def challenge_of(page: Page) -> Challenge | None:
    """Return what stands in the way where data was asked for, or None.

    Source:
        `cf-mitigated: challenge`: Cloudflare, "Detect a Challenge Page response". The other marks
        are those of the common products; a page of markup without any is for the parser to refuse.
    """
    if "challenge" in (page.header("cf-mitigated") or ""):
        return Challenge.CAPTCHA
    read = page.body[:READ_BYTES]
    if not page.media_type.endswith("html") and not _HTML.match(read):
        return None
    if b"JobPosting" in page.body:
        return None  # a posting's page, with a form to apply
    if _CAPTCHA.search(read):
        return Challenge.CAPTCHA
    return Challenge.LOGIN if _LOGIN.search(read) else None
