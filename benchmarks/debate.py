"""Weak judges over strong models in the village: critique, debate and consultancy.

Specimens of the size ladder learn to judge and to argue (`debate_village.py`); then a smaller one
judges what a larger one argues about, on held-out work of known truth. `--quick` takes fewer
lessons and items. Trained models and finished cells are kept, so that a killed run goes on.
"""

import json
import os
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.debate_rows import Cell, rows_of, schooling_rows
from benchmarks.debate_schools import CACHE, KINDS, LESSONS, schooled, schooling
from benchmarks.debate_village import (
    CHECKED,
    SENTENCES,
    UNCHECKED,
    VILLAGE,
    Kind,
    Work,
    draw_work,
    invented,
    quoting,
)
from benchmarks.rows import Row, show
from plumbrule.models import LanguageModel, Sampling, open_model
from plumbrule.oversight import ModelJudge, Wording
from plumbrule.oversight.wording import (
    Side,
    argument_dialogue,
    flaw_odds,
    judge_dialogues,
    judge_options,
)
from plumbrule.records import to_json
from plumbrule.store import derive_seed, fingerprint, write_atomic

RUNGS = (("pico", "nano"), ("pico", "small"), ("nano", "small"))
"""Judge, and the model that argues."""

SEEDS = (1, 2)
"""Of schooling and works. The tasks, lessons and protocols were chosen while looking at seed 0."""

ARGUMENT_TOKENS = 24
PROTOCOLS_VERSION = 2
"""Changes whenever a finished cell would come out otherwise."""

Arguments = Mapping[Side, str]


def draw_works(kind: Kind, count: int, *, seed: int) -> list[Work]:
    """Held-out works, no two alike; fewer than asked for where the village has no more."""
    rng = np.random.default_rng(derive_seed(seed, "works", kind))
    found: dict[str, Work] = {}
    for _ in range(20 * count):
        work = draw_work(kind, rng, held_out=True)
        found.setdefault(work.text, work)
        if len(found) == count:
            break
    return list(found.values())


def argue(
    model: LanguageModel, works: Sequence[Work], side: Side, critiques: Sequence[str] | None = None
) -> list[str]:
    """One argument a work, as `ModelJudge` asks for it."""
    asked = [
        argument_dialogue(CHECKED, work.case, side, critique=critiques[at] if critiques else None)
        for at, work in enumerate(works)
    ]
    sampling = Sampling(temperature=0.0, max_new_tokens=ARGUMENT_TOKENS)
    return [
        each.text for each in model.sample(asked, sampling=sampling, seeds=list(range(len(works))))
    ]


