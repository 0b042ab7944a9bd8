"""The control socket against whoever can open it, and the lock of a state directory."""

import contextlib
import errno
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from jobping.control import CONNECTIONS, NAME, REQUEST_BYTES, ask_daemon, own_state, serve_control
from jobping.errors import ConfigError, DaemonAway, DaemonSilent

NOBODY = 65534
ECHO = {"ask": "echo"}


async def echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"asked": dict(request)}


@asynccontextmanager
async def serving(directory: Path, answer: Any = echo) -> AsyncIterator[Path]:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, directory, answer)
        yield directory / NAME
        nursery.cancel_scope.cancel()


async def ask(directory: Path, request: Mapping[str, Any] = ECHO) -> Mapping[str, Any]:
    return await trio.to_thread.run_sync(ask_daemon, (directory,), request)


async def said(stream: trio.abc.ReceiveStream) -> Any:
    """Return what was answered until the daemon closed the connection."""
    answer = b""
    async for chunk in stream:
        answer += chunk
    return json.loads(answer) if answer else None


async def test_request_is_answered_and_the_socket_goes_with_the_daemon(home: Path) -> None:
    async with serving(home) as path:
        assert await ask(home) == {"asked": ECHO}
    assert not path.exists()
    with pytest.raises(DaemonAway, match=r"control\.sock: No such file"):
        await ask(home)


async def test_one_connection_may_carry_several_requests(home: Path) -> None:
    async with serving(home) as path, await trio.open_unix_socket(path) as stream:
        await stream.send_all(b'{"a": 1}\n{"b"')
        await stream.send_all(b": 2}\n")
        await stream.send_eof()
        answers = b"".join([chunk async for chunk in stream]).splitlines()
    assert [json.loads(line) for line in answers] == [{"asked": {"a": 1}}, {"asked": {"b": 2}}]


async def test_socket_of_a_dead_daemon_is_replaced(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / NAME))
    with pytest.raises(DaemonAway, match="Connection refused"):
        await ask(home)
    async with serving(home):
        assert await ask(home) == {"asked": ECHO}


async def test_directory_may_have_a_longer_path_than_a_socket_can(home: Path) -> None:
    deep = home / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with serving(deep):
        assert await ask(deep) == {"asked": ECHO}


async def test_first_living_socket_of_several_places_is_asked(home: Path) -> None:
    living = home / "living"
    living.mkdir()
    async with serving(living):
        places = (home / "missing", home, living)
        answer = await trio.to_thread.run_sync(ask_daemon, places, ECHO)
    assert answer == {"asked": ECHO}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_owner_and_group_alone_may_ask_whatever_the_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        async with serving(home) as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_local_user_is_refused(home: Path) -> None:
    async with serving(home) as path:
        child = os.fork()
        if child == 0:
            os._exit(_connect_as_nobody(path))
        _, status = os.waitpid(child, 0)  # noqa: ASYNC222  it ends at once
    assert os.waitstatus_to_exitcode(status) == errno.EACCES


def _connect_as_nobody(path: Path) -> int:
    """Return the error number of an attempt to connect; for a forked process."""
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        socket.socket(socket.AF_UNIX).connect(str(path))
    except OSError as error:
        return error.errno or 1
    return 0


@pytest.mark.parametrize(
    "line",
    [b"", b"hello", b"\xff\xfe", b"[1]", b"null", b"[" * 60_000, b'{"a":' * 10_000],
    ids=["empty", "word", "bytes", "array", "null", "deep_arrays", "deep_objects"],
)
async def test_line_that_is_no_object_is_refused_and_the_next_is_answered(
    home: Path, line: bytes
) -> None:
    async with serving(home) as path, await trio.open_unix_socket(path) as stream:
        await stream.send_all(line + b'\n{"a": 1}\n')
        await stream.send_eof()
        answers = b"".join([chunk async for chunk in stream]).splitlines()
    assert [json.loads(answer) for answer in answers] == [
        {"error": "no JSON object"},
        {"asked": {"a": 1}},
    ]


