"""The amplified teacher: an overseer who cuts a question in two, asks the student, and combines.

Each vote does so with the context in other names, so that a student who errs on one wording may be
right on another. The overseer errs too: at random, anew in each vote, or by habit, the same way
whenever the same place gets the same answer.

Axes: V votes, C contexts, P places.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from plumbrule.errors import ConfigError
from plumbrule.oversight.amplification.ladder import Answers, Contexts, Ladder, Student, plurality
from plumbrule.records import check_ranges, strict
from plumbrule.store import derive_seed

Believe = Callable[[Contexts, str], Answers]
"""Takes contexts and a kind of question, returns what is believed at half the depth."""


@strict
@dataclass(frozen=True, kw_only=True)
class Overseer:
    """How the overseer errs."""

    error: float = 0.0
    """Probability that an answer which was put together right is replaced by a wrong one."""

    manner: Literal["random", "habit"] = "random"
    """`random`: anew in each vote. `habit`: some pairs of place and answer are always misread,
    in all votes and at all levels alike; `error` is the share of pairs, rounded up to a whole."""

    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a rate that is none."""
        if not 0.0 <= self.error <= 1.0:
            raise ConfigError(f"an overseer's error is a rate from 0 to 1, got {self.error}")
        check_ranges(self, seed=(-(2**63), 2**63 - 1))

    def misread(self, answers: Answers, choices: int, *, name: object) -> Answers:
        """Replace some answers by wrong ones.

        Args:
            answers: In the first names.
            choices: How many answers there are.
            name: Of this vote, with which random errors are drawn.
        """
        if self.error == 0.0:
            return answers
        if self.manner == "habit":
            wrong = self._habits(answers.shape[1], choices)
            places = np.broadcast_to(np.arange(answers.shape[1]), answers.shape)
            struck = wrong[places, np.clip(answers, 0, choices - 1)]
            return np.where(struck, (answers + 1) % choices, answers)
        rng = np.random.default_rng(derive_seed(self.seed, "misread", name))
        struck = rng.random(answers.shape) < self.error
        other = (answers + rng.integers(1, choices, answers.shape)) % choices
        return np.where(struck, other, answers)

    def rate(self, places: int, choices: int) -> float:
        """Share of pairs of place and answer that are misread: `error`, or a little above.

        Args:
            places: Of a context.
            choices: How many answers there are.
        """
        if self.manner == "random":
            return self.error
        return self._pairs_struck(places * choices) / (places * choices)

    def _pairs_struck(self, pairs: int) -> int:
        return int(np.ceil(self.error * pairs - 1e-9))

    def _habits(self, places: int, choices: int) -> Int[np.ndarray, "places choices"]:
        """Which pairs of place and answer are misread."""
        rng = np.random.default_rng(derive_seed(self.seed, "habits", places, choices))
        pairs = places * choices
        struck = np.zeros(pairs, dtype=bool)
        struck[rng.permutation(pairs)[: self._pairs_struck(pairs)]] = True
        return struck.reshape(places, choices)


@dataclass(frozen=True, kw_only=True)
class Amplified:
    """What an overseer with help says about every place of every context."""

    answers: Answers
    """By plurality."""

    votes: Int[np.ndarray, "votes contexts places"]


def student_beliefs(student: Student, level: int) -> Believe:
    """What a student believes at one level."""
    return lambda contexts, kind: student.ask(contexts, kind, level)


def amplify(
    ladder: Ladder,
    contexts: Contexts,
    kind: str,
    level: int,
    believe: Believe,
    *,
    overseer: Overseer,
    votes: int = 1,
    seed: int = 0,
) -> Amplified:
    """Answer questions at depth 2 ** level through questions at half that depth.

    Args:
        ladder: What is asked, and how answers are put together.
        contexts: What the questions are about.
        kind: Of question.
        level: At least 1.
        believe: Who answers at the level below.
        overseer: How the overseer errs.
        votes: How often each question is answered; the first time in the names given, each
            further time in other names.
        seed: Of the other names and of the overseer's random errors.

    Raises:
        ConfigError: A level below 1, or no votes.

    Source:
        Christiano, Shlegeris & Amodei (2018), "Supervising strong learners by amplifying weak
        experts", arXiv 1810.08575: amplification as an overseer who asks the current model. Votes
        in other names are ours.
    """
    if level < 1 or votes < 1:
        raise ConfigError(f"expected level and votes of at least 1, got {level} and {votes}")
    cast = [
        _vote(ladder, contexts, kind, level, believe, overseer, (seed, level, kind, vote))
        for vote in range(votes)
    ]
    stacked = np.stack(cast)
    return Amplified(answers=plurality(stacked), votes=stacked)


def _vote(
    ladder: Ladder,
    contexts: Contexts,
    kind: str,
    level: int,
    believe: Believe,
    overseer: Overseer,
    name: tuple[int, int, str, int],
) -> Answers:
    """One vote, in other names unless it is the first; the name ends with its number."""
    renamed = None
    if name[-1]:
        names = derive_seed(name[0], "names", level, name[-1])
        renamed = ladder.relabel(contexts, seed=names)
    told = contexts if renamed is None else renamed.contexts

    def ask(part: str) -> Answers:
        return believe(told, part)

    answers = ladder.combine(told, kind, ask, half=2 ** (level - 1))
    if renamed is not None:
        answers = renamed.restore(answers, kind)
    return overseer.misread(answers, ladder.choices(kind), name=name)
