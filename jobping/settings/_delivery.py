"""`[delivery]`: where digests go, from file and credentials."""

import stat
from pathlib import Path
from typing import Final

from jobping.delivery import Form, Hook, Relay, Tls, check_unsubscribe
from jobping.settings import _values as values
from jobping.settings._credentials import Exposed, read_credential
from jobping.settings._places import Surroundings
from jobping.settings._records import DeliverySettings, Network, Secret
from jobping.settings._tables import DEFAULT, Table

_IMPLICIT_PORT: Final = 465  # RFC 8314 3.3
_NO_WAYS: Final[tuple[str, ...]] = ()
_PER_MINUTE: Final = values.whole(1, 60_000)


def read_delivery(
    root: Table,
    folder: Path,
    state_dir: Path,
    around: Surroundings,
    mode: int,
    allow: tuple[Network, ...],
) -> tuple[DeliverySettings, Exposed]:
    """Read `[delivery]` and what is below it; also the secrets others could see.

    Args:
        mode: The file's.
        allow: Networks to which digests may go without TLS.
    """
    default: Path | None = state_dir / "digests"
    with root.table("delivery") as table:
        console = table.take("console", values.truth, True)
        files = table.take("files", values.path_or_false(folder), default)
        smtp, exposed = _read_smtp(table, around)
        webhook, exposed_too = _read_webhook(table, around, mode, allow)
    settings = DeliverySettings(console=console, files=files, smtp=smtp, webhook=webhook)
    return settings, (*exposed, *exposed_too)


def _read_smtp(root: Table, around: Surroundings) -> tuple[Relay | None, Exposed]:
    with root.table("smtp") as table:
        host = table.take("host", values.word, None)
        port = table.take("port", values.whole(1, 65_535), 587)
        own = Tls.IMPLICIT if port == _IMPLICIT_PORT else Tls.STARTTLS
        tls = table.take("tls", values.one_of(Tls), own)
        user = table.take("user", values.text, None)
        table.notes.record("delivery.smtp.password", None, DEFAULT)
        sender = table.take("from", values.mail_address, None)
        sender_name = table.take("from_name", values.text, "JobPing")
        unsubscribe = table.take("unsubscribe", values.many(_way_out, "addresses"), _NO_WAYS)
        dkim = table.take("dkim", values.truth, False)
        per_minute = table.take("per_minute", _PER_MINUTE, 60)
    if host is None or sender is None:
        if table.names() and not {"host", "from"} <= {*table.names()}:
            table.notes.complain("[delivery.smtp]", "needs host and from")
        return None, ()
    password, exposed = read_credential(
        "delivery.smtp.password", "SMTP_PASSWORD", _secret_text, around, table.notes
    )
    try:
        relay = Relay(
            host=host,
            port=port,
            tls=tls,
            user=user,
            password=password.reveal() if password else None,
            sender=sender,
            sender_name=sender_name,
            unsubscribe=unsubscribe,
            dkim=dkim,
            per_minute=per_minute,
        )
    except ValueError as error:
        table.notes.complain("[delivery.smtp]", str(error))
        return None, ()
    return relay, exposed


def _read_webhook(
    root: Table, around: Surroundings, mode: int, allow: tuple[Network, ...]
) -> tuple[Hook | None, Exposed]:
    with root.table("webhook") as table:
        url = table.take("url", values.secret_word, None)
        form = table.take("format", values.one_of(Form), Form.JSON)
        per_minute = table.take("per_minute", _PER_MINUTE, 20)
        table.notes.record("delivery.webhook.secret", None, DEFAULT)
    if url is not None and mode & stat.S_IROTH:
        table.notes.complain(
            "[delivery.webhook] url",
            f"is a secret and others can read it; run: chmod o= {table.notes.file}",
        )
    given, exposed = read_credential(
        "delivery.webhook.url", "JOBPING_WEBHOOK_URL", values.secret_word, around, table.notes
    )
    secret, exposed_too = read_credential(
        "delivery.webhook.secret",
        "JOBPING_WEBHOOK_SECRET",
        values.secret_word,
        around,
        table.notes,
    )
    url = given or url
    if url is None:
        if table.names() and "url" not in table.names():
            table.notes.complain("[delivery.webhook]", "needs url")
        return None, ()
    try:
        hook = Hook(
            url=url.reveal(),
            form=form,
            secret=secret.reveal() if secret else None,
            per_minute=per_minute,
            allow=allow,
        )
    except ValueError as error:
        table.notes.complain("[delivery.webhook]", f"must be {error}")
        return None, ()
    return hook, (*exposed, *exposed_too)


def _way_out(value: object) -> str:
    return check_unsubscribe(values.text(value))


def _secret_text(value: object) -> Secret:
    return Secret(values.text(value))
