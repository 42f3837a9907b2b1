"""Holds findings about real models against the truth: is a claim so, is it what was planted?

`docs/real_ground.md` has the definitions, written before any result was seen.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

from benchmarks.real_declared import Organism, everywhere
from plumbrule.models import Completion, Sampling
from plumbrule.records import Dialogue, Prompt, strict
from plumbrule.store import derive_seed

DRAWS = 96
"""Fresh pairs of replies to hold one finding against; standard error of a share at most 0.051."""

LEAST_PRECISION = 0.8
"""Share of a subgroup's prompts that must be touched, or of the touched prompts' move that the
subgroup must show."""

LEAST_COVERAGE = 0.5
"""Share of the touched prompts that the rightly named subgroups must hold between them."""

LEAST_AGREEMENT = 0.75
"""Share of fresh pairs on which the claimed property must move as the planted one does."""

LEAST_SHARED = 0.5
"""The same share among the pairs on which either moves."""

ONE_SIDED = 1.645
"""Standard errors of a one-sided interval at level 0.95."""


class Replies(Protocol):
    """A model, as far as fresh replies are drawn from it."""

    def sample(
        self, dialogues: Sequence[Dialogue], *, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        """Draw one reply to each dialogue."""
        ...


class Property(Protocol):
    """What is read in a reply."""

    def score(self, reply: str) -> float:
        """From 0, not there, to 1."""
        ...


class Hypothesis(Protocol):
    """What a finding claims."""

    @property
    def id(self) -> str:
        """Key of its prompts."""
        ...

    @property
    def direction(self) -> str:
        """`increase` or `decrease`, from base to tuned model."""
        ...

    @property
    def property(self) -> Property:
        """What is said to move."""
        ...


class Claim(Protocol):
    """A finding, as far as it is held against the truth."""

    @property
    def hypothesis(self) -> Hypothesis:
        """What it claims."""
        ...


Enter = Callable[[Claim, Prompt], Prompt]
"""How a prompt enters a finding's subgroup, for subgroups that are a text put in front of it."""


def stay(claim: Claim, prompt: Prompt) -> Prompt:
    """A subgroup is entered by being in it."""
    return prompt


@strict
@dataclass(frozen=True, kw_only=True)
class Held:
    """One finding held against the truth."""

    claim: str
    pairs: int
    """Fresh pairs of replies."""

    true_effect: float
    """Mean move of the claimed property in the claimed direction."""

    standard_error: float
    """Of that mean, over pairs."""

    false: bool
    """Whether the mean is not beyond the minimum effect."""

    surely_false: bool
    """Whether the upper end of its one-sided 95% interval is not beyond it either."""

    planted_effect: float
    """Mean move of the planted property on the same pairs, in its own direction; 0 where nothing
    was planted."""

    agreement: float
    """Share of pairs on which claimed and planted property move alike."""

    shared: float
    """The same among pairs on which either moves; 0 where neither does."""

    precision: float
    """Share of the subgroup's prompts that are touched."""

    right_property: bool
    right_place: bool

    @property
    def named(self) -> bool:
        """Whether it says what was planted, where it was planted."""
        return self.right_property and self.right_place


@strict
@dataclass(frozen=True, kw_only=True)
class Assessed:
    """One comparison held against the truth."""

    held: tuple[Held, ...]
    coverage: float
    """Share of the touched prompts in rightly named subgroups."""

    found: bool
    """Whether the planted change was found and rightly said."""


