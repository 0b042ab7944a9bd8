"""What one log event costs, beside structlog with orjson and stdlib logging in JSON.

Each writes the same event with the same seven fields, a time and a level into a file; ours also
masks secrets, escapes what a terminal obeys, keeps lines short, and is written by a thread of its
own, whose time counts. Whoever wrote fewer lines than events has failed.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping

import structlog

from jobping.logs import LogConfig, open_log
from tests.bench.contender import Contender, Meter, Shape

EVENT = "scraper.polled"
ACTOR = "domains/boards-api.greenhouse.io"


def fields_of(number: int) -> Mapping[str, object]:
    """Return the seven fields of one event."""
    return {
        "domain": "boards-api.greenhouse.io",
        "source": "greenhouse",
        "board": "acme",
        "outcome": "complete",
        "duration_s": 0.25 + number / 1e6,
        "seen": number,
        "new": 3,
    }


@contextlib.contextmanager
def written(meter: Meter) -> Iterator[io.FileIO]:
    """Yield a file, and look afterwards whether it holds a line for each event."""
    with tempfile.TemporaryFile("w+b", buffering=0) as file:
        yield file
        file.seek(0)
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        assert lines == meter.begun, (lines, meter.begun)


def emit_ours(meter: Meter) -> None:
    """Emit as the daemon does."""
    with written(meter) as file:
        config = LogConfig(capacity=10 * meter.units)
        with open_log(config, stream=file, journal=False) as log:
            emit = log.bind(actor=ACTOR)
            for number in meter.each():
                emit(EVENT, **fields_of(number))
                meter.add(2 * number + 1)
        meter.end()  # again: what the thread had still to write counts too


def log_structlog(meter: Meter) -> None:
    """Log through structlog as its page on performance says, with orjson."""
    import orjson

    with written(meter) as file:
        log = structlog.wrap_logger(
            structlog.BytesLogger(file),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(serializer=orjson.dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=True,
        ).bind(actor=ACTOR)
        for number in meter.each():
            log.info(EVENT, **fields_of(number))
            meter.add(2 * number + 1)


def log_stdlib(meter: Meter) -> None:
    """Log through the standard library with python-json-logger."""
    from pythonjsonlogger.json import JsonFormatter

    with written(meter) as file:
        handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(file), "utf-8"))
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(message)s"))
        log = logging.Logger("bench", logging.INFO)
        log.addHandler(handler)
        for number in meter.each():
            log.info(EVENT, extra={"actor": ACTOR, **fields_of(number)})
            meter.add(2 * number + 1)
        handler.stream.detach().detach()  # the file is closed by its owner


SHAPES = (
    Shape(
        name="event",
        units=30_000,
        contenders=(
            Contender("event", emit_ours),
            Contender("structlog", log_structlog, needs="orjson"),
            Contender("stdlib", log_stdlib, needs="pythonjsonlogger"),
        ),
    ),
)
