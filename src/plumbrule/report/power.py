"""How probably a change would have been found, against the share of prompts it touches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.report.axes import Axis, Tick, flipped, round_axis
from plumbrule.report.curves import STYLES, CurvePlot, Line
from plumbrule.report.log_scale import log_steps
from plumbrule.report.numbers import percent
from plumbrule.report.subjects import Json
from plumbrule.report.templating import UNKNOWN


def power_curve(power: Sequence[Json]) -> CurvePlot | None:
    """Draw how probably a change would have been found, against the share of prompts it touches.

    Args:
        power: Entries with `share`, `effect` and `probability`; a line an effect is drawn.

    Returns:
        The plot, on a logarithmic scale of shares where all are above 0; None without entries.
    """
    known = [one for one in power if one.get("share") is not None]
    if not known:
        return None
    across = _shares_axis(sorted({float(one["share"]) for one in known}))
    up = round_axis(0.0, 1.0, rate=True)
    effects: dict[float | None, list[Json]] = {}
    for one in known:
        effects.setdefault(one.get("effect"), []).append(one)
    ordered = sorted(effects, key=lambda effect: (effect is None, effect or 0))
    return CurvePlot(
        name="Had there been one more change, would it have been found?",
        x="share of prompts it touches" + (", log scale" if across.log else ""),
        y="probability of finding it",
        x_ticks=across.ticks,
        y_ticks=tuple(Tick(at=flipped(tick.at), text=tick.text) for tick in up.ticks),
        lines=tuple(
            _power_line(effect, effects[effect], place % STYLES, across, up)
            for place, effect in enumerate(ordered)
        ),
        description=_power_text(known),
    )


@dataclass(frozen=True, kw_only=True)
class _Shares:
    """The axis of shares; logarithmic, since rare changes are those that are hard to find."""

    axis: Axis
    """In shares, or in their logarithms."""

    ticks: tuple[Tick, ...]
    log: bool

    def at(self, share: float) -> str:
        return self.axis.at(math.log10(share) if self.log else share)


def _shares_axis(shares: Sequence[float]) -> _Shares:
    low, high = shares[0], shares[-1]
    if low <= 0 or high <= low:
        scale = round_axis(min(0.0, low), max(high, 0.01), rate=True)
        return _Shares(axis=scale, ticks=scale.ticks, log=False)
    scale = Axis(low=math.log10(low), high=math.log10(high), ticks=())
    ticks = tuple(
        Tick(at=scale.at(math.log10(step)), text=f"{100 * step:g}%")
        for step in log_steps(low, high, most=7)
    )
    return _Shares(axis=scale, ticks=ticks, log=True)


def _power_line(
    effect: float | None, entries: Sequence[Json], style: int, across: _Shares, up: Axis
) -> Line:
    ordered = sorted(entries, key=lambda one: float(one["share"]))
    points = tuple((one["share"], one.get("probability")) for one in ordered)
    known = [(across.at(share), flipped(up.at(p))) for share, p in points if p is not None]
    path = " ".join(f"{x[:-1]},{y[:-1]}" for x, y in known)
    return Line(
        name=f"a change of {_points(effect)}",
        style=style,
        paths=(path,) if len(known) > 1 else (),
        dots=tuple(known),
        points=points,
    )


def _power_text(known: Sequence[Json]) -> str:
    """Say the curve in words."""
    said = [
        f"{percent(one['share'])} of prompts changed by {_points(one.get('effect'))}: "
        f"found with probability {UNKNOWN if p is None else percent(p)}"
        for one, p in ((one, one.get("probability")) for one in known)
    ]
    return "Probability of finding a change. " + "; ".join(said)


def _points(effect: float | None) -> str:
    return "unknown size" if effect is None else f"{100 * effect:g} points"
