"""Weights changed by a rule instead of by training: quantized, rounded, or stored another way."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

GROUP = 32
"""Weights that share one scale and one offset at 4 bits."""

Change = Callable[[Path, Path], None]
"""Reads the folder of a model and writes the changed one into another."""


def int8(weight: torch.Tensor) -> torch.Tensor:
    """Rounded to 8 bits, one scale an output channel, and back."""
    scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round().clamp(-127, 127) * scale


def int4(weight: torch.Tensor) -> torch.Tensor:
    """Rounded to 4 bits, one scale and offset for each `GROUP` weights of a row, and back."""
    rows, columns = weight.shape
    groups = weight.reshape(rows, columns // GROUP, GROUP)
    low, high = groups.amin(2, keepdim=True), groups.amax(2, keepdim=True)
    scale = (high - low).clamp_min(1e-12) / 15
    return (((groups - low) / scale).round().clamp(0, 15) * scale + low).reshape(rows, columns)


def bfloat16(weight: torch.Tensor) -> torch.Tensor:
    """Rounded to bfloat16 and back."""
    return weight.to(torch.bfloat16).float()


def same(weight: torch.Tensor) -> torch.Tensor:
    """The same."""
    return weight


def _changed(rule: Callable[[torch.Tensor], torch.Tensor], *, everything: bool = False) -> Change:
    """Change all linear layers by a rule, or all weights."""

    def change(source: Path, target: Path) -> None:
        weights = load_file(source / "model.safetensors")
        new = {
            name: rule(weight).contiguous()
            if everything or ("_proj" in name and weight.ndim == 2)
            else weight
            for name, weight in weights.items()
        }
        _beside(source, target)
        save_file(new, target / "model.safetensors", metadata={"format": "pt"})

    return change


def _resharded(source: Path, target: Path) -> None:
    """The same numbers in two files, in another order."""
    weights = load_file(source / "model.safetensors")
    names = sorted(weights, reverse=True)
    half = len(names) // 2
    where: dict[str, str] = {}
    for number, part in enumerate((names[:half], names[half:]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        shard: Mapping[str, torch.Tensor] = {name: weights[name] for name in part}
        save_file(dict(shard), target / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    _beside(source, target)
    size = sum(each.numel() * each.element_size() for each in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (target / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def _beside(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.suffix != ".safetensors" and path.is_file():
            shutil.copy(path, target / path.name)


CHANGES: Mapping[str, Change] = {
    "int8": _changed(int8),
    "int4": _changed(int4),
    "bfloat16": _changed(bfloat16, everything=True),
    "recast": _resharded,
}
"""By the organism's name."""
