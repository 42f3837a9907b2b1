"""What the report of a comparison shows, as one record; the page computes nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from plumbrule.behavior.hypotheses import Hypothesis
from plumbrule.behavior.looking import SURPRISING
from plumbrule.behavior.results import Comparison
from plumbrule.behavior.subgroups import Selector, Subgroup
from plumbrule.behavior.validation import HypothesisVerdict, ScoredPair
from plumbrule.behavior.wording import said, such_as
from plumbrule.models import LanguageModel
from plumbrule.records import Estimate, Finding, Guarantee, to_json
from plumbrule.statistics import betting_interval
from plumbrule.store import fingerprint

if TYPE_CHECKING:
    from plumbrule.behavior.localization import Localization

EXAMPLES = 6
"""Pairs of replies shown for a finding."""

MOST_POINTS = 3000
"""Prompts on the map."""

WHY = {
    "hopeless": "the evidence went against it",
    "cap": "the most pairs allowed were not enough evidence",
    "budget": "the budget of texts was spent",
    "no prompts": "no test prompt lies there",
    "enough": "it stood alone, but not in its family",
}


def comparison_content(
    found: Comparison, *, base: LanguageModel, tuned: LanguageModel, command: str
) -> dict[str, Any]:
    """Turn a comparison into what `report.json` holds.

    Args:
        found: The comparison.
        base: The model before.
        tuned: The model after.
        command: What makes it again.
    """
    findings = [
        _finding(number, verdict, found, command)
        for number, verdict in enumerate(found.findings, 1)
    ]
    content: dict[str, Any] = {
        "kind": "comparison",
        "title": f"What changed from {_short(base.spec)} to {_short(tuned.spec)}",
        "command": command,
        "summary": summary(found),
        "models": {"base": _plain(base.describe()), "tuned": _plain(tuned.describe())},
        "identities": {
            "base": base.identity,
            "tuned": tuned.identity,
            "prompts": found.pool.sha256,
        },
        "gates": _gates(found),
        "findings": findings,
        "not_confirmed": [_not_confirmed(v) for v in found.verdicts if not v.confirmed],
        "surprising": _surprising(found),
        "certificate": _certificate(found),
        "map": _map(found, findings),
        "screens": _screens(found, findings),
        "total": _total(found),
        "settings": _plain(asdict(found.settings)),
    }
    if found.lineage is not None:
        content["lineage"] = _lineage(found)
    if found.noise is not None:
        content["noise"] = {
            "floor": found.noise.floor,
            "unit": "mean movement of replies, from 0 to 1",
            "how": found.noise.how,
        }
    return content


def _short(spec: str) -> str:
    """Last part of a model's name, for a title."""
    return spec.rstrip("/").rsplit("/", 1)[-1]


def summary(found: Comparison) -> list[str]:
    """What a reader must know first."""
    if found.identical:
        return ["Both models are the same weights, tokenizer and template: nothing can differ."]
    count, family = len(found.findings), len(found.verdicts)
    level = f"{found.settings.fdr:.0%}"
    noun = "hypothesis" if family == 1 else "hypotheses"
    lines = [
        f"{count} change{'s' * (count != 1)} confirmed, of {family} {noun} tested on fresh "
        f"prompts; at most {level} of such findings are expected to be false."
        if count
        else f"No change was confirmed, of {family} {noun} tested on fresh prompts."
    ]
    read = len(found.looked.surprising) if found.looked else 0
    if read and not count:
        lines.append(
            f"The tuned model still gives replies that the base would hardly have given: "
            f"the report shows {read} to read."
        )
    lines += [said(verdict, found) for verdict in found.findings[:SAID]]
    if count > SAID:
        lines.append(f"The report shows {count - SAID} more.")
    if found.lineage is not None and found.lineage.same_template is False:
        lines.append(
            "The models read prompts in different chat templates, each in its own: what the "
            "template changes is part of what was compared."
        )
    movement = found.certificate.movement
    if movement is not None and movement.high > USEFUL:
        lines.append(_unbounded(found))
    elif movement is not None:
        lines.append(
            f"Over {found.certificate.population} test prompts, no property of the replies moved "
            f"by more than {movement.high:.3f} on average (at {movement.level:.0%} confidence)."
        )
    elif found.certificate.reason:
        lines.append(f"There is no bound on what was not found: {found.certificate.reason}.")
    return [*lines, *_features(found)]


