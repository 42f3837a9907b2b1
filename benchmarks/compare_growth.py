"""How the cost grows when the world does: 1x, 4x and 16x the people, and as many more prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.compare_peer import exhaustively
from benchmarks.organism_trials import CACHE, guided, took
from benchmarks.rows import Row, spread
from benchmarks.villages import cached_specimen
from plumbrule.behavior import CompareSettings
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
        base = str(cached_specimen(scale, CACHE / "specimens"))
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
    # A larger world leaves the same model less room: where nothing took, nothing is to be found.
    taken = [
        each["organism"] for found in measured["guided"].values() for each in found if took(each)
    ]
    held = {
        method: {
            scale: [each for each in found if each["organism"] in taken]
            for scale, found in by_scale.items()
        }
        for method, by_scale in measured.items()
    }
    table = []
    for method, costs in (("guided", COSTS), ("exhaustive", COSTS[:3])):
        for name, what, unit in costs:
            table.append(_exponent(method, name, what, unit, held[method], seeds))
    table += _ratios(held, seeds)
    for method, by_scale in held.items():
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


def _ratios(held: Mapping[str, Mapping[int, Sequence[Any]]], seeds: Sequence[int]) -> list[Row]:
    """What the guided method spends over what the exhaustive one does, at each scale."""
    table = []
    for scale, ours in held["guided"].items():
        theirs = held["exhaustive"][scale]
        for name, what in (("texts", "texts"), ("cpu_seconds", "processor time")):
            ratios = [mine[name] / other[name] for mine, other in zip(ours, theirs, strict=True)]
            table.append(
                spread(
                    f"{what} at scale {scale}x, guided over exhaustive with {TEXTS * scale} texts",
                    ratios,
                    unit="ratio",
                    seeds=seeds,
                )
            )
    return table


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
