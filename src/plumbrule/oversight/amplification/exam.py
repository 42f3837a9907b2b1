"""The exam: how accurate students and teachers are, on questions that decide nothing.

Its contexts are held out from all training, its questions are others than the planted ones, and
neither a rule nor a lesson sees them. So its labels measure the method and are no cost of it.
"""

from plumbrule.oversight.amplification.ladder import Ladder, Student
from plumbrule.oversight.amplification.overseer import student_beliefs
from plumbrule.oversight.amplification.planted import Planted, plant, student_wrong, teacher_wrong
from plumbrule.oversight.amplification.records import ClimbSettings
from plumbrule.records import Estimate
from plumbrule.statistics import wilson
from plumbrule.store import derive_seed

UNIT = "right answers per question"


def examine(
    ladder: Ladder, student: Student, level: int, settings: ClimbSettings
) -> tuple[Estimate, ...]:
    """Accuracy of a student at each level up to one."""
    found = []
    for each in range(level + 1):
        wrong = student_wrong(questions(ladder, each, settings), student)
        found.append(wilson(len(wrong) - int(wrong.sum()), len(wrong), unit=UNIT))
    return tuple(found)


def examine_teacher(
    ladder: Ladder, student: Student, level: int, settings: ClimbSettings
) -> Estimate:
    """Accuracy of the overseer whom a student of the level beneath helps."""
    wrong, _ = teacher_wrong(
        questions(ladder, level, settings),
        ladder,
        student_beliefs(student, level - 1),
        overseer=settings.overseer,
        votes=settings.votes,
        seed=derive_seed(settings.seed, ladder.name, "exam of the teacher", level),
    )
    return wilson(len(wrong) - int(wrong.sum()), len(wrong), unit=UNIT)


def questions(ladder: Ladder, level: int, settings: ClimbSettings) -> Planted:
    """The questions of one level, the same for every student of a climb."""
    seed = derive_seed(settings.seed, ladder.name, "exam", level)
    return plant(ladder, settings.exam, level, seed=seed)
