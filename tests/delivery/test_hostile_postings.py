"""What a posting tries to do to a mail, a page or a feed (design: out by mail and terminal)."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser

import pytest
from outgoing import TO, outgoing

from jobping.core.digest import Digest, compose
from jobping.core.digest_view import Watch
from jobping.core.schedule import DigestRules
from jobping.delivery import Relay
from jobping.delivery.feed import Entry, render_feed
from jobping.delivery.letter import write_letter
from tests.core.ranking_samples import NOW, matched, posting, profile
from tests.doubles.mail_server import Mail

MARKUP = [
    "<p onclick=x>Job</p>",
    "<script>alert(1)</script>",
    '<a href="javascript:alert(1)">Job</a>',
    '<a href="data:text/html,<script>x</script>">Job</a>',
    "<style>*{background:url(https://evil.example/x)}</style>",
    '<iframe src="https://evil.example/"></iframe>',
    "<svg onload=alert(1)><image href=https://evil.example/x.png /></svg>",
    '<div style="width:expression(alert(1))">',
    '<form action="https://evil.example/"><input name=x></form>',
    '<img src="https://evil.example/pixel.gif" width=1 height=1>',
    '<link rel=stylesheet href="https://evil.example/x.css">',
    "<b><i><table><tr><td>unclosed",
    "</main></body></html><!-- ",
    "]]></content></entry>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
OURS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ol", "li"),
    *("a", "bdi", "span", "footer", "strong", "code"),
}
ATTRIBUTES = {"href", "class", "dir", "lang", "charset", "content", "name", "http-equiv"}


class Seen(HTMLParser):
    """The elements, attributes and links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.links = set[str](), set[str](), list[str]()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attributes:
            self.attributes.add(name)
            if name == "href":
                self.links.append(value or "")


def digest_of(**fields: object) -> Digest:
    item = matched(posting(**fields), reason=str(fields.get("title", "")))
    return compose(
        profile(),
        [item],
        NOW,
        None,
        Watch(),
        credits={},
        expects_model=False,
        rules=DigestRules(),
    )


def mailed(digest: Digest) -> Mail:
    relay = Relay(host="relay.example", sender="jobs@sender.example")
    letter = write_letter(outgoing(digest=digest), TO, relay)
    return Mail(sender="", to=(TO,), content=letter, user=None, is_secured=True)


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_of_a_posting_stays_text(markup: str) -> None:
    mail = mailed(digest_of(title=markup, company=markup, place=markup))
    page = mail.part("html")
    seen = Seen(page)

    assert seen.tags <= OURS
    assert seen.attributes <= ATTRIBUTES
    assert set(seen.links) == {
        "https://jobs.example/1",
        "mailto:jobs@sender.example?subject=unsubscribe%20tok-1",
    }
    assert not re.search(
        r"url\(|@import|expression\(", re.findall("<style>.*</style>", page, re.S)[0]
    )
    assert mail.part("plain").strip()


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_of_a_posting_stays_text_in_the_feed(markup: str) -> None:
    page = digest_of(title=markup).html
    feed = render_feed("me", "urn:x", [Entry(id="1", page=page, href="x.html", updated=NOW)])

    assert set(re.findall(r"<([a-z]+)", feed)) == {
        *("feed", "id", "title", "updated", "author", "name", "link", "entry", "content"),
    }


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "x"])
def test_what_is_no_web_address_is_no_link(url: str) -> None:
    mail = mailed(digest_of(url=url))

    assert all(link.startswith("mailto:jobs@") for link in Seen(mail.part("html")).links)
    assert "no link" in mail.part("plain")


@pytest.mark.parametrize(
    ("title", "url", "host"),
    [
        ("https://bank.example/jobs", "https://evil.example/", "evil.example"),
        ("Job", "https://bücher.example/1", "xn--bcher-kva.example"),
        ("Job", "https://xn--80ak6aa92e.example/", "xn--80ak6aa92e.example"),
        ("Job", "https://pаypal.example/", "xn--pypal-4ve.example"),
    ],
)
def test_host_of_a_link_stands_beside_it(title: str, url: str, host: str) -> None:
    mail = mailed(digest_of(title=title, url=url))

    assert f" · {host}</p>" in mail.part("html")
    assert f", {host}:" in mail.part("plain")
