"""How good a dictionary is: what it explains, how sparse it is, and what the model loses with it.

Axes: N tokens, M latents, O width of what is written, R rows, T tokens of a row.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from plumbrule.errors import DataError
from plumbrule.mechanism.features.dictionaries import Dictionary
from plumbrule.mechanism.features.streaming import TextActivations
from plumbrule.mechanism.hooks import Look, watching
from plumbrule.models.modules import evaluation_mode
from plumbrule.records import strict

ROWS = 16
"""Texts read at once."""


@strict
@dataclass(frozen=True, kw_only=True)
class DictionaryScore:
    """One dictionary on held-out texts."""

    tokens: int
    variance_explained: float
    """1 less the share of the variance around the mean that is not reconstructed; below 0 where the
    mean alone does better."""

    active: float
    """L0: active latents a token, on average."""

    dead: float
    """Share of latents that were active nowhere."""

    loss: float | None
    """The model's own, nats a token; None where the dictionary cannot stand in for a site."""

    loss_spliced: float | None
    """With what the dictionary writes in place of the site's activations."""

    loss_without: float | None
    """With zeros in their place."""

    loss_recovered: float | None
    """Share of what zeros cost that the dictionary saves: 1 is the model itself, 0 are zeros."""

    reason: str = ""
    """Why there is no loss."""


def score_dictionary(dictionary: Dictionary, source: TextActivations) -> DictionaryScore:
    """Score a dictionary on texts that it was not trained on.

    Args:
        dictionary: What to score.
        source: Held-out texts and the model, or both models.

    Raises:
        PlumbruleError: As for `TextActivations.read`; or the dictionary is of another width.
    """
    import torch

    reading = dictionary.origin.reading
    names = reading.sites
    count, entries = 0, 0
    missing, square = 0.0, 0.0
    total: Any = 0.0
    ever = torch.zeros(dictionary.latents, dtype=torch.bool)
    rows = [at for at, row in enumerate(source.rows) if len(row) > source.skipped]
    for start in range(0, len(rows), ROWS):
        values = source.read(0, rows[start : start + ROWS], names)
        inputs = reading.inputs(values).float().cpu()
        targets = reading.targets(values).double().cpu()
        usual = dictionary.ordinary(inputs)
        inputs, targets = inputs[usual], targets[usual]
        codes = dictionary.codes(inputs)
        written = dictionary.decode(codes)
        if dictionary.skip is not None:
            written = written + inputs @ dictionary.skip
        if written.shape != targets.shape:
            raise DataError(
                f"expected a dictionary that writes {targets.shape[1]} numbers a token at "
                f"{reading.into or reading.site}, this one writes {written.shape[1]}; it is of "
                "another model"
            )
        missing += float((targets - written).square().sum())
        square += float(targets.square().sum())
        total = total + targets.sum(0)
        entries += len(codes.values)
        ever[codes.latents] = True
        count += len(inputs)
    variance = square - float((total / count).square().sum()) * count
    if not variance > 1e-12 * square:
        raise DataError("expected activations that vary, the held-out ones are all alike")
    if reading.two_models:
        losses: tuple[float | None, ...] = (None, None, None)
        reason = f"a {reading.task} reads two models and stands in for neither"
    else:
        losses, reason = spliced_losses(dictionary, source), ""
    own, spliced, without = losses
    recovered = None
    if own is not None and spliced is not None and without is not None:
        if without - own > 1e-6:
            recovered = (without - spliced) / (without - own)
        else:
            reason = "zeros at the site cost nothing, so that nothing can be recovered"
    return DictionaryScore(
        tokens=count,
        variance_explained=1 - missing / variance,
        active=entries / count,
        dead=float((~ever).float().mean()),
        loss=own,
        loss_spliced=spliced,
        loss_without=without,
        loss_recovered=recovered,
        reason=reason,
    )


def spliced_losses(dictionary: Dictionary, source: TextActivations) -> tuple[float, float, float]:
    """Nats a token: the model's own, with the dictionary in place of a site, and with zeros there.

    Only positions that it was trained on are exchanged: in every text those behind the first, and
    none that is far larger than most.

    Args:
        dictionary: Of one model.
        source: Held-out texts; the model is left as it was.
    """
    sums, count = [0.0, 0.0, 0.0], 0
    rows = [row for row in source.rows if len(row) > source.skipped + 1]
    if not rows:
        raise DataError(
            f"expected held-out texts of at least {source.skipped + 2} tokens, got none"
        )
    rows = sorted(rows, key=len)
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        count += sum(len(row) - 1 for row in some)
        for at, look in enumerate((None, "written", "zeros")):
            sums[at] += _loss(dictionary, source, some, look)
    own, spliced, without = (each / count for each in sums)
    return own, spliced, without


