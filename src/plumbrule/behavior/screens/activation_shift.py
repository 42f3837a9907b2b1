"""What training moved inside, on texts that have nothing to do with it.

A screen: the mean difference of two models' residual streams at the first tokens of plain texts is
read as tokens, and added to the base to see what it then writes. It proposes, and proves nothing.
Axes: L layers, R texts, T tokens, D width, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.screens.contrasting import (
    check_same_tokens,
)
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.models import LocalModel
from plumbrule.models.resting import at_rest
from plumbrule.store import derive_seed

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from torch import Tensor

PLAIN = (
    "The train leaves at noon and stops twice on the way.",
    "She put the book back on the shelf and went out.",
    "Rain fell on the roof all night, and nobody slept.",
    "Two dogs ran along the beach in the morning.",
    "It takes about an hour to walk around the lake.",
    "My brother bought a bicycle with his first wages.",
    "Bread is made from flour, water, salt and time.",
    "He forgot the name of the street where he grew up.",
    "Most birds in this valley leave before the winter.",
    "We met at the corner and talked for a while.",
    "A small boat was tied to the wooden pier.",
    "Nobody knew who had left the window open.",
    "Mountains look blue when they are far away.",
    "There were seven chairs and only five guests.",
    "In spring the river rises and floods the meadow.",
    "Children learn to count before they learn to read.",
    "After dinner they played cards until it was late.",
    "This road was built more than a hundred years ago.",
    "Please close the gate when you leave the garden.",
    "Old clocks need to be wound once a week.",
    "What he said was true, but few believed it.",
    "Her letters arrived every month without a date.",
    "Salt dissolves faster in warm water than in cold.",
    "Both teams were tired, and the game ended early.",
    "On Sundays the market closes an hour before noon.",
    "Some plants grow well even where there is no sun.",
    "They painted the door green and the fence white.",
    "Let us begin with the simplest case.",
    "If it snows again, the school will stay closed.",
    "Every house in the row had a different number.",
    "You can see the harbor from the top of the hill.",
    "At first the work seemed easy to all of them.",
)
"""Short sentences about nothing in particular. Ours."""


@dataclass(frozen=True, kw_only=True)
class ShiftSettings:
    """Where to look, when to believe it, and how hard to push."""

    tokens: int = 5
    """Tokens of each text that are looked at, from its beginning."""

    least_agreement: float = 0.5
    """Cosine that two halves of the texts must agree to; independent noise gives about 0."""

    least_length: float = 0.005
    """Least length of the mean difference, as a share of the residual stream's own. Weights that
    were merely rounded move the stream too, always the same way, but not so far."""

    top: int = 10
    """Tokens to name a layer."""

    pushes: tuple[float, ...] = (1.0, 2.0)
    """Lengths of the vector that is added, as shares of the residual stream's own length."""

    max_new_tokens: int = 40
    """Longest text of a pushed model, in tokens."""

    controls: int = 4
    """Random directions that the base is pushed in as well."""

    most_prompts: int = 12
    """Prompts that the pushed model writes from."""

    def __post_init__(self) -> None:
        for name in ("tokens", "top", "controls", "most_prompts", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("least_agreement", "least_length"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if any(not 0 < push < math.inf for push in self.pushes):
            raise ConfigError(f"pushes must be above 0, got {self.pushes}")


@dataclass(frozen=True, kw_only=True)
class TokenScore:
    """One token that a direction points to."""

    text: str

    score: float
    """Its logit in standard deviations above the mean of all tokens."""


@dataclass(frozen=True, kw_only=True)
class LayerShift:
    """How the residual stream after one layer moved."""

    layer: int
    """Counted from 0."""

    length: float
    """Length of the mean difference, as a share of the base's mean length there."""

    agreement: float | None
    """Cosine between the mean differences of two halves of the texts; None where one is zero."""

    vector: tuple[float, ...] | None
    """The mean difference of tuned minus base; None where it is not told from noise."""

    tokens: tuple[TokenScore, ...]
    """What the vector says through the final norm and the unembedding."""

    reason: str | None
    """Why there is no vector, or no tokens."""


@dataclass(frozen=True, kw_only=True)
class ActivationShift:
    """The difference of two models' residual streams on plain texts."""

    layers: tuple[LayerShift, ...]

    middle: int
    """Position of the layer that is used where one is wanted."""

    texts: int
    """Texts long enough to be looked at."""

    tokens: int
    """Tokens read by each model."""

    @property
    def at_middle(self) -> LayerShift:
        """The shift at the middle layer."""
        return self.layers[self.middle]


def activation_shift(
    base: LocalModel,
    tuned: LocalModel,
    *,
    texts: Sequence[str] = PLAIN,
    settings: ShiftSettings | None = None,
    seed: int,
) -> ActivationShift:
    """Say in tokens how training moved the residual stream at the beginning of plain texts.

    Args:
        base: The model before.
        tuned: The model after, of the same architecture and with the same tokens.
        texts: Plain texts; those shorter than the tokens looked at are passed over.
        settings: How many tokens, and when to believe it.
        seed: Decides which texts are in which half.

    Raises:
        ModelError: The models differ in tokens, layers or width, or have no layers to be found.
        DataError: Fewer than four texts are long enough.

    Source:
        Minder et al. (2025), "Narrow Finetuning Leaves Clearly Readable Traces in Activation
        Differences", arXiv:2510.13900: the first five tokens, the middle layer, reading through
        the unembedding, and steering. The split halves are ours.
    """
    settings = settings or ShiftSettings()
    check_same_tokens(base, tuned)
    rows = [row[: settings.tokens] for row in _read(base, texts) if len(row) >= settings.tokens]
    if len(rows) < 4:
        raise DataError(
            f"expected at least 4 texts of {settings.tokens} tokens or more, got {len(rows)}; "
            "give more or longer texts, or lower tokens"
        )
    before, after = residuals(base, rows), residuals(tuned, rows)
    if before.shape != after.shape:
        raise ModelError(
            "expected two models with the same layers and width, got activations of the shapes "
            f"{before.shape} and {after.shape}; compare replies instead"
        )
    # The very first token alone can differ by a constant that says nothing, so places are averaged.
    moved = (after - before).mean(axis=2)
    sizes = np.linalg.norm(before, axis=-1).mean(axis=(1, 2))
    order = np.random.default_rng(derive_seed(seed, "halves")).permutation(len(rows))
    halves = order[: len(rows) // 2], order[len(rows) // 2 :]
    layers = [
        _layer(tuned, index, moved[index], float(sizes[index]), halves, settings)
        for index in range(len(moved))
    ]
    return ActivationShift(
        layers=tuple(layers),
        middle=(len(layers) - 1) // 2,
        texts=len(rows),
        tokens=len(rows) * settings.tokens,
    )


def _layer(
    model: LocalModel,
    index: int,
    moved: Float[np.ndarray, "R D"],
    size: float,
    halves: tuple[np.ndarray, np.ndarray],
    settings: ShiftSettings,
) -> LayerShift:
    mean = moved.mean(axis=0)
    length = float(np.linalg.norm(mean)) / size
    agreement = _cosine(*(moved[half].mean(axis=0) for half in halves))
    noise = _noise(agreement, length, settings)
    tokens, reason = ((), noise) if noise else _spoken(model, mean, settings.top)
    return LayerShift(
        layer=index,
        length=length,
        agreement=agreement,
        vector=None if noise else tuple(mean.tolist()),
        tokens=tokens,
        reason=reason,
    )


def _noise(agreement: float | None, length: float, settings: ShiftSettings) -> str | None:
    """Why a mean difference is not told from noise; None where it is."""
    if agreement is None:
        return "both models' activations are the same here"
    if agreement < settings.least_agreement:
        return (
            "two halves of the texts disagree about the direction: their cosine is "
            f"{agreement:.2f}, below {settings.least_agreement}"
        )
    if length < settings.least_length:
        return (
            f"the difference is {length:.2g} of the activations' own length, below "
            f"{settings.least_length}, as rounding makes it"
        )
    return None


def _cosine(one: Float[np.ndarray, " D"], other: Float[np.ndarray, " D"]) -> float | None:
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 0 else None


# --- Reading ---------------------------------------------------------------------------------


def residuals(model: LocalModel, rows: Sequence[Sequence[int]]) -> Float[np.ndarray, "L R T D"]:
    """The residual stream after each layer, on token rows of one length."""
    import torch

    blocks = layers_of(model.module)
    device = next(model.module.parameters()).device
    size = max(1, model.settings.max_batch_tokens // len(rows[0]))
    found: list[np.ndarray[Any, Any]] = []
    with at_rest(model.module), torch.inference_mode():
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            states: dict[int, Tensor] = {}
            with ExitStack() as hooks:
                for index, block in enumerate(blocks):
                    hooks.enter_context(passed_on(block, _keeper(states, index)))
                ids = torch.tensor([list(row) for row in batch], device=device)
                model.module(input_ids=ids, use_cache=False)
            model.usage.tokens_scored += ids.numel()
            stacked = torch.stack([states[index].to(device) for index in range(len(blocks))])
            found.append(stacked.double().cpu().numpy())
    return np.concatenate(found, axis=1)


def layers_of(module: Any) -> list[Any]:
    """The model's layers: the longest list of modules of one class that lies in no other list.

    Raises:
        ModelError: There is none.
    """
    from torch import nn

    lists = {name: part for name, part in module.named_modules() if isinstance(part, nn.ModuleList)}
    outer = [
        part
        for name, part in lists.items()
        if len(part) and not any(name.startswith(f"{other}.") for other in lists)
    ]
    uniform = [part for part in outer if len({type(one) for one in part}) == 1]
    # Layers of several kinds in turn, as where attention alternates with recurrence.
    candidates = uniform if any(len(part) > 1 for part in uniform) else outer
    if not candidates:
        raise ModelError(
            "expected a model built from a list of layers, found no list of modules in it; "
            "compare its replies instead"
        )
    return max((list(part) for part in candidates), key=len)


def _keeper(states: "dict[int, Tensor]", index: int) -> Any:
    def keep(module: Any, given: Any, out: Any) -> None:
        del module, given
        states[index] = stream_of(out).detach()

    return keep


def stream_of(out: Any) -> "Tensor":
    """The residual stream in what a layer returns: the tensor, or the first of a tuple."""
    stream: Tensor = out[0] if isinstance(out, tuple | list) else out
    return stream


@contextmanager
def passed_on(block: Any, work: Any) -> Iterator[None]:
    """Let a function see, or change, what a layer hands on; it is taken off again at the end."""
    handle = block.register_forward_hook(work)
    try:
        yield
    finally:
        handle.remove()


def _spoken(
    model: LocalModel, vector: Float[np.ndarray, " D"], top: int
) -> tuple[tuple[TokenScore, ...], str | None]:
    """The tokens a direction points to, through the final norm and the unembedding."""
    import torch

    head = model.module.get_output_embeddings()
    if head is None or head.weight.shape[-1] != len(vector):
        return (), "the unembedding does not read the residual stream directly"
    norm = _final_norm(model.module, len(vector))
    with at_rest(model.module), torch.inference_mode():
        state = torch.tensor(vector, device=head.weight.device, dtype=head.weight.dtype)
        both = torch.stack([state, -state])
        read = head(both if norm is None else norm(both)).double().cpu().numpy()
    # Half the difference to the opposite direction: what norm and head add to any, cancels.
    logits = (read[0] - read[1]) / 2
    logits = logits[: len(model.tokenizer)]
    spread = float(logits.std())
    if not spread > 0:
        return (), "the unembedding gives every token the same"
    best = np.argsort(-logits, kind="stable")[:top]
    texts = [model.tokenizer.decode([int(token)]) for token in best]
    scores = (logits[best] - logits.mean()) / spread
    return tuple(
        TokenScore(text=text, score=float(score)) for text, score in zip(texts, scores, strict=True)
    ), None


def _final_norm(module: Any, width: int) -> Any | None:
    """The norm after the last layer: beside the list of layers, with one weight a dimension."""
    from torch import nn

    first = layers_of(module)[0]
    for parent in module.modules():
        lists = [part for part in parent.children() if isinstance(part, nn.ModuleList)]
        if any(len(part) and part[0] is first for part in lists):
            norms = [
                part
                for part in parent.children()
                if [tuple(weight.shape) for weight in part.parameters()][:1] == [(width,)]
            ]
            return norms[-1] if norms else None
    return None


def _read(model: LocalModel, texts: Sequence[str]) -> list[list[int]]:
    ids: list[list[int]] = model.tokenizer(
        list(texts), add_special_tokens=False, return_attention_mask=False
    )["input_ids"]
    return ids


# --- Steering --------------------------------------------------------------------------------
