"""More to imitate than the last revisions: the exchanges that led to them, and the reasons.

Source: Bai et al. (2022), arXiv:2212.08073, drops critiques before learning; that a model which
also learns the exchange -log p(revision | critique, original, principle) keeps the skill of
revising is the case for the first option. That rulings with reasons carry further than rulings is
reported for large models (Anthropic 2026, "Teaching Claude why"); nothing is promised for small
ones, and `plumbrule run` measures.
"""

from collections.abc import Sequence
from dataclasses import replace

from plumbrule.constitution import Constitution, Principle
from plumbrule.judging import PromptSet, transcript
from plumbrule.records import Exchange, Message
from plumbrule.training.constitutional import Revising, RevisionRound, RevisionTrail

WHY = "Why did you answer in that way?"
"""Asked after a revision, where reasons are learned when asked for."""


def more_to_imitate(
    examples: Sequence[Exchange],
    trails: Sequence[RevisionTrail],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    settings: Revising,
) -> list[Exchange]:
    """What is imitated, with reasons and exchanges as the settings say.

    Args:
        examples: As `examples_to_imitate` gave them.
        trails: Where they came from.
        constitution: Whose reasons are learned.
        prompts: The words of critique and revision.
        settings: Which of both is wanted; with the defaults the examples come back as they were.
    """
    kept = {example.id for example in examples}
    used = [trail for trail in trails if trail.revised and trail.first.id in kept]
    found = with_reasons(examples, used, constitution, settings=settings)
    if settings.learn_revising:
        found += revising_exchanges(used, constitution, prompts=prompts)
    return found


def with_reasons(
    examples: Sequence[Exchange],
    trails: Sequence[RevisionTrail],
    constitution: Constitution,
    *,
    settings: Revising,
) -> list[Exchange]:
    """Revisions that carry the reason of the principle by which they were mended last.

    Args:
        examples: What is imitated; a reply that no trail revised stays as it is.
        trails: Revised ones.
        constitution: Its principles' `reason`; the rule's own text where one has none.
        settings: `reasons` says whether they are in the reply, or are an example of their own in
            which the user asks why.
    """
    if settings.reasons == "none":
        return list(examples)
    reasons = {
        trail.first.id: _reason(constitution.principle(trail.mended_by))
        for trail in trails
        if trail.mended_by is not None
    }
    found = []
    for example in examples:
        reason = reasons.get(example.id)
        if reason is None:
            found.append(example)
        elif settings.reasons == "in reply":
            found.append(replace(example, response=f"{example.response.rstrip()} {reason}"))
        else:
            asked = (
                *example.dialogue,
                Message("assistant", example.response),
                Message("user", WHY),
            )
            why = replace(example, id=f"{example.id}/why", dialogue=asked, response=reason)
            found += [example, why]
    return found


def revising_exchanges(
    trails: Sequence[RevisionTrail], constitution: Constitution, *, prompts: PromptSet
) -> list[Exchange]:
    """Every critique that led to a revision, and every revision, as replies to what asked for them.

    Training on a reply learns its tokens and only reads what is before, so this is
    -log p(revision | critique, original, principle). A principle's worked examples are left out:
    what is learned shall not need them.

    Args:
        trails: Rounds of critique and revision.
        constitution: Whose principles they were under.
        prompts: The words they were asked in.
    """
    found = []
    for trail in trails:
        reply = trail.first.response
        for number, each in enumerate(trail.rounds):
            if each.revision is None:
                continue
            principle = replace(constitution.principle(each.principle_id), critique_examples=())
            found += _exchanges(trail.first, reply, number, each, principle, prompts)
            reply = each.revision
    return found


def _exchanges(
    first: Exchange,
    reply: str,
    number: int,
    round_: RevisionRound,
    principle: Principle,
    prompts: PromptSet,
) -> list[Exchange]:
    values = {"request": transcript(first.dialogue), "reply": reply}
    revision = round_.revision or ""
    if round_.critique is None:
        asked = prompts.render("revise_directly", principle=principle, values=values)
        return [
            replace(
                first,
                id=f"{first.id}/revise-{number}",
                dialogue=asked,
                response=revision,
                finish_reason="stop",
            )
        ]
    parts = (
        ("critique", prompts.render("critique", principle=principle, values=values)),
        (
            "revise",
            prompts.render(
                "revise", principle=principle, values={**values, "critique": round_.critique}
            ),
        ),
    )
    said = {"critique": round_.critique, "revise": revision}
    return [
        replace(
            first,
            id=f"{first.id}/{task}-{number}",
            dialogue=dialogue,
            response=said[task],
            finish_reason="stop",
        )
        for task, dialogue in parts
    ]


def _reason(principle: Principle) -> str:
    return principle.reason.strip() or principle.text.strip()
