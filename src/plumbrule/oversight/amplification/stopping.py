"""The error budget: what the next level will cost, and when to stop climbing.

Errors grow from level to level, because each answer is put together from several below. Before a
level is taught its error is predicted from upper bounds at the level beneath; before its lessons
are learned the teacher is checked; after, the student. Any of the three over budget ends the climb
at the level beneath.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from plumbrule.errors import ConfigError
from plumbrule.oversight.amplification.ladder import Ladder
from plumbrule.oversight.amplification.planted import Check
from plumbrule.oversight.amplification.voting import VoteErrors, voted_error
from plumbrule.records import strict

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
    ladder: Ladder, *, student: Check, overseer: Check, votes: int, correlation: float
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
    budget: ErrorBudget, *, predicted: float | None, teacher: Check | None, student: Check | None
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
