"""A digest as one HTML page: no script, no remote content, every text escaped, well-formed XML."""

from collections.abc import Iterator
from html import escape
from typing import Final

from jobping.core.digest_view import DigestView, ItemView

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'"
_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 0; padding: 1.25rem .75rem; background: #f4f4f6; color: #1c1c1e;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 40rem; margin: 0 auto; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.4rem; line-height: 1.25; }
h2 { margin: 0; font-size: 1.08rem; line-height: 1.35; }
p { margin: .3rem 0 0; }
ol { list-style: none; margin: 1rem 0 0; padding: 0; }
li { margin: 0 0 .75rem; padding: .9rem 1rem; background: #ffffff;
  border: 1px solid #dcdce0; border-radius: .6rem; }
a { color: #0b57d0; }
h2 a { text-decoration: none; }
h2 a:hover { text-decoration: underline; }
.dim { color: #5f6368; font-size: .9rem; }
.why { border-left: 3px solid #dcdce0; padding-left: .6rem; }
.mark { display: inline-block; padding: .05rem .5rem; border-radius: 1rem; font-size: .85rem;
  color: #8a5200; background: #fff3dc; }
footer { margin-top: 1.25rem; padding-top: .75rem; border-top: 1px solid #dcdce0; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .9em; }
"""
"""Plain values: mail programs know no variables."""
_DARK: Final = """
@media (prefers-color-scheme: dark) {
  body { background: #17171a; color: #ececf0; }
  li { background: #222226; border-color: #3a3a3f; }
  a { color: #8ab4f8; }
  .dim { color: #a5a7ad; }
  .why, footer { border-color: #3a3a3f; }
  .mark { color: #ffd48a; background: #3d3017; }
}
"""
"""By itself: some mail programs drop a whole sheet for one rule that they do not know."""


def render_html(view: DigestView) -> str:
    """Return the digest as a whole page."""
    notes = "\n".join(f'<p class="dim">{escape(note)}</p>' for note in view.notes)
    items = "\n".join("\n".join(_item(item)) for item in view.items)
    listed = f"<ol>\n{items}\n</ol>" if items else ""
    profile = escape(view.profile)
    watched = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in view.watched)
    body = f"""<main>
<h1>{escape(view.headline)}</h1>
<p class="dim">{escape(view.day)}</p>
{notes}
{listed}
<footer class="dim">
{watched}
<p>Sent by JobPing for the profile <strong>{profile}</strong>, {escape(view.schedule)}.
All matches: <code>jobping matches {profile}</code>. See what it asks for:
<code>jobping profile show {profile}</code>.</p>
</footer>
</main>"""
    return whole_page(view.subject, body, _STYLE, _DARK)


def whole_page(title: str, body: str, *styles: str) -> str:
    """Return a page that runs nothing and asks for nothing from outside.

    Args:
        title: As plain text.
        body: As HTML.
        styles: CSS, each in an element of its own: a mail program drops one that it cannot read.
    """
    style = "\n".join(f"<style>{one}</style>" for one in styles)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<meta name="referrer" content="no-referrer" />
<title>{escape(title)}</title>
{style}
</head>
<body>
{body}
</body>
</html>
"""


def _item(item: ItemView) -> Iterator[str]:
    """Yield one posting; texts of strangers stand in elements that isolate their direction."""
    yield "<li>"
    yield f'<h2 dir="auto">{_linked(item.title, item.url)}</h2>'
    yield f"<p><bdi>{escape(item.company)}</bdi> · <bdi>{escape(item.places)}</bdi></p>"
    yield f'<p class="dim">{_facts(item)}</p>'
    if item.earlier:
        yield f'<p><span class="mark">{escape(item.earlier)}</span></p>'
    if item.reason:
        yield f'<p class="why"><bdi>{escape(item.reason)}</bdi></p>'
    where = f" · {escape(item.host)}" if item.host else " · no link"
    yield f'<p class="dim">From {_linked(item.source, item.url)}{where}</p>'
    for other in item.also:
        yield f'<p class="dim">Also {_linked(other.source, other.url)} · {escape(other.host)}</p>'
    yield "</li>"


def _facts(item: ItemView) -> str:
    facts = (item.pay, item.age, item.seen)
    return " · ".join(f"<bdi>{escape(fact)}</bdi>" for fact in facts if fact)


def _linked(text: str, url: str | None) -> str:
    return escape(text) if url is None else f'<a href="{escape(url)}">{escape(text)}</a>'
