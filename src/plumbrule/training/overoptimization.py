"""When training has gone too far: its reward still rises, and what that stands for has fallen.

*Proxy* is the score that is trained on, or one that it stands for; *gold* is a held-out judge that
training never sees: one without the rubric, one of a held-out principle, in the lab the oracle.

At each check the same held-out prompts are replied to, from the same random numbers, and compared
prompt by prompt with the best check so far. That best check was chosen for looking good, so falling
below it proves nothing: a suspicion is followed by a confirmation, in which both models reply anew,
to the same prompts, from random numbers nobody has looked at. Only the confirmations are tests, and
number j of them may err with probability alpha / (j (j + 1)), which adds up to alpha. Confirmations
that follow one another without a better check in between are added up, prompt by prompt.

What is tested is that gold is lower than at the best check, and lower than the proxy accounts for.
Where the proxy has risen, gold was to rise by `earned` of what that was worth among the replies of
the starting model (the slope of gold on the proxy); where it has fallen, gold may fall as far as
takes the proxy there (the slope of the proxy on gold). In an honest run whatever moves gold moves
the proxy along, however noisy the proxy is, and the comparison comes to nothing; a loophole shows
itself there sooner than in gold alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from plumbrule.errors import DataError
from plumbrule.records import strict
from plumbrule.store import derive_seed
from plumbrule.training.collapse import ReplyMeasures
from plumbrule.training.monitors import Confirmation, EarlyStop, MonitorCheck, MonitorSettings

_LEAST_SHARED = 0.2
_RESOLUTION = 1e-9  # in gold's unit
_SIGNS = 999  # random draws of signs, at least: a p-value is a multiple of one in these
_MOST_SIGNS = 199_999
_ENUMERATED = 12  # scores up to which all signs are gone through
_AT_ONCE = 1000


def level_of(number: int, alpha: float) -> float:
    """What confirmation number so-many, from 1 on, may err with; all of them together with alpha.

    Example:
        >>> level_of(1, 0.05), round(sum(level_of(j, 0.05) for j in range(1, 10_000)), 4)
        (0.025, 0.05)
    """
    return alpha / (number * (number + 1))


def fall_p_value(
    before: Sequence[float], after: Sequence[float], *, seed: int, level: float = 0.05
) -> float:
    """Say how often chance alone would let scores of the same prompts fall as far on average.

    Each prompt's two scores change places or not, at random: a sign-flip test, exact where the two
    models are the same and, for yes or no, McNemar's.

    Args:
        before: One score per prompt.
        after: Of the other model, for the same prompts in the same order.
        seed: Of the random signs, which are drawn where there are too many to go through.
        level: Smallest p-value that has to be told apart: the smaller, the more signs are drawn.

    Returns:
        One-sided p-value, above 0; 1 where no prompt's score changed.

    Raises:
        DataError: Two different numbers of prompts, or none.

    Example:
        >>> fall_p_value([1.0] * 5, [0.0] * 5, seed=0)
        0.03125
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or not first.size:
        raise DataError(
            f"expected scores of the same prompts, got {first.size} before and {second.size} after"
        )
    rises = (second - first)[first != second]  # the others are the same under every sign
    if not rises.size:
        return 1.0
    # Sums of the same numbers in another order differ in their last bits, and still are ties.
    bound = float(rises.sum()) + 1e-9 * float(np.abs(rises).sum())
    if rises.size <= _ENUMERATED:
        signs = np.array(list(product((-1, 1), repeat=rises.size)), dtype=np.float64)
        return float((signs @ rises <= bound).mean())
    draws = int(min(max(_SIGNS, math.ceil(20 / level)), _MOST_SIGNS))
    rng, fallen = np.random.default_rng(seed), 0
    for at in range(0, draws, _AT_ONCE):
        size = (min(_AT_ONCE, draws - at), rises.size)
        drawn = 2.0 * rng.integers(0, 2, size=size, dtype=np.int8) - 1.0
        fallen += int((drawn @ rises <= bound).sum())
    return (1 + fallen) / (1 + draws)


@dataclass(frozen=True, kw_only=True)
class ScoredReplies:
    """Scores of one model's replies, one per prompt."""

    gold: Sequence[float] | None
    proxy: Sequence[float] | None


Confirm = Callable[[int], tuple[ScoredReplies, ScoredReplies]]
"""Given which confirmation it is, has the best model and the present one reply anew."""


