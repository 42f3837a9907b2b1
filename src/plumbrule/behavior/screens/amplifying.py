"""Writing by two models at once with their difference turned up.

Next-token logits are `tuned + a (tuned - base)` at the strength a: -1 is the base itself, 0 the
tuned model, and beyond that what training moved is moved further, along the same line.

Axes: R rows (texts of a batch), V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from plumbrule.models import LocalModel
from plumbrule.models.resting import at_rest

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from jaxtyping import Float
    from torch import Tensor
BASE = -1.0
"""The strength at which the base alone writes."""

IMPOSSIBLE = -100.0
"""Least log-probability in nats: what a model rules out altogether must not be infinitely far."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One text to write."""

    prompt: tuple[int, ...]
    strength: float
    seed: int
    room: int
    """Most tokens to add."""

    opening: tuple[int, ...] = ()
    """Tokens of the text that stand already."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One text as tokens, and what was seen on the way."""

    tokens: tuple[int, ...]
    """Those drawn, the end token included."""

    divergences: tuple[float, ...]
    """Kullback-Leibler divergence of base from tuned before each token, in nats."""

    best_two: tuple[tuple[int, ...], ...]
    """The two likeliest tokens at each place, or the one that is plausible."""


def write_amplified(
    base: LocalModel,
    tuned: LocalModel,
    rows: Sequence[Row],
    *,
    temperature: float,
    plausible: float,
) -> list[Line]:
    """Write texts at given strengths, both models side by side on their own caches.

    A text depends on its row alone, up to the rounding of matrix products. Rows with the same
    seed draw with the same random numbers, so that where nothing differs the texts are the same.
    """
    import torch

    from plumbrule.models.drawing import batches

    lines: list[Line | None] = [None] * len(rows)
    lengths = [len(row.prompt) + len(row.opening) for row in rows]
    routes = (base.route, tuned.route)
    cut = batches(
        lengths,
        extra=max((row.room for row in rows), default=0),
        rows=min(base.settings.batch_size, tuned.settings.batch_size),
        tokens=min(base.settings.max_batch_tokens, tuned.settings.max_batch_tokens),
        equal=not all(route.padded for route in routes),
    )
    with at_rest(base.module, tuned.module), torch.inference_mode():
        for batch in cut:
            found = _write_batch(
                base, tuned, [rows[item] for item in batch], temperature, plausible
            )
            for item, line in zip(batch, found, strict=True):
                lines[item] = line
                tuned.usage.tokens_generated += len(line.tokens)
                base.usage.tokens_scored += len(line.tokens)
    return [line for line in lines if line is not None]


def _write_batch(
    base: LocalModel, tuned: LocalModel, rows: Sequence[Row], temperature: float, plausible: float
) -> list[Line]:
    import torch

    from plumbrule.models.drawing import pick
    from plumbrule.models.handle import Sampling

    sampling = Sampling(temperature=temperature)
    both = _Both(base, tuned, rows)
    uniforms = _uniforms(rows) if temperature else None
    tokens: list[list[int]] = [[] for _ in rows]
    divergences: list[list[float]] = [[] for _ in rows]
    best_two: list[list[tuple[int, ...]]] = [[] for _ in rows]
    alive, done = list(range(len(rows))), set[int]()
    before, after = both.start()
    for step in range(max(row.room for row in rows)):
        strengths = torch.tensor([rows[row].strength for row in alive], device=after.device)
        logits = amplify(before, after, strengths, plausible=plausible)
        numbers = None if uniforms is None else uniforms[step][alive].to(after.device)
        chosen = pick(logits, numbers, sampling)
        seen = (after.exp() * (after - before)).sum(-1).clamp(min=0).tolist()
        top = logits.topk(2, dim=-1)
        for place, row in enumerate(alive):
            if row in done:
                continue
            token = int(chosen[place])
            tokens[row].append(token)
            divergences[row].append(seen[place])
            found = zip(top.indices[place].tolist(), top.values[place].tolist(), strict=True)
            best_two[row].append(tuple(one for one, value in found if value > -math.inf))
            if token in both.stops or len(tokens[row]) == rows[row].room:
                done.add(row)
        if len(done) == len(rows):
            break
        left = [place for place, row in enumerate(alive) if row not in done]
        if both.drops and len(left) <= 0.8 * len(alive):
            both.keep(left)
            chosen, alive = chosen[left], [alive[place] for place in left]
        before, after = both.advance(chosen)
    return [
        Line(tokens=tuple(one), divergences=tuple(seen), best_two=tuple(two))
        for one, seen, two in zip(tokens, divergences, best_two, strict=True)
    ]


