# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads numbers as papers print them, in cells and sentences, with what they are numbers of."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from plumbrule.oversight.papers.citations import SMALL_WORDS
from plumbrule.oversight.papers.document import PaperSentence, Table, TableCell, word_set

NUMBER = (
    r"(?:(?<![\w.,])[-−–]|(?<![\w.,+-])\+)?(?<![\w.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?"
    r"(?:\.\d+|(?<=\d))(?![\d\w]|,\d{3}\b)"
)
"""Pattern of one number; `1,234.5`, `.05` and `−3` are numbers, `A4`, `3rd` and `1.2.3` are not."""

_WORDS = {
    word: number
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
         "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
         "nineteen"]
    )
}  # fmt: skip
_TENS = {
    word: 10 * number
    for number, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
COUNT_WORD = (
    r"(?:(?:" + "|".join(_TENS) + r")(?:-(?:" + "|".join(list(_WORDS)[1:10]) + r"))?|"
    + "|".join(_WORDS) + r")"
)  # fmt: skip
COUNT = rf"(?:(?<![\d.,])(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,7}})(?![\d%]|[.,]\d)|\b{COUNT_WORD}\b)"
"""Pattern of a count, in digits or words."""


@dataclass(frozen=True)
class PrintedNumber:
    """A number as printed."""

    value: Decimal
    decimals: int
    """Digits after the point."""

    @property
    def half(self) -> Decimal:
        """Half a unit of the last digit: how far the exact value can be from the printed one."""
        return Decimal(5).scaleb(-self.decimals - 1)

    def fits(self, exact: Decimal) -> bool:
        """Whether an exact value can have been printed like this, rounded in either direction."""
        return abs(self.value - exact) <= self.half

    def agrees(self, other: "PrintedNumber") -> bool:
        """Whether both can be one number printed with more or fewer digits."""
        coarse, fine = (self, other) if self.decimals <= other.decimals else (other, self)
        return coarse.fits(fine.value)


def slipped(one: Decimal, other: Decimal) -> bool:
    """Whether a slip makes one number of another: one digit, or two neighbors that changed places.

    Example:
        >>> slipped(Decimal("1204"), Decimal("1240")), slipped(Decimal("35"), Decimal("46"))
        (True, False)
    """
    first, second = str(abs(one)), str(abs(other))
    if len(first) != len(second) or first.find(".") != second.find(".") or len(first) < 2:
        return False
    first, second = first.replace(".", ""), second.replace(".", "")
    wrong = [at for at, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1]]
    if len(wrong) == 2 and wrong[1] == wrong[0] + 1:
        return first[wrong[0] : wrong[1] + 1] == second[wrong[0] : wrong[1] + 1][::-1]
    return len(wrong) == 1


def read_number(text: str) -> PrintedNumber | None:
    """Read one printed number; None where the text is none.

    Example:
        >>> read_number("1,234.50")
        PrintedNumber(value=Decimal('1234.50'), decimals=2)
    """
    plain = text.strip().replace(",", "").replace("−", "-").replace("–", "-").lstrip("+")
    if not re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", plain):
        return None
    return PrintedNumber(Decimal(plain), len(plain.partition(".")[2]))


def read_count(text: str) -> int:
    """Read a count in digits or in English words up to ninety-nine.

    Example:
        >>> read_count("1,200"), read_count("Sixty-four")
        (1200, 64)
    """
    plain = text.lower().replace(",", "")
    if plain.isdigit():
        return int(plain)
    tens, _, ones = plain.partition("-")
    if tens in _TENS:
        return _TENS[tens] + (_WORDS[ones] if ones else 0)
    return _WORDS[plain]


_FINDER = re.compile(NUMBER)


def numbers_in(text: str) -> list[tuple[int, int, PrintedNumber]]:
    """Every number of a text with its span."""
    found = []
    for match in _FINDER.finditer(text):
        number = read_number(match[0])
        if number is not None:
            found.append((match.start(), match.end(), number))
    return found


_CELL = re.compile(
    rf"[$€£]?\s*(?P<first>{NUMBER})\s*(?P<percent>%?)\s*(?:[(\[]\s*(?P<second>{NUMBER})\s*%?\s*[)\]])?\s*[*†‡§]*"
)


@dataclass(frozen=True)
class CellNumber:
    """A cell that holds a number, with a second one in brackets where there is one."""

    cell: TableCell
    first: PrintedNumber
    second: PrintedNumber | None
    percent: bool


def cell_number(cell: TableCell) -> CellNumber | None:
    """Read a cell such as `45`, `37.5%` or `45 (37.5)`; None for a cell that holds more or less."""
    match = _CELL.fullmatch(cell.text)
    if match is None:
        return None
    first = read_number(match["first"])
    second = read_number(match["second"]) if match["second"] else None
    if first is None:
        return None
    return CellNumber(cell, first, second, bool(match["percent"]))


WORDS_AFTER = 4
SMALLEST_BARE = 4
"""Whole numbers below this are not compared unless they are percentages: they count anything."""

_SMALL = SMALL_WORDS | word_set(
    """
    was were we our that this these than it its be been had has have which who whom or not also
    both respectively only out about they their there when while all more most into between showed
    found report reported result results total study sample compared higher lower vs versus
    approximately data table see
    """
)
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

    number: PrintedNumber
    unit: str
    words: frozenset[str]
    start: int
    end: int
    cell: bool = False


def quantities(sentences: Iterable[PaperSentence]) -> Iterator[Quantity]:
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


def _is_bare(number: PrintedNumber, unit: str) -> bool:
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


_UNIT_IN_HEAD = re.compile(r"[(\[][^()\[\]]{1,6}[)\]]")


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
                words=stems(f"{row[0].text} {_UNIT_IN_HEAD.sub('', head)}"),
                start=cell.start,
                end=cell.end,
                cell=True,
            )
