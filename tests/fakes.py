"""Models written by hand, for tests of what is done with answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plumbrule.models import Choice, Completion, Sampling, Score, Usage
from plumbrule.records import Dialogue


@dataclass
class ScriptedModel:
    """Answers by a plain rule, and remembers what it was asked."""

    answer: Callable[[str], str] = lambda asked: "Hello."
    odds: Callable[[str, Sequence[str]], Sequence[float] | None] = lambda asked, options: (
        [1 / len(options)] * len(options)
    )
    covered: float = 1.0
    finish_reason: str = "stop"
    spec: str = "scripted"
    identity: str = "scripted"
    usage: Usage = field(default_factory=Usage)
    asked: list[Dialogue] = field(default_factory=list)

    def sample(
        self,
        dialogues: Sequence[Dialogue],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        log_probs: bool = False,
    ) -> list[Completion]:
        del sampling, log_probs
        assert len(dialogues) == len(seeds)
        self.asked.extend(dialogues)
        return [
            Completion(
                text=self.answer(dialogue[-1].content),
                finish_reason=self.finish_reason,  # type: ignore[arg-type]
                tokens=1,
            )
            for dialogue in dialogues
        ]

    def score(self, dialogues: Sequence[Dialogue], responses: Sequence[str]) -> list[Score]:
        return [Score(log_prob=-1.0, tokens=1) for _ in responses]

    def choose(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], *, seeds: Sequence[int]
    ) -> list[Choice]:
        assert len(dialogues) == len(seeds)
        self.asked.extend(dialogues)
        choices = []
        for dialogue in dialogues:
            odds = self.odds(dialogue[-1].content, options)
            choices.append(
                Choice(
                    probabilities=None if odds is None else tuple(odds),
                    covered=self.covered,
                    method="log-probs",
                    reason="it said nothing" if odds is None else None,
                )
            )
        return choices

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "scripted"}
