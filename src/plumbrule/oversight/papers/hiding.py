"""Takes what a reader does not see out of a text, and remembers where it stood.

While a text is being cleaned, each hidden piece is replaced by a mark of two private characters
around its number. The marks survive every later step and are turned into positions at the end.
"""

import re
from collections import Counter

from plumbrule.oversight.papers.document import Hidden

_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_PRIVATE = re.compile("[\ue000-\ue005\ud800-\udfff]")  # half a surrogate pair is no letter
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_INVISIBLE = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]+"
)
_IN_WORD = re.compile("(?<=\\w)[\u200b-\u200f\u2060-\u2064](?=\\w)")

LONGEST_RUN = 8
"""Invisible characters in a row that no script or emoji needs; longer runs can carry a message."""

MOST_IN_WORDS = 3
"""Invisible characters inside words of one line before the line counts as disguised."""

_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "\u00a0": " ", "\u202f": " "}
)


class Veil:
    """Collects hidden pieces while one text is cleaned."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, str]] = []

    def hide(self, text: str, how: str) -> str:
        """Remember a piece and give the mark that stands for it; nothing for a blank piece."""
        if not text.strip():
            return ""
        self._pieces.append((text.strip(), how))
        return f"{_OPEN}{len(self._pieces) - 1}{_CLOSE}"

    def lift(self, text: str) -> tuple[str, tuple[Hidden, ...]]:
        """Take the marks out again.

        Returns:
            The clean text, and every piece with its place; pieces whose mark was lost in between
            stand at the end, so that none is dropped.
        """
        parts, found, at, length = [], {}, 0, 0
        for match in _MARK.finditer(text):
            parts.append(text[at : match.start()])
            length += match.start() - at
            found[int(match[1])] = length
            at = match.end()
        parts.append(text[at:])
        clean = "".join(parts)
        return clean, tuple(
            Hidden(text=_MARK.sub("", piece), how=how, start=found.get(number, len(clean)))
            for number, (piece, how) in enumerate(self._pieces)
        )


def uncover(text: str, veil: Veil) -> str:
    """Take invisible characters out of a text, and unify line ends, spaces and ligatures.

    Letters written in the Unicode tag block are read as the letters they stand for. Lines with
    invisible characters inside several words, and long runs of them, are remembered too.
    """
    text = _PRIVATE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").translate(_LIGATURES))
    text = _TAGS.sub(lambda match: veil.hide(_untagged(match[0]), "Unicode tag characters"), text)
    if not _INVISIBLE.search(text):
        return text
    lines = []
    for line in text.split("\n"):
        clean = _INVISIBLE.sub(lambda match: _run(match[0], veil), line)
        if len(_IN_WORD.findall(line)) >= MOST_IN_WORDS:
            clean += veil.hide(_MARK.sub("", clean), "zero-width characters inside words")
        lines.append(clean)
    return "\n".join(lines)


def _untagged(text: str) -> str:
    return "".join(chr(ord(letter) - 0xE0000) for letter in text)


def _run(run: str, veil: Veil) -> str:
    if len(run) < LONGEST_RUN:
        return ""
    counts = Counter(f"U+{ord(letter):04X}" for letter in run)
    words = ", ".join(f"{count} times {name}" for name, count in sorted(counts.items()))
    return veil.hide(f"a run of {len(run)} invisible characters: {words}", "zero-width characters")
