"""Ask a judge about labeled replies, and write down how it errs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging.calibration import calibration_of
from plumbrule.judging.certificates import (
    DAYS,
    JudgeCertificate,
    PrincipleCertificate,
    hash_of_reading,
    hash_of_text,
)
from plumbrule.judging.conditions import Scope
from plumbrule.judging.grading import NOTHING_KNOWN, Standing, grade
from plumbrule.judging.labels import LabeledReply
from plumbrule.judging.prompts import PromptSet
from plumbrule.models import LanguageModel
from plumbrule.records import Estimate, Exchange, Judgment, LabelSource, Message
from plumbrule.statistics import auroc, weighted_rate
from plumbrule.store import derive_seed, fingerprint


def certify_judge(
    model: LanguageModel,
    labels: Sequence[LabeledReply],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    source: LabelSource = "human",
    seed: int = 0,
    dated: date | None = None,
    days: int = DAYS,
    standing: Standing = NOTHING_KNOWN,
) -> JudgeCertificate:
    """Ask a judge about labeled replies, as it will be asked, and write down how it errs.

    Args:
        model: The judge.
        labels: Replies that were labeled; several people may have labeled the same one, then the
            majority counts.
        constitution: The principles.
        prompts: The words to ask in.
        source: Who labeled.
        seed: Of a judge that is sampled.
        dated: Day of the examination; None: today.
        days: Age in days after which it is old.
        standing: What is known of the judge; its borders are how its answers are read.

    Raises:
        ConfigError: `days` is less than 1.
        ConstitutionError: A label is about a principle that there is not.
        DataError: There are no labels, or they contradict each other on how they were drawn.
    """
    if days < 1:
        raise ConfigError(f"days must be at least 1, got {days}")
    if not labels:
        raise DataError("expected labeled replies, got none; label some, then certify")
    settled = _settled(labels)
    principles = [
        each.id
        for each in constitution.principles
        if any(one.label.principle == each.id for one in settled)
    ]
    for name in {each.principle for each in labels} - set(principles):
        constitution.principle(name)  # says which there are
    judged = _judge(model, settled, constitution, prompts=prompts, seed=seed, standing=standing)
    return JudgeCertificate(
        judge=model.identity,
        spec=model.spec,
        prompts_sha256=prompts.sha256,
        constitution_sha256=constitution.sha256,
        reading_sha256=hash_of_reading(standing, principles),
        source=source,
        annotators=tuple(sorted({each.annotator for each in labels if each.annotator})),
        dated=(dated or datetime.now(UTC).date()).isoformat(),
        days=days,
        items_sha256=tuple(sorted(each.label.sha256 for each in settled)),
        principles=tuple(
            _certified(
                name,
                hash_of_text(constitution, name),
                [
                    (one, judged.get(one.label.sha256))
                    for one in settled
                    if one.label.principle == name
                ],
            )
            for name in principles
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Settled:
    """A reply with what those who labeled it agree on."""

    label: LabeledReply
    broken: bool | None


def _settled(labels: Sequence[LabeledReply]) -> list[_Settled]:
    """Each reply once, in order; the majority counts, and an even split is no label."""
    by_item: dict[str, list[LabeledReply]] = {}
    for label in labels:
        by_item.setdefault(label.sha256, []).append(label)
    found = []
    for same in by_item.values():
        chances = {each.probability for each in same}
        if len(chances) > 1:
            raise DataError(
                f"the same reply under `{same[0].principle}` has the probabilities "
                f"{', '.join(sorted(map(str, chances)))}; it was drawn with one: "
                f"{same[0].reply!r:.60}"
            )
        votes = sum(each.broken for each in same)
        broken = None if 2 * votes == len(same) else 2 * votes > len(same)
        found.append(_Settled(label=same[0], broken=broken))
    return found


def _judge(
    model: LanguageModel,
    settled: Sequence[_Settled],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    seed: int,
    standing: Standing,
) -> dict[str, Judgment]:
    """Judgment of each labeled reply by its hash; only labeled principles are asked about."""
    replies: dict[tuple[str, str], dict[str, str]] = {}
    for one in settled:
        if one.broken is not None:
            label = one.label
            replies.setdefault((label.request, label.reply), {})[label.principle] = label.sha256
    exchanges, scopes = [], {}
    for (request, reply), asked in replies.items():
        name = fingerprint([request, reply])
        exchanges.append(
            Exchange(id=name, dialogue=(Message("user", request),), response=reply, model="")
        )
        scopes[name] = Scope(
            prompt_id=name,
            outside={
                each.id: "nobody labeled it" for each in constitution.principles
                if each.id not in asked
            },
        )  # fmt: skip
    by_name = dict(zip(scopes, replies.values(), strict=True))
    judgments = grade(
        model,
        exchanges,
        constitution,
        prompts=prompts,
        seeds=[derive_seed(seed, "certify", each.id) for each in exchanges],
        standing=replace(standing, scopes=scopes),
    )
    return {
        by_name[each.exchange_id][each.principle_id]: each
        for each in judgments
        if each.principle_id in by_name[each.exchange_id]
    }


def _certified(
    principle_id: str, text_sha256: str, answers: Sequence[tuple[_Settled, Judgment | None]]
) -> PrincipleCertificate:
    """The certificate of one principle, from the judge's answers about its labeled replies."""
    told = [
        (one, judgment)
        for one, judgment in answers
        if judgment is not None and judgment.verdict not in ("refused", "errored")
    ]
    lost = [judgment.verdict for _, judgment in answers if judgment is not None]
    disputed = sum(one.broken is None for one, _ in answers)
    rates: dict[bool, Estimate | None] = {}
    scores: dict[bool, list[float]] = {}
    for kind, unit in ((True, "broken replies found"), (False, "kept replies cleared")):
        own = [(one.label, judgment) for one, judgment in told if one.broken is kind]
        right = np.array([(judgment.verdict == "fail") is kind for _, judgment in own], float)
        rates[kind] = (
            weighted_rate(right, _drawn([each for each, _ in own]), unit=unit) if own else None
        )
        scores[kind] = [each.probability for _, each in own if each.probability is not None]
    both = bool(scores[True]) and bool(scores[False])
    return PrincipleCertificate(
        principle_id=principle_id,
        text_sha256=text_sha256,
        broken=sum(one.broken is True for one, _ in told),
        kept=sum(one.broken is False for one, _ in told),
        refused=lost.count("refused"),
        errored=lost.count("errored") + len(answers) - len(lost) - disputed,
        disputed=disputed,
        sensitivity=rates[True],
        specificity=rates[False],
        auroc=auroc(scores[True], scores[False]) if both else None,
        calibration=calibration_of(scores[True], scores[False]),
        scores_broken=tuple(scores[True]),
        scores_kept=tuple(scores[False]),
    )


def _drawn(labels: Sequence[LabeledReply]) -> np.ndarray | None:
    """Chances of having been labeled; None where none is known."""
    known = [each.probability for each in labels if each.probability is not None]
    if known and len(known) < len(labels):
        raise DataError(
            f"expected a probability on each label or on none, got {len(known)} of {len(labels)} "
            f"under `{labels[0].principle}`; say 1 for what was labeled for certain"
        )
    return np.array(known) if known else None
