"""Where things happen inside a causal language model: places to read and exchange activations.

A site is named in one way for every family: `embed`, `3.in`, `3.attn`, `3.heads`, `3.mlp`, `3.out`,
`final`. `site_search.find_sites` finds them.

Axes: D width, H heads.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from plumbrule.errors import ConfigError
from plumbrule.records import strict

Side = Literal["in", "out"]


@strict
@dataclass(frozen=True, kw_only=True)
class Site:
    """One place in one model."""

    name: str
    path: str
    """The module, as `named_modules` calls it."""

    side: Side
    """Whether the module's input or its output."""

    heads: int | None = None
    """H, where the last axis holds H heads side by side; None elsewhere."""

    scale: float = 1.0
    """What the value is multiplied by before it is added to the residual stream."""


@strict
@dataclass(frozen=True, kw_only=True)
class Layer:
    """One decoder layer."""

    path: str
    mixer: str | None
    """The module through which earlier tokens reach later ones: attention, or a state space."""

    mlp: str | None
    """The module that works on each token alone."""

    additive: bool
    """Whether what both write adds up to what the layer adds to the residual stream."""


@strict
@dataclass(frozen=True, kw_only=True)
class Sites:
    """All sites of a model."""

    family: str
    """The model's class."""

    width: int
    """D."""

    vocabulary: int
    sites: tuple[Site, ...]
    layers: tuple[Layer, ...]
    missing: tuple[tuple[str, str], ...]
    """Sites that a layer has not, each with the reason."""

    def __getitem__(self, name: str) -> Site:
        """A site by its name.

        Raises:
            ConfigError: There is none; the closest names are given.
        """
        for site in self.sites:
            if site.name == name:
                return site
        reason = dict(self.missing).get(name)
        if reason:
            raise ConfigError(f"{self.family} has no site {name!r}: {reason}")
        close = difflib.get_close_matches(name, self.names, n=3, cutoff=0.3)
        raise ConfigError(
            f"expected a site of {self.family}, got {name!r}; the closest are {', '.join(close)}"
            if close
            else f"expected a site of {self.family} such as {self.names[0]!r}, got {name!r}"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What all sites are called, in the order in which a pass reaches them."""
        return tuple(site.name for site in self.sites)

    def named(self, kind: str) -> tuple[str, ...]:
        """Sites of one kind over the layers, such as all `out`."""
        return tuple(name for name in self.names if name.rpartition(".")[2] == kind)
