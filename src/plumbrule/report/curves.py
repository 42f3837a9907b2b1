"""Lines over training steps, and bars of what each stage cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.report.axes import Axis, Tick, flipped, round_axis, tight_axis
from plumbrule.report.numbers import Number, dollars_text, duration_text, number_text


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series, in percent of the plot's width and height, the origin on top on the left."""

    name: str

    style: int
    """Which color and dash the line has, from 0; series beyond the sixth begin again."""

    paths: tuple[str, ...]
    """Points of each unbroken stretch; a value that is not known breaks the line."""

    dots: tuple[tuple[str, str], ...]
    """Stretches of a single point."""

    points: tuple[tuple[Number, Number | None], ...]
    """The numbers themselves."""


@dataclass(frozen=True, kw_only=True)
class CurvePlot:
    """One small plot."""

    name: str
    x: str
    y: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]

    description: str
    """What a reader who does not see the plot is told."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One stage's share of one kind of cost."""

    stage: str

    width: str | None
    """Percent of the plot's width; None where the cost was not recorded."""

    value: Number | None
    text: str


@dataclass(frozen=True, kw_only=True)
class CostSeries:
    """One kind of cost over all stages."""

    name: str
    bars: tuple[Bar, ...]


STYLES = 6
"""Colors and dashes that the style sheet tells apart."""

COSTS: tuple[tuple[str, str, Callable[[Number], str]], ...] = (
    ("seconds", "Time", duration_text),
    ("tokens_generated", "Tokens generated", number_text),
    ("tokens_scored", "Tokens scored", number_text),
    ("calls", "Paid calls", number_text),
    ("dollars", "Dollars", dollars_text),
)
"""Key in a stage, what the panel is called, and how its numbers are written."""


def curve(data: Mapping[str, Any]) -> CurvePlot:
    """Lay out one plot; one without a single known value has no axes and no lines."""
    series = [one for one in data.get("series") or () if one.get("points")]
    known = [(x, y) for one in series for x, y in one["points"] if y is not None]
    across = tight_axis(*_ends([x for x, _ in known]))
    up = round_axis(*_ends([y for _, y in known]), rate=False)
    lines = [_line(one, place % STYLES, across, up) for place, one in enumerate(series)]
    return CurvePlot(
        name=str(data.get("name", "")),
        x=str(data.get("x", "")),
        y=str(data.get("y", "")),
        x_ticks=across.ticks,
        y_ticks=tuple(Tick(at=flipped(tick.at), text=tick.text) for tick in up.ticks),
        lines=tuple(lines if known else ()),
        description=_description(data, series),
    )


def costs(stages: Sequence[Mapping[str, Any]]) -> tuple[CostSeries, ...]:
    """Lay out what the stages cost; a cost that no stage had gets no panel."""
    panels = []
    for key, name, write in COSTS:
        values = [stage.get(key) for stage in stages]
        largest = max((value for value in values if value is not None), default=0)
        if largest > 0:
            bars = tuple(
                _bar(str(stage.get("name", "")), value, largest, write)
                for stage, value in zip(stages, values, strict=True)
            )
            panels.append(CostSeries(name=name, bars=bars))
    return tuple(panels)


def _bar(stage: str, value: Number | None, largest: Number, write: Callable[[Number], str]) -> Bar:
    if value is None:
        return Bar(stage=stage, width=None, value=None, text="not recorded")
    return Bar(stage=stage, width=f"{100 * value / largest:.3f}%", value=value, text=write(value))


def _line(series: Mapping[str, Any], style: int, across: Axis, up: Axis) -> Line:
    paths, dots = [], []
    for stretch in _stretches(series["points"]):
        places = [(across.at(x), flipped(up.at(y))) for x, y in stretch]
        if len(places) == 1:
            dots.append(places[0])
        else:
            paths.append(" ".join(f"{x[:-1]},{y[:-1]}" for x, y in places))
    points = tuple((x, y) for x, y in series["points"])
    return Line(
        name=str(series.get("name", "")),
        style=style,
        paths=tuple(paths),
        dots=tuple(dots),
        points=points,
    )


def _stretches(
    points: Sequence[Sequence[Number | None]],
) -> Iterator[list[tuple[float, float]]]:
    stretch: list[tuple[float, float]] = []
    for x, y in points:
        if x is not None and y is not None:
            stretch.append((float(x), float(y)))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _ends(values: Sequence[Number]) -> tuple[float, float]:
    return (float(min(values)), float(max(values))) if values else (0.0, 1.0)


def _description(data: Mapping[str, Any], series: Sequence[Mapping[str, Any]]) -> str:
    """Say where each line begins and ends."""
    parts = []
    for one in series:
        known = [(x, y) for x, y in one["points"] if y is not None]
        if known:
            (x0, y0), (x1, y1) = known[0], known[-1]
            parts.append(
                f"{one.get('name', '')} goes from {number_text(y0)} at {data.get('x', '')} "
                f"{number_text(x0)} to {number_text(y1)} at {number_text(x1)}"
            )
    return f"{data.get('name', '')}, {data.get('y', '')}: " + "; ".join(parts)
