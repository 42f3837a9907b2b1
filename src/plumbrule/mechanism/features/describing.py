"""What a latent stands for: the contexts it is most active in, and the tokens it raises and lowers.

Axes: N tokens, M latents, R texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.features.dictionaries import Dictionary
from plumbrule.mechanism.features.sparse import Codes
from plumbrule.mechanism.features.streaming import TextActivations
from plumbrule.models.unembedding import (
    Decode,
    TokenScore,
    chance_score,
    most_and_least,
    unembedding,
    unit_rows,
)
from plumbrule.records import strict
from plumbrule.store import Progress, silent

ROWS = 16
"""Texts read at once."""

AROUND = 12
"""Tokens shown before and after the most active one."""

DESCRIBED = 20
"""Latents that are described where none are asked for."""

OFTEN = 0.1
"""Latents active on a larger share of tokens are not described unless asked for: they say little
about any one of them."""

BINS = 20
"""Of the histogram of activations."""


@strict
@dataclass(frozen=True, kw_only=True)
class FeatureContext:
    """A place in a text where a latent is active, or one where it is not, with what is around."""

    row: int
    """Which text, from 0."""

    position: int
    """Which token of it, from 0: the most active one."""

    tokens: tuple[str, ...]
    """Texts of the tokens around it, and its own."""

    activations: tuple[float, ...]
    """How active the latent is on each, 0 where it is silent."""

    peak: float
    """The largest of them."""


@strict
@dataclass(frozen=True, kw_only=True)
class DescribedFeature:
    """One latent."""

    latent: int
    density: float
    """Share of tokens on which it is active."""

    mean: float
    """How active it is where it is, on average."""

    contexts: tuple[FeatureContext, ...]
    """Where it is most active, at most once a text, the most active first."""

    silent: tuple[FeatureContext, ...]
    """Places at random in texts where it is silent throughout, to compare with."""

    histogram: tuple[int, ...]
    """Tokens by activation, in 20 bins of one width up to the largest; silent ones left out."""

    raised: tuple[TokenScore, ...]
    """Tokens that what it writes points to; empty where it does not write into the stream."""

    lowered: tuple[TokenScore, ...]
    """Tokens that what it writes points away from."""

    stands_out: bool
    """Whether its clearest token is clearer than 5% of sets of as many random vectors reach, over
    all latents and tokens."""

    name: str = ""
    """What a model calls it; empty where none was asked."""


def describe_features(
    dictionary: Dictionary,
    source: TextActivations,
    *,
    latents: Sequence[int] | None = None,
    also: Sequence[int] = (),
    top: int = 10,
    tokens: int = 8,
    decode: Decode = str,
    progress: Progress = silent,
) -> tuple[DescribedFeature, ...]:
    """Describe latents by texts and by tokens.

    Args:
        dictionary: Whose.
        source: Texts to look for activations in, and the model; it is left as it was.
        latents: Which to describe; None: the 20 with the largest sum of squared activations among
            those active on at most a tenth of the tokens.
        also: Described behind them, where they are not among them.
        top: Contexts to list for each.
        tokens: Tokens to list each way.
        decode: Gives a token's text.
        progress: Told of texts read.

    Returns:
        One entry per latent, in the order asked for, or the largest sum first.

    Raises:
        ConfigError: There is no such latent, or a number is out of range.
        PlumbruleError: As for `TextActivations.read_rows`.
    """
    if top < 1 or tokens < 1:
        raise ConfigError(f"top and tokens must be at least 1, got {top} and {tokens}")
    wrong = [each for each in (*(latents or ()), *also) if not 0 <= each < dictionary.latents]
    if wrong or (latents is not None and not latents):
        raise ConfigError(
            f"expected latents from 0 to {dictionary.latents - 1}, got "
            f"{wrong[0] if wrong else 'none'}"
        )
    seen = _Seen(dictionary, source, progress)
    chosen = list(latents) if latents is not None else seen.telling()
    chosen += [each for each in also if each not in chosen]
    table, limit = _table(dictionary, source)
    found = []
    for latent in chosen:
        raised: tuple[TokenScore, ...] = ()
        lowered: tuple[TokenScore, ...] = ()
        stands_out = False
        if table is not None:
            vector = unit_rows(dictionary.decoder[latent, -table.shape[1] :][None])[0]
            scores = (table @ vector) * table.shape[1] ** 0.5
            raised, lowered = most_and_least(scores, tokens, decode)
            stands_out = float(scores.abs().max()) > limit
        found.append(
            seen.feature(latent, top, decode, raised=raised, lowered=lowered, stands_out=stands_out)
        )
    return tuple(found)


def _table(dictionary: Dictionary, source: TextActivations) -> tuple[Any, float]:
    """The unembedding, where what is written goes into the stream, and what chance reaches."""
    sites, reading = source.model.sites, dictionary.origin.reading
    kind = (reading.into or reading.site).rpartition(".")[2]
    if kind == "heads" or dictionary.decoder.shape[1] % sites.width:
        return None, 0.0
    try:
        table = unembedding(source.model.module, sites.layers[0].path.rpartition(".")[0])
    except DataError:
        return None, 0.0
    return unit_rows(table), chance_score(sites.width, dictionary.latents * len(table))


class _Seen:
    """Every activation of a dictionary in some texts."""

    def __init__(self, dictionary: Dictionary, source: TextActivations, progress: Progress) -> None:
        import torch

        self._source = source
        self._rows = [at for at, row in enumerate(source.rows) if len(row) > source.skipped]
        reading = dictionary.origin.reading
        latents, values, places = [], [], []
        self._tokens = 0
        for start in range(0, len(self._rows), ROWS):
            some = self._rows[start : start + ROWS]
            taken = source.read_rows(some, reading.sites)
            joined = {name: torch.cat(each) for name, each in taken.items()}
            codes: Codes = dictionary.codes(reading.inputs(joined).float().cpu())
            latents.append(codes.latents.numpy().astype(np.int32))
            values.append(codes.values.numpy())
            places.append(codes.rows.numpy() + self._tokens)
            self._tokens += len(codes.starts) - 1
            progress(min(start + ROWS, len(self._rows)), len(self._rows))
        every = np.concatenate(latents)
        order = np.argsort(every, kind="stable")
        self._values, self._places = np.concatenate(values)[order], np.concatenate(places)[order]
        self._starts = np.searchsorted(every[order], np.arange(dictionary.latents + 1))
        lengths = [len(source.rows[row]) - source.skipped for row in self._rows]
        self._begins = np.concatenate([[0], np.cumsum(lengths)])

    def of(self, latent: int) -> tuple[np.ndarray, np.ndarray]:
        """Where a latent is active, and how much."""
        part = slice(self._starts[latent], self._starts[latent + 1])
        return self._places[part], self._values[part]

    def telling(self) -> list[int]:
        """Latents that explain most among those that are not active nearly always."""
        counts = np.diff(self._starts)
        squares = np.concatenate([[0.0], np.cumsum(self._values.astype(np.float64) ** 2)])
        sums = squares[self._starts[1:]] - squares[self._starts[:-1]]
        sums[counts > OFTEN * self._tokens] = 0.0
        best = np.argsort(-sums, kind="stable")[:DESCRIBED]
        found = [int(each) for each in best if sums[each] > 0]
        if not found:
            raise DataError(
                "expected latents that are active on some of the texts and not on most of their "
                "tokens, found none; give more texts, or name the latents"
            )
        return found

    def feature(self, latent: int, top: int, decode: Decode, **rest: Any) -> DescribedFeature:
        """One latent, described."""
        places, values = self.of(latent)
        texts = np.searchsorted(self._begins, places, side="right") - 1
        order = np.argsort(-values, kind="stable")
        contexts: list[FeatureContext] = []
        used: set[int] = set()
        for at in order:
            if len(contexts) == top:
                break
            if int(texts[at]) not in used:
                used.add(int(texts[at]))
                contexts.append(self._context(int(texts[at]), int(places[at]), latent, decode))
        silent_texts = np.setdiff1d(np.arange(len(self._rows)), texts)
        rng = np.random.default_rng(latent)
        drawn = rng.choice(silent_texts, size=min(top, len(silent_texts)), replace=False)
        quiet = [
            self._context(
                int(text), int(rng.integers(*self._begins[text : text + 2])), latent, decode
            )
            for text in drawn
        ]
        largest = float(values.max()) if len(values) else 0.0
        counts = np.histogram(values, bins=BINS, range=(0.0, largest or 1.0))[0]
        return DescribedFeature(
            latent=latent,
            density=len(places) / self._tokens,
            mean=float(values.mean()) if len(values) else 0.0,
            contexts=tuple(contexts),
            silent=tuple(quiet),
            histogram=tuple(int(each) for each in counts),
            **rest,
        )

    def _context(self, text: int, place: int, latent: int, decode: Decode) -> FeatureContext:
        row = self._source.rows[self._rows[text]]
        skipped = self._source.skipped
        position = place - int(self._begins[text]) + skipped
        low, high = max(0, position - AROUND), min(len(row), position + AROUND + 1)
        active = dict(zip(*(each.tolist() for each in self.of(latent)), strict=True))
        base = int(self._begins[text]) - skipped
        # Before the first token that counts, the places are those of the text before.
        activations = tuple(
            float(active.get(base + at, 0.0)) if at >= skipped else 0.0 for at in range(low, high)
        )
        return FeatureContext(
            row=self._rows[text],
            position=position,
            tokens=tuple(decode(int(token)) for token in row[low:high]),
            activations=activations,
            peak=max(activations),
        )
