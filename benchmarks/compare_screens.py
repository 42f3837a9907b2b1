"""What each screen adds and costs: alone, and left out."""

from dataclasses import replace

import numpy as np

from benchmarks.organism_trials import guided, in_processes
from benchmarks.rows import Row
from plumbrule.behavior import CompareSettings
from plumbrule.behavior.screens.built_in import BUILT_IN, DEFAULT
from plumbrule.lab.organisms import KINDS, Organism


def rows(*, quick: bool, workers: int) -> list[Row]:
    """Recall and cost of the comparison with one screen alone, and without one."""
    methods = ("full",) if quick else ("lora",)
    chosen = [
        Organism(kind=kind, method=method, seed=seed)
        for kind in KINDS
        for method in methods
        for seed in (0,)
        if kind != "none"
    ]
    settings = CompareSettings(localize=False)
    sets: dict[str, tuple[str, ...]] = {"no screen": ()}
    sets |= {f"{name} alone": (name,) for name in BUILT_IN if name != "prior"}
    sets |= {
        f"default without {name}": tuple(each for each in DEFAULT if each != name)
        for name in DEFAULT
    }
    sets |= {"default screens": DEFAULT, "all screens": tuple(BUILT_IN)}
    table = []
    for label, names in sets.items():
        found = in_processes(
            guided,
            [(each, replace(settings, seed=each.seed, screens=names)) for each in chosen],
            workers=workers,
            title=label,
        )
        texts = float(np.median([each["texts"] for each in found]))
        seconds = float(np.median([each["cpu_seconds"] for each in found]))
        missed = [each["organism"]["kind"] for each in found if not each["found"]]
        table.append(
            Row(
                measure=f"recall, {label}; {texts:.0f} texts, {seconds:.1f} s"
                + (f"; missed: {', '.join(missed)}" if missed else ""),
                target="",
                value=float(np.mean([each["found"] for each in found])),
                low=None,
                high=None,
                unit="of organisms; texts and processor time at the median",
                n=len(found),
                met=None,
                seeds=[0],
            )
        )
    return table
