"""Models that are gone, slow, out of quota or used up: digests leave all the same, marked so."""

import pytest

from jobping.demo.model_server import open_model_server
from tests.daemon.boards import PROFILE, config, greenhouse
from tests.daemon.processes import Ended, Home, run
from tests.daemon.test_faulty_boards import open_boards
from tests.doubles.fault_server import respond

MARK = "locally, without the language model."
LOCALLY = "Ranked " + MARK


async def run_once(home: Home, base_url: str, **environ: str) -> Ended:
    async with open_boards({"greenhouse": respond(greenhouse(range(6)))}) as boards:
        text = config(boards, rest=f'{PROFILE}\n[llm]\nbase_url = "{base_url}"\n')
        file = home.write("jobping.toml", text)
        key = {"OPENAI_API_KEY": "sk-test-0123456789"}
        return await run(
            "run", "--once", "--json", "--config", file, home=home, environ=key | environ
        )


def digest_of(home: Home) -> str:
    [digest] = home.digests
    return digest.read_text(encoding="utf-8")


async def test_digest_is_ranked_by_the_model_and_not_marked(home: Home) -> None:
    async with open_model_server() as server:
        ended = await run_once(home, server.base_url)
        assert ended.code == 0, ended
        assert len(server.bill.charges) == 1
    assert MARK not in digest_of(home)
    [called] = ended.lines("model.called")
    assert called["outcome"] == "stop"
    assert "sk-test" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("step", "state"),
    [("quota_gone", "released"), ("error_billed", "lapsed"), ("unauthorized", "released"),
     ("broken_json", "lapsed"), ("close_before_head", "lapsed")],
)  # fmt: skip
async def test_digest_leaves_with_the_local_ranking_when_the_model_fails(
    home: Home, step: str, state: str
) -> None:
    async with open_model_server() as server:
        server.plan(*[step] * 9)
        ended = await run_once(home, server.base_url)
    assert ended.code == 0, ended
    assert ended.summary()["digests"] == 1
    assert LOCALLY in digest_of(home)
    assert [line["level"] for line in ended.lines("model.called")] == ["warning"]
    assert bool(ended.lines("budget.lapsed")) is (state == "lapsed")


async def test_digest_leaves_with_the_local_ranking_when_the_server_is_gone(home: Home) -> None:
    async with open_model_server() as server:
        pass
    ended = await run_once(home, server.base_url)
    assert ended.code == 0, ended
    assert LOCALLY in digest_of(home)


async def test_digest_waits_no_longer_than_a_call_for_a_server_that_hangs(home: Home) -> None:
    async with open_model_server() as server:
        server.plan(*["hang"] * 9)
        ended = await run_once(home, server.base_url)
        assert len(server.bill.charges) == 1
    assert ended.code == 0, ended
    assert LOCALLY in digest_of(home)
    assert len(ended.lines("budget.lapsed")) == 1
    assert ended.took_s < 60


@pytest.mark.parametrize("limit", ["OPENAI_DAILY_TOKEN_LIMIT", "OPENAI_MONTHLY_COST_LIMIT"])
async def test_digest_leaves_with_the_local_ranking_when_nothing_may_be_spent(
    home: Home, limit: str
) -> None:
    async with open_model_server() as server:
        ended = await run_once(home, server.base_url, **{limit: "0"})
        assert server.bill.charges == []
    assert ended.code == 0, ended
    assert LOCALLY in digest_of(home)
    assert len(ended.lines("budget.exhausted")) == 1
