"""Round numbers on a logarithmic scale."""

import math

STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""Which numbers of each decade count as round, the finest first."""


def log_steps(low: float, high: float, *, most: int) -> list[float]:
    """Choose round numbers between two positive ones, evenly on a log scale.

    Args:
        low: Lower end, above 0; belongs to the range.
        high: Upper end; belongs to the range.
        most: Numbers at most; where even powers of ten are more, the largest are kept.

    Example:
        >>> log_steps(0.001, 0.9, most=5)
        [0.001, 0.01, 0.1]
        >>> log_steps(2, 40, most=5)
        [2.0, 5.0, 10.0, 20.0]
    """
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    slack = 1 + 1e-9
    for steps in STEPS:
        # Powers written out rather than multiplied: 3 times 0.001 is not the number 0.003.
        numbers = [float(f"{step:g}e{power}") for power in powers for step in steps]
        inside = [number for number in numbers if low <= number * slack and number <= high * slack]
        if len(inside) <= most:
            return inside
    return inside[-most:]
