import datetime as dt
import os
import zoneinfo
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest

from jobping.core.alerting import RULES
from jobping.core.board import Board, Route
from jobping.core.budget import Limits
from jobping.core.ids import SourceName
from jobping.core.ladder import LadderRules
from jobping.core.model import Dialect
from jobping.core.posting import Interval
from jobping.core.profile import Level, PayFloor, Profile, RemoteWish
from jobping.core.retention import Retention
from jobping.core.robots import Use
from jobping.core.schedule import DigestRules
from jobping.core.supply import SupplyRules
from jobping.errors import ConfigError
from jobping.llm.prices import load_prices
from jobping.logs import Form
from jobping.settings import (
    BudgetSettings,
    DeliverySettings,
    LlmSettings,
    MatchingSettings,
    NetworkSettings,
    Overrides,
    Secret,
    Settings,
    SourceSettings,
    StoreSettings,
    check_board,
    environment_for_child,
    known_source,
    load,
    load_demo,
    parse_profile,
)
from jobping.sources import SOURCES
from jobping.sources.source import Pace

GREENHOUSE = SourceName("greenhouse")
NOBODY = 12345

EVERYTHING = """
state_dir = "state"
default_boards = true

[store]
url = "postgresql://me@db.test/jobs"
data_dir = "/srv/pg"
bin_dir = "~/pg/bin"
server_account = "postgres"
pool_min = 3
pool_max = 9

[network]
allow = ["127.0.0.0/8", "fd00::/8"]
contact = "https://example.org/jobs"

[source.greenhouse]
base_url = "http://127.0.0.1:8000/greenhouse"
enabled = false
per_hour = 45
robots = "api"
breaker = false
poll_every_minutes = 90

[[board]]
source = "greenhouse"
slug = "acme"
company = "Acme GmbH"

[[board]]
source = "lever"
slug = "acme"
standby = true

[[profile]]
name = "me"
words = ["python", "data engineer"]
not_words = ["senior"]
companies = ["Acme"]
not_companies = ["Evil"]
places = ["Berlin", "Europe"]
remote = "only"
levels = ["entry", "mid"]
pay_floor = "30,000 EUR/year"
languages = ["en", "DE"]
max_items = 5
max_per_company = 1
email = "ana@example.org"

[matching]
recent_days = 30
backfill_days = 3
intern_words = ["Ferialjob"]
entry_words = ["Nachwuchstalent", "first step"]
no_level_words = ["stage lighting"]

[retention]
digests_days = 365
matches_days = 100
rankings_days = 60
closed_postings_days = 30

[ladder]
down = 2
up = 4
cooldown_minutes = 0.5
longest_minutes = 60
relapse_minutes = 30

[supply]
minimum = 5
target = 7

[budget]
daily_tokens = 5000
monthly_tokens = 6000
daily_cost_usd = "0.25"
monthly_cost_usd = 1.5
fallback = false

[budget.prices."own:8b"]
input = 0
output = 0.0
as_of = 2026-11-01
source = "our own machine"

[llm]
base_url = "http://127.0.0.1:11434/v1/"
dialect = "compatible"
models = ["own:8b"]
concurrency = 2
organization = "org-1"
project = "proj-1"
tokenizer_dir = "tokens"

[digest]
at = ["07:30", 18:00:00]
zone = "Europe/Zurich"

[delivery]
console = false
files = "out"

[log]
level = "debug"
format = "json"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobping.toml"


def write(file: Path, text: str, mode: int = 0o600) -> Path:
    file.write_text(text)
    file.chmod(mode)
    return file


def read(file: Path, text: str, **environ: str) -> Settings:
    return load(Overrides(config=write(file, text)), {"HOME": "/home/me", **environ})


def mistakes(file: Path, text: str, **environ: str) -> list[str]:
    """Return the lines of the ConfigError, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(file, text, **environ)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def origins(settings: Settings) -> dict[str, tuple[str, str]]:
    return {value.key: (value.value, value.origin) for value in settings.origins}


