"""A digest as one mail: a text and a page, under headers in which nothing can be hidden."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import Final
from urllib.parse import quote

from jobping.core.printable import TITLE_LIMIT, printable
from jobping.delivery.protocol import OutgoingDigest
from jobping.delivery.relay import TOKEN, Relay

_ENCODING: Final = "quoted-printable"
"""Pure ASCII in short lines: every server takes it as it is, so a signature over it holds."""
_ONE_CLICK: Final = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def write_letter(digest: OutgoingDigest, to: str, relay: Relay) -> bytes:
    """Return the mail with CRLF line ends.

    Args:
        to: The one recipient, checked.

    Source:
        Message-ID: RFC 5322 3.6.4. List-Unsubscribe: RFC 2369, RFC 8058 3.1. Auto-Submitted:
        RFC 3834 5. No header is written by `email` that it would have to fold inside a word.
    """
    ways_out = _unsubscribe(digest, relay)
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = printable(digest.digest.subject, TITLE_LIMIT)
    letter["From"] = Address(display_name=relay.sender_name, addr_spec=relay.sender)
    letter["To"] = Address(addr_spec=to)
    letter["Date"] = digest.made_at
    letter["Auto-Submitted"] = "auto-generated"
    way_out = next(iter(ways_out), "")
    letter.set_content(_text(digest.digest.text, way_out), cte=_ENCODING)
    letter.add_alternative(_page(digest.digest.html, way_out), subtype="html", cte=_ENCODING)
    own = f"Message-ID: <{digest.message_id}@{relay.sender.rpartition('@')[2]}>\r\n"
    if ways_out:
        own += "List-Unsubscribe: " + ",\r\n ".join(f"<{one}>" for one in ways_out) + "\r\n"
    if relay.dkim and ways_out:
        own += _ONE_CLICK
    return own.encode("ascii") + letter.as_bytes()


def _unsubscribe(digest: OutgoingDigest, relay: Relay) -> tuple[str, ...]:
    """Return where the person unsubscribes, https first; by mail to us where nothing is set."""
    if digest.unsubscribe_token is None:
        return ()
    own = f"mailto:{quote(relay.sender, safe='@')}?subject=unsubscribe%20{TOKEN}"
    token = quote(digest.unsubscribe_token, safe="")
    return tuple(one.replace(TOKEN, token) for one in sorted(relay.unsubscribe) or (own,))


def _text(text: str, way_out: str) -> str:
    return f"{text}Unsubscribe: {way_out}\n" if way_out else text


def _page(page: str, way_out: str) -> str:
    """Put the link at the end of the page's footer."""
    if not way_out:
        return page
    body, footer, end = page.rpartition("</footer>")
    return f'{body}<p><a href="{escape(way_out)}">Unsubscribe</a></p>\n{footer}{end}'
