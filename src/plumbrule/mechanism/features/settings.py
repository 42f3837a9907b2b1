"""How a dictionary is trained: all that decides the result besides the activations."""

from dataclasses import dataclass
from typing import Literal

from plumbrule.errors import ConfigError

Kind = Literal["relu", "topk", "batch_topk", "jumprelu", "matryoshka"]
"""How activations are kept few: by an L1 penalty, by count a row, by count a batch, by a learned
threshold, or by count a batch with latents that must also do without those behind them."""

KINDS: tuple[Kind, ...] = ("relu", "topk", "batch_topk", "jumprelu", "matryoshka")


@dataclass(frozen=True, kw_only=True)
class DictionarySettings:
    """How one dictionary is trained.

    Raises:
        ConfigError: A setting is out of range or contradicts another.
    """

    kind: Kind = "batch_topk"
    """How activations are kept few."""

    latents: int = 2048
    """M: how many latents."""

    active: int = 32
    """Active latents a token: exactly at most so many (`topk`), on average (`batch_topk`,
    `matryoshka`), or what is aimed at (`jumprelu`). Not used by `relu`."""

    tokens: int = 1_000_000
    """Tokens to train on; texts are read again where there are fewer."""

    batch: int = 1024
    """Tokens a step."""

    learning_rate: float = 1e-3
    """Of Adam, after a warm-up of 5% of the steps; it falls to zero over the second half. For
    `topk` and its kin on up to a few million tokens; take less for longer runs."""

    momentum: float = 0.0
    """Adam's first decay. At 0, as Rajamanoharan et al. (2024) train, latents that are not active
    stay where they are, and no first moments are kept."""

    second_decay: float = 0.99
    """Adam's second decay. Lower than usual, because a rare latent's slope is mostly zero; less
    still (0.95) finds more rare features in made data."""

    sparsity: float = 1.0
    """Weight of the L1 penalty (`relu`) or of the distance from `active` (`jumprelu`), where
    activations are scaled so that their mean square is 1."""

    groups: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
    """`matryoshka` only: shares of the latents that must reconstruct alone."""

    dead_after: float = 0.01
    """A latent that was silent for this share of all tokens, and for 10 batches, is dead: it begins
    anew at what is least well reconstructed; not in the last 20%."""

    outliers: float = 10.0
    """Tokens whose activations are longer than so many times the median are not trained on: a few
    tokens of most models are a hundred times as large as all others, and would be all that is
    learned. Not used for differences, whose large values are what is looked for."""

    seed: int = 0
    """Of the first weights and of where dead latents begin anew."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"expected a kind among {', '.join(KINDS)}, got {self.kind!r}")
        for name in ("latents", "active", "tokens", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.kind != "relu" and self.active > self.latents:
            raise ConfigError(
                f"expected at most as many active latents as there are, got {self.active} of "
                f"{self.latents}; take fewer active or more latents"
            )
        if (
            not 0.0 < self.learning_rate < 1.0
            or not 0.0 <= self.momentum < 1.0
            or not 0.0 < self.second_decay < 1.0
        ):
            raise ConfigError(
                "expected a learning rate and a second_decay between 0 and 1 and a momentum of at "
                f"least 0 and below 1, got {self.learning_rate}, {self.second_decay} and "
                f"{self.momentum}"
            )
        if not self.outliers > 1.0:
            raise ConfigError(f"outliers must be above 1, got {self.outliers}")
        if not self.sparsity >= 0.0 or not 0.0 < self.dead_after <= 1.0:
            raise ConfigError(
                "expected a sparsity of at least 0 and dead_after above 0 and at most 1, got "
                f"{self.sparsity} and {self.dead_after}"
            )
        if self.kind == "matryoshka":
            ordered = list(self.groups) == sorted(set(self.groups))
            if not ordered or self.groups[-1] != 1.0 or self.groups[0] * self.latents < 1:
                raise ConfigError(
                    "expected ascending shares of the latents that end with 1 and begin with at "
                    f"least one latent, got {self.groups} of {self.latents}"
                )

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return max(1, round(self.tokens / self.batch))

    @property
    def ends(self) -> tuple[int, ...]:
        """Where each group of latents ends."""
        shares = self.groups if self.kind == "matryoshka" else (1.0,)
        return tuple(sorted({max(1, round(share * self.latents)) for share in shares}))
