"""Which heads recur in another model: `python -m benchmarks.mechanism_recurrence`.

Lab: two layers of attention that learn to copy, from several seeds and in two widths, so that every
model has heads that look at the token before and induction heads, each known by `find_heads`, which
shares no test with `match_heads`. A head recurs rightly if its partner has a role that it has. The
empty cases: a trained model against one with random weights, both ways round.

Real: SmolLM2, Gemma 3 and Qwen2.5-Coder, of other families, sizes and vocabularies.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import real_ground
from benchmarks.rows import Row, estimated, show, single, with_earlier
from plumbrule.lab.induction import InductionRecipe, build_module, open_checkpoint, train_into
from plumbrule.mechanism import HeadMatch, find_heads, find_sites, match_heads
from plumbrule.mechanism.opening import open_with_sites
from plumbrule.statistics import clopper_pearson

CACHE = Path("runs/recurrence")
SEEDS = (0, 1, 2)
WIDTHS = (64, 96)
REAL = ("smollm2", "gemma3", "qwen2")
SEQUENCES = 64

Opened = tuple[Any, Any]


def opened(recipe: InductionRecipe) -> Opened:
    """A model that learned to copy, trained once, with its sites."""
    folder = CACHE / f"{recipe.width}-{recipe.seed}"
    checkpoints = train_into(folder, recipe)
    module = open_checkpoint(checkpoints[-1][1])
    return module, find_sites(module)


def roles_of(one: Opened, seed: int = 0) -> dict[tuple[int, int], set[str]]:
    """The roles that each head is confirmed to have."""
    found: dict[tuple[int, int], set[str]] = {}
    for each in find_heads(*one, seed=seed, sequences=SEQUENCES):
        if each.confirmed:
            found.setdefault((each.layer, each.head), set()).add(each.role)
    return found


def judged(
    found: Sequence[HeadMatch],
    here: dict[tuple[int, int], set[str]],
    there: dict[tuple[int, int], set[str]],
) -> tuple[list[bool], list[bool]]:
    """For heads with a role whether they recur, and for those whether as a head with that role."""
    recurs, right = [], []
    common = set().union(*there.values()) if there else set()
    for each in found:
        # A role that the other model has nowhere cannot recur in it.
        roles = here.get((each.layer, each.head), set()) & common
        if roles:
            recurs.append(each.confirmed)
            if each.confirmed:
                right.append(bool(roles & there.get((each.match_layer, each.match_head), set())))
    return recurs, right


def shares(name: str, recurs: Sequence[bool], right: Sequence[bool], seeds: Any) -> list[Row]:
    """The two shares as rows."""
    rows = []
    for measure, outcomes in (
        (f"{name}: heads with a role of both models that recur", recurs),
        (f"{name}: of those, recurring as a head of that role", right),
    ):
        if outcomes:
            estimate = clopper_pearson(sum(outcomes), len(outcomes), unit="of heads")
            rows.append(estimated(measure, estimate, seeds=seeds))
    return rows


def lab_rows(seeds: Sequence[int], widths: Sequence[int]) -> list[Row]:
    """Seeds and sizes against each other, and trained against random weights."""
    models = {
        (width, seed): opened(InductionRecipe(seed=seed, width=width))
        for width in widths
        for seed in seeds
    }
    roles = {key: roles_of(each) for key, each in models.items()}
    rows = []
    for name, same in (("lab, other seed", True), ("lab, other size", False)):
        recurs: list[bool] = []
        right: list[bool] = []
        for one, other in itertools.permutations(models, 2):
            if (one[0] == other[0]) is same and (same or one[1] == other[1]):
                found = match_heads(models[one], models[other], seed=0, sequences=SEQUENCES)
                both = judged(found, roles[one], roles[other])
                recurs, right = recurs + both[0], right + both[1]
        rows += shares(name, recurs, right, seeds)
    claims = []
    for (width, seed), trained in models.items():
        module = build_module(InductionRecipe(seed=1000 + seed, width=width)).eval()
        random = (module, find_sites(module))
        for first, second in ((trained, random), (random, trained)):
            found = match_heads(first, second, seed=0, sequences=SEQUENCES)
            claims += [each.confirmed for each in found]
    rows.append(
        single(
            "lab, random weights: heads claimed to recur",
            sum(claims),
            unit="heads",
            n=len(claims),
            seeds=seeds,
            target="0",
            met=not any(claims),
        )
    )
    return rows


def real_rows(names: Sequence[str]) -> list[Row]:
    """Families against each other."""
    rows = []
    absent = {name: reason for name in names if (reason := real_ground.why_absent(name))}
    for reason in absent.values():
        print(f"left out: {reason}")
    present = [name for name in names if name not in absent]
    models, roles = {}, {}
    for name in present:
        model, sites = open_with_sites(str(real_ground.model_path(name)), dtype="float32")
        models[name] = (model.module, sites)
        roles[name] = roles_of(models[name])
    for one, other in itertools.permutations(present, 2):
        found = match_heads(models[one], models[other], seed=0, sequences=SEQUENCES)
        sure = sum(each.confirmed for each in found)
        estimate = clopper_pearson(sure, len(found), unit="of heads")
        print(f"{one} in {other}: {sure} of {len(found)}", flush=True)
        rows.append(estimated(f"{one} in {other}: heads that recur", estimate))
        rows += shares(f"{one} in {other}", *judged(found, roles[one], roles[other]), (0,))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two seeds, one width, nothing real")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", action="append", choices=("lab", "real"))
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    if "lab" in (given.part or ("lab",)):
        rows += lab_rows(SEEDS[:2] if given.quick else SEEDS, WIDTHS[:1] if given.quick else WIDTHS)
    if "real" in (given.part or ("real",)) and not given.quick:
        rows += real_rows(REAL)
    show("What recurs", with_earlier(rows, given.json) if given.part else rows, given.json)


if __name__ == "__main__":
    main()
