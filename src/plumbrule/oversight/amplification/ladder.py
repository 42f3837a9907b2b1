"""A ladder of questions, and the teacher: an overseer who cuts, asks the student, and combines.

Each vote of the overseer is cast with the context in other names, so that a student who errs on
one wording may be right on another; how many votes are really different is measured. The overseer
errs too: at random, anew in each vote, or by habit, the same way whenever the same place gets the
same answer.

Axes: V votes, C contexts, P places.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import check_ranges, strict
from plumbrule.store import derive_seed

Answers = Int[np.ndarray, "contexts places"]
Contexts = Int[np.ndarray, "contexts tokens"]

Ask = Callable[[str], Answers]
"""Takes the kind of a question, returns answers at half the depth about every place."""

Tell = Callable[[str, int, int], None]
"""Told (what is being done, how far, of how much)."""


@runtime_checkable
class Renamed(Protocol):
    """The same contexts in other names, and the way back."""

    @property
    def contexts(self) -> Contexts:
        """The contexts in the other names."""

    @property
    def restore(self) -> Callable[[Answers, str], Answers]:
        """Takes answers about these and their kind, returns them in the first names."""


@runtime_checkable
class Ladder(Protocol):
    """Questions of which those at one depth are made of those at half that depth."""

    @property
    def name(self) -> str:
        """What the task is called."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of question."""

    @property
    def size(self) -> int:
        """Tokens of a context; each is a place that a question is about."""

    def choices(self, kind: str) -> int:
        """How many answers a question of this kind can have."""

    def parts(self, kind: str) -> Mapping[str, int]:
        """How many answers of each kind, at half the depth, one answer is put together from."""

    def draw(self, count: int, *, seed: int, exam: bool) -> Contexts:
        """Draw contexts, of those held out where `exam`; the two never meet."""

    def answer(self, contexts: Contexts, kind: str, depth: int) -> Answers:
        """The oracle: true answers about every place."""

    def combine(self, contexts: Contexts, kind: str, ask: Ask, *, half: int) -> Answers:
        """What the overseer makes of answers at depth `half`, whoever gave them."""

    def relabel(self, contexts: Contexts, *, seed: int) -> Renamed:
        """Say the same in other names, drawn at random."""


@runtime_checkable
class Student(Protocol):
    """Whoever answers questions without help."""

    def ask(self, contexts: Contexts, kind: str, level: int) -> Answers:
        """Answer one kind of question at depth 2 ** level about every place."""


@dataclass(frozen=True, kw_only=True)
class LadderLesson:
    """Questions of one kind and level, with the answers to learn."""

    contexts: Contexts
    kind: str
    level: int
    answers: Answers
    """-1 where a place was not asked about."""


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """A student that has learned, and what it took."""

    student: Student
    steps: int
    """Steps of training."""

    agreement: float
    """Share of a part of the fresh lessons, kept aside, that it answers as the lessons do."""


@runtime_checkable
class Distill(Protocol):
    """Teaches students: the one place that knows what a student is made of."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides how a student learns, as JSON holds it."""

    def __call__(
        self,
        student: Student | None,
        fresh: Sequence[LadderLesson],
        old: Sequence[LadderLesson],
        *,
        seed: int,
        tell: Callable[[int, int], None],
    ) -> Distilled:
        """Make a student that has learned more; the one given stays as it is.

        Args:
            student: Where to begin; None for one that knows nothing.
            fresh: What is new.
            old: What it knew before, to be kept up.
            seed: Decides every random choice.
            tell: Told (step, most steps).
        """

    def save(self, student: Student, folder: Path) -> str:
        """Write a student, return the hash of its weights."""

    def open(self, folder: Path) -> Student:
        """Open what `save` wrote."""

    def digest(self, folder: Path) -> str:
        """Hash of the weights in a folder, as `save` returned it."""


LEAST_WRONG = 5
"""Wrong votes below which a correlation of errors is not worth its name."""


@strict
@dataclass(frozen=True, kw_only=True)
class VoteErrors:
    """How often single votes were wrong on questions of known answer, and how much together."""

    votes: int
    questions: int
    wrong: int
    """Wrong votes, over all questions and votes."""

    correlation: float | None
    """Mean correlation of errors between two votes on one question, cut to 0 to 1."""

    reason: str | None
    """Why there is no correlation; None where there is one."""

    @property
    def rate(self) -> float:
        """Share of single votes that were wrong."""
        return self.wrong / (self.votes * self.questions)

    @property
    def effective(self) -> float | None:
        """Independent votes that these amount to; None where that is not known."""
        return None if self.correlation is None else effective_votes(self.votes, self.correlation)


