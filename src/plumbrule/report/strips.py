"""Rates of two models and their difference, as lanes on an axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumbrule.report.axes import Axis, round_axis
from plumbrule.report.figures import EstimateMark, Lane
from plumbrule.report.numbers import (
    denominator_text,
    estimate_text,
    interval_text,
    is_rate,
    number_text,
    value_text,
)
from plumbrule.report.subjects import Json


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Lanes on one axis."""

    axis: Axis
    lanes: tuple[Lane, ...]

    bounds: tuple[str, ...] = ()
    """Positions of the least change that is worth a claim, one a direction."""

    bound_text: str = ""


def signed_text(estimate: Json) -> str:
    """Write a difference with its sign; a unit that only says so again is left out."""
    bare = says_change(estimate) and not is_rate(estimate)
    text = short_text(estimate) if bare else value_text(estimate)
    return ("+" if estimate["value"] > 0 else "") + text


def says_change(estimate: Json) -> bool:
    """Whether the unit itself says that this is a difference."""
    return str(estimate["unit"]).casefold().startswith(("change", "difference"))


def rates_strip(finding: Json) -> Strip | None:
    """Lay out the rate of each model; None unless both are known."""
    known = [finding.get(key) for key in ("base_rate", "tuned_rate")]
    rates = [rate for rate in known if rate]
    if len(rates) < len(known):
        return None
    scale = strip_axis(rates)
    return Strip(
        axis=scale,
        lanes=tuple(
            _lane(name, rate, (strip_mark(scale, rate, look),), short_text(rate))
            for name, look, rate in zip(("base", "tuned"), ("before", "final"), rates, strict=True)
        ),
    )


def difference_strip(finding: Json, settings: Json) -> Strip | None:
    """Lay out the difference and the least one that counts; None where it is not known."""
    estimate = finding.get("estimate")
    if not estimate:
        return None
    least = minimum_effect(finding, settings)
    ends = [] if least is None else [-least, least]
    scale = strip_axis([estimate], ends)
    mark = strip_mark(scale, estimate, "final", "other")
    return Strip(
        axis=scale,
        lanes=(_lane("change", estimate, (mark,), signed_text(estimate)),),
        bounds=tuple(scale.at(end) for end in ends),
        bound_text="" if least is None else _size_text(estimate, least),
    )


def _size_text(estimate: Json, size: float) -> str:
    return signed_text({**estimate, "value": size}).removeprefix("+")


def minimum_effect(finding: Json, settings: Json) -> float | None:
    """Find the least change that counts: the finding's own, or the one set for scores up to 1."""
    own = finding.get("minimum_effect")
    if own is not None:
        return float(own)
    estimate = finding.get("estimate")
    if not estimate or not -1 <= estimate["low"] <= estimate["high"] <= 1:
        return None
    nested = [part for part in settings.values() if isinstance(part, Mapping)]
    parts, names = (settings, *nested), ("minimum_effect", "min_effect")
    found = [part.get(name) for part in parts for name in names]
    return next((float(one) for one in found if one is not None), None)


def strip_axis(estimates: Sequence[Json], ends: Sequence[float] = ()) -> Axis:
    """Choose an axis that holds intervals, and 0, so that lengths can be compared."""
    if not estimates:
        return round_axis(0.0, 1.0, rate=True)
    low = min(0.0, *ends, *(float(estimate["low"]) for estimate in estimates))
    high = max(0.0, *ends, *(float(estimate["high"]) for estimate in estimates))
    return round_axis(low, high, rate=all(map(is_rate, estimates)))


def strip_mark(scale: Axis, estimate: Json, look: str, shape: str = "judge") -> EstimateMark:
    """Place one estimate and its interval; a circle unless another shape is named."""
    width = 100 * (estimate["high"] - estimate["low"]) / (scale.high - scale.low)
    x, low = scale.at(estimate["value"]), scale.at(estimate["low"])
    return EstimateMark(shape=shape, look=look, x=x, low=low, width=f"{width:.3f}%", dy=0)


def _lane(name: str, estimate: Json, marks: tuple[EstimateMark, ...], value: str) -> Lane:
    return Lane(
        name=name,
        marks=marks,
        value=value,
        detail=f"{interval_text(estimate)} · {denominator_text(estimate)}",
        description=f"{name}: {estimate_text(estimate)}",
        href=None,
    )


def short_text(estimate: Json) -> str:
    """Write the point estimate; a unit that is no share is elsewhere."""
    return value_text(estimate) if is_rate(estimate) else number_text(estimate["value"])
