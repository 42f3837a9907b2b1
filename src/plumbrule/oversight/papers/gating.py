"""What a pipeline may conclude from a review: whether its gate is open, and if not, why not."""

from collections.abc import Iterator

from plumbrule.oversight.aggregating import State, open_question
from plumbrule.oversight.papers.specialists import flaws_in
from plumbrule.oversight.records import Node
from plumbrule.oversight.running import Review

WHOLE_READ = "reading"
"""Name of the check that says whether the paper could be read at all."""


def closed_because(done: Review, *, strict: bool = False) -> tuple[str, ...]:
    """Reasons for a pipeline not to let the paper through; empty where the gate is open.

    The gate is closed where something fails, where a check that was asked for did not take place
    (it crashed, declined, ran out of time or of budget), where the paper could not be read whole,
    or where a person's question is open. Questions for which nobody was given, and kinds of
    statements that the paper does not hold, leave it open: that is no pass, and is said beside
    it. What a person overruled counts as overruled.

    Args:
        done: A review of a paper.
        strict: Close it on everything but the outcome `pass`.
    """
    states = {state.task_id: state for state in done.verdict.states}
    reasons = list(dict.fromkeys(_reasons(done.root, states)))
    if done.verdict.outcome == "fail" and not reasons:
        reasons = list(done.verdict.because)
    if strict and done.verdict.outcome != "pass" and not reasons:
        reasons = [f"the outcome is {done.verdict.outcome}, not pass"]
    return tuple(reasons)


def _reasons(node: Node, states: dict[str, State]) -> Iterator[str]:
    state = states[node.task.id]
    if state.overruled_by is not None:
        if state.outcome != "pass":
            yield f"{node.task.id}: {state.because[0]}"
        return
    question = open_question(node)
    if question is not None:
        yield f"{node.task.id}: {question.person} asked, and not all have answered"
    for report in node.current:
        first = report.rationale.split("\n")[0]
        if report.verdict == "fail":
            yield f"{node.task.id}: {report.specialist} found {_short(first)}"
        elif report.failure is not None:
            yield f"{node.task.id}: {report.specialist} did not check: {_short(first)}"
        elif report.specialist == WHOLE_READ and report.verdict != "pass":
            left = "; ".join(flaw.message for flaw in flaws_in(report)) or first
            yield f"{node.task.id}: the paper could not be read whole: {_short(left)}"
    for child in node.children:
        yield from _reasons(child, states)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