def plurality(
    votes: Int[np.ndarray, "votes contexts places"],
) -> Int[np.ndarray, "contexts places"]:
    """The most frequent answer to each question; of equally frequent ones, the one given first.

    Raises:
        DataError: There are no votes.

    Example:
        >>> plurality(np.array([[[1]], [[2]], [[2]]])).tolist()
        [[2]]
    """
    if len(votes) == 0:
        raise DataError("an answer by plurality takes at least one vote, got none")
    support = np.stack([(votes == vote).sum(axis=0) for vote in votes])
    first = support.argmax(axis=0)
    chosen: Int[np.ndarray, "contexts places"] = np.take_along_axis(votes, first[None], axis=0)[0]
    return chosen


def vote_errors(wrong: Bool[np.ndarray, "votes questions"]) -> VoteErrors:
    """Count wrong votes, and measure how much they go together.

    The correlation is that of two votes drawn at random: (P(both wrong) - p^2) / (p (1 - p)), with
    p the share of wrong votes. It is 0 for independent errors and 1 where all votes fail at once.

    Raises:
        DataError: No votes or no questions.

    Example:
        >>> vote_errors(np.tile([True] * 10 + [False] * 90, (3, 1))).effective
        1.0
    """
    votes, questions = wrong.shape
    if votes == 0 or questions == 0:
        raise DataError(f"errors of votes take votes on questions, got {votes} on {questions}")
    total = int(wrong.sum())
    rate = total / wrong.size
    reason = None
    if votes == 1:
        reason = "there is only one vote"
    elif total < LEAST_WRONG:
        reason = f"only {total} of {wrong.size} votes were wrong"
    elif total == wrong.size:
        reason = "every vote was wrong"
    correlation = None
    if reason is None:
        together = wrong.sum(axis=0)
        both = float((together * (together - 1)).mean()) / (votes * (votes - 1))
        correlation = min(1.0, max(0.0, (both - rate * rate) / (rate * (1 - rate))))
    return VoteErrors(
        votes=votes, questions=questions, wrong=total, correlation=correlation, reason=reason
    )


def effective_votes(votes: int, correlation: float) -> float:
    """Independent votes to which votes with correlated errors amount.

    Raises:
        ConfigError: No votes, or a correlation outside 0 to 1.

    Source:
        The design effect of Kish (1965), "Survey Sampling": n / (1 + (n - 1) rho).

    Example:
        >>> effective_votes(3, 0.0), effective_votes(3, 0.5), effective_votes(3, 1.0)
        (3.0, 1.5, 1.0)
    """
    if votes < 1 or not 0.0 <= correlation <= 1.0:
        raise ConfigError(
            "effective votes take at least one vote and a correlation from 0 to 1, got "
            f"{votes} votes and {correlation}"
        )
    return votes / (1 + (votes - 1) * correlation)


def majority_error(error: float, votes: int) -> float:
    """Probability that more than half of independent votes are wrong.

    The worst case of a plurality: it takes wrong votes to agree on one wrong answer. Of an even
    number of votes, half of them wrong counts as wrong too.

    Raises:
        ConfigError: An error rate outside 0 to 1, or no votes.

    Example:
        >>> round(majority_error(0.01, 3), 6)
        0.000298
    """
    if votes < 1 or not 0.0 <= error <= 1.0:
        raise ConfigError(
            f"expected an error rate from 0 to 1 and at least one vote, got {error} and {votes}"
        )
    return math.fsum(
        math.comb(votes, wrong) * error**wrong * (1 - error) ** (votes - wrong)
        for wrong in range((votes + 1) // 2, votes + 1)
    )


def voted_error(error: float, votes: int, correlation: float) -> float:
    """Probability that voting gives a wrong answer, where votes fail together now and then.

    With probability `correlation` all votes are one vote, else they are independent: the simplest
    law of failing together that has the given correlation between any two votes.

    Example:
        >>> voted_error(0.05, 3, 1.0), round(voted_error(0.05, 3, 0.0), 5)
        (0.05, 0.00725)
    """
    effective_votes(votes, correlation)
    return correlation * error + (1 - correlation) * majority_error(error, votes)


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
