import datetime as dt

import pytest

from jobping.core.challenge import Challenge, challenge_of
from jobping.core.page import Page

HTML, JSON = "text/html; charset=utf-8", "application/json"


def page(body: bytes, media: str, *headers: tuple[str, str]) -> Page:
    return Page(
        url="https://boards.example/jobs",
        status=200,
        headers=(("content-type", media), *headers),
        body=body,
        fetched_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
    )


@pytest.mark.parametrize(
    ("body", "media", "expected"),
    [
        (b"<title>Just a moment...</title>", HTML, Challenge.CAPTCHA),
        (b"<html><div class='g-recaptcha'></div>", HTML, Challenge.CAPTCHA),
        (b"\n<!DOCTYPE html><script src=//geo.captcha-delivery.com>", JSON, Challenge.CAPTCHA),
        (b"<form><input type=password name=p></form>", HTML, Challenge.LOGIN),
        (b'<html><input TYPE = "password">', "", Challenge.LOGIN),
        (b"<h1>Maintenance</h1>", HTML, None),
        (b'{"text": "<input type=password> captcha"}', JSON, None),
        (b"<workzag-jobs>captcha expert</workzag-jobs>", "text/xml", None),
        (b"", HTML, None),
        (b'<html>"@type":"JobPosting"<form class="g-recaptcha"></form>', HTML, None),
    ],
)
def test_page_for_people_is_told_by_its_marks(
    body: bytes, media: str, expected: Challenge | None
) -> None:
    assert challenge_of(page(body, media)) is expected


def test_header_of_the_shield_says_it_whatever_the_body_is() -> None:
    assert challenge_of(page(b"{}", JSON, ("cf-mitigated", "challenge"))) is Challenge.CAPTCHA
