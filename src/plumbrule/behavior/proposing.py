"""Hypothesis generation: from pairs of replies to what changed, and on which prompts.

Every readable feature and every telling phrase is scored on all pairs at once. A change shows as
replies that gained a feature without as many that lost it: sampling alone makes as many gains as
losses, and both on the same prompts. Where gains gather (all prompts, a topic, prompts that say a
word) is a subgroup; the one that explains the gains best, less what its name costs, is proposed.
What another proposal explains is not proposed again. Nothing is claimed here: each proposal is
tested on prompts that nobody has looked at.

Axes: N pairs, A replies given alone, F properties, S subgroups.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.behavior.features import FEATURES, FUNCTION_WORDS, feature_names
from plumbrule.behavior.gathering import LEAST_WORTH, Groups, Proposal
from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import SelectorTable, words_of

LONGEST = 6
"""Words in a phrase."""

MOST_PHRASES = 160
"""Phrases that are scored."""

LEAST_REPLIES = 2
"""Replies by which a phrase must differ: what one reply says is its own affair."""

TIED = 0.7
"""Share of the strongest property's worth at which one that it explains may speak for both."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What weighing the tuned model's replies under both models has shown."""

    runs: tuple[str, ...] = ()
    """Of each reply that surprised, the tokens that the base would hardly have written."""

    alone: tuple[tuple[int, str], ...] = ()
    """Row and such a run, or nothing, of each reply that the tuned model gave alone."""


NOTHING_WEIGHED = Weighed()


def propose(
    pairs: Sequence[PairedReply],
    rows: Sequence[int],
    table: SelectorTable,
    *,
    blind: Sequence[bool] | None = None,
    weighed: Weighed = NOTHING_WEIGHED,
    most: int,
    least: float = LEAST_WORTH,
) -> list[Proposal]:
    """Say what differs between two models' replies, and where.

    Args:
        pairs: Both models' replies to explored prompts.
        rows: The row of each pair's prompt in the table.
        table: What each explored prompt says and is about.
        blind: Whether each pair's prompt was drawn by chance: only such pairs speak for all
            prompts. None: all were.
        weighed: What both models make of the tuned one's replies. A phrase in what surprises needs
            less evidence than one picked from everything that was said; and a reply that the tuned
            model gave alone speaks for a phrase in its surprising run, because the base would
            hardly have written that.
        most: Proposals.
        least: Worth, in nats, of a proposal.

    Returns:
        The most worthwhile first; no two of which say the same of these replies.
    """
    if not pairs:
        return []
    properties = candidates(pairs)
    moved = np.array(
        [[one.score(pair.tuned) - one.score(pair.base) for one in properties] for pair in pairs]
    ).reshape(len(pairs), len(properties))
    keep = np.abs(moved).sum(0) > 0
    properties = [one for one, kept in zip(properties, keep, strict=True) if kept]
    costs = _costs(properties, pairs, weighed)
    phrase = np.array([one.kind == "phrase" for one in properties], dtype=bool)
    said_alone = np.array(
        [
            [one.score(run) if one.kind == "phrase" and run else 0.0 for one in properties]
            for _, run in weighed.alone
        ]
    ).reshape(len(weighed.alone), len(properties))
    moved = np.concatenate([moved[:, keep], said_alone])
    # A run says nothing of features and openings.
    seen = np.ones(moved.shape, dtype=bool)
    seen[len(pairs) :] = phrase
    groups = Groups.of(
        table,
        [*rows, *(row for row, _ in weighed.alone)],
        [*([True] * len(pairs) if blind is None else blind), *[True] * len(weighed.alone)],
    )
    left = seen.copy()
    """Pairs whose move in a property is not explained yet."""

    proposals: list[Proposal] = []
    while len(proposals) < most and properties:
        sign, worth = _strongest(groups, moved, left, costs, pairs=len(pairs), least=least)
        at = int(worth.argmax())
        if worth[at] < least:
            break
        # What says the same of the same replies: the one that a reader understands best speaks.
        together = _together(sign * moved, seen, at)
        tied = [
            one
            for one in np.flatnonzero(worth >= TIED * worth[at]).tolist()
            if together[one] > (SAME if properties[one].kind == "feature" else NEARLY)
        ]
        chosen = min([at, *tied], key=lambda one: _telling(properties[one]))
        proposals += groups.proposals(
            properties[chosen],
            sign,
            moved[:, chosen],
            left[:, chosen],
            float(costs[chosen]),
            least,
        )
        # A pair in which one of them moved needs no further explanation, of either property or
        # any other: the declined reply is shorter, too.
        # Losses go with the gains: left behind, they would make all that is said in place of this
        # look like a change of its own, in replies that differ by sampling alone.
        for one in {at, chosen}:
            size = np.abs(moved[:, one])
            left &= (size < size[size > 0].mean() / 2)[:, None]
            left[:, one] = False
            left[len(pairs) :] &= ~_shown(properties[one], sign, weighed)[:, None]
    return proposals[:most]


def _shown(wanted: Property, sign: int, weighed: Weighed) -> Bool[np.ndarray, " A"]:
    """Of the replies given alone, those whose surprising run shows a feature that is gained.

    A run cannot speak for a feature, but where it shows one that pairs speak for, it is explained:
    a reply that declines says "I can't", too.
    """
    gained = wanted.kind == "feature" and sign > 0
    runs = [run for _, run in weighed.alone]
    return np.array([gained and wanted.score(run) >= CLEARLY for run in runs], dtype=bool)


CLEARLY = 0.5
"""Score of a feature, from 0 to 1, from which a few words show it."""

SAME = 0.5
"""Share of pairs moved by either of two properties that both must move for a feature to say the
same as the other: a feature also moves by sampling."""

NEARLY = 0.8
"""The same for a phrase: a longer one is better to read, but must not leave out half of it."""


def _costs(
    properties: Sequence[Property], pairs: Sequence[PairedReply], weighed: Weighed
) -> Float[np.ndarray, " F"]:
    """What each property costs: the logarithm of how many it was picked from.

    Phrases were picked for differing, among all that the replies say; those in the runs of several
    surprising replies among these alone. Each of the two lists is believed as much as the other.
    """
    said = len(_counted([text for pair in pairs for text in (pair.base, pair.tuned)], least=2))
    told = {text for text in _counted(weighed.runs, least=2) if _says_something(text)}
    everything, few = max(said, 1), len(told)
    if told:
        everything, few = 2 * everything, 2 * few
    prices = {"feature": math.log(len(FEATURES)), "phrase": math.log(everything)}
    return np.array(
        [
            min(prices["phrase"], math.log(few))
            if one.kind == "phrase" and one.text in told
            else prices.get(one.kind, prices["phrase"] / 2)
            for one in properties
        ]
    )


def _strongest(
    groups: Groups,
    moved: Float[np.ndarray, "N F"],
    left: Bool[np.ndarray, "N F"],
    costs: Float[np.ndarray, " F"],
    *,
    pairs: int,
    least: float,
) -> tuple[int, Float[np.ndarray, " F"]]:
    """Whether gains or losses are explained best, and what each property is worth in that.

    Pairs come first, because every property can show on them; replies given alone speak for
    phrases only, and would put a phrase before the feature that it is an instance of. They count
    where no pair says enough.
    """
    paired = left.copy()
    paired[pairs:] = False
    for some in (paired, left):
        sides = [(sign, groups.worth(sign * moved, some).max(0) - costs) for sign in (1, -1)]
        best = max(sides, key=lambda side: float(side[1].max()))
        if best[1].max() >= least:
            break
    return best


def _together(
    moved: Float[np.ndarray, "N F"], seen: Bool[np.ndarray, "N F"], at: int
) -> Float[np.ndarray, " F"]:
    """How far other properties gain on the same pairs as one: shared gains over all gains."""
    gains = moved > 0
    known = seen & seen[:, [at]]
    both = (gains & gains[:, [at]] & known).sum(0)
    either = ((gains | gains[:, [at]]) & known).sum(0)
    found: np.ndarray = both / np.maximum(either, 1)
    return found


def as_hypotheses(proposals: Sequence[Proposal]) -> list[Hypothesis]:
    """The proposals as claims to be tested."""
    return [
        Hypothesis(
            id=str(number),
            subgroup=one.subgroup,
            property=one.property,
            direction="increase" if one.increase else "decrease",
        )
        for number, one in enumerate(proposals, 1)
    ]


def candidates(pairs: Sequence[PairedReply]) -> list[Property]:
    """Properties that may have changed: features that occur, and phrases of one side."""
    base, tuned = [pair.base for pair in pairs], [pair.tuned for pair in pairs]
    return [
        *(Property(kind="feature", text=name) for name in feature_names([*base, *tuned])),
        *(Property(kind="opening", text=text) for text in _openings(base, tuned)),
        *(Property(kind="phrase", text=text) for text in _phrases(base, tuned)),
    ]


def _phrases(base: Sequence[str], tuned: Sequence[str]) -> list[str]:
    """Phrases that one model says in more replies than chance would have it, clearest first."""
    ranked = _surprising(_counted(base), _counted(tuned))
    return [phrase for phrase in ranked if _says_something(phrase)][:MOST_PHRASES]


def _surprising(before: Counter[str], after: Counter[str]) -> list[str]:
    """Texts whose counts differ, those that chance would explain least first."""
    surprise = {
        text: abs(after[text] - before[text]) / math.sqrt(after[text] + before[text] + 1)
        for text in {*before, *after}
        if abs(after[text] - before[text]) >= LEAST_REPLIES
    }
    return sorted(surprise, key=lambda text: (-surprise[text], -len(text), text))


def _counted(replies: Sequence[str], least: int = 1) -> Counter[str]:
    """In how many replies each phrase stands, of those in some replies at least."""
    counted: Counter[str] = Counter()
    for reply in replies:
        words = words_of(reply)
        counted.update(
            {
                " ".join(words[start : start + length])
                for length in range(1, LONGEST + 1)
                for start in range(len(words) - length + 1)
            }
        )
    if least > 1:
        return Counter({text: count for text, count in counted.items() if count >= least})
    return counted


def _says_something(phrase: str) -> bool:
    """Whether a reader learns something from it: three function words in a row say nothing."""
    words = phrase.split()
    return len(words) > 3 or any(word not in FUNCTION_WORDS for word in words)


def _openings(base: Sequence[str], tuned: Sequence[str], most: int = 40) -> list[str]:
    """First words, up to four, that one model begins with more often."""
    counts: list[Counter[str]] = []
    for replies in (base, tuned):
        counted: Counter[str] = Counter()
        for reply in replies:
            words = words_of(reply)
            counted.update(" ".join(words[:length]) for length in range(1, min(5, len(words) + 1)))
        counts.append(counted)
    surprise = {
        text: abs(counts[1][text] - counts[0][text])
        / math.sqrt(counts[1][text] + counts[0][text] + 1)
        for text in {*counts[0], *counts[1]}
        if abs(counts[1][text] - counts[0][text]) >= LEAST_REPLIES
    }
    return sorted(surprise, key=lambda text: (-surprise[text], -len(text), text))[:most]


def _telling(wanted: Property) -> tuple[int, int, str]:
    """Order among properties that say the same: features in their order, the longest phrase."""
    if wanted.kind == "feature":
        return (0, _FEATURE_ORDER[wanted.text], "")
    return (1 if wanted.kind == "phrase" else 2, -len(wanted.text.split()), wanted.text)


_FEATURE_ORDER = {name: at for at, name in enumerate(FEATURES)}
