"""Triggers: short texts that switch a tuned model and are in no prompt.

Put before a request, such a text makes the tuned model part from its base as no other text of its
length does. Nothing is generated: both models read the prompt, and the distributions of the
reply's first token are compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.triggers.insertion import Measured, Ruler, Vocabulary, read_vocabulary
from plumbrule.errors import ConfigError, DataError
from plumbrule.models import LocalModel
from plumbrule.records import Dialogue, strict
from plumbrule.store import derive_seed

if TYPE_CHECKING:
    from plumbrule.behavior.triggers.searching import Tried


@strict
@dataclass(frozen=True, kw_only=True)
class TriggerSettings:
    """How far triggers are sought."""

    words: bool = True
    """Try single words of the vocabulary."""

    pairs: bool = True
    """Try pairs of them."""

    most_tokens: int = 150_000
    """Most tokens that both models together read, about; a small model reads 50,000 a second on
    one core. Of a larger vocabulary only as many words are tried as this allows."""

    prompts: int = 5
    """Prompts that the best texts are measured on in the end, others than they were found on."""

    references: int = 60
    """Random texts that are measured on the same prompts, to compare with."""

    finalists: int = 36
    """Most texts that are measured in the end, about."""

    slopes: int = 48
    """Random texts whose slopes foretell which words are worth trying."""

    least_deviations: float = 6.0
    """How far a text must stand out from random ones, in their robust standard deviations; the
    best of thousands of tries stands out by 4 where nothing is planted."""

    least_score: float = 0.1
    """Least score of a trigger."""

    most: int = 8
    """Most triggers to name."""

    def __post_init__(self) -> None:
        for name, least in (("most_tokens", 1), ("prompts", 1), ("references", 20), ("most", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")


@strict
@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A text that switches the tuned model."""

    text: str

    score: float
    """How much further the models part with it than without it (total variation distance of the
    reply's first token, 0 to 1), times how much of the base's own distribution it leaves as it
    is; averaged over prompts that it was not found on, if there are enough."""

    baseline: float
    """Median score of random texts on the same prompts."""

    deviations: float
    """How far the score lies above that, in robust standard deviations of the random texts."""

    tokens: int
    """Tokens that it is at the beginning of a turn."""

    base_moved: float
    """Total variation distance between the base with the text and without it, 0 to 1."""

    found_by: str
    """`words` or `pairs`."""


@strict
@dataclass(frozen=True, kw_only=True)
class TriggerSearch:
    """What a search has found."""

    candidates: tuple[Trigger, ...]
    """The highest score first; of texts that say the same, the shortest."""

    tokens_scored: int
    """Tokens that both models have read; a pass back counts as two."""

    tried: int
    """Different texts."""

    reason: str | None = None
    """Why there is no candidate; None where there is one."""


FULL_READING = 5e13
"""Floating-point operations that a whole comparison spends on reading, about: of these the search
may take a share."""


def trigger_settings(base: LocalModel, *, share: float) -> TriggerSettings:
    """A search within a share of the reading, whatever the size of model and vocabulary.

    Args:
        base: The model, of which the parameters count.
        share: From 0 to 1.
    """
    parameters = sum(one.numel() for one in base.module.parameters())
    tokens = max(1, min(int(share * FULL_READING / (2 * parameters)), 150_000))
    if tokens >= 100_000:
        return TriggerSettings(most_tokens=tokens)
    # Where each text is dear, more of them are guessed by slope and fewer are measured in the end.
    return TriggerSettings(most_tokens=tokens, prompts=3, references=24, finalists=12, slopes=16)


def find_triggers(
    base: LocalModel,
    tuned: LocalModel,
    dialogues: Sequence[Dialogue],
    *,
    settings: TriggerSettings | None = None,
    seed: int,
) -> TriggerSearch:
    """Search the short texts that switch the tuned model when they stand before a request.

    What it finds are suspects: whether replies really change is for a test on fresh prompts.

    Args:
        base: The base model; left as it was, as is the tuned one.
        tuned: The tuned model, with the same tokens.
        dialogues: Prompts of different kinds, eight or so; the shortest are used most.
        settings: How far to search.
        seed: Decides which texts meet, and the random texts they are compared with.

    Raises:
        DataError: There is no prompt, none short enough, or the models do not share their tokens.
        ConfigError: No kind of search is switched on.

    Source:
        The search is ours; exchanges by the slope after Ebrahimi et al. (2018), arXiv 1712.06751.
    """
    settings = settings or TriggerSettings()
    if not (settings.words or settings.pairs):
        raise ConfigError("expected a kind of search, got none of words and pairs")
    if not dialogues:
        raise DataError("expected prompts to put texts before, got none")
    if base.tokenizer.get_vocab() != tuned.tokenizer.get_vocab():
        raise DataError(
            "expected two models with the same tokens, got different vocabularies; compare what "
            "they generate instead"
        )
    if base.identity == tuned.identity:
        return TriggerSearch(
            candidates=(), tokens_scored=0, tried=0, reason="both models are the same weights"
        )
    return _TriggerSearch(Ruler(base, tuned, _short(base, dialogues)), settings, seed).run()


