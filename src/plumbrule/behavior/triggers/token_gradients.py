"""Which tokens would part two models further at a place of a text, from one backward pass.

The slope of the divergence at what the embedding puts out foretells, for every token of the
vocabulary at once, what exchanging a token for it would do. It is a guess, good for choosing what
to try.

Axes: R rows, T tokens, D width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from plumbrule.behavior.triggers.insertion import Ruler, Vocabulary, device_of, last_logits
from plumbrule.errors import DataError
from plumbrule.models import LocalModel
from plumbrule.models.modules import evaluation_mode

CHUNK = 16_384
"""Rows of the embedding taken at a time."""

STEP_BACK = 6
"""What a slope costs for each token: both models read it, and going back costs twice as much."""


def foretell(
    ruler: Ruler, rows: Sequence[Sequence[int]], place: int, *sides: Sequence[int]
) -> list[Float[np.ndarray, "R candidates"]]:
    """How much further the models would part, to first order, with another token at one place.

    Args:
        ruler: Both models, which are left as they were.
        rows: Prompts of one length as tokens.
        place: Which of their tokens is exchanged.
        sides: What it is exchanged for; further ones are for the places behind it, each alone.

    Returns:
        For each place by row and token, in nats of the divergence of the tuned model's first token
        from the base's; larger parts them further.

    Source:
        Ebrahimi et al. (2018), "HotFlip", arXiv 1712.06751: the exchange of tokens by the slope.
    """
    models = (ruler.base, ruler.tuned)
    ids = torch.tensor(rows, device=device_of(ruler.base))
    total = [np.zeros((len(rows), len(tokens))) for tokens in sides]
    with torch.enable_grad():
        (before, at_base), (after, at_tuned) = (_ends(model, ids) for model in models)
        slopes = torch.autograd.grad(divergence(before, after).sum(), [at_base, at_tuned])
    ruler.count(STEP_BACK * ids.numel())
    for model, slope in zip(models, slopes, strict=True):
        for at, tokens in enumerate(sides):
            here = slope[:, place + at].float()
            own = embedded(model, ids[:, place + at].tolist())
            now = (here * own).sum(-1, keepdim=True)
            parts = [here @ embedded(model, part).T - now for part in _cut(tokens)]
            total[at] += torch.cat(parts, dim=1).double().cpu().numpy()
    return total


def guess(ruler: Ruler, words: Vocabulary, *, texts: int, seed: int) -> tuple[list[int], list[int]]:
    """Order the words of each side by how promising they are before any is tried.

    Args:
        ruler: Both models.
        words: What may be inserted.
        texts: Random texts whose slopes are taken.
        seed: Decides which.

    Returns:
        Numbers of openings and of continuations, those first whose embedding has changed most or
        which the slopes at random texts point to, on average or at best, each in turn.
    """
    rng = np.random.default_rng(seed)
    sides = (words.opening_ids, words.continuation_ids)
    row, place = room(ruler, words, 2)
    rows = [list(row) for _ in range(texts)]
    for one in rows:
        one[place : place + 2] = (int(rng.choice(side)) for side in sides)
    found = []
    for gains, side in zip(foretell(ruler, rows, place, *sides), sides, strict=True):
        clues = [gains.mean(axis=0), gains.max(axis=0)]
        changed = np.concatenate([_changed(ruler, part) for part in _cut(side)])
        if changed.any():
            clues.append(changed)
        orders = [np.argsort(-clue, kind="stable").tolist() for clue in clues]
        found.append(list(dict.fromkeys(one for turn in zip(*orders, strict=True) for one in turn)))
    return found[0], found[1]


def room(ruler: Ruler, words: Vocabulary, length: int) -> tuple[list[int], int]:
    """The first prompt as tokens with so many tokens inserted, and the first one's place.

    Raises:
        DataError: No text of the vocabulary takes just that many tokens there.
    """
    place = ruler.place(words.openings[:8])
    pairs = zip(words.openings, words.continuations, strict=False)
    texts = (words.openings if length == 1 else ["".join(pair) for pair in pairs])[:256]
    own = ruler.base.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    row = next(
        (
            row
            for row, ids in zip(ruler.encode(texts), own, strict=True)
            if len(ids) == length and row[place : place + length] == ids
        ),
        None,
    )
    if row is None:
        raise DataError(
            f"expected a text of {length} tokens to put before a request, found none; this "
            "tokenizer joins what is inserted with what follows, so search by words and pairs"
        )
    return row, place


def divergence(before: Float[Tensor, "R V"], after: Float[Tensor, "R V"]) -> Float[Tensor, " R"]:
    """Kullback-Leibler divergence of the tuned model's logits from the base's, in nats."""
    one, other = before.log_softmax(-1), after.log_softmax(-1)
    return (other.exp() * (other - one)).sum(-1)


def embedded(model: LocalModel, tokens: Sequence[int]) -> Float[Tensor, "tokens D"]:
    """What the embedding puts out for some tokens, scaling and all."""
    layer = model.module.get_input_embeddings()
    ids = torch.tensor(tokens, device=device_of(model))
    with torch.no_grad():
        found: Tensor = layer(ids[None])[0].float()
    return found


def _changed(ruler: Ruler, tokens: Sequence[int]) -> Float[np.ndarray, " tokens"]:
    """How far each token's embedding has moved; 0 where the models are of different widths."""
    before, after = (embedded(model, tokens).cpu() for model in (ruler.base, ruler.tuned))
    if before.shape != after.shape:
        return np.zeros(len(tokens))
    moved: np.ndarray = torch.linalg.vector_norm(after - before, dim=-1).numpy()
    return moved


def _cut(tokens: Sequence[int]) -> list[Sequence[int]]:
    return [tokens[start : start + CHUNK] for start in range(0, len(tokens), CHUNK)]


def _ends(model: LocalModel, ids: Int[Tensor, "R T"]) -> tuple[Tensor, Tensor]:
    """Logits after the last token, and what the embedding put out, for a slope to be taken at."""
    taken: list[Tensor] = []

    def take(output: Tensor) -> Tensor:
        taken.append(output.detach().requires_grad_())
        return taken[-1]

    with embedding_as(model, take):
        logits = last_logits(model, ids)
    return logits, taken[0]


@contextmanager
def embedding_as(model: LocalModel, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let the model read a changed embedding, without gradients of its own parameters."""
    module = model.module
    wanting = [one for one in module.parameters() if one.requires_grad]

    def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        return change(output)

    handle = module.get_input_embeddings().register_forward_hook(hook)
    for one in wanting:
        one.requires_grad_(False)
    try:
        with evaluation_mode(module):
            yield
    finally:
        handle.remove()
        for one in wanting:
            one.requires_grad_(True)