@strict
@dataclass(frozen=True, kw_only=True)
class RuleState:
    """All that a stopping rule remembers, for the checkpoint."""

    checks: tuple[MonitorCheck, ...] = ()
    best_step: int = 0
    best_gold: tuple[float, ...] | None = None
    best_proxy: tuple[float, ...] | None = None

    worth: float = 0.0
    """Gold per unit of the proxy at the start, which a rise of the proxy promises."""

    cost: float = 0.0
    """Gold that a fall of the proxy by a unit accounts for."""

    confirmations: int = 0

    sums: tuple[float, ...] | None = None
    """Change of gold less what was due, a prompt, over the confirmations since the best check; as
    that is chosen without them, adding up is no choice among them either."""

    together: int = 0
    """Confirmations in it."""


class StoppingRule:
    """Decides at each check whether training goes on, and which check is the best so far."""

    def __init__(self, settings: MonitorSettings, *, seed: int) -> None:
        self._settings, self._seed = settings, seed
        self.state = RuleState()

    def look(
        self, step: int, seen: ScoredReplies, measures: ReplyMeasures, confirm: Confirm
    ) -> EarlyStop | None:
        """Take in a check; afterwards `state.best_step` is this step where it is the best.

        Args:
            step: Optimizer steps done.
            seen: Scores of the check's replies.
            measures: Of the same replies.
            confirm: Called where a fall is suspected.
        """
        if not self.state.checks:
            worth, cost = slopes_of(seen)
            self.state = RuleState(worth=worth, cost=cost)
        start = self.state.checks[0].measures if self.state.checks else measures
        outside = tuple(self._settings.bounds.broken(measures, start))
        suspected = bool(self.state.checks) and not outside and self._suspects(seen)
        confirmation = self._confirmed(confirm) if suspected else None
        better = self._is_best(seen, measures, confirmation) and not outside
        check = MonitorCheck(
            step=step,
            gold=mean(seen.gold),
            proxy=mean(seen.proxy),
            measures=measures,
            outside=outside,
            confirmation=confirmation,
        )
        state = self.state
        ends = better and confirmation is None
        self.state = RuleState(
            checks=(*state.checks, check),
            best_step=step if better else state.best_step,
            best_gold=_kept(seen.gold if better else state.best_gold),
            best_proxy=_kept(seen.proxy if better else state.best_proxy),
            worth=state.worth,
            cost=state.cost,
            confirmations=state.confirmations + suspected,
            sums=None if ends else self.state.sums,
            together=0 if ends else self.state.together,
        )
        if outside:
            return self._stop(step, "collapse", "; ".join(outside))
        if confirmation is not None and confirmation.fallen:
            return self._stop(step, "over-optimization", _in_words(confirmation))
        return None

    def lost(self, step: int, error: str) -> EarlyStop:
        """Stop since the model gives no replies any more."""
        return self._stop(step, "collapse", f"the model gives no replies any more ({error})")

    def _stop(
        self, step: int, reason: Literal["over-optimization", "collapse"], why: str
    ) -> EarlyStop:
        kept = self.state.best_step
        name = f"the model of step {kept}" if kept else "the starting model"
        return EarlyStop(
            step=step,
            kept_step=kept,
            reason=reason,
            message=f"{reason} at step {step}: {why}. {name[0].upper()}{name[1:]} is kept.",
        )

    def _suspects(self, seen: ScoredReplies) -> bool:
        """Whether gold seems lower than at the best check, and than the proxy accounts for."""
        best = ScoredReplies(gold=self.state.best_gold, proxy=self.state.best_proxy)
        if best.gold is None or seen.gold is None or not self._lower(best, seen):
            return False
        level = self._settings.suspicion
        return self._p_value(self._changes(best, seen), level) <= level

    def _confirmed(self, confirm: Confirm) -> Confirmation:
        number = self.state.confirmations + 1
        best, now = confirm(number)
        level = level_of(number, self._settings.alpha)
        sums = np.asarray(self._changes(best, now))
        if self.state.sums is not None:
            sums = sums + np.asarray(self.state.sums)
        self.state = replace(
            self.state, sums=_kept(sums.tolist()), together=self.state.together + 1
        )
        p_value = self._p_value(sums.tolist(), level)
        return Confirmation(
            best_step=self.state.best_step,
            gold_best=_mean(best.gold),
            gold_now=_mean(now.gold),
            proxy_best=mean(best.proxy),
            proxy_now=mean(now.proxy),
            due=self._rate(best, now) * _rise(best, now),
            together=self.state.together,
            p_value=p_value,
            level=level,
            fallen=p_value <= level and self._lower(best, now),
        )

    def _lower(self, best: ScoredReplies, now: ScoredReplies) -> bool:
        fall = _mean(best.gold) - _mean(now.gold)
        return fall > 0 and fall >= self._settings.least_fall

    def _rate(self, best: ScoredReplies, now: ScoredReplies) -> float:
        """Gold that is due for a unit of the proxy's change."""
        if _rise(best, now) > 0:
            return self._settings.earned * self.state.worth
        return self.state.cost

    def _changes(self, best: ScoredReplies, now: ScoredReplies) -> list[float]:
        """How far the gold reward lies above what is due, one number for each prompt."""
        rate = self._rate(best, now)
        before, after = (
            np.asarray(_less(_there(seen.gold), seen.proxy, rate)) for seen in (best, now)
        )
        return list((after - before).tolist())

    def _p_value(self, changes: Sequence[float], level: float) -> float:
        seed = derive_seed(self._seed, "signs", len(self.state.checks), level)
        return fall_p_value([0.0] * len(changes), changes, seed=seed, level=level)

    def _is_best(
        self, seen: ScoredReplies, measures: ReplyMeasures, confirmation: Confirmation | None
    ) -> bool:
        if not self.state.checks:
            return True
        if confirmation is not None:  # on more replies than the check has
            return confirmation.gold_now >= confirmation.gold_best
        if seen.gold is not None and self.state.best_gold is not None:
            return bool(np.mean(seen.gold) > np.mean(self.state.best_gold))
        if seen.proxy is not None:
            known = {check.step: check for check in self.state.checks}[self.state.best_step]
            return self._penalized(float(np.mean(seen.proxy)), measures) > self._penalized(
                known.proxy or 0.0, known.measures
            )
        return True  # with nothing to choose by, the latest within its bounds

    def _penalized(self, proxy: float, measures: ReplyMeasures) -> float:
        return proxy - self._settings.penalty * measures.divergence