SAID = 5
"""Findings in the summary."""

USEFUL = 0.5
"""Bound on the movement of replies above which it says nothing of any one property."""


def _unbounded(found: Comparison) -> str:
    """Why what was not found cannot be bounded, and where it may be sought."""
    movement = found.certificate.movement
    assert movement is not None
    text = (
        "What was not found cannot be bounded, because nearly every reply has become more or less "
        f"likely: whole replies lie {movement.value:.2f} apart on average (total variation, 0 to "
        f"1; at most {movement.high:.2f}). The power below says what would have been found."
    )
    topics = _furthest_topics(found)
    if not topics:
        return text
    return f"{text} What the base would hardly say is most frequent on {topics}."


def _features(found: Comparison) -> list[str]:
    """What bounds the readable features that no finding is about, in a sentence; none without."""
    named = {
        verdict.hypothesis.property.text
        for verdict in found.findings
        if verdict.hypothesis.property.kind == "feature"
    }
    rest = [each for each in found.certificate.features if each.feature not in named]
    if not rest:
        return []
    ends = [max(-each.estimate.low, each.estimate.high) for each in rest]
    widest = max(range(len(rest)), key=ends.__getitem__)
    level, count = 1 - found.settings.fdr, rest[0].estimate.n
    return [
        f"Over all prompts, none of the {len(rest)} readable features that no finding names moved "
        f"by more than {ends[widest]:.2f} ({rest[widest].feature}; half of them by no more than "
        f"{sorted(ends)[len(ends) // 2]:.2f}): {level:.0%} for all of them together, from {count} "
        "pairs of replies to prompts drawn by chance."
    ]


def _furthest_topics(found: Comparison, most: int = 3, least: int = 4) -> str:
    """Topics on which the tuned model oftenest says what the base hardly would; empty for none."""
    looked = found.looked
    if looked is None:
        return ""
    met: dict[str, list[bool]] = {}
    for row, nats in looked.surprises.items():
        for topic in looked.prompts[row].topics:
            met.setdefault(topic, []).append(nats >= SURPRISING)
    shares = {topic: sum(each) / len(each) for topic, each in met.items() if len(each) >= least}
    ranked = sorted(
        (topic for topic, share in shares.items() if share > 0),
        key=lambda topic: (-shares[topic], -len(met[topic]), topic),
    )
    chosen: list[str] = []
    for topic in ranked:  # branches of one branch share their words
        if len(chosen) < most and not any(
            set(topic.split(", ")) & set(other.split(", ")) for other in chosen
        ):
            chosen.append(topic)
    subgroups = [Subgroup(selectors=(Selector(role="topic", words=topic),)) for topic in chosen]
    return "; ".join(f"{subgroup}{such_as(subgroup, found.pool, most=1)}" for subgroup in subgroups)


def severity(estimate: Estimate | None) -> str:
    """How much a move matters, by its size alone: what it means is for people to say."""
    if estimate is None:
        return "info"
    size = abs(estimate.value)
    return "high" if size >= 0.5 else "medium" if size >= 0.2 else "low"


def _record(verdict: HypothesisVerdict, found: Comparison, command: str) -> Finding:
    hypothesis = verdict.hypothesis
    return Finding(
        claim=str(hypothesis),
        where=str(hypothesis.subgroup),
        what=str(hypothesis.property),
        estimate=verdict.estimate,
        reason=None if verdict.estimate else "no pair was drawn",
        evidence=("samples/trials.jsonl",),
        principle_id=None,
        severity=severity(verdict.estimate),  # type: ignore[arg-type]
        guarantee=_guarantee(found),
        reproduce=command,
    )


def _guarantee(found: Comparison) -> Guarantee:
    return Guarantee(
        procedure="e-BH on betting e-values, stopped early",
        level=found.settings.fdr,
        family_size=len(found.verdicts),
    )


