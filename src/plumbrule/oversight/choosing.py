"""A model that judges by choosing between two words, many cases at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumbrule.errors import ConfigError, DataError
from plumbrule.judging.grading import LEAST_COVERED
from plumbrule.models import LanguageModel
from plumbrule.oversight.asking import missed
from plumbrule.oversight.cases import Case
from plumbrule.oversight.records import Cost, Kind, Opinion, Outcome
from plumbrule.oversight.rules import Reliability
from plumbrule.records import Dialogue
from plumbrule.store import fingerprint

Question = Callable[[Case], Dialogue]
"""Puts a case into words that end with the user. What it quotes from the work is hostile: put it
between tags or on lines that the work cannot imitate."""


@dataclass(frozen=True, kw_only=True)
class ChoiceJudge:
    """A `Panel` of one model: it fails what it finds less likely to be sound than `fails_below`."""

    name: str
    model: LanguageModel
    question: Question
    words: tuple[str, str] = ("kept", "broken")
    """Answers for sound and for flawed work."""

    fails_below: float = 0.5
    """Strictly between 0 and 1. A model that learned from as many sound as flawed works, and is
    asked about works of which a share p is sound, calls flawed what it puts below 1 - p."""

    kind: Kind = "model"

    def __post_init__(self) -> None:
        if not 0 < self.fails_below < 1:
            raise ConfigError(f"fails_below lies strictly between 0 and 1, got {self.fails_below}")

    @property
    def version(self) -> str:
        """Hash of the model, the words and the threshold; the question is the caller's."""
        asks = getattr(self.question, "__qualname__", type(self.question).__name__)
        return fingerprint([self.model.identity, asks, self.words, self.fails_below])[:16]

    @property
    def most(self) -> Cost:
        """One question; what is read is not known beforehand."""
        return Cost(calls=1)

    def check(self, case: Case) -> Opinion:
        """Judge one case."""
        return self.check_all([case])[0]

    def check_all(self, cases: Sequence[Case]) -> list[Opinion]:
        """Judge cases side by side; a case the model gives neither word to is a refusal."""
        before = self.model.usage.tokens_scored
        choices = self.model.choose(
            [self.question(case) for case in cases],
            self.words,
            seeds=[case.seed for case in cases],
        )
        read = (self.model.usage.tokens_scored - before) // max(1, len(cases))
        cost = Cost(calls=1, tokens=read)
        found = []
        for choice in choices:
            if choice.probabilities is None or choice.covered < LEAST_COVERED:
                covered = f"only {choice.covered:.0%} of the answer fell on {self.words}"
                reason = f"the model gave no verdict: {choice.reason or covered}"
                found.append(missed(reason, "refusal", cost=cost))
                continue
            sound = choice.probabilities[0]
            verdict: Outcome = "fail" if sound < self.fails_below else "pass"
            found.append(
                Opinion(
                    verdict=verdict,
                    rationale=f"The model puts it at {sound:.3f} to be sound.",
                    confidence=sound if verdict == "pass" else 1 - sound,
                    cost=cost,
                )
            )
        return found


def measured_reliability(
    verdicts: Sequence[Outcome], sound: Sequence[bool], *, group: str = ""
) -> Reliability:
    """How often verdicts were right on work of known truth, half an error added to each side.

    A verdict that is neither pass nor fail counts as wrong, whatever the truth.

    Args:
        verdicts: What was said.
        sound: The truth, in the same order.
        group: Whose errors it shares.

    Raises:
        DataError: No sound or no flawed work among them, or the numbers differ.

    Source:
        Half a count on each side is the mean of Jeffreys' posterior for a proportion.

    Example:
        >>> measured_reliability(["pass", "pass", "fail"], [True, True, False]).specificity
        0.8333333333333334
    """
    if len(verdicts) != len(sound) or all(sound) or not any(sound):
        raise DataError(
            f"expected verdicts on sound and on flawed work, got {len(verdicts)} verdicts on "
            f"{sum(sound)} sound of {len(sound)}"
        )
    caught = sum(each == "fail" for each, good in zip(verdicts, sound, strict=True) if not good)
    passed = sum(each == "pass" for each, good in zip(verdicts, sound, strict=True) if good)
    good = sum(sound)
    return Reliability(
        sensitivity=(caught + 0.5) / (len(sound) - good + 1),
        specificity=(passed + 0.5) / (good + 1),
        group=group,
    )
