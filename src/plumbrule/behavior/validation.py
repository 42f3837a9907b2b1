"""Tests of hypotheses on fresh prompts, each stopped as soon as its evidence suffices.

Every hypothesis has a betting e-process on paired scores of prompts that no screen has seen. All
race side by side: one stops when its e-value would stand alone among the whole family, or when it
has lost most of its stake, or at the cap. e-BH then decides over the family, which is valid
whatever the dependence and whenever each test stopped.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from plumbrule.behavior.hypotheses import Direction, Hypothesis
from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.subgroups import Subgroup
from plumbrule.errors import ConfigError
from plumbrule.records import Estimate, strict
from plumbrule.statistics import e_bh, paired_difference, paired_e_value

Draw = Callable[[Sequence[tuple[Subgroup, int, int]]], Sequence[Sequence[PairedReply] | None]]
"""Takes subgroups, each with the pairs drawn there before and how many more are wanted; gives fresh
pairs for each, or fewer when the budget ends; None where no prompt lies there. All at once, because
a model writes a hundred replies side by side in little more time than ten."""

Score = Callable[[Hypothesis, Sequence[PairedReply]], Sequence[tuple[float, float]]]
"""Scores base and tuned replies under a hypothesis, each from 0 to 1."""


PATIENT = -100.0
"""`Racing.foreseen` at which no hypothesis is dropped for its pace."""


@dataclass(frozen=True, kw_only=True)
class Racing:
    """How long each hypothesis is tested."""

    level: float = 0.05
    """Largest expected share of false findings among those made."""

    minimum_effect: float = 0.05
    """Least move of a property's mean that is worth a finding, in score points from 0 to 1."""

    batch: int = 16
    """Pairs drawn at a time in each subgroup."""

    most_pairs: int = 200
    """Pairs after which a hypothesis is given up."""

    hopeless: float = 0.5
    """A hypothesis whose e-value is below this after `least_pairs` is dropped."""

    foreseen: float = 0.3
    """Share of the evidence needed (on a logarithmic scale) that a hypothesis must be on its way to
    reach; otherwise it is dropped. Less than 1, because luck turns."""

    least_pairs: int = 24
    """Pairs before a hypothesis may be dropped."""

    fewest: int = 16
    """Pairs before a hypothesis may stand, so that its interval says something too."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ConfigError(f"level must be strictly between 0 and 1, got {self.level}")
        if not 0 <= self.minimum_effect < 1:
            raise ConfigError(
                f"minimum_effect must be at least 0 and below 1, got {self.minimum_effect}; it is "
                "a move of a rate or score between 0 and 1, 0.05 is usual"
            )
        for name in ("batch", "most_pairs", "least_pairs", "fewest"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


@strict
@dataclass(frozen=True, kw_only=True)
class ScoredPair:
    """One pair of replies, scored under one hypothesis."""

    hypothesis_id: str
    pair: PairedReply
    base_score: float
    tuned_score: float


@strict
@dataclass(frozen=True, kw_only=True)
class HypothesisVerdict:
    """What became of a hypothesis."""

    hypothesis: Hypothesis
    e_value: float
    """Evidence for a move beyond the minimum effect in the claimed direction."""

    pairs: int
    prompts: int
    """Different prompts among the pairs."""

    unusable: int
    """Pairs in which a model gave no reply; each was scored against the claim."""

    confirmed: bool
    estimate: Estimate | None
    """Tuned minus base; None where no pair was drawn."""

    stopped: Literal["enough", "hopeless", "cap", "budget", "no prompts"]


def race(
    hypotheses: Sequence[Hypothesis], draw: Draw, score: Score, *, settings: Racing
) -> tuple[list[HypothesisVerdict], list[ScoredPair]]:
    """Test all hypotheses side by side and decide over the family.

    Args:
        hypotheses: The family, fixed before the first draw.
        draw: Draws fresh pairs in subgroups. Hypotheses of one subgroup share their pairs.
        score: Scores pairs.
        settings: Level, minimum effect, batches.

    Returns:
        A verdict a hypothesis, in order, and every scored pair.
    """
    pairs: dict[Subgroup, list[PairedReply]] = {each.subgroup: [] for each in hypotheses}
    trials: dict[str, list[ScoredPair]] = {each.id: [] for each in hypotheses}
    stopped: dict[str, str] = {}
    enough = len(hypotheses) / settings.level if hypotheses else math.inf
    while len(stopped) < len(hypotheses):
        active = {
            subgroup: [
                each for each in hypotheses if each.subgroup == subgroup and each.id not in stopped
            ]
            for subgroup in pairs
        }
        wanted = [
            (
                subgroup,
                len(pairs[subgroup]),
                min(settings.batch, settings.most_pairs - len(pairs[subgroup])),
            )
            for subgroup, tested in active.items()
            if tested
        ]
        for (subgroup, _, count), drawn in zip(wanted, draw(wanted), strict=True):
            fresh = list(drawn or ())
            pairs[subgroup].extend(fresh)
            for each in active[subgroup]:
                trials[each.id].extend(_trials(each, fresh, score))
                reason = _stop(each, trials[each.id], settings, enough)
                if reason is None and len(fresh) < count:
                    reason = "no prompts" if drawn is None else "budget"
                if reason:
                    stopped[each.id] = reason
    verdicts = decide(hypotheses, trials, stopped, settings=settings)
    return verdicts, [trial for each in hypotheses for trial in trials[each.id]]


def decide(
    hypotheses: Sequence[Hypothesis],
    trials: Mapping[str, Sequence[ScoredPair]],
    stopped: Mapping[str, str],
    *,
    settings: Racing,
) -> list[HypothesisVerdict]:
    """Turn scored pairs into decisions: what `race` ends with, and what `--verify` repeats."""
    e_values = np.array(
        [evidence(each, trials[each.id], settings.minimum_effect) for each in hypotheses]
    )
    confirmed = e_bh(e_values, level=settings.level)
    # Intervals of chosen claims alone would be too narrow: e-BY widens them by the share chosen
    # (Xu, Wang & Ramdas 2024).
    chosen = max(1, int(confirmed.sum()))
    confidence = 1 - settings.level * chosen / max(1, len(hypotheses))
    return [
        HypothesisVerdict(
            hypothesis=each,
            e_value=float(e_value),
            pairs=len(trials[each.id]),
            prompts=len({trial.pair.prompt_id for trial in trials[each.id]}),
            unusable=sum(not trial.pair.usable for trial in trials[each.id]),
            confirmed=bool(sure),
            estimate=_estimate(trials[each.id], confidence),
            stopped=stopped[each.id],  # type: ignore[arg-type]
        )
        for each, e_value, sure in zip(hypotheses, e_values, confirmed, strict=True)
    ]


def evidence(hypothesis: Hypothesis, trials: Sequence[ScoredPair], minimum_effect: float) -> float:
    """The e-value of a hypothesis after its trials; 1, no evidence, before any."""
    if not trials:
        return 1.0
    return paired_e_value(
        np.array([trial.base_score for trial in trials]),
        np.array([trial.tuned_score for trial in trials]),
        minimum_effect=minimum_effect,
        alternative=hypothesis.direction,
    )


def against(direction: Direction) -> tuple[float, float]:
    """Scores of base and tuned model that speak most against a claim."""
    return (1.0, 0.0) if direction == "increase" else (0.0, 1.0)


def _trials(hypothesis: Hypothesis, pairs: Sequence[PairedReply], score: Score) -> list[ScoredPair]:
    usable = [pair for pair in pairs if pair.usable]
    scored = iter(score(hypothesis, usable)) if usable else iter(())
    trials = []
    for pair in pairs:
        base_score, tuned_score = next(scored) if pair.usable else against(hypothesis.direction)
        trials.append(
            ScoredPair(
                hypothesis_id=hypothesis.id,
                pair=pair,
                base_score=base_score,
                tuned_score=tuned_score,
            )
        )
    return trials


def _stop(
    hypothesis: Hypothesis, trials: Sequence[ScoredPair], settings: Racing, enough: float
) -> str | None:
    e_value = evidence(hypothesis, trials, settings.minimum_effect)
    if e_value >= enough and len(trials) >= settings.fewest:
        return "enough"
    if hopeless(e_value, len(trials), settings, enough):
        return "hopeless"
    return "cap" if len(trials) >= settings.most_pairs else None


def hopeless(e_value: float, pairs: int, settings: Racing, enough: float) -> bool:
    """Whether a hypothesis is dropped after some pairs.

    Args:
        e_value: Its evidence so far.
        pairs: Pairs so far.
        settings: When hypotheses are dropped.
        enough: The e-value at which it would stand.
    """
    if pairs < settings.least_pairs:
        return False
    # Evidence grows by a factor a pair: at this pace, would the most pairs allowed suffice?
    foreseen = math.log(max(e_value, 1e-300)) * settings.most_pairs / pairs
    return e_value < settings.hopeless or foreseen < settings.foreseen * math.log(enough)


def _estimate(trials: Sequence[ScoredPair], confidence: float) -> Estimate | None:
    if not trials:
        return None
    return paired_difference(
        np.array([trial.base_score for trial in trials]),
        np.array([trial.tuned_score for trial in trials]),
        level=confidence,
        unit="difference in score per reply",
    )
