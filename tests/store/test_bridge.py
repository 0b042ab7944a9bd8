"""The bridge on a real server: results, errors, cancels, losses."""

from jobping.store.bridge import Connection, Database


async def add(connection: Connection, left: int, right: int) -> int:
    return await connection.fetchval("SELECT $1::int + $2::int", left, right)


async def test_database_returns_the_result_of_a_unit(database: Database) -> None:
    assert await database.run(add, 2, right=3) == 5


async def test_database_counts_statements_and_units(database: Database) -> None:
    for number in range(3):
        await database.run(add, number, 1)
    statistics = database.statistics()
    assert (statistics.units, statistics.statements) == (3, 3)
