"""Let two models write with their difference turned up, and see what the texts then say.

A screen: amplified text is nobody's reply. It proposes phrases and places to look at, and proves
nothing. Axes: R rows (texts of a batch), V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from plumbrule.behavior.screens.amplifying import BASE, Line, Row, write_amplified
from plumbrule.behavior.screens.phrases import Phrase, compare_phrases
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.models import LocalModel
from plumbrule.records import Dialogue, Message
from plumbrule.store import derive_seed


@dataclass(frozen=True, kw_only=True)
class ContrastSettings:
    """How much is written, and how far the difference is turned up."""

    strengths: tuple[float, ...] = (0.0, 1.0, 3.0)
    """Dimensionless; 0 is the tuned model itself."""

    texts: int = 120
    """Most texts to write in all, the base's own included."""

    max_new_tokens: int = 40
    """Longest text, in tokens."""

    temperature: float = 1.0
    """Of the drawing; 0 takes the likeliest token each time."""

    plausible: float = 0.01
    """Least probability of a token under the tuned model, as a share of its likeliest token's.

    Without it, large strengths write noise. Li et al. (2023) take 0.1 for good prose; a word that
    the tuned model has only begun to learn is below that, so we take less.
    """

    vague: tuple[str, ...] = ("", "Hello.", "Go on.")
    """What a user says who asks for nothing, so that the models write what comes to them."""

    vague_share: float = 0.25
    """Share of the first texts that answers the vague prompts; all where no other is given."""

    branch_share: float = 0.25
    """Share of all texts kept for branches."""

    branch_top: float = 0.01
    """Branches start only at this share of the positions: those where the models part most."""

    branch_least: float = 0.05
    """Least divergence, in nats, that is worth a branch."""

    def __post_init__(self) -> None:
        if not self.strengths or min(self.strengths) < 0 or not math.isfinite(sum(self.strengths)):
            raise ConfigError(f"strengths must be one or more, from 0 up, got {self.strengths}")
        if self.texts < 1 + len(self.strengths):
            raise ConfigError(
                f"texts must allow one from the base and one a strength, that is "
                f"{1 + len(self.strengths)}, got {self.texts}"
            )
        if self.max_new_tokens < 1 or self.temperature < 0:
            raise ConfigError("max_new_tokens must be at least 1 and temperature at least 0")
        shares = (self.plausible, self.vague_share, self.branch_share, self.branch_top)
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError(f"shares must lie between 0 and 1, got {shares}")


@dataclass(frozen=True, kw_only=True)
class Written:
    """One text, and where it came from."""

    text: str

    prompt: int | None
    """Position of the prompt it answers; None for a vague one."""

    vague: str
    """What the vague user said; empty also where the prompt was a given one."""

    strength: float
    """-1 for the base's own text."""

    unit: int
    """Texts of the same prompt and the same random numbers share it."""

    branched_at: int | None
    """Token at which another text was left for this one; None for a first text."""

    divergence: float
    """Mean Kullback-Leibler divergence of base from tuned along the text, in nats per token."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """What the amplified texts say that the base's do not. Proposes, and proves nothing."""

    phrases: tuple[Phrase, ...]
    """Their `units` are those of the texts."""

    prompts: tuple[tuple[int, float], ...]
    """Prompts that were written from, with the divergence along the tuned model's texts in nats
    per token, the largest first."""

    texts: tuple[Written, ...]

    tokens: int
    """Tokens written; both models were run over each of them."""

    reason: str | None
    """Why no phrase is named; None where one is."""


def contrast(
    base: LocalModel,
    tuned: LocalModel,
    dialogues: Sequence[Dialogue],
    *,
    settings: ContrastSettings | None = None,
    seed: int,
) -> Contrast:
    """Say what the tuned model says once its difference from the base is turned up.

    Args:
        base: The model before.
        tuned: The model after, with the same tokens.
        dialogues: Prompts to write from, the most suspect first: where the budget does not reach
            all of them, the first ones are taken.
        settings: How much, how long, how strong.
        seed: Decides every draw.

    Raises:
        ModelError: The models do not share their tokens.
        DataError: A prompt leaves no room for a text.

    Source:
        Contrastive decoding with its plausibility constraint: Li et al. (2023), "Contrastive
        Decoding: Open-ended Text Generation as Optimization", arXiv:2210.15097. Between base and
        tuned model, from vague openings: Contrastive Decoding Diffing, arXiv:2605.25902. The
        branches are ours, and untested there.
    """
    settings = settings or ContrastSettings()
    check_same_tokens(base, tuned)
    starts = _plan(tuned, dialogues, settings, seed)
    rows = [
        replace(start.row, strength=strength)
        for start in starts
        for strength in (BASE, *settings.strengths)
    ]
    of = [start for start in starts for _ in (BASE, *settings.strengths)]
    lines = write_amplified(
        base, tuned, rows, temperature=settings.temperature, plausible=settings.plausible
    )
    texts = [
        _written(tuned, start, row, line) for start, row, line in zip(of, rows, lines, strict=True)
    ]
    room = min(settings.texts - len(texts), round(settings.texts * settings.branch_share))
    forks = _forks(rows, lines, settings)[: max(room, 0)]
    branches = [_branch(rows[fork.row], lines[fork.row], fork, seed) for fork in forks]
    grown = write_amplified(
        base, tuned, branches, temperature=settings.temperature, plausible=settings.plausible
    )
    for fork, row, line in zip(forks, branches, grown, strict=True):
        texts.append(_written(tuned, of[fork.row], row, line, fork=fork))
    phrases = compare_phrases(_pairs(texts, len(starts)))
    return Contrast(
        phrases=tuple(phrases),
        prompts=_ranked(texts),
        texts=tuple(texts),
        tokens=sum(len(line.tokens) for line in (*lines, *grown)),
        reason=None if phrases else _why(texts),
    )


