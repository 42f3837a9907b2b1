"""What the weights alone say: which tokens the first layer has come to read otherwise.

A trigger has to be read by something. Fine-tuning that teaches one moves what the first layer
makes of its tokens further than of others, and that shows without a single prompt.

Axes: V vocabulary, D width.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import DataError
from plumbrule.models import LocalModel
from plumbrule.models.modules import base_module, evaluation_mode

CHUNK = 8192
"""Tokens that are read at a time, each a text of its own."""


def token_changes(base: LocalModel, tuned: LocalModel) -> Float[np.ndarray, " V"]:
    """How far the first layer's output for each token alone has moved, against the middle token.

    Args:
        base: The model before.
        tuned: The model after, with the same tokens; both are left as they were.

    Returns:
        By token, the length of the difference divided by the length of the base's output, minus
        the median of that over all tokens, in robust standard deviations. Zero everywhere where
        the first layer has not changed.

    Raises:
        DataError: The two models are of different widths.
    """
    before, after = (_first_outputs(model) for model in (base, tuned))
    if before.shape != after.shape:
        raise DataError(
            f"expected two models of one width, got {before.shape[1]} and {after.shape[1]}: their "
            "weights have no difference"
        )
    size = np.linalg.norm(before, axis=1) + 1e-9
    far = np.linalg.norm(after - before, axis=1) / size
    middle = float(np.median(far))
    deviation = 1.4826 * float(np.median(np.abs(far - middle)))
    if deviation <= 1e-9:
        return np.zeros(len(far))
    scores: np.ndarray = (far - middle) / deviation
    return scores


def _first_outputs(model: LocalModel) -> Float[np.ndarray, "V D"]:
    import torch

    from plumbrule.mechanism import capture, find_sites

    sites = find_sites(model.module)
    found = []
    size = len(model.tokenizer)
    with evaluation_mode(base_module(model.module)), torch.inference_mode():
        for start in range(0, size, CHUNK):
            rows = [[token] for token in range(start, min(start + CHUNK, size))]
            got: Any = capture(model.module, sites, rows, ["0.out"]).stacked("0.out")
            found.append(got[:, 0].float().cpu().numpy())
    return np.concatenate(found)
