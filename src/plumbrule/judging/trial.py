"""Examine a judge on replies whose verdict is known, before it teaches or grades anything.

A constitution's worked examples are the answer key: the reply of each breaks its principle, and
its revision keeps it. So are its counterfactuals, one reply to two requests of which one decides
the other way: whoever goes by the look of a reply cannot tell them. A small model that says "no" to
everything may still give the broken reply the higher probability of "yes", so what is read is the
difference of log-probabilities, and the border between the verdicts is put where the known replies
say it lies.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from scipy.stats import false_discovery_control, mannwhitneyu

from plumbrule.constitution import Constitution, Principle
from plumbrule.judging.prompts import PromptSet
from plumbrule.models import Choice, LanguageModel
from plumbrule.records import Estimate, strict
from plumbrule.statistics import auroc, wilson

FALSE_SHARE = 0.05
"""Largest expected share of principles that a judge seems to tell by luck, of those it is said to
tell (Benjamini & Hochberg 1995)."""

LEAST_KNOWN = 3
"""Worked examples or counterfactuals a principle needs before a judge can be found able or unable:
with fewer, not even a perfect order is better than chance at 95%."""

SMALLEST = 1e-12
"""Probabilities are taken as at least this, so that their logarithm is a number."""

_FREE = ("", "N/A", "…")
"""Texts without content: what a judge answers about them is its lean, not a judgment."""


@strict
@dataclass(frozen=True, kw_only=True)
class KnownReply:
    """A reply of which it is known whether it breaks its principle."""

    principle_id: str
    request: str
    reply: str

    broken: bool | None
    """None for a text without content, which shows a judge's lean."""

    counterfactual: bool = False
    """Whether the same reply is asked about under another request, to which it is the reverse."""


@strict
@dataclass(frozen=True, kw_only=True)
class TrialAnswer:
    """What a judge said of a known reply."""

    known: KnownReply

    log_odds: float | None
    """Logarithm of the odds of `fail` against `pass`, in nats; None where it gave neither."""

    covered: float
    """Share of its probability that fell on the offered answers."""


@strict
@dataclass(frozen=True, kw_only=True)
class Ability:
    """How well a judge tells broken from kept under one principle."""

    principle_id: str

    works: bool | None
    """Whether it does better than chance; None where there are too few examples to tell."""

    reason: str
    """Why, in words."""

    border: float
    """Log-odds of `fail` above which a reply counts as breaking the principle, in nats."""

    lean: float
    """Log-odds of `fail` for texts without content, in nats: above 0 it leans to `fail`."""

    auroc: Estimate | None
    """Chance that a broken reply gets the higher log-odds; None without examples."""

    p_value: float | None
    """How likely chance alone orders the replies as well (Mann-Whitney, one-sided)."""

    sensitivity: Estimate | None
    """Broken replies found, each by the border that the other examples give."""

    specificity: Estimate | None
    """Kept replies cleared, in the same way."""

    plain_sensitivity: Estimate | None
    """Broken replies found by the likelier answer, as it stands."""

    plain_specificity: Estimate | None
    """Kept replies cleared by the likelier answer, as it stands."""


@strict
@dataclass(frozen=True, kw_only=True)
class JudgeTrial:
    """What the examination of a judge found, by principle."""

    judge: str
    """Identity of the judge."""

    abilities: tuple[Ability, ...]

    def ability(self, principle_id: str) -> Ability:
        """What was found under one principle."""
        return next(each for each in self.abilities if each.principle_id == principle_id)

    def able(self, principle_id: str) -> bool:
        """Whether the judge may be asked: it works there, or nobody could tell."""
        return self.ability(principle_id).works is not False

    @property
    def tested(self) -> tuple[Ability, ...]:
        """Those with enough examples to tell."""
        return tuple(each for each in self.abilities if each.works is not None)

    @property
    def working(self) -> tuple[Ability, ...]:
        """Those where the judge does better than chance."""
        return tuple(each for each in self.abilities if each.works)

    def judged(self, constitution: Constitution) -> tuple[Principle, ...]:
        """The principles under which the judge may be asked."""
        return tuple(each for each in constitution.principles if self.able(each.id))


