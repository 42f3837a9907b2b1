"""The loop: amplify, distill, check, and climb on or stop; every round sealed as a shard."""

from collections.abc import Callable
from pathlib import Path

from plumbrule.oversight.amplification.ladder import Distill, Ladder, Tell
from plumbrule.oversight.amplification.rounds import (
    Climb,
    ClimbRound,
    ClimbSettings,
    StudentJob,
    ladder_settings,
    make_round,
)
from plumbrule.records import to_json
from plumbrule.store import Shards, fingerprint

CODE_VERSION = 1
"""Raised whenever the same settings would give other rounds."""


def _silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def climb(
    ladder: Ladder,
    distill: Distill,
    settings: ClimbSettings | None = None,
    *,
    folder: Path,
    tell: Tell = _silent,
    sealed: Callable[[ClimbRound], None] = lambda found: None,
) -> Climb:
    """Teach a student ever greater depths, each from its own answers at half the depth.

    Only depth 1 and the planted checks take labels from the oracle. The same call on the same
    folder goes on after the last sealed round.

    Args:
        ladder: What is asked.
        distill: Makes students.
        settings: Of the climb.
        folder: Gets `rounds/` with a shard a round, and `students/` with the weights.
        tell: Told (what is being done, how far, of how much).
        sealed: Told each round when it is safe on disk, also those found there.

    Returns:
        The rounds, up to the first that the rule refused if `enforce` is set.

    Raises:
        DataError: A sealed round, or the student that it left, is not what was written.
        StorageError: The disk did not take a round. Those before are kept.

    Source:
        Christiano, Shlegeris & Amodei (2018), "Supervising strong learners by amplifying weak
        experts", arXiv 1810.08575: iterated amplification. There one model learns at all depths at
        once, from an ever better copy of itself; here a round is one depth, so that each can be
        checked and refused.
    """
    job = StudentJob(
        ladder=ladder,
        distill=distill,
        settings=settings or ClimbSettings(),
        folder=folder,
        tell=tell,
    )
    rounds: list[ClimbRound] = []
    for level in range(job.settings.rounds + 1):
        found = _sealed_round(job, level, rounds)
        rounds.append(found)
        sealed(found)
        if found.stop is not None and job.settings.enforce:
            break
    return Climb(ladder=ladder.name, settings=job.settings, rounds=tuple(rounds))


def _sealed_round(job: StudentJob, level: int, before: list[ClimbRound]) -> ClimbRound:
    """A round as it lies on disk; where it does not yet, made and sealed."""
    inputs = {
        "version": CODE_VERSION,
        "ladder": ladder_settings(job.ladder),
        "distill": dict(job.distill.settings),
        "settings": to_json(job.settings),
        "before": [fingerprint({**to_json(each), "seconds": 0.0}) for each in before],
    }
    (found,) = Shards(folder=job.folder / "rounds", inputs=inputs).map(
        [level],
        lambda levels, seed: [make_round(job, levels[0], before)],
        kind=ClimbRound,
        size=1,
        seed=job.settings.seed,
    )
    return found
