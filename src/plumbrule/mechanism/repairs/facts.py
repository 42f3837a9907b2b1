"""Edits of facts: one matrix taught to give something else for a few keys, and little for others.

A matrix is read as a memory: for a key k, what it takes in where the subject of a fact ends, it
gives a value W k. The edit is the smallest change that gives the wanted values, small meaning that
it disturbs what is given for keys that shall be kept.

Axes: I inputs of a matrix, O outputs, N keys to change, M keys to keep.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.capturing import read
from plumbrule.mechanism.hooks import last_logits
from plumbrule.mechanism.repairs.weight_edits import WeightChange, WeightEdit
from plumbrule.mechanism.repairs.writers import Writer, find_writers, refuse_quantized, weight_of
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.models.modules import evaluation_mode

Kept = Literal["covariance", "null_space"]
"""How kept keys are spared: weighed by how often their directions are used (ROME), or not touched
at all (AlphaEdit)."""


def keys_at(
    module: Any, sites: Sites, site: str, rows: Sequence[Sequence[int]]
) -> Float[np.ndarray, "N I"]:
    """Input of the matrix that writes at a site, at the last token of each text.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        site: Such as `3.mlp`.
        rows: Token ids of texts that end where the subject does.

    Raises:
        ConfigError: No matrix writes there.
        DataError: A text is empty.
    """
    import torch

    (writer,) = find_writers(module, sites, [site])
    if not rows or not all(rows):
        raise DataError("expected texts to read keys from, got none or an empty one")
    place = _inputs(writer)
    device = next(module.parameters()).device
    found = [
        read(module, [place], torch.tensor([list(row)], device=device))[place.name][0, -1]
        for row in rows
    ]
    keys: np.ndarray = torch.stack(found).double().cpu().numpy()
    return keys


def values_for(
    module: Any,
    sites: Sites,
    site: str,
    rows: Sequence[Sequence[int]],
    places: Sequence[int],
    targets: Sequence[int],
    *,
    steps: int = 25,
    learning_rate: float = 0.5,
    decay: float = 0.02,
) -> Float[np.ndarray, "N O"]:
    """What a matrix must add, beside what it gives, so that each text goes on with its target.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        site: Where the matrix writes.
        rows: Token ids of prompts, such as "The capital of X is".
        places: For each, the token where the subject ends.
        targets: For each, the token that is to come next.
        steps: Steps of Adam.
        learning_rate: Its step size, as a share of the length of what is given.
        decay: Weight of the added vector's squared length, as a share of that length squared.

    Returns:
        One vector per prompt, to be added to what the matrix gives.

    Raises:
        DataError: The numbers of prompts, places and targets differ.

    Source:
        Meng et al. (2022), "Locating and editing factual associations in GPT", arXiv 2202.05262,
        section 3.1: the value that brings the object, by gradient.
    """
    import torch

    (writer,) = find_writers(module, sites, [site])
    if not len(rows) == len(places) == len(targets) or not rows:
        raise DataError(
            f"expected a place and a target for each prompt, got {len(rows)}, {len(places)} and "
            f"{len(targets)}"
        )
    found = []
    device = next(module.parameters()).device
    part = module.get_submodule(writer.path)
    for row, place, target in zip(rows, places, targets, strict=True):
        ids = torch.tensor([list(row)], device=device)
        added = torch.zeros(len(writer.scale), device=device, requires_grad=True)
        length: list[float] = []

        def hook(
            part: Any,
            arguments: Any,
            given: Any,
            added: Any = added,
            place: int = place,
            length: list[float] = length,
        ) -> Any:
            length[:] = [float(given[0, place].detach().norm())]
            new = given.clone()
            new[0, place] = new[0, place] + added * length[0]
            return new

        optimizer = torch.optim.Adam([added], lr=learning_rate / len(writer.scale) ** 0.5)
        handle = part.register_forward_hook(hook)
        asked = [weight for weight in module.parameters() if weight.requires_grad]
        try:
            for weight in asked:
                weight.requires_grad_(False)
            with evaluation_mode(module), torch.enable_grad():
                for _ in range(steps):
                    optimizer.zero_grad()
                    logs = last_logits(module, ids).log_softmax(-1)
                    torch.autograd.backward(-logs[0, target] + decay * added.square().sum())
                    optimizer.step()
        finally:
            handle.remove()
            for weight in asked:
                weight.requires_grad_(True)
        found.append(added.detach().double().cpu().numpy() * length[0])
    return np.stack(found)


def fact_edit(
    module: Any,
    sites: Sites,
    site: str,
    keys: Float[np.ndarray, "N I"],
    added: Float[np.ndarray, "N O"],
    kept_keys: Float[np.ndarray, "M I"],
    *,
    kept: Kept = "covariance",
    ridge: float = 1e-2,
    share: float = 0.99,
) -> WeightEdit:
    """The change of one matrix that adds given vectors to what it gives for given keys.

    With one key it is of rank one. By covariance, the change D is the one for which D k is right
    and what D adds on kept keys is least, in the mean square. By null space, D is built of
    directions that kept keys do not use at all: for those nothing changes, but for the share left
    over.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        site: Where the matrix writes, such as `3.mlp`.
        keys: What it takes in where something else is to be given; see `keys_at`.
        added: What is to be added to what it gives there; see `values_for`.
        kept_keys: What it takes in on texts that shall stay as they are.
        kept: `covariance` or `null_space`.
        ridge: Added to the covariance, as a share of its mean; keeps a key that kept texts never
            use from being changed without bound.
        share: Of the variance of kept keys that the null space must leave alone.

    Raises:
        ConfigError: Shapes do not fit the matrix, or `kept` is neither.
        DataError: Numbers are NaN; or kept keys fill the whole space, or a key lies all in what
            they use, so that no null space is left for it.
        ModelError: The matrix is quantized.

    Source:
        Meng et al. (2022), arXiv 2202.05262, equation 2 (one key); Meng et al. (2023), MEMIT, arXiv
        2210.07229, equation 14 (several); Fang et al. (2025), AlphaEdit, arXiv 2410.02355 (null
        space). The null space is approximate: kept keys that were not given are not spared.
    """
    refuse_quantized(module)
    (writer,) = find_writers(module, sites, [site])
    outputs, inputs = weight_of(module, writer).shape
    for name, value, width in (
        ("keys", keys, inputs),
        ("added", added, outputs),
        ("kept_keys", kept_keys, inputs),
    ):
        if value.ndim != 2 or value.shape[1] != width:
            raise ConfigError(
                f"expected {name} as rows of {width} numbers at {site}, got {value.shape}"
            )
        if not len(value) or not np.isfinite(value).all():
            raise DataError(f"expected numbers in {name}, got none, NaN or infinity")
    if len(keys) != len(added):
        raise ConfigError(f"expected one vector to add a key, got {len(added)} for {len(keys)}")
    second = kept_keys.T @ kept_keys / len(kept_keys)
    if kept == "covariance":
        second[np.diag_indices(inputs)] += ridge * np.trace(second) / inputs
        reads = np.linalg.solve(second, keys.T)  # (I, N)
    elif kept == "null_space":
        values, vectors = np.linalg.eigh(second)
        rest = np.cumsum(values) <= (1 - share) * values.sum()
        reads = vectors[:, rest] @ (vectors[:, rest].T @ keys.T)
        left = np.linalg.norm(reads, axis=0) / np.linalg.norm(keys, axis=1)
        if not rest.any() or float(left.min()) < 1e-3:
            raise DataError(
                f"kept keys use all that a key uses at {site} (a share of {float(left.min()):.2g} "
                "is left): nothing can be changed there without changing them. Take another layer, "
                "or kept='covariance'"
            )
    else:
        raise ConfigError(f"expected kept as covariance or null_space, got {kept!r}")
    # D = added^T (reads^T keys^T)^-1 reads^T gives exactly what is wanted for every key.
    gram = reads.T @ keys.T
    gram[np.diag_indices(len(gram))] += 1e-9 * np.trace(gram) / len(gram)
    left_factor = np.linalg.solve(gram.T, added).T
    return WeightEdit(
        changes=(
            WeightChange(
                path=writer.path, left=left_factor, right=reads, transposed=writer.transposed
            ),
        )
    )


def _inputs(writer: Writer) -> Site:
    return Site(name=f"inputs of {writer.path}", path=writer.path, side="in")
