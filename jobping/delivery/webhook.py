"""Digests to one web address: to a program, or to a chat or phone by the service behind it."""

import base64
import hmac
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from jobping.clock import Clock
from jobping.core.ids import Domain
from jobping.core.page import Page, PageRequest, Redirected
from jobping.core.throttle import retry_after_s
from jobping.delivery.hook import Hook
from jobping.delivery.posts import write_post
from jobping.delivery.protocol import OutgoingDigest
from jobping.delivery.turns import Turns
from jobping.errors import (
    Blocked,
    DeliveryDeferred,
    DeliveryError,
    DeliveryRejected,
    FetchError,
    MalformedPage,
    Throttled,
    Unavailable,
    Unreached,
)

POST_S: Final = 25.0
_ANSWER_BYTES: Final = 65_536

Post = Callable[[PageRequest, frozenset[Domain]], Awaitable[Page | Redirected]]
"""Make one guarded exchange that follows no redirect; raises the errors of `fetch`."""


@attrs.define(eq=False, kw_only=True)
class WebhookDelivery:
    """Posts each digest once, signed where there is a secret.

    Attributes:
        post: The way to the network.
    """

    hook: Hook
    post: Post
    clock: Clock = attrs.field(factory=Clock)
    name: str = attrs.field(default="webhook", init=False)
    resends: bool = attrs.field(default=True, init=False)
    _turns: Turns = attrs.field(init=False)

    @_turns.default
    def _turns_of(self) -> Turns:
        return Turns(per_minute=self.hook.per_minute, clock=self.clock)

    def takes(self, digest: OutgoingDigest) -> bool:
        """Take every digest."""
        return True

    async def wait_turn(self) -> None:
        """Wait until `per_minute` lets the next one go, or the place may be tried again."""
        await self._turns.wait()

    async def send(self, digest: OutgoingDigest) -> None:
        """Post the digest.

        Raises:
            DeliveryDeferred: The place is not there, is busy, failed, or is none that may be asked.
            DeliveryRejected: It answered 4xx.
        """
        self._turns.take()
        try:
            with trio.fail_after(POST_S):
                answer = await self.post(self._request(digest), frozenset({self.hook.domain}))
        except (FetchError, MalformedPage, trio.TooSlowError) as error:
            raise self._judged(error) from None  # its text may hold the secret URL
        if not (isinstance(answer, Page) and 200 <= answer.status < 300):
            status = answer.status if isinstance(answer, Page) else "a redirect"
            raise self._refused(f"it answered {status}")
        self._turns.go_on()

    async def was_sent(self, message_id: str) -> bool | None:
        """Return None: only the receiver knows."""
        return None

    def _request(self, digest: OutgoingDigest) -> PageRequest:
        body = write_post(digest, self.hook)
        headers = [("Content-Type", "application/json"), ("webhook-id", digest.message_id)]
        if (key := self.hook.key) is not None:
            timestamp = str(int(self.clock.utcnow().timestamp()))
            headers.append(("webhook-timestamp", timestamp))
            headers.append(("webhook-signature", sign(key, digest.message_id, timestamp, body)))
        return PageRequest(
            url=self.hook.post_url,
            method="POST",
            headers=tuple(headers),
            body=body,
            accept=("*/*",),
            byte_ceiling=_ANSWER_BYTES,
        )

    def _judged(self, error: Exception) -> DeliveryError:
        match error:
            case Throttled(retry_after=fields, date=date):
                after_s = retry_after_s(fields, date, self.clock.utcnow())
                return self._deferred(f"it answered {error.status}", after_s)
            case Unavailable(failure=Unreached.CLIENT, status=status):
                return DeliveryRejected(f"webhook: {self.hook.domain}: it answered {status}")
            case Blocked(status=int(status)):
                return self._refused(f"it answered {status}")
            case Blocked(why=why):
                return self._deferred(f"refused by our own guard ({why})")
            case FetchError(why=why) | MalformedPage(why=why):
                return self._deferred(f"failed ({why})")
            case _:
                return self._deferred("no answer in time")

    def _deferred(self, why: str, after_s: float | None = None) -> DeliveryDeferred:
        self._turns.rest(after_s)
        return DeliveryDeferred(f"webhook: {self.hook.domain}: {why}")

    def _refused(self, why: str) -> DeliveryRejected:
        """Return the rejection of a place that takes nothing of ours."""
        self._turns.rest()
        return DeliveryRejected(f"webhook: {self.hook.domain}: {why}")


def sign(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a body.

    Args:
        timestamp: Seconds since 1970, in figures.

    Source:
        Standard Webhooks, "Signature scheme": HMAC-SHA256 over id, timestamp and body.
    """
    signed = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(signed).decode('ascii')}"
