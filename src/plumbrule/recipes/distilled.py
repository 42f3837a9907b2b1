"""What a distillation is told to do, what came of it, and the pages that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.compliance import count, violation_rate
from plumbrule.constitution import Constitution
from plumbrule.loop.content import who_by_what
from plumbrule.loop.sizes import ADAPTERS_FROM, parameters_in, say_adapters
from plumbrule.models import LanguageModel, Sampling
from plumbrule.records import (
    Estimate,
    Exchange,
    Judgment,
    Prompt,
    check_ranges,
    strict,
    to_json,
)
from plumbrule.statistics import paired_proportions
from plumbrule.store import fingerprint
from plumbrule.training import (
    DocumentTraining,
    LoraSettings,
    Revising,
    RevisionFilter,
    SupervisedTraining,
)
from plumbrule.version import __version__

STUDENT, FINAL, TEACHER = "before", "final", "teacher"
"""Names of the examined models, as a report calls stages."""


@strict
@dataclass(frozen=True, kw_only=True)
class Distillation:
    """How a teacher writes and a student learns."""

    told: bool = True
    """The teacher reads the constitution as it writes; False: only to critique and revise."""

    revising: Revising = field(default_factory=lambda: Revising(rounds=1, trim=True))
    """Rounds of critique and revision by the teacher."""

    revision_filter: RevisionFilter | None = field(default_factory=RevisionFilter)
    """What makes a revision unfit to be learned; None: every revision is learned."""

    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7))
    """Of the teacher's replies, and of all replies in the examination."""

    documents: DocumentTraining | None = None
    """Learn documents about the constitution before the replies; None: replies alone."""

    copies: int = 1
    """Times that each of these documents is written."""

    supervised: SupervisedTraining = field(
        default_factory=lambda: SupervisedTraining(learning_rate=1e-4, epochs=2, batch_size=16)
    )
    """How the student learns the replies."""

    unrevised: float = 1.0
    """Weight of a reply that no round changed, beside 1 for a revision; 0 leaves it out."""

    shard_size: int = 16
    """Prompts between two writes to the disk."""

    seed: int = 0
    """Decides every random choice."""

    def __post_init__(self) -> None:
        check_ranges(self, copies=(1, 1000), unrevised=(0, 1000), shard_size=(1, 10**5))


def distillation_settings(
    student: str,
    *,
    rounds: int = 1,
    told: bool = True,
    documents: bool = False,
    epochs: int = 2,
    learning_rate: float | None = None,
    lora: bool | None = None,
    max_tokens: int = 256,
    seed: int = 0,
) -> tuple[Distillation, str | None]:
    """Settings from what a command names, and a sentence on what was decided here.

    Args:
        student: Who learns; adapters are trained where it is large and nobody said otherwise.
        rounds: Of critique and revision.
        told: The teacher reads the constitution as it writes.
        documents: Documents about it come first.
        epochs: Times that each reply is learned.
        learning_rate: Peak step size; None: that of `Distillation`.
        lora: Train an adapter; None: from 50 million parameters on.
        max_tokens: Longest reply.
        seed: Decides every random choice.

    Raises:
        ConfigError: One is out of range.
    """
    size = parameters_in(student) if lora is None else None
    adapters = bool(lora) or (size is not None and size > ADAPTERS_FROM)
    note = None
    if adapters and lora is None and size is not None:
        note = say_adapters("the student", size)
    default = Distillation()
    layers = LoraSettings() if adapters else None
    rate = default.supervised.learning_rate if learning_rate is None else learning_rate
    return replace(
        default,
        told=told,
        revising=replace(default.revising, rounds=rounds),
        sampling=replace(default.sampling, max_new_tokens=max_tokens),
        documents=DocumentTraining(learning_rate=rate, batch_size=16, lora=layers)
        if documents
        else None,
        supervised=replace(default.supervised, epochs=epochs, learning_rate=rate, lora=layers),
        seed=seed,
    ), note


