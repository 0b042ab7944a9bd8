"""The one HTTP client: one exchange at a time per origin, guarded, capped, and honest about ends.

`fetcher` (open_fetcher, Fetcher, Exchange) is what others use; `answers` maps statuses and foreign
errors to ours; `transport` keeps one connection per origin behind httpx; `network` resolves, checks
and connects; `wire` counts one exchange and holds its caps; `body` inflates under caps.
"""

from jobping.fetch.answers import MALFORMED
from jobping.fetch.fetcher import Exchange, Fetcher, FetchStatistics, open_fetcher
from jobping.fetch.network import Resolve
from jobping.fetch.wire import FetchLimits, Phase

__all__ = [
    "MALFORMED",
    "Exchange",
    "FetchLimits",
    "FetchStatistics",
    "Fetcher",
    "Phase",
    "Resolve",
    "open_fetcher",
]
