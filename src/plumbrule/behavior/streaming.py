"""Decisions over a stream of hypotheses: exact tests of a fixed number of pairs, then SAFFRON."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.validation import HypothesisVerdict, ScoredPair, decide, evidence
from plumbrule.statistics import OnlineDecisions, paired_difference, saffron

GRID = 512
"""Rates of the opposite move at which the exact test looks for the worst case."""

TINY = 1e-300
"""Stands for a probability of 0, whose logarithm is none."""


def decide_stream(
    hypotheses: Sequence[Hypothesis],
    trials: Mapping[str, Sequence[ScoredPair]],
    *,
    settings: CompareSettings,
) -> list[HypothesisVerdict]:
    """Turn scored pairs into SAFFRON's decisions: what `--verify` repeats.

    Args:
        hypotheses: In the order of the stream.
        trials: Scored pairs of each.
        settings: Level and minimum effect.
    """
    every = [trial for each in hypotheses for trial in trials[each.id]]
    stopped = {each.id: "cap" for each in hypotheses}
    verdicts = [
        verdict
        for each in hypotheses
        for verdict in decide([each], trials, stopped, settings=settings.racing)
    ]
    p_values = [
        p_value(each, trials[each.id], minimum_effect=settings.min_effect) for each in hypotheses
    ]
    if not p_values:
        return []
    decisions = saffron(np.array(p_values), level=settings.fdr)
    return decided(verdicts, every, decisions, settings)


def decided(
    verdicts: Sequence[HypothesisVerdict],
    trials: Sequence[ScoredPair],
    decisions: OnlineDecisions,
    settings: CompareSettings,
) -> list[HypothesisVerdict]:
    """The verdicts with SAFFRON's decisions, and intervals as wide as choosing among them asks."""
    chosen = max(1, int(decisions.rejected.sum()))
    level = 1 - settings.fdr * chosen / max(1, len(verdicts))
    decided = []
    for verdict, sure in zip(verdicts, decisions.rejected.tolist(), strict=True):
        own = [trial for trial in trials if trial.hypothesis_id == verdict.hypothesis.id]
        estimate = None
        if own:
            before = np.array([trial.base_score for trial in own])
            after = np.array([trial.tuned_score for trial in own])
            estimate = paired_difference(
                before, after, level=level, unit="difference in score per reply"
            )
        decided.append(
            replace(
                verdict,
                confirmed=sure,
                estimate=estimate,
                stopped="cap" if own else "no prompts",
            )
        )
    return decided


def p_value(
    hypothesis: Hypothesis, trials: Sequence[ScoredPair], *, minimum_effect: float
) -> float:
    """Probability at most of such trials if the claim were false; 1 before any trial.

    Valid for independent pairs whose number was fixed before. Scores of yes and no are tested
    exactly; for scores in between it is one over the e-value, valid by Markov's inequality.

    Args:
        hypothesis: The claim.
        trials: Its pairs, scored.
        minimum_effect: Least move that the claim asks for.
    """
    if not trials:
        return 1.0
    sign = 1.0 if hypothesis.direction == "increase" else -1.0
    moves = np.array([sign * (trial.tuned_score - trial.base_score) for trial in trials])
    if np.isin(moves, (-1.0, 0.0, 1.0)).all():
        gained, lost = int((moves > 0).sum()), int((moves < 0).sum())
        return exact_p_value(gained, lost, len(moves), minimum_effect=minimum_effect)
    return 1.0 / max(1.0, evidence(hypothesis, trials, minimum_effect))


def exact_p_value(gained: int, lost: int, count: int, *, minimum_effect: float) -> float:
    """Probability at most of so clear a gain, if the rate of gains exceeds that of losses no more.

    The null: a pair gains with at most `minimum_effect` more probability than it loses. Outcomes
    are ordered by Tango's score statistic, and the probability of this one or a clearer one is
    maximized over the rate of losses, which the null leaves open.

    Args:
        gained: Pairs that went from no to yes.
        lost: Pairs that went from yes to no.
        count: All pairs, fixed before they were drawn.
        minimum_effect: From 0 up, below 1.

    Source:
        Hsueh, Liu & Chen (2001), "Unconditional exact tests for equivalence or noninferiority for
        paired binary endpoints", Biometrics 57; statistic of Tango (1998). The worst case is
        sought on a grid.

    Example:
        >>> round(exact_p_value(12, 0, 100, minimum_effect=0.05), 4)
        0.0076
    """
    gains, losses, statistic = _outcomes(count, minimum_effect)
    clear = statistic >= statistic[(gains == gained) & (losses == lost)][0] - 1e-9
    if clear.all():
        return 1.0
    more, less = gains[clear], losses[clear]
    same = count - more - less
    ways = gammaln(count + 1) - gammaln(more + 1) - gammaln(less + 1) - gammaln(same + 1)
    # Denser near 0, where most rates of losses are and the probability bends most.
    rates = (1 - minimum_effect) / 2 * np.linspace(0.0, 1.0, GRID) ** 2
    shares = np.stack([rates + minimum_effect, rates, 1 - minimum_effect - 2 * rates])
    logs = np.log(np.maximum(shares, TINY))
    tail = np.exp(np.stack([more, less, same], axis=1) @ logs + ways[:, None]).sum(0)
    return min(1.0, float(tail.max()))


@lru_cache(maxsize=8)
def _outcomes(
    count: int, effect: float
) -> tuple[Int[np.ndarray, " O"], Int[np.ndarray, " O"], Float[np.ndarray, " O"]]:
    """Every pair of counts, gained and lost, and Tango's score for a difference beyond `effect`."""
    gains, losses = np.divmod(np.arange((count + 1) ** 2), count + 1)
    possible = gains + losses <= count
    gains, losses = gains[possible], losses[possible]
    linear = (2 * count - gains + losses) * effect - gains - losses
    constant = -losses * effect * (1 - effect)
    root = np.sqrt(np.maximum(linear * linear - 8 * count * constant, 0.0))
    rates = np.maximum((root - linear) / (4 * count), 0.0)
    variance = np.maximum(2 * rates + effect * (1 - effect), 0.0)
    excess = gains - losses - count * effect
    spread = np.sqrt(count * variance)
    return gains, losses, np.where(spread > 0, excess / np.where(spread > 0, spread, 1.0), 0.0)
