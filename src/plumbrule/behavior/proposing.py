"""Hypothesis generation: from pairs of replies to what changed, and on which prompts.

Every readable feature and every telling phrase is scored on all pairs at once. A change shows as
replies that gained a feature without as many that lost it: sampling alone makes as many gains as
losses, and both on the same prompts. Where gains gather (all prompts, a topic, prompts that say a
word) is a subgroup; the one that explains the gains best, less what its name costs, is proposed.
What another proposal explains is not proposed again. Nothing is claimed here: each proposal is
tested on prompts that nobody has looked at.

Axes: N pairs, F properties, S subgroups.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from plumbrule.behavior.features import FEATURES, FUNCTION_WORDS, feature_names
from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.properties import Property
from plumbrule.behavior.subgroups import EVERYWHERE, Selector, SelectorTable, Subgroup, words_of

LONGEST = 6
"""Words in a phrase."""

MOST_PHRASES = 160
"""Phrases that are scored."""

LEAST_REPLIES = 2
"""Replies by which a phrase must differ: what one reply says is its own affair."""

TIED = 0.7
"""Share of the strongest property's worth at which one that it explains may speak for both."""

LEAST_WORTH = 4.0
"""Worth, in nats, from which a proposal is worth a test."""

ALIKE = 0.5
"""Share of the first subgroup's rate that a further one needs to be named in one breath, and that
the rest needs for the change to be said of all prompts instead."""

FAR_MORE = 0.2
"""Difference of rates from which the subgroup where a change is strongest is named besides."""

MOST_RULES = 3
"""Subgroups in one name: a longer list is no name any more."""

LEAST_MEMBERS = 2
"""Explored prompts in a subgroup: what one prompt in a hundred says is met in two of 200."""

LEAST_MOVED = 0.08
"""Net move, from 0 to 1, in a subgroup worth a test."""

RIVAL = 3.0
"""Nats up to which a subgroup explains a change nearly as well as the best one: 20 to 1."""

MOST_RIVALS = 2
"""Subgroups that are tested beside the best one: fresh prompts tell them apart."""

APART = 0.5
"""Share of rows in either of two subgroups that both hold from which on they are the same place."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What weighing the tuned model's replies under both models has shown."""

    runs: tuple[str, ...] = ()
    """Of each reply that surprised, the tokens that the base would hardly have written."""

    alone: tuple[tuple[int, str], ...] = ()
    """Row and such a run, or nothing, of each reply that the tuned model gave alone."""


NOTHING_WEIGHED = Weighed()


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A suspicion with its evidence."""

    property: Property
    subgroup: Subgroup
    increase: bool
    worth: float
    """Nats by which gains explain the pairs better than sampling alone, less the name's cost."""

    moved: float
    """Net move of the score in the subgroup, from -1 to 1."""

    pairs: int
    """Pairs that speak there."""


def propose(
    pairs: Sequence[PairedReply],
    rows: Sequence[int],
    table: SelectorTable,
    *,
    blind: Sequence[bool] | None = None,
    weighed: Weighed = NOTHING_WEIGHED,
    most: int,
    least: float = LEAST_WORTH,
    places: int = 1,
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
        places: Subgroups named for what changed on all prompts and far more there.

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
    groups = _Groups.of(
        table,
        [*rows, *(row for row, _ in weighed.alone)],
        [*([True] * len(pairs) if blind is None else blind), *[True] * len(weighed.alone)],
    )
    left = seen.copy()
    """Pairs whose move in a property is not explained yet."""

    proposals: list[Proposal] = []
    while len(proposals) < most and properties:
        sides = [(sign, groups.worth(sign * moved, left).max(0) - costs) for sign in (1, -1)]
        sign, worth = max(sides, key=lambda side: float(side[1].max()))
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
            places,
        )
        # A pair in which one of them moved needs no further explanation, of either property or
        # any other: the declined reply is shorter, too.
        # Losses go with the gains: left behind, they would make all that is said in place of this
        # look like a change of its own, in replies that differ by sampling alone.
        for one in {at, chosen}:
            size = np.abs(moved[:, one])
            left &= (size < size[size > 0].mean() / 2)[:, None]
            left[:, one] = False
    return proposals[:most]


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