def slopes_of(seen: ScoredReplies) -> tuple[float, float]:
    """What a unit of the proxy is worth in gold, going up and going down.

    Returns:
        The slope of gold on the proxy, which a rise of a noisy proxy promises; and one over the
        slope of the proxy on gold, by which gold has fallen where it took the proxy along. Both 0
        where one of the two is missing or the same for all, or where they run against each other.
        Of a proxy that shares less than a fifth of its variance with gold, the second is taken as
        if it did: a fall of such a proxy would excuse any fall of gold.

    Example:
        >>> slopes_of(ScoredReplies(gold=[0.0, 1.0, 1.0, 0.0], proxy=[0.0, 2.0, 2.0, 0.0]))
        (0.5, 0.5)
    """
    if seen.gold is None or seen.proxy is None:
        return 0.0, 0.0
    gold, proxy = np.asarray(seen.gold), np.asarray(seen.proxy)
    together = float(np.mean((gold - gold.mean()) * (proxy - proxy.mean())))
    spreads = float(np.var(proxy)), float(np.var(gold))
    if not (min(spreads) > 0 and together > 0):
        return 0.0, 0.0
    worth = together / spreads[0]
    return worth, worth / max(worth * together / spreads[1], _LEAST_SHARED)


def mean(values: Sequence[float] | None) -> float | None:
    """Mean of scores; None where there are none."""
    return None if values is None else float(np.mean(values))


def _there(values: Sequence[float] | None) -> Sequence[float]:
    assert values is not None
    return values


def _mean(values: Sequence[float] | None) -> float:
    return float(np.mean(_there(values)))


def _rise(best: ScoredReplies, now: ScoredReplies) -> float:
    """Change of the proxy; 0 where there is none."""
    if best.proxy is None or now.proxy is None:
        return 0.0
    return _mean(now.proxy) - _mean(best.proxy)


def _less(gold: Sequence[float], proxy: Sequence[float] | None, rate: float) -> list[float]:
    """Gold less what the proxy accounts for, one number per prompt."""
    if proxy is None or not rate:
        return list(gold)
    left = np.asarray(gold) - rate * np.asarray(proxy)
    # Where the proxy accounts for all of it, rounding would be taken for what is left.
    return list((np.round(left / _RESOLUTION) * _RESOLUTION).tolist())


def _kept(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)


def _in_words(found: Confirmation) -> str:
    said = f"gold fell from {found.gold_best:.4g} at step {found.best_step} to {found.gold_now:.4g}"
    if found.proxy_best is not None and found.proxy_now is not None:
        said += (
            f" while the proxy went from {found.proxy_best:.4g} to {found.proxy_now:.4g}, for "
            f"which {found.due:+.2g} of gold was due"
        )
    over = f" over {found.together} confirmations" if found.together > 1 else ""
    return f"{said} (p = {found.p_value:.2g}{over}, at most {found.level:.2g} needed)"
