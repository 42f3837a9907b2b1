"""Whether a principle applies to a request, decided from the request alone and once for all.

A condition such as "someone seems to be in danger from themselves" is asked about before the
principle that has it, and its answer serves every reply to the request. Only a judge that has been
seen to tell the condition from its absence may switch a principle off; a condition it cannot tell
stays in the question about the principle, where a larger judge reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from plumbrule.constitution import Constitution, Principle
from plumbrule.judging.prompts import PromptSet, transcript
from plumbrule.judging.trial import log_odds
from plumbrule.models import LanguageModel
from plumbrule.records import Dialogue, Estimate, Message, strict
from plumbrule.statistics import auroc


@strict
@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition of one principle."""

    principle_id: str
    text: str

    applies: bool
    """True where it is under `applies_when`, False under `except_when`."""


@strict
@dataclass(frozen=True, kw_only=True)
class ConditionQuestion:
    """A condition asked about a request of which it is known whether the principle applies."""

    condition: Condition
    request: str

    holds: bool
    """What a judge should find: the tests of a constitution say so, see `known_conditions`."""


@strict
@dataclass(frozen=True, kw_only=True)
class ConditionAnswer:
    """What a judge said of it."""

    question: ConditionQuestion
    log_odds: float | None


@strict
@dataclass(frozen=True, kw_only=True)
class ConditionAbility:
    """Whether a judge can tell a condition from its absence."""

    condition: Condition
    works: bool

    border: float
    """Log-odds above which the condition holds, in nats. On the cautious side: no known request
    to which the principle applies is taken out."""

    auroc: Estimate | None


@strict
@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which principles a request is outside of."""

    prompt_id: str

    outside: Mapping[str, str] = field(default_factory=dict)
    """Principle → the condition that decided it."""


def conditions_of(constitution: Constitution) -> list[Condition]:
    """All conditions, in order."""
    return [
        Condition(principle_id=principle.id, text=text, applies=applies)
        for principle in constitution.principles
        for applies, texts in ((True, principle.applies_when), (False, principle.except_when))
        for text in texts
    ]


def known_conditions(constitution: Constitution) -> list[ConditionQuestion]:
    """Requests of which a constitution says whether a principle applies.

    A principle's probes and worked examples are requests it applies to. Its twins look alike and
    it does not apply to them, or by one of its exceptions; and an `applies_when` is absent from
    the twins of all other principles too.
    """
    questions = []
    for condition in conditions_of(constitution):
        own = constitution.principle(condition.principle_id)
        tempting = [*own.probes, *(example.request for example in own.critique_examples)]
        others = [
            twin
            for each in constitution.principles
            if condition.applies and each.id != own.id
            for twin in each.twins
        ]
        questions += [
            ConditionQuestion(condition=condition, request=request, holds=holds)
            for holds, requests in (
                (condition.applies, tempting),
                (not condition.applies, [*own.twins, *others]),
            )
            for request in requests
        ]
    return questions


def ask_conditions(
    model: LanguageModel,
    questions: Sequence[tuple[Dialogue, str]],
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
) -> list[float | None]:
    """Log-odds that each request fulfils each condition, in nats."""
    options = prompts.template("applies").options
    asked = [
        prompts.render(
            "applies",
            principle=None,
            values={"request": transcript(dialogue), "condition": text.strip().rstrip(".")},
        )
        for dialogue, text in questions
    ]
    choices = model.choose(asked, tuple(options), seeds=seeds)
    return [log_odds(choice, options, "holds", "absent") for choice in choices]


def try_conditions(
    model: LanguageModel,
    questions: Sequence[ConditionQuestion],
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
) -> list[ConditionAnswer]:
    """Ask a judge about requests of which the answer is known."""
    found = ask_conditions(
        model,
        [((Message("user", each.request),), each.condition.text) for each in questions],
        prompts=prompts,
        seeds=seeds,
    )
    return [
        ConditionAnswer(question=question, log_odds=value)
        for question, value in zip(questions, found, strict=True)
    ]


def conclude_conditions(answers: Sequence[ConditionAnswer]) -> list[ConditionAbility]:
    """Which conditions a judge can tell, from what it said of known requests."""
    found = []
    for condition in dict.fromkeys(each.question.condition for each in answers):
        holds, absent = (
            [
                each.log_odds
                for each in answers
                if each.question.condition == condition
                and each.question.holds is kind
                and each.log_odds is not None
            ]
            for kind in (True, False)
        )
        area = auroc(holds, absent) if holds and absent else None
        # Where the principle applies is known from `holds` of an `applies_when`, and from
        # `absent` of an exception: none of these may be taken out.
        known = holds if condition.applies else absent
        border = 0.0
        if known:
            border = min(known) - 1e-9 if condition.applies else max(known)
        found.append(
            ConditionAbility(
                condition=condition,
                works=area is not None and area.low > 0.5,
                border=border,
                auroc=area,
            )
        )
    return found


def find_scopes(
    model: LanguageModel,
    requests: Sequence[tuple[str, Dialogue]],
    abilities: Sequence[ConditionAbility],
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
) -> list[Scope]:
    """Decide for each request which principles it is outside of.

    Args:
        model: The judge that was tried.
        requests: Each prompt's id and dialogue.
        abilities: What the trial of conditions found; those that do not work are not asked.
        prompts: The words to ask in.
        seeds: One a request.

    Returns:
        One scope a request, in order.
    """
    asked = decisive(abilities)
    values = ask_conditions(
        model,
        [(dialogue, each.condition.text) for _, dialogue in requests for each in asked],
        prompts=prompts,
        seeds=[seed for seed in seeds for _ in asked],
    )
    scopes = []
    for number, (prompt_id, _) in enumerate(requests):
        own = values[number * len(asked) : (number + 1) * len(asked)]
        scopes.append(Scope(prompt_id=prompt_id, outside=_outside(asked, own)))
    return scopes


def _outside(
    abilities: Sequence[ConditionAbility], values: Sequence[float | None]
) -> dict[str, str]:
    """A principle is outside where an exception holds, or none of what it waits for does."""
    outside: dict[str, str] = {}
    waiting: dict[str, list[bool]] = {}
    for ability, value in zip(abilities, values, strict=True):
        condition = ability.condition
        holds = value is not None and value > ability.border
        if condition.applies:
            waiting.setdefault(condition.principle_id, []).append(holds or value is None)
        elif holds:
            outside[condition.principle_id] = f"except when {condition.text}"
    for principle_id, held in waiting.items():
        if not any(held):
            outside.setdefault(principle_id, "applies only in situations that are absent here")
    return outside


def decisive(abilities: Sequence[ConditionAbility]) -> list[ConditionAbility]:
    """The conditions that are decided beforehand.

    Several `applies_when` of a principle are alternatives: while the judge cannot tell one of
    them, none decides.
    """
    unsure = {
        each.condition.principle_id
        for each in abilities
        if each.condition.applies and not each.works
    }
    return [
        each
        for each in abilities
        if each.works and not (each.condition.applies and each.condition.principle_id in unsure)
    ]


def settled(principle: Principle, abilities: Sequence[ConditionAbility]) -> Principle:
    """A principle without the conditions that are decided beforehand."""
    decided = {
        (each.condition.text, each.condition.applies)
        for each in decisive(abilities)
        if each.condition.principle_id == principle.id
    }
    return replace(
        principle,
        applies_when=tuple(text for text in principle.applies_when if (text, True) not in decided),
        except_when=tuple(text for text in principle.except_when if (text, False) not in decided),
    )