def test_every_section_of_the_file_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    settings = read(file, EVERYTHING)
    assert attrs.evolve(settings, origins=()) == Settings(
        state_dir=tmp_path / "state",
        config_file=file,
        store=StoreSettings(
            url=Secret("postgresql://me@db.test/jobs"),
            data_dir=Path("/srv/pg"),
            bin_dir=Path("/home/me/pg/bin"),
            server_account="postgres",
            pool_min=3,
            pool_max=9,
        ),
        network=NetworkSettings(
            allow=(ip_network("127.0.0.0/8"), ip_network("fd00::/8")),
            contact="https://example.org/jobs",
        ),
        sources=(
            SourceSettings(
                name=GREENHOUSE,
                enabled=False,
                base_url="http://127.0.0.1:8000/greenhouse",
                per_hour=45,
                robots=Use.API,
                breaker=False,
                poll_every_s=5400,
            ),
        ),
        default_boards=True,
        boards=(
            Board(source=GREENHOUSE, slug="acme", company="Acme GmbH"),
            Board(source=SourceName("lever"), slug="acme", standby=True),
        ),
        profiles=(
            Profile(
                name="me",
                words=("python", "data engineer"),
                not_words=("senior",),
                companies=("Acme",),
                not_companies=("Evil",),
                places=("Berlin", "Europe"),
                remote=RemoteWish.ONLY,
                levels=(Level.ENTRY, Level.MID),
                pay_floor=PayFloor(amount=Decimal(30000), currency="EUR"),
                languages=("en", "de"),
                max_items=5,
                max_per_company=1,
                email="ana@example.org",
            ),
        ),
        matching=MatchingSettings(
            recent_days=30,
            backfill_days=3,
            intern_words=("Ferialjob",),
            entry_words=("Nachwuchstalent", "first step"),
            no_level_words=("stage lighting",),
        ),
        retention=Retention(digests=365, matches=100, rankings=60, closed_postings=30),
        ladder=LadderRules(down=2, up=4, cooldown_s=30, longest_s=3_600, relapse_s=1_800),
        supply=SupplyRules(minimum=5, target=7),
        budget=BudgetSettings(
            limits=Limits(
                daily_tokens=5000,
                monthly_tokens=6000,
                daily_nanousd=250_000_000,
                monthly_nanousd=1_500_000_000,
            ),
            fallback=False,
            prices=load_prices(
                records={
                    "own:8b": {
                        "input": Decimal(0),
                        "output": Decimal("0.0"),
                        "as_of": dt.date(2026, 11, 1),
                        "source": "our own machine",
                    }
                }
            ),
        ),
        llm=LlmSettings(
            base_url="http://127.0.0.1:11434/v1",
            dialect=Dialect.COMPATIBLE,
            models=("own:8b",),
            concurrency=2,
            organization="org-1",
            project="proj-1",
            tokenizer_dirs=(tmp_path / "tokens", tmp_path / "state" / "tiktoken"),
        ),
        digest=DigestRules(
            at=(dt.time(7, 30), dt.time(18, 0)), zone=zoneinfo.ZoneInfo("Europe/Zurich")
        ),
        delivery=DeliverySettings(console=False, files=tmp_path / "out"),
        log=attrs.evolve(settings.log, level="debug", form=Form.JSON),
    )


def test_empty_file_is_the_same_as_no_file_but_for_its_name(file: Path) -> None:
    without = load(None, {"HOME": "/home/me"}, euid=NOBODY)
    places = {name: getattr(without, name) for name in ("state_dir", "delivery", "llm")}
    empty = attrs.evolve(read(file, ""), **places)
    assert attrs.evolve(empty, config_file=None) == without
    assert without.default_boards is None
    assert without.delivery.files == Path("/home/me/.local/state/jobping/digests")


