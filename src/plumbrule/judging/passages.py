"""What a constitution says of passages of a corpus: by its words, a judge, or a cheap classifier.

Who decides is on every finding. A principle that nobody could decide is `undecided`, which is
neither a breach nor a clearance.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from plumbrule.constitution import Constitution, holds_words
from plumbrule.judging.grading import NOTHING_KNOWN, Standing, grade
from plumbrule.judging.prompts import PromptSet
from plumbrule.models import LanguageModel
from plumbrule.records import Estimate, Exchange, Judgment, Message, strict
from plumbrule.statistics import auroc, wilson
from plumbrule.store import derive_seed

ASKED = "Write a passage of a text that others will learn from."
"""What a passage is said to answer, where a judge grades replies."""

FEWEST_EXAMPLES = 10
"""Passages of either kind without which no classifier is learned."""

FOLDS = 5


PassageVerdict = Literal["keeps", "breaks", "undecided"]
DecidedBy = Literal["words", "judge", "classifier", "nobody"]


@strict
@dataclass(frozen=True, kw_only=True)
class PassageFinding:
    """What was said of one passage under one principle, and by what."""

    passage_id: str
    principle_id: str
    verdict: PassageVerdict
    by: DecidedBy

    probability: float | None
    """That the principle is broken; None where nobody gave one."""

    why: str
    """The words that were found, the judge's, or why nothing was decided."""


def find_by_words(
    passages: Sequence[tuple[str, str]], constitution: Constitution
) -> list[PassageFinding]:
    """What the constitution's own words say of passages, each an id and a text.

    Returns:
        For each passage one finding for each principle that has words, in their order.
    """
    return [
        PassageFinding(
            passage_id=name,
            principle_id=principle.id,
            verdict="breaks" if found else "keeps",
            by="words",
            probability=None,
            why=", ".join(found),
        )
        for name, text in passages
        for principle in constitution.principles
        if principle.words
        for found in [holds_words(text, principle.words)]
    ]


def find_by_judge(
    judge: LanguageModel,
    passages: Sequence[tuple[str, str]],
    constitution: Constitution,
    *,
    prompts: PromptSet,
    seed: int,
    standing: Standing = NOTHING_KNOWN,
) -> list[PassageFinding]:
    """What a judge says of passages; a passage that talks to its judge is read twice, as replies.

    Args:
        judge: Who reads them.
        passages: Each an id and a text.
        constitution: What is asked about.
        prompts: The words to ask in.
        seed: Decides what is drawn.
        standing: What is known of the judge beforehand.

    Returns:
        For each passage one finding a principle, without those that the judge was seen not to see.
        A judgment that was refused or lost is undecided.
    """
    exchanges = [
        Exchange(id=name, dialogue=(Message("user", ASKED),), response=text, model="corpus")
        for name, text in passages
    ]
    judgments = grade(
        judge,
        exchanges,
        constitution,
        prompts=prompts,
        seeds=[derive_seed(seed, "passage", name) for name, _ in passages],
        standing=standing,
    )
    return [_finding(each) for each in judgments]


def _finding(judgment: Judgment) -> PassageFinding:
    verdicts: dict[str, PassageVerdict] = {
        "pass": "keeps",
        "not_applicable": "keeps",
        "fail": "breaks",
    }
    return PassageFinding(
        passage_id=judgment.exchange_id,
        principle_id=judgment.principle_id,
        verdict=verdicts.get(judgment.verdict, "undecided"),
        by="judge",
        probability=judgment.probability,
        why=judgment.rationale,
    )


@strict
@dataclass(frozen=True, kw_only=True)
class ClassifierTrial:
    """How well a classifier of passages does on judged ones that it was not fitted to."""

    principle_id: str

    judged: int
    """Passages that the judge decided."""

    breaking: int
    """Those of them that break the principle, as the judge says."""

    auroc: Estimate | None
    """Chance that one that breaks it scores higher than one that keeps it."""

    seen: Estimate | None
    """Share that the classifier finds, of those that the judge finds to break it."""

    right: Estimate | None
    """Share that the judge finds to break it, of those that the classifier finds."""

    reason: str | None
    """Why there is no classifier of this principle; None where there is one."""