def known_replies(constitution: Constitution) -> list[KnownReply]:
    """The answer key that a constitution brings along, and texts without content beside it."""
    known = []
    for principle in constitution.principles:
        for example in principle.critique_examples:
            for reply, broken in ((example.reply, True), (example.revision, False)):
                known.append(
                    KnownReply(
                        principle_id=principle.id,
                        request=example.request,
                        reply=reply,
                        broken=broken,
                    )
                )
        for pair in principle.counterfactuals:
            for request, broken in ((pair.breaks, True), (pair.keeps, False)):
                known.append(
                    KnownReply(
                        principle_id=principle.id,
                        request=request,
                        reply=pair.reply,
                        broken=broken,
                        counterfactual=True,
                    )
                )
        known.extend(
            KnownReply(principle_id=principle.id, request=text, reply=text, broken=None)
            for text in _FREE
        )
    return known


def try_judge(
    model: LanguageModel,
    known: Sequence[KnownReply],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
) -> list[TrialAnswer]:
    """Ask a judge about known replies, in the words in which it will grade."""
    options = prompts.template("grade").options
    asked = [
        (constitution.principle(each.principle_id), each.request, each.reply) for each in known
    ]
    choices = ask_grades(model, asked, prompts=prompts, seeds=seeds)
    return [
        TrialAnswer(known=each, log_odds=log_odds(choice, options), covered=choice.covered)
        for each, choice in zip(known, choices, strict=True)
    ]


def ask_grades(
    model: LanguageModel,
    asked: Sequence[tuple[Principle, str, str]],
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
) -> list[Choice]:
    """Ask whether replies keep principles, all in one call, so that what they share is read once.

    Where the prompt set asks both ways round, both answers are averaged as log-odds: a small model
    that leans to "A" or "yes" after a long reply, whatever they mean, leans against itself.

    Returns:
        One choice a question, its answers in the order of the `grade` template.
    """
    tasks = prompts.grading
    options = tuple(prompts.template("grade").options)
    dialogues = [
        prompts.render(task, principle=principle, values={"request": request, "reply": reply})
        for principle, request, reply in asked
        for task in tasks
    ]
    choices = model.choose(dialogues, options, seeds=[seed for seed in seeds for _ in tasks])
    if len(tasks) == 1:
        return choices
    places = _places(prompts)
    return [
        _merged(straight, other, places)
        for straight, other in zip(choices[::2], choices[1::2], strict=True)
    ]


def _places(prompts: PromptSet) -> list[int]:
    """Where each meaning of `grade` is among the answers of `grade_again`."""
    again = list(prompts.template("grade_again").options.values())
    return [again.index(meaning) for meaning in prompts.template("grade").options.values()]


def _merged(straight: Choice, other: Choice, places: Sequence[int]) -> Choice:
    """Both answers as one: the mean of their log-odds."""
    if straight.probabilities is None or other.probabilities is None:
        return straight if straight.probabilities is None else other
    both = [
        math.sqrt(max(one, SMALLEST) * max(other.probabilities[place], SMALLEST))
        for one, place in zip(straight.probabilities, places, strict=True)
    ]
    return Choice(
        probabilities=tuple(each / sum(both) for each in both),
        covered=(straight.covered + other.covered) / 2,
        method=straight.method,
    )


def log_odds_of(probability: float) -> float:
    """Log-odds of a probability, kept away from certainty so that they are a number."""
    kept = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(kept / (1 - kept))


def log_odds(
    choice: Choice, options: Mapping[str, str], yes: str = "fail", no: str = "pass"
) -> float | None:
    """Logarithm of the odds of one meaning against another, in nats.

    Example:
        >>> even = Choice(probabilities=(0.2, 0.2, 0.6), covered=1.0, method="log-probs")
        >>> log_odds(even, {"A": "pass", "B": "fail", "C": "not_applicable"})
        0.0
    """
    if choice.probabilities is None:
        return None
    by_meaning = dict(zip(options.values(), choice.probabilities, strict=True))
    one, other = (max(by_meaning[meaning], SMALLEST) for meaning in (yes, no))
    return math.log(one / other)


