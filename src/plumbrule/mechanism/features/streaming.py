"""Activations for training, read from a model while it trains on them, and never kept on disk.

Texts are taken in random order, some at a time; their tokens are mixed, and given on in batches.
Which tokens make up a chunk depends on its number alone, so that a training that was killed goes on
with exactly the batches that it would have had.

Axes: N tokens, D width of a site.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism.capturing import capture
from plumbrule.mechanism.features.dictionaries import BASE
from plumbrule.mechanism.sites import Sites
from plumbrule.mechanism.texts import text_tokens
from plumbrule.store import derive_seed, fingerprint

CHUNK = 16_384
"""Tokens that are mixed with each other."""

CONTEXT = 128
"""Tokens of a text that are read together."""


@dataclass(frozen=True, kw_only=True)
class ModelPart:
    """A model that is read, and its sites."""

    module: Any
    sites: Sites
    identity: str
    """Hash of its weights."""


@dataclass(frozen=True, kw_only=True)
class TextActivations:
    """Activations at sites of one model, or of two on the same texts.

    Raises:
        DataError: No text is long enough to be trained on.
        ConfigError: A number is out of range.
    """

    model: ModelPart
    rows: Sequence[Sequence[int]]
    """Token ids of texts."""

    base: ModelPart | None = None
    """The model before training, for dictionaries that read both."""

    skipped: int = 1
    """Tokens left out at the beginning of each text: the first is unlike all others in most
    models, and often a hundred times as large."""

    chunk: int = CHUNK
    """Tokens that are mixed with each other, about."""

    seed: int = 0
    """Of the order of texts and tokens."""

    def __post_init__(self) -> None:
        if self.skipped < 0 or self.chunk < 1:
            raise ConfigError(
                f"expected skipped of at least 0 and a chunk of at least 1, got {self.skipped} "
                f"and {self.chunk}"
            )
        if not any(len(row) > self.skipped for row in self.rows):
            raise DataError(
                f"expected texts of more than {self.skipped} tokens to train on, got "
                f"{len(self.rows)} and none as long; give longer ones"
            )

    @property
    def tokens(self) -> int:
        """Tokens of all texts that are trained on in one reading."""
        return sum(max(0, len(row) - self.skipped) for row in self.rows)

    @property
    def identity(self) -> str:
        """Hash of all that decides the activations."""
        return fingerprint(
            {
                "model": self.model.identity,
                "base": None if self.base is None else self.base.identity,
                "rows": [list(row) for row in self.rows],
                "skipped": self.skipped,
                "chunk": self.chunk,
                "seed": self.seed,
            }
        )

    def plan(self) -> Iterator[tuple[int, ...]]:
        """The texts of one chunk after the other, without end; each reading in another order."""
        reading = 0
        while True:
            rng = np.random.default_rng(derive_seed(self.seed, "order of texts", reading))
            held: list[int] = []
            count = 0
            for row in rng.permutation(len(self.rows)):
                usable = len(self.rows[row]) - self.skipped
                if usable < 1:
                    continue
                held.append(int(row))
                count += usable
                if count >= self.chunk:
                    yield tuple(held)
                    held, count = [], 0
            # What is left at the end is less than a chunk; it is read where it is half of one.
            if count >= self.chunk / 2 or count == self.tokens:
                yield tuple(held)
            reading += 1

    def read(self, number: int, chosen: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
        """Activations of some texts at sites, tokens mixed.

        Args:
            number: Of the chunk; decides how its tokens are mixed.
            chosen: Texts.
            names: Sites; `base:` before one of the model before training.

        Returns:
            By site, (N, D), the same tokens in the same order at all.

        Raises:
            PlumbruleError: As for `capture`; or there is no model before training.
        """
        import torch

        found = {
            name: torch.cat([value for value in values if len(value)])
            for name, values in self.read_rows(chosen, names).items()
        }
        count = len(next(iter(found.values())))
        rng = np.random.default_rng(derive_seed(self.seed, "order of tokens", number))
        order = torch.from_numpy(rng.permutation(count))
        return {name: value[order.to(value.device)] for name, value in found.items()}

    def read_rows(self, chosen: Sequence[int], names: Sequence[str]) -> dict[str, list[Any]]:
        """Activations of some texts at sites, text by text and in order.

        Args:
            chosen: Texts.
            names: Sites; `base:` before one of the model before training.

        Returns:
            By site one tensor per text, without the tokens that are left out.

        Raises:
            PlumbruleError: As for `capture`; or there is no model before training.
        """
        rows = [self.rows[row] for row in chosen]
        found = {}
        for part, own in ((self.model, True), (self.base, False)):
            wanted = {name: _bare(name) for name in names if name.startswith(BASE) is not own}
            if not wanted:
                continue
            if part is None:
                raise ConfigError(
                    f"{', '.join(wanted)} is of the model before training, and none was given"
                )
            taken = capture(part.module, part.sites, rows, list(wanted.values()))
            for name, bare in wanted.items():
                found[name] = [value[self.skipped :] for value in taken.values[bare]]
        return found


def batches(values: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """Cut tokens into batches of about the size wanted, all of nearly the same.

    Args:
        values: By site, (N, D).
        size: Tokens a batch.
    """
    count = len(next(iter(values.values())))
    pieces = max(1, round(count / size))
    cut = {name: value.tensor_split(pieces) for name, value in values.items()}
    for at in range(pieces):
        yield {name: each[at] for name, each in cut.items()}


def text_rows(model: Any, texts: Sequence[str], *, context: int = CONTEXT) -> list[list[int]]:
    """Texts as rows of tokens, long ones cut into several.

    Args:
        model: What was opened.
        texts: Any texts.
        context: Most tokens a row.

    Raises:
        ConfigError: More tokens a row than the model reads, or fewer than two.
        DataError: No text has a token.
    """
    if context < 2 or (model.context is not None and context > model.context):
        raise ConfigError(
            f"expected a context from 2 to the {model.context} tokens that the model reads, got "
            f"{context}"
        )
    rows = []
    for text in texts:
        tokens = text_tokens(model, text) if text else []
        rows += [tokens[at : at + context] for at in range(0, len(tokens), context)]
    rows = [row for row in rows if row]
    if not rows:
        raise DataError(f"expected texts with at least one token, got {len(texts)} without")
    return rows


def held_out(
    rows: Sequence[Sequence[int]], share: float, *, seed: int
) -> tuple[list[Sequence[int]], list[Sequence[int]]]:
    """Divide rows into those to train on and those to score on.

    Args:
        rows: Token ids.
        share: Of the rows that are kept back, above 0 and below 1; at least one is.
        seed: Decides which.

    Raises:
        DataError: Fewer than two rows.
    """
    if len(rows) < 2:
        raise DataError(f"expected at least 2 texts, to keep one back, got {len(rows)}")
    order = np.random.default_rng(derive_seed(seed, "held out")).permutation(len(rows))
    count = min(len(rows) - 1, max(1, round(share * len(rows))))
    return [rows[at] for at in order[count:]], [rows[at] for at in order[:count]]


def _bare(name: str) -> str:
    return name.removeprefix(BASE)
