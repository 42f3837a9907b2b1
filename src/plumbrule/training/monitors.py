"""What training is watched by, and what was seen of it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import declines
from plumbrule.records import Dialogue, check_ranges, strict, to_json
from plumbrule.training.collapse import CollapseBounds, ReplyMeasures

Scorer = Callable[[Sequence[Dialogue], Sequence[str]], list[float]]
"""Scores replies, one number each, higher is better. The same replies must get the same scores."""

FEWEST = 16
"""Prompts below which no fall could be told from chance."""


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


def check_held_out(monitor: Monitor | None, trained: Sequence[Dialogue]) -> None:
    """See that nothing a monitor asks, where there is one, is trained on.

    Raises:
        DataError: Something is.
    """
    if monitor is None:
        return
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
