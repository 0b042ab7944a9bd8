"""systemd's end of the notification socket: a real datagram socket that keeps what it is told."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

PATIENCE_S = 60.0


@attrs.define
class Manager:
    """What was told so far, a datagram each, with the moment."""

    address: str
    datagrams: list[tuple[float, list[str]]] = attrs.field(factory=list)
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    @property
    def said(self) -> list[str]:
        return [line for _, lines in self.datagrams for line in lines]

    def moments(self, assignment: str) -> list[float]:
        return [at for at, lines in self.datagrams if assignment in lines]

    async def wait_for(self, assignment: str, count: int = 1) -> None:
        await self.wait_until(lambda: self.said.count(assignment) >= count)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await self._news.park()

    async def listen(self, receiving: trio.socket.SocketType) -> None:
        while True:
            datagram = await receiving.recv(4096)
            self.datagrams.append((time.monotonic(), datagram.decode().split("\n")))
            self._news.unpark_all()


@asynccontextmanager
async def open_manager(address: str) -> AsyncIterator[Manager]:
    """Listen at a path, or at `@` and an abstract name."""
    manager = Manager(address)
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as receiving:
        await receiving.bind(address.replace("@", "\0", 1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.listen, receiving)
            yield manager
            nursery.cancel_scope.cancel()