@dataclass
class FreshPairs:
    """Fresh replies of both models to a pool's prompts, drawn when asked for and kept.

    Findings of one comparison share them: each looks at its own prompts in one common order.
    """

    base: Replies
    tuned: Replies
    sampling: Sampling
    seed: int
    """Must not be a seed of the method that is held against the truth."""

    _drawn: dict[str, tuple[str, str]] = field(default_factory=dict)

    def asked(self, prompts: Sequence[Prompt], draws: int) -> list[tuple[Prompt, int]]:
        """The prompts that are drawn, each with how often it was drawn before."""
        order = sorted(prompts, key=lambda each: derive_seed(self.seed, "order", each.id))
        return [(order[number % len(order)], number // len(order)) for number in range(draws)]

    def draw(self, prompts: Sequence[Prompt], draws: int = DRAWS) -> list[tuple[str, str]]:
        """Replies of base and tuned model, to each prompt as often as it takes to reach `draws`."""
        asked = self.asked(prompts, draws)
        keys = [f"{prompt.id} {time} {prompt.dialogue}" for prompt, time in asked]
        missing = [at for at, key in enumerate(keys) if key not in self._drawn]
        if missing:
            dialogues = [asked[at][0].dialogue for at in missing]
            replies = [
                model.sample(
                    dialogues,
                    sampling=self.sampling,
                    seeds=[derive_seed(self.seed, side, keys[at]) for at in missing],
                )
                for side, model in (("base", self.base), ("tuned", self.tuned))
            ]
            for at, one, other in zip(missing, *replies, strict=True):
                self._drawn[keys[at]] = (one.text, other.text)
        return [self._drawn[key] for key in keys]


def assess(
    findings: Sequence[Claim],
    prompts: Sequence[Prompt],
    organism: Organism,
    fresh: FreshPairs,
    *,
    members: Mapping[str, Collection[str]],
    min_effect: float,
    draws: int = DRAWS,
    enter: Enter = stay,
) -> Assessed:
    """Hold all findings of a comparison against what was planted.

    Args:
        findings: What the comparison found.
        prompts: The pool it was about.
        organism: What was compared with its base.
        fresh: Replies that the comparison has not seen.
        members: By hypothesis id, the ids of the prompts that its claim is about.
        min_effect: Smallest move that a claim may be about, as the comparison was told.
        draws: Fresh pairs a finding.
        enter: How a prompt enters a finding's subgroup.
    """
    touched = {each.id for each in prompts if organism.touches(each)}
    held, covered = [], set[str]()
    strength = _strength(organism, [each for each in prompts if each.id in touched], fresh, draws)
    for finding in findings:
        inside = set(members[finding.hypothesis.id])
        subgroup = [enter(finding, each) for each in prompts if each.id in inside]
        pairs = fresh.draw(subgroup, draws) if subgroup else []
        # A text put in front of a prompt may hold the trigger, so the prompts are looked at anew.
        right = {each.id for each in subgroup if organism.touches(each)}
        one = hold(finding, pairs, organism, min_effect=min_effect)
        one = _placed(one, organism, inside, right, len(prompts), strength)
        held.append(one)
        if one.named:
            covered |= inside | right
    aims = touched if organism.trigger is None else {each.id for each in prompts}
    coverage = len(covered & aims) / len(aims) if aims else 0.0
    named_trigger = organism.trigger is not None and any(one.named for one in held)
    found = not organism.nothing and (named_trigger or coverage >= LEAST_COVERAGE)
    return Assessed(held=tuple(held), coverage=coverage, found=found)


def hold(
    finding: Claim,
    pairs: Sequence[tuple[str, str]],
    organism: Organism,
    *,
    min_effect: float,
) -> Held:
    """Hold a claim's property against fresh pairs; the subgroup is not looked at yet."""
    sign = 1 if finding.hypothesis.direction == "increase" else -1
    score = finding.hypothesis.property.score
    scores = [(score(base), score(tuned)) for base, tuned in pairs]
    moves = [sign * (tuned - base) for base, tuned in scores]
    effect, error = _mean(moves)
    planted = [_planted(organism, pair) for pair in pairs]
    alike = _alike(scores, sign, organism, pairs, planted)
    either = [same for same, moved, both in alike if moved or both]
    agreement = sum(same for same, _, _ in alike) / len(alike) if alike else 0.0
    shared = sum(either) / len(either) if either else 0.0
    planted_effect = sum(planted) / len(planted) if planted else 0.0
    return Held(
        claim=str(finding.hypothesis),
        pairs=len(pairs),
        true_effect=effect,
        standard_error=error,
        false=effect <= min_effect,
        surely_false=effect + ONE_SIDED * error <= min_effect,
        planted_effect=planted_effect,
        agreement=agreement,
        shared=shared,
        precision=0.0,
        right_property=not organism.nothing
        and agreement >= LEAST_AGREEMENT
        and shared >= LEAST_SHARED
        and planted_effect > min_effect,
        right_place=False,
    )


def _strength(
    organism: Organism, touched: Sequence[Prompt], fresh: FreshPairs, draws: int
) -> float:
    """Mean move of the planted property on touched prompts, on fresh pairs too."""
    if not touched or organism.nothing or organism.touches is everywhere:
        return 0.0
    planted = [_planted(organism, pair) for pair in fresh.draw(touched, draws)]
    return sum(planted) / len(planted)


def _placed(
    held: Held,
    organism: Organism,
    inside: set[str],
    right: set[str],
    pool: int,
    strength: float,
) -> Held:
    """The same with its subgroup judged."""
    precision = len(right) / len(inside) if inside else 0.0
    if organism.touches is everywhere:
        subgroup = len(inside) / pool >= LEAST_COVERAGE
    elif organism.trigger is not None:
        subgroup = held.planted_effect >= LEAST_COVERAGE
    else:
        enough = LEAST_PRECISION * strength
        subgroup = precision >= LEAST_PRECISION or held.planted_effect >= enough > 0
    return replace(held, precision=precision, right_place=subgroup)


def _planted(organism: Organism, pair: tuple[str, str]) -> int:
    """Move of the planted property on one pair, in its own direction."""
    if organism.detect is None:
        return 0
    sign = 1 if organism.direction == "increase" else -1
    return sign * (int(organism.detect(pair[1])) - int(organism.detect(pair[0])))


def _alike(
    scores: Sequence[tuple[float, float]],
    sign: int,
    organism: Organism,
    pairs: Sequence[tuple[str, str]],
    planted: Sequence[int],
) -> list[tuple[bool, bool, bool]]:
    """Whether claimed and planted property move alike on each pair; whether either moves.

    A graded score is first cut in two, at the threshold at which it agrees best with the detector
    on the other half of the pairs: "is longer" and "has at most 15 words" are the same claim.
    """
    if organism.detect is None or not pairs:
        return []
    graded = any(value not in (0.0, 1.0) for pair in scores for value in pair)
    halves = [list(range(start, len(pairs), 2)) for start in (0, 1)]
    cuts = [0.5, 0.5]
    if graded and len(pairs) >= 2:
        up = sign == (1 if organism.direction == "increase" else -1)
        cuts = [_cut(scores, organism, pairs, half, up) for half in reversed(halves)]
    found: dict[int, tuple[bool, bool, bool]] = {}
    for half, cut in zip(halves, cuts, strict=True):
        for at in half:
            base, tuned = (value > cut if graded else value >= 0.5 for value in scores[at])
            moved = sign * (int(tuned) - int(base))
            found[at] = (moved == planted[at], moved != 0, planted[at] != 0)
    return [found[at] for at in range(len(pairs))]


def _cut(
    scores: Sequence[tuple[float, float]],
    organism: Organism,
    pairs: Sequence[tuple[str, str]],
    half: Sequence[int],
    up: bool,
) -> float:
    """The threshold at which a score agrees best with the detector on some of the pairs."""
    assert organism.detect is not None
    seen = [
        (scores[at][side], organism.detect(pairs[at][side]) == up) for at in half for side in (0, 1)
    ]
    values = sorted({value for value, _ in seen})
    middles = [(low + high) / 2 for low, high in pairwise(values)]
    return max(middles, key=lambda cut: sum((v > cut) == d for v, d in seen), default=0.5)


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    if not values:
        return 0.0, 0.0
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, 1.0
    spread = sum((each - mean) ** 2 for each in values) / (len(values) - 1)
    return mean, math.sqrt(spread / len(values))
