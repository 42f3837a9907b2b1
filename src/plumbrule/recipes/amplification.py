"""Climbs of the lab's ladders: which task, which student, which settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.files import parse_yaml, read_small_text
from plumbrule.folders import held_folder
from plumbrule.lab.ladders import LADDERS, Task
from plumbrule.lab.ladders.lessons import Lessons, join_lessons
from plumbrule.lab.ladders.student import (
    CODE_VERSION,
    LadderStudent,
    Shape,
    StudentSettings,
)
from plumbrule.ledger import Ledger, record_files
from plumbrule.loop.climbs import content
from plumbrule.oversight.amplification import (
    Climb,
    ClimbRound,
    ClimbSettings,
    Distilled,
    LadderLesson,
    Student,
    climb,
)
from plumbrule.records import from_json, refuse_truths, strict, to_json
from plumbrule.report import write_page
from plumbrule.store import Progress, Tell, file_sha256, silent
from plumbrule.version import __version__

CLIMB_VERSION = 1
"""Raised whenever the same climb would give other records."""


@strict
@dataclass(frozen=True, kw_only=True)
class Amplification:
    """A complete climb."""

    ladder: str
    """Name of the task."""

    sizes: Mapping[str, int | float] = field(default_factory=dict)
    """Sizes of the task that differ from its usual ones, such as `size` or `modulus`."""

    student: StudentSettings = field(default_factory=StudentSettings)
    climb: ClimbSettings = field(default_factory=ClimbSettings)

    def __post_init__(self) -> None:
        """Refuse a task, a size or a depth that there is not."""
        build_ladder(self.ladder, self.sizes)
        if self.climb.rounds >= self.student.levels:
            raise ConfigError(
                f"a student of {self.student.levels} levels can be taught "
                f"{self.student.levels - 1} rounds, got rounds: {self.climb.rounds}; raise levels "
                "or lower rounds"
            )


def build_ladder(name: str, sizes: Mapping[str, int | float]) -> Task:
    """A task at the sizes given.

    Raises:
        ConfigError: There is no such task, or no such size.
    """
    if name not in LADDERS:
        raise ConfigError(f"expected a task among {', '.join(LADDERS)}, got {name!r}")
    try:
        ladder: Task = replace(LADDERS[name], **sizes)  # type: ignore[arg-type]
    except TypeError as error:
        known = ", ".join(vars(LADDERS[name]))
        raise ConfigError(f"{name} has the sizes {known}; got {', '.join(sizes)}") from error
    return ladder


def shape_of(ladder: Task) -> Shape:
    """What a ladder's questions look like to a student."""
    return Shape(
        vocabulary=ladder.vocabulary,
        tokens=ladder.size,
        places=tuple(range(ladder.size)),
        answers=max(ladder.choices(kind) for kind in ladder.kinds),
        kinds=ladder.kinds,
    )


