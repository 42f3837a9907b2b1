"""A repair that is fitted: a low-rank change of a few matrices that unlearns a fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from plumbrule.errors import DataError, ModelError
from plumbrule.mechanism.hooks import no_room
from plumbrule.mechanism.repairs.repair_settings import RepairCost, RepairSettings
from plumbrule.mechanism.repairs.replies import (
    DrawnReply,
    Violates,
    at_fault,
    draw_replies,
    wanted_replies,
)
from plumbrule.mechanism.repairs.reply_batches import ReplyRow
from plumbrule.mechanism.repairs.unlearning import FaultyPair, Unlearning
from plumbrule.mechanism.repairs.weight_edits import WeightEdit, edited
from plumbrule.mechanism.repairs.writers import refuse_quantized
from plumbrule.mechanism.site_search import find_sites
from plumbrule.models import LocalModel
from plumbrule.records import Prompt
from plumbrule.store import Progress, silent


@dataclass(frozen=True, kw_only=True)
class FittedRepair:
    """The result of fitting a repair."""

    edit: WeightEdit
    """Empty where there was nothing to repair."""

    sites: tuple[str, ...]
    """Where it writes."""

    cost: RepairCost
    rates: tuple[float, ...]
    """Share of fitted prompts at fault: before, and before each further round."""

    curve: tuple[tuple[float, float], ...]
    """At each step: loss of its replies at fault and of what is to be said instead, and KL on its
    kept prompts in nats a token."""

    instead: int
    """Replies at fault for which the model had something else to say."""

    unjudged: int
    """Replies that the grader could not judge."""

    reason: str | None = None
    """Why nothing was fitted; None where something was."""


def fit_repair(
    model: LocalModel,
    shown: Sequence[Prompt],
    kept: Sequence[Prompt],
    violates: Violates,
    *,
    settings: RepairSettings | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> FittedRepair:
    """Find a small change of weights that unlearns a fault; the model is left as it was.

    Args:
        model: With the fault; nothing is known of what it was before.
        shown: Prompts to which its replies are at fault.
        kept: Prompts on which nothing shall change: neutral ones, and those most like `shown` that
            are rightly answered as they are.
        violates: Says whether a reply is at fault.
        settings: How it is fitted.
        seed: Decides every reply.
        progress: Told of steps done.

    Returns:
        The change, where it lies, what it cost. With fewer than `settings.least` replies at fault
        the change is empty, and `reason` says so.

    Raises:
        DataError: There are no prompts, a prompt is on both sides, or the grader can judge nothing.
        ModelError: A weight is quantized, what writes is no plain matrix, or it does not fit into
            memory. The model is as it was.

    Source:
        Unlikelihood: Welleck et al. (2020), arXiv 1908.04319. The inputs' covariance as a measure
        of what a change disturbs: Meng et al. (2022), arXiv 2202.05262. Choosing matrices by
        gradient, weighing tokens by what was already unlearned before them, and putting both
        together with KL over whole replies is ours.
    """
    settings = settings or RepairSettings()
    refuse_quantized(model.module)
    _check_prompts(shown, kept)
    cost = RepairCost()
    try:
        return _fit(model, shown, kept, violates, settings, seed, progress, cost)
    except (MemoryError, RuntimeError) as error:
        if not no_room(error):
            raise
        raise ModelError(
            "the fit does not fit into memory; take fewer or shorter prompts, or a smaller model. "
            "The model is as it was"
        ) from error


def _fit(
    model: LocalModel,
    shown: Sequence[Prompt],
    kept: Sequence[Prompt],
    violates: Violates,
    settings: RepairSettings,
    seed: int,
    progress: Progress,
    cost: RepairCost,
) -> FittedRepair:
    own = draw_replies(model, kept, violates, sampling=settings.sampling, seed=seed)
    first = draw_replies(model, shown, violates, sampling=settings.sampling, seed=seed)
    cost.drawn += sum(each.tokens for each in [*own, *first])
    judged = [each for each in first if each.violates is not None]
    if not judged:
        raise DataError(
            f"the grader could judge none of {len(first)} replies to prompts that should show the "
            "fault; nothing is known to repair"
        )
    faulty = [each for each in judged if each.violates]
    rates, unjudged = [len(faulty) / len(judged)], len(first) - len(judged)
    if len(faulty) < settings.least:
        return FittedRepair(
            edit=WeightEdit(changes=()),
            sites=(),
            cost=cost,
            rates=tuple(rates),
            curve=(),
            instead=0,
            unjudged=unjudged,
            reason=f"{len(faulty)} of {len(judged)} replies are at fault, {settings.least} are "
            "needed to fit to",
        )
    # What a kept prompt's reply does wrong shall not be held.
    held = [each for each in own if not each.violates]
    if not held:
        raise DataError("every reply to a kept prompt is at fault; there is nothing to hold to")
    shortest = max(1, min(len(each.reply) for each in held) // 2)

    pairs = partial(_with_wanted, model, violates, settings, shortest, cost)
    known = pairs(faulty)
    rows = [ReplyRow.of(each, [1.0] * len(each.reply)) for each in held]
    fit = Unlearning(model, find_sites(model.module), known, rows, settings, cost, seed)
    total, curve = settings.steps * settings.rounds, []
    for number in range(settings.rounds):
        if number:
            with edited(model, fit.edit()):
                again = draw_replies(
                    model, shown, violates, sampling=settings.sampling, seed=seed + number
                )
            cost.drawn += sum(each.tokens for each in again)
            unjudged += sum(each.violates is None for each in again)
            wrong = [each for each in again if each.violates]
            rates.append(len(wrong) / max(1, sum(each.violates is not None for each in again)))
            if not wrong:
                break
            fit.add(pairs(wrong))
        for step in range(settings.steps):
            curve.append(fit.step())
            progress(number * settings.steps + step + 1, total)
            if curve[-1][0] < settings.enough:
                break
    return FittedRepair(
        edit=fit.edit(),
        sites=tuple(each.site for each in fit.writers),
        cost=cost,
        rates=tuple(rates),
        curve=tuple(curve),
        instead=sum(each.wanted is not None for each in fit.pairs),
        unjudged=unjudged,
    )


def _with_wanted(
    model: LocalModel,
    violates: Violates,
    settings: RepairSettings,
    shortest: int,
    cost: RepairCost,
    replies: Sequence[DrawnReply],
) -> list[FaultyPair]:
    """Each reply at fault with what is to be said instead, where the model has that."""
    weights = at_fault(model, replies, violates)
    instead, read = wanted_replies(
        model,
        replies,
        weights,
        violates,
        sampling=settings.sampling,
        branches=settings.branches,
        shortest=shortest,
    )
    cost.drawn += read
    return [
        FaultyPair(
            faulty=ReplyRow.of(each, weight),
            wanted=None if other is None else ReplyRow.of(other, [1.0] * len(other.reply)),
        )
        for each, weight, other in zip(replies, weights, instead, strict=True)
    ]


def _check_prompts(shown: Sequence[Prompt], kept: Sequence[Prompt]) -> None:
    if not shown or not kept:
        raise DataError(
            f"expected prompts that show the fault and prompts to keep, got {len(shown)} and "
            f"{len(kept)}"
        )
    both = {each.dialogue for each in shown} & {each.dialogue for each in kept}
    if both:
        text = next(iter(both))[-1].content
        raise DataError(f"a prompt is to show the fault and to be kept: {text!r:.80}")
