"""The whole tree on local sites: down the tiers and up again, and what stands in meanwhile."""

import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from jobping.actors.alerts import Inbox
from jobping.actors.operator import Generation
from jobping.check.stage import Said
from jobping.clock import Clock
from jobping.core.finding import Finding, judged
from jobping.core.ids import SourceName
from jobping.core.ladder import LadderRules, Tier
from jobping.core.schedule import DigestRules, When
from jobping.core.supply import SupplyRules
from jobping.daemon import resident_bytes, sources_of
from jobping.delivery import Delivery, FilesDelivery
from jobping.demo.answers import Asked
from jobping.demo.world import World
from jobping.events import Emit
from jobping.fetch import Fetcher
from jobping.settings import LlmSettings, Settings
from jobping.store.bridge import Database
from jobping.tree import Materials, Stores, build_tree
from supervisors import Context, Supervisor

USUAL, RESERVE = SourceName("greenhouse"), SourceName("lever")
POLL_EVERY_S: Final = 1.0
COOLDOWN_S: Final = 1.0
PHASE_S: Final = 25.0
MAX_IDLE_S: Final = 180.0
NEWS_DAYS: Final = 3  # of the synthetic postings some are older, and so are stock
WAY: Final = (
    (Tier.RELIABLE, Tier.INDIVIDUAL),
    (Tier.INDIVIDUAL, Tier.BACKFILL),
    (Tier.BACKFILL, Tier.INDIVIDUAL),
    (Tier.INDIVIDUAL, Tier.RELIABLE),
)
ADVICE: Final = "see [ladder] and [supply] in `jobping config show`; the defaults pass this check"

_EARLIER = re.compile(r"\[from\s+earlier:")


def quick(rules: LadderRules) -> LadderRules:
    """Return the operator's rules with fewer steps and shorter waits."""
    return attrs.evolve(
        rules,
        down=1,
        up=2,
        cooldown_s=COOLDOWN_S,
        longest_s=2 * COOLDOWN_S,
        relapse_s=COOLDOWN_S,
    )


def staged(settings: Settings, rules: LadderRules, supply: SupplyRules) -> Settings:
    """Return settings of a demo at a pace that a check can wait for.

    Breakers are left to their own section: one that is open for half a minute would be waited for.
    """
    sources = tuple(
        attrs.evolve(
            source,
            breaker=False,
            pace=source.pace and attrs.evolve(source.pace, poll_every_s=POLL_EVERY_S),
        )
        for source in settings.sources
    )
    return attrs.evolve(
        settings,
        sources=sources,
        ladder=rules,
        supply=supply,
        matching=attrs.evolve(settings.matching, recent_days=NEWS_DAYS),
        digest=DigestRules(when=When.INSTANT, every_s=POLL_EVERY_S * 2, most_a_day=1_000),
        llm=LlmSettings(),
    )


def materials_of(
    settings: Settings, database: Database, fetcher: Fetcher, folder: Path, emit: Emit
) -> Materials:
    """Return what the daemon builds its tree from, over a database that is open."""

    async def serve_store(ctx: Context[object]) -> None:
        ctx.started()
        await ctx.stop_requested.wait()

    def emit_as(actor: str) -> Emit:
        return partial(emit, actor=actor)

    ways: tuple[Delivery, ...] = (FilesDelivery(directory=folder / "digests"),)
    return Materials(
        settings=settings,
        stores=Stores.of(database),
        database=database,
        serve_store=serve_store,
        sources=sources_of(settings),
        fetcher=fetcher,
        deliveries=ways,
        daemon="check",
        run="check",
        control_dir=folder,
        cycle_s=PHASE_S,
        max_idle_s=MAX_IDLE_S,
        on_cycle_end=lambda: None,
        resident_bytes=resident_bytes,
        clock=Clock(),
        events=Inbox(),
        stopping=trio.Event(),
        emit_as=emit_as,
        rng=random.Random(),  # noqa: S311  jitter is no secret
        generation=Generation,
        reload=lambda: None,
    )


@asynccontextmanager
async def _open_tree(materials: Materials) -> AsyncIterator[Supervisor]:
    root = build_tree(materials)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        yield root
        await root.stop(reason="the check has seen it")


