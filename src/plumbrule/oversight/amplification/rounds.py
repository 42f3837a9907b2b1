"""What a climb is made with, and a round of it: the teacher on trial, lessons, the student."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight.amplification.ladder import (
    Believe,
    Distill,
    Ladder,
    LadderLesson,
    Overseer,
    Student,
    Tell,
    VoteErrors,
    amplify,
    student_beliefs,
    vote_errors,
    voted_error,
)
from plumbrule.oversight.amplification.stopping import (
    ErrorBudget,
    PlantedAnswers,
    PlantedQuestions,
    Stop,
    correlation_known,
    decide,
    make_check,
    plant,
    predict,
    student_wrong,
    teacher_wrong,
    tree_error,
)
from plumbrule.records import Estimate, check_ranges, strict
from plumbrule.statistics import wilson
from plumbrule.store import derive_seed


@strict
@dataclass(frozen=True, kw_only=True)
class ClimbSettings:
    """All that decides a climb besides the ladder and how students learn."""

    rounds: int = 4
    """Rounds of amplification; each doubles the depth, from depth 1."""

    first_contexts: int = 100
    """Contexts whose questions at depth 1 the oracle answers, all of them, to begin with."""

    pool: int = 12000
    """Contexts that the teacher answers all questions about, a round."""

    rehearsal: int = 4000
    """Contexts a level beneath on which the student repeats what it knew."""

    planted: int = 300
    """Questions of known answer a level."""

    votes: int = 3
    """Times that a teacher answers each question, each in other names."""

    exam: int = 2000
    """Questions a level by which accuracy is reported; no rule and no training sees them."""

    budget: ErrorBudget = field(default_factory=ErrorBudget)
    overseer: Overseer = field(default_factory=Overseer)
    enforce: bool = True
    """Whether the rule ends the climb; if not, what it would have said is only written down."""

    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that no climb can be made with."""
        for name in ("rounds", "first_contexts", "pool", "rehearsal", "planted", "votes", "exam"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        counts = ("first_contexts", "pool", "rehearsal", "planted", "exam")
        check_ranges(
            self,
            **dict.fromkeys(counts, (1, 10**8)),
            rounds=(1, 64),
            votes=(1, 10**4),
            seed=(-(2**63), 2**63 - 1),
        )

    @property
    def confidence(self) -> float:
        """Of each bound, so that all levels together keep the budget's."""
        return self.budget.confidence_each(self.rounds + 1)


@strict
@dataclass(frozen=True, kw_only=True)
class Labels:
    """Answers that the oracle gave, by what for. Those of the exam are counted nowhere."""

    lessons: int = 0
    """At depth 1, to learn from."""

    planted: int = 0
    """To check teacher and student."""

    overseer: int = 0
    """Parts handed to the overseer, to check it alone."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.lessons + self.planted + self.overseer


@strict
@dataclass(frozen=True, kw_only=True)
class ClimbRound:
    """One level: predicted, taught, learned and checked."""

    level: int
    depth: int
    labels: Labels
    expected: float | None
    """Error if the student only copies and every combination errs at the rate that is put in."""

    predicted: float | None = None
    """Upper bound of the teacher's error, said before this level was asked about; None at 0."""

    overseer: PlantedAnswers | None = None
    """The overseer alone, by its first vote, given true parts; at level 1 only."""

    overseer_votes: VoteErrors | None = None
    teacher: PlantedAnswers | None = None
    """By plurality; None at level 0, where the oracle teaches."""

    teacher_votes: VoteErrors | None = None
    student: PlantedAnswers | None = None
    """None where the level was not taught."""

    teacher_accuracy: Estimate | None = None
    """In the exam."""

    accuracy: tuple[Estimate, ...] = ()
    """In the exam, the student of this round at each level up to this one."""

    questions: int = 0
    """Questions put to the student before, to teach this level."""

    steps: int = 0
    agreement: float | None = None
    """With the lesson, on rows kept aside; None where the level was not taught."""

    seconds: float = 0.0
    weights: str | None = None
    """SHA-256 of the student's weights; None where the level was not taught."""

    stop: Stop | None = None
    """What the rule says."""


@strict
@dataclass(frozen=True, kw_only=True)
class Climb:
    """A climb, as far as it went."""

    ladder: str
    settings: ClimbSettings
    rounds: tuple[ClimbRound, ...]

    @property
    def stopped(self) -> ClimbRound | None:
        """The first round that the rule would not keep; None where it kept all."""
        return next((each for each in self.rounds if each.stop is not None), None)

    @property
    def top(self) -> ClimbRound | None:
        """The highest round that the rule kept; None where it did not even keep depth 1."""
        fallen = self.stopped
        kept = self.rounds if fallen is None else self.rounds[: fallen.level]
        return kept[-1] if kept else None

    @property
    def labels(self) -> Labels:
        """All that the oracle answered."""
        return Labels(
            lessons=sum(each.labels.lessons for each in self.rounds),
            planted=sum(each.labels.planted for each in self.rounds),
            overseer=sum(each.labels.overseer for each in self.rounds),
        )


UNIT = "right answers per question"


def examine(
    ladder: Ladder, student: Student, level: int, settings: ClimbSettings
) -> tuple[Estimate, ...]:
    """Accuracy of a student at each level up to one."""
    found = []
    for each in range(level + 1):
        found.append(_accuracy(student_wrong(questions_of(ladder, each, settings), student)))
    return tuple(found)


def _accuracy(wrong: Bool[np.ndarray, " questions"]) -> Estimate:
    return wilson(len(wrong) - int(wrong.sum()), len(wrong), unit=UNIT)


def questions_of(ladder: Ladder, level: int, settings: ClimbSettings) -> PlantedQuestions:
    """The questions of one level, the same for every student of a climb."""
    seed = derive_seed(settings.seed, ladder.name, "exam", level)
    return plant(ladder, settings.exam, level, seed=seed)


@dataclass(frozen=True, kw_only=True)
class StudentJob:
    """What all rounds of a climb share."""

    ladder: Ladder
    distill: Distill
    settings: ClimbSettings
    folder: Path
    tell: Tell

    def seed(self, *names: object) -> int:
        """Seed of one part of the climb."""
        return derive_seed(self.settings.seed, self.ladder.name, *names)

    def student_folder(self, level: int) -> Path:
        """Where the student of a round lies."""
        return self.folder / "students" / f"depth-{2**level}"

    def oracle(self, level: int) -> Believe:
        """The oracle, as somebody to ask."""
        return lambda contexts, kind: self.ladder.answer(contexts, kind, 2**level)

    def check(self, wrong: Bool[np.ndarray, " questions"]) -> PlantedAnswers:
        """Bound a rate at the confidence that is each bound's share."""
        return make_check(wrong, confidence=self.settings.confidence)


def make_round(job: StudentJob, level: int, before: list[ClimbRound]) -> ClimbRound:
    """Try the teacher of one level; unless the rule forbids it, teach the level and check it."""
    started = time.perf_counter()
    settings = job.settings
    planted = plant(job.ladder, settings.planted, level, seed=job.seed("planted", level))
    lessons = 0 if level else settings.first_contexts * job.ladder.size * len(job.ladder.kinds)
    found = ClimbRound(
        level=level,
        depth=2**level,
        labels=Labels(lessons=lessons, planted=planted.labels),
        expected=tree_error(job.ladder, level, _combination_error(job)) if level else None,
    )
    student = None
    if level:
        student = open_student(job, level - 1, before[-1].weights)
        job.tell(f"depth {2**level}: checking the teacher", 0, 1)
        found = try_teacher(job, planted, student, before, found)
    if found.stop is None or not settings.enforce:
        found = _teach(job, planted, student, found)
    return replace(found, seconds=time.perf_counter() - started)


def open_student(job: StudentJob, level: int, weights: str | None) -> Student:
    """The student that a round left, if it is still the one that was sealed.

    Raises:
        DataError: It is not.
    """
    folder = job.student_folder(level)
    student = job.distill.open(folder)
    if job.distill.digest(folder) != weights:
        raise DataError(
            f"{folder} does not hold the weights that were sealed with its round. Choose another "
            "--out and climb anew, or put the folder back"
        )
    return student


def try_teacher(
    job: StudentJob,
    planted: PlantedQuestions,
    student: Student,
    before: list[ClimbRound],
    found: ClimbRound,
) -> ClimbRound:
    """Check the overseer alone, once; predict; then check it with the student's help.

    Raises:
        DataError: A round before says nothing of how it was checked.
    """
    settings, level = job.settings, planted.level
    alone, alone_votes, labels = None, None, 0
    if level == 1:
        wrong = _teacher_wrong(job, planted, job.oracle(0), "overseer")[1]
        alone, alone_votes = job.check(wrong[0]), vote_errors(wrong)
        labels = sum(sum(job.ladder.parts(kind).values()) for kind in planted.kinds)
    overseer, below = alone or before[1].overseer, before[-1].student
    if overseer is None or below is None:
        raise DataError(f"the rounds before depth {2**level} do not say how they were checked")
    measured = [alone_votes, *(each.overseer_votes for each in before)]
    measured += [each.teacher_votes for each in before]
    voted, votes = _teacher_wrong(
        job, planted, student_beliefs(student, level - 1), "teacher check", level
    )
    predicted = predict(
        job.ladder,
        student=below,
        overseer=overseer,
        votes=settings.votes,
        correlation=correlation_known(measured),
    )
    check = job.check(voted)
    return replace(
        found,
        labels=replace(found.labels, overseer=labels),
        predicted=predicted,
        overseer=alone,
        overseer_votes=alone_votes,
        teacher=check,
        teacher_votes=vote_errors(votes),
        stop=decide(settings.budget, predicted=predicted, teacher=check, student=None),
    )


def _teacher_wrong(
    job: StudentJob, planted: PlantedQuestions, believe: Believe, *names: object
) -> tuple[Bool[np.ndarray, " questions"], Bool[np.ndarray, "votes questions"]]:
    return teacher_wrong(
        planted,
        job.ladder,
        believe,
        overseer=job.settings.overseer,
        votes=job.settings.votes,
        seed=job.seed(*names),
    )


def _combination_error(job: StudentJob) -> float:
    """Error of one combination of true parts, after voting, as it was put in."""
    overseer, ladder = job.settings.overseer, job.ladder
    rates = [overseer.rate(ladder.size, ladder.choices(kind)) for kind in ladder.kinds]
    correlation = 1.0 if overseer.manner == "habit" else 0.0
    return voted_error(sum(rates) / len(rates), job.settings.votes, correlation)


def _teach(
    job: StudentJob, planted: PlantedQuestions, student: Student | None, found: ClimbRound
) -> ClimbRound:
    """Give lessons, let a student learn them, check and examine it."""
    level, settings = found.level, job.settings
    fresh, old, questions = make_lessons(job, level, student)
    done = job.distill(
        student,
        fresh,
        old,
        seed=job.seed("distill", level),
        tell=lambda step, steps: job.tell(f"depth {2**level}: distilling", step, steps),
    )
    check = job.check(student_wrong(planted, done.student))
    teacher = None
    if student is not None:
        asked = questions_of(job.ladder, level, settings)
        believe = student_beliefs(student, level - 1)
        teacher = _accuracy(_teacher_wrong(job, asked, believe, "exam of the teacher", level)[0])
    return replace(
        found,
        student=check,
        teacher_accuracy=teacher,
        accuracy=examine(job.ladder, done.student, level, settings),
        questions=questions,
        steps=done.steps,
        agreement=done.agreement,
        weights=job.distill.save(done.student, job.student_folder(level)),
        stop=found.stop or decide(settings.budget, predicted=None, teacher=None, student=check),
    )


def make_lessons(
    job: StudentJob, level: int, student: Student | None
) -> tuple[list[LadderLesson], list[LadderLesson], int]:
    """What is new, what is to be kept up, and how many questions the student was asked for it."""
    ladder, settings = job.ladder, job.settings
    if student is None:
        contexts = ladder.draw(settings.first_contexts, seed=job.seed("first contexts"), exam=False)
        first = [
            LadderLesson(
                contexts=contexts, kind=kind, level=0, answers=ladder.answer(contexts, kind, 1)
            )
            for kind in ladder.kinds
        ]
        return first, [], 0
    contexts = ladder.draw(settings.pool, seed=job.seed("pool", level), exam=False)
    fresh, old, questions = [], [], 0
    for place, kind in enumerate(ladder.kinds):
        job.tell(f"depth {2**level}: asking the teacher", place, len(ladder.kinds))
        said = amplify(
            ladder,
            contexts,
            kind,
            level,
            student_beliefs(student, level - 1),
            overseer=settings.overseer,
            votes=settings.votes,
            seed=job.seed("lessons", level),
        )
        fresh.append(LadderLesson(contexts=contexts, kind=kind, level=level, answers=said.answers))
        questions += settings.votes * said.answers.size * sum(ladder.parts(kind).values())
    for below in range(level):
        seed = job.seed("rehearsal", level, below)
        contexts = ladder.draw(settings.rehearsal, seed=seed, exam=False)
        for kind in ladder.kinds:
            answers = student.ask(contexts, kind, below)
            old.append(LadderLesson(contexts=contexts, kind=kind, level=below, answers=answers))
            questions += answers.size
    return fresh, old, questions


def ladder_settings(ladder: Ladder) -> Mapping[str, object]:
    """Name and sizes of a ladder, as JSON holds them."""
    sizes = {name: value for name, value in vars(ladder).items() if not name.startswith("_")}
    return {"name": ladder.name, "kind": type(ladder).__name__, **sizes}
