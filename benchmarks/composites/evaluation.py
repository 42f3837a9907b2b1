"""Recursive against direct evaluation in the village: whose verdict on composite work is better.

Direct evaluation learns from labels of whole works. Recursive evaluation learns from as many labels
of single parts, and the tree's rule makes a verdict of theirs, which is also the reward.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.composites.labels import Judging, Label, question
from benchmarks.composites.works import split_numbered
from plumbrule.errors import DataError
from plumbrule.models import LanguageModel
from plumbrule.oversight import Case, Outcome, Reliability, Rule, Span, Task
from plumbrule.oversight.debating import ChoiceJudge, measured_reliability
from plumbrule.oversight.rewarding import Reward, Work, reward_works
from plumbrule.records import Dialogue

CERTAIN = 1e-6
"""Direct evaluation is never surer than this, so that its log-odds are finite."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Rewards replies to composite requests."""

    specialists: tuple[ChoiceJudge, ...]
    rule: Rule

    def rewards(self, dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[Reward]:
        """The tree's verdict on each reply."""
        beside = tuple(each.name for each in self.specialists if each.name == "whole")
        works = [
            Work(
                task=Task(id="work", asks="Is the reply right?", specialists=beside),
                sources={"request": dialogue[-1].content, "reply": reply},
            )
            for dialogue, reply in zip(dialogues, replies, strict=True)
        ]
        return reward_works(works, self.specialists, rule=self.rule, decompose=list_parts)

    def values(self, dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[float]:
        """The rewards as numbers, as a stage of training takes them."""
        return [each.value for each in self.rewards(dialogues, replies)]


def list_parts(task: Task, sources: Mapping[str, str]) -> list[Task]:
    """Cut a work along its numbered lines; the decomposition of the tree.

    Raises:
        DataError: Request and reply are no lists of the same length. The tree then reports that
            nothing was checked.
    """
    if "/" in task.id:
        return []
    places = {name: _lines(sources[name]) for name in ("request", "reply")}
    if len(places["request"]) != len(places["reply"]):
        raise DataError(
            f"expected one numbered answer for each of {len(places['request'])} requests, got "
            f"{len(places['reply'])}"
        )
    return [
        Task(
            id=f"{task.id}/{number}",
            asks="Is this answer right?",
            specialists=("parts",),
            spans=(
                Span(source="request", start=asked[0], end=asked[1]),
                Span(source="reply", start=said[0], end=said[1]),
            ),
        )
        for number, (asked, said) in enumerate(
            zip(places["request"], places["reply"], strict=True), 1
        )
    ]


def _lines(text: str) -> list[tuple[int, int]]:
    """Where the numbered lines of a text stand, without their numbers."""
    lines = split_numbered(text)
    if lines is None:
        raise DataError(f"expected lines numbered from 1, got {text[:80]!r}")
    places, at = [], 0
    for line in lines:
        start = text.index(". ", at) + 2
        places.append((start, start + len(line)))
        at = start + len(line)
    return places


def ask_about(case: Case) -> Dialogue:
    """The question about a task: its request and its reply."""
    request, reply = (case.sources[span.source][span.start : span.end] for span in case.spans)
    return question(request, reply)


def recursive(
    parts: LanguageModel,
    checked: Sequence[Label],
    *,
    judging: Judging,
    balanced: bool = True,
    whole: tuple[LanguageModel, Sequence[Label]] | None = None,
) -> Evaluation:
    """A tree over the parts of a work, optionally with someone who reads the whole.

    Args:
        parts: Judges single parts.
        checked: Labels of parts that it was not trained on: they say how often it is right.
        judging: How it was taught.
        balanced: Whether half of the parts it learned from were sound, and not as many as there
            are in works; it then calls flawed only what is likely to be so among real ones.
        whole: Judges the whole for what only shows there, with labels it was not trained on.
    """
    judges = [
        ChoiceJudge(
            name="parts",
            model=parts,
            question=ask_about,
            fails_below=1 - judging.sound_part if balanced else 0.5,
        )
    ]
    labels = [checked]
    if whole is not None:
        judges.append(ChoiceJudge(name="whole", model=whole[0], question=ask_about))
        labels.append(whole[1])
    return Evaluation(
        specialists=tuple(judges),
        rule=Rule(
            reliabilities={
                judge.name: reliability(judge, known)
                for judge, known in zip(judges, labels, strict=True)
            },
            prior=judging.sound_part,
            fail_at=0.5,
            pass_at=0.5 + 1e-9,  # the likelier outcome decides
        ),
    )


def reliability(judge: ChoiceJudge, labels: Sequence[Label]) -> Reliability:
    """How often a judge is right on labels it was not trained on."""
    choices = judge.model.choose(
        [label.dialogue for label in labels], judge.words, seeds=[0] * len(labels)
    )
    verdicts: list[Outcome] = [
        "not checked"
        if choice.probabilities is None
        else ("fail" if choice.probabilities[0] < judge.fails_below else "pass")
        for choice in choices
    ]
    return measured_reliability(verdicts, [label.sound for label in labels])


def direct_values(
    model: LanguageModel, dialogues: Sequence[Dialogue], replies: Sequence[str]
) -> list[float]:
    """Direct evaluation's reward: log-odds of the whole being sound, in nats."""
    asked = [
        question(dialogue[-1].content, reply)
        for dialogue, reply in zip(dialogues, replies, strict=True)
    ]
    values = []
    for choice in model.choose(asked, ("kept", "broken"), seeds=[0] * len(asked)):
        likely = 0.0 if choice.probabilities is None else choice.probabilities[0]
        likely = min(1 - CERTAIN, max(CERTAIN, likely))
        values.append(float(np.log(likely / (1 - likely))))
    return values
