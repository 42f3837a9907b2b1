"""The map of the prompt pool: where each prompt lies, and how far the models part there."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from plumbrule.report.log_scale import log_steps
from plumbrule.report.numbers import number_text
from plumbrule.report.subjects import Json
from plumbrule.report.text import plain

MOST_POINTS = 3000
"""Points drawn; more are thinned, so that the page stays below three megabytes."""

MOST_LETTERS = 120
"""Characters of a prompt that its point says when pointed at."""

SHADES = 6
"""Colors that the style sheet tells apart, from little to much."""

UNKNOWN_SHADE = "unknown"

MARGIN = 0.03
"""Empty share at each edge."""

_WIDTH, _HEIGHT = 1000.0, 460.0
"""Size in pixels at which labels are kept apart."""

_APART = 26.0
"""Pixels between the middles of two labels."""

Place = tuple[float, float]
"""Shares of the plot's width and height, from the left and from the top."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One prompt."""

    x: str
    y: str
    title: str

    found: bool
    """Whether a finding speaks of it."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Points of one color."""

    shade: str
    """A number from 0, or `unknown`."""

    text: str
    """Range of the scores, for the legend."""

    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class FindingLabel:
    """A finding's number, at one of its prompts."""

    x: str
    y: str
    id: str


@dataclass(frozen=True, kw_only=True)
class PoolMap:
    """All that is drawn, and what was left out."""

    clouds: tuple[Cloud, ...]
    labels: tuple[FindingLabel, ...]
    unit: str | None
    note: str | None
    drawn: int

    known: int
    """Points that have a place; those beyond `drawn` were thinned out."""

    placeless: int
    """Points that could not be drawn, since the record gives them no place."""


def pool_map(data: Json) -> PoolMap:
    """Lay out the map.

    Args:
        data: `points` with `x`, `y`, `score`, `text` and `finding`; any of it may be missing.

    Returns:
        Positions in percent of the plot, points of high score last so that they lie on top.
    """
    every = list(data.get("points") or ())
    placed = [one for one in every if one.get("x") is not None and one.get("y") is not None]
    points = thinned(placed)
    across, up = (_shares([one[key] for one in points]) for key in ("x", "y"))
    places = [(x, 1 - y) for x, y in zip(across, up, strict=True)]
    unit = data.get("unit")
    return PoolMap(
        clouds=tuple(_clouds(points, places, unit)),
        labels=tuple(_labels(points, places)),
        unit=unit,
        note=data.get("note"),
        drawn=len(points),
        known=len(placed),
        placeless=len(every) - len(placed),
    )


def thinned(points: Sequence[Json], most: int = MOST_POINTS) -> list[Json]:
    """Leave out points evenly where there are too many, those of findings only if need be.

    Example:
        >>> thinned([{"x": place} for place in range(9)], most=3)
        [{'x': 1}, {'x': 4}, {'x': 7}]
    """
    found = [place for place, one in enumerate(points) if one.get("finding") is not None]
    marked = set(found)
    rest = [place for place in range(len(points)) if place not in marked]
    kept = _evenly(found, most)
    kept += _evenly(rest, most - len(kept))
    return [points[place] for place in sorted(kept)]


def score_edges(scores: Sequence[float]) -> list[float]:
    """Round numbers that part positive scores into at most six ranges, even on a log scale.

    Example:
        >>> score_edges([0.001, 0.02, 0.9])
        [0.003, 0.01, 0.03, 0.1, 0.3]
    """
    positive = [score for score in scores if score > 0]
    if not positive:
        return []
    # An edge at the very lowest score would part nothing from the rest.
    return log_steps(1.000001 * min(positive), max(positive), most=SHADES - 1)


def _evenly(places: Sequence[int], most: int) -> list[int]:
    if len(places) <= most:
        return list(places)
    return [places[(2 * turn + 1) * len(places) // (2 * most)] for turn in range(most)]


def _shares(values: Sequence[float]) -> list[float]:
    """Places between the margins of an axis that just holds the values."""
    size = max(map(abs, values), default=0.0) or 1.0  # divided by first: differences may overflow
    scaled = [value / size for value in values]
    low, span = min(scaled, default=0.0), max(scaled, default=0.0) - min(scaled, default=0.0)
    inner = [(value - low) / span if span else 0.5 for value in scaled]
    return [MARGIN + (1 - 2 * MARGIN) * share for share in inner]


def _clouds(points: Sequence[Json], places: Sequence[Place], unit: str | None) -> Iterator[Cloud]:
    """Sort points by color; the highest scores come last, so that they lie on top."""
    edges = score_edges([one["score"] for one in points if one.get("score") is not None])
    texts = _ranges(edges)
    shades = [UNKNOWN_SHADE, *(_shade(place, edges) for place in range(len(texts)))]
    clouds: dict[str, list[Point]] = {shade: [] for shade in shades}
    for one, place in zip(points, places, strict=True):
        score = one.get("score")
        shade = UNKNOWN_SHADE if score is None else _shade(bisect_right(edges, score), edges)
        clouds[shade].append(_point(one, place, unit))
    for shade, text in zip(clouds, ("not scored", *texts), strict=True):
        if clouds[shade]:
            yield Cloud(shade=shade, text=text, points=tuple(clouds[shade]))


def _shade(place: int, edges: Sequence[float]) -> str:
    """Spread the ranges over all colors."""
    return str(round(place * (SHADES - 1) / len(edges)) if edges else SHADES // 2)


def _ranges(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["any score"]
    words = [f"{edge:g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(words)]
    return [f"below {words[0]}", *between, f"{words[-1]} and above"]


def _point(one: Json, place: Place, unit: str | None) -> Point:
    score, text = one.get("score"), plain(str(one.get("text") or "text not recorded"))
    words = ["not scored" if score is None else f"{number_text(score)} {unit or ''}".rstrip()]
    if one.get("finding") is not None:
        words.append(f"finding {plain(str(one['finding']))}")
    cut = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS].rstrip()} …"
    return Point(
        x=_percent(place[0]),
        y=_percent(place[1]),
        title=f"{cut} ({', '.join(words)})",
        found=one.get("finding") is not None,
    )


def _labels(points: Sequence[Json], places: Sequence[Place]) -> Iterator[FindingLabel]:
    """Put each finding's number at the prompt in its middle, or at the next that is still free."""
    members: dict[str, list[Place]] = {}
    for one, place in zip(points, places, strict=True):
        if one.get("finding") is not None:
            members.setdefault(str(one["finding"]), []).append(place)
    taken: list[Place] = []
    for finding, its in members.items():
        middle = (median(x for x, _ in its), median(y for _, y in its))
        near = sorted(its, key=lambda place: (_pixels(place, middle), place))
        free = (place for place in near if all(_pixels(place, other) > _APART for other in taken))
        place = next(free, near[0])
        taken.append(place)
        yield FindingLabel(x=_percent(place[0]), y=_percent(place[1]), id=finding)


def _pixels(one: Place, other: Place) -> float:
    return math.hypot((one[0] - other[0]) * _WIDTH, (one[1] - other[1]) * _HEIGHT)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
