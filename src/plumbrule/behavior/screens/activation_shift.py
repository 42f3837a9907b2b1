"""What training moved inside, on texts that have nothing to do with it.

A screen: the mean difference of two models' residual streams at the first tokens of plain texts is
read as tokens, and added to the base to see what it then writes. It proposes, and proves nothing.
Axes: L layers, R texts, T tokens, D width, V vocabulary.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.places import words_of
from plumbrule.behavior.screens.contrasting import (
    Phrase,
    check_same_tokens,
    compare_phrases,
)
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.models import LocalModel, Sampling
from plumbrule.models.resting import at_rest
from plumbrule.records import Dialogue
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
                    hooks.enter_context(_hook(block, _keeper(states, index)))
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
        states[index] = _stream(out).detach()

    return keep


def _stream(out: Any) -> "Tensor":
    """The residual stream in what a layer returns: the tensor, or the first of a tuple."""
    stream: Tensor = out[0] if isinstance(out, tuple | list) else out
    return stream


@contextmanager
def _hook(block: Any, work: Any) -> Iterator[None]:
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


@dataclass(frozen=True, kw_only=True)
class SteeredText:
    """What the base wrote while it was pushed."""

    text: str

    prompt: int
    """Position of the prompt it answers."""

    push: float
    """Length of the vector added, as a share of the residual stream's own; 0 for none."""

    control: int | None
    """Which random direction it was pushed in; None where it was none, or where training moved."""


@dataclass(frozen=True, kw_only=True)
class Steering:
    """What the base says when it is pushed where training moved. Proposes, and proves nothing."""

    phrases: tuple[Phrase, ...]
    """What it says beyond the base left alone, and beyond the base pushed in every one of the
    random directions; `units` are positions of the prompts written from."""

    texts: tuple[SteeredText, ...]

    layer: int | None
    """Layer it was pushed at."""

    tokens: int
    """Tokens written."""

    reason: str | None
    """Why no phrase is named; None where one is."""


def steer(
    base: LocalModel,
    shift: ActivationShift,
    dialogues: Sequence[Dialogue],
    *,
    layer: int | None = None,
    settings: ShiftSettings | None = None,
    seed: int,
) -> Steering:
    """Say what the base writes when it is pushed where training moved.

    Any strong push makes a model say odd things, so what it says pushed is compared with what it
    says left alone and pushed as far in a random direction.

    Args:
        base: The model before.
        shift: Where training moved, from `activation_shift`.
        dialogues: Prompts to write from.
        layer: Which layer's vector, added after that layer; None takes the middle one.
        settings: How far to push, how long to write.
        seed: Decides the draws and the random direction.

    Raises:
        ConfigError: There is no such layer.
    """
    settings = settings or ShiftSettings()
    layer = shift.middle if layer is None else layer
    if not 0 <= layer < len(shift.layers):
        raise ConfigError(f"layer must lie between 0 and {len(shift.layers) - 1}, got {layer}")
    told = shift.layers[layer]
    asked = list(dialogues)[: settings.most_prompts]
    if told.vector is None or not asked:
        reason = told.reason if told.vector is None else "there is no prompt to write from"
        return Steering(phrases=(), texts=(), layer=None, tokens=0, reason=reason)
    base.route  # noqa: B018 - found before the first push, on the model as it is
    # What the stream measures on plain texts is taken for its length on others.
    vector = np.array(told.vector)
    size = float(np.linalg.norm(vector)) / told.length
    directions = {None: vector / np.linalg.norm(vector)} | {
        control: _anywhere(len(vector), derive_seed(seed, "control", control))
        for control in range(settings.controls)
    }
    sampling = Sampling(max_new_tokens=settings.max_new_tokens)
    seeds = [derive_seed(seed, "steer", at) for at in range(len(asked))]
    texts: list[SteeredText] = []
    tokens = 0
    runs = [(0.0, None), *((push, each) for push in settings.pushes for each in directions)]
    for push, control in runs:
        added = {layer: push * size * directions[control]} if push else {}
        with pushing(base, added):
            drawn = base.sample(asked, sampling=sampling, seeds=seeds)
        tokens += sum(one.tokens for one in drawn)
        texts.extend(
            SteeredText(text=one.text, prompt=at, push=push, control=control)
            for at, one in enumerate(drawn)
        )
    phrases = _own_phrases(texts, len(asked), settings.controls)
    return Steering(
        phrases=tuple(phrases),
        texts=tuple(texts),
        layer=layer,
        tokens=tokens,
        reason=None if phrases else f"no phrase stands out among {len(texts)} texts",
    )


def _anywhere(width: int, seed: int) -> Float[np.ndarray, " D"]:
    """A random direction of length 1."""
    drawn = np.random.default_rng(seed).normal(size=width)
    return np.asarray(drawn / np.linalg.norm(drawn))


def _own_phrases(texts: Sequence[SteeredText], prompts: int, controls: int) -> list[Phrase]:
    """Phrases that come with the direction of training and with no random one as often."""
    alone = [text.text for text in texts if not text.push]
    pushed: dict[int | None, list[SteeredText]] = {each: [] for each in (None, *range(controls))}
    for text in texts:
        if text.push:
            pushed[text.control].append(text)
    own = [[text.text for text in pushed[None] if text.prompt == at] for at in range(prompts)]
    found = compare_phrases([(own[at], [alone[at]]) for at in range(prompts)], most=60)
    words = {each: [words_of(text.text) for text in side] for each, side in pushed.items()}
    return [phrase for phrase in found if _beyond_chance(phrase, words)]


def _beyond_chance(phrase: Phrase, words: Mapping[int | None, Sequence[Sequence[str]]]) -> bool:
    """Whether no random direction brings a phrase, or takes it away, as often."""
    sign = 1 if phrase.says == "more" else -1
    shares = {
        each: sign * sum(f" {phrase.text} " in f" {' '.join(one)} " for one in texts)
        for each, texts in words.items()
    }
    return shares[None] > max(share for each, share in shares.items() if each is not None)


@contextmanager
def pushing(model: LocalModel, vectors: Mapping[int, Float[np.ndarray, " D"]]) -> Iterator[None]:
    """Add a vector to the residual stream after given layers, at every token, while inside.

    The weights stay as they are, and no hook is left, also after an error.
    """
    import torch

    blocks = layers_of(model.module)
    with ExitStack() as hooks:
        for layer, vector in vectors.items():
            hooks.enter_context(_hook(blocks[layer], _pusher(torch.tensor(vector))))
        yield


def _pusher(vector: "Tensor") -> Any:
    def push(module: Any, given: Any, out: Any) -> Any:
        del module, given
        stream = _stream(out)
        moved = stream + vector.to(stream.device, stream.dtype)
        return type(out)([moved, *out[1:]]) if isinstance(out, tuple | list) else moved

    return push
