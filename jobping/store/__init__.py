"""PostgreSQL behind narrow classes; the only place where asyncio exists.

- `bridge`: open a database and run units of work on it; `connection`: what a unit is given.
- `loop`: the asyncio loop on Trio, and plain connections; `faults`: what asyncpg raises, mapped.
- `session`, `worker`, `pool` (pure): one opening of a database, one connection, who gets which.
- `embedded`: the private server started when none is given; `cluster` (its data directory),
  `account`, `binaries`, `ownership`, `leftover`, `children` and `server_child` are its parts.
- `migrate`, `schema/`: the numbered files and who applies them.
- One class per table group, with its SQL beside it: `boards`, `postings`, `profiles`, `matches`,
  `digests`, `gates`.
"""
