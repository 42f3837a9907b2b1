"""Specialists that say what they are told, and a small review made of them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from plumbrule.oversight import Case, Opinion, Quote, ReviewCost, Span, Task, review
from plumbrule.oversight.records import Kind

TEXT = "The sum is 4. The mean is 2. The sky is green. The end is near."
FREE = ReviewCost()
FINE = Opinion(verdict="pass", rationale="fine", confidence=0.9)


@dataclass(kw_only=True)
class Says:
    """Answers by a table from task ids to opinions, and counts how often it was asked."""

    name: str = "tool"
    version: str = "1"
    kind: Kind = "tool"
    most: ReviewCost = FREE
    answers: dict[str, Any] = field(default_factory=dict)
    otherwise: Any = FINE
    asked: Counter[str] = field(default_factory=Counter)
    cases: list[Case] = field(default_factory=list)

    def check(self, case):
        self.asked[case.task.id] += 1
        self.cases.append(case)
        answer = self.answers.get(case.task.id, self.otherwise)
        return answer(case) if callable(answer) else answer


def failing(words, *, source="text", text=TEXT):
    at = text.index(words)
    quote = Quote(source=source, start=at, end=at + len(words), text=words)
    return Opinion(verdict="fail", rationale=f"wrong: {words}", confidence=1.0, evidence=(quote,))


def part(name, start, end, *specialists, parent="root", **more):
    return Task(
        id=f"{parent}/{name}",
        asks=f"Is {name} right?",
        spans=(Span(source="text", start=start, end=end),),
        specialists=specialists,
        **more,
    )


def cut(task, sources):
    """Two parts under the root, and two under the second."""
    if task.id == "root":
        return (part("sum", 0, 13, "tool", "judge"), part("rest", 14, 63, "judge"))
    if task.id == "root/rest":
        return (
            part("mean", 14, 28, "tool", parent=task.id),
            part("sky", 29, 46, "tool", "judge", parent=task.id),
        )
    return ()


ROOT = Task(id="root", asks="Is it all right?", specialists=("judge",))


def run(folder, *specialists, task=ROOT, decompose=cut, **more):
    return review(task, {"text": TEXT}, specialists, folder=folder, decompose=decompose, **more)


def state(done, task_id):
    return next(each for each in done.verdict.states if each.task_id == task_id)


def report(done, task_id, specialist):
    node = next(each for each in done.root.walk() if each.task.id == task_id)
    return next(each for each in node.current if each.specialist == specialist)