@dataclass(frozen=True)
class DistillIntoTransformer:
    """Teaches a small transformer; the weights go on from those of the round before."""

    shape: Shape
    student: StudentSettings

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides how a student learns, as JSON holds it."""
        shape = {**asdict(self.shape), "places": list(self.shape.places)}
        return {
            "version": CODE_VERSION,
            "shape": {**shape, "kinds": list(self.shape.kinds)},
            "student": asdict(self.student),
        }

    def __call__(
        self,
        student: Student | None,
        fresh: Sequence[LadderLesson],
        old: Sequence[LadderLesson],
        *,
        seed: int,
        tell: Progress,
    ) -> Distilled:
        """Make a student that has learned more; the one given stays as it is."""
        begin = LadderStudent(self.shape, self.student, seed=seed) if student is None else student
        if not isinstance(begin, LadderStudent):
            raise ModelError(f"expected a student made here, got {type(student).__name__}")
        learned, took = begin.taught(
            _rows(begin, fresh), _rows(begin, old) if old else None, seed=seed, tell=tell
        )
        return Distilled(student=learned, steps=int(took["steps"]), agreement=took["agreement"])

    def save(self, student: Student, folder: Path) -> str:
        """Write a student, return the hash of its weights."""
        if not isinstance(student, LadderStudent):
            raise ModelError(f"expected a student made here, got {type(student).__name__}")
        return student.save(folder)

    def open(self, folder: Path) -> Student:
        """Open what `save` wrote."""
        return LadderStudent.open(folder)

    def digest(self, folder: Path) -> str:
        """Hash of the weights in a folder."""
        return file_sha256(folder / "model.safetensors")


def _rows(student: LadderStudent, lessons: Sequence[LadderLesson]) -> Lessons:
    return join_lessons(
        [
            Lessons(
                contexts=each.contexts,
                segments=np.full((len(each.contexts), 1), student.segment(each.kind, each.level)),
                answers=each.answers,
            )
            for each in lessons
        ]
    )


ROUNDS = {
    "permutation": 4,
    "union-find": 3,
    "assignments": 3,
    "arithmetic": 3,
    "friends": 3,
}
"""Rounds of each climb that is shipped: as many as the benchmark makes."""


def amplification(name: str) -> Amplification:
    """A climb that is shipped, by the name of its task.

    Raises:
        ConfigError: There is none of that name.
    """
    return Amplification(ladder=name, climb=ClimbSettings(rounds=ROUNDS.get(name, 4)))


def read_amplification(path: Path) -> Amplification:
    """Read a climb from YAML: `ladder`, and what differs in `sizes`, `student` and `climb`.

    Raises:
        ConfigError: The file is not there or not such a climb.
    """
    held = parse_yaml(read_small_text(path, "a recipe file"), str(path))
    if not isinstance(held, dict) or "ladder" not in held:
        raise ConfigError(
            f"{path} should be a mapping with `ladder` (one of {', '.join(LADDERS)}), and `sizes`, "
            "`student` and `climb` where they differ"
        )
    try:
        found = from_json(Amplification, held, origin=str(path))
        refuse_truths(held, to_json(found))
        return found
    except DataError as error:
        raise ConfigError(str(error)) from error


def choose_amplification(recipe: str, seed: int | None = None) -> Amplification:
    """The climb that was asked for.

    Args:
        recipe: Name of a shipped climb, or a YAML file.
        seed: Decides every random choice; None: as the climb has it.

    Raises:
        ConfigError: There is no such climb and no such file, or the file holds none.
    """
    if recipe in LADDERS:
        chosen = amplification(recipe)
    elif Path(recipe).is_file():
        chosen = read_amplification(Path(recipe))
    else:
        raise ConfigError(
            f"expected one of {', '.join(LADDERS)}, or a YAML file; got {recipe!r}, which is "
            "neither"
        )
    return chosen if seed is None else replace(chosen, climb=replace(chosen.climb, seed=seed))


def amplify_into(
    folder: Path,
    chosen: Amplification,
    *,
    command: str,
    tell: Tell = silent,
) -> Climb:
    """Climb in a folder of its own, with every round in the ledger, and write the report.

    Args:
        folder: Of the climb; one that was interrupted there goes on.
        chosen: Which climb.
        command: What makes it again, for the report.
        tell: Told of progress.

    Raises:
        PlumbruleError: The folder holds other work, or the disk refuses; finished work is kept.
    """
    ladder = build_ladder(chosen.ladder, chosen.sizes)
    ours = {"amplify": to_json(chosen), "version": CLIMB_VERSION}
    text = yaml.safe_dump(to_json(chosen), sort_keys=False)
    with (
        held_folder(folder, marker="amplify.json", ours=ours, configuration=text),
        Ledger.open(folder / "ledger.db") as ledger,
    ):

        def sealed(found: ClimbRound) -> None:
            ledger.record(f"round-{found.level}", "amplification round", to_json(found))

        done = climb(
            ladder,
            DistillIntoTransformer(shape_of(ladder), chosen.student),
            chosen.climb,
            folder=folder,
            tell=tell,
            sealed=sealed,
        )
        write_page("run", content(done, command=command, version=__version__), folder / "report")
        record_files(ledger, folder)
    return done
