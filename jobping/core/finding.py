"""What a check found: a measured figure, a verdict, and what to do."""

import enum

import attrs


class Verdict(enum.Enum):
    """Whether what was promised holds."""

    HOLDS = "ok"
    FAILS = "FAIL"
    SKIPPED = "skip"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        section: The part it belongs to, one word.
        figure: What was measured, in words, with units.
        advice: What to do; empty where it holds.
    """

    section: str
    figure: str
    verdict: Verdict
    advice: str = ""


def judged(section: str, figure: str, *, holds: bool, advice: str) -> Finding:
    """Return a finding; the advice is for where it does not hold."""
    if holds:
        return Finding(section=section, figure=figure, verdict=Verdict.HOLDS)
    return Finding(section=section, figure=figure, verdict=Verdict.FAILS, advice=advice)


def skipped(section: str, why: str) -> Finding:
    """Return a finding about what could not be looked at here."""
    return Finding(section=section, figure=why, verdict=Verdict.SKIPPED)
