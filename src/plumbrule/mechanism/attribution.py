"""Attribution patching: what full patching would give, to first order, for every node at once.

One pass over each prompt and one pass back replace a pass for each activation. The estimate is the
activation's difference between the prompts, times the metric's slope there; averaged over steps
from the corrupted prompt's embeddings to the clean one's it holds further (integrated gradients).

Axes: T tokens, D width at a site, H heads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.capturing import read
from plumbrule.mechanism.hooks import last_logits, watching
from plumbrule.mechanism.patching import Metric, halving
from plumbrule.mechanism.sites import Sites
from plumbrule.models.modules import evaluation_mode

Scores = Mapping[str, Float[np.ndarray, "T H"]]
"""By site the estimated move of the metric, for each position; where a site holds heads side by
side one column per head, elsewhere one column."""

BATCH_TOKENS = 1024
"""Tokens in a batch; what a pass back needs is kept for all of them."""


def attribute(
    module: Any,
    sites: Sites,
    clean: Sequence[int],
    corrupted: Sequence[int],
    names: Sequence[str],
    metric: Metric,
    *,
    steps: int = 1,
) -> Scores:
    """Estimate how far each clean activation would move the corrupted prompt's metric.

    Args:
        module: The model; left as it was, without gradients on its weights.
        sites: Its sites.
        clean: Tokens of the prompt whose activations are brought in.
        corrupted: Tokens of the prompt that is run; as many.
        names: Sites to attribute to.
        metric: What is measured after the last token.
        steps: Steps between the prompts' embeddings. At 1 the slope is taken at the corrupted
            prompt alone.

    Raises:
        ConfigError: There is no such site, or no step.
        DataError: The prompts differ in length.

    Source:
        Nanda (2023), attribution patching; Hanna, Pezzelle & Belinkov (2024), arXiv 2403.17806,
        for integrated gradients over inputs.
    """
    return attribute_pairs(module, sites, [(clean, corrupted)], names, metric, steps=steps)[0]


def attribute_pairs(
    module: Any,
    sites: Sites,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    names: Sequence[str],
    metric: Metric | Sequence[Metric],
    *,
    steps: int = 1,
) -> list[Scores]:
    """Estimate the same for many pairs of prompts; pairs and steps share batches.

    Args:
        module: The model; left as it was, without gradients on its weights.
        sites: Its sites.
        pairs: Clean and corrupted tokens, as many in both; pairs may differ in length.
        names: Sites to attribute to.
        metric: What is measured after the last token: one for all pairs, or one per pair.
        steps: Steps between the prompts' embeddings.

    Returns:
        Scores in the order of the pairs.

    Raises:
        ConfigError: There is no such site, no step, or not one metric a pair.
        DataError: There is no pair, or the prompts of one differ in length.
        ModelError: Even one pair does not fit into memory.
    """
    metrics = [metric] * len(pairs) if callable(metric) else list(metric)
    _check(pairs, metrics, steps)
    for name in names:
        sites[name]  # says which there are
    by_length: dict[int, list[int]] = {}
    for number, (clean, _) in enumerate(pairs):
        by_length.setdefault(len(clean), []).append(number)
    found: dict[int, Scores] = {}
    with evaluation_mode(module):
        for length, numbers in by_length.items():

            def run(batch: list[int]) -> list[Scores]:
                return _attributed(
                    module,
                    sites,
                    [pairs[number] for number in batch],
                    names,
                    [metrics[number] for number in batch],
                    steps,
                )

            for batch, scores in halving(numbers, max(1, BATCH_TOKENS // length), run):
                found.update(zip(batch, scores, strict=True))
    return [found[number] for number in range(len(pairs))]


def _check(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], metrics: Sequence[Metric], steps: int
) -> None:
    """Refuse what cannot be attributed."""
    if not pairs:
        raise DataError("expected pairs of prompts to attribute between, got none")
    for clean, corrupted in pairs:
        if len(clean) != len(corrupted) or not clean:
            raise DataError(
                "expected two prompts of as many tokens, so that each position has its "
                f"counterpart; got {len(clean)} and {len(corrupted)}"
            )
    if len(metrics) != len(pairs):
        raise ConfigError(
            f"expected one metric, or one for each of {len(pairs)} pairs, got {len(metrics)}"
        )
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")


def _attributed(
    module: Any,
    sites: Sites,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    names: Sequence[str],
    metrics: Sequence[Metric],
    steps: int,
) -> list[Scores]:
    """Scores of pairs of one length."""
    import torch

    device = next(module.parameters()).device
    clean, corrupted = (
        torch.tensor([list(pair[side]) for pair in pairs], device=device) for side in (0, 1)
    )
    there = read(module, [sites[name] for name in dict.fromkeys(("embed", *names))], clean)
    here: dict[str, Any] = {name: torch.empty_like(there[name]) for name in names}
    sums: dict[str, Any] = {}

    def run(batch: list[tuple[int, int]]) -> None:
        chosen = torch.tensor([pair for pair, _ in batch], device=device)
        shares = torch.tensor([step / steps for _, step in batch], device=device)
        held, slopes = _slopes(
            module,
            sites,
            corrupted[chosen],
            (there["embed"][chosen], shares),
            names,
            [metrics[pair] for pair, _ in batch],
        )
        first = shares == 0.0
        parts = {}
        for name in names:
            # The first step is the corrupted prompt itself.
            here[name][chosen[first]] = held[name][first]
            difference = (there[name][chosen] - here[name][chosen]).double()
            parts[name] = _by_head(difference * slopes[name].double() / steps, sites[name].heads)
        # Nothing is added before all of it is there: a batch too large is run again in halves.
        for name, part in parts.items():
            if name not in sums:
                sums[name] = part.new_zeros(len(pairs), *part.shape[1:])
            sums[name].index_add_(0, chosen, part)

    rows = [(pair, step) for pair in range(len(pairs)) for step in range(steps)]
    for _ in halving(rows, max(1, BATCH_TOKENS // clean.shape[1]), run):
        pass
    found = {name: total.cpu().numpy() for name, total in sums.items()}
    return [{name: found[name][pair] for name in names} for pair in range(len(pairs))]


def _slopes(
    module: Any,
    sites: Sites,
    ids: Any,
    toward: tuple[Any, Any],
    names: Sequence[str],
    metrics: Sequence[Metric],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Activations of each site, and the gradient of each row's metric there.

    Args:
        module: The model.
        sites: Its sites.
        ids: The corrupted prompt of each row, (R, T).
        toward: For each row, other embeddings, and the share of the way to them at which to start.
        names: Sites.
        metrics: One per row.
    """
    import torch

    held: dict[str, Any] = {}
    end, shares = toward

    def begin(start: Any) -> Any:
        # A leaf of its own, so that slopes are there whatever the weights' own settings say.
        way = shares.to(start.dtype).reshape(-1, *[1] * (start.dim() - 1))
        held["embed"] = (start + (end - start) * way).detach().requires_grad_()
        return held["embed"]

    def keep(name: str) -> Any:
        def look(value: Any) -> None:
            held[name] = value

        return look

    looks = {sites["embed"]: begin}
    looks |= {sites[name]: keep(name) for name in names if name != "embed"}
    with torch.enable_grad(), watching(module, looks):
        value = _measured(last_logits(module, ids, watched=names), metrics).sum()
        found = torch.autograd.grad(value, [held[name] for name in names], allow_unused=True)
    shape = (*ids.shape, -1)
    return {name: held[name].detach().reshape(shape) for name in names}, {
        name: (torch.zeros_like(held[name]) if slope is None else slope).reshape(shape)
        for name, slope in zip(names, found, strict=True)
    }


def _measured(logits: Any, metrics: Sequence[Metric]) -> Any:
    """Each row's own metric, (R,)."""
    import torch

    if all(metric is metrics[0] for metric in metrics):
        return metrics[0](logits)
    return torch.cat([metric(logits[row : row + 1]) for row, metric in enumerate(metrics)])


def _by_head(products: Any, heads: int | None) -> Any:
    """Sums over the width, (R, T, 1), or over each head's part of it, (R, T, H)."""
    return products.reshape(*products.shape[:2], heads or 1, -1).sum(-1)
