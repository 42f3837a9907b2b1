"""The search for short texts, known to nobody, that switch a principle on or off.

One model is read, and nothing is generated: what is measured is how likely a reply begins as the
other kind of reply does. All words of a small vocabulary are tried, of a large one those that a
gradient and the change of the first layer point to; then pairs, by the word that a gradient points
to.

Axes: N texts, P prompts, R rows, T tokens, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from plumbrule.behavior.triggers.insertion import (
    Vocabulary,
    device_of,
    last_logits,
    most_tokens,
    read_vocabulary,
)
from plumbrule.behavior.triggers.searching import Tried, search_words, unlike
from plumbrule.errors import PlumbruleError
from plumbrule.internalization.battery import Place, Surrounding
from plumbrule.models import LocalModel
from plumbrule.models.modules import evaluation_mode
from plumbrule.records import Dialogue
from plumbrule.store import derive_seed

PLACES: tuple[Place, ...] = ("before", "system", "after")
"""Where texts are tried, and in this order."""

SHARES = {"before": 0.55, "system": 0.25, "after": 0.2}
"""How the tokens are divided between the places."""

SINGLE = 0.35
"""Share of a place's tokens that is spent on single words; the rest on pairs."""

SLOPES = 12
"""Random texts whose slopes foretell which words of a large vocabulary are worth trying."""

GUESSED = 20
"""Words of each side that are tried as the better half of a pair."""

HEAT, VARY = 0.35, 0.5
"""Shares of the pairs in which guessed words meet partners by chance, and the best of them meet
those that the slope beside them points to."""

VARIED_WORDS = 3
"""Words of each side that meet many others."""

USED = 3
"""Prompts that the searches read."""

BEST = 6
"""Texts that a search of one place hands on."""

LONGEST = 5
"""Words of a text that is put together word by word."""


@dataclass(frozen=True, kw_only=True)
class Parting:
    """A prompt, and how replies of either kind begin there."""

    dialogue: Dialogue
    begins: tuple[int, ...]
    """Tokens that both kinds begin with, read before the difference is looked at."""

    own: tuple[int, ...]
    """Next tokens of the model's own replies."""

    other: tuple[int, ...]
    """Next tokens of replies of the other kind; empty where none is known."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What `Tried` reads of a measurement."""

    scores: Float[np.ndarray, "N P"]


