"""The configuration read anew while the daemon runs: all of it holds afterwards, or nothing of it.

Everything after the store is stopped in order and started again with the new settings. What it
knows of sites stands in the database by then, and a model's call in flight is waited for.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from jobping.actors.operator import Generation
from jobping.clock import Clock
from jobping.errors import ConfigError, JobPingError
from jobping.events import Emit
from jobping.sdnotify import ServiceManager
from jobping.settings import Settings
from supervisors import ChildStateError, StartError, Supervisor, SupervisorStopping

RETRY_S: Final = 5.0
_STAYS: Final = ("store", "control")  # the one holds the state, the other the one who asked


@attrs.define(kw_only=True)
class Reloader:
    """Reads the configuration anew as often as it is asked to; requests in a row are one.

    Attributes:
        read: Reads the settings; None: this run has none that could change.
        settings: Those that hold.
        use: Lets every actor that starts from now on take these settings.
        sync: Brings the database in step with them; returns boards, domains and profiles.
    """

    read: Callable[[], Settings] | None
    settings: Settings
    use: Callable[[Settings], None]
    sync: Callable[[], Awaitable[tuple[int, int, int]]]
    service: ServiceManager
    clock: Clock
    emit: Emit
    generation: Generation = attrs.field(factory=Generation, init=False)
    _is_asked: bool = attrs.field(default=False, init=False)
    _is_busy: bool = attrs.field(default=False, init=False)
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    def ask(self) -> int | None:
        """Ask for a reload; return how many will have been tried when it has, None: never."""
        if self.read is None:
            return None
        self._is_asked = True
        self._news.unpark_all()
        return self.generation.tries + 1 + self._is_busy

    def note(self) -> None:
        """Ask for a reload, at a signal."""
        self.ask()

    async def serve(self, root: Supervisor) -> None:
        """Reload whenever asked to, until the tree stops."""
        with contextlib.suppress(SupervisorStopping):
            while self.read is not None:
                while not self._is_asked:
                    await self._news.park()
                self._is_asked, self._is_busy = False, True
                await self._reload(root, self.read)
                self._is_busy = False

    async def _reload(self, root: Supervisor, read: Callable[[], Settings]) -> None:
        self.service.reloading()
        began = self.clock.monotonic()
        number, error = self.generation.number, None
        try:
            settings = await trio.to_thread.run_sync(read)
            _check_fixed(self.settings, settings)
            boards, domains, profiles = await self._change(root, settings)
        except ConfigError as refused:
            error = str(refused)
            self.emit("config.rejected", errors=error.splitlines())
            self.service.refused(error)
        else:
            number += 1
            self.emit(
                "config.reloaded",
                generation=number,
                boards=boards,
                domains=domains,
                profiles=profiles,
                duration_s=self.clock.monotonic() - began,
            )
            self.service.reloaded(served(boards, domains, profiles))
        tries = self.generation.tries + 1
        self.generation = Generation(number=number, tries=tries, refused=error)

    async def _change(self, root: Supervisor, settings: Settings) -> tuple[int, int, int]:
        """Let the settings hold; on any failure the old ones do again.

        Raises:
            ConfigError: They do not.
        """
        before = self.settings
        await _stop(root)
        try:
            counts = await self._start(root, settings)
        except (JobPingError, StartError) as error:
            await self._go_back(root, before)
            raise ConfigError(f"it could not be put into force: {error}") from error
        self.settings = settings
        return counts

    async def _go_back(self, root: Supervisor, settings: Settings) -> None:
        """Let the old settings hold again, as soon as the database lets them."""
        while True:
            await _stop(root)
            try:
                await self._start(root, settings)
            except (JobPingError, StartError):
                await trio.sleep(RETRY_S)
            else:
                return

    async def _start(self, root: Supervisor, settings: Settings) -> tuple[int, int, int]:
        self.use(settings)
        counts = await self.sync()
        await _start(root)
        return counts


def served(boards: int, domains: int, profiles: int) -> str:
    """Return in a line what the daemon serves."""
    return f"{boards} boards at {domains} sites, for {profiles} profiles"


def _ids(root: Supervisor) -> list[str]:
    return [child.id for child in root.snapshot().children if child.id not in _STAYS]


async def _stop(root: Supervisor) -> None:
    for id in reversed(_ids(root)):
        await root.terminate_child(id)


async def _start(root: Supervisor) -> None:
    for id in _ids(root):
        with contextlib.suppress(ChildStateError):  # a crash of the store has started it already
            await root.restart_child(id)


def _check_fixed(old: Settings, new: Settings) -> None:
    """Refuse a change of what the whole process is built on.

    Raises:
        ConfigError: Something of that has changed.
    """

    def fixed(settings: Settings) -> dict[str, object]:
        network = settings.network
        return {
            "state_dir": settings.state_dir,
            "[store]": settings.store,
            "[log]": settings.log,
            "[network] allow": network.allow,
            "[network] contact": network.contact,
        }

    before, after = fixed(old), fixed(new)
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise ConfigError(f"{', '.join(changed)}: changed, which needs a restart of the daemon")
