"""People's labels: what the order by worth saves, whether rates stay right, what a kill loses.

Simulated judges look at items of which the truth is known: some items are easy for all judges, some
hard for all, and judges say how sure they are, with noise. People in the simulation are right.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.rows import Row, estimated, show, single, spread
from plumbrule.people import (
    QueueEvent,
    QueueItem,
    QueueSettings,
    agreement,
    inclusion_probabilities,
    make_queue,
    open_queue,
    person_certificate,
    place_items,
)
from plumbrule.people.queue import uniform
from plumbrule.statistics import clopper_pearson, wilson

Rng = np.random.Generator
ITEMS, JUDGES = 400, 2
WORKER = """
import sys
from plumbrule.people import open_queue

with open_queue(sys.argv[1]) as queue:
    while (served := queue.serve(sys.argv[2])) is not None:
        queue.answer(sys.argv[2], served.item.id, served.item.answers[0])
        print(served.item.id, flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Items that judges have seen, and what is true of each."""

    items: list[QueueItem]
    broken: dict[str, bool]

    wrong: frozenset[str]
    """Items on which the mean of the judges is on the wrong side."""


def _item(place: int, **more: object) -> QueueItem:
    return QueueItem(
        principle_id="p",
        principle="P.",
        request=f"r{place}",
        replies=("a",),
        **more,  # type: ignore[arg-type]
    )


def judged_items(rng: Rng, count: int = ITEMS, *, knowing: bool = True) -> Judged:
    """Draw items and judges.

    Args:
        rng: Of the draw.
        count: Items.
        knowing: Whether the judges are surer where they are right; else what they say is noise.
    """
    truth = rng.random(count) < 0.3
    # The same for all judges, so they err together; what is broken is harder to see.
    ease = rng.normal(np.where(truth, 0.5, 2.0), 1.2)
    signs = np.where(truth, 1.0, -1.0) * (ease if knowing else rng.choice([-1, 1], count))
    odds = signs[:, None] + rng.normal(0, 0.8, size=(count, JUDGES))
    said = 1 / (1 + np.exp(-odds))
    items = [_item(i, judged=tuple(map(float, said[i]))) for i in range(count)]
    wrong = (said.mean(1) > 0.5) != truth
    return Judged(
        items=items,
        broken={item.id: bool(truth[i]) for i, item in enumerate(items)},
        wrong=frozenset(item.id for i, item in enumerate(items) if wrong[i]),
    )


def labels_needed(order: list[str], wrong: frozenset[str], share: float = 0.8) -> int:
    """Labels until a share of the judges' errors is found."""
    found, target = 0, share * len(wrong)
    for number, item_id in enumerate(order, 1):
        found += item_id in wrong
        if found >= target:
            return number
    return len(order)


def saving(seed: int, *, knowing: bool = True) -> float:
    """Labels needed by worth, over labels needed by chance."""
    drawn = judged_items(np.random.default_rng([seed, 0]), knowing=knowing)
    places = place_items(drawn.items, QueueSettings(seed=seed))
    needed = [
        labels_needed(
            [p.item_id for p in sorted(places, key=lambda place: getattr(place, rank))], drawn.wrong
        )
        for rank in ("worth_rank", "random_rank")
    ]
    return needed[0] / needed[1]


def half_worked(seed: int, budget: int) -> tuple[bool, float, float]:
    """A queue worked through in part: covered, error of the weighted mean, error of the plain."""
    drawn = judged_items(np.random.default_rng([seed, 1]))
    settings = QueueSettings(seed=seed)
    places = place_items(drawn.items, settings)
    orders = {
        rank: [p.item_id for p in sorted(places, key=lambda place: getattr(place, rank))]
        for rank in ("worth_rank", "random_rank")
    }
    events: list[QueueEvent] = []
    done: set[str] = set()
    for turn in range(budget):
        way = "random" if uniform(seed, "chance", turn) < settings.random_share else "worth"
        item_id = next(each for each in orders[f"{way}_rank"] if each not in done)
        done.add(item_id)
        events.append(
            QueueEvent(
                number=turn, item_id=item_id, annotator="a", action="label", answer="pass",
                via="random" if way == "random" else "worth",
            )
        )  # fmt: skip
    chance = inclusion_probabilities(places, events)
    truth = float(np.mean(list(drawn.broken.values())))
    certain = [each for each, p in chance.items() if p == 1.0]
    rest = [each for each, p in chance.items() if p < 1.0]
    others = len(drawn.items) - len(certain)
    hits = sum(drawn.broken[each] for each in certain)
    found = sum(drawn.broken[each] for each in rest)
    plain = float(np.mean([drawn.broken[each] for each in done]))
    if not rest:  # no draw by chance fell into the rest, so nothing is known of it
        return False, 0.0, plain - truth
    # A sample without replacement from few items is surer than its size says.
    surer = 1 / (1 - len(rest) / others)
    part = wilson(found, len(rest), unit="")
    wide = max(part.high - part.value, part.value - part.low) / np.sqrt(surer)
    value = (hits + others * part.value) / len(drawn.items)
    half = others * wide / len(drawn.items)
    return bool(abs(value - truth) <= half), value - truth, plain - truth


def agreement_covered(seed: int, count: int, right: float, rate: float) -> list[bool | None]:
    """Whether the intervals of alpha and kappa hold the true value; None where undefined."""
    rng = np.random.default_rng([seed, 2, count])
    items = [_item(i) for i in range(count)]
    truth = rng.random(count) < rate
    events: list[QueueEvent] = []
    for who in ("ann", "bob"):
        said = np.where(rng.random(count) < right, truth, ~truth)
        events += [
            QueueEvent(
                number=len(events) + i, item_id=item.id, annotator=who, action="label",
                answer="fail" if said[i] else "pass",
            )
            for i, item in enumerate(items)
        ]  # fmt: skip
    same = right**2 + (1 - right) ** 2
    yes = rate * right + (1 - rate) * (1 - right)
    chance = yes**2 + (1 - yes) ** 2
    true = (same - chance) / (1 - chance)
    return [
        None if each.estimate is None else each.estimate.low <= true <= each.estimate.high
        for each in agreement(items, events, seed=seed)
    ]


def careless_found(seed: int, right: float) -> bool:
    """Whether 40 known items show that a person tells broken replies no better than a coin."""
    rng = np.random.default_rng([seed, 3])
    items = [_item(i, known="fail" if i % 2 else "pass") for i in range(40)]
    events = [
        QueueEvent(
            number=i, item_id=item.id, annotator="ann", action="label", via="known",
            answer=item.known if rng.random() < right else ("pass" if i % 2 else "fail"),
        )
        for i, item in enumerate(items)
    ]  # fmt: skip
    found = person_certificate(items, events, "ann")
    assert found.sensitivity is not None
    assert found.specificity is not None
    return found.sensitivity.low + found.specificity.low <= 1.0


def kills(count: int) -> tuple[int, int]:
    """Kill a person's process after each of some labels: acknowledged, and lost."""
    acknowledged, lost = 0, 0
    with TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        settings = QueueSettings(double_share=0.0, known_share=0.0)
        make_queue([_item(i) for i in range(count * 40)], path, settings)
        for number in range(count):
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(path), f"person {number}"],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            seen = [process.stdout.readline().strip() for _ in range(number % 7 + 1)]
            os.kill(process.pid, signal.SIGKILL)
            seen += process.stdout.read().split("\n")[:-1]
            process.wait()
            process.stdout.close()
            with open_queue(path) as queue:
                kept = {label.item_id for label in queue.labels()}
            acknowledged += len(seen)
            lost += len(set(seen) - kept)
    return acknowledged, lost


