"""A digest as plain text for a terminal or a mail's text part."""

import textwrap
from collections.abc import Iterator
from typing import Final

from jobping.core.digest_view import DigestView, ItemView

WIDTH: Final = 78
"""Columns of a line; only a link is ever longer."""
_INDENT: Final = "    "


def render_text(view: DigestView) -> str:
    """Return the digest as text that ends with a line feed."""
    lines = [f"{view.headline}{view.day.rjust(max(WIDTH - len(view.headline), 1))}", "=" * WIDTH]
    for note in view.notes:
        lines += _wrap(note)
    for number, item in enumerate(view.items, start=1):
        lines += ["", *_item(number, item)]
    lines += ["", "-" * WIDTH]
    for sentence in view.watched:
        lines += _wrap(sentence)
    lines += _wrap(f"Sent by JobPing for the profile {view.profile}, {view.schedule}.")
    lines += [f"All matches:           jobping matches {view.profile}"]
    lines += [f"See what it asks for:  jobping profile show {view.profile}"]
    return "\n".join(lines) + "\n"


def _item(number: int, item: ItemView) -> Iterator[str]:
    head = f"{number:>2}. "
    yield from textwrap.wrap(
        item.title, WIDTH, initial_indent=head, subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )  # fmt: skip
    yield from _wrap(f"{item.company} · {item.places}", _INDENT)
    yield from _wrap(" · ".join(filter(None, (item.pay, item.age, item.seen))), _INDENT)
    if item.earlier:
        yield from _wrap(f"[{item.earlier}]", _INDENT)
    if item.reason:
        yield from _wrap(f"Why: {item.reason}", _INDENT)
    yield from _wrap(f"From {item.source}, {item.host or 'no link'}:", _INDENT)
    if item.url is not None:
        yield _INDENT + item.url
    for other in item.also:
        yield from _wrap(f"Also {other.source}, {other.host}:", _INDENT)
        yield _INDENT + other.url


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
