"""Digests out: `Delivery` is the protocol, `FilesDelivery` and `ConsoleDelivery` are the ways.

The digest actor sends through the files first and the console last: what a crash leaves unfinished
is found by the files, so that nothing is shown twice.
"""

from jobping.delivery.console import ConsoleDelivery
from jobping.delivery.files import FilesDelivery
from jobping.delivery.protocol import Delivery, OutgoingDigest

__all__ = ["ConsoleDelivery", "Delivery", "FilesDelivery", "OutgoingDigest"]
