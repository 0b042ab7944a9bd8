"""Politeness as a site sees it: the daemon against nginx's `limit_req`, judged by nginx's log."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from tests.daemon.boards import greenhouse
from tests.daemon.processes import PATIENCE_S, Home, jobping

LIMIT = 2.0  # requests per second that nginx bears, without a burst
PACE = 1.9  # what the daemon is told
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine")

CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format arrivals escape=json '{{"end":$msec,"took":$request_time,'
        '"status":$status,"uri":"$uri","connection":$connection}}';
    access_log {home}/access.log arrivals;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    limit_req_zone $server_name zone=all:1m rate=2r/s;
    limit_req_status 429;
    server {{
        listen 127.0.0.1:{port};
        server_name limited;
        root {home}/www;
        default_type application/json;
        location = /robots.txt {{ return 404; }}
        location / {{
            limit_req zone=all;
            try_files /board.json =404;
        }}
    }}
}}
"""


@attrs.frozen
class Arrival:
    """One request in nginx's log; `at` is when it came, in seconds."""

    at: float
    status: int
    connection: int


@attrs.frozen
class Site:
    """A limited site."""

    url: str
    log: Path

    def arrivals(self) -> list[Arrival]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        found = [
            Arrival(line["end"] - line["took"], line["status"], line["connection"])
            for line in lines
            if line["uri"] != "/robots.txt"
        ]
        return sorted(found, key=lambda arrival: arrival.at)


@contextmanager
def limited_site(home: Path) -> Iterator[Site]:
    """Run nginx on loopback until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (home / "www").mkdir(parents=True)
    (home / "www" / "board.json").write_bytes(greenhouse(range(3)))
    for directory in (home, home / "www"):
        directory.chmod(0o755)
    user = "user root;" if home.owner() == "root" else ""
    config = home / "nginx.conf"
    config.write_text(CONFIG.format(home=home, port=port, user=user))
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-p", str(home), "-c", str(config)])
    try:
        for _ in range(250):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield Site(f"http://127.0.0.1:{port}", home / "access.log")
    finally:
        process.terminate()
        process.wait(timeout=10)


def config(site: Site, boards: int) -> str:
    """Return a configuration that has the daemon ask the site once for each board."""
    parts = ["[network]", 'allow = ["127.0.0.0/8"]']
    parts += ["requests_per_minute = 1000", "[source.greenhouse]"]  # the site's own pace binds
    parts += [f'base_url = "{site.url}"', f"per_hour = {PACE * 3600:g}"]
    for number in range(boards):
        parts += ["[[board]]", 'source = "greenhouse"', f'slug = "board{number}"']
    return "\n".join(parts)


def excess(arrivals: list[Arrival], rate: float, burst: float = 1.0) -> float:
    """Return by how many requests the arrivals exceed `burst + rate x t` in their worst window."""
    level = worst = 0.0
    for before, after in pairwise(arrivals):
        level = max(0.0, level + 1 - rate * (after.at - before.at))
        worst = max(worst, level)
    return worst + 1 - burst


@pytest.mark.parametrize("seconds", [20, pytest.param(120, marks=pytest.mark.slow)])
async def test_daemon_below_a_sites_limit_is_never_refused(home: Home, seconds: int) -> None:
    boards = int(seconds * PACE)
    with limited_site(home.path / "nginx") as site:
        file = home.write("jobping.toml", config(site, boards))
        minutes = str(seconds / 60 + 2)
        command = ("run", "--once", "--json", "--minutes", minutes, "--config", str(file))
        async with jobping(*command, home=home) as daemon:
            ended = await daemon.ended(within_s=seconds + PATIENCE_S)
        arrivals = site.arrivals()
    assert ended.code == 0, ended
    assert len(arrivals) >= boards
    assert {arrival.status for arrival in arrivals} <= {200, 304}
    assert len({arrival.connection for arrival in arrivals}) == 1
    assert excess(arrivals, LIMIT) < 0.05  # a millisecond's rounding and the scheduling of two
    took = arrivals[-1].at - arrivals[0].at
    assert (len(arrivals) - 1) / took > 0.7 * PACE  # a loaded machine is late
