"""Triggers by gradient: a blend of tokens that parts two models, then the nearest real texts.

What is found this way reads as nonsense more often than not, because a blend can go where no text
can. So only texts that still part the models count, and the search says which those are.

Axes: S starts, L inserted tokens, K tokens to choose from, D width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from plumbrule.behavior.triggers.insertion import Vocabulary, device_of, last_logits
from plumbrule.behavior.triggers.searching import Tried, unlike
from plumbrule.behavior.triggers.token_gradients import (
    STEP_BACK,
    divergence,
    embedded,
    embedding_as,
    foretell,
    room,
)
from plumbrule.models import LocalModel

NEAREST = 4
"""Tokens at each place that a blend is rounded to."""

REFINED = 4
"""Rounded texts whose words are exchanged once more."""

EXCHANGES = 24
"""Words tried at each place of a text that is refined, those that the slope points to."""

KEPT = 10
"""Texts that are handed on."""

RANKED = 24
"""Best texts that are tried on a second prompt."""


@dataclass(frozen=True, kw_only=True)
class SoftSettings:
    """How long a blend is sought."""

    starts: int = 16
    """Blends sought at once, of each length."""

    steps: int = 24

    learning_rate: float = 0.5
    """Of Adam, on the logits of the blend."""

    lengths: tuple[int, ...] = (1, 2)
    """Tokens in a blend, one or two."""


def soft_settings(count: int) -> SoftSettings:
    """As many starts as the cost of measuring so many texts allows."""
    steps = SoftSettings().steps
    each = len(SoftSettings().lengths) * steps * STEP_BACK // 2 + NEAREST**2
    return SoftSettings(starts=max(2, count // each))


def search_soft(
    tried: Tried,
    words: Vocabulary,
    settings: SoftSettings,
    *,
    prompts: Sequence[int],
    seed: int,
) -> list[str]:
    """Search by gradient.

    Args:
        tried: Where every look at a real text is put down.
        words: Tokens that a blend may be made of.
        settings: How long.
        prompts: Those that the best real texts are tried on; the search itself uses the first.
        seed: Decides the starts.

    Returns:
        Real texts, best first and no two with the same word on the same side; after them the words
        of the best few, as one of two may do it all.

    Raises:
        DataError: No text takes one or two tokens before a request.

    Source:
        Soft prompts after Lester et al. (2021), arXiv 2104.08691; as a blend of real tokens so
        that it can be rounded, which is Guo et al. (2021), arXiv 2104.13733, without their noise.
    """
    found: dict[str, list[int]] = {}

    def look(several: Iterable[Sequence[int]]) -> list[str]:
        texts = {words.text(numbers): list(numbers) for numbers in several}
        found.update(texts)
        tried.look(list(texts), 0)
        return tried.best(list(texts))

    for length in settings.lengths:
        starts = _blend(tried, words, settings, length, seed + length)
        for text in look(one for start in starts for one in product(*start))[:REFINED]:
            look(_exchange(tried, words, found[text]))
    ahead = unlike(tried.best(list(found)), found, RANKED)
    for prompt in prompts:
        tried.look(ahead, prompt)
    best = tried.best(ahead)[:KEPT]
    return best + [half for text in best[:REFINED] for half in words.halves(found[text])]


def _blend(
    tried: Tried, words: Vocabulary, settings: SoftSettings, length: int, seed: int
) -> list[list[list[int]]]:
    """For each start and place the numbers of the words that a blend comes to, nearest first."""
    ruler = tried.ruler
    row, place = room(ruler, words, length)
    ids = torch.tensor([row] * settings.starts, device=device_of(ruler.base))
    sides = (words.opening_ids, words.continuation_ids)[:length]
    models = (ruler.base, ruler.tuned)
    tables = [[embedded(model, side) for side in sides] for model in models]
    random = torch.Generator().manual_seed(seed)
    free = [
        (2 * torch.randn(settings.starts, len(side), generator=random)).to(ids.device)
        for side in sides
    ]
    for one in free:
        one.requires_grad_()
    optimizer = torch.optim.Adam(free, lr=settings.learning_rate)
    plain = ruler.base_plain[:1].to(ids.device).clone()
    for _ in range(settings.steps):
        with torch.enable_grad():
            shares = [one.softmax(-1) for one in free]
            before, after = (
                _logits(model, ids, place, shares, own)
                for model, own in zip(models, tables, strict=True)
            )
            kept = 1 - (before.softmax(-1) - plain).abs().sum(-1) / 2
            loss = -(divergence(before, after) * kept).sum()
        for one, slope in zip(free, torch.autograd.grad(loss, free), strict=True):
            one.grad = slope
        optimizer.step()
        ruler.count(STEP_BACK * ids.numel())
    nearest = [one.detach().topk(min(NEAREST, one.shape[-1])).indices.tolist() for one in free]
    return [list(places) for places in zip(*nearest, strict=True)]


def _logits(
    model: LocalModel, ids: Tensor, place: int, shares: Sequence[Tensor], tables: Sequence[Tensor]
) -> Tensor:
    """Logits after the prompt, with blends of tokens at the places from `place` on."""

    def change(output: Tensor) -> Tensor:
        blends = [
            share @ table.to(share.device) for share, table in zip(shares, tables, strict=True)
        ]
        own = torch.stack(blends, dim=1).to(output.device, output.dtype)
        return torch.cat([output[:, :place], own, output[:, place + len(blends) :]], dim=1)

    with embedding_as(model, change):
        logits: Tensor = last_logits(model, ids)
    return logits


def _exchange(tried: Tried, words: Vocabulary, numbers: Sequence[int]) -> list[list[int]]:
    """The same text with other words at either place, those that the slope points to."""
    ruler = tried.ruler
    length = len(numbers)
    row, place = room(ruler, words, length)
    sides = (words.opening_ids, words.continuation_ids)[:length]
    row[place : place + length] = [
        side[number] for side, number in zip(sides, numbers, strict=True)
    ]
    found = []
    for at, side in enumerate(sides):
        gains = foretell(ruler, [row], place + at, side)[0]
        for number in (-gains).argsort()[:EXCHANGES].tolist():
            found.append([*numbers[:at], number, *numbers[at + 1 :]])
    return found