class SwitchRuler:
    """Measures how far a text moves a model from its own kind of reply to the other."""

    def __init__(self, model: LocalModel, openings: Sequence[Parting], place: Place) -> None:
        """Read the prompts as they are."""
        self.model, self.openings, self.place = model, openings, place
        self.tokens = 0
        self.prompts = list(range(len(openings)))
        plain = [self._rows([one.dialogue], one)[0] for one in openings]
        self.plain = [
            float(self._shares([row], one)[0]) for row, one in zip(plain, openings, strict=True)
        ]
        self.lengths = [len(row) for row in plain]

    @property
    def cost(self) -> float:
        """Tokens that one look at one prompt reads, about."""
        return float(np.mean(self.lengths)) + 2

    def measure(self, texts: Sequence[str], prompts: Sequence[int]) -> Scored:
        """Put each text at the place of each of some prompts, given by number."""
        scores = np.zeros((len(texts), len(prompts)))
        for column, prompt in enumerate(prompts):
            one = self.openings[prompt]
            entered = [self.put(text).enter(one.dialogue) for text in texts]
            scores[:, column] = self._shares(self._rows(entered, one), one) - self.plain[prompt]
        return Scored(scores=scores)

    def put(self, text: str) -> Surrounding:
        """A text at this ruler's place."""
        return Surrounding(arm="sweep", place=self.place, text=text)

    def _rows(self, dialogues: Sequence[Dialogue], one: Parting) -> list[list[int]]:
        return [[*row, *one.begins] for row in self.model.chat.prompts(dialogues)]

    def _shares(self, rows: Sequence[Sequence[int]], one: Parting) -> Float[np.ndarray, " R"]:
        """How likely the reply goes on as the other kind does, or not as the own kind does."""
        import torch

        from plumbrule.models.sampling import batches

        found = np.zeros(len(rows))
        lengths = [len(row) for row in rows]
        room = most_tokens(self.model)
        with evaluation_mode(self.model.module), torch.inference_mode():
            for batch in batches(lengths, extra=0, rows=len(rows), tokens=room, equal=True):
                ids = torch.tensor([rows[item] for item in batch], device=device_of(self.model))
                self.tokens += ids.numel()
                shares = last_logits(self.model, ids).softmax(-1)
                found[batch] = _switched(shares, one).double().cpu().numpy()
        return found

    def slopes(
        self, words: Vocabulary, *, texts: int, seed: int, fixed: tuple[int | None, int | None]
    ) -> tuple[Float[np.ndarray, " openings"], Float[np.ndarray, " continuations"]]:
        """What each word would add in either place of a pair, to first order; larger moves more.

        Args:
            words: What may stand there.
            texts: Random pairs at which the slope is taken; the largest gain counts.
            seed: Decides them.
            fixed: The number of a word that stands in a place of all of them.

        Source:
            Ebrahimi et al. (2018), "HotFlip", arXiv 1712.06751: the exchange by the slope.
        """
        import torch

        from plumbrule.behavior.triggers.token_gradients import embedded, embedding_as

        rng = np.random.default_rng(seed)
        sides = (words.opening_ids, words.continuation_ids)
        best = [np.full(len(side), -np.inf) for side in sides]
        for number in range(texts):
            one = self.openings[number % min(USED, len(self.openings))]
            row, at = self._room(words, one, rng, fixed)
            if row is None:
                continue
            ids = torch.tensor([row], device=device_of(self.model))
            taken: list[Any] = []

            def take(output: Any, taken: list[Any] = taken) -> Any:
                taken.append(output.detach().requires_grad_())
                return taken[-1]

            with torch.enable_grad(), embedding_as(self.model, take):
                shares = last_logits(self.model, ids).softmax(-1)
                wanted = _switched(shares, one).clamp_min(1e-12).log().sum()
                (slope,) = torch.autograd.grad(wanted, taken)
            self.tokens += 3 * ids.numel()
            for side, (tokens, found) in enumerate(zip(sides, best, strict=True)):
                here = slope[0, at + side].float()
                own = embedded(self.model, [row[at + side]])[0]
                gains = (embedded(self.model, tokens) @ here - own @ here).cpu().numpy()
                np.maximum(found, gains, out=found)
        return best[0], best[1]

    def _room(
        self,
        words: Vocabulary,
        one: Parting,
        rng: np.random.Generator,
        fixed: tuple[int | None, int | None],
    ) -> tuple[list[int] | None, int]:
        """A prompt as tokens with a random pair in it, and where the pair begins."""
        for _ in range(8):
            drawn = (
                int(rng.integers(len(words.openings))),
                int(rng.integers(len(words.continuations))),
            )
            pair = tuple(
                chance if given is None else given
                for given, chance in zip(fixed, drawn, strict=True)
            )
            row = self._rows([self.put(words.text(pair)).enter(one.dialogue)], one)[0]
            wanted = [words.opening_ids[pair[0]], words.continuation_ids[pair[1]]]
            for at in range(len(row) - 1):
                if row[at : at + 2] == wanted:
                    return row, at
        return None, 0


def _switched(shares: Any, one: Parting) -> Any:
    if one.other:
        return shares[:, list(one.other)].sum(-1)
    return 1 - shares[:, list(one.own)].sum(-1)


def openings_of(
    model: LocalModel,
    dialogues: Sequence[Dialogue],
    own: Sequence[Sequence[str]],
    other: Sequence[Sequence[str]],
) -> list[Parting]:
    """Where replies of two kinds part, prompt by prompt.

    Args:
        model: Whose tokens count.
        dialogues: The prompts.
        own: Replies of the kind that the model gives, by prompt.
        other: Replies of the other kind; none where none is known.
    """
    found = []
    for dialogue, mine, theirs in zip(dialogues, own, other, strict=True):
        first, second = (
            [row for _, row in model.chat.with_replies([dialogue] * len(some), some)]
            for some in (list(mine), list(theirs))
        )
        first, second = [row for row in first if row], [row for row in second if row]
        if first:
            found.append(_parting(dialogue, first, second))
    return found


