"""Which words two texts do not share, for reading them side by side."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from markupsafe import Markup

from plumbrule.report.text import marked

_OWN = "\u3040-\u30ff\u3400-\u9fff"
"""Scripts written without spaces: each character counts as a word."""

_MARKS = "!-&(-/:-@\\[-`{-~\u2026\u201c\u201d\u2018\u2013\u2014\u00ab\u00bb\u3001\u3002\uff0c"
"""Punctuation counts as a word of its own; apostrophes stay inside words."""

_WORD = re.compile(f"\\s*(?:[{_OWN}]|[^\\s{_OWN}{_MARKS}]+|[{_MARKS}])|\\s+$")

MOST_MATCHES = 20_000
"""Pairs of equal words beyond which the middle of two texts is not compared word by word.

The comparison takes time in proportion, and a model's text may be made to have very many.
"""

SHORTEST = 2
"""Words in a row that two texts must share between two changes for the row to be left unmarked."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some words in a row that are all shared, or all not."""

    text: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class ComparedTexts:
    """Two texts in pieces."""

    old: tuple[Piece, ...]
    new: tuple[Piece, ...]

    alike: bool
    """Whether they share a fifth of their words; where they do not, marks would only disturb."""


def compare_words(old: str, new: str) -> ComparedTexts:
    """Tell which words of two texts the other one lacks.

    Space between words is shown and not compared. Where the comparison would take long, only the
    common beginning and the common end are taken as shared.

    Args:
        old: Any text.
        new: Any text.

    Returns:
        Pieces that, joined, are the texts again, letter by letter.

    Example:
        >>> compared = compare_words("Anna is a baker.", "Anna is a smith.")
        >>> [piece.text for piece in compared.new if piece.changed]
        [' smith']
    """
    ours, theirs = _WORD.findall(old), _WORD.findall(new)
    rows = _rows([word.strip() for word in ours], [word.strip() for word in theirs])
    shared = [(a, a + size, b, b + size) for a, b, size in rows if size]
    return ComparedTexts(
        old=_pieces(ours, [(start, stop) for start, stop, _, _ in shared]),
        new=_pieces(theirs, [(start, stop) for _, _, start, stop in shared]),
        alike=5 * sum(size for _, _, size in rows) >= max(len(ours), len(theirs)),
    )


def marked_words(pieces: Iterable[Piece], tag: str) -> Markup:
    """Escape pieces for HTML and set the changed ones apart.

    Args:
        pieces: From `compare_words`.
        tag: Name of the element for a changed piece, `ins` or `del`.
    """
    shown: list[Markup] = []
    for piece in pieces:
        words = piece.text.lstrip()
        space = piece.text[: len(piece.text) - len(words)]
        if piece.changed and words:  # space in front of a change stays out of it
            shown += [marked(space), Markup(f"<{tag}>"), marked(words), Markup(f"</{tag}>")]
        else:
            shown.append(marked(piece.text))
    return Markup("").join(shown)


def _rows(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int]]:
    """Rows of shared words: where each begins in the old and in the new text, and its length."""
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    ours, theirs = old[head : len(old) - tail], new[head : len(new) - tail]
    rows = [(head + a, head + b, size) for a, b, size in _middle(ours, theirs) if size >= SHORTEST]
    return [(0, 0, head), *rows, (len(old) - tail, len(new) - tail, tail)]


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """Words that two texts begin with alike."""
    for place, (ours, theirs) in enumerate(zip(old, new, strict=False)):
        if ours != theirs:
            return place
    return min(len(old), len(new))


def _middle(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int]]:
    counts = Counter(new)
    if sum(counts[word] for word in old) > MOST_MATCHES:
        return []
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return [(block.a, block.b, block.size) for block in blocks]


def _pieces(words: Sequence[str], shared: Iterable[tuple[int, int]]) -> tuple[Piece, ...]:
    pieces, here = [], 0
    for start, stop in shared:
        pieces += [(words[here:start], True), (words[start:stop], False)]
        here = stop
    pieces.append((words[here:], True))
    return tuple(Piece(text="".join(part), changed=changed) for part, changed in pieces if part)
