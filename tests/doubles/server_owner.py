"""A process that owns, or joins, an embedded server: `python server_owner.py STATE_DIR`.

Every event is a JSON line on stdout, `ready` among them; SIGTERM ends it in order.
"""

import json
import signal
import sys
from pathlib import Path

import trio

from jobping.errors import StoreUnavailable
from jobping.store.bridge import open_loop
from jobping.store.embedded import Durability, EmbeddedConfig, open_server


def emit(event: str, /, *, level: str | None = None, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event} | fields) + "\n")
    sys.stdout.flush()


async def serve(state_dir: Path) -> None:
    config = EmbeddedConfig(
        state_dir=state_dir, runtime_dir=state_dir / "run", durability=Durability.GIVEN_UP
    )
    async with open_loop(), open_server(config, emit=emit) as dsn:
        emit("ready", url=dsn.url)
        await trio.sleep_forever()


async def main(state_dir: Path) -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            nursery.start_soon(run, nursery, state_dir)
            async for _ in signals:
                nursery.cancel_scope.cancel()


async def run(nursery: trio.Nursery, state_dir: Path) -> None:
    try:
        await serve(state_dir)
    except StoreUnavailable as error:
        emit("failed", why=str(error))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
