"""The command line: one small module per group of commands.

`main` maps errors to exit codes, `parser` puts the groups together, `output` prints tables and
JSON, `session` opens settings and database. The daemon's parts are imported by the commands that
need them, so that `--help` and `config check` answer at once.
"""

from jobping.cli.main import main

__all__ = ["main"]
