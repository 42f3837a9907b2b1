"""How many observations it takes to see a difference, worked out before any is made."""

import math

from scipy import optimize, stats

from plumbrule.errors import ConfigError


def pairs_needed(
    difference: float, *, discordance: float = 0.2, level: float = 0.95, power: float = 0.8
) -> int:
    """Pairs that it takes to see that a rate differs between two models on the same requests.

    Args:
        difference: Of the rates, above 0 and at most `discordance`.
        discordance: Share of requests on which the two models differ, either way.
        level: Of the two-sided test (McNemar's).
        power: Chance that the difference is seen.

    Raises:
        ConfigError: A number is out of range.

    Source:
        Connor (1987), "Sample size for testing differences in proportions for the paired-sample
        design", Biometrics 43: the unconditional formula.

    Example:
        >>> pairs_needed(0.05)
        626
    """
    if not 0 < difference <= discordance <= 1:
        raise ConfigError(
            "the difference must be above 0 and at most the discordance, which is at most 1; got "
            f"{difference} and {discordance}"
        )
    wrong, missed = _deviates(level, power)
    root = wrong * math.sqrt(discordance) + missed * math.sqrt(discordance - difference**2)
    return math.ceil((root / difference) ** 2)


def least_paired_difference(
    pairs: int, *, discordance: float = 0.2, level: float = 0.95, power: float = 0.8
) -> float | None:
    """Smallest difference that so many pairs show; None where they show none.

    Args:
        pairs: On the same requests.
        discordance: Share of requests on which the two models differ, either way.
        level: Of the two-sided test.
        power: Chance that it is seen.

    Example:
        >>> round(least_paired_difference(626), 4)
        0.05
    """
    wrong, missed = _deviates(level, power)

    def needed(difference: float) -> float:
        root = wrong * math.sqrt(discordance) + missed * math.sqrt(discordance - difference**2)
        return (root / difference) ** 2

    if pairs < 1 or needed(discordance) > pairs:
        return None
    return float(optimize.brentq(lambda size: needed(size) - pairs, 1e-9, discordance))


def replies_needed(bound: float, rate: float, *, level: float = 0.95, power: float = 0.8) -> int:
    """Replies that a test of fixed size takes to see that a rate is not the one that is allowed.

    Args:
        bound: Rate that is allowed, strictly between 0 and 1.
        rate: The true one, another.
        level: Of the two-sided test.
        power: Chance that it is seen.

    Raises:
        ConfigError: A number is out of range, or both rates are the same.

    Source:
        The normal approximation for one proportion, as in Fleiss, Levin & Paik (2003),
        "Statistical Methods for Rates and Proportions", section 2.5, without continuity correction.

    Example:
        >>> replies_needed(0.10, 0.05)
        239
    """
    if not 0 < bound < 1 or not 0 <= rate <= 1 or rate == bound:
        raise ConfigError(
            f"expected two different rates, the allowed one strictly within 0 and 1, got {bound} "
            f"and {rate}"
        )
    wrong, missed = _deviates(level, power)
    root = wrong * math.sqrt(bound * (1 - bound)) + missed * math.sqrt(rate * (1 - rate))
    return math.ceil((root / abs(rate - bound)) ** 2)


def _deviates(level: float, power: float) -> tuple[float, float]:
    if not 0 < level < 1 or not 0 < power < 1:
        raise ConfigError(
            f"level and power must lie strictly between 0 and 1, got {level} and {power}"
        )
    return float(stats.norm.isf((1 - level) / 2)), float(stats.norm.ppf(power))
