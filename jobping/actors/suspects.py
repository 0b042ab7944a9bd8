"""Boards whose poll crashed its actor: they rest, so that the other boards get their turn."""

from typing import Final

import attrs

from jobping.core.ids import BoardId, Domain, Monotonic

REST_S: Final = 300.0  # after the first crash; doubles with each further one, up to a day
LONGEST_S: Final = 86_400.0
MAX_DOUBLINGS: Final = 20


@attrs.define
class Suspects:
    """Which board each domain polls just now, and which of them rest; outlives the actors."""

    _polling: dict[Domain, BoardId] = attrs.field(factory=dict, init=False)
    _crashes: dict[BoardId, int] = attrs.field(factory=dict, init=False)
    _until: dict[BoardId, float] = attrs.field(factory=dict, init=False)

    def begin(self, board: BoardId, domain: Domain) -> None:
        """Note that the domain's actor begins to poll a board."""
        self._polling[domain] = board

    def end(self, board: BoardId, domain: Domain) -> None:
        """Note that a poll has ended, however it went; the board is above suspicion."""
        self._polling.pop(domain, None)
        self._crashes.pop(board, None)
        self._until.pop(board, None)

    def crashed(self, domain: Domain, now: Monotonic) -> BoardId | None:
        """Let the board rest whose poll the domain's actor did not survive; say which it was."""
        board = self._polling.pop(domain, None)
        if board is None:
            return None
        crashes = self._crashes.get(board, 0)
        self._crashes[board] = crashes + 1
        self._until[board] = now + min(LONGEST_S, REST_S * 2 ** min(crashes, MAX_DOUBLINGS))
        return board

    def is_resting(self, board: BoardId, now: Monotonic) -> bool:
        """Whether the board must not be polled yet."""
        return now < self._until.get(board, now)
