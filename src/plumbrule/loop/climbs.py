"""A climb of amplification as a table, as sentences and as the record of its report."""

from collections.abc import Mapping, Sequence
from typing import Any

from plumbrule.oversight.amplification import Climb, ClimbRound
from plumbrule.records import Estimate, to_json

COLUMNS = ("depth", "right", "95%", "teacher", "predicted", "bound", "votes", "labels", "rule")
"""Of the table of rounds: accuracy in the exam, its interval, and that of the teacher; error of the
teacher as predicted and of the student as planted checks bound it; effective votes."""


def table(climb: Climb) -> list[tuple[str, ...]]:
    """One row a round, as `COLUMNS` names them."""
    return [_row(each) for each in climb.rounds]


def _row(found: ClimbRound) -> tuple[str, ...]:
    own = found.accuracy[-1] if found.accuracy else None
    votes = found.teacher_votes
    return (
        str(found.depth),
        _percent(own.value) if own else "not taught",
        f"{100 * own.low:.1f}-{100 * own.high:.1f}" if own else "",
        _percent(found.teacher_accuracy.value) if found.teacher_accuracy else "",
        f"<= {_percent(found.predicted)}" if found.predicted is not None else "",
        f"<= {_percent(found.student.upper)}" if found.student else "",
        _effective(found) if votes else "",
        str(found.labels.total),
        "keep" if found.stop is None else "stop",
    )


def _effective(found: ClimbRound) -> str:
    votes = found.teacher_votes
    if votes is None or votes.effective is None:
        return "?"
    return f"{votes.effective:.1f} of {votes.votes}"


def _percent(share: float) -> str:
    """A share in percent; only exactly all is 100%, only exactly none 0%."""
    text = f"{share:.1%}"
    if text == "100.0%" and share < 1:
        return "> 99.9%"
    return "< 0.1%" if text == "0.0%" and share > 0 else text


def sentences(climb: Climb) -> list[str]:
    """What came of it, in a few sentences."""
    top, stopped, asked = climb.top, climb.stopped, 2**climb.settings.rounds
    labels = climb.labels
    found = []
    if top is None:
        found.append("Not even questions at depth 1 are answered within the error budget.")
    else:
        own = top.accuracy[-1]
        found.append(
            f"Questions up to depth {top.depth} are kept, of {asked} asked for; at depth "
            f"{top.depth} {_percent(own.value)} of {own.n} questions are answered right, about "
            "contexts never seen in training."
        )
    if stopped is not None and stopped.stop is not None:
        found.append(f"The rule stopped at depth {stopped.depth}: {stopped.stop.why}.")
    found.append(
        f"The oracle gave {labels.total} labels: {labels.lessons} at depth 1, {labels.planted} "
        f"planted checks, {labels.overseer} to check the overseer alone."
    )
    return found


def content(climb: Climb, *, command: str, version: str) -> dict[str, Any]:
    """The record of a report, as `plumbrule.report.write_page` takes it."""
    top, asked = climb.top, 2**climb.settings.rounds
    reached = top is not None and top.depth >= asked
    return {
        "schema": 1,
        "title": f"Amplification: {climb.ladder}, from depth 1 to {top.depth if top else 'none'}",
        "summary": sentences(climb),
        "plumbrule_version": version,
        "seed": climb.settings.seed,
        "command": command,
        "seconds": sum(each.seconds for each in climb.rounds),
        "gates_passed": reached,
        "gates": [
            {
                "name": f"depth {asked} within the error budget",
                "bound": f"error at most {_percent(climb.settings.budget.most)} at every depth",
                "estimate": to_json(top.accuracy[-1]) if top else None,
                "passed": reached,
                "reason": None if reached else _why(climb),
            }
        ],
        "curves": [_by_depth(climb.rounds), _errors(climb.rounds)],
        "stages": [
            {"name": f"depth {each.depth}", "seconds": each.seconds, "items": each.questions}
            for each in climb.rounds
        ],
        "rounds": [to_json(each) for each in climb.rounds],
        "notes": [
            "Accuracy is over questions about contexts held out from all training. Its labels "
            "measure the method; no rule and no lesson sees them.",
            "Bounds are one-sided and hold together for all levels at the confidence of the "
            "budget, if the planted questions are like the others.",
        ],
    }


def _why(climb: Climb) -> str:
    stopped = climb.stopped
    if stopped is None or stopped.stop is None:
        return "the climb is not finished"
    return f"stopped at depth {stopped.depth}: {stopped.stop.why}"


def _by_depth(rounds: Sequence[ClimbRound]) -> Mapping[str, Any]:
    """Accuracy of each round's student at every depth it was taught."""
    series = [
        {
            "name": f"after round {each.level}",
            "points": [[level, estimate.value] for level, estimate in enumerate(each.accuracy)],
        }
        for each in rounds
        if each.accuracy
    ]
    return {
        "name": "Accuracy by depth, after each round",
        "x": "doublings of the depth (0 is depth 1)",
        "y": "right answers per question",
        "series": series,
    }


def _errors(rounds: Sequence[ClimbRound]) -> Mapping[str, Any]:
    """Error at each round's own depth: teacher, student, and the bound said before."""

    def error(estimate: Estimate | None) -> float | None:
        return None if estimate is None else 1 - estimate.value

    own = [each.accuracy[-1] if each.accuracy else None for each in rounds]
    return {
        "name": "Error at each depth",
        "x": "doublings of the depth (0 is depth 1)",
        "y": "wrong answers per question",
        "series": [
            {"name": "student", "points": [
                [each.level, error(one)] for each, one in zip(rounds, own, strict=True)]},
            {"name": "teacher", "points": [
                [each.level, error(each.teacher_accuracy)] for each in rounds]},
            {"name": "predicted upper bound", "points": [
                [each.level, each.predicted] for each in rounds]},
        ],
    }  # fmt: skip
