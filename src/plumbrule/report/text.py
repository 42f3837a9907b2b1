"""How text is shown: whatever could hide or reorder other text is written out instead.

Everything a report shows passes through here once: `plain` gives text that is safe to escape
anywhere, `marked` gives the same for running text, with what was hidden set apart.
"""

import re
import unicodedata

from markupsafe import Markup, escape

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f"
    "\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-"
    "\uf8ff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-"
    "\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
"""Controls, bidirectional overrides, zero widths, tags, surrogates, private use, and blanks.

Written out rather than asked of `unicodedata`, so that every version of Python gives the same page.
"""

_RUN = re.compile(f"({_HIDDEN.pattern})\\1*")
"""The same hidden character once or many times over; a run is written as one."""

LONG = 900
"""Characters beyond which a text is folded."""

PREVIEW = 420
"""Characters of a folded text that are shown all the same."""


def is_hidden(character: str) -> bool:
    r"""Whether a character would show nothing, or change how its neighbors show.

    Example:
        >>> is_hidden("\u202e"), is_hidden("\n"), is_hidden("é")
        (True, False, False)
    """
    return _HIDDEN.match(character) is not None


def plain(text: str) -> str:
    r"""Write hidden characters out in brackets; still to be escaped for HTML.

    Example:
        >>> plain("a\u202eb")
        'a⟦U+202E⟧b'
    """
    return _HIDDEN.sub(lambda match: f"⟦{code_point(match[0])}⟧", text)


def marked(text: str) -> Markup:
    """Escape text for HTML and set each hidden character apart by its code point and name."""
    parts, start = [], 0
    for match in _RUN.finditer(text):
        parts += [escape(text[start : match.start()]), _chip(match[1], len(match[0]))]
        start = match.end()
    return Markup("").join([*parts, escape(text[start:])])


def json_text(text: str) -> str:
    """Write hidden characters of a JSON text as its own escapes; it still says the same."""
    return _HIDDEN.sub(lambda match: _json_escape(match[0]), text)


def code_point(character: str) -> str:
    """Name a character by its number, as Unicode writes it."""
    return f"U+{ord(character):04X}"


def preview(text: str) -> str | None:
    """Beginning of a text that is too long to show whole; None where it is not.

    Cut by lines too, since a thousand short lines are as long as one long one.
    """
    lines = text.split("\n", 12)
    if len(text) <= LONG and len(lines) <= 12:
        return None
    return "\n".join(lines[:8])[:PREVIEW].rstrip()


def _chip(character: str, times: int) -> Markup:
    name = unicodedata.name(character, "no name in Unicode")
    text = code_point(character) + (f" \N{MULTIPLICATION SIGN} {times:,}" if times > 1 else "")
    return Markup('<span class="hidden-character" title="{}">{}</span>').format(name, text)


def _json_escape(character: str) -> str:
    number = ord(character)
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
