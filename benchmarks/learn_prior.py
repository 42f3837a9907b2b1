"""Learns the prior that the package ships: `python -m benchmarks.learn_prior`.

From organisms of seeds that no benchmark evaluates, so that what is measured owes nothing to it.
"""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.organism_trials import CACHE, PER_KIND, POOL_SEED
from plumbrule.behavior import CompareSettings, compare_models
from plumbrule.behavior.screens.prior import CLUES, Past, learn
from plumbrule.lab import organisms
from plumbrule.lab.organisms import KINDS, Organism
from plumbrule.models import open_model
from plumbrule.records import to_json
from plumbrule.store import write_atomic

SEEDS = (10, 11)
METHODS = ("full", "lora", "edit")
WHERE = Path(__file__).parent.parent / "src/plumbrule/behavior/screens/prior.json"


def main() -> None:
    """Compare each organism with its base, without a prior, and learn from all of them."""
    past = []
    for kind in KINDS:
        for method in METHODS:
            for seed in SEEDS:
                organism = Organism(kind=kind, method=method, seed=seed)
                folder = organisms.cached(organism, CACHE / "organisms")
                found = compare_models(
                    open_model(organism.base),
                    open_model(str(folder)),
                    organisms.pool(POOL_SEED, organism.scale, PER_KIND),
                    settings=replace(
                        CompareSettings(), seed=seed, screens=CLUES, localize=False, certificate=1
                    ),
                )
                scores = {
                    name: seen.scores
                    for name, seen in found.sightings.items()
                    if seen.scores is not None
                }
                assert found.explored is not None
                past.append(Past(scores=scores, movement=found.explored.movement))
                print(organism.name, len(found.explored.movement))
    learned = learn(past)
    write_atomic(WHERE, json.dumps(to_json(learned), indent=2) + "\n")
    print(learned)


if __name__ == "__main__":
    main()
