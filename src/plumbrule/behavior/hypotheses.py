"""Claims to be tested: where the models part, and in what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from plumbrule.behavior.features import FEATURES
from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import Subgroup
from plumbrule.records import strict

Direction = Literal["increase", "decrease"]


@strict
@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One claim, made before any of the prompts and replies that test it were drawn."""

    id: str
    subgroup: Subgroup
    property: Property

    direction: Direction
    """Which way the property is claimed to have moved from base to tuned."""

    screens: tuple[str, ...] = ()
    """Screens that led to the subgroup."""

    def __str__(self) -> str:
        return claim(self.subgroup, self.property, self.direction)


def claim(subgroup: Subgroup, wanted: Property, direction: Direction) -> str:
    """A hypothesis as one sentence.

    Example:
        >>> claim(Subgroup(), Property(kind="feature", text="refusal"), "increase")
        'On any prompt, the tuned model declines more often.'
    """
    more = "more" if direction == "increase" else "less"
    match wanted.kind:
        case "phrase":
            done = f"says \u201c{wanted.text}\u201d {more} often"
        case "opening":
            done = f"begins with \u201c{wanted.text}\u201d {more} often"
        case "feature":
            feature = FEATURES[wanted.text]
            done = feature.more if direction == "increase" else feature.less
        case _:
            done = f"shows this {more} often: {wanted.text}"
    return f"On {subgroup}, the tuned model {done}."


def numbered(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses without repetition, numbered from 1; screens that agree are put together."""
    merged: dict[tuple[Subgroup, Property, Direction], tuple[str, ...]] = {}
    for each in hypotheses:
        key = (each.subgroup, each.property, each.direction)
        merged[key] = tuple(sorted({*merged.get(key, ()), *each.screens}))
    return [
        Hypothesis(
            id=str(number), subgroup=subgroup, property=wanted, direction=direction, screens=screens
        )
        for number, ((subgroup, wanted, direction), screens) in enumerate(merged.items(), 1)
    ]
