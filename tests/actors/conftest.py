"""Fixtures of the actors' tests."""

from collections.abc import AsyncIterator

import attrs
import pytest
from trio.testing import MockClock

from jobping.store.bridge import Database
from jobping.tree import Stores
from tests.actors.rig import Faulty, MovedClock, Rig
from tests.doubles.asking import open_test_fetcher
from tests.doubles.leases import HeldGates


@pytest.fixture
def clock() -> MockClock:
    """A clock that runs like any other and can jump; name it as an argument to have it."""
    return MockClock(rate=1.0)


@pytest.fixture
async def rig(database: Database) -> AsyncIterator[Rig]:
    """The parts over a real database and a real fetcher."""
    faulty = Faulty(database)
    async with open_test_fetcher() as fetcher:
        stores = Stores.of(faulty)
        yield Rig(
            faulty=faulty,
            stores=attrs.evolve(stores, gates=HeldGates(database=faulty)),
            fetcher=fetcher,
            clock=MovedClock(),
        )
