"""What every way of asking a language model, and of counting its prompts, offers."""

from collections.abc import Sequence
from typing import Protocol

import attrs

from jobping.core.ids import Monotonic
from jobping.core.model import Message, ModelAnswer, ModelRequest


class ModelProtocol(Protocol):
    """Asks a model; one call is one attempt, and never more than one."""

    async def complete(self, request: ModelRequest, deadline: Monotonic) -> ModelAnswer:
        """Send the request once and return what came back.

        A cancellation from outside leaves open whether the call was billed, as
        `Billing.UNKNOWN` does.

        Args:
            deadline: When to give up, of the loop's clock (`trio.current_time()`).

        Raises:
            ModelError: No answer; its `billing` says whether it may have been paid for.
        """

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""


@attrs.frozen
class TokenBound:
    """The most tokens that a prompt has.

    Attributes:
        is_exact: Its texts were counted with the model's own vocabulary; framing is still bounded.
    """

    tokens: int
    is_exact: bool


class CounterProtocol(Protocol):
    """Bounds the tokens of prompts."""

    @property
    def has_vocabulary(self) -> bool:
        """Whether prompts are counted, and not only bounded by their bytes."""

    def count(self, model: str, messages: Sequence[Message], schema: bytes | None) -> TokenBound:
        """Return an upper bound for a prompt; a few milliseconds at most."""
