# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads quantities: numbers with their units and the words that say what they are numbers of."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from plumbrule.oversight.papers.document import Sentence, Table
from plumbrule.oversight.papers.names import SMALL_WORDS
from plumbrule.oversight.papers.numerals import Printed, numbers_in, read_number

WORDS_AFTER = 4
SMALLEST_BARE = 4
"""Whole numbers below this are not compared unless they are percentages: they count anything."""

_SMALL = SMALL_WORDS.union(
    [
        "was", "were", "we", "our", "that", "this", "these", "than", "it", "its", "be", "been",
        "had", "has", "have", "which", "who", "whom", "or", "not", "also", "both",
        "respectively", "only", "out", "about", "they", "their", "there", "when", "while",
        "all", "more", "most", "into", "between", "showed", "found", "report", "reported",
        "result", "results", "total", "study", "sample", "compared", "higher", "lower", "vs",
        "versus", "approximately", "data", "table", "see",
    ]
)  # fmt: skip
_SYMBOL = re.compile(r"([A-Za-zηχβαρκ]{1,6}[²2]?)\s*=\s*$")
_STATISTIC = re.compile(
    r"(?:\b[pPtTFrzQdgbBβχη][²2]?(?:\([^()]{0,30}\))?|\bORs?|\bHRs?|\bRRs?|CI)[^A-Za-z]{0,4}[=<>≤≥:]?\s*[\[(]?$"
)
_SKIP_BEFORE = re.compile(
    r"(?:tables?|figures?|figs?\.|sections?|study|experiment|equation|chapter|wave|phase|no\.)\s*$",
    re.I,
)
_UNIT = re.compile(r"\s*(%|percent\b|per cent\b|percentage points?\b|[A-Za-z°]+)")
_WORD = re.compile(r"[A-Za-z][A-Za-z’'-]*")


@dataclass(frozen=True)
class Quantity:
    """A number with what it is a number of."""

    number: Printed
    unit: str
    words: frozenset[str]
    start: int
    end: int
    cell: bool = False


def quantities(sentences: Iterable[Sentence]) -> Iterator[Quantity]:
    """Quantities of sentences; statistics, years and small bare counts are left out."""
    for sentence in sentences:
        text, last = sentence.text, 0
        found = numbers_in(text)
        for place, (start, end, number) in enumerate(found):
            following = found[place + 1][0] if place + 1 < len(found) else len(text)
            before, after = text[last:start], text[end:following]
            unit = _unit(before, after)
            first = _UNIT.match(after)
            last = end + (first.end() if first else 0)
            if unit is None or _is_bare(number, unit):
                continue
            tail = " ".join(re.split(r"[).,;:(\[]", after)[0].split()[:WORDS_AFTER])
            yield Quantity(
                number=number,
                unit=unit,
                words=stems(f"{before} {tail}"),
                start=sentence.start + start,
                end=sentence.start + end,
            )


def _unit(before: str, after: str) -> str | None:
    """Unit of a number: the sign or word behind it, or the symbol it is said to equal."""
    if _SKIP_BEFORE.search(before) or re.match(r"\s*%\s*(?:CI|confidence|cred)", after):
        return None
    symbol = _SYMBOL.search(before)
    if symbol:
        name = symbol[1]
        return name if name in ("M", "SD", "n", "N", "Mdn") else None
    if _STATISTIC.search(before):
        return None
    match = _UNIT.match(after)
    if match is None:
        return ""
    word = match[1].lower()
    if word in ("%", "percent", "per cent"):
        return "%"
    return stem(word) if word not in _SMALL else ""


def _is_bare(number: Printed, unit: str) -> bool:
    whole = number.decimals == 0 and unit != "%"
    return whole and (abs(number.value) < SMALLEST_BARE or 1900 <= number.value < 2100)


def stems(words: str) -> frozenset[str]:
    """Words that say what a text is about, without their endings."""
    found = {stem(word) for word in _WORD.findall(words.lower())}
    return frozenset(word for word in found if word and word not in _SMALL)


def stem(word: str) -> str:
    """A word in small letters without its ending, so that `improved` and `improves` are one."""
    word = {"m": "mean", "means": "mean", "average": "mean", "percentage": "percent"}.get(
        word, word
    )
    if word in ("women", "men"):
        return word
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e") if len(word) > 4 else word


def cells(table: Table) -> Iterator[Quantity]:
    """Quantities of a table: the words of each are those of its row and its column."""
    heads = [cell.text for cell in table.rows[0]]
    for row in table.rows[1:]:
        for column, cell in enumerate(row[1:], start=1):
            match = re.match(r"\s*([-−–]?[\d.,]+)\s*(%?)", cell.text)
            number = read_number(match[1].rstrip(".,")) if match else None
            head = heads[column] if column < len(heads) else ""
            if match is None or number is None:
                continue
            yield Quantity(
                number=number,
                unit="%" if match[2] or "%" in head else "",
                words=stems(f"{row[0].text} {head}"),
                start=cell.start,
                end=cell.end,
                cell=True,
            )