def test_all_mistakes_are_reported_at_once_with_key_value_and_what_is_allowed(file: Path) -> None:
    text = """
colour = 1
default_boards = "yes"
[store]
pool_min = 0
pool_mxa = 3
[network]
allow = ["10.0.0.1/8"]
[log]
level = "loud"
"""
    assert mistakes(file, text) == [
        "[store] pool_min = 0: must be a whole number from 1 to 200",
        "[store] pool_mxa: unknown key; did you mean pool_max?",
        '[network] allow = ["10.0.0.1/8"]: must be a list of address ranges, each an address range'
        ' such as "127.0.0.0/8" or "fd00::/8"; not "10.0.0.1/8"',
        'default_boards = "yes": must be true or false',
        '[log] level = "loud": must be one of debug, info, warning, error',
        "colour: unknown key; known: alerts, board, budget, default_boards, delivery, digest,"
        " ladder, llm, log, matching, network, profile, retention, source, state_dir, store,"
        " supply",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[store]\npool_min = 30", "[store] pool_min = 30: must be at most pool_max, 20"),
        (
            "[store]\npool_min = true",
            "[store] pool_min = true: must be a whole number from 1 to 200",
        ),
        (
            "[store]\nserver_account = ''",
            '[store] server_account = "": must be a text on one line, of 1 to 500 characters',
        ),
        ("store = 3", "[store]: must be a table, not 3"),
        ("board = 3", "board: must be a list of tables, each under [[board]]"),
        ("board = [3]", "[[board]] 1: must be a table, not 3"),
        (
            "[network]\ncontact = 'me (at) x'",
            '[network] contact = "me (at) x": must be '
            "a URL or a mail address without blanks or brackets",
        ),
        (
            "[source.greenhose]\nper_hour = 1",
            "[source.greenhose]: unknown source; did you mean greenhouse?",
        ),
        (
            '[source.greenhouse]\nrobots = "never"',
            '[source.greenhouse] robots = "never": must be one of ask, api',
        ),
        (
            "[source.greenhouse]\nper_hour = 0",
            "[source.greenhouse] per_hour = 0: must be a number from 0.1 to 36000",
        ),
        (
            "[source.greenhouse]\nper_hour = nan",
            "[source.greenhouse] per_hour = NaN: must be a number from 0.1 to 36000",
        ),
        (
            "[[profile]]\nname = 'Me'",
            '[[profile]] 1 name = "Me": must be '
            "lower-case letters, digits and hyphens, 1 to 40 of them, not beginning with a hyphen",
        ),
        ("[[profile]]\nwords = ['x']", "[[profile]] 1: name is missing"),
        (
            "[[profile]]\nname = 'me'\nremote = true",
            "[[profile]] 1 remote = true: must be one of any, only, no",
        ),
        (
            "[[profile]]\nname = 'me'\nremote = ['any']",
            '[[profile]] 1 remote = ["any"]: must be one of any, only, no',
        ),
        (
            "[[profile]]\nname = 'me'\nemail = 'a@b.example, c@d.example'",
            "[[profile]] 1 email = (hidden): must be one mail address in ASCII,"
            ' such as "ana@example.org"',
        ),
        (
            "[[profile]]\nname = 'me'\nwords = ['wish', '']",
            "[[profile]] 1 words = (hidden): must be a list of texts, each a text on one line,"
            " of 1 to 500 characters",
        ),
        (
            "[[profile]]\nname = 'me'\npay_floor = 'lots'",
            '[[profile]] 1 pay_floor = "lots": must be '
            'an amount, a currency and a time such as "30000 EUR/year"',
        ),
        (
            "[[profile]]\nname = 'me'\n[[profile]]\nname = 'me'",
            '[[profile]] 2: name = "me" is there twice',
        ),
        (
            "[[profile]]\nname = 'me'\nword = ['x']",
            "[[profile]] 1 word: unknown key; did you mean words?",
        ),
        ("[[board]]\nslug = 'acme'", "[[board]] 1: source is missing"),
        (
            "[ladder]\ncooldown_minutes = 9\nlongest_minutes = 8",
            "[ladder] longest_minutes = 8: must be at least cooldown_minutes, 9",
        ),
        (
            "[supply]\nminimum = 9\ntarget = 8",
            "[supply] target = 8: must be at least minimum, 9",
        ),
        (
            "[alerts]\nheartbeat_url = 'ftp://token@a.example/x'",
            "[alerts] heartbeat_url = (hidden): must be a URL such as https://example.org/ping/ID",
        ),
        (
            "[[profile]]\nname = 'me'\nwhen = 'hourly'",
            '[[profile]] 1 when = "hourly": must be one of instant, daily, weekly',
        ),
        ("[digest]\nat = []", '[digest] at = []: must be at least one time such as "08:00"'),
        (
            "[digest]\nat = ['25:00']",
            '[digest] at = ["25:00"]: must be '
            'a list of times, each a time such as "08:00"; not "25:00"',
        ),
        (
            "[digest]\nzone = '../etc/passwd'",
            '[digest] zone = "../etc/passwd": must be a time zone such as "UTC" or "Europe/Zurich"',
        ),
        (
            "[retention]\nmatches_days = 7",
            "[retention] matches_days = 7: must be a whole number from 30 to 3650",
        ),
        (
            "[retention]\ndigests_days = 30\n[matching]\nbackfill_days = 31",
            "[retention] digests_days = 30: must be at least matching.backfill_days, 31,"
            " or postings are sent twice",
        ),
        ("[delivery]\nfiles = true", "[delivery] files = true: must be a path, or false for none"),
        ("[log]\nformat = 'xml'", '[log] format = "xml": must be one of auto, console, json'),
    ],
)
def test_mistake_names_the_key_its_value_and_what_is_allowed(
    text: str, mistake: str, file: Path
) -> None:
    assert mistakes(file, text) == [mistake]


