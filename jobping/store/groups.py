"""Exception groups of one, opened: a caller should meet `ConfigError`, not groups around it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def single_errors() -> Iterator[None]:
    """Raise what a group holds in place of the group, where it holds exactly one exception."""
    single: BaseException | None = None
    try:
        yield
    except BaseExceptionGroup as group:
        single = _only(group)
        if single is None:
            raise
    if single is not None:
        raise single


def _only(error: BaseException) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error
