"""What an operator can say: one file, a few variables and options, read once into `Settings`.

`_records` is the result, `_sections`, `_models` and `_delivery` the schema of the file, `_values`
the types of its values, `_tables` the reading that reports every mistake at once, `_places` files
and folders, `_credentials` secrets.
This package is the only reader of the environment.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

import attrs

from jobping.errors import ConfigError
from jobping.events import LEVELS
from jobping.logs import LogConfig
from jobping.settings import _sections as sections
from jobping.settings import _values as values
from jobping.settings._credentials import Exposed, read_credential
from jobping.settings._delivery import read_delivery
from jobping.settings._models import read_budget, read_llm
from jobping.settings._places import (
    Found,
    Surroundings,
    default_state_dir,
    demo_state_dir,
    find_config,
    find_credential,
    read_own_file,
)
from jobping.settings._records import (
    AlertSettings,
    BudgetSettings,
    DeliverySettings,
    LlmSettings,
    MatchingSettings,
    NetworkSettings,
    Secret,
    Settings,
    SourceSettings,
    StoreSettings,
    SystemSettings,
    ValueOrigin,
)
from jobping.settings._sections import check_board, known_source, parse_profile
from jobping.settings._tables import DEFAULT, Notes, Table
from jobping.sources import SOURCES

__all__ = [
    "AlertSettings",
    "BudgetSettings",
    "DeliverySettings",
    "DemoOptions",
    "LlmSettings",
    "MatchingSettings",
    "NetworkSettings",
    "Overrides",
    "RunOptions",
    "Secret",
    "Settings",
    "SourceSettings",
    "StoreSettings",
    "SystemSettings",
    "ValueOrigin",
    "check_board",
    "environment_for_child",
    "known_source",
    "load",
    "load_demo",
    "parse_profile",
    "read_system",
]


@attrs.frozen(kw_only=True)
class Overrides:
    """What the command line says; None: nothing."""

    config: Path | None = None
    state_dir: Path | None = None
    log_level: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.in_(LEVELS))
    )


@attrs.frozen(kw_only=True)
class RunOptions:
    """How `jobping run` runs.

    Attributes:
        once: Poll each due board once, send what is due, stop.
        minutes: The longest that `once` may take.
        json: The summary is one JSON object on stdout and the log goes to stderr.
    """

    once: bool = False
    minutes: float = 5.0
    json: bool = False


@attrs.frozen(kw_only=True)
class DemoOptions:
    """How `jobping demo` runs.

    Attributes:
        recordings: A folder of recorded answers with its `INDEX.json`; None: synthetic ones.
        seed: What the synthetic postings are made from.
        once: End when every board was polled and the digest sent.
        minutes: End after so long.
        json: As for `RunOptions`.
    """

    recordings: Path | None = None
    seed: int = 1
    once: bool = False
    minutes: float = 2.0
    json: bool = False


def load(
    overrides: Overrides | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    euid: int | None = None,
) -> Settings:
    """Read everything an operator has said.

    Precedence: defaults, file, environment, command line; the last one wins.

    Args:
        overrides: What the command line says.
        environ: The environment; the process's own if absent.
        euid: The effective user id; the process's own if absent.

    Raises:
        ConfigError: All mistakes at once, a line each, with file, key, value and what is allowed.
    """
    overrides = overrides or Overrides()
    around = _surroundings(environ, euid)
    found = find_config(overrides.config, around)
    notes = Notes(str(found.path) if found else "no file")
    reading = _Reading(overrides, around, found, notes, *_root(found, around))
    settings = reading.settings()
    if notes.problems:
        raise ConfigError("\n".join(notes.problems))
    return settings


def load_demo(
    overrides: Overrides | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    euid: int | None = None,
) -> Settings:
    """Return the settings that a demo starts from: no file, no given database, a state of its own.

    Args:
        overrides: What the command line says.
        environ: The environment; the process's own if absent.
        euid: The effective user id; the process's own if absent.

    Raises:
        ConfigError: No place for the state is known.
    """
    overrides = overrides or Overrides()
    around = _surroundings(environ, euid)
    own = (overrides.state_dir or demo_state_dir(around)).absolute()
    return Settings(
        state_dir=own,
        default_boards=False,
        delivery=DeliverySettings(files=own / "digests"),
        log=_log(LogConfig(level=overrides.log_level or LogConfig().level), around),
        system=attrs.evolve(_system(around), runtime_dir=None),
    )


def read_system() -> SystemSettings:
    """Return what systemd told this process, for when no settings could be read."""
    return _system(_surroundings(None, None))


def environment_for_child(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program that we start: nothing of systemd's, no secrets."""
    own = ("JOBPING_", "NOTIFY_", "WATCHDOG_", "CREDENTIALS_", "OPENAI_", "SMTP_")
    environ = os.environ  # noqa: TID251 - the one reader of it
    return {key: environ[key] for key in environ if not key.startswith(own)} | dict(extra)


def _surroundings(environ: Mapping[str, str] | None, euid: int | None) -> Surroundings:
    return Surroundings(
        environ=os.environ if environ is None else environ,  # noqa: TID251 - the one reader of it
        euid=os.geteuid() if euid is None else euid,
    )