@dataclass(frozen=True, kw_only=True)
class PassageClassifier:
    """A judge's rulings on one principle, learned from words and pairs of words."""

    trial: ClassifierTrial
    margin: float
    model: Any
    """A scikit-learn pipeline; None where the trial says why not."""

    def find(self, passages: Sequence[tuple[str, str]]) -> list[PassageFinding]:
        """What it says of passages; undecided within the margin around even odds."""
        if not passages:
            return []
        name = self.trial.principle_id
        if self.model is None:
            return [
                _said(passage, name, "undecided", "nobody", None, self.trial.reason or "")
                for passage, _ in passages
            ]
        found = []
        for (passage, _), value in zip(
            passages, self.model.predict_proba([text for _, text in passages])[:, 1], strict=True
        ):
            likely = round(float(value), 4)  # the digits that do not depend on the machine
            verdict = _verdict(likely, self.margin)
            found.append(_said(passage, name, verdict, "classifier", likely, ""))
        return found


def learn_passages(
    principle_id: str,
    texts: Sequence[str],
    findings: Sequence[PassageFinding],
    *,
    seed: int,
    margin: float = 0.1,
) -> PassageClassifier:
    """Learn from judged passages what a judge would say of others.

    Logistic regression on TF-IDF of words and pairs of words, both kinds of passage weighing the
    same. What it can do is measured on folds that it did not learn from; one that does not do
    better than chance there is not used.

    Args:
        principle_id: Which principle.
        texts: Passages that were judged.
        findings: What was said of each under this principle, in the same order.
        seed: Decides the folds.
        margin: Probabilities this near to 0.5 decide nothing.
    """
    decided = [
        (text, finding.verdict == "breaks")
        for text, finding in zip(texts, findings, strict=True)
        if finding.verdict != "undecided"
    ]
    broken = np.array([bad for _, bad in decided], dtype=bool)
    few = min(int(broken.sum()), int((~broken).sum()))

    def trial(reason: str | None, **measured: Estimate | None) -> ClassifierTrial:
        return ClassifierTrial(
            principle_id=principle_id,
            judged=len(decided),
            breaking=int(broken.sum()),
            auroc=measured.get("auroc"),
            seen=measured.get("seen"),
            right=measured.get("right"),
            reason=reason,
        )

    if few < FEWEST_EXAMPLES:
        kind = "break it" if broken.sum() <= (~broken).sum() else "keep it"
        reason = (
            f"only {few} of {len(decided)} judged passages {kind}, a classifier needs "
            f"{FEWEST_EXAMPLES}; judge more"
        )
        return PassageClassifier(trial=trial(reason), margin=margin, model=None)
    words = [text for text, _ in decided]
    likely = _held_out(words, broken, seed=derive_seed(seed, "folds", principle_id) % 2**32)
    area = auroc(likely[broken].tolist(), likely[~broken].tolist())
    said = np.round(likely, 4) > 0.5 + margin
    measured: dict[str, Estimate | None] = {
        "auroc": area,
        "seen": wilson(int(said[broken].sum()), int(broken.sum()), unit="found per breach"),
        "right": wilson(int(broken[said].sum()), int(said.sum()), unit="breaches per passage found")
        if said.any()
        else None,
    }
    if area.low <= 0.5:
        reason = "on passages that it did not learn from it is no better than chance; judge more"
        return PassageClassifier(trial=trial(reason, **measured), margin=margin, model=None)
    model = _pipeline().fit(words, broken)
    return PassageClassifier(trial=trial(None, **measured), margin=margin, model=model)


def _held_out(words: Sequence[str], broken: np.ndarray, *, seed: int) -> Float[np.ndarray, " N"]:
    """Probabilities from folds that each text was not learned in."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    found: Float[np.ndarray, " N"] = cross_val_predict(
        _pipeline(), np.array(words, dtype=object), broken, cv=folds, method="predict_proba"
    )[:, 1]
    return found


def _pipeline() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

    return make_pipeline(
        TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w[\w'\u2019]*"
        ),
        LogisticRegression(class_weight="balanced", C=10.0, max_iter=1000),
    )


def _verdict(likely: float, margin: float) -> PassageVerdict:
    if abs(likely - 0.5) <= margin:
        return "undecided"
    return "breaks" if likely > 0.5 else "keeps"


def _said(
    passage: str,
    principle: str,
    verdict: PassageVerdict,
    by: DecidedBy,
    probability: float | None,
    why: str,
) -> PassageFinding:
    return PassageFinding(
        passage_id=passage,
        principle_id=principle,
        verdict=verdict,
        by=by,
        probability=probability,
        why=why,
    )
