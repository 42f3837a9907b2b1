"""How specimens of the ladder learn to judge and to argue; trained once and kept."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks.debate_village import Kind, argument_lessons, judge_lessons
from plumbrule.models import LanguageModel, model_folder, open_model
from plumbrule.records import Exchange, to_json
from plumbrule.store import fingerprint

CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks" / "debate"
KINDS: tuple[Kind, ...] = ("parcels", "parcel", "statement")
PARCELS: tuple[Kind, ...] = ("parcels", "parcel")

Role = Literal["judge", "argue"]


@dataclass(frozen=True, kw_only=True)
class Schooling:
    """How a specimen is taught to judge, or to argue."""

    size: str
    role: Role
    kinds: tuple[Kind, ...]
    seed: int
    lessons: int
    learning_rate: float

    @property
    def quick(self) -> bool:
        """Whether it is the shortened schooling."""
        return self.lessons < min(ARGUMENT_LESSONS.values())

    @property
    def examples(self) -> list[Exchange]:
        """What it learns from."""
        make = judge_lessons if self.role == "judge" else argument_lessons
        return make(self.kinds, self.lessons, seed=self.seed)


LESSONS = {"pico": 16_000, "nano": 16_000, "small": 16_000}
ARGUMENT_LESSONS = {"nano": 4_000, "small": 16_000}
"""Fewer for the nano, whose judge does not see the flaw in parcels."""

QUICK = 16

RATES = {"pico": 5e-3, "nano": 4e-3, "small": 3e-3}


def schooling(size: str, role: Role, kind: Kind, *, seed: int, quick: bool) -> Schooling:
    """The plan for one specimen: who argues learns all kinds of work, who judges those alike."""
    judged: tuple[Kind, ...] = PARCELS if kind in PARCELS else (kind,)
    plans = ARGUMENT_LESSONS if role == "argue" else LESSONS
    return Schooling(
        size=size,
        role=role,
        kinds=judged if role == "judge" else KINDS,
        seed=seed,
        lessons=plans[size] // (QUICK if quick else 1),
        learning_rate=RATES[size],
    )


def school(plan: Schooling) -> Path:
    """The folder of a specimen after its schooling; trained unless it stands there.

    Who learns to argue has learned to judge before: to quote a flaw one must see it.
    """
    from plumbrule.training import SupervisedTraining, train_supervised

    start = model_folder(f"lab:{plan.size}")
    if plan.role == "argue":
        start = school(schooling(plan.size, "judge", "parcels", seed=plan.seed, quick=plan.quick))
    examples = plan.examples
    settings = SupervisedTraining(
        learning_rate=plan.learning_rate,
        batch_size=16,  # many small steps: a judge's answer is one token
        max_tokens=512,
        schedule="cosine",
        warmup_share=0.05,
    )
    key = fingerprint([asdict(plan), to_json(examples[:50])])[:10]
    return train_supervised(
        start,
        examples,
        settings=settings,
        out=CACHE / "models" / f"{plan.size}-{plan.role}-{plan.kinds[0]}-{plan.seed}-{key}",
        seed=plan.seed,
    ).path


def schooled(plan: Schooling) -> LanguageModel:
    """A specimen after its schooling."""
    return open_model(str(school(plan)), dtype="float32", device="cpu")
