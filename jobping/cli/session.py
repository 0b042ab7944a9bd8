"""What the commands that need the database share: settings, a quiet log, the stores."""

import argparse
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import attrs
import trio
from rich.console import Console

from jobping.cli.parser import overrides
from jobping.events import Emit
from jobping.logs import Form, LogConfig, is_journal, open_log
from jobping.settings import Settings, load

if TYPE_CHECKING:
    from jobping.tree import Stores

Body = Callable[["Stores"], Awaitable[int]]


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that a command line asks for."""
    return load(overrides(arguments))


@contextlib.contextmanager
def quiet_log(settings: Settings) -> Iterator[Emit]:
    """Open a log that shows only warnings, on standard error, for people."""
    config = LogConfig(level="warning", form=Form.CONSOLE, colour=settings.log.colour)
    with open_log(config, stream=sys.stderr, journal=False) as log:
        yield log.emit


@contextlib.contextmanager
def audit_log(settings: Settings) -> Iterator[Emit]:
    """Open the log on standard error for what must be on record whatever level is set."""
    config = attrs.evolve(settings.log, level="info")
    journal = is_journal(sys.stderr, settings.system.journal_stream)
    with open_log(config, stream=sys.stderr, journal=journal) as log:
        yield log.bind(actor="operator")


def with_stores(arguments: argparse.Namespace, body: Body) -> int:
    """Open the database, call the body with the stores, and return its exit code.

    Raises:
        ConfigError: The settings are wrong.
        StoreUnavailable: The database does not answer.
    """
    settings = settings_of(arguments)
    with quiet_log(settings) as emit:
        return trio.run(_with_stores, settings, emit, body)


async def _with_stores(settings: Settings, emit: Emit, body: Body) -> int:
    async with _opened(settings, emit) as stores:
        return await body(stores)


@contextlib.asynccontextmanager
async def _opened(settings: Settings, emit: Emit) -> "AsyncIterator[Stores]":
    # here: these bring asyncio, asyncpg and httpx, which `--help` and `config` do without
    from jobping.daemon import open_stores

    with contextlib.ExitStack() as waiting:
        if sys.stderr.isatty():
            waiting.enter_context(Console(stderr=True).status("opening the database"))
        async with open_stores(settings, emit) as stores:
            waiting.close()
            yield stores