def conclude(judge: str, answers: Sequence[TrialAnswer], constitution: Constitution) -> JudgeTrial:
    """What a judge's answers about known replies say of its ability."""
    abilities = [
        _ability(
            principle.id, [each for each in answers if each.known.principle_id == principle.id]
        )
        for principle in constitution.principles
    ]
    chances = [each.p_value for each in abilities if each.p_value is not None]
    # Of some twenty principles one is got right by luck: all are judged beside one another.
    adjusted = iter(false_discovery_control(chances).tolist() if chances else ())
    return JudgeTrial(
        judge=judge,
        abilities=tuple(
            each if each.p_value is None else _decided(each, next(adjusted), len(chances))
            for each in abilities
        ),
    )


def _decided(ability: Ability, adjusted: float, tested: int) -> Ability:
    """Whether a judge does better than chance under a principle, beside all others."""
    works = adjusted <= FALSE_SHARE
    if works:
        return replace(ability, works=True)
    assert ability.p_value is not None
    lucky = ability.p_value <= FALSE_SHARE
    besides = f", as luck may bring among {tested} principles" if lucky else ""
    return replace(ability, works=False, reason=f"no better than chance: {ability.reason}{besides}")


def _ability(principle_id: str, answers: Sequence[TrialAnswer]) -> Ability:
    """What the answers say; the worse of worked examples and counterfactuals decides."""
    free = [each.log_odds for each in answers if each.known.broken is None]
    lean = fmean([each for each in free if each is not None] or [0.0])
    told = [
        (said, *found)
        for counterfactual, said in ((False, ""), (True, ", one reply to two requests each"))
        if min(map(len, found := _odds(answers, counterfactual))) >= LEAST_KNOWN
    ]
    if not told:
        few = max(min(map(len, _odds(answers, kind))) for kind in (False, True))
        return Ability(
            principle_id=principle_id,
            works=None,
            reason=f"not tested: it has {few} worked examples or counterfactuals, "
            f"{LEAST_KNOWN} are needed",
            border=lean,
            lean=lean,
            auroc=None,
            p_value=None,
            sensitivity=None,
            specificity=None,
            plain_sensitivity=None,
            plain_specificity=None,
        )
    chances = [
        float(mannwhitneyu(broken, kept, alternative="greater").pvalue) for _, broken, kept in told
    ]
    said, *worst = told[chances.index(max(chances))]
    area = auroc(*worst)
    broken = [value for _, some, _ in told for value in some]
    kept = [value for _, _, some in told for value in some]
    return Ability(
        principle_id=principle_id,
        works=None,
        reason=f"a broken reply got the higher log-odds in {area.value:.0%} of pairs{said}",
        border=_middle(broken, kept),
        lean=lean,
        auroc=area,
        p_value=max(chances),
        sensitivity=_found(
            [
                value > _middle(_without(broken, at), _without(kept, at))
                for at, value in enumerate(broken)
            ]
        ),
        specificity=_found(
            [
                value <= _middle(_without(broken, at), _without(kept, at))
                for at, value in enumerate(kept)
            ]
        ),
        plain_sensitivity=_found([value > 0 for value in broken]),
        plain_specificity=_found([value <= 0 for value in kept]),
    )


def _odds(answers: Sequence[TrialAnswer], counterfactual: bool) -> tuple[list[float], list[float]]:
    """Log-odds of broken and of kept replies, of worked examples or of counterfactuals."""
    broken, kept = (
        [
            each.log_odds
            for each in answers
            if each.known.broken is kind
            and each.known.counterfactual is counterfactual
            and each.log_odds is not None
        ]
        for kind in (True, False)
    )
    return broken, kept


def _middle(broken: Sequence[float], kept: Sequence[float]) -> float:
    """Halfway between the means, the best border where both spread alike."""
    return (fmean(broken) + fmean(kept)) / 2


def _without(values: Sequence[float], left_out: int) -> list[float]:
    """All but one: both replies to one request are left out together."""
    return [value for at, value in enumerate(values) if at != left_out] or list(values)


def _found(hits: Sequence[bool]) -> Estimate:
    return wilson(sum(hits), len(hits), unit="known replies told rightly")
