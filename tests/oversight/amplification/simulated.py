"""Students made up for tests: they answer as the truth does, but for errors of a known rate."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from plumbrule.lab.ladders import PermutationPowering
from plumbrule.oversight.amplification import ClimbSettings, Distilled
from plumbrule.store import file_sha256, write_atomic

LADDER = PermutationPowering(size=24)
"""Large, so that the two halves of a question are seldom the same question."""

QUICK = ClimbSettings(first_contexts=20, pool=300, rehearsal=20, planted=300, exam=400)


@dataclass(frozen=True)
class SimulatedStudent:
    """Wrong about a share of questions that depends on the level; the same ones each time."""

    errors: Mapping[int, float]

    def ask(self, contexts, kind, level):
        truth = LADDER.answer(contexts, kind, 2**level)
        # By content, so that the same question gets the same answer in every batch.
        state = np.full(len(contexts), level + 1, dtype=np.uint64)
        for column in contexts.T.astype(np.uint64):
            state = (state ^ column) * np.uint64(0x9E3779B97F4A7C15)
            state ^= state >> np.uint64(31)
        mixed: np.ndarray = (state[:, None] + np.arange(24, dtype=np.uint64)) * np.uint64(
            0xBF58476D1CE4E5B9
        )
        draws = ((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(11)) / 2.0**53
        return np.where(draws < self.errors[level], (truth + 1) % LADDER.size, truth)


@dataclass
class SimulatedDistill:
    """Makes students whose error is that of their lessons, times a factor, plus a gap."""

    factor: float = 1.0
    gap: float = 0.0
    fail_at: int | None = None
    """Level at which the process is killed, once."""

    calls: list[int] = field(default_factory=list)

    @property
    def settings(self):
        return {"factor": self.factor, "gap": self.gap}

    def __call__(self, student, fresh, old, *, seed, tell):
        level = fresh[0].level
        if level == self.fail_at:
            self.fail_at = None
            raise KeyboardInterrupt
        self.calls.append(level)
        truth = LADDER.answer(fresh[0].contexts, fresh[0].kind, 2**level)
        error = float((fresh[0].answers != truth).mean())
        before = dict(student.errors) if student else {}
        learned = min(1.0, self.factor * error + self.gap)
        return Distilled(
            student=SimulatedStudent({**before, level: learned}), steps=1, agreement=1 - self.gap
        )

    def save(self, student, folder):
        lines = "".join(f"{level} {error!r}\n" for level, error in student.errors.items())
        write_atomic(folder / "errors.txt", lines)
        return self.digest(folder)

    def open(self, folder):
        rows = [line.split() for line in (folder / "errors.txt").read_text().splitlines()]
        return SimulatedStudent({int(level): float(error) for level, error in rows})

    def digest(self, folder):
        return file_sha256(folder / "errors.txt")


def settings(**changes):
    return replace(QUICK, **changes)
