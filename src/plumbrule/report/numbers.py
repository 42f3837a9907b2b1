"""How numbers are written: short enough to read, never rounded into a claim they do not make."""

import math
import re
from collections.abc import Mapping
from typing import Any

from plumbrule.records import Estimate, to_json

Number = int | float
"""A number as JSON holds it: whole ones stay whole, so that they are written as they came."""

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"

_COUNTED = ("wilson", "clopper")
"""Methods whose point estimate is k of n by definition; a corrected rate is not."""

_NOT_COUNTED = ("correct", "adjust", "power", "difference")
_SHARES = ("share", "proportion", "probability", "rate", "fraction", "accuracy")
_AMOUNTS = ("nats", "bits", "tokens", "seconds", "dollars", "bytes", "calls", "words", "second")


def estimate_text(
    estimate: Estimate | Mapping[str, Any] | None, *, reason: str | None = None
) -> str:
    """Write an estimate with its interval and its denominator.

    Rates are written in percent. The count `k of n` is given only where the method makes the
    estimate a count (Wilson, Clopper-Pearson) and the value times n is a whole number;
    otherwise `n` alone. The interval's level is named unless it is 95%.

    Args:
        estimate: The record, or the same as JSON holds it; None where nothing is known.
        reason: Why nothing is known; used only where there is no estimate.

    Returns:
        One line of plain text, not yet escaped for HTML.

    Example:
        >>> rate = {"value": 3 / 160, "low": 0.0064, "high": 0.0537, "level": 0.95, "n": 160,
        ...         "unit": "violations per reply", "method": "Wilson"}
        >>> estimate_text(rate)
        '1.9% [0.6%, 5.4%], 3 of 160'
        >>> estimate_text(None, reason="no reply was judged")
        'not known: no reply was judged'
    """
    if estimate is None:
        return f"not known: {reason or 'no reason was recorded'}"
    data = as_mapping(estimate)
    parts = [f"{value_text(data)} {interval_text(data)}", denominator_text(data)]
    if abs(data["level"] - 0.95) > 1e-9:
        parts.append(f"{level_text(data['level'])} interval")
    return ", ".join(parts)


def as_mapping(estimate: Estimate | Mapping[str, Any]) -> Mapping[str, Any]:
    """Give an estimate as JSON holds it."""
    return to_json(estimate) if isinstance(estimate, Estimate) else estimate


def value_text(estimate: Mapping[str, Any]) -> str:
    """Write the point estimate with its unit, without the interval."""
    if is_rate(estimate):
        return part_text(estimate, "value") + (" points" if is_difference(estimate) else "")
    return f"{number_text(estimate['value'])} {estimate['unit']}".rstrip()


def interval_text(estimate: Mapping[str, Any]) -> str:
    """Write the interval, in the unit of the value."""
    low, high = (part_text(estimate, end) for end in ("low", "high"))
    return f"[{low}, {high}]"


def part_text(estimate: Mapping[str, Any], part: str) -> str:
    """Write one number of an estimate: its `value`, or the `low` or `high` end of its interval."""
    number = estimate[part]
    if not is_rate(estimate):
        return number_text(number)
    return _percent_number(number) if is_difference(estimate) else percent(number)


def denominator_text(estimate: Mapping[str, Any]) -> str:
    """Write `k of n` where that can be known, else `n = ...`."""
    count = counted(estimate)
    if count is None:
        return f"n = {number_text(estimate['n'])}"
    return f"{number_text(count)} of {number_text(estimate['n'])}"


def counted(estimate: Mapping[str, Any]) -> int | None:
    """How many of n an estimate counts; None where the record does not say."""
    method = str(estimate["method"]).casefold()
    if not any(name in method for name in _COUNTED) or any(w in method for w in _NOT_COUNTED):
        return None
    if not is_rate(estimate) or is_difference(estimate):
        return None
    product = estimate["value"] * estimate["n"]
    count = round(product)
    # k / n is a rounded double, so its product with n misses k by at most a few units of the last
    # place; a rate that was no count lands elsewhere.
    return count if math.isclose(product, count, rel_tol=1e-12, abs_tol=1e-12) else None


def is_rate(estimate: Mapping[str, Any]) -> bool:
    """Whether an estimate is a share of things, and so is written in percent."""
    if not -1 <= estimate["low"] <= estimate["high"] <= 1:
        return False
    words = re.findall(r"[a-z]+", str(estimate["unit"]).casefold())
    if any(word in _AMOUNTS for word in words):
        return False
    return "per" in words or any(word in _SHARES for word in words)


def is_difference(estimate: Mapping[str, Any]) -> bool:
    """Whether a rate is a difference of two, and so is written in percentage points."""
    unit = str(estimate["unit"]).casefold()
    return estimate["low"] < 0 or any(word in unit for word in ("difference", "minus", "change"))


def percent(share: Number) -> str:
    """Write a share in percent; only exactly 0 is written 0%, only exactly 1 is written 100%.

    Example:
        >>> percent(0.3826), percent(0.0), percent(0.00004), percent(0.9999)
        ('38.3%', '0%', '0.004%', '99.99%')
    """
    return _percent_number(share) + "%"


def level_text(level: Number) -> str:
    """Write a confidence level.

    Example:
        >>> level_text(0.95), level_text(0.999)
        ('95%', '99.9%')
    """
    return f"{100 * level:.6g}%"


def number_text(number: Number) -> str:
    """Write a number to three digits or more; whole numbers in full.

    Example:
        >>> number_text(12345), number_text(0.81725), number_text(1234.5), number_text(2e9 / 3)
        ('12,345', '0.817', '1,234.5', '666,666,666.7')
    """
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}".replace("-", MINUS)
    if 1e-3 <= abs(number) < 1e9:
        decimals = max(1, 2 - math.floor(math.log10(abs(number))))
        return f"{number:,.{decimals}f}".replace("-", MINUS)
    mantissa, exponent = f"{number:.2e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}{TIMES}10^{int(exponent)}".replace("-", MINUS)


def duration_text(seconds: Number) -> str:
    """Write a duration in the two largest units that say enough.

    Example:
        >>> duration_text(7384.2), duration_text(95), duration_text(4.25)
        ('2 h 03 min', '1 min 35 s', '4.25 s')
    """
    if seconds < 60:
        return f"{number_text(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def dollars_text(amount: Number) -> str:
    """Write an amount of money; less than a cent is not nothing.

    Example:
        >>> dollars_text(1234.5), dollars_text(0.00021), dollars_text(0)
        ('$1,234.50', '$0.00021', '$0')
    """
    if 0 < abs(amount) < 0.005:
        return f"${amount:.2g}"
    return f"${amount:,.2f}" if amount else "$0"


def bytes_text(count: Number) -> str:
    """Write a number of bytes in decimal units.

    Example:
        >>> bytes_text(1_934_000_000), bytes_text(512)
        ('1.93 GB', '512 bytes')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{number_text(count / size)} {unit}"
    return f"{number_text(count)} bytes"


def _percent_number(share: Number) -> str:
    if share in (0, 1, -1):
        return f"{int(share) * 100}".replace("-", MINUS)
    for decimals in range(1, 7):
        text = f"{100 * share:.{decimals}f}"
        if abs(float(text)) not in (0, 100):
            return text.replace("-", MINUS)
    return repr(100 * share).replace("-", MINUS)
