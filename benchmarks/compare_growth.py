"""How the cost grows when the world does: 1x, 4x and 16x the people, and as many more prompts."""

from dataclasses import replace

import numpy as np

from benchmarks.organism_trials import CACHE, guided
from benchmarks.rows import Row
from plumbrule.behavior import CompareSettings
from plumbrule.lab import organisms
from plumbrule.lab.organisms import Organism

SCALES = (1, 4, 16)
GROWN = (("fact_edit", "full"), ("over_refusal", "full"), ("privacy_leak", "lora"))
"""An edit that touches one person, however many there are, and changes that touch a kind."""


def rows(*, quick: bool) -> list[Row]:
    """Exponents of cost against the scale of the world, with the recall at each scale."""
    seeds = (0,)
    scales = SCALES[:2] if quick else SCALES
    measured = {}
    for scale in scales:
        base = str(organisms.cached_specimen(scale, CACHE / "specimens"))
        measured[scale] = [
            guided(
                (
                    Organism(kind=kind, method=method, seed=seed, base=base, scale=scale),
                    replace(CompareSettings(), seed=seed),
                )
            )
            for kind, method in GROWN
            for seed in seeds
        ]
        print(f"scale {scale}: done")
    table = []
    for name, unit in (("seconds", "s"), ("texts", "texts"), ("tokens_scored", "tokens")):
        middles = {
            scale: float(np.median([each[name] for each in found]))
            for scale, found in measured.items()
        }
        logs = np.log(list(middles)), np.log(list(middles.values()))
        exponent = float(np.polyfit(*logs, 1)[0])
        table.append(
            Row(
                measure=f"growth of {name.replace('_', ' ')} with the world, guided",
                target="exponent <= 0.2",
                value=exponent,
                low=None,
                high=None,
                unit="exponent; "
                + ", ".join(f"{scale}x: {value:.4g} {unit}" for scale, value in middles.items()),
                n=sum(map(len, measured.values())),
                met=exponent <= 0.2,
                seeds=list(seeds),
            )
        )
    for scale, found in measured.items():
        table.append(
            Row(
                measure=f"recall at scale {scale}x, guided",
                target="",
                value=float(np.mean([each["found"] for each in found])),
                low=None,
                high=None,
                unit="of organisms",
                n=len(found),
                met=None,
                seeds=list(seeds),
            )
        )
    return table
