"""Climbing ladders: how deep, at what error, with how many labels, and when the rule stops it.

`python -m benchmarks.amplification --cache DIR` goes on where it was stopped. `--only NAME` makes
one climb of those that `--list` names; the table is made of what there is.
"""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.amplification_figure import draw
from benchmarks.amplification_rows import Found, Supervised, rounds_table, rows
from benchmarks.rows import show
from plumbrule.lab.ladders import Task
from plumbrule.lab.ladders.drawing import Contexts
from plumbrule.lab.ladders.lessons import Lessons, join_lessons
from plumbrule.lab.ladders.student import LadderStudent
from plumbrule.oversight.amplification import Climb, ClimbSettings, Overseer, climb
from plumbrule.oversight.amplification.rounds import examine
from plumbrule.recipes.amplification import (
    Amplification,
    DistillIntoTransformer,
    amplification,
    build_ladder,
    shape_of,
)
from plumbrule.store import Shards, derive_seed

MAIN = "permutation"
TASKS = ("union-find", "assignments", "friends", "arithmetic")
SEEDS = (0, 1, 2)
ERRING = (
    ("habit", 0.05, 3),
    ("habit", 0.01, 3),
    ("habit", 0.05, 1),
    ("random", 0.05, 1),
    ("random", 0.01, 1),
)
"""How an overseer errs, how often, and with how many votes; the rule is written down only."""

CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks" / "amplification"
QUICK = "union-find seed 0"

TIMES = (10,)
"""How many times the labels of the climb supervised learning gets."""


def plans() -> dict[str, Amplification]:
    """Every climb by name, in the order in which they are made."""
    main = amplification(MAIN)
    found = {f"{MAIN} seed 0": main}
    for task in TASKS:
        found[f"{task} seed 0"] = amplification(task)
    for seed in SEEDS[1:]:
        found[f"{MAIN} seed {seed}"] = replace(main, climb=ClimbSettings(seed=seed))
    for manner, error, votes in ERRING:
        overseer = Overseer(error=error, manner=manner)  # type: ignore[arg-type]
        settings = ClimbSettings(rounds=3, votes=votes, overseer=overseer, enforce=False)
        name = f"{MAIN} {manner} {error:g}" + (" (one vote)" if votes == 1 else "")
        found[name] = replace(main, climb=settings)
    return found


def run(plan: Amplification, folder: Path) -> Climb:
    """One climb, or what is left of it."""
    ladder = build_ladder(plan.ladder, plan.sizes)
    return climb(
        ladder, DistillIntoTransformer(shape_of(ladder), plan.student), plan.climb, folder=folder
    )


def supervise(plan: Amplification, done: Climb, times: int, folder: Path) -> Supervised:
    """Teach from so many times the labels of a climb, for as many steps as it took."""
    ladder = build_ladder(plan.ladder, plan.sizes)
    levels = len(done.rounds)
    a_context = ladder.size * len(ladder.kinds) * levels
    contexts = times * done.labels.total // a_context
    steps = sum(each.steps for each in done.rounds)

    def work(items: object, seed: int) -> list[Supervised]:
        settings = replace(plan.student, most_steps=steps, patience=steps)
        student = LadderStudent(shape_of(ladder), settings)
        drawn = ladder.draw(contexts, seed=derive_seed(0, "supervised"), exam=False)
        lessons = [
            _labelled(student, ladder, drawn, kind, level)
            for kind in ladder.kinds
            for level in range(levels)
        ]
        learned, took = student.taught(join_lessons(lessons), None, seed=1)
        return [
            Supervised(
                labels=contexts * a_context,
                contexts=contexts,
                steps=int(took["steps"]),
                accuracy=examine(ladder, learned, levels - 1, plan.climb),
            )
        ]

    inputs = {"plan": plan.ladder, "contexts": contexts, "steps": steps, "version": 1}
    (found,) = Shards(folder=folder, inputs=inputs).map(
        [times], work, kind=Supervised, size=1, seed=0
    )
    return found


def _labelled(
    student: LadderStudent, ladder: Task, contexts: Contexts, kind: str, level: int
) -> Lessons:
    return Lessons(
        contexts=contexts,
        segments=np.full((len(contexts), 1), student.segment(kind, level)),
        answers=ladder.answer(contexts, kind, 2**level),
    )


def collect(cache: Path, names: list[str], *, supervised: bool) -> Found:
    """Make what is asked for, or read it where it was made."""
    climbs = {}
    every = plans()
    for name in names:
        climbs[name] = run(every[name], cache / name.replace(" ", "_"))
        rounds_table(name, climbs[name], Console(width=170))
    learned: dict[int, Supervised] = {}
    main = f"{MAIN} seed 0"
    if supervised and main in climbs:
        for times in TIMES:
            learned[times] = supervise(every[main], climbs[main], times, cache / "supervised")
    return Found(main=MAIN, tasks=TASKS, seeds=SEEDS, climbs=climbs, supervised=learned)


def main() -> None:
    """Climb, print the tables, and write them where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help="climbs that were made before")
    parser.add_argument("--only", nargs="*", help="names of climbs; default: all")
    parser.add_argument("--quick", action="store_true", help="one climb of the quickest task")
    parser.add_argument("--no-supervised", action="store_true")
    parser.add_argument("--list", action="store_true", help="name the climbs, and leave")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--figure", type=Path, help="also draw the figure here")
    given = parser.parse_args()
    if given.list:
        print("\n".join(plans()))
        return
    names = given.only or ([QUICK] if given.quick else list(plans()))
    found = collect(given.cache, names, supervised=not given.no_supervised)
    show("Iterated distillation and amplification", rows(found), given.json)
    if given.figure is not None:
        draw(found, given.figure)


if __name__ == "__main__":
    main()
