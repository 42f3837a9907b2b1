"""A trained dictionary: which latents there are, what each reads and writes, and where it belongs.

Axes: N tokens, I width of what is read, O width of what is written, M latents.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.features import sparse
from plumbrule.mechanism.features.settings import Kind

Task = Literal["autoencoder", "transcoder", "crosscoder", "difference"]

BASE = "base:"
"""Before a site's name: the same site of the model before training."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a dictionary reads and what it has to write.

    Raises:
        ConfigError: A transcoder does not say what to write, or another task does.
    """

    task: Task = "autoencoder"
    """`autoencoder`: a site from itself. `transcoder`: one site from another. `crosscoder`: a site
    of two models, side by side, from both. `difference`: what training changed at a site."""

    site: str
    """Where it reads."""

    into: str | None = None
    """Where it writes; a transcoder only."""

    def __post_init__(self) -> None:
        if (self.task == "transcoder") != (self.into is not None):
            raise ConfigError(
                f"a transcoder reads one site and writes another, every other task one site; got "
                f"{self.task} from {self.site} into {self.into}"
            )

    @property
    def two_models(self) -> bool:
        """Whether it reads the model before training too."""
        return self.task in ("crosscoder", "difference")

    @property
    def sites(self) -> tuple[str, ...]:
        """What has to be read, those of the model before training with `base:` before them."""
        own = (self.site,) if self.into is None else (self.site, self.into)
        return (*own, BASE + self.site) if self.two_models else own

    def inputs(self, values: Mapping[str, Any]) -> Any:
        """What the dictionary reads, (N, I)."""
        import torch

        own = values[self.site]
        if self.task == "crosscoder":
            return torch.cat([values[BASE + self.site], own], dim=-1)
        return own - values[BASE + self.site] if self.task == "difference" else own

    def targets(self, values: Mapping[str, Any]) -> Any:
        """What the dictionary has to write, (N, O)."""
        return self.inputs(values) if self.into is None else values[self.into]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which model a dictionary belongs to, as far as is known."""

    reading: Reading
    model: str = ""
    """What was typed to open the model."""

    identity: str = ""
    """Hash of the model's weights; empty where a file does not say."""

    base: str = ""
    """Hash of the weights of the model before training; empty where there is none."""

    family: str = ""
    """The model's class."""

    skipped: int = 1
    """Tokens at the beginning of each text that it was not trained on."""

    largest: float | None = None
    """Length of activations beyond which tokens were left out; None where none were."""

    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings and counts of its training, for the record."""


@dataclass(frozen=True, kw_only=True)
class Dictionary:
    """Latents, each with a vector that it reads and one that it writes; it takes raw activations.

    Raises:
        DataError: Shapes contradict each other, or a number is NaN or infinite.
    """

    kind: Kind
    encoder: Any
    """What each latent reads, (M, I)."""

    encoder_bias: Any
    """(M,)."""

    decoder: Any
    """What each latent writes where it is active with 1, (M, O)."""

    decoder_bias: Any
    """What is written without any, (O,)."""

    threshold: Any | None = None
    """Below it a latent is silent, (M,); None where activations are counted instead, or where every
    one above zero counts."""

    active: int | None = None
    """Most active latents a token; `topk` only."""

    skip: Any | None = None
    """A matrix from what is read straight to what is written, (I, O); some transcoders have it."""

    origin: Origin

    def __post_init__(self) -> None:
        import torch

        latents = self.encoder.shape[0]
        shapes = {
            "encoder_bias": (latents,),
            "decoder": (latents, self.decoder.shape[-1]),
            "decoder_bias": (self.decoder.shape[-1],),
            "threshold": (latents,),
            "skip": (self.encoder.shape[-1], self.decoder.shape[-1]),
        }
        for name in ("encoder", "decoder", *shapes):
            value = getattr(self, name)
            if value is None:
                continue
            expected = shapes.get(name)
            if expected is not None and tuple(value.shape) != expected:
                raise DataError(
                    f"expected {name} of shape {expected} beside an encoder of "
                    f"{tuple(self.encoder.shape)}, got {tuple(value.shape)}; the file is damaged "
                    "or of another layout"
                )
            if not bool(torch.isfinite(value).all()):
                raise DataError(f"expected numbers in {name}, got NaN or inf; the file is damaged")
        if self.kind == "topk" and not self.active:
            raise DataError("a topk dictionary needs the number of active latents, got none")

    @property
    def latents(self) -> int:
        """M."""
        return int(self.encoder.shape[0])

    def codes(self, inputs: Any) -> sparse.Codes:
        """How active each latent is, without those that are silent.

        Args:
            inputs: Activations, (N, I).

        Raises:
            DataError: They are of another width.
        """
        import torch

        self._check(inputs)
        inputs = inputs.float()
        if self.kind == "topk":
            assert self.active is not None
            return sparse.encode_top(inputs, self.encoder, self.encoder_bias, self.active)
        before = torch.addmm(self.encoder_bias, inputs, self.encoder.mT)
        limit = self.encoder_bias.new_zeros(self.latents)
        return sparse.above(before, limit if self.threshold is None else self.threshold)

    def encode(self, inputs: Any) -> Any:
        """How active each latent is, (N, M).

        Args:
            inputs: Activations, (N, I).

        Raises:
            DataError: They are of another width.
        """
        return sparse.dense(self.codes(inputs), self.latents)

    def decode(self, codes: Any) -> Any:
        """What latents write, (N, O).

        Args:
            codes: What `codes` or `encode` gave; a skip matrix is left out, for it reads the
                inputs.
        """
        if isinstance(codes, sparse.Codes):
            return sparse.decoded(codes, self.decoder) + self.decoder_bias
        return codes @ self.decoder + self.decoder_bias

    def reconstruct(self, inputs: Any) -> Any:
        """What is written for given activations, (N, O).

        Args:
            inputs: Activations, (N, I).

        Raises:
            DataError: They are of another width.
        """
        written = self.decode(self.codes(inputs))
        return written if self.skip is None else written + inputs.float() @ self.skip

    def ordinary(self, inputs: Any) -> Any:
        """Which tokens are of the size that the dictionary was trained on, (N,).

        Args:
            inputs: Activations, (N, I).
        """
        lengths = inputs.float().norm(dim=-1)
        limit = self.origin.largest
        return lengths <= (float("inf") if limit is None else limit)

    def _check(self, inputs: Any) -> None:
        if inputs.ndim != 2 or inputs.shape[1] != self.encoder.shape[1]:
            raise DataError(
                f"expected activations of width {self.encoder.shape[1]}, one row a token, got "
                f"{tuple(inputs.shape)}; the dictionary belongs to another site or model"
            )
