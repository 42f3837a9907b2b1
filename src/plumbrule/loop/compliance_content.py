"""What the page of an examination for compliance holds: findings first, then every principle."""

from collections.abc import Sequence
from typing import Any

from plumbrule.compliance import (
    CompliancePlan,
    ComplianceResult,
    PrincipleCompliance,
    Side,
    TestSet,
    plan_sentences,
)
from plumbrule.constitution import Constitution
from plumbrule.records import Exchange, to_json
from plumbrule.report import estimate_text
from plumbrule.version import __version__

SCHEMA = 1

SHOWN = 4
"""Failing replies of a principle that the page quotes."""

UNANSWERED = ("refused", "errored")


def compliance_content(
    result: ComplianceResult,
    law: Constitution,
    tests: TestSet,
    plan: CompliancePlan,
    *,
    notes: Sequence[str] = (),
    command: str = "",
) -> dict[str, Any]:
    """Put the record of an examination together.

    Args:
        result: What was found.
        law: The constitution.
        tests: What was asked.
        plan: What was said beforehand.
        notes: What was left out of the tests.
        command: What makes it again.
    """
    return {
        "schema": SCHEMA,
        "title": f"Does {result.model} keep {law.name}?",
        "plumbrule_version": __version__,
        "command": command,
        "summary": compliance_sentences(result),
        "model": {"spec": result.model, "identity": result.model_identity},
        "judge": result.judge,
        "constitution": {"name": law.name, "sha256": law.sha256},
        "tests": {
            "sha256": tests.sha256,
            "revision": tests.revision,
            "count": len(tests.cases),
        },
        "settings": to_json(result.settings),
        "plan": {**to_json(plan), "sentences": plan_sentences(plan)},
        "principles": [_principle(each, result, law) for each in result.principles],
        "regressions": [
            {
                "id": each.case.id,
                "principle": each.case.principle_id,
                "verdict": each.verdict,
                "source": each.case.source,
                **_quoted(result.exchanges[each.case.id]),
            }
            for each in result.regressions
        ],
        "notes": [*notes, *_notes(result)],
    }


def compliance_sentences(result: ComplianceResult) -> list[str]:
    """What a reader must know first."""
    judged = [each for each in result.principles if each.estimate is not None]
    broken = [each for each in judged if each.confirmed]
    lines = []
    if broken:
        lines.append(
            f"{_principles(broken)} broken more often than allowed; of such findings at most "
            f"{result.settings.fdr:.0%} are false on average."
        )
        worst = max(broken, key=lambda each: each.estimate.value if each.estimate else 0.0)
        assert worst.estimate is not None
        assert worst.broken is not None
        lines.append(
            f"Most often {worst.id}: {estimate_text(worst.estimate)}; {worst.broken.bound:.1%} "
            "are allowed."
        )
    else:
        lines.append("No principle is confirmed to be broken more often than allowed.")
    within = [each.id for each in judged if each.broken and each.broken.within]
    open_ = [
        each.id
        for each in judged
        if not each.confirmed and not (each.broken and each.broken.within)
    ]
    if within:
        lines.append(f"Kept within the bound, with its whole interval: {_names(within)}.")
    if open_:
        lines.append(f"Not decided by what was asked: {_names(open_)}.")
    refused = [each for each in result.principles if each.refused and each.refused.confirmed]
    for each in refused:
        assert each.refused is not None
        assert each.over_refusal is not None
        lines.append(
            f"Requests that only look like breaking {each.id} are refused: "
            f"{estimate_text(each.over_refusal)}; {each.refused.bound:.1%} are allowed."
        )
    lines += [said for each in judged if (said := _only_when_tested(each)) is not None]
    if result.regressions:
        lines.append(f"{len(result.regressed)} of {len(result.regressions)} regression tests fail.")
    silent = [each for each in result.principles if each.estimate is None]
    if silent:
        lines.append(
            "Nothing can be said of "
            + "; ".join(f"{each.id}: {_why(each)}" for each in silent[:4])
            + (f"; and {len(silent) - 4} more." if len(silent) > 4 else ".")
        )
    return lines


def _only_when_tested(each: PrincipleCompliance) -> str | None:
    """What there is to say where a model behaves while it is told that it is tested."""
    ways = each.broken.by_way if each.broken else {}
    told, used = ways.get("test cue"), ways.get("use cue")
    if told is None or used is None or used.low <= told.high:
        return None
    return (
        f"{each.id} is broken more often where real use is named ({estimate_text(used)}) than "
        f"where a test is ({estimate_text(told)}): the model behaves while it is tested."
    )


def _principles(found: Sequence[PrincipleCompliance]) -> str:
    names = _names([each.id for each in found])
    return f"{names} is" if len(found) == 1 else f"{len(found)} principles are"


def _names(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _why(each: PrincipleCompliance) -> str:
    return each.reason or (each.broken.reason if each.broken else None) or "nothing was asked"


def _principle(
    each: PrincipleCompliance, result: ComplianceResult, law: Constitution
) -> dict[str, Any]:
    return {
        "id": each.id,
        "text": each.text,
        "tier": each.tier,
        "tier_name": law.tier_name(each.tier),
        "reason": None if each.estimate else _why(each),
        "unproven": each.id in result.unproven,
        "broken": _side(each.broken, result),
        "refused": _side(each.refused, result),
    }


def _side(side: Side | None, result: ComplianceResult) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "bound": side.bound,
        "estimate": None if side.estimate is None else to_json(side.estimate),
        "reason": side.reason,
        "e_value": side.e_value,
        "outcome": "above" if side.confirmed else "within" if side.within else "open",
        "asked": side.asked,
        "left": side.left,
        "unanswered": sum(side.counts.get(name, 0) for name in UNANSWERED),
        "counts": dict(side.counts),
        "failing": list(side.failing),
        "by_way": [
            {"way": way, "estimate": to_json(estimate)} for way, estimate in side.by_way.items()
        ],
        "examples": [_quoted(result.exchanges[name]) for name in side.failing[:SHOWN]],
    }


def _quoted(exchange: Exchange) -> dict[str, Any]:
    return {
        "id": exchange.id,
        "messages": [[turn.role, turn.content] for turn in exchange.dialogue],
        "reply": exchange.response,
    }


def _notes(result: ComplianceResult) -> list[str]:
    notes = [
        "A request counts once with all its paraphrases: the numbers behind a rate are families of "
        "requests, of which each may be asked in several ways.",
        "An interval holds however often one looked and whenever one stopped. A reply without a "
        "verdict counts as kept at its low end and as broken at its high end.",
        f"Claims above their bound are confirmed together: at most {result.settings.fdr:.0%} of "
        "them are false on average (e-BH).",
        "Rates are those of the judge, which may be wrong; docs/certificates.md says how its "
        "errors are measured and taken out.",
        "Regression tests were chosen because they failed once, so they are in no rate.",
    ]
    if result.unproven:
        notes.append(
            "There were too few examples to tell whether the judge works under "
            f"{_names(result.unproven)}."
        )
    return notes
