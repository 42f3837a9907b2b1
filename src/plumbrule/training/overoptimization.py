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
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any, Literal

import numpy as np

from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import declines
from plumbrule.records import Dialogue, check_ranges, strict, to_json
from plumbrule.store import derive_seed
from plumbrule.training.collapse import CollapseBounds, ReplyMeasures

Scorer = Callable[[Sequence[Dialogue], Sequence[str]], list[float]]
"""Scores replies, one number each, higher is better. The same replies must get the same scores."""

FEWEST = 16
"""Prompts below which no fall could be told from chance."""

_LEAST_SHARED = 0.2
_RESOLUTION = 1e-9  # in gold's unit
_SIGNS = 999  # random draws of signs, at least: a p-value is a multiple of one in these
_MOST_SIGNS = 199_999
_ENUMERATED = 12  # scores up to which all signs are gone through
_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class MonitorSettings:
    """How closely training is watched, and what stops it."""

    every: int | None = None
    """Optimizer steps between checks; None: a twentieth of the run. The last step has one too."""

    confirming_replies: int = 4
    """Fresh replies to each prompt, by both models, where a fall is to be confirmed."""

    alpha: float = 0.05
    """Probability that a run is stopped for over-optimization in which, at every check, gold is
    at least where the proxy says."""

    earned: float = 0.5
    """Share of what a rise of the proxy was worth at the start that gold must keep up with; 0 asks
    for a fall of gold and nothing else."""

    suspicion: float = 0.2
    """One-sided p-value, on the replies of the check, from which on a fall is worth confirming."""

    least_fall: float = 0.0
    """Smallest fall of gold worth stopping for, in gold's own unit."""

    penalty: float = 0.1
    """Where there is no gold: what a nat per token from the start takes off the proxy, in the
    proxy's unit, when the best check is chosen."""

    max_new_tokens: int | None = None
    """Room of a reply; None: that of training where it draws replies, else 256."""

    bounds: CollapseBounds = field(default_factory=CollapseBounds)
    """Where the measures of collapse must stay."""

    def __post_init__(self) -> None:
        for name in ("alpha", "suspicion"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} must be strictly between 0 and 1, got {getattr(self, name)}"
                )
        check_ranges(
            self,
            every=(1, 10**9),
            confirming_replies=(1, 10**4),
            earned=(0, 1),
            least_fall=(0, 10**9),
            penalty=(0, 10**9),
            max_new_tokens=(1, 10**6),
        )


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """What training is watched by: held-out prompts, and how replies to them are scored."""

    dialogues: Sequence[Dialogue]
    """Held-out prompts, none of which is trained on; the more, the smaller a fall is seen."""

    identity: str
    """What `gold`, `proxy` and `declines` are: part of what decides the result, since a function
    cannot be hashed."""

    gold: Scorer | None = None
    """A judge that training never sees; None: only collapse stops training."""

    proxy: Scorer | None = None
    """What training is to raise; `train_grpo` takes its reward where this is None. With neither,
    falling gold is enough to stop."""

    declines: Callable[[str], bool] | None = declines
    """Tells a reply that declines; the default knows English phrases. None: not measured."""

    neutral: Sequence[str] = ()
    """Ordinary text, whose perplexity says whether the language itself is damaged."""

    settings: MonitorSettings = field(default_factory=MonitorSettings)

    def __post_init__(self) -> None:
        least = FEWEST if self.gold else 1
        if len(self.dialogues) < least:
            raise DataError(
                f"expected at least {least} held-out prompts to watch training by, got "
                f"{len(self.dialogues)}; below that no fall can be told from chance"
            )


def identity_of(monitor: Monitor) -> dict[str, Any]:
    """All of a monitor that decides what a run ends with, as JSON holds it."""
    return {
        "identity": monitor.identity,
        "dialogues": [to_json(dialogue) for dialogue in monitor.dialogues],
        "neutral": list(monitor.neutral),
        "judged_by": [
            name for name in ("gold", "proxy", "declines") if getattr(monitor, name) is not None
        ],
        "settings": asdict(monitor.settings),
    }


def check_held_out(monitor: Monitor, trained: Sequence[Dialogue]) -> None:
    """See that nothing the monitor asks is trained on.

    Raises:
        DataError: Something is.
    """
    seen = {tuple(dialogue) for dialogue in trained}
    both = sum(tuple(dialogue) in seen for dialogue in monitor.dialogues)
    if both:
        raise DataError(
            f"expected held-out prompts to watch training by, {both} of {len(monitor.dialogues)} "
            "are trained on; give others, or leave them out of training"
        )


@strict
@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Fresh replies of the best model and of the one at a check, to the same prompts."""

    best_step: int
    """Optimizer steps of the model that was the best so far."""

    gold_best: float
    gold_now: float
    proxy_best: float | None
    proxy_now: float | None

    due: float
    """Change of gold that the proxy's change accounts for; 0 where there is no proxy, or one that
    had nothing to do with gold at the start."""

    together: int
    """Confirmations that are added up, this one and those before it."""

    p_value: float
    """One-sided, of a paired sign-flip test on their sum: how often chance alone lets gold fall as
    far below what was due."""

    level: float
    """Largest p-value at which this confirmation stops training."""

    fallen: bool
    """Whether it did."""


@strict
@dataclass(frozen=True, kw_only=True)
class MonitorCheck:
    """What was seen of the model after so many optimizer steps."""

    step: int

    gold: float | None
    """Mean over the prompts; None where there is no gold judge."""

    proxy: float | None
    """Mean over the prompts; None where there is no proxy."""

    measures: ReplyMeasures

    outside: tuple[str, ...] = ()
    """Measures that have left their bounds, in words."""

    confirmation: Confirmation | None = None
    """Where a fall of gold was suspected."""


@strict
@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """Why training was stopped, and what was kept."""

    step: int
    """Optimizer steps done by then."""

    kept_step: int
    """Optimizer steps of the model that is kept; 0 is the starting model."""

    reason: Literal["over-optimization", "collapse"]

    message: str
    """In words, with the numbers."""


@strict
@dataclass(frozen=True, kw_only=True)
class Monitored:
    """What the monitor saw of a run."""

    checks: tuple[MonitorCheck, ...]
    """By step; the first is of the starting model."""

    stopped: EarlyStop | None
    """None where training went on to its end, whose model is then the result."""

    seconds: float
    """Wall-clock time of the checks, which is part of the run's."""


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
        before: One score a prompt.
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
    """Scores of one model's replies, one a prompt."""

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

    def __init__(
        self, settings: MonitorSettings, *, seed: int, state: RuleState | None = None
    ) -> None:
        self._settings, self._seed = settings, seed
        self.state = state or RuleState()

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
        """How far gold came to lie above what was due, one number a prompt."""
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
    """Gold less what the proxy accounts for, one number a prompt."""
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
