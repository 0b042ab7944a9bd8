"""Findings of a check as lines for people or as JSON, and the exit code that follows from them."""

import sys
import textwrap
from typing import Final

import attrs
from rich.console import Console
from rich.text import Text

from jobping.cli.output import print_json
from jobping.cli.parser import ExitCode
from jobping.core.finding import Finding, Verdict
from jobping.core.printable import printable

_STYLES: Final = {Verdict.HOLDS: "green", Verdict.FAILS: "bold red", Verdict.SKIPPED: "dim"}
_WIDTH: Final = 80
_SECTION: Final = 13
_LONGEST: Final = 600


@attrs.define(eq=False, kw_only=True)
class Findings:
    """Takes findings as they come.

    Attributes:
        json: Nothing is printed before `end`.
    """

    json: bool
    _found: list[Finding] = attrs.field(factory=list, init=False)
    _console: Console = attrs.field(
        factory=lambda: Console(highlight=False, soft_wrap=True), init=False
    )

    def say(self, one: Finding) -> None:
        """Take one, and print it for people."""
        self._found.append(one)
        if not self.json:
            _print(self._console, one)
            sys.stdout.flush()

    def end(self) -> int:
        """Print what they come to, and return the exit code."""
        fails = [one for one in self._found if one.verdict is Verdict.FAILS]
        if self.json:
            rows = [
                {
                    "section": one.section,
                    "verdict": one.verdict.value.lower(),
                    "figure": one.figure,
                    "advice": one.advice,
                }
                for one in self._found
            ]
            print_json({"holds": not fails, "findings": rows})
        else:
            skips = sum(one.verdict is Verdict.SKIPPED for one in self._found)
            held = len(self._found) - len(fails) - skips
            print(f"\n{held} hold, {len(fails)} fail, {skips} skipped")
        return ExitCode.FAILED if fails else ExitCode.OK


def _print(console: Console, one: Finding) -> None:
    indent = " " * (6 + _SECTION)
    text = printable(one.figure, _LONGEST)
    lines = textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent) or [""]
    head = Text(f"{one.verdict.value:<6}", style=_STYLES[one.verdict])
    console.print(head + Text(f"{one.section:<{_SECTION}}{lines[0].strip()}"))
    advice = printable(one.advice, _LONGEST)
    lines[1:] += textwrap.wrap(
        advice, _WIDTH, initial_indent=f"{indent}-> ", subsequent_indent=f"{indent}   "
    )
    for line in lines[1:]:
        print(line)
