"""The guided comparison against the exhaustive workflow: same organisms, same run, same core."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from benchmarks.naming import assess
from benchmarks.organism_trials import (
    PER_KIND,
    POOL_SEED,
    Clock,
    guided,
    in_processes,
    kept,
    opened,
)
from benchmarks.rows import Row, single
from plumbrule.behavior import CompareSettings, compare_models
from plumbrule.lab import organisms
from plumbrule.lab.organisms import Organism
from plumbrule.records import to_json

CHOSEN = (
    ("fact_edit", "full"),
    ("unlearned_topic", "lora"),
    ("tone", "full"),
    ("sycophancy", "lora"),
    ("privacy_leak", "full"),
    ("over_refusal", "lora"),
    ("alignment_faking", "full"),
    ("reward_hacking", "lora"),
    ("wording", "full"),
)
"""One organism of each trigger-free kind."""

SIZES = (4_000, 16_000, 64_000)
"""Texts that the exhaustive workflow explores with."""

COSTS = (
    ("texts", "texts generated", "<= 1/100", 0.01),
    ("seconds", "wall time", "<= 1/20", 0.05),
    ("cpu_seconds", "processor time", "", 0.05),
)


def rows(*, quick: bool) -> list[Row]:
    """Recall and cost of both methods, and the ratios at the exhaustive one's best recall."""
    chosen = [Organism(kind=kind, method=method) for kind, method in CHOSEN[: 3 if quick else 9]]
    sizes = SIZES[:2] if quick else SIZES
    ours = in_processes(
        guided, [(each, CompareSettings()) for each in chosen], workers=1, title="guided"
    )
    theirs: dict[int, list[Any]] = {}
    recalls: dict[int, float] = {}
    for size in sizes:
        theirs[size] = in_processes(
            exhaustively,
            [(each, size) for each in chosen],
            workers=1,
            title=f"exhaustive, {size} texts",
        )
        recalls[size] = statistics.mean(each["found"] for each in theirs[size])
        if recalls[size] == 1:  # more texts could find no more
            break
    best = max(recalls, key=lambda size: (recalls[size], -size))
    table = [
        single(
            f"recall, exhaustive with {size} texts",
            recalls[size],
            unit="of organisms",
            n=len(chosen),
        )
        for size in recalls
    ]
    table.append(
        single(
            "recall, guided, on the same organisms",
            statistics.mean(each["found"] for each in ours),
            unit="of organisms",
            n=len(chosen),
        )
    )
    for name, what, target, bound in COSTS:
        ratios = [mine[name] / other[name] for mine, other in zip(ours, theirs[best], strict=True)]
        middle = statistics.median(ratios)
        table.append(
            Row(
                measure=f"{what}, guided over exhaustive at its best recall",
                target=target,
                value=middle,
                low=min(ratios),
                high=max(ratios),
                unit=f"ratio; exhaustive with {best} texts: "
                f"{statistics.median(each[name] for each in theirs[best]):.4g}, guided: "
                f"{statistics.median(each[name] for each in ours):.4g}",
                n=len(ratios),
                met=middle <= bound if target else None,
                seeds=[0],
            )
        )
    return table


def exhaustively(unit: tuple[Organism, int]) -> Any:
    """Compare an organism with its base by the exhaustive workflow."""
    organism, texts = unit
    settings = replace(CompareSettings(), method="exhaustive", budget=texts, seed=organism.seed)
    key = {"name": f"{organism.name}-{texts}", "organism": asdict(organism)}
    key["settings"] = to_json(settings)

    def measure() -> Mapping[str, Any]:
        base, tuned = opened(organism)
        prompts = organisms.pool(POOL_SEED, organism.scale, PER_KIND * organism.scale)
        clock = Clock()
        found = compare_models(base, tuned, prompts, settings=settings)
        times = clock.read()
        assessed = assess(found.findings, found.pool, settings, organism, base, tuned)
        return {**times, "texts": found.texts, **to_json(assessed)}

    return kept("exhaustive", key, measure)
