"""A digest as the body of a request, in the form and within the limits of who reads it. Pure.

Chats get as many postings as fit and are told how many more there are; each link stands with its
host, and no text of a posting can become markup, a link or a mention.
"""

import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Final, assert_never

import msgspec

from jobping.core.digest_view import ItemView
from jobping.core.printable import printable
from jobping.delivery.hook import Form, Hook
from jobping.delivery.protocol import OutgoingDigest

_NTFY_BYTES: Final = 4_000
"""ntfy, "Limitations": 4,096 bytes; a longer one becomes an attachment."""
_SLACK_CHARACTERS: Final = 3_000
"""Slack, "Section block": text."""
_DISCORD_CHARACTERS: Final = 4_000
"""Discord, "Embed limits": description 4096."""
_DISCORD_CONTENT: Final = 2_000
_TELEGRAM_UNITS: Final = 4_000
"""Telegram, "sendMessage": 4096 characters after parsing; counted in UTF-16 and with the markup."""
_LONGEST_LINK: Final = 500
_REASON: Final = 150
_DISCORD_MARKUP: Final = re.compile(r"([\\*_~`|>#\[\]()<:@-])")
_ROOM_FOR_REST: Final = 30

Size = Callable[[str], int]


def write_post(digest: OutgoingDigest, hook: Hook) -> bytes:
    """Return the body, JSON in every form."""
    subject, items = printable(digest.digest.subject), digest.digest.items
    body: dict[str, object]
    match hook.form:
        case Form.JSON:
            body = _whole(digest)
        case Form.NTFY:
            text = _fitting(map(_plain, items), _NTFY_BYTES, lambda text: len(text.encode()))
            body = {"topic": hook.topic, "title": subject, "message": text or subject}
        case Form.SLACK:
            text = _fitting(map(_slack, items), _SLACK_CHARACTERS, len)
            body = {"text": escape(subject, quote=False), "blocks": _blocks(subject, text)}
        case Form.DISCORD:
            text = _fitting(map(_discord, items), _DISCORD_CHARACTERS, _utf16)
            body = {
                "content": printable(_discord_text(subject), _DISCORD_CONTENT),
                "embeds": [{"description": text}] if text else [],
                "allowed_mentions": {"parse": []},
            }
        case Form.TELEGRAM:
            head = f"<b>{escape(subject, quote=False)}</b>"
            text = _fitting([head, *map(_telegram, items)], _TELEGRAM_UNITS, _utf16)
            body = {
                **hook.parameters,
                "text": text,
                "parse_mode": "HTML",
                "link_preview_options": {"is_disabled": True},
            }
        case _:
            assert_never(hook.form)
    return msgspec.json.encode(body)


def _whole(digest: OutgoingDigest) -> dict[str, object]:
    return {
        "type": "digest",
        "id": digest.message_id,
        "profile": digest.profile,
        "period": digest.period,
        "made_at": digest.made_at,
        "subject": digest.digest.subject,
        "text": digest.digest.text,
        "items": digest.digest.items,
    }


def _fitting(parts: Iterable[str], limit: int, size: Size) -> str:
    """Return as many parts as fit, and how many more there are."""
    all_of_them, kept = list(parts), list[str]()
    left = limit - _ROOM_FOR_REST
    for part in all_of_them:
        if (needed := size(part) + 2) <= left:
            left -= needed
            kept.append(part)
    if len(kept) < len(all_of_them):
        kept.append(f"… and {len(all_of_them) - len(kept)} more")
    return "\n\n".join(kept)


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _link(item: ItemView) -> str | None:
    """Return the link, where it leaves room for more than itself."""
    return item.url if item.url and len(item.url) <= _LONGEST_LINK else None


def _lines(item: ItemView) -> list[str]:
    """Return what is said below the title."""
    said = [
        " · ".join((item.company, item.places)),
        " · ".join(fact for fact in (item.pay, item.age, item.seen) if fact),
        item.earlier,
        printable(item.reason, _REASON),
    ]
    return [line for line in said if line]


def _plain(item: ItemView) -> str:
    link = _link(item) or item.host or "no link"
    return "\n".join((item.title, *_lines(item), link))


def _slack(item: ItemView) -> str:
    title, link = escape(item.title, quote=False), _link(item)
    linked = f"<{escape(link, quote=False)}|{title}>" if link else title
    lines = (escape(line, quote=False) for line in _lines(item))
    return "\n".join((f"{linked} ({item.host or 'no link'})", *lines))


def _blocks(subject: str, text: str) -> list[dict[str, object]]:
    """Return the blocks; `verbatim` keeps Slack from making links and mentions of plain text."""
    head = {"type": "plain_text", "text": printable(subject, 150), "emoji": False}
    blocks: list[dict[str, object]] = [{"type": "header", "text": head}]
    if text:
        section = {"type": "mrkdwn", "text": text, "verbatim": True}
        blocks.append({"type": "section", "text": section})
    return blocks


def _discord(item: ItemView) -> str:
    title, link = _discord_text(item.title), _link(item)
    if link:
        title = f"[{title}]({link.replace('(', '%28').replace(')', '%29')})"
    lines = map(_discord_text, _lines(item))
    return "\n".join((f"{title} ({item.host or 'no link'})", *lines))


def _discord_text(text: str) -> str:
    return _DISCORD_MARKUP.sub(r"\\\1", text)


def _telegram(item: ItemView) -> str:
    title, link = escape(item.title, quote=False), _link(item)
    linked = f'<a href="{escape(link)}">{title}</a>' if link else title
    lines = (escape(line, quote=False) for line in _lines(item))
    return "\n".join((f"{linked} ({escape(item.host) or 'no link'})", *lines))
