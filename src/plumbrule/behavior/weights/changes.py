"""Which weights differ between two models, how much, and in which directions.

Tensors are compared one at a time. Two folders are read a few rows at a time and nothing is ever
loaded whole; two models in memory need no more beside them than the largest matrix in 32 bits.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plumbrule.behavior.weights.adapters import (
    Adapter,
    Factors,
    Unsupported,
    adapted_weights,
    merged_module,
    read_adapter,
)
from plumbrule.behavior.weights.pairing import Pairing, pair
from plumbrule.behavior.weights.records import Resized, TensorChange, WeightReport
from plumbrule.behavior.weights.sources import (
    Stored,
    Weights,
    folder_weights,
    module_weights,
    row_count,
)
from plumbrule.behavior.weights.spectra import Difference, Directions, from_factors, strongest
from plumbrule.errors import ConfigError
from plumbrule.models import LocalModel
from plumbrule.models.checkpoint import check_adapter
from plumbrule.store import Progress, derive_seed


@dataclass(frozen=True, kw_only=True)
class WeightChanges:
    """All that two sets of weights say about each other."""

    report: WeightReport
    """The part that is saved."""

    directions: Mapping[str, Directions]
    """Strongest singular triplets of each changed matrix, by the base's name of it."""


def compare_weights(
    base: LocalModel,
    tuned: LocalModel,
    *,
    top: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> WeightChanges:
    """Compare the weights of two models in memory.

    Args:
        base: The model before.
        tuned: The model after; adapters folded in, as `open_model` does.
        top: Most singular triplets kept of each changed matrix.
        seed: Of the random columns with which large matrices are decomposed.
        progress: Told after each tensor.

    Raises:
        ModelError: Weights are quantized, NaN, infinite, or not in memory.
        ConfigError: `top` is below 1.
    """
    return _compare(
        module_weights(base.module, base.spec),
        module_weights(tuned.module, tuned.spec),
        (),
        top,
        seed,
        progress,
    )


def compare_folders(
    base: Path,
    tuned: Path,
    *,
    top: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> WeightChanges:
    """Compare the weights of two checkpoint folders without loading either.

    Either may be a LoRA adapter. Where it lies on the other folder, its change is taken from its
    factors, exact and cheap; adapters of other kinds are folded into their base in memory first,
    and the notes say so.

    Args:
        base: Folder of the model before.
        tuned: Folder of the model after, or of its adapter.
        top: Most singular triplets kept of each changed matrix.
        seed: Of the random columns with which large matrices are decomposed.
        progress: Told after each tensor.

    Raises:
        ModelError: A folder is damaged, or its weights are quantized, NaN or infinite.
        ConfigError: `top` is below 1.
    """
    notes: list[str] = []
    first = _source(base, _under(base, None, notes), notes)
    under = _under(tuned, base, notes)
    if under is None:
        return _compare(first, folder_weights(tuned), notes, top, seed, progress)
    if not _is_adapter(base) and under.resolve() == base.resolve():
        try:
            adapter = read_adapter(tuned, first)
        except Unsupported:
            pass  # the note is written where it is folded in, below
        else:
            return _compare_adapter(first, adapter, str(tuned), notes, top, seed, progress)
    return _compare(first, _source(tuned, under, notes), notes, top, seed, progress)


def _source(folder: Path, under: Path | None, notes: list[str]) -> Weights:
    """The weights of a folder, with an adapter's change added to those under it."""
    if under is None:
        return folder_weights(folder)
    plain = folder_weights(under)
    try:
        return adapted_weights(plain, read_adapter(folder, plain), str(folder))
    except Unsupported as why:
        notes.append(
            f"The adapter in {folder} has no plain factors ({why}): it was folded into its base in "
            "memory, and the merged weights compared."
        )
        return module_weights(merged_module(under, folder), str(folder))


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").exists()


def _under(folder: Path, given: Path | None, notes: list[str]) -> Path | None:
    """The model under an adapter: the folder it names, else the one given; None for a model."""
    if not _is_adapter(folder):
        return None
    name = check_adapter(folder)
    for found in (Path(name), folder / name):
        if (found / "config.json").exists():
            return found
    if given is None or _is_adapter(given):
        return Path(name)  # reading it says what is wrong
    notes.append(
        f"The adapter in {folder} names {name[:200]!r} as its base, which is no folder here; it "
        f"was taken to lie on {given}."
    )
    return given


def _compare(
    base: Weights,
    tuned: Weights,
    notes: Sequence[str],
    top: int,
    seed: int,
    progress: Progress | None,
) -> WeightChanges:
    _check_top(top)
    pairing = pair(base, tuned)
    grown = _grown(base, tuned, pairing)
    tensors, resized, directions = [], [], {}
    for done, (name, first, second) in enumerate(pairing.shared):
        one, two = base.tensors[first], tuned.tensors[second]
        rows: int | None = row_count(one.shape)
        if one.shape != two.shape:
            rows = _shared_rows(one.shape, two.shape) if grown else None
            resized.append(
                Resized(name=name, base_shape=one.shape, tuned_shape=two.shape, compared_rows=rows)
            )
        if rows is not None:
            change, found = _compare_tensor(name, one, two, rows, top, derive_seed(seed, name))
            tensors.append(change)
            if found is not None:
                directions[name] = found
        if progress:
            progress(done + 1, len(pairing.shared))
    report = WeightReport(
        base=base.name,
        tuned=tuned.name,
        tensors=tuple(tensors),
        missing=pairing.missing,
        extra=pairing.extra,
        resized=tuple(resized),
        notes=(*notes, *pairing.notes, *_resized_notes(resized)),
    )
    return WeightChanges(report=report, directions=directions)


def _compare_tensor(
    name: str, base: Stored, tuned: Stored, rows: int, top: int, seed: int
) -> tuple[TensorChange, Directions | None]:
    difference = Difference(name, base, tuned, rows=rows)
    sizes = difference.measure()
    shape = (rows, *base.shape[1:]) if base.shape else ()
    found = None
    if sizes.change and len(shape) >= 2:
        found = strongest(difference, sizes, top=top, seed=seed)
    change = _change(name, shape, base, math.sqrt(sizes.base), math.sqrt(sizes.change), found)
    return replace(
        change,
        tuned_dtype=_type_name(tuned),
        tuned_norm=math.sqrt(sizes.tuned),
        rounding=sizes.rounding,
    ), found


def _change(
    name: str,
    shape: tuple[int, ...],
    base: Stored,
    base_norm: float,
    change_norm: float,
    found: Directions | None,
) -> TensorChange:
    values = () if found is None else tuple(float(value) for value in found.values)
    return TensorChange(
        name=name,
        shape=shape,
        base_dtype=_type_name(base),
        tuned_dtype=_type_name(base),
        base_norm=base_norm,
        tuned_norm=base_norm,
        change_norm=change_norm,
        spectral_norm=values[0] if values else None,
        singular_values=values,
        spectrum=None if found is None else found.spectrum,
    )


def _compare_adapter(
    base: Weights,
    adapter: Adapter,
    name: str,
    notes: Sequence[str],
    top: int,
    seed: int,
    progress: Progress | None,
) -> WeightChanges:
    """The base against itself with an adapter: the changes come from the factors."""
    _check_top(top)
    replaced = Weights(
        name=name, tensors={**base.tensors, **adapter.replaced}, aliases=base.aliases
    )
    plain = _compare(base, replaced, (*notes, _FACTORS), top, seed, progress)
    directions = dict(plain.directions)
    tensors = []
    for one in plain.report.tensors:
        if one.name not in adapter.factors:
            tensors.append(one)
            continue
        change, found = _from_factors(one, base.tensors[one.name], adapter.factors[one.name], top)
        tensors.append(change)
        if found is not None:
            directions[one.name] = found
    return WeightChanges(
        report=replace(plain.report, tensors=tuple(tensors)), directions=directions
    )


_FACTORS = (
    "The change was taken from the adapter's factors, before any rounding that folding it into "
    "the weights would add."
)


def _from_factors(
    plain: TensorChange, stored: Stored, factors: Factors, top: int
) -> tuple[TensorChange, Directions | None]:
    found, norm = from_factors(factors.up, factors.down, top=top)
    if not norm:
        return plain, None
    inner, step = 0.0, max(1, 2**21 // math.prod(stored.shape[1:]))
    for start in range(0, stored.shape[0], step):
        block = stored.rows(start, start + step).float()
        inner += float(((block @ factors.down.T) * factors.up[start : start + step]).sum())
    change = _change(plain.name, plain.shape, stored, plain.base_norm, norm, found)
    tuned_norm = math.sqrt(max(0.0, plain.base_norm**2 + 2 * inner + norm**2))
    return replace(change, tuned_norm=tuned_norm), found


def _grown(base: Weights, tuned: Weights, pairing: Pairing) -> bool:
    """Whether shapes differ as they do where a vocabulary grew, and perhaps the context.

    Then few lengths changed, and only in the number of rows. In a model of another width rows of
    one number say nothing about each other.
    """
    differing = [
        (base.tensors[first].shape, tuned.tensors[second].shape)
        for _, first, second in pairing.shared
        if base.tensors[first].shape != tuned.tensors[second].shape
    ]
    matrices = [(one, other) for one, other in differing if len(one) > 1 or len(other) > 1]
    lengths = {(one[:1], other[:1]) for one, other in matrices}
    return len(lengths) <= 2 and all(_shared_rows(one, other) for one, other in matrices)


def _shared_rows(one: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    """Rows that both matrices have, where they differ in the number of rows alone."""
    if len(one) < 2 or one[1:] != other[1:]:
        return None
    return min(one[0], other[0]) or None


def _resized_notes(resized: Iterable[Resized]) -> list[str]:
    return [
        f"{one.name} has {one.base_shape} in the base and {one.tuned_shape} in the tuned model: "
        + (
            "not compared."
            if one.compared_rows is None
            else f"the first {one.compared_rows} rows were compared."
        )
        for one in resized
    ]


def _type_name(stored: Stored) -> str:
    return str(stored.dtype).removeprefix("torch.")


def _check_top(top: int) -> None:
    if top < 1:
        raise ConfigError(f"top must be at least 1, got {top}")
