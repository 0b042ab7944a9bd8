"""The identifiers that travel between parts, each its own type."""

from typing import NewType

Domain = NewType("Domain", str)
"""The network location of a site: host, and `:port` where it is not the scheme's default."""
SourceName = NewType("SourceName", str)
ExternalId = NewType("ExternalId", str)
"""A source's id of a posting; carries the board's slug where ids count per board."""
BoardId = NewType("BoardId", int)
PostingId = NewType("PostingId", int)
ProfileId = NewType("ProfileId", int)
SubscriberId = NewType("SubscriberId", int)
DigestId = NewType("DigestId", int)
Monotonic = NewType("Monotonic", float)
"""Seconds of a clock that never goes back; for pace and time-outs only."""
