"""One paid call: reserved before a byte is sent, and ended exactly once whatever happens."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from jobping.clock import Clock
from jobping.core import budget, model_pace, pricing
from jobping.core.budget import Ending, EntryState, Refused, Reservation
from jobping.core.ids import Monotonic, ProfileId
from jobping.core.model import ModelAnswer, ModelRequest
from jobping.core.model_pace import ModelPace, Wait
from jobping.core.pricing import PriceTable
from jobping.errors import Billing, ModelError, StoreError, StoreUnavailable
from jobping.events import Emit
from jobping.llm.protocol import ModelProtocol
from jobping.store.ledger import AskedAlready, Ended, Ledger, Reserved, Warned

RESERVE_WITHIN_S: Final = 10.0  # longer than a unit waits for a connection and runs
KEEP_WITHIN_S: Final = 5.0
END_WITHIN_S: Final = 5.0  # then it is owed, and written when the database is back
NO_COMMIT: Final = "no commit"
MOST_TOKENS: Final = 10**9
"""A bill above it is no bill: no model has such a window."""

Keep = Callable[[ModelAnswer], Awaitable[None]]


@attrs.frozen(kw_only=True)
class Question:
    """What is asked in one call.

    Attributes:
        pairs: How many postings it is about.
        request_hash: Over them; the same question is not open twice.
    """

    profile: ProfileId
    request: ModelRequest
    pairs: int
    request_hash: bytes


@attrs.frozen(kw_only=True)
class Failed:
    """A call that brought no answer.

    Attributes:
        error: What the client raised.
    """

    error: ModelError


@attrs.define(eq=False, kw_only=True)
class PaidCalls:
    """Makes calls, one reservation each.

    Attributes:
        regional: Prices of regional endpoints hold.
        by_asked: Price by the model that was asked, whatever name the server answers.
        owed: Ends that could not be written yet, by reservation.
        margins: By model, how many times its bound a prompt was billed.
        in_flight: Reservations that are open.
    """

    ledger: Ledger
    prices: PriceTable
    clock: Clock
    emit: Emit
    regional: bool = False
    by_asked: bool = False
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    owed: dict[str, Ending] = attrs.field(factory=dict, init=False)
    margins: dict[str, float] = attrs.field(factory=dict, init=False)
    in_flight: int = attrs.field(default=0, init=False)
    _ended: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _pace: ModelPace = attrs.field(factory=ModelPace, init=False)
    _deciding: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def ask(
        self, question: Question, model: ModelProtocol, deadline: float, keep: Keep
    ) -> ModelAnswer | Failed | Refused | AskedAlready | Wait:
        """Reserve, send, and end the reservation by what became of it.

        A cancellation after the sending lets it lapse: what was begun may be billed. `Wait`: the
        server does not want to be asked before; nothing was reserved.

        Args:
            deadline: Of Trio's clock.
            keep: Stores an answer; called before its cost is booked, so that what is paid for is
                not lost in between.

        Raises:
            StoreUnavailable: The ledger cannot be asked; nothing was sent.
        """
        request = attrs.evolve(question.request, request_id=self.new_id())
        ending: Ending | None = budget.released(NO_COMMIT)
        began = self.clock.monotonic()
        try:
            found = await self._reserve(question, request)
            if not isinstance(found, Reserved):
                ending = None
                return found
            self.in_flight += 1
            ending = budget.lapsed("cut short")
            answer = await model.complete(request, Monotonic(deadline))
            self._pace = model_pace.answered(self._pace, answer.headers, self.clock.monotonic())
            ending = self._ending_of(request, answer)
            with trio.move_on_after(KEEP_WITHIN_S, shield=True):
                await keep(answer)
        except ModelError as error:
            self._pace = model_pace.failed(self._pace, error, self.clock.monotonic())
            ending = _ending_of(error)
            return Failed(error=error)
        except (trio.Cancelled, StoreError):
            self._pace = model_pace.cancelled(self._pace)
            if ending is not None and ending.state is EntryState.LAPSED:
                self.emit("model.abandoned", id=request.request_id, asked=request.model)
            raise
        finally:
            if ending is not None:
                await self._end(request.request_id, ending)  # noqa: ASYNC102  shielded and bounded
                self._say_called(question, request, ending, began)
                self.in_flight -= ending.outcome != NO_COMMIT
                self._ended.unpark_all()
        return answer

    async def wait_ended(self) -> None:
        """Wait until one of the calls in flight has ended, so that what it held is free."""
        if self.in_flight:
            await self._ended.park()
        await trio.lowlevel.checkpoint()

    async def _reserve(
        self, question: Question, request: ModelRequest
    ) -> Reserved | Refused | AskedAlready | Wait:
        """Decide, strictly one call at a time; not left before the outcome is known."""
        bound = pricing.bound(
            self.prices.prices[request.model],
            request.prompt_tokens_bound,
            request.max_output_tokens,
            regional=self.regional,
        )
        wanted = Reservation(
            id=request.request_id,
            model=request.model,
            price_version=self.prices.version,
            bound=bound,
            prompt_bound=request.prompt_tokens_bound,
            request_hash=question.request_hash,
        )
        async with self._deciding:
            now = self.clock.monotonic()
            if isinstance(wait := model_pace.admit(self._pace, bound.tokens, now), Wait):
                return wait
            self._pace = model_pace.begin(self._pace, bound.tokens, now)
            with trio.move_on_after(RESERVE_WITHIN_S, shield=True):
                found = await self.ledger.reserve(wanted)
                if not isinstance(found, Reserved):
                    self._pace = model_pace.cancelled(self._pace)
                    return found
                self.emit(
                    "budget.reserved",
                    id=found.id,
                    profile=question.profile,
                    model=request.model,
                    pairs=question.pairs,
                    tokens=bound.tokens,
                    nanousd=bound.nanousd,
                )
                return found
        raise StoreUnavailable("the ledger did not answer in time")

    def _ending_of(self, request: ModelRequest, answer: ModelAnswer) -> Ending:
        usage = answer.usage
        if usage is None or max(usage.input_tokens, usage.output_tokens) > MOST_TOKENS:
            return budget.lapsed("no usage", answer.request_id)
        cost = pricing.cost(
            self.prices,
            request.model,
            usage,
            model=request.model if self.by_asked else answer.model,
            tier=None if self.by_asked else answer.service_tier,
            regional=self.regional,
        )
        return Ending(
            state=EntryState.SETTLED,
            outcome=answer.finish,
            cost=cost,
            usage=usage,
            model=answer.model,
            tier=answer.service_tier,
            request_id=answer.request_id,
        )

    async def _end(self, id: str, ending: Ending) -> None:
        why = "the ledger did not answer in time"
        try:
            with trio.move_on_after(END_WITHIN_S, shield=True):
                return await self._write_end(id, ending)
        except StoreError as error:
            why = str(error)
        self.owed[id] = ending
        self.emit("budget.owed", id=id, why=why)
        return None

    async def pay_owed(self) -> None:
        """Write the ends that are owed.

        Raises:
            StoreUnavailable: The database is still away.
        """
        while self.owed:
            id, ending = self.owed.popitem()
            try:
                await self._write_end(id, ending)
            except StoreError:
                self.owed[id] = ending
                raise

    async def _write_end(self, id: str, ending: Ending) -> None:
        ended, warned = await self.ledger.end(id, ending)
        if ended is None:
            await self._correct(id, ending)
        elif ending.state is EntryState.RELEASED:
            self.emit("budget.released", id=id, why=ending.outcome)
        elif ending.state is EntryState.LAPSED:
            self.emit(
                "budget.lapsed",
                id=id,
                tokens=ended.tokens,
                nanousd=ended.nanousd,
                why=ending.outcome,
            )
        else:
            self._say_settled(ended, ending)
            self._learn(ended.model, ended.prompt_bound, ending)
        self.say_warned(warned)

    def _say_settled(self, ended: Ended, ending: Ending) -> None:
        doubt = ending.cost.doubt if ending.cost else ""
        over = ended.tokens > ended.bound_tokens or ended.nanousd > ended.bound_nanousd
        figures: dict[str, Any] = {
            "id": ended.id,
            "model": ended.model,
            "tokens": ended.tokens,
            "nanousd": ended.nanousd,
            "bound_tokens": ended.bound_tokens,
            "bound_nanousd": ended.bound_nanousd,
        }
        if over or doubt:
            self.emit("budget.overran", doubt=doubt or None, **figures)
        else:
            self.emit("budget.settled", **figures)

    async def _correct(self, id: str, ending: Ending) -> None:
        """Put a bill in the place of a lapse that another daemon has written meanwhile."""
        if ending.cost is None:
            return
        cost = ending.cost
        if await self.ledger.correct(
            id, tokens=cost.tokens, nanousd=cost.nanousd, reason=ending.outcome, by_operator=False
        ):
            self.emit("budget.corrected", id=id, tokens=cost.tokens, nanousd=cost.nanousd)

    def _learn(self, model: str, prompt_bound: int, ending: Ending) -> None:
        """Take note of a prompt that was billed beyond its bound, so that the next bound holds."""
        if ending.usage is not None and ending.usage.input_tokens > prompt_bound > 0:
            ratio = ending.usage.input_tokens / prompt_bound
            self.margins[model] = max(1.0, self.margins.get(model, 1.0)) * ratio

    def say_warned(self, warned: tuple[Warned, ...]) -> None:
        """Log limits that are near for the first time in their window."""
        for one in warned:
            self.emit(
                "budget.warned",
                limit=f"{one.window.value} {one.measure.value}",
                starts=one.starts.isoformat(),
                threshold=one.threshold,
            )

    def _say_called(
        self, question: Question, request: ModelRequest, ending: Ending, began: float
    ) -> None:
        if ending.outcome == NO_COMMIT:
            return
        usage = ending.usage
        self.emit(
            "model.called",
            level="info" if ending.state is EntryState.SETTLED else "warning",
            id=request.request_id,
            request_id=ending.request_id or None,
            profile=question.profile,
            asked=request.model,
            model=ending.model,
            tier=ending.tier,
            pairs=question.pairs,
            input_tokens=usage.input_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None,
            written_tokens=usage.cache_write_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            cost_nanousd=ending.cost.nanousd if ending.cost else None,
            duration_s=self.clock.monotonic() - began,
            outcome=ending.outcome,
        )


def _ending_of(error: ModelError) -> Ending:
    if error.billing is Billing.UNKNOWN:
        return budget.lapsed(error.why, error.request_id)
    return budget.released(error.why)
