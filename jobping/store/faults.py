"""What asyncpg raises, mapped once to what a caller of the store can act on."""

import asyncpg
from asyncpg import exceptions as pg

from jobping.errors import ConfigError, StoreConflict, StoreError, StoreUnavailable

RERUN = (
    pg.InvalidCachedStatementError,
    pg.OutdatedSchemaCacheError,
    pg.DeadlockDetectedError,
)
"""A unit that met one of these is run once more: nothing of it was kept, and it may well pass."""

UNREACHABLE = (
    OSError,
    TimeoutError,
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InsufficientResourcesError,
    pg.TransactionRollbackError,
    pg.LockNotAvailableError,
    pg.ReadOnlySQLTransactionError,
    pg.InterfaceError,
    pg.InternalClientError,
)
"""The server, the way to it, or its state at the moment; another attempt later may pass."""

REFUSED = (
    pg.InvalidAuthorizationSpecificationError,
    pg.InvalidCatalogNameError,
    pg.ClientConfigurationError,
    pg.InsufficientPrivilegeError,
)
"""The operator must change something before any attempt can pass."""

_CONFLICTS = (pg.IntegrityConstraintViolationError, pg.RaiseError)


def store_error(error: Exception, *, connected: bool) -> StoreError | None:
    """Return what the caller of a unit should see, or None for a fault in the unit itself.

    Args:
        error: What came out of the unit.
        connected: The connection survived. If it did not, the loss explains the error.
    """
    if isinstance(error, StoreError):
        return error
    if isinstance(error, _CONFLICTS):
        return StoreConflict(_rule(error))
    if isinstance(error, pg.InterfaceError) and connected:
        return None  # a misuse, such as an argument of a wrong type
    if isinstance(error, UNREACHABLE) or not connected:
        return StoreUnavailable(describe(error))
    return None


def describe(error: Exception) -> str:
    """Return the error in one line, without values of rows."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def refusal(error: Exception, place: str) -> ConfigError:
    """Return what to tell an operator whose server is there but does not let us in."""
    return ConfigError(
        f"PostgreSQL at {place} refused the connection: {describe(error)}. "
        "Check the database name, the user and the password of the given URL."
    )


def _rule(error: asyncpg.PostgresError) -> str:
    constraint = getattr(error, "constraint_name", None)
    table = getattr(error, "table_name", None)
    if constraint:
        return f"{constraint} of table {table} is violated"
    return describe(error)
