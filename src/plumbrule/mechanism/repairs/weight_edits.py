"""Changes of a model's weights that can be taken back to the byte, and saved.

Every edit is a sum of low-rank changes, one for each matrix it touches: what is added to a matrix W
of outputs by inputs is `left @ right.T`.

Axes: O outputs of a matrix, I inputs, K rank of its change.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError, ModelError, OutputError, brief
from plumbrule.mechanism.repairs.writers import check_plain, refuse_quantized
from plumbrule.models import LocalModel
from plumbrule.store import write_atomic

BEFORE = "before.safetensors"
"""File of the tensors that an edit replaced, as they were."""


@dataclass(frozen=True, kw_only=True)
class WeightChange:
    """What is added to one parameter."""

    path: str
    """Module whose weight, or bias, is changed."""

    left: Float[np.ndarray, "O K"]
    right: Float[np.ndarray, "I K"]
    transposed: bool = False
    """Whether the weight is kept as inputs by outputs."""

    bias: Float[np.ndarray, " O"] | None = None
    """What is added to the module's bias; None: nothing."""


@dataclass(frozen=True, kw_only=True)
class WeightEdit:
    """A change of some matrices of one model."""

    changes: tuple[WeightChange, ...]
    unties: bool = False
    """Whether the output embedding first becomes a matrix of its own, where it was the input's."""

    @property
    def numbers(self) -> int:
        """How many numbers describe it."""
        return sum(each.left.size + each.right.size for each in self.changes)


@dataclass(kw_only=True)
class AppliedEdit:
    """An edit that is in a model's weights; `revert` gives the exact bytes back."""

    module: Any
    before: dict[str, Any] = field(default_factory=dict)
    """By parameter, its tensor before the edit."""

    untied: bool = False
    model: LocalModel | None = None

    def revert(self) -> None:
        """Put every changed tensor back as it was; a second time does nothing."""
        import torch

        with torch.no_grad():
            for name, value in self.before.items():
                self.module.get_parameter(name).copy_(value)
        self.before = {}
        if self.untied:
            self.module.set_output_embeddings(self._tied(self.module.get_output_embeddings()))
            _config_of(self.module).tie_word_embeddings = True
            self.module.config.tie_word_embeddings = True
            self.untied = False
        if self.model is not None:
            self.model.weights_changed()

    def _tied(self, head: Any) -> Any:
        head.weight = self.module.get_input_embeddings().weight
        return head


def apply_edit(model: Any, edit: WeightEdit) -> AppliedEdit:
    """Change a model's weights.

    Args:
        model: A `LocalModel`, whose identity changes with it, or a module of transformers.
        edit: What to change.

    Returns:
        What takes it back.

    Raises:
        ConfigError: The edit is of another model: a module is absent or of another shape.
        DataError: It holds NaN or infinity, or the changed weights would.
        ModelError: A weight that it would touch is quantized, or shared with another part. In each
            case nothing has changed.
    """
    import torch

    module = model.module if isinstance(model, LocalModel) else model
    refuse_quantized(module)
    parts = dict(module.named_modules())
    for change in edit.changes:
        _check(parts, change)
    _refuse_shared(module, edit)
    done = AppliedEdit(module=module, model=model if isinstance(model, LocalModel) else None)
    try:
        if edit.unties:
            done.untied = _untie(module)
        with torch.no_grad():
            for change in edit.changes:
                weight = module.get_submodule(change.path).weight
                done.before.setdefault(f"{change.path}.weight", weight.detach().clone())
                weight.copy_(_changed(weight, change))
                bias = getattr(module.get_submodule(change.path), "bias", None)
                if change.bias is not None and bias is not None:
                    done.before.setdefault(f"{change.path}.bias", bias.detach().clone())
                    bias.add_(torch.as_tensor(change.bias).to(bias))
        for name in done.before:
            if not bool(torch.isfinite(module.get_parameter(name)).all()):
                raise DataError(
                    f"the edit would make {name} NaN or infinite in its number format; nothing "
                    "was changed. Take float32"
                )
    except BaseException:
        done.revert()
        raise
    if done.model is not None:
        done.model.weights_changed()
    return done


@contextmanager
def edited(model: Any, edit: WeightEdit) -> Iterator[Any]:
    """A model whose weights are changed inside the block, and given back to the byte after it.

    Args:
        model: As for `apply_edit`.
        edit: What to change.
    """
    done = apply_edit(model, edit)
    try:
        yield model
    finally:
        done.revert()


def save_repaired(
    model: LocalModel, applied: AppliedEdit, folder: Path, *, said: Mapping[str, Any] | None = None
) -> Path:
    """Save a repaired model as an ordinary checkpoint, and beside it what takes the repair back.

    Args:
        model: The model with the edit in its weights.
        applied: The edit.
        folder: New or empty.
        said: What else is written down beside it, as `repair.json`.

    Returns:
        The folder. `before.safetensors` in it holds the replaced tensors, byte by byte.

    Raises:
        OutputError: The folder holds something.
    """
    from safetensors.torch import save

    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"expected an empty folder for the repaired model, {folder} is not")
    folder.mkdir(parents=True, exist_ok=True)
    model.module.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    write_atomic(
        folder / BEFORE,
        save({name: value.contiguous().cpu() for name, value in applied.before.items()}),
    )
    write_atomic(
        folder / "repair.json", json.dumps({"untied": applied.untied, **(said or {})}, indent=1)
    )
    return folder


