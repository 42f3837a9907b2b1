"""The page of runs side by side: help against harm, principles, differences, labels and cost."""

from dataclasses import dataclass

from plumbrule.report.axes import Axis, Tick, flipped, round_axis
from plumbrule.report.numbers import percent
from plumbrule.report.subjects import Json
from plumbrule.report.templating import fill

MOST_COLORS = 6
"""Colors that the style sheet tells apart; further runs begin again, and each has its number."""


@dataclass(frozen=True, kw_only=True)
class RunPoint:
    """One run in the plot, in percent of its width and height."""

    number: str
    style: int
    x: str
    y: str
    left: str
    right: str
    top: str
    bottom: str
    title: str


@dataclass(frozen=True, kw_only=True)
class TradeOff:
    """Help over harmlessness, each run a cross of its intervals."""

    points: tuple[RunPoint, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]

    description: str
    """What a reader who does not see the plot is told."""


def render(content: Json) -> str:
    """Turn the record of runs side by side into one HTML file that needs nothing else."""
    return fill(
        "runs",
        content,
        names=[run["name"] for run in content.get("runs") or ()],
        plot=trade_off(content),
    )


def trade_off(content: Json) -> TradeOff | None:
    """Lay out the plot; None where no run tells of both measures."""
    before = {"name": "before training", **(content.get("before") or {})}
    several = [before, *(content.get("runs") or ())]
    known = [
        (number, run)
        for number, run in enumerate(several)
        if run.get("helpful") and run.get("harmless")
    ]
    if not known:
        return None
    across = _axis([run["harmless"] for _, run in known])
    up = _axis([run["helpful"] for _, run in known])
    points = tuple(_point(number, run, across, up) for number, run in known)
    return TradeOff(
        points=points,
        x_ticks=across.ticks,
        y_ticks=tuple(Tick(at=flipped(tick.at), text=tick.text) for tick in up.ticks),
        description="; ".join(point.title for point in points),
    )


def _axis(estimates: list[Json]) -> Axis:
    low = min(float(each["low"]) for each in estimates)
    high = max(float(each["high"]) for each in estimates)
    return round_axis(low, high, rate=True)


def _point(number: int, run: Json, across: Axis, up: Axis) -> RunPoint:
    harmless, helpful = run["harmless"], run["helpful"]
    return RunPoint(
        number=str(number) if number else "0",
        style=(number - 1) % MOST_COLORS if number else 4,
        x=across.at(harmless["value"]),
        y=flipped(up.at(helpful["value"])),
        left=across.at(harmless["low"]),
        right=across.at(harmless["high"]),
        top=flipped(up.at(helpful["high"])),
        bottom=flipped(up.at(helpful["low"])),
        title=f"{number or 'before training'}{'. ' + str(run['name']) if number else ''}: harmless "
        f"{percent(harmless['value'])}, helpful {percent(helpful['value'])}",
    )
