"""Datagrams to systemd, received by a real socket."""

import os
import socket
import time
from pathlib import Path

import pytest

from jobping.sdnotify import ServiceManager, notify
from tests.doubles.service_manager import open_manager


@pytest.mark.parametrize("kind", ["path", "abstract"])
async def test_every_datagram_arrives_whole_at_either_kind_of_socket(
    tmp_path: Path, kind: str
) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@jobping-{os.getpid()}"
    async with open_manager(address) as systemd:
        manager = ServiceManager(
            address=address, watchdog_s=None, on_ready=lambda: "2 boards\nMAINPID=1"
        )
        manager.extend(1.5)
        manager.ready()
        manager.alive()  # without a watchdog nobody waits for it
        manager.status("ok")
        before = time.monotonic_ns() // 1000
        manager.reloading()
        manager.stopping("SIGTERM")
        await systemd.wait_for("STOPPING=1")
    told = [lines for _, lines in systemd.datagrams]
    moment = told[3].pop()
    assert told == [
        ["EXTEND_TIMEOUT_USEC=1500000", "STATUS=starting"],
        ["READY=1", "STATUS=2 boards MAINPID=1"],
        ["STATUS=ok: 2 boards MAINPID=1"],
        ["RELOADING=1"],
        ["STOPPING=1", "STATUS=stopping"],
    ]
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("address", [None, "", "vsock:2:1", "/nonexistent/notify", "@nobody-here"])
def test_nothing_happens_where_nobody_listens(address: str | None) -> None:
    notify(address, "READY=1")


def test_sender_goes_on_soon_when_nobody_reads(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.bind(str(tmp_path / "notify"))
        began = time.monotonic()
        for _ in range(20):  # the kernel queues ten or so
            notify(str(tmp_path / "notify"), "STATUS=again")
        assert time.monotonic() - began < 5.0
        assert full.recv(100) == b"STATUS=again"
