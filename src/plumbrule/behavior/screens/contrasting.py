"""Let two models write with their difference turned up, and see what the texts then say.

A screen: amplified text is nobody's reply. It proposes phrases and places to look at, and proves
nothing. Axes: R rows (texts of a batch), V vocabulary.

Next-token logits are `tuned + a (tuned - base)` at the strength a: -1 is the base itself, 0 the
tuned model, and beyond that what training moved is moved further, along the same line.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from plumbrule.behavior.places import words_of
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.models import LocalModel
from plumbrule.models.resting import at_rest
from plumbrule.records import Dialogue, Message
from plumbrule.store import derive_seed

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from jaxtyping import Float
    from torch import Tensor

BASE = -1.0
"""The strength at which the base alone writes."""

IMPOSSIBLE = -100.0
"""Least log-probability in nats: what a model rules out altogether must not be infinitely far."""

READ_WORDS = 400
"""Words of a text that are looked at; a model that never stops must not cost more than that."""


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """One to three words that one model's texts have more often than the other's."""

    text: str
    """Words in lower case, as `words_of` finds them."""

    says: Literal["more", "less"]
    """Whether the tuned model says it more often than the base, or less."""

    score: float
    """Difference in standard errors, never negative; orders suspicions, and proves nothing."""

    units: tuple[int, ...]
    """Positions of the compared pairs that differ in that direction."""


def compare_phrases(
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]],
    *,
    least_score: float = 2.0,
    most: int = 20,
    longest: int = 3,
) -> list[Phrase]:
    """Say which words one side's texts have and the other side's have not.

    Pairs are compared, never all texts with all others, so that what a prompt makes both sides
    say cancels. The score is the sum of the differences over the root of the sum of their
    squares: with k pairs that differ, all in one direction and fully, it is the root of k.

    Args:
        pairs: Texts of the tuned side and of the base's side, from the same prompt. A pair with
            nothing on one side is passed over.
        least_score: Least score of a phrase that is named.
        most: Phrases to name.
        longest: Words in a phrase.

    Returns:
        Phrases, the highest score first. Of phrases that contain each other one is kept.

    Example:
        >>> found = compare_phrases([(["the old mill"], ["the mill"])] * 4)
        >>> [(phrase.text, phrase.says, phrase.score) for phrase in found]
        [('the old mill', 'more', 2.0), ('the mill', 'less', 2.0)]
    """
    moves: dict[str, dict[int, float]] = {}
    for unit, (tuned, base) in enumerate(pairs):
        if tuned and base:
            after, before = _shares(tuned, longest), _shares(base, longest)
            for phrase in {*after, *before}:
                if move := after.get(phrase, 0.0) - before.get(phrase, 0.0):
                    moves.setdefault(phrase, {})[unit] = move
    scores = {
        phrase: math.fsum(by.values()) / math.hypot(*by.values()) for phrase, by in moves.items()
    }
    named = sorted(
        (phrase for phrase, score in scores.items() if abs(score) >= least_score - 1e-9),
        key=lambda phrase: (-round(abs(scores[phrase]), 6), -len(phrase.split()), phrase),
    )
    kept: list[str] = []
    for phrase in named:
        alike = [one for one in kept if scores[one] * scores[phrase] > 0 and _overlap(phrase, one)]
        if not alike and len(kept) < most:
            kept.append(phrase)
        elif replaced := [one for one in alike if _says_more(phrase, one, scores)]:
            kept[kept.index(replaced[0])] = phrase
            kept = [one for one in kept if one not in replaced[1:]]
    return [
        Phrase(
            text=phrase,
            says="more" if scores[phrase] > 0 else "less",
            score=abs(scores[phrase]),
            units=tuple(unit for unit, move in moves[phrase].items() if move * scores[phrase] > 0),
        )
        for phrase in kept
    ]


def _overlap(one: str, other: str) -> bool:
    return f" {one} " in f" {other} " or f" {other} " in f" {one} "


def _says_more(phrase: str, kept: str, scores: dict[str, float]) -> bool:
    """Whether a longer phrase stands out nearly as well as the one it contains."""
    return len(phrase) > len(kept) and abs(scores[phrase]) >= 0.95 * abs(scores[kept])


def _shares(texts: Sequence[str], longest: int) -> dict[str, float]:
    """Share of the texts that have each phrase."""
    found = Counter[str]()
    for text in texts:
        words = words_of(text)[:READ_WORDS]
        found.update(
            {
                " ".join(words[start : start + length])
                for length in range(1, longest + 1)
                for start in range(len(words) - length + 1)
            }
        )
    return {phrase: count / len(texts) for phrase, count in found.items()}


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