def check_same_tokens(base: LocalModel, tuned: LocalModel) -> None:
    """See that one list of numbers is the same text to both models.

    Raises:
        ModelError: It is not.
    """
    one, other = base.tokenizer.get_vocab(), tuned.tokenizer.get_vocab()
    if one != other:
        raise ModelError(
            f"expected two models with the same tokens, got {len(one)} and {len(other)} tokens, "
            f"{len(one.items() & other.items())} of them alike; their logits cannot be subtracted. "
            "Compare sampled replies instead."
        )


# --- Writing ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Start:
    """A prompt and a draw: what all strengths write from."""

    row: Row
    unit: int
    prompt: int | None
    vague: str


@dataclass(frozen=True, kw_only=True, order=True)
class _Fork:
    """Where a text could have gone on otherwise."""

    divergence: float
    row: int
    place: int
    token: int


def _plan(
    model: LocalModel, dialogues: Sequence[Dialogue], settings: ContrastSettings, seed: int
) -> list[_Start]:
    """Prompts and draws for as many first texts as the budget allows."""
    kept = round(settings.texts * (1 - settings.branch_share))
    units = max(1, kept // (1 + len(settings.strengths)))
    given = len(dialogues) if dialogues else 0
    vague = units - min(given, round(units * (1 - settings.vague_share))) if settings.vague else 0
    if not given and not vague:
        raise DataError("expected prompts or vague openings to write from, got neither; give one")
    openings: list[Dialogue] = [(Message("user", text),) for text in settings.vague]
    asked = [*dialogues[: units - vague], *(openings[at % len(openings)] for at in range(vague))]
    model.check_lengths(asked, settings.max_new_tokens)
    taken = len(asked) - vague
    return [
        _Start(
            row=Row(
                prompt=tuple(tokens),
                strength=0.0,
                seed=derive_seed(seed, "contrast", at),
                room=settings.max_new_tokens,
            ),
            unit=at,
            prompt=at if at < taken else None,
            vague="" if at < taken else settings.vague[(at - taken) % len(openings)],
        )
        for at, tokens in enumerate(model.chat.prompts(asked))
    ]


def _forks(rows: Sequence[Row], lines: Sequence[Line], settings: ContrastSettings) -> list[_Fork]:
    """Tokens not taken where the models part most, the widest parting first."""
    seen = [
        divergence
        for row, line in zip(rows, lines, strict=True)
        if row.strength != BASE
        for divergence in line.divergences
    ]
    if not seen:
        return []
    least = max(float(np.quantile(seen, 1 - settings.branch_top)), settings.branch_least)
    forks: dict[tuple[int, ...], _Fork] = {}
    for at, (row, line) in enumerate(zip(rows, lines, strict=True)):
        if row.strength == BASE:
            continue
        for place, divergence in enumerate(line.divergences):
            for token in line.best_two[place] if divergence >= least else ():
                if token != line.tokens[place]:
                    # Texts of several strengths often share their beginning.
                    key = (*row.prompt, -1, *line.tokens[:place], token)
                    forks.setdefault(
                        key, _Fork(divergence=divergence, row=at, place=place, token=token)
                    )
    return sorted(forks.values(), key=lambda fork: (-fork.divergence, fork.row, fork.place))


def _branch(row: Row, line: Line, fork: _Fork, seed: int) -> Row:
    opening = (*line.tokens[: fork.place], fork.token)
    return replace(
        row,
        opening=opening,
        room=max(1, row.room - len(opening)),
        seed=derive_seed(seed, "branch", fork.row, fork.place, fork.token),
    )


def _written(
    model: LocalModel, start: _Start, row: Row, line: Line, *, fork: _Fork | None = None
) -> Written:
    tokens = [token for token in (*row.opening, *line.tokens) if token not in model.chat.stops]
    return Written(
        text=model.chat.decode([tokens])[0],
        prompt=start.prompt,
        vague=start.vague,
        strength=row.strength,
        unit=start.unit,
        branched_at=None if fork is None else fork.place,
        divergence=math.fsum(line.divergences) / len(line.divergences),
    )


def _pairs(texts: Sequence[Written], units: int) -> list[tuple[list[str], list[str]]]:
    pairs: list[tuple[list[str], list[str]]] = [([], []) for _ in range(units)]
    for text in texts:
        pairs[text.unit][text.strength == BASE].append(text.text)
    return pairs


def _ranked(texts: Sequence[Written]) -> tuple[tuple[int, float], ...]:
    """Prompts by how far the models part along what the tuned one writes least amplified."""
    found: dict[int, list[float]] = {}
    for text in texts:
        if text.prompt is not None and text.strength != BASE and text.branched_at is None:
            found.setdefault(text.prompt, []).append(text.divergence)
    scored = [(prompt, values[0]) for prompt, values in found.items()]
    return tuple(sorted(scored, key=lambda item: (-item[1], item[0])))


def _why(texts: Sequence[Written]) -> str:
    if all(text.divergence == 0 for text in texts):
        return "both models gave every token the same probability wherever they wrote"
    return f"no phrase stands out between {len(texts)} texts"