def test_board_with_an_unknown_source_or_an_impossible_slug_is_a_mistake(file: Path) -> None:
    text = """
[[board]]
source = "leever"
slug = "acme"
[[board]]
source = "greenhouse"
slug = "../etc"
[[board]]
source = "greenhouse"
slug = "acme"
[[board]]
source = "greenhouse"
slug = "acme"
company = "Acme"
"""
    unknown, slug, twice = mistakes(file, text)
    assert unknown == '[[board]] 1: source = "leever": unknown source; did you mean lever?'
    assert slug.startswith('[[board]] 2: slug = "../etc": ')
    assert twice == "[[board]] 4: greenhouse acme is there twice"


def test_base_url_that_a_source_cannot_use_is_a_mistake(file: Path) -> None:
    (mistake,) = mistakes(file, '[source.greenhouse]\nbase_url = "ftp://x.test"')
    assert mistake.startswith('[source.greenhouse] base_url = "ftp://x.test": must be an http')


def test_text_that_is_no_toml_names_file_line_and_column(file: Path) -> None:
    (mistake,) = mistakes(file, "[store\n")
    assert mistake == (
        "is not TOML: Expected ']' at the end of a table declaration (at line 1, column 7)"
    )


def test_wrong_database_url_is_a_mistake_that_does_not_show_it(file: Path) -> None:
    (mistake,) = mistakes(file, "[store]\nurl = 'mysql://me:s3cret@db/x'")
    assert mistake == (
        "[store] url = (hidden): must be a URL such as postgresql://USER@HOST:5432/DATABASE"
    )


def test_named_file_that_is_missing_says_who_named_it(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(ConfigError, match=r"No such file.*command line --config"):
        load(Overrides(config=missing), {})
    with pytest.raises(ConfigError, match=r"No such file.*environment JOBPING_CONFIG"):
        load(None, {"JOBPING_CONFIG": str(missing)})


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_file_that_others_may_write_is_refused(mode: int, file: Path) -> None:
    write(file, "", mode)
    with pytest.raises(ConfigError, match="writable by group or others; run: chmod go-w"):
        load(Overrides(config=file), {})


def test_file_of_another_user_is_refused(file: Path) -> None:
    write(file, "")
    if os.geteuid() == 0:
        os.chown(file, NOBODY, -1)
    with pytest.raises(ConfigError, match="belongs to user"):
        load(Overrides(config=file), {"HOME": "/"}, euid=NOBODY + 1)


def test_pipe_or_directory_in_place_of_the_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigError, match=r"not a regular file|Is a directory"):
            load(Overrides(config=path), {})


def test_file_with_a_password_that_others_can_read_is_refused(file: Path) -> None:
    text = "[store]\nurl = 'postgresql://me:s3cret@db.test/jobs'"
    with pytest.raises(ConfigError, match=r"others can read it; run: chmod o= ") as caught:
        load(Overrides(config=write(file, text, 0o644)), {"HOME": "/"})
    assert "s3cret" not in str(caught.value)
    assert load(Overrides(config=write(file, text, 0o640)), {"HOME": "/"}).store.url


