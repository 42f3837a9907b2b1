"""The search for texts behind which two models part: all words, then pairs of them as a race.

A pair that switches a model has many near misses: its second word behind other first words, words
like it. So no word is tried alone with all others. Each plays in a few random pairs, those that do
best play on, and the best pairs are varied on either side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Literal

import numpy as np

from plumbrule.behavior.triggers.insertion import Ruler, Vocabulary

Side = Literal["opening", "continuation"]
SIDES: tuple[Side, Side] = ("opening", "continuation")

LOOKED_AT_TWICE = 0.2
"""Share of the words whose score on the first prompt earns them a second one."""

OPENING = 0.5
"""Share of the pairs that are spent on letting every word play twice."""

HEATS = ((0.2, 0.15), (0.05, 0.12), (0.015, 0.08))
"""Share of the words of each side that play on, and the share of the pairs spent on them."""

VARIED = (2, 0.15)
"""Best pairs that are varied on either side, and the share spent on it."""

FEWEST = 12
"""Words of each side that play on at least."""

RANKED = 60
"""Best pairs that are looked at on all prompts, so that luck on one does not decide."""


@dataclass
class Tried:
    """Every text that was tried, and what was seen."""

    ruler: Ruler
    left: int
    """Texts that may still be measured on a prompt."""

    seen: dict[str, dict[int, float]] = field(default_factory=dict)
    """Score by text and prompt."""

    def look(self, texts: Sequence[str], prompt: int) -> None:
        """Measure texts on a prompt, unless they have been, the first ones first while any may."""
        new = [one for one in dict.fromkeys(texts) if prompt not in self.seen.get(one, {})]
        new = new[: self.left]
        self.left -= len(new)
        if not new:
            return
        scores = self.ruler.measure(new, [prompt]).scores[:, 0].tolist()
        for text, score in zip(new, scores, strict=True):
            self.seen.setdefault(text, {})[prompt] = score

    def score(self, text: str) -> float:
        """Mean over the prompts that it was tried on."""
        return float(np.mean(list(self.seen[text].values())))

    def best(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts that were measured, best first."""
        known = [text for text in dict.fromkeys(texts) if text in self.seen]
        return sorted(known, key=lambda text: -self.score(text))


def search_words(tried: Tried, openings: Sequence[str], prompts: Sequence[int]) -> list[str]:
    """Try single words, all on the first prompt and the best on the others; best first."""
    ahead = list(openings)
    for prompt in prompts:
        tried.look(ahead, prompt)
        ahead = tried.best(ahead)[: max(1, round(LOOKED_AT_TWICE * len(ahead)))]
    return ahead


@dataclass
class Race:
    """Words that are tried in pairs, each on its side."""

    tried: Tried
    words: Vocabulary
    """Those that play."""

    seed: int
    pairs: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What each text that was tried is made of."""

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._texts = {"opening": self.words.openings, "continuation": self.words.continuations}
        self._won: dict[Side, list[list[float]]] = {
            side: [[] for _ in self._texts[side]] for side in SIDES
        }

    def play(self, pairs: Sequence[tuple[int, int]], prompt: int) -> None:
        """Try pairs, and put down to both words what came of it."""
        texts = [self.words.text(pair) for pair in pairs]
        self.tried.look(texts, prompt)
        for pair, text in zip(pairs, texts, strict=True):
            if prompt not in self.tried.seen.get(text, {}):
                continue  # the search's share is spent
            self.pairs.setdefault(text, pair)
            for side, word in zip(SIDES, pair, strict=True):
                self._won[side][word].append(self.tried.seen[text][prompt])

    def open(self, prompt: int) -> None:
        """Let every word play in one pair or more."""
        count = max(len(texts) for texts in self._texts.values())
        columns = []
        for side in SIDES:
            size = len(self._texts[side])
            turns = [self._rng.permutation(size) for _ in range(-(-count // size))]
            columns.append(np.concatenate(turns)[:count].tolist())
        self.play(list(zip(*columns, strict=True)), prompt)

    def heat(self, words: Sequence[Sequence[int]], each: int, prompt: int) -> None:
        """Let some words of each side play in some pairs more."""
        pairs = [
            (word, other) for word in words[0] for other in self._some("continuation", each)
        ] + [(other, word) for word in words[1] for other in self._some("opening", each)]
        self.play(list(dict.fromkeys(pairs)), prompt)

    def ahead(self, side: Side) -> list[int]:
        """Words by what they won: on average, and at best, for few partners may be right."""
        won = [np.mean(one) + np.max(one) / 2 if one else -np.inf for one in self._won[side]]
        order: list[int] = np.argsort(-np.asarray(won), kind="stable").tolist()
        return order

    def vary(self, text: str, width: int, prompt: int) -> None:
        """Try other words on either side of a pair."""
        opening, continuation = self.pairs[text]
        pairs = [(one, continuation) for one in self._some("opening", width)]
        pairs += [(opening, one) for one in self._some("continuation", width)]
        self.play(pairs, prompt)

    def best(self, prompts: Sequence[int]) -> list[str]:
        """Pairs, best first; the best of them seen on all of some prompts."""
        ahead = self.tried.best(list(self.pairs))[: min(RANKED, max(1, len(self.pairs) // 8))]
        for prompt in prompts:
            self.tried.look(ahead, prompt)
        return self.tried.best(ahead)

    def _some(self, side: Side, count: int) -> list[int]:
        order = self._rng.permutation(len(self._texts[side]))
        found: list[int] = order[:count].tolist()
        return found


def unlike(
    texts: Sequence[str], numbers: Mapping[str, Sequence[int]], most: int = RANKED
) -> list[str]:
    """The first of some texts, of which no two have the same word on the same side."""
    taken: set[tuple[int, int]] = set()
    found: list[str] = []
    for text in texts:
        words = set(enumerate(numbers[text]))
        if not taken & words and len(found) < most:
            taken |= words
            found.append(text)
    return found


def search_pairs(
    race: Race, *, pairs: int, prompts: Sequence[int], guesses: Sequence[Sequence[int]]
) -> list[str]:
    """Run a race.

    Args:
        race: Where nobody has played yet.
        pairs: How many to try, about.
        prompts: Prompts that are used in turn, so that one where little shows does not decide.
        guesses: Words of each side, by number, that play in the first heat whatever they have won.

    Returns:
        The pairs, best first and no two with a word in common on the same side.
    """
    turns = cycle(prompts)
    for _ in range(2):
        race.open(next(turns))
    for keep, share in HEATS:
        words = []
        for side, guessed in zip(SIDES, guesses, strict=True):
            ahead = race.ahead(side)
            first = ahead[: max(FEWEST, round(keep * len(ahead)))]
            words.append(list(dict.fromkeys([*guessed, *first])))
        guesses = ((), ())
        race.heat(words, max(2, round(share * pairs / sum(map(len, words)))), next(turns))
    count, share = VARIED
    for text in unlike(race.best(prompts), race.pairs, count):
        race.vary(text, max(8, round(share * pairs / count / 2)), next(turns))
    return unlike(race.best(prompts), race.pairs)
