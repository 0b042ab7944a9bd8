"""Digests out: `Delivery` is the protocol, `FilesDelivery` and `ConsoleDelivery` are the ways."""

from jobping.delivery.console import ConsoleDelivery
from jobping.delivery.files import FilesDelivery
from jobping.delivery.protocol import Delivery, OutgoingDigest

__all__ = ["ConsoleDelivery", "Delivery", "FilesDelivery", "OutgoingDigest"]
