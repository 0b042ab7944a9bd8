"""Job sources: the requests that read a board, and the parsers from bytes to drafts. No I/O.

`source` is the contract, `items` the reading that all share, `text` and `dates` the conversions;
one module per source; `defaults` is what is polled while nothing is configured.
"""

from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.source import Source

SOURCES: tuple[Source, ...] = (GREENHOUSE,)
"""Every source, in the order in which they are listed to people."""
