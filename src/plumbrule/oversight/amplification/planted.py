"""Planted checks: questions of known answer, put among the others to see how often they go wrong.

Each question has a context of its own, drawn from those held out from all training, so that the
answers are independent and an exact interval for a proportion applies.

Axes: V votes, Q questions, T tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from plumbrule.errors import ConfigError
from plumbrule.oversight.amplification.ladder import Answers, Contexts, Ladder, Student
from plumbrule.oversight.amplification.overseer import Believe, Overseer, amplify
from plumbrule.records import strict
from plumbrule.statistics import clopper_pearson
from plumbrule.store import derive_seed


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Questions of one depth with their true answers."""

    level: int
    contexts: Contexts
    kinds: tuple[str, ...]
    """Kind of each question."""

    places: Int[np.ndarray, " questions"]
    answers: Int[np.ndarray, " questions"]

    @property
    def labels(self) -> int:
        """Answers that the oracle gave."""
        return len(self.answers)


@strict
@dataclass(frozen=True, kw_only=True)
class Check:
    """How planted questions were answered."""

    wrong: int
    asked: int
    upper: float
    """Upper bound of the error rate, one-sided."""

    confidence: float
    """That the true rate lies under the bound."""

    @property
    def rate(self) -> float:
        """Share of wrong answers."""
        return self.wrong / self.asked


def plant(ladder: Ladder, count: int, level: int, *, seed: int) -> Planted:
    """Draw questions of one depth and have the oracle answer them: `count` labels.

    Args:
        ladder: What is asked.
        count: Questions, each about a context of its own, held out from training.
        level: Of all questions.
        seed: Decides contexts, kinds and places.

    Raises:
        ConfigError: Fewer than one question.
    """
    if count < 1:
        raise ConfigError(f"a check takes at least one question, got {count}")
    rng = np.random.default_rng(derive_seed(seed, "questions"))
    contexts = ladder.draw(count, seed=derive_seed(seed, "contexts"), exam=True)
    kinds = tuple(ladder.kinds[each] for each in rng.integers(0, len(ladder.kinds), count))
    places = rng.integers(0, ladder.size, count)
    answers = pick(contexts, kinds, places, lambda some, kind: ladder.answer(some, kind, 2**level))
    return Planted(level=level, contexts=contexts, kinds=kinds, places=places, answers=answers)


def pick(
    contexts: Contexts,
    kinds: tuple[str, ...],
    places: Int[np.ndarray, " questions"],
    answer: Callable[[Contexts, str], Answers],
) -> Int[np.ndarray, " questions"]:
    """The answer to each question, where one context is asked one kind about one place."""
    found = np.empty(len(contexts), dtype=np.int64)
    for kind in sorted(set(kinds)):
        rows = np.array([each == kind for each in kinds])
        found[rows] = answer(contexts[rows], kind)[np.arange(rows.sum()), places[rows]]
    return found


def student_wrong(planted: Planted, student: Student) -> Bool[np.ndarray, " questions"]:
    """Which planted questions a student answers wrong."""
    given = pick(
        planted.contexts,
        planted.kinds,
        planted.places,
        lambda contexts, kind: student.ask(contexts, kind, planted.level),
    )
    wrong: Bool[np.ndarray, " questions"] = given != planted.answers
    return wrong


def teacher_wrong(
    planted: Planted,
    ladder: Ladder,
    believe: Believe,
    *,
    overseer: Overseer,
    votes: int,
    seed: int,
) -> tuple[Bool[np.ndarray, " questions"], Bool[np.ndarray, "votes questions"]]:
    """Which planted questions an overseer with help answers wrong, voting and vote by vote.

    Args:
        planted: Of level 1 or above.
        ladder: What is asked.
        believe: Who helps; the oracle itself, where only the overseer is on trial.
        overseer: Who cuts and combines.
        votes: A question.
        seed: Of the other names and of random errors.
    """
    given = np.empty((votes + 1, planted.labels), dtype=np.int64)
    for kind in sorted(set(planted.kinds)):
        rows = np.array([each == kind for each in planted.kinds])
        said = amplify(
            ladder,
            planted.contexts[rows],
            kind,
            planted.level,
            believe,
            overseer=overseer,
            votes=votes,
            seed=seed,
        )
        at = (np.arange(rows.sum()), planted.places[rows])
        given[0, rows] = said.answers[at]
        for vote in range(votes):
            given[vote + 1, rows] = said.votes[vote][at]
    wrong = given != planted.answers
    return wrong[0], wrong[1:]


def make_check(wrong: Bool[np.ndarray, " questions"], *, confidence: float) -> Check:
    """Count wrong answers, and bound the rate from above.

    Source:
        The upper end of the two-sided interval of Clopper & Pearson (1934) at twice the
        one-sided risk.

    Example:
        >>> found = make_check(np.zeros(300, dtype=bool), confidence=0.99)
        >>> round(found.upper, 6), round(1 - 0.01 ** (1 / 300), 6)
        (0.015233, 0.015233)
    """
    count = int(wrong.sum())
    interval = clopper_pearson(
        count, len(wrong), level=1 - 2 * (1 - confidence), unit="wrong answers per question"
    )
    return Check(wrong=count, asked=len(wrong), upper=interval.high, confidence=confidence)
