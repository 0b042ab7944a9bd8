"""The daemon on a server that somebody else runs."""

from jobping.store.bridge import Dsn
from tests.conftest import Cluster
from tests.daemon.boards import config, greenhouse, lever
from tests.daemon.processes import Home, rows, run
from tests.doubles.fault_server import open_fault_server, respond


async def test_daemon_uses_a_given_database_and_leaves_its_server_running(
    home: Home, cluster: Cluster, dsn: Dsn
) -> None:
    environ = {"JOBPING_DATABASE_URL": dsn.url}
    async with (
        open_fault_server(respond(greenhouse(range(7)))) as first,
        open_fault_server(respond(lever(range(5)))) as second,
    ):
        file = home.write(
            "given.toml", config({"greenhouse": first.url(""), "lever": second.url("")})
        )
        once = ("run", "--once", "--json", "--config", file)
        new = await run(*once, home=home, environ=environ)
        again = await run(*once, home=home, environ=environ)
    assert new.code == again.code == 0, (new, again)
    assert new.summary()["postings"]["new"] == 12
    assert again.summary()["postings"]["new"] == 0
    assert new.lines("postgres.started") == new.lines("postgres.stopped") == []
    assert not (home.state / "postgres").exists()

    stored = await rows("SELECT source FROM posting", home=home, environ=environ)
    assert sorted(row["source"] for row in stored) == ["greenhouse"] * 7 + ["lever"] * 5
    cluster.drop(cluster.create())  # the server still does what the tests need
