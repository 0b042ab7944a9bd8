"""`jobping profile import`: many profiles from one file, all of them or none."""

import argparse
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from jobping.cli.parser import Parser, UsageError, add_command, add_config_options, read_text
from jobping.cli.session import with_stores
from jobping.core.board import Origin
from jobping.core.profile import Profile
from jobping.errors import ConfigError
from jobping.settings import parse_profile

if TYPE_CHECKING:
    from jobping.tree import Stores

_ONLY_SHOWN: Final = frozenset({"from", "takes_mail"})
"""What `profile list --json` prints beside the keys of a profile."""
_FIELDS: Final = attrs.fields(Profile)
_LISTS: Final = {"at"} | {field.name for field in _FIELDS if str(field.type).startswith("tuple")}
_TEXTS: Final = {field.name for field in _FIELDS if field.type is not int}
_TRUTHS: Final = {"true": True, "false": False}


def add(below: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command below `jobping profile`."""
    importing = add_command(
        below,
        "import",
        "add the profiles of a CSV or JSON file",
        details="CSV: a line of keys as in the configuration file, then a line for each profile;"
        " lists are separated by commas within a cell. JSON: as `jobping profile list --json`"
        " prints it. Every row is checked first, and one mistake leaves all of them out; profiles"
        " that are there already stay as they are.",
        examples=["jobping profile import people.csv --dry-run"],
    )
    importing.add_argument("file", metavar="FILE", type=Path)
    importing.add_argument(
        "--confirmed", action="store_true", help="you vouch that all owners want the mail"
    )
    importing.add_argument("--dry-run", action="store_true", help="check, and add nothing")
    add_config_options(importing)
    importing.set_defaults(command=_import)


def _import(arguments: argparse.Namespace) -> int:
    profiles = _checked(arguments.file)

    async def body(stores: "Stores") -> int:
        stored = await stores.profiles.all()
        present = {row.profile.name for row in stored if row.origin is not Origin.DEFAULT}
        new = [profile for name, profile in profiles.items() if name not in present]
        if not arguments.dry_run:
            await stores.profiles.add_all(new, is_confirmed=arguments.confirmed)
        for name in profiles:
            print(f"{name}: is there already, left as it is" if name in present else f"{name}: new")
        print(f"{'would be ' if arguments.dry_run else ''}added: {len(new)}")
        if not arguments.confirmed and any(profile.email for profile in new):
            print("no mail before the owners confirm; `jobping profile show` has their tokens")
        return 0

    return with_stores(arguments, body)


def _checked(path: Path) -> dict[str, Profile]:
    """Return the profiles of a file by name; raises UsageError with all mistakes, a line each."""
    profiles: dict[str, Profile] = {}
    problems: list[str] = []
    text = read_text(path)
    rows = _json_rows(text) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text)
    try:
        for place, fields in rows:
            where = f"{path}: {place}"
            try:
                profile = parse_profile(fields, where)
            except ConfigError as error:
                problems.append(str(error))
                continue
            if profile.name in profiles:
                problems.append(f"{where}: name = {profile.name!r} is there twice; choose another")
            profiles[profile.name] = profile
    except (ValueError, RecursionError, csv.Error) as error:
        problems.append(f"{path}: {error}")
    if problems:
        raise UsageError("\n".join([*problems, "nothing was imported; correct the file"]))
    return profiles


def _json_rows(text: str) -> Iterator[tuple[str, dict[str, object]]]:
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("must be a list of profiles, as `jobping profile list --json` prints it")
    for number, row in enumerate(rows, 1):
        # what is empty says nothing
        kept = {
            key: row[key] for key in row if key not in _ONLY_SHOWN and row[key] not in (None, [])
        }
        yield f"profile {number}", kept


def _csv_rows(text: str) -> Iterator[tuple[str, dict[str, object]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    keys = [key.strip() for key in next(reader, [])]
    if len(set(keys)) < len(keys) or "name" not in keys:
        raise ValueError("line 1 must hold each key once, `name` among them, such as name,email")
    begin = reader.line_num + 1
    for row in reader:
        place, begin = f"line {begin}", reader.line_num + 1
        if len(row) > len(keys):
            raise ValueError(f"{place}: {len(row)} cells for {len(keys)} keys; quote the lists")
        cells = {key: cell.strip() for key, cell in zip(keys, row, strict=False)}
        if any(cells.values()):
            yield place, {key: _typed(key, cell) for key, cell in cells.items() if cell}


def _typed(key: str, cell: str) -> object:
    """Return a cell as the configuration file would hold it."""
    if key in _LISTS:
        return [item.strip() for item in cell.split(",")]
    if key in _TEXTS:
        return cell
    if cell.isascii() and cell.isdigit() and len(cell) < len(str(2**63)):
        return int(cell)
    return _TRUTHS.get(cell.lower(), cell)
