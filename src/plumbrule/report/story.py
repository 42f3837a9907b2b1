"""The page of a loop: round by round, what was found, what was tried, and the proof."""

from collections.abc import Mapping
from typing import Any

from plumbrule.report.axes import round_axis
from plumbrule.report.figures import Lane
from plumbrule.report.numbers import denominator_text, estimate_text, interval_text, value_text
from plumbrule.report.strips import strip_mark
from plumbrule.report.subjects import Json
from plumbrule.report.templating import fill

DECISIONS = {"accepted": "good", "rejected": "bad", "handed to a person": "unsure"}
"""Decision on a remedy → how it looks."""

AXIS = round_axis(0.0, 1.0, rate=True)


def render(content: Json) -> str:
    """Turn the record of a loop into one HTML file that needs nothing else.

    Args:
        content: The record as `report.json` holds it.

    Returns:
        The page; the same record gives the same text.
    """
    return fill("story", content, "story.css", decisions=DECISIONS, axis=AXIS, proof=proof_lanes)


def proof_lanes(trial: Mapping[str, Any]) -> list[Lane]:
    """What a trial was judged by: the target, the words around it, what moved beside it."""
    rows = [("The fault", trial.get("target"))]
    rows += [(f"The fault {each['where']}", each) for each in trial.get("matched") or ()]
    if trial.get("control"):
        rows.append(("The fault, after as many examples by chance", trial["control"]))
    siblings = sorted(
        trial.get("siblings") or (),
        key=lambda each: -abs((each.get("change") or {}).get("value") or 0.0),
    )
    rows += [(f"{each['principle_id']} ({each['where']})", each) for each in siblings]
    return [
        _lane(name, change["before"], change["after"])
        for name, change in rows
        if change and change.get("before") and change.get("after")
    ]


def _lane(name: str, before: Json, after: Json) -> Lane:
    return Lane(
        name=name,
        marks=(strip_mark(AXIS, before, "before"), strip_mark(AXIS, after, "final")),
        value=f"{value_text(before)} → {value_text(after)}",
        detail=f"{interval_text(after)} · {denominator_text(after)}",
        description=f"{name}: before {estimate_text(before)}; after {estimate_text(after)}",
        href=None,
    )
