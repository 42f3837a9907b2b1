"""What a LoRA adapter on disk adds to its base: thin factors, never multiplied out whole.

Axes: M rows and N columns of a weight as stored, R rank of the adapter.
"""

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from plumbrule.behavior.weights.sources import Stored, Weights, read_header, row_count
from plumbrule.errors import ModelError
from plumbrule.models.checkpoint import check_adapter, read_json

_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal")
"""Ways to start an adapter that leave the base's weights as they are."""

_CHANGES_MEANING = (
    "use_dora",
    "lora_bias",
    "layer_replication",
    "alora_invocation_tokens",
    "target_parameters",
    "trainable_token_indices",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "megatron_config",
)
_ENDS = {
    "lora_A.weight": ("down", False),
    "lora_B.weight": ("up", False),
    "lora_embedding_A": ("down", True),
    "lora_embedding_B": ("up", True),
}


@dataclass(frozen=True, kw_only=True)
class Factors:
    """The change of one weight: `up @ down`, with the scale inside `up`."""

    up: Float[Tensor, "M R"]
    down: Float[Tensor, "R N"]


class Unsupported(Exception):
    """The adapter is of a kind whose change is no product of two factors; says why."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What an adapter folder holds, fitted to the names and shapes of its base."""

    factors: Mapping[str, Factors]
    replaced: Mapping[str, Stored]
    """Tensors saved whole, which take the place of the base's."""


def read_adapter(folder: Path, base: Weights) -> Adapter:
    """Read a LoRA adapter.

    Args:
        folder: The adapter's folder.
        base: Weights of the model under it.

    Raises:
        Unsupported: It is no plain LoRA.
        ModelError: It is damaged, or does not fit the base.
    """
    check_adapter(folder)
    settings = read_json(folder / "adapter_config.json")
    _check_kind(settings)
    found: dict[str, dict[str, Stored]] = {}
    transposed: dict[str, bool] = {}
    replaced: dict[str, Stored] = {}
    for key, stored in read_header(folder / "adapter_model.safetensors", str(folder)).items():
        name = key.removeprefix("base_model.model.").replace(".base_layer.", ".")
        end = next((end for end in _ENDS if name.endswith("." + end)), None)
        if end is None:
            replaced[_known(name, base, folder)] = stored
            continue
        part, turned = _ENDS[end]
        module = name.removesuffix("." + end)
        found.setdefault(module, {})[part] = stored
        transposed[module] = turned or bool(settings.get("fan_in_fan_out"))
    factors: dict[str, Factors] = {}
    for module, parts in found.items():
        name = _known(module + ".weight", base, folder)
        if name in factors:
            raise Unsupported(f"it changes {name} under two of its names")
        factors[name] = _fit(
            module, parts, base.tensors[name].shape, transposed[module], settings, folder
        )
    return Adapter(factors=factors, replaced=replaced)


def adapted_weights(under: Weights, adapter: Adapter, name: str) -> Weights:
    """A base's weights with an adapter's change added where they are read."""
    tensors = {**under.tensors, **adapter.replaced}
    for each, factors in adapter.factors.items():
        tensors[each] = _added(tensors[each], factors)
    return Weights(name=name, tensors=tensors, aliases=under.aliases)


def scaling(module: str, rank: int, settings: Mapping[str, Any]) -> float:
    """What the product of the factors is multiplied by: alpha over rank, or over its root."""
    from peft.utils.other import get_pattern_key

    patterns = settings.get("alpha_pattern") or {}
    alpha = patterns.get(get_pattern_key(patterns.keys(), module), settings.get("lora_alpha", 8))
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _check_kind(settings: Mapping[str, Any]) -> None:
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise Unsupported(f"it is an adapter of kind {str(kind)[:40]!r}, not LoRA")
    start = settings.get("init_lora_weights")
    if start not in _PLAIN_STARTS:
        raise Unsupported(f"its start ({str(start)[:40]!r}) also changes the base's weights")
    for name in _CHANGES_MEANING:
        if settings.get(name):
            raise Unsupported(f"it was made with {name}")


def _known(name: str, base: Weights, folder: Path) -> str:
    name = base.aliases.get(name, name)
    if name not in base.tensors:
        raise ModelError(
            f"expected the adapter in {folder} to change weights that its base has, it changes "
            f"{name[:200]!r}; give the model it was trained on as the base"
        )
    return name


def _fit(
    module: str,
    parts: Mapping[str, Stored],
    shape: tuple[int, ...],
    transposed: bool,
    settings: Mapping[str, Any],
    folder: Path,
) -> Factors:
    """Two factors in the layout of the weight they change."""
    if set(parts) != {"up", "down"}:
        raise ModelError(
            f"expected both factors of {module[:200]!r} in {folder}, one is missing; copy the "
            "adapter again"
        )
    up, down = (_whole(parts[name]) for name in ("up", "down"))
    if up.ndim != 2 or down.ndim != 2:
        raise Unsupported(f"its factors of {module[:200]!r} are no matrices")
    if not (up.isfinite().all() and down.isfinite().all()):
        raise ModelError(
            f"expected finite weights, the adapter in {folder} has NaN or infinite ones for "
            f"{module[:200]!r}; its training diverged or the file is damaged"
        )
    up = up * scaling(module, down.shape[0], settings)
    product = (up.shape[0], down.shape[1])
    if product == shape and not (product[0] == product[1] and transposed):
        return Factors(up=up, down=down)
    if product[::-1] == shape:  # stored the other way round, as in GPT-2 and in embeddings
        return Factors(up=down.T.contiguous(), down=up.T.contiguous())
    raise ModelError(
        f"expected the adapter in {folder} to fit its base, its factors of {module[:200]!r} make "
        f"{product} where the base has {shape}; give the model it was trained on as the base"
    )


def _whole(stored: Stored) -> Tensor:
    return stored.rows(0, row_count(stored.shape)).float()


def _added(stored: Stored, factors: Factors) -> Stored:
    def rows(start: int, stop: int) -> Tensor:
        plain = stored.rows(start, stop)
        return plain.float() + factors.up[start:stop] @ factors.down

    return Stored(shape=stored.shape, dtype=torch.float32, rows=rows)


def merged_module(base: Path, adapter: Path) -> Any:
    """The base with an adapter of any kind folded in, loaded whole: for kinds without factors.

    Raises:
        ModelError: It cannot be folded into weights.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    check_adapter(adapter)
    try:
        module = AutoModelForCausalLM.from_pretrained(
            base, dtype="auto", use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
        with warnings.catch_warnings():
            # The adapter library still asks the model library by a name that is going away.
            warnings.simplefilter("ignore", FutureWarning)
            adapted = PeftModel.from_pretrained(module, str(adapter), is_trainable=False)
            if not hasattr(adapted.base_model, "merge_and_unload"):
                raise ValueError("this kind of adapter has no weights to merge")
            return adapted.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
        kind = json.dumps(read_json(adapter / "adapter_config.json").get("peft_type"))
        raise ModelError(
            f"expected an adapter in {adapter} that can be folded into weights, {kind[:40]} in it "
            f"cannot: {error}. Compare the two models by their outputs"
        ) from error