def _root(found: Found | None, around: Surroundings) -> tuple[Mapping[str, object], int]:
    """Return the file's values and its mode."""
    if found is None:
        return {}, 0
    try:
        text, mode = read_own_file(found.path, around)
        return tomllib.loads(text), mode
    except ConfigError as error:
        by = "" if found.origin == DEFAULT else f" (named by {found.origin})"
        raise ConfigError(f"{error}{by}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{found.path}: is not TOML: {error}") from error


@attrs.frozen
class _Reading:
    """One reading of file, environment and command line."""

    overrides: Overrides
    around: Surroundings
    found: Found | None
    notes: Notes
    values: Mapping[str, object]
    mode: int

    def settings(self) -> Settings:
        root = Table(self.notes, "", "", self.values)
        folder = self.found.path.parent if self.found else Path.cwd()
        state_dir = self._state_dir(root, folder)
        store, exposed = self._store(root, folder)
        budget = read_budget(root, self.around)
        network = sections.read_network(root)
        llm, exposed_too = read_llm(
            root, folder, state_dir, budget.prices, self.around, network.allow
        )
        delivery, exposed_there = read_delivery(
            root, folder, state_dir, self.around, self.mode, network.allow
        )
        keys, shown = self._keys()
        matching = sections.read_matching(root)
        settings = Settings(
            state_dir=state_dir,
            config_file=self.found.path if self.found else None,
            store=store,
            network=network,
            sources=sections.read_sources(root),
            default_boards=root.take("default_boards", values.truth, None),
            boards=sections.read_boards(root),
            profiles=sections.read_profiles(root),
            matching=matching,
            retention=sections.read_retention(root, matching),
            ladder=sections.read_ladder(root),
            supply=sections.read_supply(root),
            budget=budget,
            llm=llm,
            digest=sections.read_digest(root),
            delivery=delivery,
            alerts=sections.read_alerts(root, delivery),
            log=self._log(root),
            system=_system(self.around),
            exposed=(*exposed, *exposed_too, *exposed_there, *shown),
            not_found=self._not_found(openai_api_key=llm.api_key, database_url=store.url),
            keys=keys,
        )
        root.finish()
        return attrs.evolve(settings, origins=tuple(self.notes.origins))

    def _state_dir(self, root: Table, folder: Path) -> Path:
        chosen = root.take("state_dir", values.path_below(folder), None)
        if chosen is None:
            found = default_state_dir(self.around)
            chosen = found.path
            self.notes.override("state_dir", chosen, found.origin)
        if (named := self.around.path("JOBPING_STATE_DIR")) is not None:
            chosen = named
            self.notes.override("state_dir", chosen, "environment JOBPING_STATE_DIR")
        if self.overrides.state_dir is not None:
            chosen = self.overrides.state_dir.absolute()
            self.notes.override("state_dir", chosen, "command line --state-dir")
        return chosen

    def _not_found(self, **credentials: Secret | None) -> tuple[str, ...]:
        """Return which of systemd's credentials nobody has given, where it gives any."""
        if self.around.path("CREDENTIALS_DIRECTORY") is None:
            return ()
        return tuple(name for name, secret in credentials.items() if secret is None)

    def _store(self, root: Table, folder: Path) -> tuple[StoreSettings, Exposed]:
        store = sections.read_store(root, folder)
        if store.url and values.has_password(store.url) and self.mode & stat.S_IROTH:
            self.notes.complain(
                "[store] url",
                f"holds a password and others can read it; run: chmod o= {self.notes.file}",
            )
        url, exposed = read_credential(
            "store.url", "JOBPING_DATABASE_URL", values.database_url, self.around, self.notes
        )
        return (store, ()) if url is None else (attrs.evolve(store, url=url), exposed)

    def _keys(self) -> tuple[tuple[tuple[str, Secret], ...], Exposed]:
        """Return the keys of sources by their variables, and which came in plain variables."""
        keys, exposed = [], []
        for variable in (name for source in SOURCES for name in source.credentials):
            name = variable.removeprefix("JOBPING_").lower()
            found = find_credential(name, variable, self.around)
            if found is None:
                continue
            if not found.text.isascii() or not found.text.isprintable() or " " in found.text:
                self.notes.problems.append(f"{found.origin}: must be one word of ASCII")
                continue
            keys.append((variable, Secret(found.text)))
            self.notes.record(f"key.{name}", keys[-1][1], found.origin)
            if found.exposed:
                exposed.append((name, variable))
        return tuple(keys), tuple(exposed)

    def _log(self, root: Table) -> LogConfig:
        log = sections.read_log(root)
        if self.overrides.log_level is not None:
            log = attrs.evolve(log, level=self.overrides.log_level)
            self.notes.override("log.level", log.level, "command line --log-level")
        return _log(log, self.around)


def _log(log: LogConfig, around: Surroundings) -> LogConfig:
    environ = around.environ
    return attrs.evolve(
        log,
        colour=not environ.get("NO_COLOR") and environ.get("TERM") != "dumb",
        run=environ.get("INVOCATION_ID") or None,
    )


def _system(around: Surroundings) -> SystemSettings:
    return SystemSettings(
        runtime_dir=around.path("RUNTIME_DIRECTORY"),
        notify_socket=around.environ.get("NOTIFY_SOCKET") or None,
        watchdog_s=_watchdog_s(around.environ),
        journal_stream=around.environ.get("JOURNAL_STREAM") or None,
    )


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Return the watchdog's time, where it is this process that systemd watches."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() and int(text) else None
