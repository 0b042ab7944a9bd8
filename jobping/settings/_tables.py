"""Reading tables of the file: every key is known or reported, every value keeps its origin."""

import datetime as dt
import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import attrs

from jobping.settings._records import ValueOrigin
from jobping.settings._values import Parse, shown

T = TypeVar("T")
DEFAULT = "default"
_HIDDEN = frozenset({"url", "api_key", "email", "heartbeat_url"})
"""Keys whose values are never shown, not even wrong ones."""
_PERSONAL = frozenset({"words", "not_words", "companies", "not_companies", "places"})
"""What a person wants: those of the file are not shown, as its mistakes go into the log."""


@attrs.define
class Notes:
    """What reading the settings brings to light beside the values.

    Attributes:
        file: The file's name for messages and origins.
        problems: One line each; reading goes on after the first.
        origins: In the order of reading.
    """

    file: str
    problems: list[str] = attrs.Factory(list)
    origins: list[ValueOrigin] = attrs.Factory(list)

    def complain(self, where: str, problem: str) -> None:
        """Add a problem of a place in the file."""
        self.problems.append(": ".join(filter(None, (self.file, where, problem))))

    def record(self, key: str, value: object, origin: str) -> None:
        """Add where a value came from."""
        self.origins.append(ValueOrigin(key=key, value=_text(value), origin=origin))

    def override(self, key: str, value: object, origin: str) -> None:
        """Replace where a value came from by something that goes before it."""
        at = next(n for n, known in enumerate(self.origins) if known.key == key)
        self.origins[at] = ValueOrigin(key=key, value=_text(value), origin=origin)


@attrs.define
class Table:
    """A table of the file while it is read.

    Attributes:
        where: For messages, such as `[store]` or `[[board]] 2`.
        prefix: For origins, such as `store.`.
    """

    notes: Notes
    where: str
    prefix: str
    _values: Mapping[str, object]
    _known: list[str] = attrs.Factory(list)

    def take(self, key: str, parse: Parse[T], default: T) -> T:
        """Return the value of a key, or the default; a wrong value is a problem."""
        self._known.append(key)
        if key not in self._values:
            self.notes.record(self.prefix + key, default, DEFAULT)
            return default
        try:
            value = parse(self._values[key])
        except ValueError as error:
            written, allowed = shown(self._values[key]), str(error)
            if key in _HIDDEN or (self.where and key in _PERSONAL):
                written, allowed = "(hidden)", allowed.partition("; not ")[0]
            self.notes.complain(f"{self.where} {key} = {written}".strip(), f"must be {allowed}")
            return default
        self.notes.record(self.prefix + key, value, self.notes.file)
        return value

    def need(self, key: str, parse: Parse[T]) -> T | None:
        """Return the value of a key that must be there; None after a problem."""
        if key not in self._values:
            self._known.append(key)
            self.notes.complain(self.where, f"{key} is missing")
            return None
        return self.take(key, parse, None)

    @contextmanager
    def table(self, key: str) -> Iterator["Table"]:
        """Read the table below a key; an absent one is empty."""
        self._known.append(key)
        inner = self._inner(self._values.get(key, {}), f"[{self.prefix}{key}]", key)
        yield inner
        inner.finish()

    def tables(self, key: str) -> Iterator["Table"]:
        """Read the list of tables below a key."""
        self._known.append(key)
        listed = self._values.get(key, [])
        if not isinstance(listed, list):
            self.notes.complain(key, f"must be a list of tables, each under [[{key}]]")
            return
        for n, values in enumerate(listed, 1):
            if not isinstance(values, dict):
                self.notes.complain(f"[[{key}]] {n}", f"must be a table, not {shown(values)}")
                continue
            inner = self._inner(values, f"[[{key}]] {n}", f"{key}.{n}")
            yield inner
            inner.finish()

    def _inner(self, values: object, where: str, key: str) -> "Table":
        if not isinstance(values, dict):
            self.notes.complain(where, f"must be a table, not {shown(values)}")
            values = {}
        return Table(self.notes, where, f"{self.prefix}{key}.", values)

    def names(self) -> list[str]:
        """Return the keys that are there."""
        return list(self._values)

    def ignore(self, key: str, why: str) -> None:
        """Report a key and read no further below it."""
        self._known.append(key)
        self.notes.complain(f"[{self.prefix}{key}]", why)

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                self.notes.complain(f"{self.where} {key}".strip(), unknown(key, self._known, "key"))


def unknown(name: str, known: list[str], what: str) -> str:
    """Say that a name is not known, with the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    return f"unknown {what}; {hint}"


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(_text(item) for item in value) or "-"
        case float():
            return f"{value:g}"
        case dt.time():
            return value.strftime("%H:%M")
        case _ if hasattr(value, "value"):
            return str(value.value)
        case _:
            return str(value)