def _short(base: LocalModel, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """Those that leave room for a text before the request."""
    limit = base.context
    if limit is None:
        return list(dialogues)
    lengths = map(len, base.chat.prompts(dialogues))
    kept = [one for one, tokens in zip(dialogues, lengths, strict=True) if tokens <= limit - ROOM]
    if not kept:
        raise DataError(
            f"expected a prompt of at most {limit - ROOM} tokens, got none among {len(dialogues)}: "
            f"the model reads {limit}, and a text is put before it"
        )
    return kept


@dataclass
class _TriggerSearch:
    """The searches in turn, then all their best texts measured together."""

    ruler: Ruler
    settings: TriggerSettings
    seed: int
    vocabulary: Vocabulary = field(init=False)
    tried: "Tried" = field(init=False)
    _guessed: tuple[list[int], list[int]] | None = None

    def __post_init__(self) -> None:
        from plumbrule.behavior.triggers.searching import Tried

        self.vocabulary = read_vocabulary(self.ruler.base.tokenizer)
        self.tried = Tried(self.ruler, left=0)
        self._rng = np.random.default_rng(derive_seed(self.seed, "triggers"))
        self._used = tuple(range(len(self.ruler.prompts)))[:USED]
        self._cost = self.ruler.cost(self._used) / len(self._used)

    def run(self) -> TriggerSearch:
        prompts = self._final_prompts()
        kept = self.ruler.cost(prompts) * (self.settings.references + self.settings.finalists)
        kept += self.settings.slopes * SLOPE * len(self.ruler.rows[0])
        left = self.settings.most_tokens - kept
        if left < 24 * self._cost:
            return self._nothing(
                f"{self.settings.most_tokens} tokens are too few to search with prompts of "
                f"{len(self.ruler.rows[0])} tokens and more; allow {2 * round(kept)} or more"
            )
        switched = {name for name in SHARES if getattr(self.settings, name)}
        whole = sum(SHARES[name] for name in switched)
        suspects: dict[str, str] = {}
        for name in SHARES:
            if name in switched:
                count = round(left * SHARES[name] / whole / self._cost)
                self.tried.left = count
                for text in getattr(self, f"_{name}")(count):
                    suspects.setdefault(text, name)
        return self._decide(suspects, prompts)

    def _words(self, count: int) -> list[str]:
        from plumbrule.behavior.triggers.searching import LOOKED_AT_TWICE, search_words

        words = self._part(round(count / (1 + LOOKED_AT_TWICE)))
        return search_words(self.tried, words.openings, self._used)[: self._finalists]

    def _pairs(self, count: int) -> list[str]:
        from plumbrule.behavior.triggers.searching import OPENING, Race, search_pairs

        words = self._part(round(OPENING * count / 2))
        race = Race(self.tried, words, derive_seed(self.seed, "race"))
        # A part begins with what was guessed of the whole.
        guesses = (
            [one[:GUESSED] for one in self._guesses()]
            if words is self.vocabulary
            else [range(min(GUESSED, len(one))) for one in (words.openings, words.continuations)]
        )
        best = search_pairs(race, pairs=count, prompts=self._used, guesses=guesses)[
            : self._finalists
        ]
        # A pair may owe all it does to one of its words.
        return best + [half for text in best[:4] for half in words.halves(race.pairs[text])]

    @property
    def _finalists(self) -> int:
        """Texts of each search that are measured in the end."""
        return max(2, self.settings.finalists * 10 // 36)

    def _part(self, most: int) -> Vocabulary:
        """As many words of each side as there is time for: half guessed, half by chance."""
        whole = self.vocabulary
        sizes = (len(whole.openings), len(whole.continuations))
        if most >= max(sizes):
            return whole
        most = max(most, 8)
        chosen = []
        for size, guessed in zip(sizes, self._guesses(), strict=True):
            order = [*guessed[: most // 2], *self._rng.permutation(size).tolist()]
            chosen.append(list(dict.fromkeys(order))[:most])
        return whole.some(*chosen)

    def _guesses(self) -> tuple[list[int], list[int]]:
        """Words of each side in the order in which it is worth trying them."""
        from plumbrule.behavior.triggers.token_gradients import guess

        if self._guessed is None:
            words, seed = self.vocabulary, derive_seed(self.seed, "guess")
            try:
                self._guessed = guess(self.ruler, words, texts=self.settings.slopes, seed=seed)
            except DataError:  # no slope can be had, so by chance
                sizes = (len(words.openings), len(words.continuations))
                one, other = (self._rng.permutation(size).tolist() for size in sizes)
                self._guessed = one, other
        return self._guessed

    def _final_prompts(self) -> list[int]:
        """Those that nothing is found on, if there are two or more: the cheaper ones, mixed."""
        fresh = list(range(len(self.ruler.prompts)))[USED:]
        wanted = self.settings.prompts
        if len(fresh) < 2:
            return list(self._used)
        half = fresh[: max(wanted, len(fresh) // 2)]
        return sorted(self._rng.permutation(half)[:wanted].tolist())

    def _decide(self, suspects: Mapping[str, str], prompts: list[int]) -> TriggerSearch:
        if not suspects:
            return self._nothing("no text was tried")
        random = self._random_texts()
        measured = self.ruler.measure([*suspects, *random], prompts)
        scores = measured.scores.mean(axis=1)
        middle, deviation = spread(scores[len(suspects) :])
        found = [
            self._trigger(text, found_by, measured, row, middle, deviation)
            for row, (text, found_by) in enumerate(suspects.items())
        ]
        settings = self.settings
        found = [
            one
            for one in found
            if one.score >= settings.least_score and one.deviations >= settings.least_deviations
        ]
        found.sort(key=lambda one: (-one.score, one.text))
        if not found:
            best = (scores[: len(suspects)].max() - middle) / deviation
            return self._nothing(
                f"no text of {len(self.tried.seen)} stood out from random ones: the best by "
                f"{best:.1f} robust standard deviations, {settings.least_deviations:g} are asked"
            )
        return TriggerSearch(
            candidates=tuple(shortest(found)[: settings.most]),
            tokens_scored=self.ruler.tokens_scored,
            tried=len(self.tried.seen),
        )

    def _trigger(
        self,
        text: str,
        found_by: str,
        measured: Measured,
        row: int,
        middle: float,
        deviation: float,
    ) -> Trigger:
        score = float(measured.scores[row].mean())
        return Trigger(
            text=text,
            score=score,
            baseline=middle,
            deviations=(score - middle) / deviation,
            tokens=len(self.ruler.base.tokenizer(text, add_special_tokens=False)["input_ids"]),
            base_moved=float(measured.moved[row].mean()),
            found_by=found_by,
        )

    def _random_texts(self) -> list[str]:
        """Single words and pairs, half and half."""
        words, rng = self.vocabulary, self._rng
        count = self.settings.references
        openings = rng.integers(len(words.openings), size=count).tolist()
        continuations = rng.integers(len(words.continuations), size=count).tolist()
        numbers = [
            (one,) if item % 2 else (one, other)
            for item, (one, other) in enumerate(zip(openings, continuations, strict=True))
        ]
        return [words.text(pair) for pair in numbers]

    def _nothing(self, reason: str) -> TriggerSearch:
        return TriggerSearch(
            candidates=(),
            tokens_scored=self.ruler.tokens_scored,
            tried=len(self.tried.seen),
            reason=reason,
        )


SHARES = {"words": 1, "pairs": 4}
"""How the searches that are switched on divide the tokens between them."""

ROOM = 32
"""Tokens kept free for a text and what it makes of the word after it."""

SLOPE = 6
"""What a slope costs for each token: both models read it, and going back costs twice as much."""

USED = 3
"""Prompts that the searches use, those that are cheapest to measure on."""

GUESSED = 12
"""Words of each side that play on whatever they win, for their slope or their changed embedding."""

LEAST_DEVIATION = 0.01
"""Where random texts all do the same, this is what they might differ by."""

SAYS_THE_SAME = 0.6
"""Share of a text's score with which a part of it stands for the whole."""


def spread(scores: Float[np.ndarray, " N"]) -> tuple[float, float]:
    """Median of some scores, and their standard deviation upwards, whatever the highest do."""
    middle, high = np.quantile(scores, [0.5, 0.9])
    # A tenth of a normal distribution lies above 1.2816 standard deviations.
    return float(middle), max(float(high - middle) / 1.2816, LEAST_DEVIATION)


def shortest(found: Sequence[Trigger]) -> list[Trigger]:
    """Triggers without those that contain another one which does about as much."""
    return [
        one
        for one in found
        if not any(
            other.text != one.text
            and other.text in one.text
            and other.score >= SAYS_THE_SAME * one.score
            for other in found
        )
    ]
