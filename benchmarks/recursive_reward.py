"""Recursive and direct evaluation compared: `python -m benchmarks.recursive_reward`.

Parts: `labels` (accuracy at equal labels and equal reading, and the tax), `interactions` (works
whose parts are all right), `use` (selection and training). Everything measured is kept under
`.cache/benchmarks/recursive_reward`, so that it goes on after an interruption; `--fresh` starts
over. One process, one thread.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.composites.labels import NANO
from benchmarks.composites.reward_use import Using
from benchmarks.composites.works import INTERACTIONS
from benchmarks.recursive_units import KEPT, LABELS, compared, interacting, used
from benchmarks.rows import Row, estimated, show, single
from plumbrule.statistics import paired_proportions, wilson

WORK = "of held-out works"
QUICK = (192,)
"""Labels in the quick version."""

PATIENT = replace(NANO, steps={**NANO.steps, "direct": 2 * NANO.steps["direct"]})
"""Direct evaluation taught for twice as long: the best on seed 100 of all that was tried."""


def right(unit: Any, passed: str = "passed", sound: str = "sound") -> np.ndarray:
    """Where a verdict agrees with the truth."""
    agree = [said == true for said, true in zip(unit[passed], unit[sound], strict=True)]
    return np.array(agree, dtype=bool)


def pooled(units: Sequence[Any], passed: str = "passed", sound: str = "sound") -> np.ndarray:
    """The same over all seeds, in order."""
    return np.concatenate([right(unit, passed, sound) for unit in units])


def accuracy(measure: str, answers: np.ndarray, seeds: Sequence[int]) -> Row:
    """Share of right verdicts."""
    return estimated(measure, wilson(int(answers.sum()), len(answers), unit=WORK), seeds=seeds)


def above(
    measure: str, direct: np.ndarray, other: np.ndarray, seeds: Sequence[int], unit: str = WORK
) -> Row:
    """How much more often the second is right, with the target that this is no accident."""
    found = paired_proportions(direct, other, unit=unit)
    return estimated(measure, found, seeds=seeds, target="interval above 0", met=found.low > 0)


def auroc(unit: Any) -> float:
    """How often a sound work is scored above a flawed one, ties counted half."""
    values, sound = np.array(unit["values"]), np.array(unit["sound"])
    good, bad = values[sound][:, None], values[~sound][None, :]
    return float((good > bad).mean() + 0.5 * (good == bad).mean())


def label_rows(counts: Sequence[int], seeds: Sequence[int]) -> list[Row]:
    """Both sides over numbers of labels."""
    units = {
        (side, count): [compared(side, count, seed, NANO) for seed in seeds]
        for count in reversed(counts)
        for side in ("recursive", "direct")
    }
    rows = []
    for count in counts:
        direct, tree = units["direct", count], units["recursive", count]
        rows += [
            above(f"recursive less direct accuracy, {count} labels each", pooled(direct),
                  pooled(tree), seeds),
            accuracy(f"accuracy, direct, {count} labels", pooled(direct), seeds),
            accuracy(f"accuracy, recursive, {count} labels", pooled(tree), seeds),
        ]  # fmt: skip
        for side, found in (("direct", direct), ("recursive", tree)):
            rows.append(spread(f"AUROC, {side}, {count} labels", [auroc(u) for u in found],
                               "of pairs", seeds))  # fmt: skip
    for fewer, count in pairwise(counts):
        rows.append(
            above(f"the same at about equal reading, {count} labels of parts against {fewer} of "
                  "wholes",
                  pooled(units["direct", fewer]), pooled(units["recursive", count]), seeds)
        )  # fmt: skip
    rows += tax_rows(units, counts, seeds)
    for count in counts[-1:]:
        longer = [compared("direct", count, seed, PATIENT) for seed in seeds]
        rows += [
            above(f"the same at equal labels, {count}, direct taught for twice as long",
                  pooled(longer), pooled(units["recursive", count]), seeds),
            accuracy(f"accuracy, direct, {count} labels, twice as long", pooled(longer), seeds),
        ]  # fmt: skip
        natural = [compared("recursive", count, seed, NANO, balanced=False) for seed in seeds]
        rows += [
            above(f"the same at equal labels, {count} labels of parts as they come, one in eight "
                  "wrong", pooled(units["direct", count]), pooled(natural), seeds),
            accuracy(f"accuracy, recursive, {count} labels of parts as they come",
                     pooled(natural), seeds),
        ]  # fmt: skip
    return rows


def tax_rows(units: Any, counts: Sequence[int], seeds: Sequence[int]) -> list[Row]:
    """What each side cost, in teaching and in judging."""
    rows = []
    for side in ("direct", "recursive"):
        last = units[side, counts[-1]]
        for name, what, unit in (
            ("tokens", "tokens a verdict reads", "tokens"),
            ("calls", "calls a verdict takes", "calls"),
            ("seconds", "seconds a verdict takes", "s"),
        ):
            values = [each[name] / len(each["sound"]) for each in last]
            rows.append(spread(f"{what}, {side}", values, unit, seeds))
        for count in counts:
            minutes = [each["minutes"] for each in units[side, count]]
            rows.append(spread(f"reading time of {count} labels, {side}", minutes, "min", seeds))
        for name, what, unit in (
            ("trained_tokens", "tokens of training", "tokens"),
            ("trained_seconds", "seconds of training", "s"),
        ):
            values = [each[name] for each in last]
            rows.append(spread(f"{what}, {counts[-1]} labels, {side}", values, unit, seeds))
        works = sum(len(each["sound"]) for each in last)
        for name, what in (
            ("undecided", "works left undecided"),
            ("not_checked", "checks that did not take place"),
        ):
            amount = sum(each[name] for each in last)
            rows.append(single(f"{what}, {side}", amount, unit="", n=works, seeds=seeds))
    return rows


def spread(measure: str, values: Sequence[float], unit: str, seeds: Sequence[int]) -> Row:
    """Mean over seeds, with the least and the most."""
    return Row(
        measure=measure, target="", value=float(np.mean(values)), low=min(values),
        high=max(values), unit=f"{unit}; over seeds", n=len(values), met=None, seeds=list(seeds),
    )  # fmt: skip


def interaction_rows(kinds: Sequence[Any], labels: int, seeds: Sequence[int]) -> list[Row]:
    """Where every part is right and the whole is not."""
    rows = []
    for kind in kinds:
        units = [interacting(kind, labels, seed, NANO) for seed in seeds]
        for side, what in (("parts", "the tree of parts"), ("whole", "a reader of the whole alone"),
                           ("both", "the tree with that reader")):  # fmt: skip
            flawed = np.concatenate([~np.array(u[side])[~np.array(u["sound"])] for u in units])
            found = wilson(int(flawed.sum()), len(flawed), unit="of flawed works")
            rows.append(estimated(f"{kind} found by {what}", found, seeds=seeds))
            rows.append(accuracy(f"accuracy on {kind} and its harmless twin, {what}",
                                 pooled(units, side), seeds))  # fmt: skip
        rows += [
            above(f"accuracy that the reader of the whole adds to the tree, {kind}",
                  pooled(units, "parts"), pooled(units, "both"), seeds),
            estimated(f"what it adds on works without interactions, {kind}",
                      paired_proportions(pooled(units, "usual_parts", "usual_sound"),
                                         pooled(units, "usual_both", "usual_sound"), unit=WORK),
                      seeds=seeds),
        ]  # fmt: skip
    return rows


def use_rows(labels: int, seeds: Sequence[int]) -> list[Row]:
    """What became better in truth when a policy was chosen from or trained by each reward."""
    units = [used(labels, seed, NANO, Using()) for seed in seeds]

    def true(key: str) -> np.ndarray:
        return np.concatenate([np.array(u[key]["true"]) > 0.5 for u in units])

    def share(measure: str, answers: np.ndarray) -> Row:
        found = wilson(int(answers.sum()), len(answers), unit="of replies sound")
        return estimated(measure, found, seeds=seeds)

    rows = []
    for how, start, before, title in (
        ("best", "first", "the first of four replies", "the best of four by the {} reward"),
        ("trained", "trained before", "before training", "after training on the {} reward"),
    ):
        names = {side: title.format(side) for side in ("direct", "recursive")}
        rows.append(share(f"sound replies, {before}", true(start)))
        for side, name in names.items():
            rows.append(share(f"sound replies, {name}", true(f"{how} {side}")))
            rows.append(gain(f"gain, {name}", true(start), true(f"{how} {side}"), seeds))
        rows.append(
            above(f"sound replies, {names['recursive']}, less the direct one",
                  true(f"{how} direct"), true(f"{how} recursive"), seeds, unit="of replies")
        )  # fmt: skip
    possible = np.concatenate([np.array(u["possible"]) > 0.5 for u in units])
    rows.append(share("requests with a sound reply among four", possible))
    for side in ("direct", "recursive"):
        moves = [
            float(np.mean(u[f"trained {side}"][f"reward {side}"])
                  - np.mean(u["trained before"][f"reward {side}"])) for u in units
        ]  # fmt: skip
        name = f"rise of the {side} reward by training on it"
        rows.append(spread(name, moves, "nats", seeds))
    for side in ("before", "direct", "recursive"):
        shares = [float(np.mean(u[f"trained {side}"]["share"])) for u in units]
        name = "before training" if side == "before" else f"trained on the {side} reward"
        rows.append(spread(f"right answers, {name}", shares, "of answers", seeds))
    return rows


def gain(measure: str, before: np.ndarray, after: np.ndarray, seeds: Sequence[int]) -> Row:
    """How much more often it is so after."""
    return estimated(measure, paired_proportions(before, after, unit="of replies"), seeds=seeds)


def main() -> None:
    """Run the parts asked for and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few labels, no use")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", action="append", choices=("labels", "interactions", "use"))
    parser.add_argument("--interaction", nargs="+", choices=INTERACTIONS, default=["break_in"])
    given = parser.parse_args()
    os.environ |= {"TQDM_DISABLE": "1"}
    if given.fresh:
        shutil.rmtree(KEPT, ignore_errors=True)
    parts = given.part or (["labels"] if given.quick else ["labels", "interactions", "use"])
    seeds = range(1 if given.quick else given.seeds)
    rows: list[Row] = []
    if "labels" in parts:
        rows += label_rows(QUICK if given.quick else LABELS, seeds)
    if "interactions" in parts:
        rows += interaction_rows(given.interaction, LABELS[-1], seeds)
    if "use" in parts:
        rows += use_rows(LABELS[-1], seeds)
    show("Recursive reward modeling", rows, given.json)


if __name__ == "__main__":
    main()
