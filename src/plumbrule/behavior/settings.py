"""All that decides a comparison besides the two models and the prompts."""

from dataclasses import dataclass, field
from typing import Literal

from plumbrule.behavior.exploring import Exploring
from plumbrule.behavior.looking import Looking
from plumbrule.behavior.validation import Racing
from plumbrule.errors import ConfigError
from plumbrule.models import Sampling
from plumbrule.records import check_ranges, strict

Method = Literal["guided", "naive", "exhaustive"]


@strict
@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """How two models are compared."""

    method: Method = "guided"
    """`naive` looks at replies to prompts drawn by chance; `guided` does so with half of its texts
    and looks where the models seem to part with the others; `exhaustive` generates, clusters and
    tests everything."""

    fdr: float = 0.05
    """Largest expected share of false findings among those made."""

    min_effect: float = 0.05
    """Least move of a rate or score, between 0 and 1, that is worth a finding."""

    budget: int = 2000
    """Most texts to generate with both models together."""

    seed: int = 0
    """Decides the split of the prompts and every draw."""

    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=64))
    """How replies are drawn."""

    trigger_share: float = 0.1
    """Share of the reading that the search for triggers may take; 0: none is made."""

    certificate: int = 64
    """Replies drawn at random for the certificate."""

    shortcut: bool = True
    """End at once where both models are the same weights."""

    localize: bool | None = None
    """Search the layers that carry each finding; None: only where a model is small enough that this
    costs seconds."""

    scanned: int = 2400
    """Most prompts that are ranked, chosen so that every word is met."""

    exploring: Exploring = field(default_factory=Exploring)
    """How sharp changes are explored."""

    looking: Looking = field(default_factory=Looking)
    """How texts are spent before hypotheses are fixed."""

    most_pairs: int = 200
    """Pairs of replies after which a hypothesis is given up."""

    def __post_init__(self) -> None:
        if not 0 < self.fdr < 1:
            raise ConfigError(f"--fdr must be strictly between 0 and 1, got {self.fdr}")
        if not 0 <= self.min_effect < 1:
            raise ConfigError(
                f"--min-effect must be at least 0 and below 1, got {self.min_effect}; it is a "
                "move of a rate between 0 and 1, such as 0.05"
            )
        for name in ("budget", "scanned", "most_pairs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_ranges(
            self,
            budget=(1, 10**8),
            seed=(-(2**63), 2**63 - 1),
            trigger_share=(0, 1),
            certificate=(0, 10**6),
            scanned=(1, 10**8),
            most_pairs=(1, 10**7),
        )

    @property
    def racing(self) -> Racing:
        """What validation needs of these."""
        return Racing(level=self.fdr, minimum_effect=self.min_effect, most_pairs=self.most_pairs)