def pace(count: int, items: int) -> float:
    """Labels a second that one person could give, in a queue of some size."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        make_queue([_item(i) for i in range(items)], path)
        with open_queue(path) as queue:
            started = time.perf_counter()
            for _ in range(count):
                served = queue.serve("ann")
                assert served is not None
                queue.answer("ann", served.item.id, "pass")
            return count / (time.perf_counter() - started)


def rows(*, quick: bool) -> list[Row]:
    """Measure.

    Args:
        quick: A tenth of the simulations.
    """
    part = 10 if quick else 1
    seeds = list(range(200 // part))
    table = [
        spread(
            "labels to find 80% of the judges' errors: by worth over by chance, median",
            [saving(seed) for seed in seeds],
            unit="ratio",
            seeds=[seeds[0], seeds[-1]],
            target="<= 0.7",
            met=lambda value: value <= 0.7,
        ),
        spread(
            "the same where judges' sureness says nothing",
            [saving(seed, knowing=False) for seed in seeds],
            unit="ratio",
            seeds=[seeds[0], seeds[-1]],
        ),
    ]
    runs = 600 // part
    for budget in (60, 120, 240):
        worked = [half_worked(seed, budget) for seed in range(runs)]
        error = np.array([each[1:] for each in worked])
        table += [
            estimated(
                f"rate from {budget} of {ITEMS} labels, weighted: interval covers",
                clopper_pearson(sum(each[0] for each in worked), runs, unit="share of queues"),
                seeds=[0, runs - 1],
                target=">= 0.94",
                met=sum(each[0] for each in worked) >= 0.94 * runs,
            ),
            single(
                f"rate from {budget} of {ITEMS} labels, weighted: bias",
                float(error[:, 0].mean()),
                unit="rate",
                n=runs,
                target="within 3 standard errors of 0",
                met=bool(abs(error[:, 0].mean()) <= 3 * error[:, 0].std() / np.sqrt(runs)),
            ),
            single(
                f"rate from {budget} of {ITEMS} labels, plain mean: bias",
                float(error[:, 1].mean()),
                unit="rate",
                n=runs,
            ),
        ]
    per_cell = 200 // part
    for count in (20, 50, 200):
        cells = [
            (f"right {right}, rate {rate}", [agreement_covered(seed, count, right, rate)
                                             for seed in range(per_cell)])
            for right in (0.7, 0.9, 0.98)
            for rate in (0.1, 0.5)
        ]  # fmt: skip
        for place, name in enumerate(("alpha", "kappa")):
            shares = {}
            for cell, covered in cells:
                known = [each[place] for each in covered if each[place] is not None]
                shares[cell] = sum(map(bool, known)) / len(known)
            worst = min(shares, key=lambda cell: shares[cell])
            mean = float(np.mean(list(shares.values())))
            table += [
                single(
                    f"interval of {name}, {count} items: covers, mean of six cases",
                    mean,
                    unit="share",
                    n=len(cells) * per_cell,
                    seeds=[0, per_cell - 1],
                    target=">= 0.94",
                    met=mean >= 0.94,
                ),
                single(
                    f"interval of {name}, {count} items: covers least ({worst})",
                    shares[worst],
                    unit="share",
                    n=per_cell,
                    seeds=[0, per_cell - 1],
                ),
            ]
    for right, said, low, high in (
        (0.5, "a coin", 0.95, 1.0),
        (0.95, "a careful person", 0.0, 0.05),
    ):
        seen = [careless_found(seed, right) for seed in seeds]
        share = sum(seen) / len(seen)
        table.append(
            single(
                f"40 known items: no better than chance, said of {said}",
                share,
                unit="share",
                n=len(seen),
                seeds=[seeds[0], seeds[-1]],
                target=f"{low:g} to {high:g}",
                met=low <= share <= high,
            )
        )
    acknowledged, lost = kills(60 // part)
    table += [
        single(
            f"labels lost by {60 // part} kills (-9) of the process that writes them",
            lost,
            unit="labels",
            n=acknowledged,
            target="0",
            met=lost == 0,
        ),
        single("labels a second, queue of 10,000 items", pace(100, 10_000), unit="1/s", n=100),
    ]
    return table


def main() -> None:
    """Run and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    show("People's labels", rows(quick=given.quick), given.json)


if __name__ == "__main__":
    main()