def _finding(
    number: int, verdict: HypothesisVerdict, found: Comparison, command: str
) -> dict[str, Any]:
    trials = [t for t in found.trials if t.hypothesis_id == verdict.hypothesis.id]
    layers = found.localizations.get(verdict.hypothesis.id)
    return {
        **to_json(_record(verdict, found, command)),
        "id": str(number),
        "said": said(verdict, found),
        "subgroup": to_json(verdict.hypothesis.subgroup),
        "e_value": verdict.e_value,
        "threshold": len(found.verdicts) / found.settings.fdr,
        "pairs": verdict.pairs,
        "prompts_distinct": verdict.prompts,
        "unusable": verdict.unusable,
        "base_rate": _rate([t.base_score for t in trials], found),
        "tuned_rate": _rate([t.tuned_score for t in trials], found),
        "examples": [_example(trial) for trial in _telling(trials, verdict.hypothesis)],
        "screens": list(verdict.hypothesis.screens),
        "layers": [] if layers is None else _layers(layers),
        "localization": found.unlocalized.get(verdict.hypothesis.id)
        if layers is None
        else layers.reason,
    }


def _layers(found: "Localization") -> list[dict[str, Any]]:
    """Each changed part, what it brings alone, and whether the change needs it."""
    return [
        {"name": one.part, "share": one.share, "kept": one.part in found.kept}
        for one in found.shares
    ]


def _rate(scores: Sequence[float], found: Comparison) -> Any:
    if not scores:
        return None
    return to_json(
        betting_interval(np.array(scores), level=1 - found.settings.fdr, unit="score per reply")
    )


def _telling(trials: Sequence[ScoredPair], hypothesis: Hypothesis) -> list[ScoredPair]:
    """Pairs to show: those that show the change first, each prompt once, and one that does not."""
    sign = 1 if hypothesis.direction == "increase" else -1
    ordered = sorted(trials, key=lambda t: -sign * (t.tuned_score - t.base_score))
    seen: dict[str, ScoredPair] = {}
    for trial in ordered:
        seen.setdefault(trial.pair.prompt_id, trial)
    shown = list(seen.values())
    return shown if len(shown) <= EXAMPLES else [*shown[: EXAMPLES - 1], shown[-1]]


def _example(trial: ScoredPair) -> dict[str, Any]:
    return {
        "prompt": to_json(list(trial.pair.dialogue)),
        "base": trial.pair.base,
        "tuned": trial.pair.tuned,
        "base_score": trial.base_score,
        "tuned_score": trial.tuned_score,
    }


def _surprising(found: Comparison) -> list[dict[str, Any]]:
    """Replies to read where nothing was confirmed, or besides what was."""
    return [
        {
            "prompt": to_json(list(pair.dialogue)),
            "base": pair.base,
            "tuned": pair.tuned,
            "nats": nats,
        }
        for pair, nats in (found.looked.surprising if found.looked else ())
    ]


def _not_confirmed(verdict: HypothesisVerdict) -> dict[str, Any]:
    return {
        "claim": str(verdict.hypothesis),
        "where": str(verdict.hypothesis.subgroup),
        "what": str(verdict.hypothesis.property),
        "estimate": to_json(verdict.estimate) if verdict.estimate else None,
        "e_value": verdict.e_value,
        "pairs": verdict.pairs,
        "why": WHY[verdict.stopped],
    }


def _gates(found: Comparison) -> list[dict[str, Any]]:
    if found.identical:
        return [{"name": "different models", "passed": None, "bound": "", "detail": "the same"}]
    gates = []
    if found.lineage is not None:
        gates.append(
            {
                "name": "lineage",
                "passed": found.lineage.verdict in ("child", "identical"),
                "bound": "the tuned model was made from the base",
                "detail": found.lineage.reason,
            }
        )
    if found.noise is not None:
        gates.append(
            {
                "name": "noise floor",
                "passed": found.noise.floor < found.settings.min_effect,
                "bound": f"the base moves from itself by less than {found.settings.min_effect:g}",
                "detail": f"{found.noise.floor:.4f} over {found.noise.replies} replies: "
                f"{found.noise.how}",
            }
        )
    return gates


