"""The change of one matrix while it is fitted, in coordinates that spare what shall stay.

Axes: I inputs of a matrix, O outputs, K rank, N directions that kept inputs use.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbrule.mechanism.repairs.repair_settings import RepairSettings


@dataclass
class WhiteInputs:
    """Coordinates in which a matrix's inputs on kept prompts have unit variance."""

    along: Any
    """Directions that kept inputs use, (I, N)."""

    scales: Any
    """What each is multiplied by, less what all else is."""

    rest: float
    """What all else is multiplied by."""

    @classmethod
    def of(cls, inputs: Any, ridge: float) -> "WhiteInputs":
        """From inputs at kept tokens, (tokens, I), and a share of their variance to add."""
        import torch

        # The smaller of both squares: there are often fewer tokens than inputs.
        rows, columns = inputs.shape
        added = ridge * float(inputs.square().mean())
        square = inputs @ inputs.T if rows < columns else inputs.T @ inputs
        values, vectors = torch.linalg.eigh(square / rows)
        kept = values > 1e-6 * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        if rows < columns:
            vectors = inputs.T @ vectors / (values * rows).sqrt()
        rest = added**-0.5
        return cls(along=vectors, scales=(values + added).rsqrt() - rest, rest=rest)

    def __call__(self, columns: Any) -> Any:
        """Columns of inputs, (I, K), in or out of these coordinates; it is its own transpose."""
        return self.rest * columns + self.along @ (self.scales[:, None] * (self.along.T @ columns))


@dataclass
class FittedChange:
    """The change of one matrix while it is fitted: left @ right.T, right in white inputs."""

    left: Any
    right: Any
    white: WhiteInputs

    @property
    def trained(self) -> list[Any]:
        """What the optimizer moves."""
        return [self.left, self.right]

    def hook(self, part: Any, arguments: Any, given: Any) -> Any:
        """Forward hook that adds the change to the matrix's output."""
        added = (arguments[0].float() @ self.white(self.right)) @ self.left.T
        return given + added.to(given.dtype)

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Left (O, K) and right (I, K) factor of the change of the matrix itself."""
        reads = self.white(self.right).detach().double().cpu().numpy()
        return self.left.detach().double().cpu().numpy(), reads


def untrained_change(gradient: Any, inputs: Any, settings: RepairSettings) -> FittedChange:
    """A change that is zero, and reads where the fault's gradient is, against what is kept."""
    import torch

    white = WhiteInputs.of(inputs, settings.ridge)
    sharp = white(gradient.T)
    rank = min(settings.rank, *gradient.shape)
    # Few of the strongest directions are found by powers of the matrix on a few random ones.
    start = torch.randn(
        gradient.shape[0],
        min(rank + 6, *gradient.shape),
        generator=torch.Generator().manual_seed(0),
    ).to(gradient.device)
    for _ in range(4):
        basis = torch.linalg.qr(sharp @ start)[0]
        start = torch.linalg.qr(sharp.T @ basis)[0]
    basis = torch.linalg.qr(sharp @ start)[0]
    right = (basis @ torch.linalg.svd(basis.T @ sharp, full_matrices=False)[0])[:, :rank]
    left = torch.zeros(gradient.shape[0], rank, device=gradient.device)
    return FittedChange(
        left=left.requires_grad_(), right=right.contiguous().requires_grad_(), white=white
    )


def gain(gradient: Any, inputs: Any) -> float:
    """How far a change of unit disturbance on kept inputs would lower the fault."""
    spread = inputs.square().mean(0)
    spread = spread + 0.1 * spread.mean()
    return float((gradient.square() / spread).sum())
