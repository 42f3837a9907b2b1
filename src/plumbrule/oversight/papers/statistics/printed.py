"""A number as it was printed: its value, and the interval that rounding leaves open.

Trailing zeros carry information, so numbers are kept as text until here and as fractions after.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from plumbrule.errors import DataError

LONGEST = 40
LARGEST_EXPONENT = 300

_FORM = re.compile(
    r"(?P<sign>[-+]?) ?"
    r"(?P<whole>\d{1,3}(?:,\d{3}){1,4}|\d{0,15})(?:\.(?P<decimals>\d{1,15}))?"
    r"(?: ?(?:[eE]|[x*] ?10 ?\^? ?)(?P<exponent>[-+]? ?\d{1,3}))?"
)


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A printed number and its rounding interval, closed so that ties fit either way."""

    text: str
    value: Fraction

    half: Fraction
    """Half a unit of the last printed digit."""

    @property
    def low(self) -> Fraction:
        """Smallest number that rounds to this one."""
        return self.value - self.half

    @property
    def high(self) -> Fraction:
        """Largest number that rounds to this one."""
        return self.value + self.half

    @property
    def unit(self) -> Fraction:
        """One unit of the last printed digit."""
        return 2 * self.half

    def scaled(self, factor: Fraction) -> "Printed":
        """Give the same number in another unit, such as a percentage as a share."""
        return Printed(text=self.text, value=self.value * factor, half=self.half * factor)


def parse_printed(text: str) -> Printed:
    """Read a printed number: `2.20`, `.03`, `-1,234.5`, `1.2e-4` or `1.2 x 10^-4`.

    Raises:
        DataError: The text is not such a number, or is longer than any sensible one.

    Example:
        >>> number = parse_printed("2.20")
        >>> float(number.low), float(number.high)
        (2.195, 2.205)
    """
    found = _FORM.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found is None or not (found["whole"] or found["decimals"]):
        raise DataError(
            f"expected a printed number such as 2.20 or .03, got {text[:LONGEST]!r}; "
            "write it with digits and a decimal point"
        )
    decimals = found["decimals"] or ""
    exponent = int((found["exponent"] or "0").replace(" ", ""))
    if abs(exponent) > LARGEST_EXPONENT:
        raise DataError(
            f"expected a power of ten within {LARGEST_EXPONENT}, got {exponent}; check the number"
        )
    digits = int((found["whole"].replace(",", "") + decimals) or "0")
    unit = Fraction(10) ** (exponent - len(decimals))
    value = -digits * unit if found["sign"] == "-" else digits * unit
    return Printed(text=text.strip(), value=value, half=unit / 2)
