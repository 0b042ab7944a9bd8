"""The commands about the people behind profiles."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call

EMAIL = "ana@example.org"
REFUSED = (1, "", "this token is not valid\n")


def show(call: Call, name: str = "ana") -> dict[str, object]:
    code, out, _err = call("profile", "show", name, "--json")
    assert code == 0
    return dict(json.loads(out))


def test_person_added_confirms_by_the_token_that_was_printed(call: Call) -> None:
    code, out, _err = call("profile", "add", "ana", "--email", EMAIL)
    token = out.split()[-1]
    assert code == 0
    shown = show(call)
    assert (shown["email"], shown["takes_mail"]) == (EMAIL, False)
    assert shown["consent"] == "unconfirmed"
    assert call("profile", "confirm", "--token", token) == (0, "confirmed\n", "")
    shown = show(call)
    assert (shown["takes_mail"], shown["consent"]) == (True, "confirmed")
    assert shown["confirm_token"] is None


def test_person_whom_the_operator_vouches_for_needs_no_token(call: Call) -> None:
    _code, out, _err = call("profile", "add", "ana", "--email", EMAIL, "--confirmed")
    assert out == "ana: added; a running daemon finds it within half a minute\n"
    assert show(call)["takes_mail"] is True
    assert call("profile", "unsubscribe", "ana") == (0, "unsubscribed\n", "")
    _code, out, _err = call("profile", "add", "two", "--email", EMAIL, "--confirmed")
    assert "its owner has unsubscribed" in out
    assert call("profile", "confirm", "two")[0] == 0
    assert show(call)["takes_mail"] is True


@pytest.mark.parametrize("command", ["confirm", "unsubscribe"])
def test_tokens_that_do_nothing_are_refused_alike(call: Call, command: str) -> None:
    token = call("profile", "add", "ana", "--email", EMAIL)[1].split()[-1]
    assert call("profile", "confirm", token)[0] == 0
    for refused in (token, token[:-1] + "7", "a" * 48, "x" * 5000):
        assert call("profile", command, refused) == REFUSED


def test_name_is_no_token_where_strangers_write(call: Call) -> None:
    call("profile", "add", "ana", "--email", EMAIL)
    for stranger in ("ana", "nobody", EMAIL):
        assert call("profile", "confirm", "--token", stranger) == REFUSED
    assert show(call)["takes_mail"] is False


def test_profile_without_an_address_cannot_be_confirmed(call: Call) -> None:
    call("profile", "add", "ana")
    assert call("profile", "confirm", "ana") == (64, "", "jobping: ana has no mail address\n")
    code, _out, err = call("profile", "add", "bob", "--email", "a@b.example, c@d.example")
    assert code == 64
    assert "email = (hidden): must be one mail address in ASCII" in err


def test_export_and_erase_of_nobody_say_so(call: Call) -> None:
    for command in ("export", "erase"):
        for nobody in ("nobody", "nobody@example.org", "../ana"):
            code, out, err = call("profile", command, nobody)
            assert (code, out) == (64, "")
            assert "no profile or mail address of that name" in err


def test_erasure_whose_files_stay_fails_and_can_be_repeated(call: Call, tmp_path: Path) -> None:
    call("profile", "add", "ana", "--email", EMAIL)
    (tmp_path / "digests").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "digests" / "ana").symlink_to(tmp_path / "elsewhere")
    code, out, err = call("profile", "erase", "ana")
    assert (code, out) == (1, "erased: 2 rows, 0 files; older backups still hold them\n")
    assert "not all files could be deleted" in err
    (tmp_path / "digests" / "ana").unlink()
    (tmp_path / "digests" / "ana").mkdir()
    (tmp_path / "digests" / "ana" / "first_1.txt").touch()
    code, out, err = call("profile", "erase", "ana")
    assert (code, out) == (0, "erased: 0 rows, 1 files; older backups still hold them\n")
