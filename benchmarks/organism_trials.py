"""One comparison of one organism with its base, timed, held against the truth, and kept.

What was measured is kept under `.cache/benchmarks`, so that an interrupted benchmark goes on; a
changed setting is another file, and `--fresh` starts over.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.naming import assess
from plumbrule.behavior import CompareSettings, compare_models
from plumbrule.lab import organisms
from plumbrule.lab.organisms import Organism
from plumbrule.models import LanguageModel, open_model
from plumbrule.records import to_json
from plumbrule.store import fingerprint, write_atomic

CACHE = Path(__file__).parent.parent / ".cache"
KEPT = CACHE / "benchmarks" / "compare"
PER_KIND = 200
"""Prompts of each kind of request in the pool: 4,600 in all at scale 1."""

POOL_SEED = 11


def kept(part: str, key: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> Any:
    """What was measured before, or is measured now."""
    path = KEPT / part / f"{key.get('name', 'unit')}-{fingerprint(dict(key))[:16]}.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    value = {**key, **measure()}
    write_atomic(path, json.dumps(value))
    return value


def in_processes(
    work: Callable[[Any], Any], units: Sequence[Any], *, workers: int, title: str
) -> list[Any]:
    """Work on units side by side, one thread each, and say how far it is."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1"}
    results, started = [], time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done, result in enumerate(pool.map(work, units), 1):
            results.append(result)
            print(f"\r{title}: {done} of {len(units)}, {time.monotonic() - started:.0f} s", end="")
    print()
    return results


def opened(organism: Organism) -> tuple[LanguageModel, LanguageModel]:
    """Base and organism, built if it is not there yet."""
    folder = organisms.cached(organism, CACHE / "organisms")
    return open_model(organism.base), open_model(str(folder))


def measured(organism: Organism) -> Any:
    """What the organism's builder measured: how strongly the plant shows, how far it spills."""
    folder = organisms.cached(organism, CACHE / "organisms")
    return json.loads((folder / "organism.json").read_text("utf-8"))["measured"]


LEAST_STRENGTH = 0.15
"""Least rise of the planted property on affected requests; below it nothing was planted."""

MOST_SPILL = 0.35
"""Largest movement of any one kind of request that is not affected: beyond it the training changed
more than it was meant to, and what was planted is not what is there to be found."""


def took(result: Mapping[str, Any]) -> bool:
    """Whether an organism holds what it was meant to hold, and not much else."""
    planted = result["planted"]
    if planted["strength"] is None:
        return True
    worst = max((planted.get("spill_worst") or {"": 0.0}).values())
    return bool(planted["strength"] - planted["before"] >= LEAST_STRENGTH and worst <= MOST_SPILL)


class Clock:
    """Time since it was made: on the wall, and of this process's own work.

    The second is the fairer one where other processes share the cores.
    """

    def __init__(self) -> None:
        """Start."""
        self._wall, self._work = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Seconds by name."""
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._work,
        }


def guided(unit: tuple[Organism, CompareSettings]) -> Any:
    """Compare an organism with its base by the guided method."""
    organism, settings = unit
    key = {"name": organism.name, "organism": asdict(organism), "settings": to_json(settings)}
    return kept("guided", key, lambda: _guided(organism, settings))


def _guided(organism: Organism, settings: CompareSettings) -> Mapping[str, Any]:
    base, tuned = opened(organism)
    prompts = organisms.pool(POOL_SEED, organism.scale, PER_KIND * organism.scale)
    base.sample([prompts[0].dialogue], sampling=settings.sampling, seeds=[0])  # warm up
    tuned.sample([prompts[0].dialogue], sampling=settings.sampling, seeds=[0])
    clock = Clock()
    found = compare_models(base, tuned, prompts, settings=settings)
    times = clock.read()
    assessed = assess(found.findings, found.pool, settings, organism, base, tuned)
    return {
        **times,
        "texts": found.texts,
        "planted": measured(organism),
        "tokens_scored": sum(each.tokens_scored for each in found.costs.values()),
        "costs": {name: asdict(each) for name, each in found.costs.items()},
        "hypotheses": len(found.verdicts),
        "claims": [
            [str(v.hypothesis), v.confirmed, v.e_value, v.pairs, list(v.hypothesis.screens)]
            for v in found.verdicts
        ],
        **to_json(assessed),
    }
