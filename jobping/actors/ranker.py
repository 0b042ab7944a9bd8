"""One batch of pairs, ranked by a model as far as the budget, the server and the deadline allow.

Down the chain until something fits: a cheaper model, a smaller batch, and at last nothing, which
leaves the pairs to the local ranking.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import attrs
import trio

from jobping.actors.messages import ASKED_ALREADY, RankBatch, Ranking
from jobping.actors.paid_call import Failed, PaidCalls, Question
from jobping.clock import Clock
from jobping.core.budget import Refused, Step, first_step, step_down
from jobping.core.ids import PostingId
from jobping.core.match import Match
from jobping.core.model import ModelAnswer, ModelRequest
from jobping.core.model_pace import Pause, Wait
from jobping.core.prompt import (
    PROMPT_VERSION,
    Candidate,
    Prompt,
    build_prompt,
    content_digest,
    profile_digest,
    read_answer,
)
from jobping.core.shortlist import BATCH
from jobping.errors import Billing, ModelError, ModelRejected, ModelThrottled, StoreUnavailable
from jobping.events import Emit
from jobping.llm.protocol import CounterProtocol, ModelProtocol
from jobping.store.ledger import AskedAlready
from jobping.store.rankings import Claimed, Rankings, Said
from supervisors import Delivery

CALL_WITHIN_S: Final = 30.0  # one call of the default tier; our choice
FULL_REST_S: Final = 60.0  # after a refusal of even one pair the ledger is not asked for so long
CLAIM_FOR_S: Final = 120.0  # a call and its bookkeeping take well under a minute
GIVE_BACK_WITHIN_S: Final = 2.0
LONGEST_PAUSE_S: Final = 20.0  # a server's "slow down" that is worth waiting for
SHORTEST_PAUSE_S: Final = 0.05
COUNT_MARGIN: Final = 1.02  # framing that no server documents; design/budget.md section 2
TOKEN_BYTES: Final = 16
GONE: Final = ("model_not_found", "unsupported_parameter", "unsupported_value")


@attrs.define(kw_only=True)
class _Work:
    """A batch in hand.

    Attributes:
        pairs: Those that are ours to ask about and are not judged yet.
        step: What to try next; None: nothing is left to try.
        why: Why it ends before `pairs` is empty.
    """

    batch: RankBatch
    keys: Mapping[PostingId, bytes]
    pairs: list[Candidate]
    step: Step | None
    matches: list[Match]
    why: str | None = None

    def keys_of(self, matches: Collection[Match]) -> list[bytes]:
        return [self.keys[match.posting_id] for match in matches]

    def drop(self, matches: Collection[Match]) -> None:
        done = {match.posting_id for match in matches}
        self.pairs = [one for one in self.pairs if one.posting.id not in done]


@attrs.define(eq=False, kw_only=True)
class Ranker:
    """Ranks batches.

    Attributes:
        name: This daemon's, in claims of pairs; the same after a restart.
        chain: Models in the order of asking.
        tier: The service tier to ask for; None: none is named.
        model: Where they are asked.
        stopping: Set when no call may begin any more.
    """

    name: str
    calls: PaidCalls
    rankings: Rankings
    chain: tuple[str, ...]
    tier: str | None
    model: ModelProtocol
    counter: CounterProtocol
    clock: Clock
    emit: Emit
    stopping: trio.Event = attrs.field(factory=trio.Event)
    _full_until: float = attrs.field(default=0.0, init=False)
    _skipped: dict[str, dt.date] = attrs.field(factory=dict, init=False)

    async def rank(self, delivery: Delivery[RankBatch]) -> Ranking:
        """Return what models say about the pairs, now or before, and why not about all of them.

        No call begins any more when the caller has gone; one that is under way goes to its end.
        """
        batch = delivery.message
        try:
            keys = await trio.to_thread.run_sync(self._keys, batch)
            claimed = await self.rankings.claim(
                batch.profile.id, list(keys.values()), by=self.name, for_s=CLAIM_FOR_S
            )
        except StoreUnavailable:
            return Ranking(why="store")
        pairs = [one for one in batch.candidates if keys[one.posting.id] in claimed.free]
        size = BATCH // 2 if any(claimed.free.values()) else BATCH
        work = _Work(
            batch=batch,
            keys=keys,
            pairs=pairs,
            step=first_step(self._chain_today(), min(size, len(pairs))),
            matches=_known(batch.candidates, keys, claimed),
        )
        try:
            while work.pairs and work.why is None and delivery.is_awaited:
                if self.stopping.is_set():
                    work.why = "stop"
                    break
                await self._go_on(work)
        except StoreUnavailable:
            work.why = "store"
        finally:
            await self._give_back(work)  # noqa: ASYNC102  shielded and bounded
        return Ranking(matches=tuple(work.matches), why=work.why)

    def _keys(self, batch: RankBatch) -> dict[PostingId, bytes]:
        """Return what the pairs are known by: all that a model sees of them, and which are asked.

        In a worker thread: it reads every text.
        """
        asked = "\n".join((PROMPT_VERSION, *self.chain)).encode()
        head = hashlib.sha256(asked).digest() + profile_digest(batch.profile.profile)
        return {
            one.posting.id: hashlib.sha256(head + content_digest(one.posting)).digest()
            for one in batch.candidates
        }

    async def _give_back(self, work: _Work) -> None:
        """Let others ask about what was not asked; a claim that stays lapses by itself."""
        if not work.pairs:
            return
        keys = [work.keys[one.posting.id] for one in work.pairs]
        try:
            with trio.move_on_after(GIVE_BACK_WITHIN_S, shield=True):
                await self.rankings.give_back(keys)
        except StoreUnavailable:
            return

    async def _go_on(self, work: _Work) -> None:
        """Make one call, or find out why none can be made."""
        now = self.clock.monotonic()
        if work.step is None or now < self._full_until or now >= work.batch.deadline:
            late = now >= work.batch.deadline
            work.why = "no model" if work.step is None else "late" if late else "budget"
            return
        prompt = await self._prompt(work, work.pairs[: work.step.size])
        if not prompt.pairs:
            return
        found = await self.calls.ask(
            await self._question(work, work.step, prompt),
            self.model,
            min(now + CALL_WITHIN_S, work.batch.deadline),
            partial(self._keep, work, work.step, prompt),
        )
        match found:
            case Refused():
                await self._step_down(work, work.step, found)
            case Wait():
                await self._wait(work, found)
            case AskedAlready():
                work.why = ASKED_ALREADY
            case Failed():
                await self._fail(work, work.step, prompt, found.error)
            case ModelAnswer():
                work.drop([match for _, match in prompt.pairs])

    async def _prompt(self, work: _Work, candidates: Sequence[Candidate]) -> Prompt:
        """Write the question; what speaks to the model is never sent."""
        profile = work.batch.profile.profile
        prompt = await trio.to_thread.run_sync(
            lambda: build_prompt(profile, candidates, token=secrets.token_bytes(TOKEN_BYTES))
        )
        if prompt.withheld:
            withheld = [match for match, _ in prompt.withheld]
            await self.rankings.give_back(work.keys_of(withheld), for_good=True)
            work.drop(withheld)
            self.emit(
                "pairs.withheld",
                profile=work.batch.profile.id,
                postings=[match.posting_id for match in withheld],
                why=sorted({why for _, why in prompt.withheld}),
            )
        return prompt

    async def _question(self, work: _Work, step: Step, prompt: Prompt) -> Question:
        counted = await trio.to_thread.run_sync(
            self.counter.count, step.model, prompt.messages, prompt.schema
        )
        margin = COUNT_MARGIN * self.calls.margins.get(step.model, 1.0)
        keys = sorted(work.keys_of([match for _, match in prompt.pairs]))
        return Question(
            profile=work.batch.profile.id,
            pairs=len(keys),
            request_hash=hashlib.sha256(b"".join(keys)).digest(),
            request=ModelRequest(
                model=step.model,
                messages=prompt.messages,
                schema=prompt.schema,
                max_output_tokens=prompt.max_output_tokens,
                service_tier=self.tier,
                prompt_tokens_bound=int(counted.tokens * margin) + 1,
            ),
        )

    async def _keep(self, work: _Work, step: Step, prompt: Prompt, answer: ModelAnswer) -> None:
        """Keep what an answer is worth, before it is booked: what is paid is never asked again."""
        ranked = read_answer(prompt, answer.text, finish=answer.finish, model=step.model)
        said = [
            Said(key=key, score=match.score, reason=match.reason, model=match.origin)
            for key, match in zip(work.keys_of(ranked.matches), ranked.matches, strict=True)
        ]
        work.matches += ranked.matches
        await self.rankings.keep(work.batch.profile.id, said, failed=work.keys_of(ranked.local))

    async def _step_down(self, work: _Work, step: Step, refused: Refused) -> None:
        limit = f"{refused.window.value} {refused.measure.value}"
        lower = step_down(step, refused)
        if lower is not None:
            work.step = lower
            self.emit(
                "model.downgraded",
                profile=work.batch.profile.id,
                from_model=step.model,
                to_model=lower.model,
                from_pairs=step.size,
                to_pairs=lower.size,
                limit=limit,
            )
            return
        if self.calls.in_flight:  # what they hold is more than they will use
            await self.calls.wait_ended()
            size = min(BATCH, len(work.pairs))
            work.step = first_step(self._chain_today(), size)
            return
        self._full_until = self.clock.monotonic() + FULL_REST_S
        self.emit(
            "budget.refused",
            profile=work.batch.profile.id,
            limit=limit,
            requested=refused.requested,
            remaining=refused.remaining,
        )
        if await self.calls.ledger.warn_full(refused):
            self.emit("budget.exhausted", limit=limit)

    async def _wait(self, work: _Work, wait: Wait) -> None:
        """Wait where the server only wants a little time; the same pairs are tried again."""
        pause_s = wait.until - self.clock.monotonic()
        if wait.why is not Pause.SLOW_DOWN or pause_s > LONGEST_PAUSE_S:
            work.why = wait.why.value
            return
        await trio.sleep(max(SHORTEST_PAUSE_S, pause_s))

    async def _fail(self, work: _Work, step: Step, prompt: Prompt, error: ModelError) -> None:
        """Count a call that brought nothing, and say whether it is of use to go on."""
        sent = [match for _, match in prompt.pairs]
        if error.billing is Billing.UNKNOWN:
            work.drop(sent)
            await self.rankings.keep(work.batch.profile.id, (), failed=work.keys_of(sent))
        match error:
            case ModelThrottled():
                return  # the pace knows how long
            case ModelRejected(status=404) | ModelRejected(code="model_not_found"):
                self._skip(step, error)
                work.step = first_step(self._chain_today(), step.size)
            case ModelRejected() if error.code in GONE:
                self._skip(step, error)
                work.step = first_step(self._chain_today(), step.size)
            case ModelRejected(status=401 | 403):
                work.why = Pause.KEY_REFUSED.value
            case ModelRejected():  # it does not like this very request
                work.drop(sent)
                await self.rankings.keep(work.batch.profile.id, (), failed=work.keys_of(sent))
            case _:
                work.why = error.why

    def _skip(self, step: Step, error: ModelError) -> None:
        """Leave a model alone until the next day that the server does not let us use."""
        self._skipped[step.model] = self.clock.utcnow().date()
        self.emit("model.skipped", level="error", model=step.model, why=error.why)

    def _chain_today(self) -> tuple[str, ...]:
        """Return the models that may be asked today, and say once a day which may not."""
        today = self.clock.utcnow().date()
        chain: list[str] = []
        for model in self.chain:
            if self._skipped.get(model) == today:
                continue
            why = self.calls.prices.why_not(model, today)
            if why is None:
                chain.append(model)
            else:
                self._skipped[model] = today
                self.emit("model.skipped", model=model, why=why)
        return tuple(chain)


def _known(
    candidates: Sequence[Candidate], keys: Mapping[PostingId, bytes], claimed: Claimed
) -> list[Match]:
    """Return the pairs that a model has judged before, as matches of today."""
    said = {one.key: one for one in claimed.known}
    return [
        attrs.evolve(one.local, score=found.score, reason=found.reason, origin=found.model)
        for one in candidates
        if (found := said.get(keys[one.posting.id])) is not None
    ]
