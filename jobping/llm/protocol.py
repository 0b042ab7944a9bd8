"""What every way of asking a language model offers."""

from typing import Protocol

from jobping.core.ids import Monotonic
from jobping.core.model import ModelAnswer, ModelRequest


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
