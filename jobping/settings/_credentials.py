"""Secrets that come from outside the file, with where they came from."""

from jobping.settings._places import Surroundings, find_credential
from jobping.settings._records import Secret
from jobping.settings._tables import Notes
from jobping.settings._values import Parse

Exposed = tuple[tuple[str, str], ...]
"""Secrets that came in plain variables: name and variable."""


def read_credential(
    key: str, variable: str, parse: Parse[Secret], around: Surroundings, notes: Notes
) -> tuple[Secret | None, Exposed]:
    """Return a secret, or None where there is none or after a problem; also if others could see it.

    Args:
        key: As in the file; it has a note already.
        variable: Without `JOBPING_` and in lower case it is the credential's name.
    """
    name = variable.removeprefix("JOBPING_").lower()
    credential = find_credential(name, variable, around)
    if credential is None:
        return None, ()
    try:
        value = parse(credential.text)
    except ValueError as error:
        notes.problems.append(f"{credential.origin}: {name}: must be {error}")
        return None, ()
    notes.override(key, value, credential.origin)
    return value, ((name, variable),) if credential.exposed else ()
