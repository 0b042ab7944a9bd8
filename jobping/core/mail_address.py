"""What counts as a mail address: exactly one, plain, that no header or command can be hidden in."""

import re
from typing import Final

_LONGEST: Final = 254  # RFC 5321 4.5.3.1.3: a path of 256 octets with its angle brackets
_LONGEST_LOCAL: Final = 64  # RFC 5321 4.5.3.1.1
_ATOM: Final = r"[A-Za-z0-9#$&'+^_{}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@{_LABEL}(?:\.{_LABEL})*")


def check_mail_address(text: str) -> str:
    """Return the text if it is exactly one mail address; asked when stored and when used.

    Quoted local parts, comments, address literals, characters outside ASCII and those that mean
    something in a URL, a shell or a routed address (`! % / * = ? |` among them) are refused.

    Raises:
        ValueError: It is not; the message holds nothing of it.

    Source:
        RFC 5321 4.1.2, Dot-string and Domain.
    """
    found = ADDRESS.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or len(found[1]) > _LONGEST_LOCAL:
        raise ValueError('one mail address in ASCII, such as "ana@example.org"')
    return text
