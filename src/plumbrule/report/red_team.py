"""The page of a red team: holes as a grid of principles and families, and rates of attacks."""

from dataclasses import dataclass

from plumbrule.report.compliance import bounded_rates
from plumbrule.report.subjects import Json
from plumbrule.report.templating import fill


@dataclass(frozen=True, kw_only=True)
class HoleRow:
    """A principle, and for each family the number of its hole on the page."""

    name: str
    places: tuple[int | None, ...]
    """One a family; None where nothing was found."""


def render(content: Json) -> str:
    """Turn the record of a red team into one HTML file that needs nothing else."""
    families, grid = hole_grid(content)
    rates = {
        side: bounded_rates((str(each.get("name")), None, each) for each in content.get(side) or ())
        for side in ("by_family", "by_principle")
    }
    return fill("red_team", content, "compliance.css", families=families, grid=grid, rates=rates)


def hole_grid(content: Json) -> tuple[tuple[str, ...], tuple[HoleRow, ...]]:
    """Families across, principles down; only those with a hole.

    Args:
        content: The record.
    """
    places = {
        (str(each.get("principle")), str(each.get("family"))): number
        for number, each in enumerate(content.get("holes") or (), 1)
    }
    families = tuple(dict.fromkeys(family for _, family in places))
    principles = dict.fromkeys(principle for principle, _ in places)
    return families, tuple(
        HoleRow(name=name, places=tuple(places.get((name, family)) for family in families))
        for name in principles
    )
