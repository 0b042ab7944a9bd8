"""Digests out: `Delivery` is the protocol, and each other class is a way.

`relay` says where mail goes, `letter` writes it, `conversation` speaks SMTP, `smtp` sends.
`turns` is the pace of a way.
"""

from jobping.delivery.console import ConsoleDelivery
from jobping.delivery.files import FilesDelivery
from jobping.delivery.protocol import Delivery, OutgoingDigest
from jobping.delivery.relay import Relay, Tls, check_unsubscribe
from jobping.delivery.smtp import SmtpDelivery

__all__ = [
    "ConsoleDelivery",
    "Delivery",
    "FilesDelivery",
    "OutgoingDigest",
    "Relay",
    "SmtpDelivery",
    "Tls",
    "check_unsubscribe",
]
