"""A notice to the operator, made so that every way out of digests can carry it."""

import datetime as dt
from html import escape

from jobping.core.alerting import Change
from jobping.core.digest import Digest
from jobping.core.ids import ProfileId
from jobping.core.printable import printable
from jobping.delivery.protocol import OutgoingDigest


def write_notice(change: Change, host: str, to: str | None) -> OutgoingDigest:
    """Return the notice of one change.

    Args:
        host: Where the daemon runs.
        to: The operator's mail address, or None.
    """
    at = dt.datetime.fromtimestamp(change.at, dt.UTC)
    subject = printable(f"JobPing on {host}: {change.text()}")
    text = f"{subject}\n{at:%Y-%m-%d %H:%M:%S} UTC\n\n`jobping status` says how it stands now.\n"
    name = f"{change.rule.name}-{change.state.value}".replace("_", "-")
    return OutgoingDigest(
        profile="alerts",
        period=f"{at:%Y-%m-%dT%H:%M:%S}",
        message_id=f"alert-{int(change.at * 1e6)}-{name}",
        profile_id=ProfileId(0),
        made_at=at,
        to=to,
        digest=Digest(
            subject=subject,
            text=text,
            html=f'<!DOCTYPE html>\n<html lang="en"><pre>{escape(text)}</pre></html>\n',
        ),
    )
