"""Ingest: drafts become deduplicated rows, one page at a time; the only writer of postings."""

from collections.abc import Awaitable, Callable

from jobping.actors.messages import (
    BatchAnswer,
    BatchFenced,
    BatchRefused,
    PostingsStored,
    StoreAway,
    StorePostings,
)
from jobping.core.fingerprint import content_hash, fingerprint
from jobping.errors import LeaseLost, StoreConflict, StoreUnavailable
from jobping.store.postings import BatchStored, Postings
from supervisors import Context, Ref


def ingest(
    postings: Postings, matcher: Ref[PostingsStored]
) -> Callable[[Context[StorePostings]], Awaitable[None]]:
    """Return the actor that stores what scrapers found and nudges the matcher about news."""

    async def run(ctx: Context[StorePostings]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            answer = await _store(postings, delivery.message)
            delivery.reply(answer)
            if isinstance(answer, BatchStored) and answer.news:
                matcher.tell(PostingsStored())

    return run


async def _store(postings: Postings, page: StorePostings) -> BatchAnswer:
    try:
        return await postings.store(
            page.board,
            page.drafts,
            [content_hash(draft) for draft in page.drafts],
            [fingerprint(draft) for draft in page.drafts],
            news_after=page.news_after,
            fence=page.fence,
        )
    except LeaseLost:
        return BatchFenced()
    except StoreConflict as error:
        return BatchRefused(why=str(error))
    except StoreUnavailable as error:
        return StoreAway(why=str(error))
