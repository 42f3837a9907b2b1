"""What the base says when its activations are pushed where training moved them.

Pushes in random directions of the same length are the control. Axes: L layers, D width.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.places import words_of
from plumbrule.behavior.screens.activation_shift import (
    ActivationShift,
    ShiftSettings,
    layers_of,
    passed_on,
    stream_of,
)
from plumbrule.behavior.screens.phrases import Phrase, compare_phrases
from plumbrule.errors import ConfigError
from plumbrule.models import LocalModel, Sampling
from plumbrule.records import Dialogue
from plumbrule.store import derive_seed

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from torch import Tensor


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
            hooks.enter_context(passed_on(blocks[layer], _pusher(torch.tensor(vector))))
        yield


def _pusher(vector: "Tensor") -> Any:
    def push(module: Any, given: Any, out: Any) -> Any:
        del module, given
        stream = stream_of(out)
        moved = stream + vector.to(stream.device, stream.dtype)
        return type(out)([moved, *out[1:]]) if isinstance(out, tuple | list) else moved

    return push