async def test_huge_request_is_cut_off_soon(home: Path) -> None:
    sent = 0
    async with serving(home) as path, await trio.open_unix_socket(path) as stream:
        with contextlib.suppress(trio.BrokenResourceError):
            while sent < 1_000_000_000:
                await stream.send_all(b"x" * 65_536)
                sent += 65_536
        assert sent < 20 * REQUEST_BYTES  # what the kernel holds for a socket, beside the limit
        assert await ask(home) == {"asked": ECHO}


async def test_request_above_the_limit_is_told_the_limit(home: Path) -> None:
    async with serving(home) as path, await trio.open_unix_socket(path) as stream:
        await stream.send_all(b"x" * (REQUEST_BYTES + 1))
        assert await said(stream) == {"error": "more than 65536 bytes"}


async def test_daemon_that_is_too_busy_is_not_called_absent(home: Path) -> None:
    async with serving(home) as path, contextlib.AsyncExitStack() as others:
        for _ in range(CONNECTIONS):
            stream = await others.enter_async_context(await trio.open_unix_socket(path))
            await stream.send_all(b"{")
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(DaemonSilent):
            await ask(home)
    with pytest.raises(DaemonAway) as caught:
        await ask(home)
    assert not isinstance(caught.value, DaemonSilent)


async def test_slow_writer_is_closed_at_the_deadline_and_disturbs_nobody(home: Path) -> None:
    clock = trio.current_time
    async with serving(home) as path, await trio.open_unix_socket(path) as stream:
        began = clock()
        await stream.send_all(b"{")
        assert await ask(home) == {"asked": ECHO}
        assert clock() - began < 1
        with trio.fail_after(8):
            assert await said(stream) is None
        assert 4 < clock() - began < 7


async def test_reader_that_takes_nothing_is_closed_at_the_deadline(home: Path) -> None:
    async def long_answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"text": "x" * 8_000_000}

    async with serving(home, long_answer) as path, await trio.open_unix_socket(path) as stream:
        await stream.send_all(b"{}\n")
        await trio.sleep(5.5)
        answer = b""
        with trio.fail_after(2):
            async for chunk in stream:
                answer += chunk
    assert len(answer) < 8_000_000


async def test_thousand_connections_cost_a_close_each_and_all_are_served_afterwards(
    home: Path,
) -> None:
    async with serving(home) as path:
        streams: list[trio.SocketStream] = []
        with trio.fail_after(20):
            while len(streams) < 1000:
                try:
                    streams.append(await trio.open_unix_socket(path))
                except OSError:  # more than the queue of a socket holds
                    await trio.sleep(0.001)
            closed = 0
            for stream in streams[CONNECTIONS:]:
                closed += await stream.receive_some(1) == b""
                await stream.aclose()
            assert closed == len(streams) - CONNECTIONS
            for stream in streams[:CONNECTIONS]:
                await stream.aclose()
            await trio.sleep(0.05)
            assert await ask(home) == {"asked": ECHO}


async def test_stop_does_not_wait_for_an_open_connection(home: Path) -> None:
    async with serving(home) as path:
        stream = await trio.open_unix_socket(path)
        began = trio.current_time()
    assert trio.current_time() - began < 1
    await stream.aclose()


# --- one daemon on a state directory


def test_second_owner_of_a_state_directory_is_refused_by_number(home: Path) -> None:
    with (
        own_state(home),
        pytest.raises(ConfigError, match=f"process {os.getpid()}"),
        own_state(home),
    ):
        pass


def test_daemon_has_the_same_id_at_each_start_and_another_elsewhere(home: Path) -> None:
    other = home / "other"
    other.mkdir()
    with own_state(home) as first, own_state(other) as elsewhere:
        assert len(first) >= 16
    with own_state(home) as again:
        assert again == first != elsewhere


def test_state_directory_that_cannot_be_written_is_refused(home: Path) -> None:
    missing = own_state(home / "missing")
    with pytest.raises(ConfigError, match=r"daemon\.lock cannot be opened"), missing:
        pass
