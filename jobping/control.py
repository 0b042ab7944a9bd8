"""The control socket: how a command reaches the daemon that runs on a state directory.

A Unix socket, one line of JSON for each request and for each answer. Whoever can open it may give
orders: owner and group. The daemon never waits for a client: the size of a request, the number of
connections and the time of each are bounded.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from jobping.errors import ConfigError, DaemonAway, DaemonForbidden, DaemonSilent

NAME: Final = "control.sock"
LOCK_NAME: Final = "daemon.lock"
MODE: Final = 0o660
REQUEST_BYTES: Final = 64 * 1024
ANSWER_BYTES: Final = 16 * 1024 * 1024
CONNECTIONS: Final = 8
WITHIN_S: Final = 5.0  # for a whole connection
RECEIVE_BYTES: Final = 16_384
ID_BYTES: Final = 8

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Answers one request; what it raises is a bug."""


@contextlib.contextmanager
def own_state(state_dir: Path) -> Iterator[str]:
    """Be the only daemon on a state directory.

    Yields:
        The id of the daemon: the same at each start on this directory.

    Raises:
        ConfigError: Another daemon runs on it.
    """
    path = state_dir / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        text = os.pread(descriptor, 256, 0).decode("ascii", "replace").split()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = f"process {text[1]}" if len(text) > 1 else "another process"
            raise ConfigError(
                f"A daemon runs on {state_dir} already ({holder}): stop it, or name another"
                " --state-dir"
            ) from None
        id = text[0] if text else secrets.token_hex(ID_BYTES)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{id} {os.getpid()}\n".encode("ascii"), 0)
        yield id
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _reached(directory: Path) -> Iterator[str]:
    """Yield a path to a directory's socket that is short enough for the kernel."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


def _listen(directory: Path) -> trio.SocketListener:
    """Put the socket in place of a dead daemon's; nobody can connect before it has its mode."""
    (directory / NAME).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reached(directory) as path:
            listening.bind(path)
        (directory / NAME).chmod(MODE)
        listening.listen(CONNECTIONS)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


async def serve_control(
    directory: Path,
    answer: Answer,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests until cancelled.

    Args:
        directory: Where the socket is made; its owner is the only daemon there.
    """
    listener = _listen(directory)
    server = _Server(answer)
    try:
        task_status.started()
        await trio.serve_listeners(server.converse, [listener])
    finally:
        (directory / NAME).unlink(missing_ok=True)


@attrs.define
class _Server:
    """Counts its connections, so that no number of them costs more than a close each."""

    answer: Answer
    _open: int = attrs.field(default=0, init=False)

    async def converse(self, stream: trio.SocketStream) -> None:
        """Answer one client, line by line, within the time of a connection."""
        self._open += 1
        try:
            async with stream:
                if self._open <= CONNECTIONS:
                    with (
                        trio.move_on_after(WITHIN_S),
                        contextlib.suppress(trio.BrokenResourceError),
                    ):
                        await self._answer_all(stream)
        finally:
            self._open -= 1

    async def _answer_all(self, stream: trio.SocketStream) -> None:
        buffer = b""
        while True:
            line, end, rest = buffer.partition(b"\n")
            if end:
                buffer = rest
                await stream.send_all(_encoded(await self._answer(line)))
            elif len(buffer) > REQUEST_BYTES:
                await stream.send_all(_encoded({"error": f"more than {REQUEST_BYTES} bytes"}))
                return
            else:
                chunk = await stream.receive_some(RECEIVE_BYTES)
                if not chunk:
                    return
                buffer += chunk

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return {"error": "no JSON object"}
        return await self.answer(request)


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def ask_daemon(directories: tuple[Path, ...], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the daemon whose socket lies in the first of the directories that has a living one.

    Raises:
        DaemonAway: Nobody answers; `DaemonSilent`: or not in time, or we must not ask.
    """
    reasons: list[str] = []
    failure: type[DaemonAway] = DaemonAway
    for directory in dict.fromkeys(directories):
        try:
            with _reached(directory) as path, socket.socket(socket.AF_UNIX) as client:
                client.settimeout(WITHIN_S)
                client.connect(path)
                client.sendall(_encoded(request))
                return _read_answer(client)
        except (OSError, ValueError) as error:
            reasons.append(f"{directory / NAME}: {getattr(error, 'strerror', None) or error}")
            if isinstance(error, PermissionError):
                failure = DaemonForbidden
            elif not isinstance(error, FileNotFoundError | ConnectionRefusedError):
                failure = DaemonSilent
    raise failure("; ".join(reasons))


def _read_answer(client: socket.socket) -> Mapping[str, Any]:
    with client.makefile("rb") as stream:
        line = stream.readline(ANSWER_BYTES)
    if not line:
        raise ValueError("it has too many connections")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("no answer that we understand")
    return answer
