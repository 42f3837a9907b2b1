# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads numbers as papers print them, with the rounding that their digits allow."""

import re
from dataclasses import dataclass
from decimal import Decimal

NUMBER = (
    r"(?:(?<![\w.,])[-−–]|(?<![\w.,+-])\+)?(?<![\w.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?"
    r"(?:\.\d+|(?<=\d))(?![\d\w]|,\d{3}\b)"
)
"""Pattern of one number; `1,234.5`, `.05` and `−3` are numbers, `A4`, `3rd` and `1.2.3` are not."""

_WORDS = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
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
class Printed:
    """A number as it stands on paper."""

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

    def agrees(self, other: "Printed") -> bool:
        """Whether both can be one number printed with more or fewer digits."""
        coarse, fine = (self, other) if self.decimals <= other.decimals else (other, self)
        return coarse.fits(fine.value)


def read_number(text: str) -> Printed | None:
    """Read one printed number; None where the text is none.

    Example:
        >>> read_number("1,234.50")
        Printed(value=Decimal('1234.50'), decimals=2)
    """
    plain = text.strip().replace(",", "").replace("−", "-").replace("–", "-").lstrip("+")
    if not re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", plain):
        return None
    return Printed(Decimal(plain), len(plain.partition(".")[2]))


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


def numbers_in(text: str) -> list[tuple[int, int, Printed]]:
    """Every number of a text with its span."""
    found = []
    for match in _FINDER.finditer(text):
        number = read_number(match[0])
        if number is not None:
            found.append((match.start(), match.end(), number))
    return found
