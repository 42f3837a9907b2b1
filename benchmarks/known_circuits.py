"""Finding circuits that are known: `python -m benchmarks.known_circuits`.

Models whose weights were set by hand (`plumbrule.lab.circuits`) are searched, each as GPT-2 and,
where it can be built so, as Llama with shared keys and values; then the same with distractors that
are heard three times louder, and models without any circuit, in which nothing is to be found.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import Row, show, single, spread

LEVELS = (0.05, 0.1, 0.2)
PAIRS = 48
LEAST_AUROC = 0.9
SEEDS, QUICK_SEEDS = (0, 1, 2), (0,)
QUICK_TASKS = ("induction", "two_hop")


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a search of one model came to."""

    task: str
    auroc: float | None
    """Of attribution, over all edges; None where no edge is true."""

    exact_auroc: float | None
    """Of the share that each edge moves when it is patched; those not patched count 0."""

    claimed: tuple[int, ...]
    """Edges claimed at each level."""

    false: tuple[int, ...]
    """Those of them outside the circuit."""

    true: int
    """Edges of the circuit."""

    kept_is_circuit: bool
    """Whether what is left after pruning is the circuit, edge by edge."""

    def false_share(self, level: int) -> float:
        """Of the edges claimed; no claim is no false one."""
        return self.false[level] / max(1, self.claimed[level])

    def recall(self, level: int) -> float:
        """Share of the circuit that is claimed."""
        return (self.claimed[level] - self.false[level]) / self.true


def search(model: Any, *, seed: int) -> Searched:
    """Search a model of known circuit and hold what is found against it."""
    from sklearn.metrics import roc_auc_score

    from plumbrule.lab.circuits import TOLERANCE
    from plumbrule.mechanism import find_sites
    from plumbrule.mechanism.circuits.edge_attribution import attribute_edges
    from plumbrule.mechanism.circuits.edges import edges_of
    from plumbrule.mechanism.circuits.finding import find_circuit
    from plumbrule.mechanism.circuits.tasks import PromptPair
    from plumbrule.statistics import e_bh

    module, circuit = model.module, set(model.edges)
    sites = find_sites(module)
    graph = edges_of(module, sites)
    names = [(edge.writer, edge.reader) for edge in graph.edges]
    if sorted(names) != sorted(model.graph):
        raise AssertionError(f"the graph of {model.task.name} is not the model's own")
    pairs = [
        PromptPair(clean=each.clean, corrupted=each.corrupted, right=each.right, wrong=each.wrong)
        for each in dict.fromkeys(model.pairs(PAIRS, seed=seed))
    ]
    scores = np.abs(attribute_edges(module, sites, graph, pairs[: PAIRS // 2]).mean(0))
    found = find_circuit(
        module, sites, pairs, seed=seed, minimum_share=TOLERANCE, fdr=LEVELS[0], graph=graph
    )
    shares = {(each.edge.writer, each.edge.reader): abs(each.share) for each in found.claims}
    e_values = {(each.edge.writer, each.edge.reader): each.e_value for each in found.claims}
    evidence = np.array([e_values.get(name, 0.0) for name in names])
    inside = np.array([name in circuit for name in names])
    stands = [e_bh(evidence, level=level) for level in LEVELS]
    exact = np.array([shares.get(name, 0.0) for name in names])
    return Searched(
        task=model.task.name,
        auroc=float(roc_auc_score(inside, scores)) if circuit else None,
        exact_auroc=float(roc_auc_score(inside, exact)) if circuit else None,
        claimed=tuple(int(each.sum()) for each in stands),
        false=tuple(int((each & ~inside).sum()) for each in stands),
        true=len(circuit),
        kept_is_circuit={(edge.writer, edge.reader) for edge in found.edges} == circuit,
    )


def _searches(tasks: Sequence[str], seeds: Sequence[int], **settings: Any) -> list[Searched]:
    from plumbrule.lab.circuits import TASKS

    return [
        search(TASKS[name].build(seed, family=family, **settings), seed=seed)
        for name in tasks
        for family in TASKS[name].families
        for seed in seeds
    ]


def _task_rows(found: Sequence[Searched], seeds: Sequence[int], label: str) -> list[Row]:
    """AUROC and recall of each task over seeds and families."""
    table = []
    for name in dict.fromkeys(each.task for each in found):
        own = [each for each in found if each.task == name]
        table.append(
            spread(
                f"AUROC of attribution over edges, {name}{label}",
                [each.auroc for each in own if each.auroc is not None],
                unit="over edges",
                seeds=seeds,
                target=f">= {LEAST_AUROC}",
                met=lambda value: value >= LEAST_AUROC,
                worst=min,
            )
        )
        table.append(
            spread(
                f"share of the circuit that is claimed at level 0.05, {name}{label}",
                [each.recall(0) for each in own],
                unit="of edges",
                seeds=seeds,
            )
        )
    return table


def _level_rows(found: Sequence[Searched], seeds: Sequence[int], label: str) -> list[Row]:
    """False claims over all tasks: their expected share is what is promised."""
    table = []
    for at, level in enumerate(LEVELS):
        shares = [each.false_share(at) for each in found]
        table.append(
            Row(
                measure=f"false edges among those claimed at level {level}{label}",
                target=f"<= {level}",
                value=float(np.mean(shares)),
                low=min(shares),
                high=max(shares),
                unit="of claims, mean over models",
                n=len(found),
                met=float(np.mean(shares)) <= level,
                seeds=list(seeds),
            )
        )
    exact = [each.exact_auroc for each in found if each.exact_auroc is not None]
    return [
        *table,
        single(
            f"AUROC of exact patching over edges{label}",
            float(np.mean(exact)),
            unit="over edges, mean over models",
            n=len(exact),
            seeds=seeds,
        ),
        single(
            f"models whose pruned circuit is the known one, edge by edge{label}",
            sum(each.kept_is_circuit for each in found),
            unit=f"of {len(found)}",
            n=len(found),
            seeds=seeds,
        ),
    ]


def rows(*, quick: bool) -> list[Row]:
    """Search models with a circuit, with louder distractors, and without a circuit.

    Args:
        quick: Two tasks under one seed.
    """
    import torch

    from plumbrule.lab.circuits import LOUD, TASKS

    # One thread: these models are too small to be split.
    torch.set_num_threads(1)
    tasks = QUICK_TASKS if quick else tuple(TASKS)
    seeds = QUICK_SEEDS if quick else SEEDS
    planted = _searches(tasks, seeds)
    loud = _searches(tasks, seeds, murmur=LOUD)
    empty = _searches(tasks, seeds, planted=False)
    false = sum(each.claimed[0] > 0 for each in empty)
    return [
        *_task_rows(planted, seeds, ""),
        *_level_rows(planted, seeds, ""),
        *_task_rows(loud, seeds, ", loud distractors"),
        *_level_rows(loud, seeds, ", loud distractors"),
        single(
            "models without circuit in which an edge is claimed at level 0.05",
            false / len(empty),
            unit=f"of {len(empty)} models",
            n=len(empty),
            seeds=seeds,
            target="<= 0.05",
            met=false / len(empty) <= LEVELS[0],
        ),
    ]


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    show("Known circuits", rows(quick=given.quick), given.json)


if __name__ == "__main__":
    main()
