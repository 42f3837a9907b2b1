"""What a climb is made with, and what each round of it left behind."""

from dataclasses import dataclass, field

from plumbrule.errors import ConfigError
from plumbrule.oversight.amplification.ladder import VoteErrors
from plumbrule.oversight.amplification.overseer import Overseer
from plumbrule.oversight.amplification.stopping import ErrorBudget, PlantedAnswers, Stop
from plumbrule.records import Estimate, check_ranges, strict


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