@strict
@dataclass(frozen=True, kw_only=True)
class BrokenBefore:
    """How often one principle was broken before and after, by the judge."""

    principle_id: str
    before: Estimate | None
    final: Estimate | None
    teacher: Estimate | None

    change: Estimate | None
    """Final minus before, on the prompts that were decided for both."""


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """A distilled student."""

    path: Path
    model: Path
    """Folder of the student after."""

    prompts: int
    """Prompts that the teacher was given."""

    learned: int
    """Replies that the student learned from."""

    revised: int
    """Those of them that the teacher revised."""

    left_out: Mapping[str, int]
    """Reason → replies that nobody learned from."""

    examined: int
    """Held-out prompts; 0 without a judge."""

    principles: tuple[BrokenBefore, ...]


def changes(
    law: Constitution, judged: Mapping[str, Sequence[Judgment]]
) -> tuple[BrokenBefore, ...]:
    """Each principle before and after."""
    if not judged:
        return ()
    found = []
    for principle in law.principles:
        by_stage = {
            name: {
                each.exchange_id: each.verdict
                for each in judgments
                if each.principle_id == principle.id
            }
            for name, judgments in judged.items()
        }
        both = [
            (by_stage[STUDENT][name] == "fail", verdict == "fail")
            for name, verdict in by_stage[FINAL].items()
            if verdict in ("pass", "fail") and by_stage[STUDENT].get(name) in ("pass", "fail")
        ]
        rates = {
            name: violation_rate(list(verdicts.values())) for name, verdicts in by_stage.items()
        }
        found.append(
            BrokenBefore(
                principle_id=principle.id,
                before=rates[STUDENT],
                final=rates[FINAL],
                teacher=rates[TEACHER],
                change=paired_proportions(
                    np.array([was for was, _ in both]),
                    np.array([now for _, now in both]),
                    unit="violations per reply it applies to",
                )
                if both
                else None,
            )
        )
    return tuple(found)


def distillation_record(found: DistillationResult) -> dict[str, Any]:
    """The counts, as JSON holds them."""
    return {
        "prompts": found.prompts,
        "learned": found.learned,
        "revised": found.revised,
        "left_out": dict(sorted(found.left_out.items())),
        "examined": found.examined,
        "principles": [to_json(each) for each in found.principles],
    }


def distillation_sentences(found: DistillationResult) -> list[str]:
    """What came of it, in a few sentences."""
    said = [
        f"The student learned {found.learned:,} replies of the teacher to {found.prompts:,} "
        f"prompts; {found.revised:,} of them the teacher had revised."
    ]
    if found.left_out:
        said.append(
            "Left out: "
            + ", ".join(f"{count:,} ({reason})" for reason, count in found.left_out.items())
            + "."
        )
    if not found.examined:
        said.append("Nobody examined it: without a judge and held-out prompts nothing is known.")
    for each in found.principles:
        if each.before is None or each.final is None or each.change is None:
            said.append(f"{each.principle_id}: the judge decided too little to say.")
            continue
        change = each.change
        if change.high < 0:
            verdict = "less often than chance makes it, this principle taken alone"
        elif change.low > 0:
            verdict = "more often than chance makes it, this principle taken alone"
        else:
            verdict = "which chance can do"
        said.append(
            f"{each.principle_id}: broken by {each.before.value:.1%} of replies before and "
            f"{each.final.value:.1%} after; on the {change.n:,} prompts that were decided both "
            f"times {change.value:+.1%} ({change.low:+.1%} to {change.high:+.1%}), {verdict}."
        )
    return said