def test_state_directory_is_the_first_one_named(file: Path, tmp_path: Path) -> None:
    given = {"HOME": "/home/me", "STATE_DIRECTORY": "/var/lib/a:/b/c", "JOBPING_STATE_DIR": "/b"}
    config = write(file, "state_dir = 'c'")
    both = Overrides(config=config, state_dir=Path("/d"))
    assert load(both, given).state_dir == Path("/d")
    assert load(Overrides(config=config), given).state_dir == Path("/b")
    del given["JOBPING_STATE_DIR"]
    assert load(Overrides(config=config), given).state_dir == tmp_path / "c"
    assert load(None, given, euid=NOBODY).state_dir == Path("/var/lib/a")
    del given["STATE_DIRECTORY"]
    assert load(None, given, euid=0).state_dir == Path("/var/lib/jobping")
    assert load(None, given, euid=NOBODY).state_dir == Path("/home/me/.local/state/jobping")
    given["XDG_STATE_HOME"] = "/x"
    assert load(None, given, euid=NOBODY).state_dir == Path("/x/jobping")


def test_origin_of_every_value_is_kept(file: Path, tmp_path: Path) -> None:
    overrides = Overrides(config=write(file, "[log]\nlevel = 'error'"), log_level="debug")
    settings = load(overrides, {"HOME": "/", "JOBPING_STATE_DIR": "/s"})
    found = origins(settings)
    assert found["state_dir"] == ("/s", "environment JOBPING_STATE_DIR")
    assert found["log.level"] == ("debug", "command line --log-level")
    assert found["store.pool_max"] == ("20", "default")
    assert found["digest.at"] == ("08:00", "default")
    assert settings.log.level == "debug"
    assert origins(read(file, "[store]\npool_max = 7"))["store.pool_max"] == ("7", str(file))


def test_configuration_file_is_found_where_systemd_or_the_user_keeps_it(tmp_path: Path) -> None:
    service, user = tmp_path / "service", tmp_path / "user"
    for folder in (service, user / "jobping"):
        folder.mkdir(parents=True)
        write(folder / "jobping.toml", "")
    environ = {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(user)}
    euid = os.geteuid() or NOBODY
    if os.geteuid() == 0:
        os.chown(user / "jobping" / "jobping.toml", NOBODY, -1)
    assert load(None, environ, euid=euid).config_file == user / "jobping" / "jobping.toml"
    environ["CONFIGURATION_DIRECTORY"] = str(service)
    if os.geteuid() == 0:
        os.chown(service / "jobping.toml", NOBODY, -1)
    assert load(None, environ, euid=euid).config_file == service / "jobping.toml"


