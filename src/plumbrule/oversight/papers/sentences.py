# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Cuts a text into sentences and blocks, with their places."""

import re
from collections.abc import Iterator

from plumbrule.oversight.papers.document import Sentence

_BLOCK = re.compile(r"\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
_OWN_LINE = re.compile(r"\s*(?:#{1,6} |\||[-*+] |\[[^\]\s]{1,60}\] |\d{1,3}\. )")
_END = re.compile(r"[.!?][\"”’')\]]*\s+(?=[\"“‘'(\[]?[A-Z0-9@À-Þ])")
_ABBREVIATIONS = frozenset(
    [
        "al",
        "e.g",
        "i.e",
        "cf",
        "vs",
        "fig",
        "figs",
        "eq",
        "eqs",
        "tab",
        "sec",
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "no",
        "nos",
        "p",
        "pp",
        "vol",
        "ed",
        "eds",
        "approx",
        "ca",
        "resp",
        "etc",
        "viz",
        "jr",
        "sr",
        "inc",
        "dept",
        "univ",
    ]
)
_LAST_WORD = re.compile(r"([\w.]+)\.[\"”’')\]]*\s+$")


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans of paragraphs; headings, rows of tables and items of lists stand alone."""
    for match in _BLOCK.finditer(text):
        start = at = match.start()
        for line in match[0].split("\n"):
            if _OWN_LINE.match(line):
                if start < at:
                    yield start, at - 1
                start = at
                if line.lstrip().startswith(("#", "|")):
                    yield at, at + len(line)
                    start = at + len(line) + 1
            at += len(line) + 1
        if start < match.end():
            yield start, match.end()


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Cut a text at full stops, question and exclamation marks that end a sentence.

    Abbreviations and initials end none. Rows of tables and headings come as they are.

    Example:
        >>> [each.text for each in split_sentences("We saw this (Lee et al. 2019). It held.")]
        ['We saw this (Lee et al. 2019).', 'It held.']
    """
    found = []
    for start, end in blocks(text):
        at = start
        block = text[start:end]
        for match in _END.finditer(block):
            if not _abbreviated(block[max(0, match.start() - 30) : match.end()]):
                found.append(_sentence(text, at, start + match.end()))
                at = start + match.end()
        found.append(_sentence(text, at, end))
    return tuple(each for each in found if each.text)


def _abbreviated(before: str) -> bool:
    match = _LAST_WORD.search(before)
    if match is None:
        return False
    word = match[1].lower()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha())


def _sentence(text: str, start: int, end: int) -> Sentence:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return Sentence(text=piece.strip(), start=start, end=start + len(piece.strip()))
