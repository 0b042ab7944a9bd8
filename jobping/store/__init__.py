"""PostgreSQL behind narrow classes; the only place where asyncio exists.

- `bridge`: open the loop and a database, run units of work; `connection`: what a unit is given.
- `pool` (pure), `worker`, `faults`: who gets which connection, the asyncio side of one, its errors.
- `embedded`, `cluster`, `binaries`, `server_child`: the private server started when none is given.
- `migrate`, `schema/`: the numbered files and who applies them.
- One class per table group, with its SQL beside it: `boards`, `postings`, `profiles`, `matches`,
  `digests`, `gates`.
"""
