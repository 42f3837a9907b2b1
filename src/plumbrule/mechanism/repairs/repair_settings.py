"""How a repair is fitted, and what the fit has read."""

from dataclasses import dataclass, field

from plumbrule.models import Sampling
from plumbrule.records import check_ranges


@dataclass(frozen=True, kw_only=True)
class RepairSettings:
    """How a repair is fitted.

    Raises:
        ConfigError: A number is out of range.
    """

    matrices: int = 6
    """How many matrices may change, those first in which the fault is written most."""

    depth: float = 0.0
    """Share of the layers, from below, that are left alone: those are read only once."""

    rank: int = 1
    """Rank of each change."""

    steps: int = 16
    """Steps of optimization in each round."""

    rounds: int = 2
    """Times that replies are drawn; from the second on, by the model repaired so far."""

    batch: int = 8
    """Prompts that show the fault in a step, and twice as many kept ones."""

    located: int = 8
    """Prompts that show the fault by which the matrices are chosen."""

    branches: int = 16
    """First tokens tried for what to say instead."""

    learning_rate: float = 0.01
    """Step size of Adam, in a matrix's output for inputs of unit variance."""

    kept_weight: float = 40.0
    """Weight of staying the same on kept prompts (KL, nats a token) against the rest."""

    wanted_weight: float = 3.0
    """Weight of what is to be said instead (nats a token) against unlearning."""

    enough: float = 0.05
    """Loss of a step, kept prompts left out, at which a round ends."""

    ridge: float = 0.1
    """What is added to the variance of kept inputs, as a share of its mean."""

    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=48))
    """How replies are drawn."""

    least: int = 4
    """Replies at fault without which nothing is fitted."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            matrices=(1, 10**4),
            depth=(0, 0.99),
            batch=(1, 10**6),
            located=(1, 10**6),
            branches=(1, 10**4),
            wanted_weight=(0, 1e6),
            rank=(1, 1024),
            steps=(1, 10**5),
            rounds=(1, 100),
            learning_rate=(1e-8, 10),
            kept_weight=(0, 1e6),
            enough=(0, 100),
            ridge=(1e-8, 1e3),
            least=(1, 10**6),
        )


@dataclass(kw_only=True)
class RepairCost:
    """What a fit has read, in tokens times passes; a backward pass counts as two."""

    drawn: float = 0.0
    """Tokens read and written to draw replies."""

    passes: float = 0.0
    """Tokens of the fit itself times passes, each by the share of layers that it ran through."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.drawn + self.passes