def reverted(model: LocalModel, folder: Path) -> LocalModel:
    """Take a saved repair back, in a model opened from its folder.

    Args:
        model: Opened from `folder`.
        folder: What `save_repaired` made.

    Raises:
        DataError: The folder holds no repair that could be taken back.
    """
    from safetensors.torch import load_file

    if not (folder / BEFORE).is_file():
        raise DataError(f"{folder} holds no {BEFORE}; only a saved repair can be taken back")
    said = json.loads((folder / "repair.json").read_text("utf-8"))
    applied = AppliedEdit(
        module=model.module,
        before=load_file(folder / BEFORE),
        untied=bool(said.get("untied")),
        model=model,
    )
    applied.revert()
    return model


def save_edit(edit: WeightEdit, path: Path) -> None:
    """Write an edit to a file, as safetensors: its factors, and where they belong."""
    from safetensors.numpy import save

    tensors: dict[str, np.ndarray] = {}
    places = []
    for number, change in enumerate(edit.changes):
        tensors[f"{number}.left"] = np.ascontiguousarray(change.left)
        tensors[f"{number}.right"] = np.ascontiguousarray(change.right)
        if change.bias is not None:
            tensors[f"{number}.bias"] = np.ascontiguousarray(change.bias)
        places.append({"path": change.path, "transposed": change.transposed})
    said = {"changes": places, "unties": edit.unties}
    write_atomic(path, save(tensors, metadata={"edit": json.dumps(said)}))


def load_edit(path: Path) -> WeightEdit:
    """Read an edit back.

    Raises:
        DataError: The file holds none.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            said = json.loads((file.metadata() or {})["edit"])
            changes = tuple(
                WeightChange(
                    path=str(place["path"]),
                    left=file.get_tensor(f"{number}.left"),
                    right=file.get_tensor(f"{number}.right"),
                    transposed=bool(place["transposed"]),
                    bias=file.get_tensor(f"{number}.bias")
                    if f"{number}.bias" in file.keys()  # noqa: SIM118  # no mapping
                    else None,
                )
                for number, place in enumerate(said["changes"])
            )
            return WeightEdit(changes=changes, unties=bool(said["unties"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds no edit of weights: {brief(error)}") from error


def fold_in(model: LocalModel) -> LocalModel:
    """The same model with its adapter, if it has one, in its weights; edits are of weights."""
    if hasattr(model.module, "merge_and_unload"):
        model.module = model.module.merge_and_unload()
        model.weights_changed()
    return model


def together(edits: Sequence[WeightEdit]) -> WeightEdit:
    """Several edits as one."""
    return WeightEdit(
        changes=tuple(change for edit in edits for change in edit.changes),
        unties=any(edit.unties for edit in edits),
    )


def _changed(weight: Any, change: WeightChange) -> Any:
    """The weight with its change, rounded to its number format once."""
    import torch

    wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
    left = torch.as_tensor(change.left).to(weight.device, wide)
    right = torch.as_tensor(change.right).to(weight.device, wide)
    added = left @ right.T
    return (weight.to(wide) + (added.T if change.transposed else added)).to(weight.dtype)


def _check(parts: Mapping[str, Any], change: WeightChange) -> None:
    if change.path not in parts:
        raise ConfigError(f"the edit changes {change.path}, which this model has not")
    check_plain(parts[change.path], change.path)
    rank = change.left.shape[1] if change.left.ndim == 2 else -1
    shape = (len(change.left), len(change.right))
    wanted = tuple(parts[change.path].weight.shape)
    if change.right.ndim != 2 or change.right.shape[1] != rank:
        raise ConfigError(
            f"expected factors of one rank at {change.path}, got {change.left.shape} and "
            f"{change.right.shape}"
        )
    if shape != (wanted[::-1] if change.transposed else wanted):
        raise ConfigError(
            f"expected a change of {wanted} at {change.path}, got one of {shape}; the edit is of "
            "another model"
        )
    if not (np.isfinite(change.left).all() and np.isfinite(change.right).all()):
        raise DataError(f"the edit of {change.path} holds NaN or infinity; nothing was changed")


def _refuse_shared(module: Any, edit: WeightEdit) -> None:
    """Refuse to change a tensor that another part uses too, but for embeddings about to part."""
    paths: dict[int, list[str]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        weight = getattr(part, "weight", None)
        if weight is not None and hasattr(weight, "data_ptr"):
            paths.setdefault(id(weight), []).append(path)
    for change in edit.changes:
        users = sorted(set(paths[id(module.get_submodule(change.path).weight)]))
        if len(users) > 1 and not edit.unties:
            raise ModelError(
                f"the weight of {change.path} is also that of "
                f"{', '.join(user for user in users if user != change.path)}: changing one would "
                "change the other. Take an edit that unties them"
            )


def _config_of(module: Any) -> Any:
    return module.config.get_text_config(decoder=True)


def _untie(module: Any) -> bool:
    """Give the output embedding a matrix of its own; whether it shared one."""
    from torch import nn

    head, table = module.get_output_embeddings(), module.get_input_embeddings()
    if head is None or head.weight is not table.weight:
        return False
    head.weight = nn.Parameter(table.weight.detach().clone())
    _config_of(module).tie_word_embeddings = False
    module.config.tie_word_embeddings = False
    return True
