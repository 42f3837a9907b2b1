"""Axes with round numbers on them."""

import math
from dataclasses import dataclass

from plumbrule.report.numbers import number_text


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One number on an axis."""

    at: str
    """Position, percent of the plot's width or height, with its sign."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The scale that several lanes share."""

    low: float
    """Value at the left edge."""

    high: float
    """Value at the right edge, above the left one."""

    ticks: tuple[Tick, ...]

    def at(self, value: float) -> str:
        """Position of a value, percent of the plot's width."""
        return f"{100 * (value - self.low) / (self.high - self.low):.3f}%"


def round_axis(low: float, high: float, *, rate: bool) -> Axis:
    """Choose an axis that begins and ends with round numbers and covers a range.

    Example:
        >>> [tick.text for tick in round_axis(0.0, 0.47, rate=True).ticks]
        ['0%', '10%', '20%', '30%', '40%', '50%']
    """
    step = _step(_span(low, high))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    bare = Axis(low=first * step, high=last * step, ticks=())
    ticks = tuple(
        Tick(at=bare.at(place * step), text=_text(place * step, rate=rate))
        for place in range(first, last + 1)
    )
    return Axis(low=bare.low, high=bare.high, ticks=ticks)


def tight_axis(low: float, high: float) -> Axis:
    """Choose an axis that ends where the data end, with round numbers inside it."""
    if _span(low, high) != high - low:
        return round_axis(low, high, rate=False)
    step = _step(high - low)
    tight = Axis(low=low, high=high, ticks=())
    places = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ticks = tuple(Tick(at=tight.at(p * step), text=_text(p * step, rate=False)) for p in places)
    return Axis(low=low, high=high, ticks=ticks)


def flipped(position: str) -> str:
    """Count a position from the other end.

    Example:
        >>> flipped("25.000%")
        '75.000%'
    """
    return f"{100 - float(position[:-1]):.3f}%"


def _text(value: float, *, rate: bool) -> str:
    shown = float(f"{100 * value if rate else value:.6g}")
    return (number_text(shown) if shown.is_integer() else f"{shown:g}") + ("%" if rate else "")


def _span(low: float, high: float) -> float:
    """Length to divide into ticks; where the ends are the same but for rounding, their size."""
    size = max(abs(low), abs(high))
    if size < 1e-200:  # nothing measured is that small, and its logarithm is not safe
        return 1.0
    return high - low if high - low > 1e-9 * size else size


def _step(span: float) -> float:
    """A round distance between ticks that gives three to six of them."""
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(
        size * power for size in (1.0, 2.0, 2.5, 5.0, 10.0) if size * power >= rough * 0.999
    )