def _loss(
    dictionary: Dictionary, source: TextActivations, rows: Sequence[Sequence[int]], kind: str | None
) -> float:
    """Summed nats of the rows' own next tokens."""
    import torch

    module, sites = source.model.module, source.model.sites
    device = next(module.parameters()).device
    width = max(len(row) for row in rows)
    padded = [[*row, *[row[-1]] * (width - len(row))] for row in rows]
    ids = torch.tensor(padded, device=device)
    looks: Mapping[Any, Look] = {}
    if kind is not None:
        looks = _splice(dictionary, sites, source.skipped, zeros=kind == "zeros")
    with (
        evaluation_mode(module),
        torch.no_grad(),
        watching(module, looks) if looks else nullcontext(),
    ):
        logits = module(input_ids=ids, use_cache=False)["logits"][:, :-1].float()
    losses = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none"
    ).reshape(len(rows), -1)
    lengths = torch.tensor([len(row) - 1 for row in rows], device=device)
    inside = torch.arange(width - 1, device=device) < lengths[:, None]
    return float(losses.double()[inside].sum())


def _splice(dictionary: Dictionary, sites: Any, skipped: int, *, zeros: bool) -> dict[Any, Look]:
    """Hooks that put what the dictionary writes in place of its site's activations."""
    import torch

    reading = dictionary.origin.reading
    held: dict[str, Any] = {}

    def read(value: Any) -> None:
        held["read"] = value.detach()

    def write(value: Any) -> Any:
        source = held.get("read", value)
        inputs = source[:, skipped:].reshape(-1, source.shape[-1])
        inputs = inputs.float().cpu()
        written = dictionary.reconstruct(inputs)
        new = value.clone()
        part = torch.zeros_like(written) if zeros else written
        # Tokens that are far larger than those trained on stay as they are.
        held_back = value[:, skipped:].reshape(-1, value.shape[-1]).float().cpu()
        part = torch.where(dictionary.ordinary(inputs)[:, None], part, held_back)
        new[:, skipped:] = part.reshape(*new[:, skipped:].shape).to(new)
        return new

    if reading.into is None:
        return {sites[reading.site]: write}
    return {sites[reading.site]: read, sites[reading.into]: write}


@strict
@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How well the latents of a dictionary are the features that are known to be there."""

    mean_max_cosine: float
    """For each true feature the cosine of the latent that is nearest, on average."""

    mean_matched_cosine: float
    """The same where no latent counts for two features: the best matching of all (MCC)."""

    found: float
    """Share of the true features with a matched cosine above 0.9."""


def recovery(decoder: Float[np.ndarray, "M O"], features: Float[np.ndarray, "F O"]) -> Recovery:
    """Compare what latents write with the directions that are known to be there.

    Args:
        decoder: One vector per latent.
        features: A direction a true feature.

    Raises:
        DataError: Widths differ, or there are fewer latents than features.

    Source:
        Sharkey et al. (2022), "Taking features out of superposition with sparse autoencoders", for
        the mean of the largest cosines; matching by assignment as in independent component
        analysis (Hyvärinen & Morioka 2016).

    Example:
        >>> found = recovery(np.eye(3), np.eye(3)[::-1])
        >>> found.mean_max_cosine, found.mean_matched_cosine, found.found
        (1.0, 1.0, 1.0)
    """
    if decoder.shape[1] != features.shape[1] or len(decoder) < len(features):
        raise DataError(
            f"expected at least as many latents as features, of one width, got {decoder.shape} and "
            f"{features.shape}"
        )
    cosines = _unit(features) @ _unit(decoder).T
    rows, columns = linear_sum_assignment(-cosines)
    matched = cosines[rows, columns]
    return Recovery(
        mean_max_cosine=float(cosines.max(axis=1).mean()),
        mean_matched_cosine=float(matched.mean()),
        found=float((matched > 0.9).mean()),
    )


def _unit(table: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    return np.asarray(table / np.clip(lengths, 1e-12, None))