def test_database_url_comes_from_the_safest_place_that_has_it(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    write(folder / "database_url", "postgresql://credential@db/x\n", 0o440)
    named = write(tmp_path / "named", "postgresql://named@db/x", 0o600)
    config = "[store]\nurl = 'postgresql://file@db/x'"
    environ = {
        "JOBPING_DATABASE_URL": "postgresql://variable@db/x",
        "JOBPING_DATABASE_URL_FILE": str(named),
        "CREDENTIALS_DIRECTORY": str(folder),
    }
    seen = []
    for gone in ("CREDENTIALS_DIRECTORY", "JOBPING_DATABASE_URL_FILE", "JOBPING_DATABASE_URL", ""):
        settings = read(file, config, **environ)
        assert settings.store.url is not None
        shown, origin = origins(settings)["store.url"]
        seen.append((settings.store.url.reveal()[13:-5], shown, origin, settings.exposed))
        environ.pop(gone, None)
    variable = "JOBPING_DATABASE_URL"
    assert seen == [
        ("credential", "***", "CREDENTIALS_DIRECTORY", ()),
        ("named", "***", f"environment {variable}_FILE", ()),
        ("variable", "***", f"environment {variable}", (("database_url", variable),)),
        ("file", "***", str(file), ()),
    ]


def test_source_is_off_until_all_its_keys_are_there(tmp_path: Path, file: Path) -> None:
    adzuna, muse = known_source("adzuna"), known_source("themuse")
    settings = read(file, "")
    assert settings.why_off(muse) is None
    assert settings.why_off(adzuna) == (
        "adzuna needs JOBPING_ADZUNA_APP_ID and JOBPING_ADZUNA_APP_KEY"
    )
    named = write(tmp_path / "key", "k3y\n", 0o600)
    environ = {"JOBPING_ADZUNA_APP_KEY_FILE": str(named)}
    assert read(file, "", **environ).why_off(adzuna) == "adzuna needs JOBPING_ADZUNA_APP_ID"
    environ["JOBPING_ADZUNA_APP_ID"] = "an1d"
    settings = read(file, "", **environ)
    assert settings.why_off(adzuna) is None
    assert settings.exposed == (("adzuna_app_id", "JOBPING_ADZUNA_APP_ID"),)
    assert origins(settings)["key.adzuna_app_key"] == (
        "***", "environment JOBPING_ADZUNA_APP_KEY_FILE",
    )  # fmt: skip
    board = Board(source=adzuna.name, slug="country:gb")
    (request,) = settings.dressed(adzuna).requests(board, Route.RELIABLE)
    assert request.url.endswith("app_id=an1d&app_key=k3y")
    assert "k3y" not in repr(settings)
    off = read(file, "[source.adzuna]\nenabled = false", **environ)
    assert off.why_off(adzuna) == "its source is disabled"


def test_key_that_no_header_could_carry_is_a_problem_without_its_value() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"HOME": "/", "JOBPING_REED_KEY": "s3cret\nHost: x"}, euid=NOBODY)
    assert str(caught.value) == "environment JOBPING_REED_KEY: must be one word of ASCII"


def test_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    named = write(tmp_path / "url", "postgresql://me:s3cret@db/x", 0o644)
    with pytest.raises(ConfigError, match="others can read this secret"):
        load(None, {"HOME": "/", "JOBPING_DATABASE_URL_FILE": str(named)}, euid=NOBODY)


def test_wrong_url_in_a_variable_names_the_variable_and_hides_the_value() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"HOME": "/", "JOBPING_DATABASE_URL": "s3cret"}, euid=NOBODY)
    assert str(caught.value) == (
        "environment JOBPING_DATABASE_URL: database_url: must be a URL such as"
        " postgresql://USER@HOST:5432/DATABASE"
    )


def test_secret_shows_in_no_text_form() -> None:
    secret = Secret("hunter2")
    settings = Settings(state_dir=Path("/s"), store=StoreSettings(url=secret))
    for text in (repr(secret), str(secret), f"{secret}", repr(settings), str(settings)):
        assert "hunter2" not in text
    assert secret.reveal() == "hunter2"


def test_facts_of_systemd_and_terminal_are_taken_from_the_environment() -> None:
    settings = load(
        None,
        {
            "HOME": "/",
            "NO_COLOR": "1",
            "INVOCATION_ID": "abc",
            "RUNTIME_DIRECTORY": "/run/jobping",
            "NOTIFY_SOCKET": "@x",
            "JOURNAL_STREAM": "8:9",
        },
        euid=NOBODY,
    )
    assert (settings.log.colour, settings.log.run) == (False, "abc")
    assert settings.system.runtime_dir == Path("/run/jobping")
    assert settings.system.notify_socket == "@x"
    assert settings.system.journal_stream == "8:9"


@pytest.mark.parametrize(
    ("text", "amount", "currency", "interval"),
    [
        ("30000 EUR/year", "30000", "EUR", Interval.YEAR),
        ("30,000 eur", "30000", "EUR", Interval.YEAR),
        ("45k CHF per year", "45000", "CHF", Interval.YEAR),
        ("25.50 GBP/hour", "25.50", "GBP", Interval.HOUR),
        ("3 500 EUR / month", "3500", "EUR", Interval.MONTH),
    ],
)
def test_pay_floor_is_read_as_people_write_it(
    text: str, amount: str, currency: str, interval: Interval
) -> None:
    floor = PayFloor(amount=Decimal(amount), currency=currency, interval=interval)
    assert parse_profile({"name": "me", "pay_floor": text}).pay_floor == floor


