"""Digests out: `Delivery` is the protocol, and each other class is a way.

`relay` says where mail goes, `letter` writes it, `conversation` speaks SMTP, `smtp` sends.
`hook` says where digests are posted, `posts` writes the bodies, `webhook` posts.
`turns` is the pace of a way, `notice` makes a digest of an alert.
"""

from jobping.delivery.console import ConsoleDelivery
from jobping.delivery.files import FilesDelivery
from jobping.delivery.hook import Form, Hook
from jobping.delivery.notice import write_notice
from jobping.delivery.protocol import Delivery, OutgoingDigest
from jobping.delivery.relay import Relay, Tls, check_unsubscribe
from jobping.delivery.smtp import SmtpDelivery
from jobping.delivery.webhook import WebhookDelivery

__all__ = [
    "ConsoleDelivery",
    "Delivery",
    "FilesDelivery",
    "Form",
    "Hook",
    "OutgoingDigest",
    "Relay",
    "SmtpDelivery",
    "Tls",
    "WebhookDelivery",
    "check_unsubscribe",
    "write_notice",
]