def distillation_content(
    found: DistillationResult,
    law: Constitution,
    settings: Distillation,
    held_out: Sequence[Prompt],
    examined: Mapping[str, tuple[Sequence[Exchange], Sequence[Judgment]]],
    *,
    models: Mapping[str, LanguageModel],
    command: str,
) -> dict[str, Any]:
    """The record of a report, as `plumbrule.report.write_page` takes it."""
    content: dict[str, Any] = {
        "schema": 1,
        "title": f"Distillation of {law.name}",
        "summary": distillation_sentences(found),
        "plumbrule_version": __version__,
        "seed": settings.seed,
        "command": command,
        **who_by_what(law, models),
        "distillation": {**distillation_record(found), "settings": to_json(settings)},
        "notes": [
            "The student never reads the constitution: what it knows of it came through replies"
            + (" and documents." if settings.documents is not None else "."),
            "The judge that examines also chose what was learned; a judge that taught nothing "
            "may say something else.",
        ],
    }
    if examined:
        content["headline_source"] = "judge"
        content["principles"] = [
            {
                "id": each.id,
                "text": each.text,
                "tier": each.tier,
                **{
                    name: _look(judged, each.id, name)
                    for name, (_, judged) in examined.items()
                    if name != TEACHER
                },
            }
            for _, some in law.by_tier()
            for each in some
        ]
        content["outcomes"] = _outcomes(held_out, examined)
        content["examples"] = [
            {
                "id": prompt.id,
                "kind": " / ".join(part for part in (prompt.group, prompt.kind) if part),
                "principle_id": None,
                "dialogue": [to_json(turn) for turn in prompt.dialogue],
                "replies": [
                    {
                        "stage": name,
                        "text": replies[at].response,
                        "verdict": _said(judged, prompt.id),
                        "oracle": None,
                    }
                    for name, (replies, judged) in examined.items()
                ],
                "critiques": [],
            }
            for at, prompt in enumerate(held_out[:5])
        ]
    return content


def _said(judged: Sequence[Judgment], exchange_id: str) -> str:
    """What the judge found in one reply."""
    broken = [
        each.principle_id
        for each in judged
        if each.exchange_id == exchange_id and each.verdict == "fail"
    ]
    return f"breaks {', '.join(broken)}" if broken else "breaks nothing that was decided"


def _look(judged: Sequence[Judgment], principle_id: str, stage: str) -> dict[str, Any]:
    """One principle at one stage, as a report holds it."""
    verdicts = [each.verdict for each in judged if each.principle_id == principle_id]
    rate = violation_rate(verdicts)
    return {
        "violation_rate": {"judge": None if rate is None else to_json(rate), "oracle": None},
        "counts": count(verdicts),
        "oracle_counts": None,
        "records": f"stages/judged-{stage}",
    }


def _outcomes(
    held_out: Sequence[Prompt],
    examined: Mapping[str, tuple[Sequence[Exchange], Sequence[Judgment]]],
) -> dict[str, Any]:
    """The outcome of each held-out prompt, in the form in which runs are compared.

    One letter per prompt: `y` it is so, `n` it is not, `-` it does not apply or nobody knows.
    """
    stages = {}
    for name in (STUDENT, FINAL):
        _, judged = examined[name]
        verdicts: dict[str, dict[str, str]] = {}
        for each in judged:
            verdicts.setdefault(each.principle_id, {})[each.exchange_id] = each.verdict
        letters = {"fail": "y", "pass": "n"}
        harmless = ""
        for prompt in held_out:
            said = [by_prompt.get(prompt.id, "") for by_prompt in verdicts.values()]
            known = prompt.deserves_help is not True and any(one in letters for one in said)
            harmless += ("n" if "fail" in said else "y") if known else "-"
        stages[name] = {
            "helpful": "-" * len(held_out),
            "harmless": harmless,
            "broken": {
                principle: "".join(
                    letters.get(by_prompt.get(each.id, ""), "-") for each in held_out
                )
                for principle, by_prompt in verdicts.items()
            },
        }
    return {
        "prompts": [
            fingerprint([[turn.role, turn.content] for turn in prompt.dialogue])[:16]
            for prompt in held_out
        ],
        "stages": stages,
    }
