"""Three-valued answers: a definite no excludes, an unknown is kept and ranked lower."""

import enum

import attrs


class Fit(enum.Enum):
    """Whether a posting has what a profile wants."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"


@attrs.frozen(kw_only=True)
class Finding:
    """A fit with what a person should read about it.

    Attributes:
        note: A few words in lower case, or empty where there is nothing to say.
    """

    fit: Fit
    note: str = ""
