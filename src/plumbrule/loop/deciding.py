"""What follows from the records of examinations alone, so that anybody can make it again.

Rates, findings, gates and the judge's quality need no model, no clock and no machine: prompts,
constitution, bounds and the records of what was said are enough. `evidence` decides by the same
function from an exported folder.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from plumbrule.compliance import (
    count,
    judge_quality,
    judged_manner,
    prohibited_violation,
    true_manner,
    violation_rate,
)
from plumbrule.constitution import Constitution
from plumbrule.loop.config import Gates
from plumbrule.loop.findings import find_changes
from plumbrule.loop.gates import check_gates
from plumbrule.loop.outcomes import outcomes
from plumbrule.loop.steps import Examined
from plumbrule.records import Estimate, Finding, Prompt, to_json


def decided(
    stages: Sequence[Examined],
    *,
    prompts: Sequence[Prompt],
    constitution: Constitution,
    gates: Gates,
    untaught: Collection[str] | None,
    command: str,
) -> tuple[dict[str, Any], int]:
    """Every number and every yes or no of a report that rests on examinations.

    Args:
        stages: The examined models, in order: before, supervised, final.
        prompts: The held-out prompts.
        constitution: What was trained on.
        gates: The bounds.
        untaught: Principles that nothing was taught under; None: none was taught by name.
        command: What makes the findings again.

    Returns:
        The parts of `report.json` by name, records among them; and how many changes were looked
        for.
    """
    known = {prompt.id: prompt for prompt in prompts}
    oracle = all(stage.truth is not None for stage in stages)
    principles = [_principle(each, stages) for each in listed(constitution)]
    findings, tested = find_changes(stages, known, constitution, command=command, oracle=oracle)
    source, last = "oracle" if oracle else "judge", stages[-1].stage
    checked = check_gates(
        gates,
        stages,
        known,
        oracle=oracle,
        findings=findings,
        broken={each["id"]: each[last]["violation_rate"][source] for each in principles},
        untaught=untaught,
    )
    return {
        "outcomes": outcomes(stages, known, oracle=oracle),
        "gates_passed": all(gate["passed"] for gate in checked),
        "gates": checked,
        "principles": principles,
        **{
            name: {stage.stage: _manner(stage, known, name, oracle=oracle) for stage in stages}
            for name in ("helpfulness", "over_refusal", "evasiveness")
        },
        "headline_source": source,
        "measures": _measures(stages, known, oracle=oracle),
        "judge_quality": _quality(stages, constitution) if oracle else None,
        "findings": findings,
    }, tested


def listed(constitution: Constitution) -> list[dict[str, Any]]:
    """Principles as a report has them, those that decide first on top."""
    return [
        {"id": each.id, "text": each.text, "tier": each.tier, "source": each.source}
        for _, principles in constitution.by_tier()
        for each in principles
    ]


def _principle(principle: Mapping[str, Any], stages: Sequence[Examined]) -> dict[str, Any]:
    row: dict[str, Any] = {key: principle[key] for key in ("id", "text", "tier")}
    for stage in stages:
        judged = [each.verdict for each in stage.judgments if each.principle_id == principle["id"]]
        true = [each.verdicts[principle["id"]] for each in stage.truth or ()]
        row[stage.stage] = {
            "violation_rate": {
                "judge": violation_rate(judged),
                "oracle": violation_rate(true) if stage.truth is not None else None,
            },
            "counts": count(judged),
            "oracle_counts": count(true, oracle=True) if stage.truth is not None else None,
            "records": f"stages/examination/{stage.stage}/judgments",
        }
    return row


def _manner(
    stage: Examined, prompts: Mapping[str, Prompt], measure: str, *, oracle: bool
) -> Estimate | None:
    if oracle:
        return true_manner(stage.truth or (), prompts, measure)
    return judged_manner(stage.manners, prompts, measure)


_NAMED_MEASURES = (
    ("helped_permitted", "Permitted requests helped", "higher"),
    ("helped_look_alike", "Look-alike requests helped", "higher"),
    ("over_refusal", "Refusals of requests that deserve help", "lower"),
    ("evasiveness", "Evasive replies", "lower"),
)


def _measures(
    stages: Sequence[Examined], prompts: Mapping[str, Prompt], *, oracle: bool
) -> list[dict[str, Any]]:
    rows = []
    if oracle:
        row: dict[str, Any] = {
            "name": "Prohibited requests answered against the constitution",
            "by": "oracle",
            "better": "lower",
            "records": "stages/examination/final/oracle",
        }
        for stage in stages:
            row[stage.stage] = prohibited_violation(stage.truth or (), prompts)
        rows.append(row)
    for by in ("oracle", "judge") if oracle else ("judge",):
        for measure, name, better in _NAMED_MEASURES:
            folder = "oracle" if by == "oracle" else "manners"
            row = {
                "name": name,
                "by": by,
                "better": better,
                "records": f"stages/examination/final/{folder}",
            }
            for stage in stages:
                row[stage.stage] = _manner(stage, prompts, measure, oracle=by == "oracle")
            rows.append(row)
    return rows


def _quality(stages: Sequence[Examined], constitution: Constitution) -> list[dict[str, Any]]:
    """How well the judge sees what is true, over all stages together."""
    judged = [(stage.stage, each) for stage in stages for each in stage.judgments]
    truth = {
        (stage.stage, each.exchange_id): each for stage in stages for each in stage.truth or ()
    }
    return judge_quality(judged, truth, [each["id"] for each in listed(constitution)])


def plain(value: Any) -> Any:
    """Records inside a mapping as plain values."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return to_json(value) if isinstance(value, Estimate | Finding) else value
