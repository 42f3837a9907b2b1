"""The page of an examination for compliance: each principle on one axis, with its bound."""

from collections.abc import Iterable
from dataclasses import dataclass

from plumbrule.report.axes import Axis, round_axis
from plumbrule.report.figures import Lane
from plumbrule.report.numbers import denominator_text, estimate_text, interval_text, value_text
from plumbrule.report.strips import strip_mark
from plumbrule.report.subjects import Json
from plumbrule.report.templating import fill


@dataclass(frozen=True, kw_only=True)
class BoundedLane:
    """One rate with its interval, beside what is allowed."""

    lane: Lane
    bound: str | None
    """Position of what is allowed, in percent; None where nothing is said."""

    outcome: str | None
    """`above`, `within` or `open`; None where there is no bound."""


@dataclass(frozen=True, kw_only=True)
class BoundedRates:
    """Rates on one axis."""

    axis: Axis
    lanes: tuple[BoundedLane, ...]


def render(content: Json) -> str:
    """Turn the record of an examination into one HTML file that needs nothing else.

    Args:
        content: The record as `report.json` holds it.

    Returns:
        The page; the same record gives the same text.
    """
    sides = {
        side: bounded_rates(
            (str(each.get("id")), f"#principle-{place}", each.get(side) or {})
            for place, each in enumerate(content.get("principles") or (), 1)
        )
        for side in ("broken", "refused")
    }
    return fill("compliance", content, "compliance.css", **sides)


def bounded_rates(rows: Iterable[tuple[str, str | None, Json]]) -> BoundedRates | None:
    """Lay out rates on one axis; None where there is none.

    Args:
        rows: Name, link and record of each: its `estimate`, and perhaps `bound` and `outcome`.
    """
    found = [(name, href, row) for name, href, row in rows if row.get("estimate")]
    if not found:
        return None
    ends = [max(row["estimate"]["high"], row.get("bound") or 0.0) for _, _, row in found]
    scale = round_axis(0.0, max(ends), rate=True)
    return BoundedRates(axis=scale, lanes=tuple(_lane(scale, *row) for row in found))


def _lane(scale: Axis, name: str, href: str | None, row: Json) -> BoundedLane:
    estimate, bound = row["estimate"], row.get("bound")
    return BoundedLane(
        lane=Lane(
            name=name,
            marks=(strip_mark(scale, estimate, "final"),),
            value=value_text(estimate),
            detail=f"{interval_text(estimate)} · {denominator_text(estimate)}",
            description=f"{name}: {estimate_text(estimate)}",
            href=href,
        ),
        bound=None if bound is None else scale.at(float(bound)),
        outcome=row.get("outcome"),
    )
