"""Keep a key out of whatever is written, also where a server sends it back in another writing."""

import base64
import re
from functools import lru_cache

SHORTEST = 6
"""Characters of a key that is concealed: local servers take any word, such as `none`, for a key,
and replacing that word would change replies."""

STANDS_FOR = "[key]"


def conceal(text: str, key: str | None) -> str:
    """A text without the key, whichever way it is written there.

    Found are the key itself in any case and backwards; each character as it is, percent-encoded, or
    escaped as JSON, Python or HTML do; hexadecimal; and base64 with anything before it.

    Args:
        text: What came back.
        key: What must not be in it; None or a word of a few characters leaves the text alone.

    Example:
        >>> conceal("Wrong key: sk%2Dabcdefgh", "sk-abcdefgh")
        'Wrong key: [key]'
    """
    if not key or len(key) < SHORTEST:
        return text
    return _pattern(key).sub(STANDS_FOR, text)


@lru_cache(maxsize=64)
def _pattern(key: str) -> "re.Pattern[str]":
    ways = [_escaped(key), _escaped(key[::-1]), _bytes_written(key), *_encoded(key)]
    return re.compile("|".join(ways))


def _escaped(key: str) -> str:
    return "".join(_any_writing(letter) for letter in key)


def _any_writing(letter: str) -> str:
    """Pattern of a character as people and programs write it."""
    code = ord(letter)
    ways = {re.escape(one) for one in (letter, letter.lower(), letter.upper())}
    for number in {code, ord(letter.lower()[0]), ord(letter.upper()[0])}:
        hexadecimal = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{number:x}")
        ways |= {
            rf"%(?:25)*{hexadecimal}",
            rf"\\+u0*{hexadecimal}",
            rf"\\+x0*{hexadecimal}",
            rf"&(?:amp;)*#0*{number};",
            rf"&(?:amp;)*#[xX]0*{hexadecimal};",
        }
    return f"(?:{'|'.join(sorted(ways))})"


def _bytes_written(key: str) -> str:
    """Hexadecimal, with or without a separator between the bytes."""
    pairs = [f"{byte:02x}" for byte in key.encode()]
    return "[ :-]?".join(
        "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in pair) for pair in pairs
    )


def _encoded(key: str) -> list[str]:
    """Base64, for each place in a group of three bytes at which the key may begin.

    The outermost characters carry bits of what is beside the key, so they are not looked for.
    """
    found = []
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        first = (0, 2, 3)[before]
        last = len(whole) - (1 if (before + len(key.encode())) % 3 else 0)
        core = whole[first:last]
        found.append("".join({"+": "[+-]", "/": "[/_]"}.get(one, one) for one in core) + "=*")
    return found
