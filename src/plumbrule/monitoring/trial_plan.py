"""The plan of a trial of two arms: all that decides it, fixed before it begins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError
from plumbrule.monitoring.sampling import stable_uniform
from plumbrule.records import check_ranges, strict
from plumbrule.store import fingerprint

Arm = Literal["incumbent", "candidate"]


@strict
@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """All that decides a trial, fixed before it begins."""

    name: str
    """Salt of the assignment: another trial draws others."""

    primary: str
    """Principle that the candidate is to break less often."""

    guards: tuple[str, ...] = ()
    """Principles under which it must not become worse."""

    share: float = 0.1
    """Of the conversations that go to the candidate."""

    smallest: float = 0.02
    """Least improvement worth having, a share: when less is shown, the trial is futile."""

    margin: float = 0.01
    """Differences within it, either way, do not matter: for equivalence, and for the guards."""

    expected: Mapping[str, float] = field(default_factory=dict)
    """Principle → rate of the incumbent that is expected; a wrong one costs time, not truth."""

    alpha: float = 0.05
    """Chance of a win for nothing, over all looks together; the same for harm and equivalence."""

    beta: float = 0.1
    """Chance of calling a trial futile that is not."""

    least: int = 7_000
    """Conversations before which nothing but harm ends it: a week at a thousand a day. What ends
    sooner ends by luck as often as by effect, and reports too much."""

    most: int = 50_000
    """Conversations after which it ends."""

    every: int = 50
    """Conversations between two looks."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            share=(0.001, 0.999),
            smallest=(1e-6, 1.0),
            margin=(1e-6, 1.0),
            alpha=(1e-9, 0.5),
            beta=(1e-9, 0.5),
            least=(0, self.most),
            most=(100, 10**9),
            every=(1, 10**6),
        )
        names = [self.primary, *self.guards]
        if len(set(names)) != len(names):
            raise ConfigError(f"a plan names each principle once, got {', '.join(names)}")
        for name, rate in self.expected.items():
            if not 0.0 <= rate <= 1.0:
                raise ConfigError(f"the expected rate of {name!r:.60} is a share, got {rate}")

    @cached_property
    def sha256(self) -> str:
        """Hash of all that the plan says."""
        return fingerprint(
            {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "expected"}
            | {"expected": dict(self.expected), "guards": list(self.guards)}
        )

    @property
    def principles(self) -> tuple[str, ...]:
        """The primary one first."""
        return (self.primary, *self.guards)

    def arm(self, unit: str) -> Arm:
        """Which arm a conversation belongs to, the same everywhere and always.

        Example:
            >>> plan = TrialPlan(name="spring", primary="no-lies")
            >>> arms = [plan.arm(f"thread {n}") for n in range(1000)]
            >>> 70 < arms.count("candidate") < 130
            True
        """
        drawn = stable_uniform(f"plumbrule ab {self.name}", unit)
        return "candidate" if drawn < self.share else "incumbent"

    def scores(self, principle: str) -> Float[np.ndarray, "4"]:
        """What a conversation of each of the four kinds tells of the difference."""
        taken, share = self.expected.get(principle, 0.0), self.share
        return np.array(
            [(1 - taken) / share, -taken / share, -(1 - taken) / (1 - share), taken / (1 - share)]
        )
