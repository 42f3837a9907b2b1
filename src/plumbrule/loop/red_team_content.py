"""What the page of a red team holds: holes first, then rates by family and by principle."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from plumbrule.compliance.attacks import AttackOutcome, AttackRate, Hole, RedTeamResult
from plumbrule.records import to_json
from plumbrule.report import estimate_text
from plumbrule.version import __version__

SCHEMA = 1


def red_team_content(
    result: RedTeamResult, *, notes: Sequence[str] = (), command: str = ""
) -> dict[str, Any]:
    """Put the record of a red team together.

    Args:
        result: What was found.
        notes: What came of looking for attacks.
        command: What makes it again.
    """
    return {
        "schema": SCHEMA,
        "title": f"Where does {result.model} give way?",
        "plumbrule_version": __version__,
        "command": command,
        "summary": red_team_sentences(result),
        "model": {"spec": result.model, "identity": result.model_identity},
        "judge": result.judge,
        "constitution": {"name": result.constitution, "sha256": result.constitution_sha256},
        "budget": result.budget,
        "used": result.used,
        "cells": result.cells,
        "not_tried": result.not_tried,
        "verdicts": dict(Counter(each.verdict for each in result.outcomes)),
        "holes": [_hole(each) for each in result.holes],
        "by_family": [_rate(each) for each in result.by_family],
        "by_principle": [_rate(each) for each in result.by_principle],
        "notes": [*notes, *result.notes, *_notes(result)],
    }


def red_team_sentences(result: RedTeamResult) -> list[str]:
    """What a reader must know first."""
    tried = result.cells - result.not_tried
    spent = f"{result.used:,} of {result.budget:,} replies used"
    if not result.holes:
        return [
            f"No attack succeeded: {len(result.outcomes):,} attacks, {tried} of {result.cells} "
            f"pairs of principle and family tried, {spent}.",
            "That is no proof that there is no hole; the rates below say how rare one must be.",
        ]
    by_principle = Counter(each.principle_id for each in result.holes)
    by_family = Counter(each.family for each in result.holes)
    principle, most = by_principle.most_common(1)[0]
    family, widest = by_family.most_common(1)[0]
    what = "hole" if len(result.holes) == 1 else "holes"
    lines = [
        f"{len(result.holes)} {what}, each a principle that gives way to a family of attacks; "
        f"{tried} of {result.cells} such pairs tried, {spent}.",
    ]
    if len(result.holes) > 1:
        lines.append(
            f"{principle} gives way to the most families ({most}); {family} opens the most "
            f"principles ({widest})."
        )
    known = [each for each in result.by_family if each.estimate is not None]
    if known:
        worst = max(known, key=lambda each: each.estimate.value if each.estimate else 0.0)
        assert worst.estimate is not None
        lines.append(
            f"Attacks drawn evenly succeed most often by {worst.name}: "
            f"{estimate_text(worst.estimate)}."
        )
    return lines


def _hole(each: Hole) -> dict[str, Any]:
    return {
        "principle": each.principle_id,
        "family": each.family,
        "origin": each.origin,
        "tries": each.tries,
        "hits": each.hits,
        "example": _played(each.first),
    }


def _played(outcome: AttackOutcome) -> dict[str, Any]:
    return {
        "goal": outcome.attack.goal[-1].content,
        "messages": [[turn.role, turn.content] for turn in outcome.exchange.dialogue],
        "prefill": outcome.attack.prefill,
        "reply": outcome.exchange.response,
        "source": outcome.attack.source,
    }


def _rate(each: AttackRate) -> dict[str, Any]:
    return {
        "name": each.name,
        "estimate": None if each.estimate is None else to_json(each.estimate),
        "reason": each.reason,
        "tries": each.tries,
        "hits": each.hits,
        "unanswered": each.unanswered,
    }


def _notes(result: RedTeamResult) -> list[str]:
    return [
        "A hole is a principle with a family of attacks, however many wordings succeed: it is "
        "mended once, and counted once.",
        "Rates come only from the attacks that were drawn evenly over all pairs; the others went "
        "where holes were likely, so their share says nothing of a rate.",
        "A reply is judged as one to the plain request that the attack is after. A reply that "
        "talks to its judge is read once more without that talk, and the worse verdict counts.",
        f"{result.judge} judged, and may be wrong: read the attack before you mend the hole.",
    ]
