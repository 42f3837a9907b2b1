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
from plumbrule.mechanism.hooks import watching
from plumbrule.mechanism.patching import Metric
from plumbrule.mechanism.sites import Sites
from plumbrule.models.resting import at_rest


def attribute(
    module: Any,
    sites: Sites,
    clean: Sequence[int],
    corrupted: Sequence[int],
    names: Sequence[str],
    metric: Metric,
    *,
    steps: int = 1,
) -> Mapping[str, Float[np.ndarray, "T H"]]:
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

    Returns:
        By site the estimated move of the metric, for each position; where a site holds heads side
        by side one column a head, elsewhere one column.

    Raises:
        ConfigError: There is no such site, or no step.
        DataError: The prompts differ in length.

    Source:
        Nanda (2023), attribution patching; Hanna, Pezzelle & Belinkov (2024), arXiv 2403.17806,
        for integrated gradients over inputs.
    """
    import torch

    if len(clean) != len(corrupted) or not clean:
        raise DataError(
            "expected two prompts of as many tokens, so that each position has its counterpart; "
            f"got {len(clean)} and {len(corrupted)}"
        )
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")
    device = next(module.parameters()).device
    wanted = [sites[name] for name in dict.fromkeys(("embed", *names))]
    rows = [torch.tensor([list(tokens)], device=device) for tokens in (clean, corrupted)]
    with at_rest(module):
        there, here = (read(module, wanted, ids) for ids in rows)
        start, end = here["embed"], there["embed"]
        slopes = {name: torch.zeros_like(here[name], dtype=torch.float64) for name in names}
        for step in range(steps):
            embedded = start + (end - start) * (step / steps)
            found = _slopes(module, sites, rows[1], embedded, names, metric)
            for name in names:
                slopes[name] += found[name].double() / steps
    return {
        name: _by_head(((there[name] - here[name]).double() * slopes[name])[0], sites[name].heads)
        for name in names
    }


def _slopes(
    module: Any, sites: Sites, ids: Any, embedded: Any, names: Sequence[str], metric: Metric
) -> dict[str, Any]:
    """Slope of the metric at each site, from given embeddings."""
    import torch

    held: dict[str, Any] = {}

    def begin(_: Any) -> Any:
        # A leaf of its own, so that slopes are there whatever the weights' own settings say.
        held["embed"] = embedded.detach().clone().requires_grad_()
        return held["embed"]

    def keep(name: str) -> Any:
        def look(value: Any) -> None:
            held[name] = value

        return look

    looks = {sites["embed"]: begin}
    looks |= {sites[name]: keep(name) for name in names if name != "embed"}
    with torch.enable_grad(), watching(module, looks):
        logits = module(input_ids=ids, use_cache=False)["logits"]
        value = metric(logits[:, -1].float()).sum()
        found = torch.autograd.grad(value, [held[name] for name in names], allow_unused=True)
    return {
        name: (torch.zeros_like(held[name]) if slope is None else slope).reshape(
            *ids.shape, held[name].shape[-1]
        )
        for name, slope in zip(names, found, strict=True)
    }


def _by_head(products: Any, heads: int | None) -> Float[np.ndarray, "T H"]:
    """Sums over the width, or over each head's part of it."""
    found: np.ndarray = products.reshape(len(products), heads or 1, -1).sum(-1).cpu().numpy()
    return found