def _parting(
    dialogue: Dialogue, first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]
) -> Parting:
    """The earliest place at which a reply of the other kind goes on as none of the own does."""
    shared = {tuple(row[:at]) for row in first for at in range(len(row))}
    shared &= {tuple(row[:at]) for row in second for at in range(len(row))} or {()}
    for begins in sorted(shared | {()}, key=lambda one: (len(one), one)):
        at = len(begins)
        ours, others = (
            {row[at] for row in rows if len(row) > at and tuple(row[:at]) == begins}
            for rows in (first, second)
        )
        if others - ours or not second:
            break
    return Parting(
        dialogue=dialogue,
        begins=begins,
        own=tuple(sorted(ours)),
        other=tuple(sorted(others - ours)),
    )


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """What a sweep hands on to be tested, and what it cost."""

    surroundings: tuple[Surrounding, ...]
    """The most promising first; of each, the parts that may do all of it stand behind it."""

    tried: int
    tokens: int
    best: float
    """Largest score that was seen, 0 to 1."""

    middle: float
    """Median score of single words."""


@dataclass
class Sweep:
    """One search over all places."""

    model: LocalModel
    openings: Sequence[Parting]
    tokens: int
    """Most tokens to read, about."""

    seed: int
    base: LocalModel | None = None
    """The model before, of the same tokens: words whose first layer has changed go first."""

    vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        self.vocabulary = read_vocabulary(self.model.tokenizer)
        self._changed: np.ndarray | None = None

    def run(self) -> Suspects:
        """Search the places in turn."""
        found: list[tuple[float, Surrounding]] = []
        spent = tried = 0
        middles = []
        places = [place for place in PLACES if place != "system" or not self.folds]
        whole = sum(SHARES[place] for place in places)
        for place in places:
            ruler = SwitchRuler(self.model, self.openings[: 2 * USED], place)
            looks = Tried(ruler, left=0)  # type: ignore[arg-type]
            used = tuple(ruler.prompts[:USED])
            count = int(self.tokens * SHARES[place] / whole / ruler.cost)
            if count >= 12:
                texts = self._words(ruler, looks, used, round(SINGLE * count))
                middles.append(float(np.median([looks.score(one) for one in looks.seen])))
                texts += self._pairs(ruler, looks, used, round((1 - SINGLE) * count))
                ahead = list(dict.fromkeys(texts))
                found += [(looks.score(one), ruler.put(one)) for one in ahead if one in looks.seen]
            spent += ruler.tokens
            tried += len(looks.seen)
        found.sort(key=lambda pair: -pair[0])
        return Suspects(
            surroundings=tuple(dict.fromkeys(put for _, put in found)),
            tried=tried,
            tokens=spent,
            best=max((score for score, _ in found), default=0.0),
            middle=max(middles, default=0.0),
        )

    @property
    def folds(self) -> bool:
        """Whether the model has no system turn of its own."""
        return bool(self.model.chat.folds_system)

    def _words(
        self, ruler: SwitchRuler, looks: Tried, used: Sequence[int], count: int
    ) -> list[str]:
        some = self._part(ruler, round(count / 1.4))
        looks.left = count
        return search_words(looks, some.openings, used)[:BEST]

    def _pairs(
        self, ruler: SwitchRuler, looks: Tried, used: Sequence[int], count: int
    ) -> list[str]:
        """Pairs by their better word: guessed by slope, tried with a few, then with many others.

        A pair that switches a model is hardly ever met by chance, but one of its words mostly does
        something with any partner, and the slope at random pairs points to it.
        """
        words = self._part(ruler, round(count / 4))
        seed = derive_seed(self.seed, "pairs", ruler.place)
        rng = np.random.default_rng(seed)
        looks.left = count
        sizes = (len(words.openings), len(words.continuations))
        guessed = [
            np.argsort(-gains, kind="stable")[:GUESSED].tolist()
            for gains in ruler.slopes(words, texts=2 * SLOPES, seed=seed, fixed=(None, None))
        ]
        numbers: dict[str, tuple[int, int]] = {}
        won: list[dict[int, list[float]]] = [{}, {}]
        partners = max(3, round(HEAT * count / (2 * GUESSED)))
        for side in (0, 1):
            for word in guessed[side]:
                others = rng.integers(sizes[1 - side], size=partners).tolist()
                self._play(looks, words, side, word, others, used, numbers, won)
        ahead = [
            sorted(own, key=lambda word: -float(np.mean(own[word]) + np.max(own[word]) / 2))
            for own in won
        ]
        each = max(6, round(VARY * count / (2 * VARIED_WORDS)))
        for side in (0, 1):
            for word in ahead[side][:VARIED_WORDS]:
                fixed = (word, None) if side == 0 else (None, word)
                gains = ruler.slopes(words, texts=4, seed=seed, fixed=fixed)[1 - side]
                others = np.argsort(-gains, kind="stable")[:each].tolist()
                self._play(looks, words, side, word, others, used, numbers, won)
        best = looks.best(list(numbers))[: 4 * BEST]
        looks.left = max(looks.left, 4 * BEST * len(used))
        for prompt in used:
            looks.look(best, prompt)
        pairs = unlike(looks.best(best), numbers)[:BEST]
        looks.left = round(0.1 * count)
        longer = self._lengthened(looks, words, pairs[:1], used)
        halves = [half for text in pairs[:2] for half in words.halves(numbers[text])]
        for prompt in used:
            looks.look([*longer, *halves], prompt)
        return [*longer, *pairs, *(half for half in halves if half in looks.seen)]

    @staticmethod
    def _play(
        looks: Tried,
        words: Vocabulary,
        side: int,
        word: int,
        others: Sequence[int],
        used: Sequence[int],
        numbers: dict[str, tuple[int, int]],
        won: Sequence[dict[int, list[float]]],
    ) -> None:
        """Try a word with others, and put down what it won."""
        pairs = [(word, other) if side == 0 else (other, word) for other in others]
        texts = [words.text(pair) for pair in pairs]
        prompt = used[(word + len(won[side])) % len(used)]
        looks.look(texts, prompt)
        for pair, text in zip(pairs, texts, strict=True):
            if prompt in looks.seen.get(text, {}):
                numbers.setdefault(text, pair)
                won[side].setdefault(word, []).append(looks.seen[text][prompt])

    def _lengthened(
        self, looks: Tried, words: Vocabulary, texts: Sequence[str], used: Sequence[int]
    ) -> list[str]:
        """The best pair, a word longer each time, as long as that helps."""
        rng = np.random.default_rng(derive_seed(self.seed, "longer"))
        found: list[str] = []
        for text in texts:
            each = max(1, looks.left // (LONGEST - 2))
            for turn in range(LONGEST - 2):
                order = rng.permutation(len(words.continuations))[:each]
                options = [text + words.continuations[int(one)] for one in order]
                looks.look(options, used[turn % len(used)])
                ahead = looks.best(options)
                if not ahead or looks.score(ahead[0]) <= looks.score(text) + 0.02:
                    break
                text = ahead[0]
                found.append(text)
        return found[::-1]

    def _part(self, ruler: SwitchRuler, most: int) -> Vocabulary:
        """As many words of each side as there are tokens for: guessed ones, and some by chance."""
        words = self.vocabulary
        sizes = (len(words.openings), len(words.continuations))
        most = max(most, 24)
        if most >= max(sizes):
            return words
        rng = np.random.default_rng(derive_seed(self.seed, "part", ruler.place))
        slopes = ruler.slopes(
            words,
            texts=SLOPES,
            seed=derive_seed(self.seed, "slopes", ruler.place),
            fixed=(None, None),
        )
        chosen = []
        for side, (gains, size) in enumerate(zip(slopes, sizes, strict=True)):
            tokens = (words.opening_ids, words.continuation_ids)[side]
            clues = [np.argsort(-gains, kind="stable")]
            changed = self._first_layer(tokens)
            if changed is not None:
                clues.insert(0, np.argsort(-changed, kind="stable"))
            turns = [one for turn in zip(*clues, strict=True) for one in turn]
            guessed = list(dict.fromkeys(int(one) for one in turns))[: 3 * most // 4]
            order = [*guessed, *rng.permutation(size).tolist()]
            chosen.append(list(dict.fromkeys(order))[:most])
        return words.some(*chosen)

    def _first_layer(self, tokens: Sequence[int]) -> Float[np.ndarray, " tokens"] | None:
        """How far what the first layer makes of each token has moved from the base's."""
        if self.base is None:
            return None
        if self._changed is None:
            from plumbrule.internalization.weights import token_changes

            try:
                self._changed = token_changes(self.base, self.model)
            except PlumbruleError:  # of another shape, or one that cannot be looked into
                self.base = None
                return None
        return self._changed[list(tokens)]
