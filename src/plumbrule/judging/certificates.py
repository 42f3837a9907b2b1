"""What is known of a judge's errors, dated, sealed, and tied to all that it holds for.

A certificate comes from replies that people labeled. It says, per principle, how many broken
replies the judge finds and how many kept ones it clears, and so what a rate that it reports is
worth. With another judge, other words or another text of the principle it says nothing, and is
refused.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError
from plumbrule.files import read_small_text
from plumbrule.judging.calibration import Calibration
from plumbrule.judging.conditions import decisive
from plumbrule.judging.grading import NOTHING_KNOWN, Standing
from plumbrule.judging.labels import LARGEST_FILE
from plumbrule.records import Estimate, LabelSource, from_json, strict, to_json
from plumbrule.statistics import CorrectedRate, corrected_rate
from plumbrule.store import fingerprint, write_atomic

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
            elif hash_of_text(constitution, principle_id) != certified.text_sha256:
                wrong.append(f"the text that `{principle_id}` had then, got another")
        if standing is not None and hash_of_reading(standing, wanted) != self.reading_sha256:
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


def hash_of_text(constitution: Constitution, principle_id: str) -> str:
    """Hash of a principle's words, as a judge is given them."""
    return fingerprint(constitution.principle(principle_id).statement())


def hash_of_reading(standing: Standing, principles: Sequence[str]) -> str:
    """Hash of how answers are read: borders, and conditions that are decided before."""
    return fingerprint(
        [
            {name: standing.border(name) for name in principles},
            [to_json(each.condition) for each in decisive(standing.conditions)],
        ]
    )
