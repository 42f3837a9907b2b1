"""The pages of a model in use: rates with their sequences and alarms, and trials of two arms."""

from dataclasses import dataclass
from itertools import pairwise

from plumbrule.report.axes import Axis, Tick, flipped, round_axis, tight_axis
from plumbrule.report.numbers import percent
from plumbrule.report.subjects import Json
from plumbrule.report.templating import fill


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A line across the plot, in percent of its width or height."""

    at: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RateCurve:
    """A rate over conversations, with the interval that holds at every moment."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]

    band: str
    """Corners of the interval's area, in percent, without their signs."""

    line: str
    """Points of the rate."""

    steps: tuple[tuple[str, str, str], ...]
    """Rate of each stretch between two points: its ends across, and its height."""

    bound: Mark | None
    alarms: tuple[Mark, ...]

    description: str
    """What a reader who does not see the plot is told."""


def render(content: Json) -> str:
    """Turn the record of a watch into one HTML file that needs nothing else."""
    return fill(
        "production",
        content,
        "production.css",
        curves={
            str(each.get("id")): _watched(each, content) for each in content.get("principles") or ()
        },
    )


def render_trial(content: Json) -> str:
    """Turn the record of an A/B trial into one HTML file that needs nothing else."""
    return fill(
        "trial",
        content,
        "production.css",
        curve=rate_curve(
            content.get("points") or (),
            bounds=[(0.0, "no difference")],
            rate=True,
            name="difference",
        ),
    )


def _watched(principle: Json, content: Json) -> RateCurve | None:
    bound = principle.get("bound") or {}
    alarms = [
        each
        for each in content.get("alarms") or ()
        if each.get("principle_id") == principle.get("id")
    ]
    return rate_curve(
        principle.get("points") or (),
        bounds=[(float(bound["value"]), "bound")] if bound else [],
        alarms=[(int(each["at"]), str(each["kind"])) for each in alarms],
        rate=True,
        name="rate",
    )


def rate_curve(
    points: object,
    *,
    bounds: list[tuple[float, str]],
    alarms: list[tuple[int, str]] | None = None,
    rate: bool,
    name: str,
) -> RateCurve | None:
    """Lay out a curve with its band; None where there are fewer than two points.

    Args:
        points: Place, value, low, high of each.
        bounds: Levels to draw across; the first one is named in the plot.
        alarms: Places to mark.
        rate: Whether the values are shares.
        name: What the values are.
    """
    told_of = [[float(number) for number in row] for row in points]  # type: ignore[attr-defined]
    rows, stretches = [row[:4] for row in told_of], _stretches(told_of)
    if len(rows) < 2:
        return None
    places = [row[0] for row in rows] + [float(at) for at, _ in alarms or ()]
    across = tight_axis(min(places), max(places))
    # The first intervals are as wide as all there is; what comes later is what one wants to see.
    later = rows[len(rows) // 10 :]
    levels = [level for level, _ in bounds]
    up = round_axis(
        min([*(row[2] for row in later), *levels]),
        max([*(row[3] for row in later), *levels, *(each[2] for each in stretches)]),
        rate=rate,
    )

    def spot(x: float, y: float) -> str:
        inside = min(max(y, up.low), up.high)
        return f"{across.at(x)[:-1]},{flipped(up.at(inside))[:-1]}"

    upper = [spot(x, high) for x, _, _, high in rows]
    lower = [spot(x, low) for x, _, low, _ in reversed(rows)]
    last = rows[-1]
    told = (
        f"{name} {percent(last[1])}, between {percent(last[2])} and {percent(last[3])}, after "
        f"{last[0]:,.0f} conversations"
    )
    return RateCurve(
        x_ticks=across.ticks,
        y_ticks=tuple(Tick(at=flipped(tick.at), text=tick.text) for tick in up.ticks),
        band=" ".join([*upper, *lower]),
        line=" ".join(spot(x, value) for x, value, _, _ in rows),
        steps=tuple(
            (across.at(x0), across.at(x1), flipped(up.at(min(max(y, up.low), up.high))))
            for x0, x1, y in stretches
        ),
        bound=_mark(up, *bounds[0]) if bounds else None,
        alarms=tuple(Mark(at=across.at(at), text=kind) for at, kind in alarms or ()),
        description=told + "".join(f"; {kind} alarm after {at:,}" for at, kind in alarms or ()),
    )


def _stretches(points: list[list[float]]) -> list[tuple[float, float, float]]:
    """The rate between each two points, where they say of the sums."""
    found = []
    for before, after in pairwise(points):
        if len(before) == len(after) == 6 and after[5] > before[5] and after[4] >= before[4]:
            rate = (after[4] - before[4]) / (after[5] - before[5])
            found.append((before[0], after[0], rate))
    return found


def _mark(up: Axis, level: float, text: str) -> Mark:
    return Mark(at=flipped(up.at(level)), text=text)