async def _enter_boards(world: World, settings: Settings, stores: Stores) -> None:
    """Let the boards of two sites be all there are: one polled always, one on standby."""
    sources = sources_of(settings)
    boards = [
        attrs.evolve(board, standby=board.source == RESERVE)
        for board in world.boards
        if board.source in (USUAL, RESERVE)
    ]
    placed = [(board, sources[board.source].domain(board)) for board in boards]
    await stores.boards.sync([], placed, use_defaults=True)
    await stores.profiles.sync(settings.profiles)


async def check_degradation(
    settings: Settings,
    world: World,
    database: Database,
    fetcher: Fetcher,
    folder: Path,
    emit: Emit,
    *,
    within_s: float = PHASE_S,
) -> Finding:
    """Let a site fail in two steps and recover, and follow its tiers, the supply and the digests.

    Args:
        settings: As `staged` returns them.
        within_s: Longest wait for each step.
    """
    said = Said(emit)
    materials = materials_of(settings, database, fetcher, folder, said)
    await _enter_boards(world, settings, materials.stores)
    async with _open_tree(materials):
        first = await said.wait_until(lambda: bool(said.of("digest.sent")), within_s)
    await trio.sleep(POLL_EVERY_S * 1.2)  # so that every board is due at the next start
    world.fail(USUAL, lambda _asked: True)
    began = trio.current_time()
    async with _open_tree(attrs.evolve(materials, left={})):
        down = await said.wait_until(lambda: len(_moves(said)) >= 2, within_s)
        if settings.supply.minimum:  # else nothing has to stand in
            down = await said.wait_until(lambda: _marked(folder) > 0, within_s) and down
        down_s = trio.current_time() - began
        world.fail(USUAL, _is_bulk)
        up = await said.wait_until(lambda: len(_moves(said)) >= 3, within_s)
        world.fail(USUAL, None)
        up = await said.wait_until(lambda: len(_moves(said)) >= 4, within_s) and up
    return _judge(said, settings.supply, folder, first and down and up, down_s)


def _is_bulk(asked: Asked) -> bool:
    return asked.path.endswith("/jobs")


def _moves(said: Said) -> list[tuple[Tier, Tier]]:
    found = (fields for name, fields in said.lines if name in ("tier.demoted", "tier.promoted"))
    return [(Tier(str(one["from_tier"])), Tier(str(one["to_tier"]))) for one in found]


def _marked(folder: Path) -> int:
    texts = (file.read_text(encoding="utf-8") for file in folder.glob("digests/*/*.txt"))
    return sum(len(_EARLIER.findall(text)) for text in texts)


def _judge(
    said: Said, rules: SupplyRules, folder: Path, is_in_time: bool, down_s: float
) -> Finding:
    wrong, moves, short = list[str](), _moves(said), said.of("supply.fell_short")
    came = [str(fields["came"]) for fields in short if fields["came"] is not None]
    filled = max((_int(fields["stored"]) for fields in short), default=0)
    listed = max((_int(fields["found"]) for fields in short), default=0)
    if tuple(moves) != WAY:
        wrong.append("tiers: " + (", ".join(f"{a} -> {b}" for a, b in moves) or "no move"))
    if rules.minimum and len(came) != 1:
        wrong.append(f"{len(came)} reserve sites came in, not 1")
    if rules.minimum and rules.target > listed and not filled:
        wrong.append("nothing stored stood in for what the sites list too little")
    if filled and not _marked(folder):
        wrong.append("what stood in is not marked in the digest")
    if not is_in_time and not wrong:
        wrong.append(f"a step took longer than {PHASE_S:g} s")
    exits = [fields for fields in said.of("child.exited") if fields["kind"] == "abnormal"]
    crashed = [one for one in exits if not str(one["error"]).startswith("DomainUnavailable")]
    if crashed or said.of("scraper.crashed"):
        wrong.append(f"{len(crashed) or 1} parts of the daemon crashed")
    good = (
        f"reliable -> individual -> backfill in {down_s:.1f} s and back by the same steps; below"
        f" {rules.minimum} postings {len(came)} reserve site came in, {filled} stored ones filled"
        f" up to {rules.target}, {_marked(folder)} marked so in digests"
    )
    return judged("degradation", "; ".join(wrong) or good, holds=not wrong, advice=ADVICE)


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
