"""How the cost grows when the world does: 1x, 4x and 16x the people, and as many more prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.compare_peer import exhaustively
from benchmarks.organism_trials import CACHE, guided
from benchmarks.rows import Row
from plumbrule.behavior import CompareSettings
from plumbrule.lab import organisms
from plumbrule.lab.organisms import Organism

SCALES = (1, 4, 16)
GROWN = (
    ("fact_edit", "full"),
    ("over_refusal", "full"),
    ("privacy_leak", "lora"),
    ("tone", "full"),
    ("unlearned_topic", "full"),
)
"""An edit that touches one person, however many there are, and changes that touch a kind."""

TEXTS = 4_000
"""Texts of the exhaustive workflow at scale 1; as many times more as the world is larger, since it
holds its recall only by asking each part of the world as often."""


def rows(*, quick: bool) -> list[Row]:
    """Exponents of cost against the scale of the world, with the recall at each scale."""
    seeds = (0,)
    scales = SCALES[:2] if quick else SCALES
    measured: dict[str, dict[int, list[Any]]] = {"guided": {}, "exhaustive": {}}
    for scale in scales:
        base = str(organisms.cached_specimen(scale, CACHE / "specimens"))
        grown = [
            Organism(kind=kind, method=method, seed=seed, base=base, scale=scale)
            for kind, method in GROWN
            for seed in seeds
        ]
        measured["guided"][scale] = [
            guided((each, replace(CompareSettings(), seed=each.seed))) for each in grown
        ]
        measured["exhaustive"][scale] = [exhaustively((each, TEXTS * scale)) for each in grown]
        print(f"scale {scale}: done", flush=True)
    table = []
    for method, costs in (("guided", COSTS), ("exhaustive", COSTS[:3])):
        for name, what, unit in costs:
            table.append(_exponent(method, name, what, unit, measured[method], seeds))
    for method, by_scale in measured.items():
        for scale, found in by_scale.items():
            missed = [each["organism"]["kind"] for each in found if not each["found"]]
            table.append(
                Row(
                    measure=f"recall at scale {scale}x, {method}",
                    target="",
                    value=float(np.mean([each["found"] for each in found])),
                    low=None,
                    high=None,
                    unit="of organisms" + (f"; missed: {', '.join(missed)}" if missed else ""),
                    n=len(found),
                    met=None,
                    seeds=list(seeds),
                )
            )
    return table


COSTS = (
    ("seconds", "wall time", "s"),
    ("cpu_seconds", "processor time", "s"),
    ("texts", "texts", "texts"),
    ("tokens_scored", "tokens scored", "tokens"),
)


def _exponent(
    method: str,
    name: str,
    what: str,
    unit: str,
    measured: Mapping[int, Sequence[Any]],
    seeds: Sequence[int],
) -> Row:
    middles = {
        scale: float(np.median([each[name] for each in found])) for scale, found in measured.items()
    }
    exponent = float(np.polyfit(np.log(list(middles)), np.log(list(middles.values())), 1)[0])
    ours = method == "guided"
    return Row(
        measure=f"growth of {what} with the world, {method}",
        target="exponent <= 0.2" if ours else "",
        value=exponent,
        low=None,
        high=None,
        unit="exponent; "
        + ", ".join(f"{scale}x: {value:.4g} {unit}" for scale, value in middles.items()),
        n=sum(map(len, measured.values())),
        met=exponent <= 0.2 if ours else None,
        seeds=list(seeds),
    )