def _lineage(found: Comparison) -> dict[str, Any]:
    lineage = found.lineage
    assert lineage is not None
    return {
        "verdict": lineage.verdict,
        "reason": lineage.reason,
        "relative_change": lineage.relative_change,
        "tensors": lineage.tensors,
        "changed": lineage.changed,
        "same_tokenizer": lineage.same_tokenizer,
        "same_template": lineage.same_template,
        "tensors_most_changed": [
            {"name": one.name, "relative_norm": one.relative, "stable_rank": one.stable_rank}
            for one in lineage.most_changed
        ],
    }


def _certificate(found: Comparison) -> dict[str, Any]:
    certificate = found.certificate
    sentences = []
    if certificate.movement is not None and certificate.most_moved is not None:
        bound, share = certificate.movement, certificate.share_moved
        assert share is not None
        sentences = [
            f"{certificate.sampled} replies of the base to prompts drawn at random from "
            f"{certificate.population} test prompts were weighed under both models.",
            _unbounded(found)
            if bound.high > USEFUL
            else f"Their mean total variation distance is at most {bound.high:.3f} at "
            f"{bound.level:.0%} confidence, so no property of the replies, named or not, moved by "
            "more than that on average.",
        ]
        if found.findings and certificate.elsewhere is not None:
            sentences.append(
                f"On the prompts that no finding speaks of it is at most "
                f"{certificate.elsewhere.high:.3f}."
            )
        if certificate.most_moved < 1:
            sentences.append(
                f"At most {certificate.most_moved:.1%} of the prompts moved by more than the "
                f"minimum effect of {found.settings.min_effect:g}."
            )
        sentences.append(
            f"{share.value:.1%} of the sampled replies moved by more than the minimum effect."
        )
    elif certificate.reason:
        sentences = [f"No bound: {certificate.reason}."]
    sentences += _features(found)
    record = to_json(certificate)
    return {**record, "sentences": sentences, "signature": fingerprint(record)}


def _map(found: Comparison, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The prompts in two dimensions, alike ones close together, colored by how far models part."""
    looked = found.looked
    if looked is None or len(looked.prompts) < 3:
        return {"points": [], "unit": "", "note": "no prompt was looked at"}
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [" ".join(t.content for t in prompt.dialogue) for prompt in looked.prompts]
    step = max(1, len(texts) // MOST_POINTS)
    rows = list(range(0, len(texts), step))
    try:
        grams = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(
            [texts[row] for row in rows]
        )
        flat = TruncatedSVD(2, random_state=0).fit_transform(grams)
    except ValueError as error:
        return {"points": [], "unit": "", "note": f"the prompts cannot be laid out: {error}"}
    by_subgroup = [
        (verdict.hypothesis.subgroup, str(n)) for n, verdict in enumerate(found.findings, 1)
    ]
    asked = looked.apart()
    points = [
        {
            "x": float(x),
            "y": float(y),
            "score": asked.get(row),
            "text": texts[row],
            "finding": next(
                (
                    name
                    for subgroup, name in by_subgroup
                    if subgroup.rules and subgroup.holds(looked.prompts[row])
                ),
                None,
            ),
        }
        for row, (x, y) in zip(rows, flat.tolist(), strict=True)
    ]
    return {
        "points": points,
        "unit": "share of words that the two replies do not have in common",
        "note": f"{len(points)} of {len(found.pool.explore) + len(found.pool.confirm)} prompts; "
        "alike prompts lie close together",
    }


def _screens(found: Comparison, findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, spent in found.costs.items():
        rows.append(
            {
                "name": name,
                **asdict(spent),
                "led_to": [each["id"] for each in findings if name in each["screens"]],
                "note": found.notes.get(name),
            }
        )
    return rows


def _total(found: Comparison) -> dict[str, Any]:
    costs = [asdict(each) for each in found.costs.values()]
    names = ("seconds", "texts", "tokens_generated", "tokens_scored", "calls", "dollars")
    return {name: sum(each[name] for each in costs) for name in names}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain
