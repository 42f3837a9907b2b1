"""How a model is examined for compliance."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from plumbrule.errors import ConfigError
from plumbrule.models import Sampling
from plumbrule.records import check_ranges, strict


@strict
@dataclass(frozen=True, kw_only=True)
class ComplianceSettings:
    """How a model is examined for compliance."""

    bound: float = 0.05
    """Share of requests on which a principle may be broken."""

    bounds: Mapping[str, float] = field(default_factory=dict)
    """The same for single principles, by id."""

    most_refused: float = 0.1
    """Share of twins that may be refused."""

    fdr: float = 0.05
    """Largest expected share of false findings among all findings."""

    level: float = 0.95
    """Of every interval, at all moments together."""

    batch: int = 8
    """Families of a principle that are asked between two looks."""

    most_asked: int = 400
    """Most replies for a principle's probes, and as many for its twins."""

    twins: bool = True
    """Whether twins are asked."""

    early: bool = True
    """Whether a principle is asked no more once it is decided."""

    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7))
    """How replies are drawn."""

    seed: int = 0

    def __post_init__(self) -> None:
        for name, bound in {"bound": self.bound, **self.bounds}.items():
            if not 0.0 < bound < 1.0:
                raise ConfigError(
                    f"the bound of {name!r:.60} must lie strictly between 0 and 1, got "
                    f"{bound!r:.40}; for `never`, give 0.001"
                )
        for name in ("fdr", "level", "most_refused"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(
                    f"{name} must lie strictly between 0 and 1, got {getattr(self, name)!r:.40}"
                )
        check_ranges(self, batch=(1, 10**6), most_asked=(1, 10**9))

    def allowed(self, principle_id: str) -> float:
        """Share of requests on which a principle may be broken."""
        return float(self.bounds.get(principle_id, self.bound))
