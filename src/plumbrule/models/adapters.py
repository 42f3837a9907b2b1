"""A PEFT adapter on its model, folded into the weights only where that changes nothing."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plumbrule.errors import ModelError, brief

PROBED = 24
"""Tokens, spread over the vocabulary, on which the folded model is held against the other."""


def put_on(folder: Path, load: Callable[[], Any], *, merge: bool) -> Any:
    """The model with an adapter on it.

    Args:
        folder: The adapter.
        load: Loads the model under it; called again where folding spoiled the first one.
        merge: Fold the adapter into the weights, where its kind allows and nothing changes by it.

    Raises:
        ModelError: The adapter does not fit.
    """
    adapted = wrapped(load(), folder)
    if not merge or not hasattr(adapted.base_model, "merge_and_unload"):
        return adapted
    if on_tied(adapted):
        _untie(adapted)
        if on_tied(adapted):
            return adapted
    merged = merge_unchanged(adapted)
    return wrapped(load(), folder) if merged is None else merged


def merge_unchanged(adapted: Any) -> Any | None:
    """The adapter folded into its model; None where the model would then say something else.

    The model is spoiled in the second case.
    """
    adapted.eval()
    before = _logits(adapted)
    try:
        merged = adapted.merge_and_unload(safe_merge=True).eval()
    except RuntimeError:  # a kind that cannot be folded in here, as one with a bias of its own
        return None
    after = _logits(merged)
    if before is None or after is None:
        return None
    spread = (before.amax(-1) - before.amin(-1)).max()
    from plumbrule.models.decoding import tolerance

    largest = (before - after).abs().max()
    bound = tolerance(next(merged.parameters()).dtype) * spread + 1e-6
    return merged if bool(largest <= bound) else None


def on_tied(adapted: Any) -> bool:
    """Whether the adapter changes a matrix that the model uses in two places.

    Folded in, it would change both, where it was trained to change one.
    """
    places: dict[int, int] = {}
    for _, parameter in adapted.named_parameters(remove_duplicate=False):
        places[parameter.data_ptr()] = places.get(parameter.data_ptr(), 0) + 1
    for module in adapted.modules():
        layer = getattr(module, "base_layer", None)
        weight = getattr(layer, "weight", None)
        if weight is not None and places.get(weight.data_ptr(), 0) > 1:
            return True
    return False


def _untie(adapted: Any) -> None:
    """Give the output layer a matrix of its own, as large as the embedding it was tied to."""
    import torch

    base = adapted.get_base_model()
    head = base.get_output_embeddings()
    if head is None:
        return
    layer = getattr(head, "base_layer", head)
    layer.weight = torch.nn.Parameter(layer.weight.detach().clone(), requires_grad=False)
    for config in (base.config, base.config.get_text_config(decoder=True)):
        config.tie_word_embeddings = False


def wrapped(module: Any, folder: Path) -> Any:
    """The model with an adapter on it, not folded.

    Raises:
        ModelError: The adapter does not fit.
    """
    from peft import PeftModel

    _make_room(module, folder)
    with warnings.catch_warnings():
        # The adapter library still asks the model library by a name that is going away.
        warnings.simplefilter("ignore", FutureWarning)
        # It warns of matrices used twice, which are looked for here.
        warnings.simplefilter("ignore", UserWarning)
        try:
            return PeftModel.from_pretrained(module, str(folder), is_trainable=False)
        except Exception as error:  # the library raises anything, KeyError among it
            raise ModelError(
                f"expected an adapter made for its model, that in {folder} does not fit its model: "
                f"{brief(error)}"
            ) from error


def _make_room(module: Any, folder: Path) -> None:
    """Give the model rows for tokens that the adapter brings along."""
    rows = int(module.get_input_embeddings().weight.shape[0])
    wanted = _rows(module, folder)
    if wanted is None or wanted == rows:
        return
    if wanted < rows:
        raise ModelError(
            f"the adapter in {folder} does not fit its model: it has {wanted} tokens, the model "
            f"{rows}"
        )
    # The adapter holds what goes into the new rows, so nothing is drawn for them.
    module.resize_token_embeddings(wanted, mean_resizing=False)


def _rows(module: Any, folder: Path) -> int | None:
    """Rows of the embedding, or of the output layer, that lies with the adapter."""
    from safetensors import safe_open

    layers = {id(module.get_input_embeddings()), id(module.get_output_embeddings())}
    names = [name for name, part in module.named_modules() if id(part) in layers and name]
    with safe_open(folder / "adapter_model.safetensors", framework="np") as file:
        for key in file.keys():  # noqa: SIM118 - a file of tensors is no mapping
            stem = key.removesuffix(".weight")
            for kind in (".base_layer", ".modules_to_save.default", ".modules_to_save"):
                stem = stem.removesuffix(kind)
            if key.endswith(".weight") and any(stem.endswith(name) for name in names):
                return int(file.get_slice(key).get_shape()[0])
    return None


def _logits(module: Any) -> Any | None:
    """Log-probabilities after each of some tokens; None where the model does not take them."""
    import torch

    rows = int(module.get_input_embeddings().weight.shape[0])
    parameter = next(module.parameters())
    ids = torch.linspace(0, rows - 1, min(PROBED, rows), device=parameter.device).long()
    try:
        with torch.inference_mode():
            logits = module(input_ids=ids[None], use_cache=False)["logits"][0].float()
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError):
        return None
    found = logits.log_softmax(-1)
    return found if math.isfinite(float(found.sum())) else None
