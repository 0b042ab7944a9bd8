import ast
from collections.abc import Iterator
from pathlib import Path

import attrs

import jobping
from jobping.events import CATALOGUE, ENVELOPE, EVENTS, LEVELS

PACKAGE = Path(jobping.__file__).parent


@attrs.frozen
class Emitted:
    """A place in the code that emits an event.

    Attributes:
        fields: The keywords it names.
        open: It also passes `**fields`, which cannot be read from the text.
    """

    where: str
    event: str
    fields: frozenset[str]
    open: bool


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text())


def called(call: ast.Call) -> str:
    """Return the last name of what is called."""
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def emitted() -> Iterator[Emitted]:
    """Find the calls of an Emit with a literal name."""
    for path, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.Call(args=[ast.Constant(value=str(event)), *_]) if called(node) in (
                    "emit",
                    "_emit",
                ):
                    names = {keyword.arg for keyword in node.keywords} - {"level", "actor"}
                    fields = frozenset(name for name in names if name is not None)
                    yield Emitted(f"{path}:{node.lineno}", event, fields, open=None in names)
                case _:
                    pass


def transitions() -> Iterator[Emitted]:
    """Find the values of `core` that name their event and whose attributes are its fields."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            named = {
                line.target.id: line.value for line in node.body
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            }  # fmt: skip
            event = named.pop("event", None)
            if isinstance(event, ast.Constant) and isinstance(event.value, str):
                # the gate of a domain adds the domain
                fields = frozenset({*named, "domain"})
                yield Emitted(f"{path}:{node.lineno}", event.value, fields, open=False)


FOUND = (*emitted(), *transitions())


def test_emits_are_found_at_all() -> None:
    assert {"scraper.polled", "log.dropped", "breaker.opened"} <= {found.event for found in FOUND}


def test_every_emitted_event_and_field_is_in_the_catalogue() -> None:
    unknown = [
        (found.where, found.event, sorted(found.fields))
        for found in FOUND
        if found.event not in CATALOGUE or not found.fields <= {*CATALOGUE[found.event].fields}
    ]
    assert unknown == []


def test_every_event_of_the_catalogue_is_emitted_somewhere() -> None:
    assert sorted(CATALOGUE.keys() - {found.event for found in FOUND}) == []


def test_every_field_of_the_catalogue_is_given_by_somebody() -> None:
    given: dict[str, set[str]] = {event.name: set() for event in EVENTS}
    for found in FOUND:
        given[found.event] |= found.fields
    spread = {found.event for found in FOUND if found.open}
    idle = {
        event.name: missing
        for event in EVENTS
        if event.name not in spread and (missing := set(event.fields) - given[event.name])
    }
    assert idle == {}


def test_names_are_unique_and_say_noun_and_past_verb() -> None:
    names = [event.name for event in EVENTS]
    assert len(names) == len(set(names))
    for name in names:
        noun, verb = name.split(".")
        assert noun.isalpha()
        assert verb.replace("_", "").isalpha()


def test_no_field_takes_a_name_of_the_envelope_or_comes_twice() -> None:
    for event in EVENTS:
        assert len(set(event.fields)) == len(event.fields)
        assert not {*event.fields} & {*ENVELOPE, "cut", "uncatalogued", "self"}, event.name


def test_summaries_are_one_sentence_and_levels_are_known() -> None:
    for event in EVENTS:
        assert event.level in LEVELS
        assert event.summary.endswith("."), event.name
        assert "\n" not in event.summary
