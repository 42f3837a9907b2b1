"""The logit lens: what the model would say if its later layers added nothing.

The residual stream after each layer goes through whatever the model itself puts behind its last
layer: final norm, scale, unembedding, soft cap. Nothing of that is looked up by name, because the
model runs it, with every layer skipped.

Axes: L layers and one more for the embeddings, B rows, T tokens, V vocabulary.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.mechanism.capturing import read
from plumbrule.mechanism.hooks import last_logits, layer_outputs, patched, skipping
from plumbrule.mechanism.sites import Sites
from plumbrule.models.modules import evaluation_mode


def logit_lens(module: Any, sites: Sites, ids: Any) -> Float[np.ndarray, "L B V"]:
    """Log-probabilities of the next token, read from the residual stream at each depth.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        ids: Tokens, (B, T); the last of each row is read.

    Returns:
        Before the first layer, then after each; the last are the model's own.

    Source:
        nostalgebraist (2020), "interpreting GPT: the logit lens".
    """
    import torch

    last = f"{len(sites.layers) - 1}.out"
    names = [*sites.named("in"), last]
    with evaluation_mode(module), torch.no_grad():
        states = read(module, [sites[name] for name in names], ids)
        given, _ = layer_outputs(module, [layer.path for layer in sites.layers], ids[:1])
        found = []
        for name in names:
            with skipping(module, given), patched(module, sites, {last: states[name]}):
                logits = last_logits(module, ids)
            found.append(logits.log_softmax(-1).cpu().numpy())
    return np.stack(found)
