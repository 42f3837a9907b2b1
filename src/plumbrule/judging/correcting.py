"""Rates of broken replies, with a judge's errors taken out."""

from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError
from plumbrule.judging.certificates import JudgeCertificate, PrincipleCertificate
from plumbrule.judging.grading import NOTHING_KNOWN, Standing
from plumbrule.judging.likeness import likeness
from plumbrule.records import Estimate, Judgment, strict
from plumbrule.statistics import CorrectedRate, clopper_pearson


@strict
@dataclass(frozen=True, kw_only=True)
class CorrectedPrinciple:
    """A rate that a judge reported under one principle, and the same corrected for its errors."""

    principle_id: str
    judged: int
    flagged: int

    unanswered: int
    """Replies on which the judge gave no verdict; nothing is said of them."""

    reported: Estimate | None
    """Share that it flags; None where it judged nothing."""

    rate: Estimate | None
    """Share that is broken, its errors taken out."""

    reason: str | None
    """Why there is no rate."""

    likeness: float | None
    """How likely scores as these are, were the replies a mixture of those it was examined on
    (p-value); a small one says that the certificate may not speak of them."""


def corrected(
    certificate: JudgeCertificate,
    judgments: Sequence[Judgment],
    constitution: Constitution,
    *,
    level: float = 0.95,
    standing: Standing = NOTHING_KNOWN,
    seed: int = 0,
) -> list[CorrectedPrinciple]:
    """Rates of broken replies, with the judge's errors taken out.

    Args:
        certificate: Of the judge that judged.
        judgments: What it said of new replies; those under principles without a certificate are
            left out.
        constitution: What it judged by.
        level: Two-sided confidence level.
        standing: How its answers were read.
        seed: Of the test of likeness.

    Returns:
        One per principle of the certificate that was judged, in its order.

    Raises:
        DataError: A judgment is not by that judge, in those words, or there is none.
    """
    wanted = {each.principle_id for each in certificate.principles}
    own = [each for each in judgments if each.principle_id in wanted]
    if not own:
        raise DataError(
            f"expected judgments under {', '.join(sorted(wanted))}, got "
            f"{', '.join(sorted({each.principle_id for each in judgments})) or 'none'}"
        )
    found = {each.principle_id for each in own}
    used = [each for each in certificate.principles if each.principle_id in found]
    for judge, words in sorted({(each.judge, each.prompt_sha256) for each in own}):
        certificate.check_fits(
            judge,
            words,
            constitution,
            principles=[each.principle_id for each in used],
            standing=standing,
        )
    for each in own:
        bordered = each.rationale.startswith("log-odds ")  # as `grade` says it
        if bordered and standing.border(each.principle_id) is None:
            raise DataError(
                "expected judgments that are the judge's likeliest answer, got some that were read "
                f"by a border, under `{each.principle_id}`; certify and correct with the "
                "examination that the border comes from: --run DIR"
            )
    return [
        _corrected(each, [one for one in own if one.principle_id == each.principle_id], level, seed)
        for each in used
    ]


def _corrected(
    certified: PrincipleCertificate, judgments: Sequence[Judgment], level: float, seed: int
) -> CorrectedPrinciple:
    decided = [each for each in judgments if each.verdict not in ("refused", "errored")]
    flagged = sum(each.verdict == "fail" for each in decided)
    found = CorrectedRate(estimate=None, reason="the judge gave no verdict on any reply")
    reported = None
    if decided:
        reported = clopper_pearson(flagged, len(decided), level=level, unit="flagged per reply")
        found = certified.corrected(flagged, len(decided), level=level)
    scores = [each.probability for each in decided if each.probability is not None]
    return CorrectedPrinciple(
        principle_id=certified.principle_id,
        judged=len(decided),
        flagged=flagged,
        unanswered=len(judgments) - len(decided),
        reported=reported,
        rate=found.estimate,
        reason=found.reason,
        likeness=likeness(scores, certified.scores_broken, certified.scores_kept, seed=seed),
    )
