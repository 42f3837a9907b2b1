"""Pairs of replies with a label, which of the two somebody preferred, to read principles off.

Files are read by `plumbrule.data`; here is which of their pairs say something.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plumbrule.data.pairs import (
    EMPTY,
    IDENTICAL,
    UNDECIDED,
    contradict,
    of_same_replies,
    pair_rows,
    teaches_nothing,
)
from plumbrule.errors import DataError
from plumbrule.records import Dialogue, Message, Preference
from plumbrule.store import fingerprint


@dataclass(frozen=True, kw_only=True)
class LabeledPair:
    """Two replies to one dialogue, and which is better."""

    id: str
    dialogue: Dialogue
    first: str
    second: str

    probability: float
    """That the first is better, from 0 to 1."""

    @property
    def request(self) -> str:
        """What was asked last."""
        return self.dialogue[-1].content


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """Pairs that say something, and what was left out."""

    pairs: tuple[LabeledPair, ...]
    identical: int
    """Pairs of two replies that are the same: whatever the label says, it says nothing."""

    empty: int
    """Pairs of which one reply is empty."""

    contradictory: int
    """Pairs found with both labels: none of them counts."""

    undecided: int
    """Pairs with a probability of one half, or with none."""

    repeated: int
    """Pairs found again with the same label: one of them counts."""


def usable_pairs(given: Iterable[LabeledPair | Preference]) -> PairSet:
    """Leave out the pairs that say nothing, and those found with both labels.

    Args:
        given: Pairs, or preferences.

    Raises:
        DataError: A probability is outside 0 to 1, or no pair is left.
    """
    everything = list(given)
    left_out: Counter[str] = Counter()
    decided: list[LabeledPair] = []
    for pair in everything:
        chance = pair.probability
        if chance is not None and (isinstance(chance, bool) or not 0 <= chance <= 1):
            raise DataError(
                f"pair {pair.id!r}: the probability that the first reply is better must be between "
                f"0 and 1, got {chance!r:.40}"
            )
        trouble = UNDECIDED if chance in (None, 0.5) else teaches_nothing(pair)
        if trouble or chance is None:
            left_out[trouble or UNDECIDED] += 1
        elif isinstance(pair, LabeledPair):
            decided.append(pair)
        else:
            decided.append(
                LabeledPair(
                    id=pair.id,
                    dialogue=pair.dialogue,
                    first=pair.first,
                    second=pair.second,
                    probability=float(chance),
                )
            )
    groups = of_same_replies(decided)
    kept = tuple(group[0] for group in groups if not contradict(group))
    contradictory = sum(len(group) for group in groups if contradict(group))
    if not kept:
        raise DataError(
            f"expected pairs of two different replies with a label, got {len(everything):,}"
            f": {left_out[IDENTICAL]:,} with identical sides, {left_out[EMPTY]:,} with an empty "
            f"one, {contradictory:,} with contradictory labels, {left_out[UNDECIDED]:,} undecided"
        )
    return PairSet(
        pairs=kept,
        identical=left_out[IDENTICAL],
        empty=left_out[EMPTY],
        contradictory=contradictory,
        undecided=left_out[UNDECIDED],
        repeated=len(decided) - contradictory - len(kept),
    )


def read_pairs(path: Path) -> PairSet:
    """Read labeled pairs from a file, in the forms of `plumbrule.data.pair_rows`.

    Raises:
        DataError: There is no such file, a row is no pair, or none is left that says something.
    """
    pairs = [
        replace(pair, first=pair.first.strip(), second=pair.second.strip())
        for _, pair in pair_rows(Path(path), "its path")
    ]
    if not pairs:
        raise DataError(f"expected labeled pairs, {path} holds none")
    return usable_pairs(pairs)


def plain_pair(
    request: str, first: str, second: str, *, probability: float, id: str = ""
) -> LabeledPair:
    """A pair of replies to one request, from texts.

    Example:
        >>> plain_pair("Hi?", "Hello.", "No.", probability=1).request
        'Hi?'
    """
    return LabeledPair(
        id=id or fingerprint([request, first, second])[:12],
        dialogue=(Message("user", request),),
        first=first,
        second=second,
        probability=probability,
    )


def texts_of(pairs: Sequence[LabeledPair]) -> list[str]:
    """Both replies of each pair, the first of all and then the second of all."""
    return [pair.first for pair in pairs] + [pair.second for pair in pairs]
