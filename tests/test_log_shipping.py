"""The examples that ship the log: what they name is what the daemon writes."""

import re
import tomllib
from pathlib import Path

import pytest

from jobping.events import CATALOGUE, ENVELOPE

UNITS = Path(__file__).parents[1] / "systemd"
VECTOR = (UNITS / "vector.toml").read_text(encoding="utf-8")
LOKI = (UNITS / "loki.alloy").read_text(encoding="utf-8")
POLL_FIELDS = {*ENVELOPE, *CATALOGUE["scraper.polled"].fields}


def test_vector_joins_its_parts_and_names_fields_of_a_poll() -> None:
    config = tomllib.loads(VECTOR)
    parts = {**config["sources"], **config["transforms"], **config["sinks"]}
    inputs = [name for part in parts.values() for name in part.get("inputs", [])]
    assert set(inputs) == set(parts) - set(config["sinks"])
    for metric in config["transforms"]["counts"]["metrics"]:
        assert metric["field"] in POLL_FIELDS
        assert set(re.findall(r"\{\{(\w+)\}\}", str(metric["tags"]))) <= POLL_FIELDS


@pytest.mark.parametrize("text", [VECTOR, LOKI], ids=["vector", "loki"])
def test_events_that_an_example_names_exist(text: str) -> None:
    named = re.findall(r'event ?==? ?"([^"]+)"', text)
    assert named
    assert set(named) <= set(CATALOGUE)


def test_loki_makes_labels_of_the_envelope_alone_and_closes_its_blocks() -> None:
    bare = re.sub(r"//.*", "", LOKI)
    labels = re.search(r"stage\.labels \{\s*values = \{(.*)\}", bare)
    assert labels
    assert set(re.findall(r"(\w+) =", labels[1])) <= set(ENVELOPE)
    assert bare.count("{") == bare.count("}")
    assert "cost_nanousd" in CATALOGUE["model.called"].fields
