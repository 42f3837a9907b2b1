"""What a review may cost, kept before each check and never after it."""

from dataclasses import dataclass

from plumbrule.errors import ConfigError
from plumbrule.oversight.records import COSTS, Cost
from plumbrule.records import strict


@strict
@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of all checks of a review together; None where there is none."""

    seconds: float | None = None
    """Working time of specialists, added up over those who work side by side."""

    tokens: int | None = None
    calls: int | None = None
    dollars: float | None = None
    human_minutes: float | None = None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None and not limit >= 0:
                raise ConfigError(f"the budget's {name} must be at least 0, got {limit}")

    def exceeded(self, cost: Cost) -> tuple[str, ...]:
        """Which limits a cost is over, in words; empty when it fits."""
        over = []
        for each in COSTS:
            limit, value = getattr(self, each.name), getattr(cost, each.name)
            if limit is not None and value > limit:
                over.append(f"{value:g} {each.name.replace('_', ' ')} of {limit:g}")
        return tuple(over)

    def refuses(self, most: Cost, spent: Cost) -> tuple[str, ...]:
        """Why a check that costs at most this does not fit any more; empty when it does.

        A limit that is used up refuses only those who draw on it: tools without calls go on
        after the last call was spent.
        """
        over = []
        for each in COSTS:
            limit, value = getattr(self, each.name), getattr(most, each.name)
            before = getattr(spent, each.name)
            # Time passes with every check, so no one works on after the last second.
            used_up = each.name == "seconds" and limit is not None and before >= limit
            if limit is not None and ((value > 0 and before + value > limit) or used_up):
                over.append(
                    f"{before:g} of {limit:g} {each.name.replace('_', ' ')} are spent or set "
                    f"aside, and it may take {value:g}"
                )
        return tuple(over)
