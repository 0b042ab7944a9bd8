"""The bill of the local model server: what each call was charged, with prices of its own.

One line for each request that was read, before the first byte of the answer; a second one says
what was delivered. The file outlives every client and is the only truth about cost.
"""

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import attrs
import msgspec

PRICES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "gpt-4o-mini": ("0.15", "0.075", "0.15", "0.60"),
    "gpt-5-mini": ("0.25", "0.025", "0.25", "2"),
    "gpt-5.4-mini": ("0.75", "0.075", "0.75", "4.50"),
    "gpt-5.6-luna": ("0.20", "0.02", "0.25", "1.20"),
    "gpt-5.6-terra": ("2", "0.20", "2.50", "12"),
    "gpt-6-luna": ("0.10", "0.01", "0.125", "0.50"),
}
"""Dollars per million tokens: plain, cached, written, output. Other models cost nothing."""
TIERS: Final = {"flex": Fraction(1, 2), "priority": Fraction(2)}
_NANO_PER_MILLION: Final = 1_000  # 10**9 nano-dollars over 10**6 tokens


@attrs.frozen(kw_only=True)
class Charge:
    """One call as it was billed.

    Attributes:
        client_id: The client's own id of the call (`X-Client-Request-Id`).
        asked_tier: As asked for, or `default`.
        cost_nanousd: The exact cost as a fraction, such as `12345/2`.
        step: What the plan made of it.
        markers: What the plan's pattern found in the prompt.
        body_sha256: Of the request's body.
        delivered: `none`, `part` or `whole`, once that is known.
    """

    sequence: int
    client_id: str
    request_id: str
    asked_model: str
    model: str
    asked_tier: str
    tier: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanousd: str = "0"
    status: int = 200
    is_billed: bool = True
    step: str = "ok"
    markers: tuple[str, ...] = ()
    body_sha256: str = ""
    delivered: str = "none"

    @property
    def cost(self) -> Fraction:
        """The cost in nano-dollars."""
        return Fraction(self.cost_nanousd)

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens


def price(model: str, tier: str, counts: tuple[int, int, int, int]) -> Fraction:
    """Return the exact cost in nano-dollars.

    Args:
        counts: Tokens plain, cached, written and output.
    """
    prices = PRICES.get(model, ("0", "0", "0", "0"))
    pairs = zip(prices, counts, strict=True)
    whole = sum((Fraction(usd) * number for usd, number in pairs), Fraction(0))
    return whole * _NANO_PER_MILLION * TIERS.get(tier, Fraction(1))


@attrs.define(eq=False)
class Bill:
    """All charges in the order of arrival; in a file too, where one is given."""

    file: Path | None = None
    charges: list[Charge] = attrs.Factory(list)

    def __attrs_post_init__(self) -> None:
        """Read what a bill before this one has left."""
        if self.file is not None and self.file.exists():
            for line in self.file.read_bytes().splitlines():
                self._take(msgspec.json.decode(line, type=Charge))

    def add(self, charge: Charge) -> None:
        """Write a charge, or the same one again with what was delivered; it is safe on return."""
        self._take(charge)
        if self.file is None:
            return
        with self.file.open("ab") as file:
            file.write(msgspec.json.encode(charge) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _take(self, charge: Charge) -> None:
        if charge.sequence < len(self.charges):
            self.charges[charge.sequence] = charge
        else:
            self.charges.append(charge)

    @property
    def cost(self) -> Fraction:
        """The sum of all charges in nano-dollars."""
        return sum((charge.cost for charge in self.charges), Fraction(0))

    @property
    def tokens(self) -> int:
        """The sum of all tokens."""
        return sum(charge.tokens for charge in self.charges)
