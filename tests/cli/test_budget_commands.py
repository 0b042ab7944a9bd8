import json
import re
from collections.abc import Awaitable, Callable

import pytest
import trio

from jobping.core.budget import lapsed
from jobping.core.profile import Profile
from jobping.daemon import Stores, open_stores
from jobping.settings import load
from jobping.store.ledger import Ledger
from tests.cli.conftest import Call
from tests.store.ledger_samples import reserve, settle

Fill = Callable[[Stores, Ledger], Awaitable[object]]


def fill(body: Fill) -> object:
    async def run() -> object:
        async with open_stores(load(), lambda *_event, **_fields: None) as stores:
            return await body(stores, Ledger(database=stores.spending.database, daemon="one"))

    return trio.run(run)


async def _use(stores: Stores, ledger: Ledger) -> list[str]:
    """Settle one call, let two lapse, leave one open."""
    await stores.profiles.add(Profile(name="me"))
    ids = [await reserve(ledger, 5_000, 4_000_000) for _ in range(4)]
    await ledger.end(ids[0], settle(2_000, 1_500_000))
    for id in ids[1:3]:
        await ledger.end(id, lapsed("timeout"))
    return ids


def test_budget_shows_each_limit_and_what_is_left(call: Call) -> None:
    fill(_use)
    code, out, _err = call("budget")
    assert code == 0
    day = r"^day tokens +100,000 +12,000 +5,000 +83,000 +[0-9,]+ +in "
    assert re.search(day, out, re.MULTILINE)
    assert re.search(r"^month cost +\$300.00 +\$0.0095 +\$0.004 +\$299.9865 ", out, re.MULTILINE)
    assert "lapsed        2 calls without a bill, counted as 10,000 tokens and $0.008; see" in out
    assert re.search(r"^luna +3 +12,000 +\$0.0095$", out, re.MULTILINE)
    assert "served today  0 of 1 profiles; all would need about 8,000 tokens, $0.0063" in out
    assert "day tokens: about 20 more calls fit" in out


def test_budget_of_a_fresh_database_has_nothing_spent(call: Call) -> None:
    code, out, _err = call("budget", "--json")
    assert code == 0
    shown = json.loads(out)
    assert [(row["window"], row["measure"], row["spent"]) for row in shown["limits"]] == [
        ("day", "tokens", 0),
        ("day", "cost", 0),
        ("month", "tokens", 0),
        ("month", "cost", 0),
    ]
    assert shown["by_model"] == []
    assert shown["binds"] == {"limit": "day tokens", "calls": 17}
    assert call("budget")[0] == 0


def test_ledger_lists_calls_with_what_was_booked_and_what_was_reserved(call: Call) -> None:
    ids = fill(_use)
    code, out, _err = call("budget", "ledger", "--json")
    assert code == 0
    rows = {row["id"]: row for row in json.loads(out)}
    assert [rows[id]["state"] for id in ids] == ["settled", "lapsed", "lapsed", "reserved"]
    assert sorted(str(row["tokens"]) for row in rows.values()) == ["2000", "5000", "5000", "None"]
    code, out, _err = call("budget", "ledger", "--limit", "2")
    assert len(out.splitlines()) == 3


def test_reconcile_replaces_the_worst_case_by_the_bill(call: Call) -> None:
    ids = fill(_use)
    said = ("--tokens", "3000", "--cost", "0.002", "--reason", "the bill")
    code, out, _err = call("budget", "reconcile", ids[1], *said)
    assert (code, out) == (0, "1 corrected\n")
    assert re.search(r"^day tokens +100,000 +10,000 ", call("budget")[1], re.MULTILINE)
    nothing = ("--tokens", "0", "--cost", "0", "--reason", "not on the bill")
    assert call("budget", "reconcile", "all", *nothing)[1] == "1 corrected\n"
    assert call("budget", "reconcile", "all", *nothing)[1] == "0 corrected\n"
    day = re.search(r"^day cost +\S+ +(\S+) ", call("budget")[1], re.MULTILINE)
    assert day is not None
    assert day[1] == "$0.0035"


@pytest.mark.parametrize("n", [0, 3])
def test_reconcile_refuses_what_is_not_lapsed(call: Call, n: int) -> None:
    ids = fill(_use)
    said = ("--tokens", "0", "--cost", "0", "--reason", "x")
    code, _out, err = call("budget", "reconcile", ids[n], *said)
    assert code == 64
    assert "is no lapsed call" in err


@pytest.mark.parametrize(
    "wrong",
    [
        ("4fd", "--tokens", "0", "--cost", "0"),
        ("all", "--tokens", "-1", "--cost", "0"),
        ("all", "--tokens", "0", "--cost", "-1"),
        ("all", "--tokens", "0", "--cost", "nan"),
        ("all", "--tokens", "0", "--cost", "0.0000000001"),
    ],
)
def test_reconcile_refuses_what_cannot_be_a_bill(call: Call, wrong: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        call("budget", "reconcile", *wrong, "--reason", "x")
    assert caught.value.code == 64


def test_prices_are_those_in_force_with_their_origin(call: Call) -> None:
    code, out, _err = call("budget", "prices")
    assert code == 0
    row = r"^gpt-5.6-luna +0.2 +0.02 +0.25 +1.2 +- +2026-10-21 +packaged: litellm 1.106.2"
    assert re.search(row, out, re.MULTILINE)
    assert len(json.loads(call("budget", "prices", "--json")[1])) == 3
    assert len(json.loads(call("budget", "prices", "--all", "--json")[1])) == 58
