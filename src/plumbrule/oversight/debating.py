"""A judge between critics and defenders, and which of several ways of judging to choose."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from plumbrule.errors import ConfigError, DataError
from plumbrule.judging.comparison import DECISIVE
from plumbrule.judging.grading import LEAST_COVERED
from plumbrule.models import LanguageModel, Sampling
from plumbrule.oversight.asking import missed
from plumbrule.oversight.cases import Case, Reliability
from plumbrule.oversight.hostile import INSTRUCTION, addressed, withheld
from plumbrule.oversight.records import Failure, Kind, Opinion, Outcome, ReviewCost, total
from plumbrule.oversight.wording import (
    Side,
    Wording,
    argument_dialogue,
    flaw_odds,
    judge_dialogues,
    judge_options,
    quotes_in,
)
from plumbrule.records import Dialogue, to_json
from plumbrule.store import derive_seed, fingerprint

FLAWED, SOUND = Wording().flawed, Wording().sound
LARGEST_LEAN = 0.5
"""A judge whose two answers are farther apart than this follows the order, not the work."""

_LOCKS: dict[int, threading.Lock] = {}


@dataclass(frozen=True, kw_only=True)
class ModelJudge:
    """A specialist over language models: direct judgment, critique, consultancy, or debate.

    With a judge alone it is asked directly; with a critic it sees the critique; with a defender
    as well it sees a debate; with a defender alone it hears only that the work is sound. Handles
    are used by one check at a time, so that what each costs is known; for side-by-side calls to
    an endpoint give each specialist a handle of its own.
    """

    name: str
    judge: LanguageModel
    critic: LanguageModel | None = None
    defender: LanguageModel | None = None
    max_new_tokens: int = 256
    """Tokens of one argument."""

    wording: Wording = field(default_factory=Wording)
    kind: Kind = "model"

    @property
    def version(self) -> str:
        """Hash of the models and the words they are asked with."""
        models = [each and each.identity for each in (self.judge, self.critic, self.defender)]
        words = [to_json(self.wording), INSTRUCTION.pattern, self.max_new_tokens]
        return fingerprint([models, words])[:16]

    @property
    def most(self) -> ReviewCost:
        """Questions asked, and tokens of the arguments; what is read is not known beforehand."""
        written = sum(each is not None for each in (self.critic, self.defender))
        return ReviewCost(calls=2 + written, tokens=written * self.max_new_tokens)

    def check(self, case: Case) -> Opinion:
        """Hear the sides, then judge in both orders.

        Returns:
            `fail` or `pass` where the mean of both orders is at least 0.1 from one half and the
            orders agree, `uncertain` otherwise. Evidence: words the critic quoted that are in
            the work, and every sentence to the reviewer, which no model was shown.
        """
        costs: list[ReviewCost] = []
        arguments: dict[Side, str] = {}
        sides: tuple[tuple[Side, LanguageModel | None], ...] = (
            ("flawed", self.critic),
            ("sound", self.defender),
        )
        for side, model in sides:
            if model is None:
                continue
            asked = argument_dialogue(self.wording, case, side, critique=arguments.get("flawed"))
            text, failure, cost = written(
                model, asked, seed=derive_seed(case.seed, side), most=self.max_new_tokens
            )
            costs.append(cost)
            if failure is not None:
                return missed(f"{self.name}: {text}", failure, cost=total(costs))
            arguments[side] = text
        odds, reason, cost = self._judge(case, arguments)
        costs.append(cost)
        if odds is None:
            return missed(f"the judge gave no answer: {reason}", "refusal", cost=total(costs))
        return _opinion(case, arguments, odds, total(costs))

    def _judge(
        self, case: Case, arguments: Mapping[Side, str]
    ) -> tuple[tuple[float, float] | None, str, ReviewCost]:
        """Probability of a flaw, straight and swapped; or why there is none."""
        asked = judge_dialogues(self.wording, case, arguments)
        options = judge_options(self.wording)
        seed = derive_seed(case.seed, "judge")
        pair, reason, cost = both_orders(self.judge, asked, options, seed=seed)
        return (flaw_odds(self.wording, *pair) if pair else None), reason, cost


def written(
    model: LanguageModel, dialogue: Dialogue, *, seed: int, most: int
) -> tuple[str, Failure | None, ReviewCost]:
    """One text of a model, or why there is none, and what it took."""
    sampling = Sampling(temperature=0.0, max_new_tokens=most)
    with alone(model) as spent:
        [reply] = model.sample([dialogue], sampling=sampling, seeds=[seed])
    cost = replace(spent[0], tokens=max(spent[0].tokens, reply.tokens))
    if reply.finish_reason in ("refused", "errored"):
        failure: Failure = "refusal" if reply.finish_reason == "refused" else "error"
        return f"no answer: {reply.finish_reason} {reply.text}".strip(), failure, cost
    return reply.text, None, cost


def both_orders(
    model: LanguageModel, asked: Sequence[Dialogue], options: tuple[str, str], *, seed: int
) -> tuple[tuple[Sequence[float], Sequence[float]] | None, str, ReviewCost]:
    """Probabilities of both options, asked straight and swapped; or why there are none."""
    with alone(model, questions=2) as spent:
        # One seed for both: the orders must differ in the order alone.
        choices = model.choose(asked, options, seeds=[seed] * 2)
    for choice in choices:
        if choice.probabilities is None or choice.covered < LEAST_COVERED:
            covered = f"only {choice.covered:.0%} of the answer fell on {' and '.join(options)}"
            return None, choice.reason or covered, spent[0]
    straight, swapped = (choice.probabilities or (0.5, 0.5) for choice in choices)
    return (straight, swapped), "", spent[0]


def _opinion(
    case: Case, arguments: Mapping[Side, str], odds: tuple[float, float], cost: ReviewCost
) -> Opinion:
    flaw, lean = sum(odds) / 2, abs(odds[0] - odds[1])
    verdict: Outcome = "uncertain"
    if lean <= LARGEST_LEAN and abs(flaw - 0.5) >= DECISIVE:
        verdict = "fail" if flaw > 0.5 else "pass"
    to_reviewer = addressed(case)
    said = [f"Asked: {case.question}"] if case.question is not None else []
    said += [f"Argued {side}: {text}" for side, text in arguments.items()]
    said.append(f"The judge puts a flaw at {odds[0]:.3f}, with the sides swapped at {odds[1]:.3f}.")
    return Opinion(
        verdict=verdict,
        rationale="\n".join(said),
        confidence=max(flaw, 1 - flaw),
        evidence=(*quotes_in(case, arguments.get("flawed", "")), *to_reviewer),
        not_checked=withheld(to_reviewer),
        cost=cost,
    )


@contextmanager
def alone(model: LanguageModel, *, questions: int = 1) -> Iterator[list[ReviewCost]]:
    """Use a handle while nobody else does; the list then holds what that cost."""
    spent: list[ReviewCost] = []
    with _LOCKS.setdefault(id(model), threading.Lock()):
        before = replace(model.usage)
        yield spent
        after = model.usage
        spent.append(
            ReviewCost(
                calls=questions,
                tokens=after.tokens_generated
                + after.tokens_scored
                - before.tokens_generated
                - before.tokens_scored,
                dollars=max(0.0, after.dollars - before.dollars),
            )
        )


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
    def most(self) -> ReviewCost:
        """One question; what is read is not known beforehand."""
        return ReviewCost(calls=1)

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
        cost = ReviewCost(calls=1, tokens=read)
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
