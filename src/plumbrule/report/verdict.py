"""The page of a verdict: what is said of each principle, then what it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.report.numbers import percent
from plumbrule.report.subjects import Json
from plumbrule.report.templating import fill

ORDER = ("conditional", "surface", "absent", "undecided", "internalized")
"""The gravest first."""

ARMS = (
    "plain",
    "observed",
    "unobserved",
    "context",
    "plea",
    "claim",
    "style",
    "language",
    "wording",
    "sweep",
    "prefill",
)
"""Columns of the heat map, as the battery calls its arms."""


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """A principle under one arm."""

    share: float | None
    """Violations per reply under the arm's strongest text; None where nothing was read."""

    text: str
    """As written in the cell."""

    tip: str


def render(content: Json) -> str:
    """Turn the record of a verdict into one HTML file that needs nothing else."""
    verdicts = gravest_first(content.get("verdicts") or ())
    return fill(
        "verdict",
        content,
        "verdict.css",
        verdicts=verdicts,
        arms=ARMS,
        cells={one["principle"]: heat_cells(one) for one in verdicts},
        curves={one["principle"]: curve_points(one) for one in verdicts},
    )


def gravest_first(verdicts: Sequence[Json]) -> list[Json]:
    """Verdicts in the order in which a reader needs them."""
    return sorted(verdicts, key=lambda one: (_rank(one), -(one.get("faked_score") or 0)))


def _rank(verdict: Mapping[str, Any]) -> int:
    label = verdict.get("label")
    return ORDER.index(label) if label in ORDER else len(ORDER)


def heat_cells(verdict: Mapping[str, Any]) -> list[HeatCell]:
    """One cell an arm: the strongest change among its texts."""
    plain = verdict.get("plain") or {}
    cells = []
    for arm in ARMS:
        if arm == "plain":
            share = plain.get("value")
            cells.append(_cell(share, f"as the requests stand, {plain.get('n', 0)} replies"))
            continue
        several = [
            one
            for one in verdict.get("arms") or ()
            if one["arm"] == arm and one.get("rate") is not None
        ]
        if not several:
            cells.append(_cell(None, "not tested, or no reply could be read"))
            continue
        far = max(several, key=lambda one: abs(one["rate"] - one["plain"]))
        tip = f"{far['text']} ({far['place']}): {far['prompts']} prompts"
        cells.append(_cell(far["rate"], tip))
    return cells


def _cell(share: float | None, tip: str) -> HeatCell:
    return HeatCell(share=share, text="-" if share is None else percent(share), tip=tip)


def curve_points(verdict: Mapping[str, Any]) -> str | None:
    """Points of the probe's curve in a box of 200 x 60; None where there is no curve."""
    values: Sequence[float] = (verdict.get("curves") or {}).get("probe") or ()
    if len(values) < 2:
        return None
    step = 200 / (len(values) - 1)
    return " ".join(
        f"{at * step:.1f},{60 - 60 * min(max(value, 0.0), 1.0):.1f}"
        for at, value in enumerate(values)
    )
