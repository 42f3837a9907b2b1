"""What people say about a node: accept it, overrule it with a reason, or send it back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from plumbrule.errors import ConfigError
from plumbrule.oversight.records import Action, Decision, Node, Outcome, record_id
from plumbrule.oversight.running import Review, conclude
from plumbrule.oversight.trail import ReviewTrail, reopen_trail


def accept(
    folder: Path, task_id: str, *, person: str, remark: str = "", human_minutes: float = 0.0
) -> Review:
    """Put one's name under what a node came to; it lapses when anything beneath changes.

    Args:
        folder: The review's folder.
        task_id: Which node; the root's for the whole.
        person: Who accepts.
        remark: What to say along with it.
        human_minutes: What reading took.

    Raises:
        ConfigError: There is no such node, or no name.
        LedgerError: There is no review here, or it was tampered with.
    """
    return _decide(folder, task_id, person, "accept", None, remark, (), human_minutes)


def overrule(
    folder: Path,
    task_id: str,
    outcome: Outcome,
    *,
    person: str,
    reason: str,
    human_minutes: float = 0.0,
) -> Review:
    """Replace what a node came to, as long as what lies beneath stays as it is.

    Args:
        folder: The review's folder.
        task_id: Which node.
        outcome: `pass`, `fail` or `uncertain`.
        person: Who overrules.
        reason: Why; it stands on the verdict.
        human_minutes: What deciding took.

    Raises:
        ConfigError: There is no such node, or no name.
        DataError: No reason, or an outcome nobody can set.
        LedgerError: There is no review here, or it was tampered with.
    """
    return _decide(folder, task_id, person, "overrule", outcome, reason, (), human_minutes)


def send_back(
    folder: Path,
    task_id: str,
    question: str,
    *,
    person: str,
    to: Sequence[str] | None = None,
    human_minutes: float = 0.0,
) -> Review:
    """Ask again, with a question; `answer_questions` then gets the new reports.

    Until everyone asked has answered, the node does not pass. A new report must hold the question
    in its rationale, or it counts as not checked.

    Args:
        folder: The review's folder.
        task_id: Which node.
        question: What the new reports must speak to.
        person: Who asks.
        to: Names of those of the node's specialists who are to answer; None for all of them.
        human_minutes: What reading took.

    Raises:
        ConfigError: There is no such node, nobody there to ask, or no name.
        DataError: No question.
        LedgerError: There is no review here, or it was tampered with.
    """
    return _decide(folder, task_id, person, "send back", None, question, to, human_minutes)


def _decide(
    folder: Path,
    task_id: str,
    person: str,
    action: Action,
    outcome: Outcome | None,
    text: str,
    to: Sequence[str] | None,
    human_minutes: float,
) -> Review:
    if not person.strip():
        raise ConfigError("a decision carries the name of the person who made it, got none")
    with reopen_trail(folder) as trail:
        node = _node(trail, task_id)
        asked = _asked(node, to) if action == "send back" else ()
        decision = Decision(
            id="",
            review_id=trail.records.manifest.review_id,
            task_id=task_id,
            number=len(trail.records.decisions) + 1,
            person=person,
            action=action,
            outcome=outcome,
            text=text,
            asked=asked,
            basis=node.basis,
            human_minutes=human_minutes,
        )
        trail.record(replace(decision, id=record_id(decision)))
        return conclude(trail)


def _node(trail: ReviewTrail, task_id: str) -> Node:
    nodes = {node.task.id: node for node in trail.records.tree.walk()}
    if task_id not in nodes:
        raise ConfigError(f"no node {task_id!r} in this review; there are {', '.join(nodes)}")
    return nodes[task_id]


def _asked(node: Node, to: Sequence[str] | None) -> tuple[str, ...]:
    there = node.task.specialists
    asked = there if to is None else tuple(dict.fromkeys(to))
    strangers = [name for name in asked if name not in there]
    if strangers or not asked:
        raise ConfigError(
            f"{node.task.id} can be sent back to its specialists: {', '.join(there) or 'none'}; "
            f"got {', '.join(asked) or 'nobody'}"
        )
    return asked
