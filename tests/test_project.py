"""The project's promises about itself: documents and code say the same."""

import argparse
import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobping.cli.main import build
from jobping.cli.parser import EXIT_CODES
from jobping.core.alerting import RULES
from jobping.events import EVENTS
from jobping.settings import Overrides, load
from jobping.sources import SOURCES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
MODULES = sorted(
    path for name in ("jobping", "supervisors") for path in (ROOT / name).rglob("*.py")
)

MAIN_JOB = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/jobping run"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"

HOST = re.compile(r"https?://|index|\w\.(?:org|com|net|io)\b")


def section(title: str) -> str:
    """Return the text of one section of the README."""
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL
    )
    assert found, f"README has no section {title}"
    return found[1]


def rows(title: str, head: str) -> list[list[str]]:
    """Return the cells of the one table of a section whose first heading is `head`."""
    tables = re.findall(r"(?:^\|.*\|\n)+", section(title), re.MULTILINE)
    [table] = [found for found in tables if found.startswith(f"| {head} |")]
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def commands(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command that can be given, with its parser."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if parser.get_default("command") is not None:
        yield name, parser
    for action in below:
        for word, inner in action.choices.items():
            yield from commands(inner, f"{name} {word}")


@pytest.fixture
def configured(tmp_path):
    """Settings of a file that has one of every kind of table."""
    file = tmp_path / "jobping.toml"
    file.write_text(
        f'[source.{SOURCES[0].name}]\n[[board]]\nsource = "greenhouse"\nslug = "acme"\n'
        '[[profile]]\nname = "me"\n[budget.prices.own]\ninput = 1\noutput = 1\n'
        'as_of = "2026-11-01"\nsource = "here"\n[alerts.budget_ahead]\non = true\n'
        "threshold = 1\nfor_minutes = 10\nresolve_after_minutes = 30\n"
    )
    return load(Overrides(config=file), environ={"HOME": str(tmp_path)}, euid=os.geteuid())


def documented(key: str) -> str:
    """Return a setting's name as the README writes it."""
    key = re.sub(r"^source\.\w+\.", "source.NAME.", re.sub(r"\.\d+\.", ".", key))
    return re.sub(r"^alerts\.\w+\.", "alerts.RULE.", key.replace(".prices.own.", ".prices.MODEL."))


def test_readme_names_every_setting_and_no_other(configured):
    listed = [row[0].strip("`") for row in rows("Configuration", "setting")]
    assert sorted(listed) == sorted(documented(origin.key) for origin in configured.origins)


def test_readme_gives_the_default_of_every_setting(configured):
    told = {row[0].strip("`"): row[1].strip("`") for row in rows("Configuration", "setting")}
    found = {
        documented(origin.key): "–" if origin.value == "-" else origin.value
        for origin in configured.origins
        if origin.origin == "default"
    }
    depends_on_the_user = {"state_dir", "delivery.files"}
    assert {key: told[key] for key in found.keys() - depends_on_the_user} == {
        key: value for key, value in found.items() if key not in depends_on_the_user
    }


def test_readme_names_every_variable_of_ours_and_no_other():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "jobping").rglob("*.py"))
    known = set(re.findall(r'"((?:JOBPING|OPENAI|SMTP)_[A-Z_]+[A-Z])"', code))
    known |= {"JOBPING_DATABASE_URL_FILE", "OPENAI_API_KEY_FILE"}
    assert {row[0].strip("`") for row in rows("Configuration", "variable")} == known


def test_readme_names_every_command_and_no_other():
    listed = [row[0].strip("`") for row in rows("Commands", "command")]
    assert sorted(listed) == sorted(name for name, _parser in commands(build(), "jobping"))


def test_readme_names_every_option_and_no_other():
    known = {
        option
        for _name, parser in commands(build(), "jobping")
        for action in parser._actions
        for option in action.option_strings
        if option not in ("-h", "--help", "--version")
    }
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", section("Commands")))
    assert told - {"--help", "--version"} == known


def test_readme_lists_the_events_as_the_catalogue_has_them():
    listed = [tuple(row) for row in rows("Events", "event")]
    assert listed == [
        (f"`{e.name}`", e.level, e.summary, ", ".join(f"`{field}`" for field in e.fields))
        for e in EVENTS
    ]


def test_readme_lists_the_rules_of_alerts_as_they_are_shipped():
    def minutes(seconds: float) -> str:
        return f"{seconds / 60:g} min" if seconds else "–"

    assert [tuple(row) for row in rows("Events", "rule")] == [
        (
            f"`{rule.name}`",
            rule.summary,
            "–" if rule.threshold is None else f"{rule.threshold:g}",
            minutes(rule.for_s),
            minutes(rule.resolve_after_s),
        )
        for rule in RULES
    ]


def test_readme_lists_the_exit_codes_as_the_commands_have_them():
    listed = rows("Exit codes and signals", "code")
    assert listed == [[str(int(code)), meaning] for code, meaning in EXIT_CODES]


def test_readme_lists_the_sources_with_their_pace():
    listed = {row[0].strip("`"): tuple(row[2:6]) for row in rows("Sources", "source")}
    assert listed == {
        source.name: (
            source.base_url.removeprefix("https://").replace("{slug}", "SLUG"),
            f"{source.pace.per_hour:g}",
            ", ".join(f"{quota.most} a {quota.span}" for quota in source.pace.quotas) or "–",
            f"{source.pace.poll_every_s / 3600:g} h",
        )
        for source in SOURCES
    }


def test_readme_shows_a_configuration_that_is_right(tmp_path):
    examples = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert examples
    for number, example in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(example)
        load(Overrides(config=file), environ={"HOME": str(tmp_path)}, euid=os.geteuid())


def test_readme_draws_every_package_and_no_other():
    drawn = set(re.findall(r"^  (\w+(?:/|\.py))", section("How it is built"), re.MULTILINE))
    packages = {f"{path.parent.name}/" for path in (ROOT / "jobping").glob("*/__init__.py")}
    modules = {path.name for path in (ROOT / "jobping").glob("*.py")} - {"__init__.py"}
    assert packages == {name for name in drawn if name.endswith("/")}
    assert all(name in section("How it is built") for name in modules)
    assert {name for name in drawn if name.endswith(".py")} <= modules


@pytest.mark.parametrize("command", [MAIN_JOB, TESTS], ids=["main_job", "tests"])
def test_readme_gives_the_command_word_for_word(command):
    assert f"\n{command}\n" in README


def test_ci_calls_the_test_command_word_for_word():
    assert TESTS in [line.strip() for line in CI.splitlines()]


def test_readme_links_to_files_that_exist():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#]+)\)", prose)
    assert all((ROOT / target).is_file() for target in targets if "://" not in target)


def test_changelog_has_a_section_for_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", changelog, re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements.txt", "runtime.txt"])
def test_pins_have_hashes_and_no_address(name):
    text = (ROOT / ".ci" / name).read_text(encoding="utf-8")
    pins = re.findall(r"^\S.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert HOST.findall(text) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "word", [r"verify\s*=\s*False", "CERT_NONE", r"check_hostname\s*=\s*False"]
)
def test_product_never_switches_tls_verification_off(word):
    found = [path for path in MODULES if re.search(word, path.read_text(encoding="utf-8"))]
    assert found == []


def test_only_the_commands_print():
    printing = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.parent.name != "cli" and "print" in called(path)
    ]
    assert printing == []


def called(path: Path) -> set[str]:
    """Return the plain names that a module calls."""
    calls = (
        n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)
    )
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}