@pytest.mark.parametrize("text", ["", "30000", "EUR", "-3 EUR", "3,00 EUR", "30000 EUR/decade", 3])
def test_pay_floor_that_cannot_be_read_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="pay_floor"):
        parse_profile({"name": "me", "pay_floor": text})


def test_pace_of_a_source_follows_the_settings_but_never_breaks_its_terms() -> None:
    source = known_source("greenhouse")
    chosen = SourceSettings(name=source.name, per_hour=36_000, poll_every_s=60)
    assert chosen.pace_of(source).per_hour == 36_000
    assert chosen.pace_of(source).min_gap_s <= 0.1
    assert chosen.pace_of(source).poll_every_s == 60
    assert SourceSettings(name=source.name).pace_of(source) == source.pace
    for strict in SOURCES:
        if strict.terms.polls_a_day is not None:
            chosen = SourceSettings(name=strict.name, poll_every_s=60)
            assert chosen.pace_of(strict).poll_every_s >= 86_400 / strict.terms.polls_a_day
    demo = Pace(per_hour=1e5, poll_every_s=1.0)
    assert SourceSettings(name=source.name, pace=demo).pace_of(source) is demo


def test_demo_reads_no_file_and_keeps_its_state_apart_from_the_daemon(file: Path) -> None:
    environ: dict[str, Any] = {
        "HOME": "/home/me",
        "JOBPING_CONFIG": str(file),
        "JOBPING_DATABASE_URL": "postgresql://me@db/x",
    }
    demo = load_demo(None, environ, euid=NOBODY)
    assert demo.state_dir == Path("/home/me/.local/state/jobping-demo")
    assert demo.store.url is None
    assert demo.default_boards is False
    assert demo.delivery.files == demo.state_dir / "digests"
    assert load_demo(None, environ, euid=0).state_dir == Path("/var/lib/jobping-demo")
    assert load_demo(None, {"JOBPING_STATE_DIR": "/s"}).state_dir == Path("/s/demo")
    assert load_demo(Overrides(state_dir=Path("/d")), environ).state_dir == Path("/d")


def test_settings_made_in_code_need_only_a_state_directory() -> None:
    settings = Settings(state_dir=Path("/s"))
    assert settings.source(GREENHOUSE) == SourceSettings(name=GREENHOUSE)
    assert settings.delivery.files is None


def test_board_is_checked_against_its_source() -> None:
    assert check_board("greenhouse", "acme", None) == Board(source=GREENHOUSE, slug="acme")
    with pytest.raises(ValueError, match="unknown source; known: "):
        check_board("xyzzy", "acme", None)


def test_environment_of_a_child_holds_nothing_of_systemd_and_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "JOBPING_DATABASE_URL", "CREDENTIALS_DIRECTORY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("TERM", "xterm")
    environ = environment_for_child({"PGPASSWORD": "y"})
    assert environ["TERM"] == "xterm"
    assert environ["PGPASSWORD"] == "y"
    assert not {
        name for name in environ if name.startswith(("NOTIFY", "WATCHDOG", "JOBPING", "CRED"))
    }


# --- alerts


def test_rule_of_alerts_is_changed_or_switched_off_by_its_table(file: Path) -> None:
    text = (
        "[alerts.breaker_open]\nfor_minutes = 5\n[alerts.domain_failing]\nthreshold = 0.5\n"
        "[alerts.log_lost]\non = false\n"
    )
    rules = {rule.name: rule for rule in read(file, text).alerts.rules}
    shipped = {rule.name: rule for rule in RULES}
    assert rules.keys() == shipped.keys() - {"log_lost"}
    assert rules["breaker_open"] == attrs.evolve(shipped["breaker_open"], for_s=300.0)
    assert rules["domain_failing"] == attrs.evolve(shipped["domain_failing"], threshold=0.5)
    assert rules["restarts"] == shipped["restarts"]


def test_rule_of_alerts_refuses_what_it_does_not_have(file: Path) -> None:
    text = "[alerts.breaker_open]\nthreshold = 5\n[alerts.breaker_opened]\non = false\n"
    assert mistakes(file, text) == [
        "[alerts.breaker_open] threshold: unknown key; known: for_minutes, on,"
        " resolve_after_minutes",
        "[alerts] breaker_opened: unknown key; did you mean breaker_open?",
    ]
