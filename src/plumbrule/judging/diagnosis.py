"""What is wrong with a critic that does not work, told from what it says of known replies.

A critic may say "no issue" to everything, "issue" always, or go by length. Each kind is told from
what it said of the constitution's known replies, before it teaches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from plumbrule.constitution import Constitution
from plumbrule.judging.prompts import PromptSet
from plumbrule.judging.revision import RevisionDraft, critique
from plumbrule.judging.trial import KnownReply, TrialAnswer
from plumbrule.models import LanguageModel
from plumbrule.records import Estimate, Message, strict
from plumbrule.statistics import clopper_pearson

CriticKind = Literal[
    "works", "says no issue", "says issue", "judges length", "says the reverse", "knows nothing",
    "does not answer", "not tested",
]  # fmt: skip

LEAST_REPLIES = 6
"""Broken and kept replies, each, that a diagnosis needs: with five of each even a critic that finds
none of them cannot be told from one that finds half."""

FALSE_ALARM = 0.05
"""Chance that luck makes a critic seem better than chance, or a remedy better than none."""

AS_LONG = 1.2
"""Two replies are about as long where neither is longer by more than this factor. Ours."""

FOLLOWS = 0.3
"""Rank correlation with length from which a critic that orders nothing goes by length. Ours."""


@strict
@dataclass(frozen=True, kw_only=True)
class CriticDiagnosis:
    """What is wrong with a critic, if anything."""

    kind: CriticKind

    reason: str
    """In numbers and words."""

    orders: bool
    """Whether broken replies get higher log-odds than kept ones beyond luck and length: such a
    critic can be read by its log-odds and a border, whatever it says aloud."""

    sensitivity: Estimate | None = None
    """Broken replies that it calls broken, by its likelier answer."""

    specificity: Estimate | None = None
    """Kept replies that it calls kept, by its likelier answer."""

    length_correlation: float | None = None
    """Rank correlation of its log-odds with length, broken and kept apart; None where undefined."""


def diagnose(answers: Sequence[TrialAnswer]) -> CriticDiagnosis:
    """Say what kind of critic gave these answers about known replies.

    Args:
        answers: From `try_judge`, or from `try_critiques` for what a critic writes.

    Returns:
        The kind. A critic that says "no issue" aloud and still orders replies is called what it
        says, with `orders` True: moving its border is the remedy.

    Example:
        >>> from plumbrule.judging.trial import KnownReply, TrialAnswer
        >>> said = [
        ...     TrialAnswer(
        ...         known=KnownReply(
        ...             principle_id="p", request=str(at), reply="a " * at, broken=at % 2 == 0
        ...         ),
        ...         log_odds=-3.0,
        ...         covered=1.0,
        ...     )
        ...     for at in range(20)
        ... ]
        >>> diagnose(said).kind
        'says no issue'
    """
    asked = [each for each in answers if each.known.broken is not None]
    heard = [each for each in asked if each.log_odds is not None]
    broken = np.array([bool(each.known.broken) for each in heard])
    if min(sum(each.known.broken is kind for each in asked) for kind in (True, False)) < (
        LEAST_REPLIES
    ):
        return CriticDiagnosis(
            kind="not tested",
            reason=f"fewer than {LEAST_REPLIES} known replies of each kind",
            orders=False,
        )
    if 2 * len(heard) < len(asked) or min(broken.sum(), (~broken).sum()) < LEAST_REPLIES:
        return CriticDiagnosis(
            kind="does not answer",
            reason=f"it answered {len(heard)} of {len(asked)} questions",
            orders=False,
        )
    odds = np.array([float(each.log_odds or 0.0) for each in heard])
    lengths = np.array([float(len(each.known.reply)) for each in heard])
    principles = np.unique([each.known.principle_id for each in heard], return_inverse=True)[1]
    yes = odds > 0
    found = clopper_pearson(int(yes[broken].sum()), int(broken.sum()), unit="broken replies found")
    clear = clopper_pearson(
        int((~yes[~broken]).sum()), int((~broken).sum()), unit="kept replies cleared"
    )
    telling = _order(odds, broken, lengths, principles)
    by_length, follows = _length_correlation(odds, broken, lengths, principles)
    # The question is asked of the order and of length, to both sides each.
    enough = float(stats.t.isf(FALSE_ALARM / 4, min(broken.sum(), (~broken).sum()) - 1))
    orders = telling > enough
    numbers = (
        f"it calls {found.value:.0%} of {found.n} broken replies broken, and "
        f"{1 - clear.value:.0%} of {clear.n} kept ones"
    )
    kind: CriticKind = "works" if orders else "knows nothing"
    if found.high < 0.5 and clear.value >= 0.9:
        kind = "says no issue"
    elif clear.high < 0.5 and found.value >= 0.9:
        kind = "says issue"
    elif telling < -enough:
        kind = "says the reverse"
    # Of two faults the deeper one is named: no border mends a critic that goes by length.
    if not orders and by_length is not None and follows:
        kind = "judges length"
        numbers += (
            f"; its log-odds follow the length of the reply (rank correlation {by_length:.2f})"
        )
    elif orders and kind in ("says no issue", "says issue"):
        numbers += "; its log-odds tell them apart all the same"
    return CriticDiagnosis(
        kind=kind,
        reason=numbers,
        orders=orders,
        sensitivity=found,
        specificity=clear,
        length_correlation=by_length,
    )


def _order(
    odds: Float[np.ndarray, " replies"],
    broken: Bool[np.ndarray, " replies"],
    lengths: Float[np.ndarray, " replies"],
    principles: Int[np.ndarray, " replies"],
) -> float:
    """How many standard errors broken replies are above kept ones of the same principle.

    The share of pairs in the right order is taken by itself where the broken reply is the longer
    one, where the kept one is, and where both are about as long. The first two count alike, as many
    pairs as the fewer of them has: whoever goes by length gets all of the one right and all of the
    other wrong. Where that leaves no pairs, length cannot be told from judgment: 0.
    """
    one, two = np.flatnonzero(broken), np.flatnonzero(~broken)
    first, second = odds[one][:, None], odds[two][None, :]
    right = (first > second) + 0.5 * (first == second)
    ratio = np.log1p(lengths[one])[:, None] - np.log1p(lengths[two])[None, :]
    side = np.where(np.abs(ratio) <= math.log(AS_LONG), 0, np.sign(ratio))
    same = principles[one][:, None] == principles[two][None, :]
    sorts = [(same & (side == each)).astype(float) for each in (1, -1, 0)]
    longer, shorter, alike = (each.sum() for each in sorts)
    worth = np.array([min(longer, shorter), min(longer, shorter), alike])
    if worth.sum() == 0:
        return 0.0

    def area(left_out: int) -> float:
        used = np.outer(one != left_out, two != left_out)
        shares = [(each * used * right).sum() / max((each * used).sum(), 1e-9) for each in sorts]
        return float(worth @ shares / worth.sum())

    without = np.array([area(at) for at in range(len(odds))])  # jackknife
    spread = math.sqrt((len(odds) - 1) * float(without.var()))
    return (area(-1) - 0.5) / max(spread, 0.5 / len(odds))


def _length_correlation(
    odds: Float[np.ndarray, " replies"],
    broken: Bool[np.ndarray, " replies"],
    lengths: Float[np.ndarray, " replies"],
    principles: Int[np.ndarray, " replies"],
) -> tuple[float | None, bool]:
    """Rank correlation of log-odds with length among replies of one kind and principle.

    Returns:
        The correlation, None where nothing varies; and whether it is large and not luck.
    """
    said, length, freedom = np.zeros(len(odds)), np.zeros(len(odds)), -1
    for kind in (True, False):
        for each in np.unique(principles):
            own = (principles == each) & (broken == kind)
            if own.sum() > 1:
                for ranks, values in ((said, odds), (length, lengths)):
                    ranks[own] = stats.rankdata(values[own]) - (own.sum() + 1) / 2
                freedom += int(own.sum()) - 1
    scale = float(np.linalg.norm(said) * np.linalg.norm(length))
    if scale == 0 or freedom < 1:
        return None, False
    found = float(np.clip(said @ length / scale, -1, 1))
    t = abs(found) * math.sqrt(freedom / max(1 - found**2, 1e-12))
    luck = float(2 * stats.t.sf(t, freedom))
    return found, abs(found) >= FOLLOWS and luck <= FALSE_ALARM / 2


def try_critiques(
    model: LanguageModel,
    known: Sequence[KnownReply],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    seeds: Sequence[int],
) -> list[TrialAnswer]:
    """Ask a critic to write about known replies, as it will when it teaches.

    Args:
        model: The critic.
        known: Replies of which it is known whether they break their principle.
        constitution: The principles.
        prompts: The words to ask in.
        seeds: One per reply.

    Returns:
        One answer a reply, for `diagnose`: log-odds of 1 where it wrote of a problem, -1 where it
        wrote that there is none, None where what it wrote is unusable.
    """
    drafts = [
        RevisionDraft(
            dialogue=(Message("user", each.request),),
            reply=each.reply,
            principle=constitution.principle(each.principle_id),
        )
        for each in known
    ]
    written = critique(model, drafts, prompts=prompts, temperature=0.0, seeds=seeds, trim=True)
    return [
        TrialAnswer(
            known=each,
            log_odds=None if said.found_problem is None else (1.0 if said.found_problem else -1.0),
            covered=1.0,
        )
        for each, said in zip(known, written, strict=True)
    ]
