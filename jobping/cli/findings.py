"""Findings of a check as lines for people or as JSON, and the exit code that follows from them."""

import sys
import textwrap
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from jobping.cli.output import print_json
from jobping.cli.parser import ExitCode
from jobping.core.finding import Finding, Verdict
from jobping.core.printable import printable

_STYLES: Final = {Verdict.HOLDS: "green", Verdict.FAILS: "bold red", Verdict.SKIPPED: "dim"}
_WIDTH: Final = 80
_LONGEST: Final = 600


def report(found: Sequence[Finding], *, json: bool) -> int:
    """Print all findings and what they come to; return the exit code."""
    fails = [one for one in found if one.verdict is Verdict.FAILS]
    if json:
        rows = [
            {
                "section": one.section,
                "verdict": one.verdict.value.lower(),
                "figure": one.figure,
                "advice": one.advice,
            }
            for one in found
        ]
        print_json({"holds": not fails, "findings": rows})
    else:
        console = Console(highlight=False, soft_wrap=True)
        width = max(len(one.section) for one in found) + 2
        for one in found:
            _print(console, one, width)
        skips = sum(one.verdict is Verdict.SKIPPED for one in found)
        held = len(found) - len(fails) - skips
        print(f"\n{held} hold, {len(fails)} fail, {skips} skipped")
    sys.stdout.flush()
    return ExitCode.FAILED if fails else ExitCode.OK


def _print(console: Console, one: Finding, width: int) -> None:
    indent = " " * (6 + width)
    text = printable(one.figure, _LONGEST)
    lines = textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent) or [""]
    head = Text(f"{one.verdict.value:<6}", style=_STYLES[one.verdict])
    console.print(head + Text(f"{one.section:<{width}}{lines[0].strip()}"))
    advice = printable(one.advice, _LONGEST)
    lines[1:] += textwrap.wrap(
        advice, _WIDTH, initial_indent=f"{indent}-> ", subsequent_indent=f"{indent}   "
    )
    for line in lines[1:]:
        print(line)
