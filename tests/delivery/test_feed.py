import datetime as dt
import os
import re
from pathlib import Path
from xml.dom import minidom

import attrs
from hypothesis import given
from hypothesis import strategies as st
from outgoing import ID, outgoing

from jobping.core.digest import Digest
from jobping.delivery import FilesDelivery
from jobping.delivery.feed import MOST_CHARACTERS, MOST_ENTRIES, Entry, render_feed

NOW = dt.datetime(2026, 11, 12, 8, 0, 1, 999_999, tzinfo=dt.UTC)
PAGE = (
    "<html><head><title>1 job: A &amp; B &lt;x&gt;</title></head><body>\n"
    '<main>\n<a href="https://a.example/?a=1&amp;b=2">A &amp; B &lt;script&gt;</a>\n</main>\n'
    "</body></html>"
)
ENTRY = Entry(id=ID, page=PAGE, href="2026-11-12T0800_x.html", updated=NOW)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def texts(element: minidom.Element | minidom.Document, name: str) -> list[str]:
    found = element.getElementsByTagNameNS("http://www.w3.org/2005/Atom", name)
    return ["".join(node.data for node in one.childNodes) for one in found]


def test_feed_has_what_the_standard_asks_for_and_nothing_unescaped() -> None:
    feed = minidom.parseString(render_feed("me", "urn:uuid:1", [ENTRY]).encode())

    assert feed.documentElement.tagName == "feed"
    assert texts(feed, "id") == ["urn:uuid:1", f"urn:uuid:{ID}"]
    assert texts(feed, "title") == ["JobPing: me", "1 job: A & B <x>"]
    assert texts(feed, "updated") == ["2026-11-12T08:00:01Z"] * 2
    assert texts(feed, "name") == ["JobPing"]
    [content] = feed.getElementsByTagName("content")
    assert content.getAttribute("type") == "html"
    assert texts(feed, "content") == [PAGE.partition("<main>")[2].partition("</main>")[0]]
    links = [
        (one.getAttribute("rel"), one.getAttribute("href"))
        for one in feed.getElementsByTagName("link")
    ]
    assert links == [("self", "feed.atom"), ("alternate", "2026-11-12T0800_x.html")]
    children = {node.nodeName for node in feed.getElementsByTagName("entry")[0].childNodes}
    assert children == {"#text", "id", "title", "updated", "link", "content"}


def test_feed_is_bounded_by_entries_and_by_size() -> None:
    many = render_feed("me", "urn:x", [ENTRY] * 100)
    large = attrs.evolve(ENTRY, page=PAGE.replace("script", "s" * (MOST_CHARACTERS // 4)))
    largest = attrs.evolve(ENTRY, page=PAGE.replace("script", "s" * (2 * MOST_CHARACTERS)))

    assert many.count("<entry>") == MOST_ENTRIES
    assert render_feed("me", "urn:x", [large] * 30).count("<entry>") == 3
    assert render_feed("me", "urn:x", [largest] * 30).count("<entry>") == 1


async def test_feed_of_a_profile_grows_with_its_digests_newest_first(tmp_path: Path) -> None:
    files = FilesDelivery(directory=tmp_path)
    ids = [ID.replace("0b8f", f"000{number}") for number in range(3)]
    for number, id in enumerate(ids):
        page = PAGE.replace("1 job", f"{number} jobs")
        digest = Digest(subject="s", text="t", html=page)
        await files.send(outgoing(period=f"every-{number}", message_id=id, digest=digest))
        os.utime(tmp_path / "berlin" / f"every-{number}_{id}.html", (number, number))
    await files.send(outgoing(profile="other", digest=Digest(subject="s", text="t", html=PAGE)))
    before = (tmp_path / "berlin" / "feed.atom").read_text()
    await files.send(outgoing(period="every-2", message_id=ids[2]))

    feed = minidom.parseString(before.encode())
    assert (tmp_path / "berlin" / "feed.atom").read_text() == before
    assert texts(feed, "id")[1:] == [f"urn:uuid:{id}" for id in reversed(ids)]
    assert texts(feed, "title")[1:] == [f"{n} jobs: A & B <x>" for n in (2, 1, 0)]
    assert all(map(MOMENT.fullmatch, texts(feed, "updated")))
    other = minidom.parseString((tmp_path / "other" / "feed.atom").read_bytes())
    assert texts(other, "id")[0] != texts(feed, "id")[0]


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"])))
def test_any_page_makes_a_well_formed_feed(text: str) -> None:
    page = f"<title>x</title><main>{text}</main>"
    feed = minidom.parseString(
        render_feed("me", "urn:x", [attrs.evolve(ENTRY, page=page)]).encode()
    )

    assert texts(feed, "content") == [text.partition("</main>")[0]]
