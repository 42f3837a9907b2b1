"""Specimens that only answer, for villages of every scale: bases to plant changes in."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from plumbrule.lab.organisms.cache import once
from plumbrule.store import fingerprint

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from plumbrule.lab.specimens import SpecimenRecipe

LESSONS = 48_000
"""Lessons of answering; about two minutes of training."""


def answering_specimen(scale: int) -> "SpecimenRecipe":
    """Recipe of a specimen that has learned to answer in a village, and nothing else.

    Args:
        scale: 1, 4 or 16 times the shipped village.
    """
    from plumbrule.lab.specimens import SpecimenRecipe

    return SpecimenRecipe(
        name=f"village-{scale}x",
        width=96,
        layers=3,
        lessons=LESSONS,
        scale=scale,
        shares={"answer": 1.0},
    )


def cached_specimen(scale: int, root: Path) -> Path:
    """The folder of `answering_specimen`, built at the first call.

    Args:
        scale: 1, 4 or 16 times the shipped village.
        root: Folder of all cached ones.
    """
    from plumbrule.lab.specimens import build_specimen

    recipe = answering_specimen(scale)
    folder = root / f"{recipe.name}-{fingerprint(asdict(recipe))[:12]}"
    return once(folder, "specimen.json", lambda place: build_specimen(recipe, place))
