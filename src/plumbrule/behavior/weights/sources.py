"""Where weights lie: in a module in memory, or in a folder that is read a few rows at a time.

Quantized weights are refused. Their integers are codes into a scale, and a difference of codes is
no difference of weights.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plumbrule.errors import ModelError
from plumbrule.models.checkpoint import PICKLES, check_safetensors, read_json

Rows = Callable[[int, int], Tensor]
"""Rows from one (included) to another (not), as stored."""

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_CODES = ("qweight", "qzeros", "weight_packed", "quant_state", "absmax", "weight_scale_inv")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One tensor, not yet read."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    rows: Rows
    """Reads along the first axis; a single number counts as one row."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Named tensors that are read when asked for."""

    name: str
    """What a report calls the model."""

    tensors: Mapping[str, Stored]
    """By name, tied ones once; masks and other tensors of integers are left out."""

    aliases: Mapping[str, str]
    """Further names of tied tensors."""


def module_weights(module: Any, name: str) -> Weights:
    """The weights of a model in memory; nothing is copied.

    Raises:
        ModelError: They are quantized, not in memory, or kept apart from an adapter's.
    """
    _refuse_settings(getattr(module.config, "quantization_config", None), name)
    if hasattr(module, "get_base_model") or any(
        hasattr(part, "base_layer") for part in module.modules()
    ):
        raise ModelError(
            f"expected {name} with its adapter folded into the weights, got the adapter "
            "apart; open it with LocalSettings(merge_adapter=True), or call merge_and_unload()"
        )
    tensors: dict[str, Stored] = {}
    aliases: dict[str, str] = {}
    first: dict[int, str] = {}
    for each, value in module.state_dict(keep_vars=True).items():
        if first.setdefault(id(value), each) != each:
            aliases[each] = first[id(value)]
            continue
        if value.is_meta:
            raise ModelError(
                f"expected the weights of {name} in memory, {each} is kept elsewhere; open the "
                "model without offloading, or compare the two folders"
            )
        if _is_weight(each, value.dtype, value.ndim, name):
            tensors[each] = _held(value.detach())
    return Weights(name=name, tensors=tensors, aliases=aliases)


def folder_weights(folder: Path) -> Weights:
    """The weights of a checkpoint folder; headers are read, and later only what is asked for.

    Raises:
        ModelError: No weights, a damaged or missing file, or quantized weights.
    """
    name = str(folder)
    _refuse_settings(read_json(folder / "config.json").get("quantization_config"), name)
    aliases = tied_names(folder)
    tensors: dict[str, Stored] = {}
    for path in weight_files(folder):
        tensors.update(read_header(path, name))
    for other, first in aliases.items():
        # A checkpoint may hold a tied tensor under either name, or both.
        stored = tensors.pop(other, None)
        if stored is not None:
            tensors.setdefault(first, stored)
    return Weights(name=name, tensors=tensors, aliases=aliases)


def weight_files(folder: Path) -> list[Path]:
    """The files a checkpoint consists of, by the rule with which the library loads one.

    Raises:
        ModelError: There are none, or the index names one that is not there.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.exists():
        return [whole]
    if index.exists():
        shards = read_json(index).get("weight_map")
        names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise ModelError(
                    f"expected the files that {index} names in the same folder, {name!r} is not "
                    "there; copy or download it again"
                )
        return [folder / name for name in names]
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        other = sorted(path.name for kind in PICKLES for path in folder.glob(kind))
        raise ModelError(
            f"expected weights in safetensors in {folder}, found {other[0] if other else 'none'}; "
            "save the model with save_pretrained of a current version"
        )
    return found


def read_header(path: Path, model: str) -> dict[str, Stored]:
    """The weights in one file, with readers that keep nothing open and map nothing."""
    check_safetensors(path)  # sizes and offsets are consistent from here on
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    start, found = 8 + size, {}
    for name, entry in sorted(header.items()):
        if name == "__metadata__":
            continue
        kind, shape = _TYPES.get(entry["dtype"]), tuple(entry["shape"])
        if kind is None:
            raise _quantized(f"{name} is {entry['dtype']}", model)
        if _is_weight(name, kind, len(shape), model):
            found[name] = _on_disk(path, start + entry["data_offsets"][0], shape, kind)
    return found


def tied_names(folder: Path) -> dict[str, str]:
    """Which tensors a folder's model has under two names, from its configuration alone.

    The model is built without memory for its weights. Empty where that is not possible.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            module = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception:  # the library raises anything; tied names are then seen as two tensors
        return {}
    first: dict[int, str] = {}
    tied = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        if first.setdefault(id(value), name) != name:
            tied[name] = first[id(value)]
    return tied


def row_count(shape: Sequence[int]) -> int:
    """Length of the first axis; a single number is one row."""
    return shape[0] if shape else 1


def _held(value: Tensor) -> Stored:
    flat = value if value.ndim else value.reshape(1)
    return Stored(
        shape=tuple(value.shape), dtype=value.dtype, rows=lambda start, stop: flat[start:stop]
    )


def _on_disk(path: Path, start: int, shape: tuple[int, ...], dtype: torch.dtype) -> Stored:
    # Read, not mapped: mapped pages stay in memory until the whole file is let go.
    inner = shape[1:]
    width = dtype.itemsize
    for length in inner:
        width *= length

    def rows(first: int, last: int) -> Tensor:
        last = min(last, row_count(shape))
        content = bytearray(max(0, last - first) * width)
        with path.open("rb") as file:
            file.seek(start + first * width)
            if file.readinto(content) != len(content):
                raise ModelError(f"{path} ended while it was read; copy or download it again")
        if not content:
            return torch.empty((0, *inner), dtype=dtype)
        return torch.frombuffer(content, dtype=dtype).reshape(-1, *inner)

    return Stored(shape=shape, dtype=dtype, rows=rows)


def _is_weight(name: str, dtype: torch.dtype, axes: int, model: str) -> bool:
    """Whether a tensor is a weight: floats are, masks are not, and codes of weights are refused."""
    if any(name.endswith(end) or f".{end}." in name for end in _CODES):
        raise _quantized(f"it holds {name}", model)
    if dtype.is_floating_point and dtype.itemsize >= 2:
        return True
    # Old checkpoints keep attention masks as bytes with four axes; quantized weights have fewer.
    if dtype.is_floating_point or (dtype in (torch.int8, torch.uint8) and axes < 4):
        raise _quantized(f"{name} is {str(dtype).removeprefix('torch.')}", model)
    return False


def _refuse_settings(settings: Any, model: str) -> None:
    if settings:
        values = settings if isinstance(settings, Mapping) else vars(settings)
        kind = str(values.get("quant_method", "quantized"))[:40]
        raise _quantized(f"its config.json has a quantization_config ({kind})", model)


def _quantized(why: str, model: str) -> ModelError:
    return ModelError(
        f"expected weights as numbers of 16 bits or more, {model} is quantized: {why}. The "
        "difference of two sets of codes says nothing about weights; give the model from before "
        "quantization, or one saved after dequantizing it"
    )