def evidence(
    gains: Float[np.ndarray, "S F"],
    losses: Float[np.ndarray, "S F"],
    all_gains: Float[np.ndarray, "1 F"],
    all_losses: Float[np.ndarray, "1 F"],
    share: Float[np.ndarray, "S 1"],
) -> Float[np.ndarray, "S F"]:
    """Nats that speak for a change in each subgroup.

    Two things are unlikely if sampling alone is at work: that many more replies gain than lose,
    and that gains gather where losses do not.

    Args:
        gains: Pairs in each subgroup that gain.
        losses: Pairs that lose.
        all_gains: The same over all pairs.
        all_losses: The same over all pairs.
        share: Share of the pairs that lie in each subgroup.
    """
    both = gains + losses
    sign = both * _kl(gains / np.maximum(both, 1e-9), 0.5)
    # Few losses there speak once, in the sign: counted here too, a property of which every reply
    # may gain or lose some would seem clearer than one that is gained and never lost.
    expected = np.maximum(share, (losses + PRIOR * share) / (all_losses + PRIOR))
    gathered = all_gains * _kl(gains / np.maximum(all_gains, 1e-9), expected)
    found: np.ndarray = np.where(gains > losses, sign + gathered, 0.0)
    return found


PRIOR = 2.0
"""Losses' worth of belief that losses fall evenly."""


