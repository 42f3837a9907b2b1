"""The record of a loop's page: round by round, what was found, tried, proved and kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plumbrule.loop.remedies.closing import FaultAnswered, LoopResult, LoopRound
from plumbrule.loop.remedies.faults import LoopFault
from plumbrule.loop.remedies.ground import LoopSettings
from plumbrule.loop.remedies.trials import BranchTrial, Relearning
from plumbrule.records import Amendment, DataPatch, Intervention, Remedy, to_json
from plumbrule.version import __version__

SHOWN = 12
"""Examples of a patch that the page shows."""

UNSEEN = 0.2
"""Share of broken replies from which on it is said that they would not have been noticed."""

NAMED = 5
"""Principles that are named as such."""

CAUSES = {
    "no principle": "the constitution lacks a principle",
    "constitution": "the constitution asks for it as it is written",
    "data": "the training data",
    "not learned": "the weights: neither the constitution nor the data ask for it",
}
NO_DATA = "the weights, or training data that are not at hand: the constitution does not ask for it"


def loop_story(
    result: LoopResult, settings: LoopSettings, folder: Path, *, title: str, command: str
) -> dict[str, Any]:
    """The record that the page and `report.json` hold, as `docs/loop.md` describes it."""
    inside = result.stands.model.is_relative_to(folder)
    return {
        "title": title or "From findings to a model that stands",
        "summary": summary_of(result),
        "gates_hold": result.gates_hold,
        "ending": result.ending,
        "command": command,
        "version": __version__,
        "constitution_before": result.started.constitution.sha256,
        "constitution_after": result.stands.constitution.sha256,
        "model_before": result.started.identity,
        "model_after": result.stands.identity,
        "model": str(result.stands.model.relative_to(folder) if inside else result.stands.model),
        "prompts": {
            "teach": len(result.prompts.teach),
            "find": len(result.prompts.find),
            "prove": len(result.prompts.prove),
        },
        "rounds": [_round(each, data=bool(result.started.data)) for each in result.rounds],
        "left": [each.finding.claim for each in result.left],
        "settings": to_json(settings),
    }


def summary_of(result: LoopResult) -> list[str]:
    """What a reader must know first, in sentences."""
    kept = result.accepted
    tried = [t for r in result.rounds for answered in r.answered for t in answered.trials]
    person = sum(each.decision == "handed to a person" for each in tried)
    said = []
    if not result.rounds and result.gates_hold:
        said.append("Nothing was found, and nothing was changed.")
    for each in kept:
        said.append(f"{_of(each.remedy, each.kind)} answers: {_fixes(each)}")
    if tried:
        rest = len(tried) - len(kept) - person
        said.append(
            f"{_count(len(tried), 'remedy')} tried on branches in "
            f"{_count(len(result.rounds), 'round')}: {len(kept)} accepted, {rest} rejected, "
            f"{person} handed to a person."
        )
    said.append(
        "The gates hold: nothing is left that was found."
        if result.gates_hold
        else f"The gates do not hold ({result.ending}); left: "
        + " ".join(each.finding.claim for each in result.left)
    )
    return [*said, *_looked_first(result), *_unseen(result)]


def _looked_first(result: LoopResult) -> list[str]:
    """What other verbs found, and what became of it."""
    found = result.suspicions
    if not found.given:
        return []
    requests = sum(len(each) for each in found.requests.values())
    said = [
        f"Looked at first, from findings of other verbs: {_count(requests, 'request')} and "
        f"{_count(len(found.words), 'text')} around requests. They prove nothing here: what is "
        "found was found on other requests."
    ]
    if requests and not result.asked_further:
        said.append("Nobody writes further requests like those, so they led to nothing.")
    if found.unused:
        said.append(
            f"Left aside: {_count(len(found.unused), 'finding')}, such as {found.unused[0]}."
        )
    return said


def _unseen(result: LoopResult) -> list[str]:
    """What could not have been found, because too few requests speak of it."""
    found = {each.principle_id for each in result.left}
    hard = {
        name: "no request speaks of it"
        if not count
        else f"any of {count}"
        if least is None
        else f"up to {least - 1} of {count}"
        for name, (count, least) in result.seen.items()
        if name not in found and (not count or least is None or least - 1 >= UNSEEN * count)
    }
    if not hard:
        return []
    said = [f"`{name}` ({which})" for name, which in hard.items()]
    more = f" and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return [
        f"For want of requests a fault could stay unseen in {UNSEEN:.0%} of the replies and more: "
        f"{', '.join(said[:NAMED])}{more}."
    ]


def _count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _fixes(trial: BranchTrial) -> str:
    change = trial.target
    if change is None or change.before is None or change.after is None:
        return trial.fault
    return (
        f"`{change.principle_id}` was broken in {change.before.value:.0%} of "
        f"{change.before.n} replies that prove it, and is in {change.after.value:.0%}."
    )


def _of(remedy: Remedy | None, kind: str) -> str:
    if isinstance(remedy, Amendment):
        return f"An amendment ({remedy.kind})"
    if isinstance(remedy, DataPatch):
        return "A patch of the data"
    return f"An {kind}" if kind[0] in "aeiou" else f"A {kind}"


def remedy_sentence(remedy: Remedy | None) -> str:
    """What a remedy does, in a sentence."""
    if isinstance(remedy, Amendment):
        before = f" in place of “{remedy.before}”" if remedy.before else ""
        return f"{remedy.kind.capitalize()} `{remedy.principle_id}`: “{remedy.after}”{before}."
    if isinstance(remedy, DataPatch):
        counts = {name: 0 for name in ("relabel", "drop", "add")}
        for each in remedy.examples:
            counts[each.action] += 1
        return (
            f"Training examples: {counts['relabel']} get another reply, {counts['drop']} dropped, "
            f"{counts['add']} added."
        )
    if isinstance(remedy, Intervention):
        return f"{len(remedy.sites)} matrices are changed: {', '.join(remedy.sites[:6])}."
    return "No remedy could be made."


def _round(each: LoopRound, *, data: bool) -> dict[str, Any]:
    return {
        "number": each.number,
        "tokens": each.tokens,
        "accepted": each.accepted,
        "found": [_fault(fault) for fault in each.found],
        "answered": [_answered(one, data=data) for one in each.answered],
    }


def _fault(fault: LoopFault) -> dict[str, Any]:
    return {
        "name": fault.name,
        "principle_id": fault.principle_id,
        "claim": fault.finding.claim,
        "estimate": to_json(fault.finding.estimate) if fault.finding.estimate else None,
        "guarantee": to_json(fault.finding.guarantee) if fault.finding.guarantee else None,
    }


def _answered(one: FaultAnswered, *, data: bool) -> dict[str, Any]:
    cause = one.fault.cause
    return {
        **_fault(one.fault),
        "cause": CAUSES[cause] if data or cause != "not learned" else NO_DATA,
        "why": one.fault.why,
        "examples": [list(each) for each in one.examples],
        "trials": [_trial(each) for each in one.trials],
    }


def _trial(trial: BranchTrial) -> dict[str, Any]:
    plain: Mapping[str, Any] = to_json(trial)
    remedy = trial.remedy
    shown: dict[str, Any] = {}
    if remedy is not None:
        shown = {
            name: value
            for name, value in to_json(remedy).items()
            if name in ("fixes", "spares", "check", "cost", "ranked_by", "control", "method")
        }
    if isinstance(remedy, DataPatch):
        shown["examples"] = [to_json(each) for each in remedy.examples[:SHOWN]]
        shown["of"] = len(remedy.examples)
    return {
        **{name: value for name, value in plain.items() if name != "remedy"},
        "what": remedy_sentence(remedy),
        "remedy": shown,
        "relearned": relearning_sentence(trial.relearning),
    }


def relearning_sentence(found: Relearning | None) -> str | None:
    """How quickly the fault comes back, in a sentence."""
    if found is None:
        return None
    if found.reason is not None:
        return f"Relearning was not tried: {found.reason}."
    steps = (
        f"was not back after {found.most} steps"
        if found.steps is None
        else f"was back after {_count(found.steps, 'step')}"
    )
    before = "not" if found.unrepaired is None else f"after {_count(found.unrepaired, 'step')}"
    return (
        f"Trained on the fault again, four replies a step, it {steps}; the model before showed it "
        f"{before}."
    )
