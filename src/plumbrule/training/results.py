"""What a training stage hands back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plumbrule.records import strict
from plumbrule.training.monitors import Monitored

TrainingProgress = Callable[[int, int, Mapping[str, float]], None]
"""Told (steps done, steps in all, what was measured since the last call)."""


@strict
@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One thing measured while training."""

    step: int
    """Optimizer steps done by then."""

    name: str
    """`loss`, `learning_rate`, `rewards/margins` …, as TRL calls it."""

    value: float
    """Mean over the steps since the last point, in the unit of what was measured."""


@strict
@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How a reward model does on preferences it has not seen."""

    pairs: int
    """Preferences measured."""

    loss: float
    """Mean cross-entropy against the labels' probabilities, in nats."""

    decided: int
    """Preferences whose label leans to one side; the others have no right answer."""

    correct: int
    """How many of the decided ones the model orders as the label does."""

    accuracy: float | None
    """`correct` over `decided`, a proportion; None where no label leans."""


@strict
@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A trained model and how it came about."""

    path: Path
    """The model's folder."""

    stage: str
    """Which stage made it."""

    inputs_sha256: str
    """Hash of all that decides the weights: starting model, settings, data, seed, code."""

    settings_sha256: str
    """Hash of the settings alone."""

    examples: int
    """Examples (pairs, prompts) trained on."""

    skipped: int
    """Examples left out because their label is undecided."""

    steps: int
    """Optimizer steps done; where a monitor stopped training, more than the kept model has."""

    tokens_trained: int
    """Tokens that went through the model in training, prompts included, padding not."""

    seconds: float
    """Wall-clock time of this call and, after a crash, of the work that it went on from."""

    resumed_from: int | None
    """Step of the checkpoint that training last went on from; None where it never stopped."""

    curve: tuple[CurvePoint, ...]
    """What was measured on the way, by step."""

    held_out: HeldOut | None = None
    """Reward models only, and only where held-out preferences were given."""

    monitored: Monitored | None = None
    """What a monitor saw on the way, and why it stopped training, where it did."""