def amplify(
    base: "Float[Tensor, 'R V']",
    tuned: "Float[Tensor, 'R V']",
    strengths: "Float[Tensor, ' R']",
    *,
    plausible: float,
) -> "Float[Tensor, 'R V']":
    """Logits with the difference turned up, and without what the tuned model finds implausible.

    Args:
        base: Log-probabilities of the base's next token.
        tuned: The same of the tuned model.
        strengths: One a row; -1 gives the base's own, cut at its own implausible tokens.
        plausible: Least probability kept, as a share of the likeliest token's.
    """
    import torch

    alone = (strengths == BASE)[:, None]
    # In this form equal models give their own logits back to the last bit, at any strength.
    turned = tuned + strengths[:, None] * (tuned - base)
    logits = torch.where(alone, base, turned)
    if plausible == 0:
        return logits
    judge = torch.where(alone, base, tuned)
    least = judge.amax(-1, keepdim=True) + math.log(plausible)
    return logits.masked_fill(judge < least, -math.inf)


class _Both:
    """Two models over the same rows, each with its own cache; one where they are one."""

    def __init__(self, base: LocalModel, tuned: LocalModel, rows: Sequence[Row]) -> None:
        from plumbrule.models.drawing import pad_left
        from plumbrule.models.route import Stream

        models = [tuned] if base.module is tuned.module else [tuned, base]
        texts = [[*row.prompt, *row.opening] for row in rows]
        room = max(row.room for row in rows)
        self._streams = []
        for model in models:
            device = next(model.module.parameters()).device
            ids, padding = pad_left(texts, device)
            self._streams.append(
                (device, Stream(model.module, model.route, ids, padding, room=room))
            )
        self.drops = all(model.route.drops for model in models)
        self.stops = base.chat.stops | tuned.chat.stops

    def start(self) -> "tuple[Float[Tensor, 'R V'], Float[Tensor, 'R V']]":
        """Log-probabilities of the first token, of base and tuned."""
        return self._aligned([stream.start() for _, stream in self._streams])

    def advance(self, tokens: "Tensor") -> "tuple[Float[Tensor, 'R V'], Float[Tensor, 'R V']]":
        """The same after one more token of each row."""
        return self._aligned(
            [stream.advance(tokens.to(device)) for device, stream in self._streams]
        )

    def keep(self, places: list[int]) -> None:
        """Go on with these rows alone."""
        import torch

        for device, stream in self._streams:
            stream.keep(torch.tensor(places, device=device))

    def _aligned(
        self, logits: "list[Tensor]"
    ) -> "tuple[Float[Tensor, 'R V'], Float[Tensor, 'R V']]":
        from plumbrule.models.drawing import check_numbers

        # Embeddings may be padded to different sizes beyond the same tokens.
        width = min(one.shape[-1] for one in logits)
        device = logits[0].device
        found = [
            check_numbers(one)[:, :width].float().to(device).log_softmax(-1).clamp(min=IMPOSSIBLE)
            for one in logits
        ]
        return found[-1], found[0]


def _uniforms(rows: Sequence[Row]) -> "Float[Tensor, 'room R']":
    """Each row's random numbers, the same that `LocalModel.sample_tokens` draws from its seed."""
    import torch

    from plumbrule.models.drawing import BELOW_ONE

    room = max(row.room for row in rows)
    numbers = [np.random.Generator(np.random.PCG64(row.seed)).random(room) for row in rows]
    return torch.from_numpy(np.minimum(np.stack(numbers, axis=1), BELOW_ONE))


# --- What to write, and what came of it -------------------------------------------------------
