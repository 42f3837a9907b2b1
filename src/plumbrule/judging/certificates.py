"""What is known of a judge's errors, dated, sealed, and tied to all that it holds for.

A certificate comes from replies that people labeled. It says, per principle, how many broken
replies the judge finds and how many kept ones it clears, and so what a rate that it reports is
worth. With another judge, other words or another text of the principle it says nothing, and is
refused.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError, DataError
from plumbrule.files import read_small_text
from plumbrule.judging.calibration import Calibration, calibration_of
from plumbrule.judging.conditions import Scope, decisive
from plumbrule.judging.grading import NOTHING_KNOWN, Standing, grade
from plumbrule.judging.labels import LARGEST_FILE, LabeledReply
from plumbrule.judging.likeness import likeness
from plumbrule.judging.prompts import PromptSet
from plumbrule.models import LanguageModel
from plumbrule.records import (
    Estimate,
    Exchange,
    Judgment,
    LabelSource,
    Message,
    from_json,
    strict,
    to_json,
)
from plumbrule.statistics import (
    CorrectedRate,
    auroc,
    clopper_pearson,
    corrected_rate,
    weighted_rate,
)
from plumbrule.store import derive_seed, fingerprint, write_atomic

DAYS = 180
"""Age in days after which a certificate is said to be old: endpoints change under their name, and
so do the replies that a judge is shown."""


@strict
@dataclass(frozen=True, kw_only=True)
class PrincipleCertificate:
    """How a judge errs under one principle."""

    principle_id: str

    text_sha256: str
    """Of the principle with its conditions, as the judge was shown it."""

    broken: int
    """Labeled replies that break it and that the judge gave a verdict on."""

    kept: int
    """The same that keep it."""

    refused: int
    """Labeled replies on which the judge gave no usable answer."""

    errored: int
    """Labeled replies on which it failed."""

    disputed: int
    """Replies that as many people called broken as kept; they are not counted elsewhere."""

    sensitivity: Estimate | None
    """Broken replies that it flags; None where none was labeled."""

    specificity: Estimate | None
    """Kept replies that it does not flag; None where none was labeled."""

    auroc: Estimate | None
    """Chance that a broken reply gets the higher probability than a kept one."""

    calibration: Calibration | None

    scores_broken: tuple[float, ...]
    """Its probabilities for the broken replies, to see whether new replies look alike."""

    scores_kept: tuple[float, ...]

    def corrected(self, flagged: int, judged: int, *, level: float = 0.95) -> CorrectedRate:
        """Take the judge's errors out of a rate that it reports.

        Args:
            flagged: Replies that it says break the principle.
            judged: Replies on which it gave a verdict.
            level: Two-sided confidence level.
        """
        if self.sensitivity is None or self.specificity is None:
            return CorrectedRate(
                estimate=None,
                reason=f"{self.broken} broken and {self.kept} kept replies were labeled; both "
                "kinds are needed",
            )
        # Where labels were drawn unequally, n is what they are worth.
        found, cleared = (
            round(each.value * each.n) for each in (self.sensitivity, self.specificity)
        )
        return corrected_rate(
            flagged,
            judged,
            found=found,
            broken=self.sensitivity.n,
            cleared=cleared,
            kept=self.specificity.n,
            level=level,
            unit="violations per reply",
        )


@strict
@dataclass(frozen=True, kw_only=True)
class JudgeCertificate:
    """A judge's errors as measured once, and what they were measured on."""

    judge: str
    """Identity of the judge: hash of its weights, or an endpoint's address and model name."""

    spec: str
    """What the user typed to open it."""

    prompts_sha256: str
    """Hash of the words it was asked in."""

    constitution_sha256: str

    reading_sha256: str
    """Hash of how its answers were read: of the border of each principle and of the conditions
    that were decided before, see `Standing`."""

    source: LabelSource
    """Who labeled."""

    annotators: tuple[str, ...]
    dated: str
    """Day of the examination, as in 2026-05-01."""

    days: int
    """Age in days after which it is said to be old."""

    items_sha256: tuple[str, ...]
    """Hash of each labeled reply with its request and principle, in order of the hashes."""

    principles: tuple[PrincipleCertificate, ...]

    def __post_init__(self) -> None:
        try:
            date.fromisoformat(self.dated)
        except ValueError as error:
            raise DataError(f"`dated` must be a day such as 2026-05-01: {error}") from error

    def principle(self, principle_id: str) -> PrincipleCertificate:
        """What was measured under one principle.

        Raises:
            DataError: Nothing was.
        """
        for each in self.principles:
            if each.principle_id == principle_id:
                return each
        raise DataError(
            f"expected a principle that the certificate of {self.spec} is about ("
            f"{', '.join(each.principle_id for each in self.principles)}), got {principle_id!r}; "
            "label replies under it and certify again"
        )

    def check_fits(
        self,
        judge: str,
        prompts_sha256: str,
        constitution: Constitution,
        *,
        principles: Sequence[str] | None = None,
        standing: Standing | None = NOTHING_KNOWN,
    ) -> None:
        """Refuse to be used for anything else than what was examined.

        Args:
            judge: Identity of the judge.
            prompts_sha256: Hash of the prompt set it is asked with.
            constitution: What it judges by. Principles may have come or gone; the text of those
                that the certificate is used for must be the same.
            principles: Which these are; None: all of the certificate.
            standing: How its answers are read; None: not known yet, and not looked at.

        Raises:
            DataError: One of these differs.
        """
        wrong = []
        if judge != self.judge:
            wrong.append(f"judge {self.judge}, got {judge}")
        if prompts_sha256 != self.prompts_sha256:
            wrong.append(f"prompts {self.prompts_sha256[:12]}…, got {prompts_sha256[:12]}…")
        wanted = [each.principle_id for each in self.principles]
        for principle_id in wanted if principles is None else principles:
            certified = self.principle(principle_id)
            if not any(each.id == principle_id for each in constitution.principles):
                wrong.append(f"the principle `{principle_id}`, got {constitution.name} without it")
            elif _text_sha256(constitution, principle_id) != certified.text_sha256:
                wrong.append(f"the text that `{principle_id}` had then, got another")
        if standing is not None and _reading(standing, wanted) != self.reading_sha256:
            wrong.append("answers read by the borders and conditions of then, got others")
        if wrong:
            raise DataError(
                f"a certificate of {self.dated} does not fit: expected {'; '.join(wrong)}. "
                "Certify the judge as it is used now: plumbrule judge certify, with --run DIR for "
                "the judge of a run that examined it"
            )

    def age(self, today: date) -> int:
        """Days since the examination."""
        return (today - date.fromisoformat(self.dated)).days

    def old(self, today: date) -> bool:
        """Whether it should be made again."""
        return self.age(today) > self.days

    def write(self, path: Path) -> None:
        """Write it with its seal.

        Raises:
            StorageError: The disk did not take it.
        """
        content = to_json(self)
        text = json.dumps(
            {"certificate": content, "seal": fingerprint(content)}, indent=1, ensure_ascii=False
        )
        write_atomic(path, text + "\n")


