"""Digests to send."""

import datetime as dt

from jobping.core.digest import Digest
from jobping.core.digest_view import ItemView
from jobping.delivery import OutgoingDigest

NOW = dt.datetime(2026, 11, 12, 8, 0, tzinfo=dt.UTC)
ID = "0b8f3c1e-7d7a-4f0e-9a55-0c9a6b7d9e21"
TO = "ana@reader.example"
TEXT = "1 job for berlin\n\n 1. Söftware engineer\n    https://a.example/1\n"
HTML = "<html><body><p>Söftware engineer</p><footer>\n</footer></body></html>\n"


def item(**fields) -> ItemView:
    own = {
        "posting": 1,
        "score": 90,
        "title": "Software engineer",
        "company": "Kestrel",
        "places": "Berlin",
        "pay": "50,000 EUR a year",
        "age": "posted today",
        "seen": "last seen open today",
        "earlier": "",
        "reason": "asks for your words",
        "source": "Greenhouse",
        "url": "https://jobs.kestrel.example/1",
        "host": "jobs.kestrel.example",
        "also": (),
    }
    return ItemView(**{**own, **fields})


def outgoing(**fields) -> OutgoingDigest:
    own = {
        "profile": "berlin",
        "period": "2026-11-12T08:00",
        "message_id": ID,
        "profile_id": 1,
        "made_at": NOW,
        "to": TO,
        "unsubscribe_token": "tok-1",
        "digest": Digest(subject="1 job for berlin", text=TEXT, html=HTML, items=(item(),)),
    }
    return OutgoingDigest(**{**own, **fields})