def _kl(
    share: Float[np.ndarray, "S F"], expected: Float[np.ndarray, "S F"] | float
) -> Float[np.ndarray, "S F"]:
    """Divergence of one rate from another, in nats; 0 where it is not larger."""
    one = share.clip(1e-12, 1 - 1e-12)
    other = np.clip(expected, 1e-12, 1 - 1e-12)
    nats = one * np.log(one / other) + (1 - one) * np.log((1 - one) / (1 - other))
    found: np.ndarray = np.where(one > other, nats, 0.0)
    return found


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """Subgroups as sets of pairs, the first of them all pairs drawn by chance."""

    subgroups: tuple[Subgroup, ...]
    inside: Bool[np.ndarray, "S N"]
    costs: Float[np.ndarray, " S"]
    """What each name costs: the logarithm of how many there are of its kind."""

    @classmethod
    def of(cls, table: SelectorTable, rows: Sequence[int], blind: Sequence[bool]) -> "_Groups":
        """Every selector of the table that several of the pairs' prompts have and some lack."""
        has = table.has[list(rows)].T
        distinct = np.array([len({rows[at] for at in np.flatnonzero(one).tolist()}) for one in has])
        useful = np.flatnonzero((distinct >= LEAST_MEMBERS) & (has.sum(1) < len(rows)))
        kinds = Counter(_kind(table.selectors[at]) for at in useful.tolist())
        cost = {kind: math.log(count) + EXTRA[kind] for kind, count in kinds.items()}
        # Of subgroups with the same pairs the cheapest name is enough.
        seen: dict[bytes, int] = {}
        for at in sorted(useful.tolist(), key=lambda one: (cost[_kind(table.selectors[one])], one)):
            seen.setdefault(has[at].tobytes(), at)
        chosen = sorted(seen.values())
        return cls(
            subgroups=(EVERYWHERE, *(Subgroup(selectors=(table.selectors[at],)) for at in chosen)),
            inside=np.concatenate([np.array([list(blind)]), has[chosen]]),
            costs=np.array([0.0, *(cost[_kind(table.selectors[at])] for at in chosen)]),
        )

    def worth(
        self, moved: Float[np.ndarray, "N F"], left: Bool[np.ndarray, "N F"]
    ) -> Float[np.ndarray, "S F"]:
        """What speaks for a gain of each property in each subgroup, less what its name costs.

        Args:
            moved: Move of each property on each pair.
            left: Pairs that count.
        """
        # A move counts by its sign, whatever the scale of its property; a small one counts less.
        size = np.abs(moved).sum(0) / np.maximum((moved != 0).sum(0), 1)
        counted = np.clip(moved / np.maximum(size, 1e-9), -1, 1) * left
        gains, losses = np.clip(counted, 0, None), np.clip(-counted, 0, None)
        member = self.inside.astype(float)
        sizes = member @ left
        nats = evidence(
            member @ gains,
            member @ losses,
            gains.sum(0, keepdims=True),
            losses.sum(0, keepdims=True),
            sizes / np.maximum(left.sum(0, keepdims=True), 1),
        )
        # Prompts that were chosen do not speak for all, so that chance must say it too; and gains
        # that fall everywhere gather nowhere.
        up, down = member[:1] @ gains, member[:1] @ losses
        chance = (up + down) * _kl(up / np.maximum(up + down, 1e-9), 0.5)
        both = gains.sum(0, keepdims=True) + losses.sum(0, keepdims=True)
        whole = both * _kl(gains.sum(0, keepdims=True) / np.maximum(both, 1e-9), 0.5)
        nats[:1] = np.where(chance >= LEAST_WORTH, whole, chance)
        net = member @ (moved * left) / np.maximum(sizes, 1)
        found: np.ndarray = np.where(
            (net >= LEAST_MOVED) & (sizes >= LEAST_MEMBERS), nats - self.costs[:, None], -np.inf
        )
        return found

    def proposals(
        self,
        wanted: Property,
        sign: int,
        moved: Float[np.ndarray, " N"],
        left: Bool[np.ndarray, " N"],
        cost: float,
        least: float,
        places: int,
    ) -> list[Proposal]:
        """Where one property changed: one or several subgroups in one name, or all prompts."""
        towards = sign * moved
        rest = left.copy()
        chosen: list[int] = []
        rates: list[float] = []
        total = -cost
        first = self.worth(towards[:, None], rest[:, None])[:, 0]
        while len(chosen) < MOST_RULES:
            worth = self.worth(towards[:, None], rest[:, None])[:, 0] if chosen else first
            if chosen:
                worth[0] = -np.inf
            at = int(worth.argmax())
            inside = self.inside[at] & rest
            if worth[at] < (LEAST_WORTH if chosen else 0.0) or not inside.any():
                break
            rate = float(towards[inside].mean())
            if chosen and rate < ALIKE * rates[0]:
                break
            chosen.append(at)
            rates.append(rate)
            total += float(worth[at])
            if at == 0:
                break
            rest = rest & ~inside
        if not chosen:
            return []
        speaks, spilled = total, False
        everywhere = chosen[0] == 0
        if not everywhere:
            outside = float(self.worth(towards[:, None], rest[:, None])[0, 0]) - cost
            spilled = outside >= LEAST_WORTH
            blind = self.inside[0] & rest
            everywhere = spilled and float(towards[blind].mean()) >= ALIKE * rates[0]
            speaks = total + outside if everywhere else outside
        one = self._proposal([0], wanted, sign, moved, self.inside[0], speaks)
        if everywhere:
            return [one, *self._most(wanted, sign, moved, left, least, places)]
        some = self.inside[chosen].any(0) & left
        named = [self._proposal(chosen, wanted, sign, moved, some, total)]
        named += [
            self._proposal([at], wanted, sign, moved, self.inside[at] & left, first[at] - cost)
            for at in self._rivals(first, chosen)
            if first[at] - cost >= least
        ]
        return [*named, one] if spilled else named

    def _rivals(self, worth: Float[np.ndarray, " S"], chosen: Sequence[int]) -> list[int]:
        """Further subgroups that explain a change nearly as well, and hold other prompts."""
        found: list[int] = []
        known = [self.inside[chosen].any(0), *self.inside[list(chosen)]]
        for at in np.argsort(-worth[1:], kind="stable").tolist():
            here = self.inside[at + 1]
            if worth[at + 1] < worth[chosen[0]] - RIVAL or len(found) == MOST_RIVALS:
                break
            if all((here & one).sum() < APART * (here | one).sum() for one in known):
                found.append(at + 1)
                known.append(here)
        return found

    def _most(
        self,
        wanted: Property,
        sign: int,
        moved: Float[np.ndarray, " N"],
        left: Bool[np.ndarray, " N"],
        least: float,
        places: int,
    ) -> list[Proposal]:
        """Of what changed on all prompts, the subgroups where it changed far more.

        Two rates must explain the moves better than one does, by more than the name costs.
        """
        towards = np.clip(sign * moved, 0, None)
        inside = self.inside[1:] & left
        sizes, total = inside.sum(1), int(left.sum())
        here, there = inside @ towards, (left * towards).sum()
        rate, rest = here / np.maximum(sizes, 1), (there - here) / np.maximum(total - sizes, 1)
        whole = np.full_like(rate, there / max(total, 1))
        nats = sizes * _kl(rate, whole) + (total - sizes) * _kl(1 - rest, 1 - whole)
        worth = np.where(
            (sizes >= LEAST_MEMBERS) & (rate - rest >= FAR_MORE),
            nats - self.costs[1:],
            -np.inf,
        )
        order = np.argsort(-worth, kind="stable")[:places].tolist()
        return [
            self._proposal([at + 1], wanted, sign, moved, inside[at], float(worth[at]))
            for at in order
            if worth[at] >= least
        ]

    def _proposal(
        self,
        chosen: Sequence[int],
        wanted: Property,
        sign: int,
        moved: Float[np.ndarray, " N"],
        some: Bool[np.ndarray, " N"],
        worth: float,
    ) -> Proposal:
        rules = [self.subgroups[at].selectors for at in chosen]
        return Proposal(
            property=wanted,
            subgroup=Subgroup(selectors=rules[0], others=tuple(rules[1:])),
            increase=sign > 0,
            worth=worth,
            moved=float(moved[some].mean()),
            pairs=int(some.sum()),
        )


EXTRA = {"label": 0.0, "topic": 0.0, "word": 1.0, "pair of words": 2.0}
"""What a kind of name costs besides: of two that say the same, a topic is the better answer."""


def _kind(selector: Selector) -> str:
    if selector.role in ("topic", "label"):
        return selector.role
    return "pair of words" if " " in selector.words else "word"