def judge(
    model: LanguageModel,
    works: Sequence[Work],
    arguments: Sequence[Arguments],
    *,
    wording: Wording = CHECKED,
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of a flaw, mean of both orders, and how much of the answer fell on A or B."""
    asked = [
        dialogue
        for work, each in zip(works, arguments, strict=True)
        for dialogue in judge_dialogues(wording, work.case, each)
    ]
    found = model.choose(asked, judge_options(wording), seeds=[0] * len(asked))
    odds = [each.probabilities or (0.5, 0.5) for each in found]
    pairs = zip(odds[::2], odds[1::2], strict=True)
    flaw = np.array([flaw_odds(wording, *pair) for pair in pairs]).mean(axis=1)
    covered = np.array([each.covered for each in found]).reshape(-1, 2).mean(axis=1)
    return flaw, covered


def examine(kind: Kind, rung: tuple[str, str], count: int, *, seed: int, quick: bool) -> Cell:
    """Judge every work under every protocol."""
    weak, strong = (
        schooled(schooling(size, "judge", kind, seed=seed, quick=quick)) for size in rung
    )
    arguer = schooled(schooling(rung[1], "argue", kind, seed=seed, quick=quick))
    works = draw_works(kind, count, seed=seed)
    truth = np.array([not work.sound for work in works])
    rng = np.random.default_rng(derive_seed(seed, "arguments", kind))
    critiques = argue(arguer, works, "flawed")
    answers = argue(arguer, works, "sound", critiques)
    alone = argue(arguer, works, "sound")
    assigned = rng.random(len(works)) < 0.5
    debates: list[Arguments] = [
        {"flawed": first, "sound": second} for first, second in zip(critiques, answers, strict=True)
    ]
    none: list[Arguments] = [{} for _ in works]
    protocols: dict[str, list[Arguments]] = {
        "alone": none,
        "critique": [{"flawed": each} for each in critiques],
        "debate": debates,
        "consultancy": [
            {"flawed": critiques[at]} if assigned[at] else {"sound": alone[at]}
            for at in range(len(works))
        ],
        "true quote": [{"flawed": quoting(work.against)} for work in works],
        "idle quote": [{"flawed": quoting(work.beside)} for work in works],
        "made-up quote": [{"flawed": quoting(invented(work, rng))} for work in works],
    }
    said = {name: judge(weak, works, each)[0] for name, each in protocols.items()}
    for name in ("critique", "debate", "made-up quote"):
        for how, wording in (("marked", VILLAGE), ("unchecked", UNCHECKED)):
            said[f"{name}, {how}"] = judge(weak, works, protocols[name], wording=wording)[0]
    said["strong"] = judge(strong, works, none)[0]
    _same_as_specialist(weak, arguer, works[:3], said["debate"])
    return Cell(
        kind=kind,
        weak=rung[0],
        strong=rung[1],
        seed=seed,
        flawed=[bool(each) for each in truth],
        said={name: [float(p) for p in each] for name, each in said.items()},
        found=[
            quoting(work.against) == each
            for work, each in zip(works, critiques, strict=True)
            if not work.sound
        ],
        standing=float(
            np.mean([each[1:-1] in work.text for work, each in zip(works, critiques, strict=True)])
        ),
    )


def _same_as_specialist(
    weak: LanguageModel, arguer: LanguageModel, works: Sequence[Work], flaw: np.ndarray
) -> None:
    """See that asking many at once is asking `ModelJudge`."""
    specialist = ModelJudge(
        name="debate", judge=weak, critic=arguer, defender=arguer, wording=CHECKED,
        max_new_tokens=ARGUMENT_TOKENS,
    )  # fmt: skip
    for work, each in zip(works, flaw, strict=False):
        opinion = specialist.check(work.case)
        expected = max(each, 1 - each)
        if opinion.confidence is None or abs(opinion.confidence - expected) > 1e-3:
            raise AssertionError(
                f"{work.id}: the specialist says {opinion.confidence}, the benchmark {expected}; "
                f"{opinion.rationale}"
            )


def untaught(count: int) -> dict[str, tuple[float, float]]:
    """What shipped specimens make of a true quote: share of the answer on a verdict, accuracy."""
    found = {}
    works = draw_works("parcels", count, seed=0)
    truth = np.array([not work.sound for work in works])
    quotes: list[Arguments] = [{"flawed": quoting(work.against)} for work in works]
    for size in LESSONS:
        model = open_model(f"lab:{size}", dtype="float32", device="cpu")
        flaw, covered = judge(model, works, quotes)
        found[size] = (float(covered.mean()), float(((flaw > 0.5) == truth).mean()))
    return found


def cell(kind: Kind, rung: tuple[str, str], count: int, *, seed: int, quick: bool) -> Cell:
    """A cell, from disk where it is finished."""
    plans = [schooling(size, "judge", kind, seed=seed, quick=quick) for size in rung]
    plans.append(schooling(rung[1], "argue", kind, seed=seed, quick=quick))
    inputs: list[Any] = [PROTOCOLS_VERSION, kind, rung, count, seed, SENTENCES, to_json(VILLAGE)]
    inputs += [[asdict(plan), to_json(replace(plan, lessons=50).examples)] for plan in plans]
    path = CACHE / "cells" / f"{kind}-{'-'.join(rung)}-{seed}-{fingerprint(inputs)[:10]}.json"
    if not path.exists():
        made = examine(kind, rung, count, seed=seed, quick=quick)
        write_atomic(path, json.dumps(asdict(made)))
    return Cell(**json.loads(path.read_text("utf-8")))


def rows(count: int, *, seeds: Sequence[int], quick: bool) -> list[Row]:
    """All cells, then what follows from them.

    Of `parcels` each seed draws other works; of the other kinds the village has no more than
    one seed draws, and the same works twice would be no more evidence.
    """
    found = []
    for kind in KINDS:
        used = seeds if kind == "parcels" else seeds[:1]
        for rung in RUNGS:
            cells = [cell(kind, rung, count, seed=seed, quick=quick) for seed in used]
            found += rows_of(cells)
            found += [row for each in cells for row in schooling_rows(each) if len(cells) > 1]
            print(f"{kind}, {rung[0]} under {rung[1]}: done", flush=True)
    return found


def main() -> None:
    """Print the table, and write it where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sixteenth of the lessons, 60 items")
    parser.add_argument("--items", type=int, default=300, help="most items of one cell")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(SEEDS), help="of schooling and works"
    )
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    count = 60 if arguments.quick else arguments.items
    made = rows(
        count, seeds=arguments.seeds[: 1 if arguments.quick else None], quick=arguments.quick
    )
    for size, (covered, accuracy) in untaught(count).items():
        for what, value in (("of the answer on broken or kept", covered), ("right", accuracy)):
            made.append(
                Row(
                    measure=f"untaught {size}, parcels with a true quote: {what}", target="",
                    value=value, low=None, high=None, unit="share", n=count, met=None, seeds=[0],
                )
            )  # fmt: skip
    show("Weak judges over strong models in the village", made, arguments.json)


if __name__ == "__main__":
    main()
