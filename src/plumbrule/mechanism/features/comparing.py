"""Which latents of a crosscoder belong to one of its two models alone, and which only seem to.

A latent whose vector is short in one model is not for that reason absent there: what it stands for
may be in that model's reconstruction by other latents, or in what is not reconstructed. Latent
scaling asks both, by fitting the latent to each.

Axes: N tokens, M latents, D width of one model's site.
"""

from dataclasses import dataclass
from typing import Literal

from plumbrule.errors import ConfigError
from plumbrule.mechanism.features import sparse
from plumbrule.mechanism.features.dictionaries import Dictionary
from plumbrule.mechanism.features.streaming import TextActivations
from plumbrule.records import strict

ROWS = 16
"""Texts read at once."""

NU_RECONSTRUCTION, NU_ERROR = 0.5, 0.2
"""Below both, a latent counts as one model's alone: the bounds of Minder et al. (2025)."""

FEWEST = 20
"""Tokens on which a latent has to be active for its scales to be fitted."""


@strict
@dataclass(frozen=True, kw_only=True)
class ScaledLatent:
    """One latent of a crosscoder, in the model where its vector is longer, and in the other."""

    latent: int
    of: Literal["tuned", "base"]
    """Where its vector is longer."""

    tokens: int
    """On which it is active."""

    other_norm: float
    """Length of its vector in the other model, over that in its own: 0 to 1."""

    nu_reconstruction: float
    """Its fit to the other model's reconstruction, over that to its own model's."""

    nu_error: float
    """Its fit to what is missing in the other model without it, over that in its own model."""

    @property
    def specific(self) -> bool:
        """Whether it belongs to its model alone."""
        return abs(self.nu_reconstruction) < NU_RECONSTRUCTION and abs(self.nu_error) < NU_ERROR


def scale_latents(dictionary: Dictionary, source: TextActivations) -> tuple[ScaledLatent, ...]:
    """Fit each latent to both models.

    With f the activations, d a latent's vector in its own model, y a target of one model, the fit
    is the least-squares factor on f d: the sum of f <d, y> over that of f² |d|². Targets are the
    reconstruction without its bias, and what is missing where the latent itself is left out. The
    ratio between the models is what is given. All of this takes a direction to mean the same in
    both models, as it does where one was trained from the other.

    Args:
        dictionary: A crosscoder.
        source: Texts that it was not trained on, and both models.

    Returns:
        Latents that were active on at least 20 tokens, the most specific first.

    Raises:
        ConfigError: It is no crosscoder.
        PlumbruleError: As for `TextActivations.read`.

    Source:
        Minder, Dumas et al. (2025), "Overcoming sparsity artifacts in crosscoders to interpret
        chat-tuning", arXiv 2504.02922: latent scaling and its two bounds. That the latent's own
        part is put back into the error of both models, and not into the reconstruction, is how we
        read it.
    """
    reading = dictionary.origin.reading
    if reading.task != "crosscoder":
        raise ConfigError(
            f"expected a crosscoder, with a vector of each model a latent, got a {reading.task}"
        )
    import torch

    width = dictionary.decoder.shape[1] // 2
    vectors = (dictionary.decoder[:, :width], dictionary.decoder[:, width:])  # base, tuned
    norms = torch.stack([torch.linalg.vector_norm(each, dim=1) for each in vectors])
    tuned = norms[1] >= norms[0]
    own = torch.where(tuned[:, None], vectors[1], vectors[0])
    latents = dictionary.latents
    fits = torch.zeros(2, 2, latents, dtype=torch.float64)  # reconstruction or error, model, M
    square = torch.zeros(latents, dtype=torch.float64)
    count = torch.zeros(latents, dtype=torch.long)
    rows = [at for at, row in enumerate(source.rows) if len(row) > source.skipped]
    for start in range(0, len(rows), ROWS):
        values = source.read(0, rows[start : start + ROWS], reading.sites)
        inputs = reading.inputs(values).float().cpu()
        codes = dictionary.codes(inputs)
        written = sparse.decoded(codes, dictionary.decoder)
        missing = inputs - written - dictionary.decoder_bias
        weights = codes.values.double()
        count.index_add_(0, codes.latents, torch.ones_like(codes.latents))
        square.index_add_(0, codes.latents, weights.square())
        for model in range(2):
            part = slice(model * width, (model + 1) * width)
            for target, whole in enumerate((written, missing)):
                along = sparse.value_slopes(codes, own, whole[:, part].contiguous())
                fits[target, model].index_add_(0, codes.latents, weights * along)
    for model in range(2):
        fits[1, model] += square * (own * vectors[model]).sum(1)
    found = []
    for latent in (count >= FEWEST).nonzero()[:, 0].tolist():
        here = int(bool(tuned[latent]))
        ratios = [
            _ratio(float(fits[target, 1 - here, latent]), float(fits[target, here, latent]))
            for target in range(2)
        ]
        found.append(
            ScaledLatent(
                latent=latent,
                of="tuned" if here else "base",
                tokens=int(count[latent]),
                other_norm=float(norms[1 - here, latent] / norms[here, latent]),
                nu_reconstruction=ratios[0],
                nu_error=ratios[1],
            )
        )
    return tuple(sorted(found, key=lambda one: max(abs(one.nu_reconstruction), abs(one.nu_error))))


def _ratio(other: float, own: float) -> float:
    """How much of a fit is in the other model; 1 where there is none in its own."""
    return other / own if own > 1e-12 else 1.0
