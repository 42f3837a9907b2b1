"""How far what is trained on has come apart from what was drawn, and when that stops a run.

A token is drawn with one probability, and its gradient is taken at another: because the model has
moved since, or because the sampler and the trainer do not compute the same numbers. The second is
a fault that no reward shows, and the first makes the estimates worthless when it is large.

Axes: R rows (replies), C columns (tokens).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plumbrule.errors import ConfigError
from plumbrule.training.settings import PolicyTraining, TrainingSettings

RATIO_MEAN, RATIO_MAX, DRIFT = "ratio/mean", "ratio/max", "drift"


class DriftTally:
    """Counts over all tokens since it was last read."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._tokens = self._compared = 0
        # Tensors from the first pass on, so that a GPU is not waited for at each.
        self._ratios: Tensor | float = 0.0
        self._apart: Tensor | float = 0.0
        self._largest = torch.zeros((), dtype=torch.float64)

    def add(
        self,
        log_probs: Float[Tensor, "R C"],
        drawn: Float[Tensor, "R C"],
        mask: Bool[Tensor, "R C"],
        *,
        before_updates: bool,
    ) -> None:
        """Count one pass over replies.

        Args:
            log_probs: Of the tokens, as the trainer computes them, in nats.
            drawn: As the sampler computed them when they were drawn.
            mask: Which tokens there are.
            before_updates: Whether the model is still the one that drew them, so that any
                difference is one between sampler and trainer.
        """
        difference = (log_probs.detach().float() - drawn.float())[mask].double()
        ratios = difference.exp()
        self._ratios += ratios.sum()
        self._tokens += len(ratios)
        if len(ratios):
            self._largest = torch.maximum(self._largest.to(ratios.device), ratios.max())
        if before_updates:
            self._apart += difference.abs().sum()
            self._compared += len(ratios)

    def read(self) -> dict[str, float]:
        """Mean and largest importance ratio, and the mean distance in nats; then begin again."""
        found: dict[str, float] = {}
        if self._tokens:
            found[RATIO_MEAN] = float(self._ratios) / self._tokens
            found[RATIO_MAX] = float(self._largest)
        if self._compared:
            found[DRIFT] = float(self._apart) / self._compared
        self._tokens = self._compared = 0
        self._ratios = self._apart = 0.0
        self._largest = torch.zeros((), dtype=torch.float64)
        return found


def refuse_drift(
    settings: TrainingSettings, measured: Mapping[str, float], *, step: int, kept: Path | None
) -> None:
    """Stop a run whose replies are no longer those of the model that is trained.

    Args:
        settings: With the bounds; settings of methods that draw nothing have none.
        measured: Since the last call.
        step: Optimizer steps done.
        kept: The last checkpoint; None where there is none.

    Raises:
        ConfigError: A number is beyond its bound; says which, the bound, and what to do.
    """
    if not isinstance(settings, PolicyTraining):
        return
    where = f"kept: {kept}" if kept else "nothing was kept, no checkpoint had been written"
    mean, bound = measured.get(RATIO_MEAN), settings.most_ratio
    if mean is not None and bound is not None and not 1 / bound <= mean <= bound:
        raise ConfigError(
            f"expected a mean importance ratio between {1 / bound:.3g} and {bound:.3g} "
            f"(most_ratio), got {mean:.3g} at step {step}: the model has moved too far from the "
            "one that drew the replies. Lower learning_rate, now "
            f"{settings.learning_rate}, or iterations, now {settings.iterations}; {where}"
        )
    apart, most = measured.get(DRIFT), settings.most_drift
    if apart is not None and most is not None and not apart <= most:
        raise ConfigError(
            f"expected log-probabilities within {most:.3g} nats per token of those the replies "
            f"were drawn with (most_drift), got {apart:.3g} at step {step}: sampler and trainer "
            "do not compute the same model. Set precision='float32', take the dropout out of the "
            f"model or the adapter, or raise most_drift if you know why; {where}"
        )