def read_certificate(path: Path) -> JudgeCertificate:
    """Read a certificate back.

    Raises:
        DataError: There is none, or it is not what was written: the seal shows what was altered by
            accident or in passing, not what was forged with care.
    """
    text = read_small_text(path, "a certificate", most=LARGEST_FILE, error=DataError)
    try:
        held = json.loads(text)
        content, seal = held["certificate"], held["seal"]
        whole = seal == fingerprint(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"expected a judge's certificate, {path} holds none; make one with "
            "plumbrule judge certify"
        ) from error
    if not whole:
        raise DataError(
            f"expected the certificate that was written to {path}, its seal does not match: it was "
            "altered. Take it from where it was made, or certify again."
        )
    return from_json(JudgeCertificate, content, origin=str(path))


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
        reading_sha256=_reading(standing, principles),
        source=source,
        annotators=tuple(sorted({each.annotator for each in labels if each.annotator})),
        dated=(dated or datetime.now(UTC).date()).isoformat(),
        days=days,
        items_sha256=tuple(sorted(each.label.sha256 for each in settled)),
        principles=tuple(
            _certified(
                name,
                _text_sha256(constitution, name),
                [
                    (one, judged.get(one.label.sha256))
                    for one in settled
                    if one.label.principle == name
                ],
            )
            for name in principles
        ),
    )


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
        One a principle of the certificate that was judged, in its order.

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


def _text_sha256(constitution: Constitution, principle_id: str) -> str:
    return fingerprint(constitution.principle(principle_id).statement())


def _reading(standing: Standing, principles: Sequence[str]) -> str:
    """Hash of how answers are read: borders, and conditions that are decided before."""
    return fingerprint(
        [
            {name: standing.border(name) for name in principles},
            [to_json(each.condition) for each in decisive(standing.conditions)],
        ]
    )
