"""The same measures over a training: what each checkpoint scores, and whether anything jumped.

Every checkpoint reads the same tokens, so that what moves is the model. Random tokens read twice
give each head's scores and the loss on what was there before; given texts give the loss, and how
much a longer context helps.

Axes: B sequences, T tokens, C checkpoints.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.parts.heads import ROLES, Role, find_heads
from plumbrule.mechanism.site_search import find_sites
from plumbrule.models.modules import evaluation_mode
from plumbrule.records import strict
from plumbrule.statistics import ChangePoint, find_change_points
from plumbrule.store import derive_seed

LATE, EARLY = 500 / 512, 50 / 512
"""Where in a row the in-context learning score is read: after the 500th and the 50th of 512 tokens
in the source, at the same shares of other lengths."""

AROUND = 1 / 32
"""Share of a row over which the loss is averaged at each of the two places."""

SHORTEST = 16
"""Fewest tokens of a row in which an early and a late place are apart."""


@strict
@dataclass(frozen=True, kw_only=True)
class Course:
    """One measure over the checkpoints."""

    name: str
    """Such as `1.heads.3 induction`, `repeated loss`, `loss`, `in-context learning`."""

    unit: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


Opened = Any | Path
"""A module, or the folder that it lies in."""


def over_training(
    checkpoints: Iterable[tuple[int, Opened]],
    *,
    seed: int,
    rows: Sequence[Sequence[int]] = (),
    roles: Sequence[Role] = ROLES,
    sequences: int = 32,
    length: int = 20,
    open_with: Callable[[Path], Any] | None = None,
    progress: Callable[[int], None] = lambda step: None,
) -> tuple[Course, ...]:
    """Measure every checkpoint of a training alike.

    Checkpoints are opened one at a time, and none is kept.

    Args:
        checkpoints: Training steps done, in rising order, with the module or its folder.
        seed: Of the random tokens, the same for all checkpoints.
        rows: Token ids of texts of one length, for the loss and the in-context learning score.
        roles: What heads are scored for.
        sequences: Sequences of random tokens.
        length: Tokens of a sequence before it is repeated.
        open_with: Turns a folder into a module; None: as `open_model` does.
        progress: Told of the steps of each checkpoint when it is measured.

    Returns:
        For each head and role its advantage, as `find_heads` measures it; `repeated loss` and `new
        loss`, nats per token in the second and the first round of random tokens; with rows `loss`,
        nats per token, and `in-context learning`, the loss late in a row less that early in it,
        in nats per token, where less is more learned from the context.

    Raises:
        ConfigError: Steps do not rise.
        DataError: No checkpoint, rows that are too short or of several lengths, or checkpoints of
            different shapes.
        ModelError: A checkpoint cannot be read.

    Source:
        Olsson et al. (2022), "In-context learning and induction heads", arXiv 2209.11895: the
        scores; averaging around the two places is ours.
    """
    _check_rows(rows)
    steps: list[int] = []
    found: dict[tuple[str, str], list[float]] = {}
    for step, opened in checkpoints:
        if steps and step <= steps[-1]:
            raise ConfigError(
                f"expected checkpoints in the order of training, got {step} steps after {steps[-1]}"
            )
        module = _open(opened, open_with)
        here = _measures(module, rows, roles, seed=seed, sequences=sequences, length=length)
        if steps and here.keys() != found.keys():
            raise DataError(
                f"expected checkpoints of one model, that after {step} steps has other heads than "
                f"that after {steps[0]}"
            )
        for name, value in here.items():
            found.setdefault(name, []).append(value)
        steps.append(step)
        progress(step)
    if not steps:
        raise DataError("expected checkpoints to measure, got none")
    return tuple(
        Course(name=name, unit=unit, steps=tuple(steps), values=tuple(values))
        for (name, unit), values in found.items()
    )


def phase_changes(
    courses: Sequence[Course], *, seed: int, level: float = 0.05, minimum_jump: float = 0.1
) -> tuple[ChangePoint, ...]:
    """Which measures jumped, and at which training step; decided over all of them.

    Args:
        courses: What `over_training` gave, at least 8 checkpoints each.
        seed: Of the simulated series.
        level: Largest expected share of false claims.
        minimum_jump: Least jump worth a claim: a share of attention, or nats per token.

    Returns:
        As `find_change_points`, in training steps.

    Raises:
        DataError: Courses of different checkpoints, or too few of them.
    """
    if len({course.steps for course in courses}) != 1:
        raise DataError("expected courses over the same checkpoints, got several or none")
    return find_change_points(
        {course.name: np.array(course.values) for course in courses},
        seed=seed,
        places=np.array(courses[0].steps),
        unit="training steps",
        level=level,
        minimum_jump=minimum_jump,
    )


def token_losses(module: Any, ids: Any) -> Float[np.ndarray, "B T-1"]:
    """Loss at every token but the first, in nats.

    Args:
        module: The model; left as it was.
        ids: Tokens, (B, T).
    """
    import torch

    with evaluation_mode(module), torch.no_grad():
        logits = module(input_ids=ids, use_cache=False)["logits"][:, :-1].float()
        picked = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    losses: np.ndarray = -picked.double().cpu().numpy()
    return losses


def _measures(
    module: Any,
    rows: Sequence[Sequence[int]],
    roles: Sequence[Role],
    *,
    seed: int,
    sequences: int,
    length: int,
) -> dict[tuple[str, str], float]:
    """All measures of one checkpoint, by name and unit."""
    import torch

    sites = find_sites(module)
    heads = find_heads(module, sites, seed=seed, roles=roles, sequences=sequences, length=length)
    found = {
        (f"{each.layer}.heads.{each.head} {each.role}", "share of attention"): each.advantage.value
        for each in sorted(heads, key=lambda one: (one.role, one.layer, one.head))
    }
    rng = np.random.default_rng(derive_seed(seed, "over training"))
    once = rng.integers(min(10, sites.vocabulary // 2), sites.vocabulary, (sequences, length))
    device = next(module.parameters()).device
    losses = token_losses(module, torch.tensor(np.concatenate([once, once], 1), device=device))
    # The second round's first token is not foretold: what came before it then is another token.
    found["repeated loss", "nats per token"] = float(losses[:, length:].mean())
    found["new loss", "nats per token"] = float(losses[:, : length - 1].mean())
    if rows:
        losses = token_losses(module, torch.tensor([list(row) for row in rows], device=device))
        found["loss", "nats per token"] = float(losses.mean())
        found["in-context learning", "nats per token"] = _gain(losses)
    return found


def _gain(losses: Float[np.ndarray, "B T-1"]) -> float:
    """Loss late in a row less that early in it."""
    count = losses.shape[1]
    half = max(1, round(count * AROUND / 2))

    def around(share: float) -> float:
        middle = round(share * count)
        return float(losses[:, max(0, middle - half) : middle + half].mean())

    return around(LATE) - around(EARLY)


def _open(opened: Opened, open_with: Callable[[Path], Any] | None) -> Any:
    if not isinstance(opened, Path):
        return opened
    if open_with is not None:
        return open_with(opened)
    from plumbrule.models import LocalModel, open_model

    model = open_model(str(opened))
    assert isinstance(model, LocalModel)  # a folder is never an endpoint
    return model.module


def _check_rows(rows: Sequence[Sequence[int]]) -> None:
    lengths = {len(row) for row in rows}
    if rows and (len(lengths) != 1 or min(lengths) < SHORTEST):
        raise DataError(
            f"expected rows of one length, at least {SHORTEST} tokens each, got lengths "
            f"{sorted(lengths)[:5]}; cut longer texts into pieces of one length"
        )
