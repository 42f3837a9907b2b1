"""Planted checks, what they predict of the next depth, and when to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from plumbrule.errors import ConfigError
from plumbrule.oversight.amplification.ladder import (
    Believe,
    Contexts,
    Ladder,
    Overseer,
    Student,
    VoteErrors,
    amplify,
    voted_error,
)
from plumbrule.records import strict
from plumbrule.statistics import clopper_pearson
from plumbrule.store import derive_seed


@dataclass(frozen=True, kw_only=True)
class PlantedQuestions:
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
class PlantedAnswers:
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


def plant(ladder: Ladder, count: int, level: int, *, seed: int) -> PlantedQuestions:
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
    return PlantedQuestions(
        level=level, contexts=contexts, kinds=kinds, places=places, answers=answers
    )


def pick(
    contexts: Contexts,
    kinds: tuple[str, ...],
    places: Int[np.ndarray, " questions"],
    answer: Callable[[Contexts, str], Int[np.ndarray, "*votes contexts places"]],
) -> Int[np.ndarray, "*votes questions"]:
    """The answer to each question, where one context is asked one kind about one place."""
    found = None
    for kind in sorted(set(kinds)):
        rows = np.array([each == kind for each in kinds])
        given = answer(contexts[rows], kind)[..., np.arange(rows.sum()), places[rows]]
        if found is None:
            found = np.empty((*given.shape[:-1], len(contexts)), dtype=np.int64)
        found[..., rows] = given
    assert found is not None, "there is a question"
    return found


def student_wrong(planted: PlantedQuestions, student: Student) -> Bool[np.ndarray, " questions"]:
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
    planted: PlantedQuestions,
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

    def answers(contexts: Contexts, kind: str) -> Int[np.ndarray, "votes contexts places"]:
        said = amplify(
            ladder, contexts, kind, planted.level, believe, overseer=overseer, votes=votes,
            seed=seed,
        )  # fmt: skip
        return np.concatenate([said.answers[None], said.votes])

    wrong = pick(planted.contexts, planted.kinds, planted.places, answers) != planted.answers
    return wrong[0], wrong[1:]


def make_check(wrong: Bool[np.ndarray, " questions"], *, confidence: float) -> PlantedAnswers:
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
    return PlantedAnswers(wrong=count, asked=len(wrong), upper=interval.high, confidence=confidence)


Gate = Literal["prediction", "teacher", "student"]
"""What ended a climb."""


@strict
@dataclass(frozen=True, kw_only=True)
class ErrorBudget:
    """How many wrong answers are borne, and how sure one wants to be."""

    most: float = 0.10
    """Largest error rate of a level that is kept."""

    confidence: float = 0.95
    """That no level over budget is kept; shared equally among the levels of the climb."""

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        if not (0.0 < self.most < 1.0 and 0.5 < self.confidence < 1.0):
            raise ConfigError(
                "an error budget lies between 0 and 1 and its confidence between 0.5 and 1, got "
                f"{self.most} and {self.confidence}"
            )

    def confidence_each(self, levels: int) -> float:
        """Confidence of the bounds at one of so many levels."""
        return 1 - (1 - self.confidence) / max(1, levels)


@strict
@dataclass(frozen=True, kw_only=True)
class Stop:
    """Why a climb ended, or would have if it had been left to the rule."""

    gate: Gate
    bound: float
    """Upper bound of the error that went over budget."""

    why: str


def node_error(own: float, part: float, parts: int) -> float:
    """Error of an answer put together by somebody who errs, from parts that err.

    Every part has to be right: an error is never taken to undo another.

    Example:
        >>> round(node_error(0.01, 0.02, 2), 6)
        0.049204
    """
    return 1 - (1 - own) * (1 - part) ** parts


def tree_nodes(ladder: Ladder, kind: str, level: int) -> int:
    """Answers that an overseer puts together for one question, if the student only copies.

    Depth 1 takes none: it is read off the context. For a question of two parts this is
    2 ** level - 1, the inner nodes of a binary tree.
    """
    counts = dict.fromkeys(ladder.kinds, 0)
    for _ in range(level):
        counts = {
            each: 1 + sum(many * counts[part] for part, many in ladder.parts(each).items())
            for each in ladder.kinds
        }
    return counts[kind]


def tree_error(ladder: Ladder, level: int, error: float) -> float:
    """Error at the root of the whole tree, averaged over the kinds of question.

    Args:
        ladder: How answers are put together.
        level: Of the root.
        error: Of one combination, after voting.

    Source:
        1 - (1 - e) ** nodes for independent errors; for a binary tree of height h whose leaves err
        too it is 1 - (1 - e) ** (2 ** (h + 1) - 1). Here leaves are read off and do not err.
    """
    errors = [1 - (1 - error) ** tree_nodes(ladder, kind, level) for kind in ladder.kinds]
    return sum(errors) / len(errors)


def most_parts(ladder: Ladder) -> int:
    """Parts of the kind of question that takes most of them."""
    return max(sum(ladder.parts(kind).values()) for kind in ladder.kinds)


def predict(
    ladder: Ladder,
    *,
    student: PlantedAnswers,
    overseer: PlantedAnswers,
    votes: int,
    correlation: float,
) -> float:
    """Upper bound of the teacher's error at the next level.

    Args:
        ladder: How answers are put together.
        student: At this level.
        overseer: Putting true parts together.
        votes: A question.
        correlation: Of the errors of two votes; 1 where it was not measured.
    """
    single = node_error(overseer.upper, student.upper, most_parts(ladder))
    return voted_error(single, votes, correlation)


def correlation_known(measured: Sequence[VoteErrors | None]) -> float:
    """The last correlation that could be measured, 1 if none could."""
    known = [each.correlation for each in measured if each and each.correlation is not None]
    return known[-1] if known else 1.0


def decide(
    budget: ErrorBudget,
    *,
    predicted: float | None,
    teacher: PlantedAnswers | None,
    student: PlantedAnswers | None,
) -> Stop | None:
    """Whether a level goes over budget, and by what; None where it does not.

    Args:
        budget: What is borne.
        predicted: Bound of the teacher's error, from the level beneath; None at the first level.
        teacher: Of this level; None where there is none.
        student: Of this level; None where it has not learned yet.
    """
    bounds: list[tuple[Gate, float | None, str]] = [
        ("prediction", predicted, "predicted from the level beneath"),
        ("teacher", teacher.upper if teacher else None, "of the teacher, by planted checks"),
        ("student", student.upper if student else None, "of the student, by planted checks"),
    ]
    for gate, bound, what in bounds:
        if bound is not None and bound > budget.most:
            why = f"the error {what}, is at most {bound:.1%}: over the budget of {budget.most:.1%}"
            return Stop(gate=gate, bound=bound, why=why)
    return None
