"""Profiles from files: every row is checked, and nothing is imported of a wrong file."""

import json
from pathlib import Path

import pytest

from jobping.core.profile import EXAMPLE
from tests.cli.conftest import Call

HEADER = "name,email,words,levels,pay_floor,max_items\n"
GOOD = (
    HEADER
    + 'ana,ana@example.org,"python, data engineer","entry,mid",30000 EUR/year,5\n'
    + "\n"
    + "bob,,,,,\n"
)


def listed(call: Call) -> dict[str, dict[str, object]]:
    rows = json.loads(call("profile", "list", "--json")[1])
    return {row["name"]: row for row in rows}


def imported(call: Call, path: Path, text: str, *options: str) -> tuple[int, str, str]:
    path.write_text(text, encoding="utf-8")
    return call("profile", "import", str(path), *options)


def test_profiles_of_a_csv_file_are_added_with_all_their_keys(call: Call, tmp_path: Path) -> None:
    code, out, _err = imported(call, tmp_path / "people.csv", "\ufeff" + GOOD)
    assert code == 0
    assert out.splitlines() == [
        "ana: new",
        "bob: new",
        "added: 2",
        "no mail before the owners confirm; `jobping profile show` has their tokens",
    ]
    ana = listed(call)["ana"]
    assert (ana["words"], ana["levels"]) == (["python", "data engineer"], ["entry", "mid"])
    assert (ana["pay_floor"], ana["max_items"]) == ("30000 EUR/year", 5)
    assert (ana["email"], ana["takes_mail"]) == ("ana@example.org", False)


def test_list_that_was_printed_can_be_imported_elsewhere(call: Call, tmp_path: Path) -> None:
    imported(call, tmp_path / "people.csv", GOOD, "--confirmed")
    before = listed(call)
    for name in before:
        call("profile", "remove", name)
    code, _out, err = imported(
        call, tmp_path / "people.json", json.dumps(list(before.values())), "--confirmed"
    )
    assert (code, err) == (0, "")
    assert listed(call) == before


def test_dry_run_adds_nothing(call: Call, tmp_path: Path) -> None:
    code, out, _err = imported(call, tmp_path / "people.csv", GOOD, "--dry-run")
    assert code == 0
    assert "would be added: 2" in out
    assert set(listed(call)) <= {EXAMPLE.name}


def test_import_again_leaves_what_is_there(call: Call, tmp_path: Path) -> None:
    imported(call, tmp_path / "people.csv", GOOD)
    code, out, _err = imported(call, tmp_path / "people.csv", GOOD.replace("python", "go") + "cy\n")
    assert code == 0
    assert out.splitlines()[:4] == [
        "ana: is there already, left as it is",
        "bob: is there already, left as it is",
        "cy: new",
        "added: 1",
    ]
    assert listed(call)["ana"]["words"] == ["python", "data engineer"]


def test_every_mistake_is_reported_with_its_line_and_nothing_imported(
    call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    text = (
        "name,email,remote,max_items,colour\n"
        "ana,ana@example.org,any,3,\n"
        'bob,"a@b.example, c@d.example",any,3,\n'
        "Cy,,maybe,0,red\n"
        ",dora@example.org,,,\n"
        "ana,,,,\n"
    )
    code, out, err = imported(call, path, text)
    assert (code, out) == (64, "")
    told = [line.removeprefix(f"jobping: {path}: ") for line in err.splitlines()]
    assert told[0].startswith("line 3: email = (hidden): must be one mail address")
    assert told[1].startswith('line 4: name = "Cy": must be lower-case letters')
    assert told[2].startswith('line 4: remote = "maybe": must be one of')
    assert told[3].startswith("line 4: max_items = 0: must be a whole number")
    assert told[4].startswith("line 4: colour: unknown key")
    assert told[5] == "line 5: name is missing"
    assert told[6].startswith("line 6: name = 'ana' is there twice")
    assert told[7:] == ["jobping: nothing was imported; correct the file"]
    assert "ana" not in listed(call)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1 must hold each key once"),
        ("email\na@b.example\n", "line 1 must hold each key once"),
        ("name,name\na,b\n", "line 1 must hold each key once"),
        ("name,words\nana,python,data\n", "line 2: 3 cells for 2 keys"),
        ('name,words\nana,"python\n', "unexpected end of data"),
        ('{"name": "ana"}', "must be a list of profiles"),
        ('["ana"]', "must be a list of profiles"),
        ('[{"name": "ana"', "Expecting"),
        ("[" * 100_000, "maximum recursion depth"),
        ('[{"name": "ana", "words": "python"}]', "profile 1: words = "),
        ('[{"name": "ana", "max_items": 1e999}]', "profile 1: max_items = "),
    ],
)
def test_file_of_another_shape_is_refused_with_the_reason(
    call: Call, tmp_path: Path, text: str, problem: str
) -> None:
    code, out, err = imported(call, tmp_path / "people", text)
    assert (code, out) == (64, "")
    assert problem in err
    assert "Traceback" not in err


def test_file_that_cannot_be_read_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"name,words\nana,\xe4rztin\n")
    for path in (tmp_path / "latin", tmp_path / "nowhere", tmp_path):
        code, _out, err = call("profile", "import", str(path))
        assert code == 64
        assert str(path) in err
