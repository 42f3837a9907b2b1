"""What the report of an amendment holds: labels kept or asked again, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.constitution import ConstitutionDiff
from plumbrule.loop.amendable import AmendableRun, Amending
from plumbrule.loop.content import report_content
from plumbrule.loop.notes import failing_principles
from plumbrule.loop.regressions import PrincipleRegression, find_regressions, regression_gates
from plumbrule.loop.relabeling import (
    AmendedQuestions,
    LabelReuse,
    RelabeledPair,
    RelabeledReply,
    reuse_of,
)
from plumbrule.loop.steps import Examined, Jury, RunModels, TrainedStages
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.records import Prompt, to_json

MOST_BROKEN = 0.25
"""Share of replies, at the lower end, in which an amended principle may still be broken where the
run's own gates name none."""


@dataclass(frozen=True, kw_only=True)
class Relabeled:
    """Labels under the amended constitution."""

    pairs: Sequence[RelabeledPair]
    replies: Sequence[RelabeledReply]
    before: Examined
    """The model that is amended, examined by the amended constitution."""

    turned: Mapping[str, set[str]]
    """Replies that each amended principle forbids now and did not before, or the reverse."""

    @property
    def reuse(self) -> dict[str, LabelReuse]:
        """Labels kept and asked again, in preferences and examination."""
        return {"preferences": reuse_of(self.pairs), "examination": reuse_of(self.replies)}


def amendment_content(
    run: RunWorkspace,
    earlier: AmendableRun,
    changes: ConstitutionDiff,
    asked: Mapping[str, AmendedQuestions],
    relabeled: Relabeled,
    trained: TrainedStages,
    after: Examined,
    *,
    jury: Jury,
    models: RunModels,
    held_out: Sequence[Prompt],
    settings: Amending,
    command: str,
) -> dict[str, Any]:
    """What the report holds: that of a run, and in front of it what the amendment did."""
    law, oracle = jury.constitution, after.truth is not None
    content = report_content(
        run,
        [relabeled.before, after],
        prompts=held_out,
        constitution=law,
        models=models.named(),
        trained=trained,
        jury=jury,
        command=command,
    )
    bound = earlier.config.gates.most_broken
    rows = find_regressions(
        relabeled.before,
        after,
        law,
        amended=sorted({*asked["critic"].why, *asked["judge"].why}),
        turned=relabeled.turned,
        margin=settings.margin,
        oracle=oracle,
    )
    gates = regression_gates(
        rows, margin=settings.margin, most_broken=MOST_BROKEN if bound is None else bound
    )
    failed = failing_principles([gate for gate in gates if gate["estimate"] is not None])
    gates = [*gates, *content["gates"]]
    reuse = relabeled.reuse
    section = {
        "run": str(earlier.folder),
        "before_sha256": changes.before_sha256,
        "after_sha256": changes.after_sha256,
        "changes": changes.describe().split("\n"),
        "asked_again": [
            {"principle_id": name, "why": why} for name, why in asked["critic"].why.items()
        ],
        "reuse": [
            {"name": name, "kept": each.kept, "asked": each.asked, "share": each.share}
            for name, each in reuse.items()
        ],
        "margin": settings.margin,
        "source": "oracle" if oracle else "judge",
        "principles": [to_json(row) for row in rows],
        "mended": trained.imitated,
    }
    summary = [*failed, *_said(changes, section, rows), *content["summary"]]
    plain: dict[str, Any] = {
        **content,
        "gates": [_plain_gate(gate) for gate in gates],
        "gates_passed": all(gate["passed"] for gate in gates),
        "summary": summary,
        "amendment": section,
    }
    return plain


def _plain_gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    estimate = gate["estimate"]
    plain = estimate is None or isinstance(estimate, dict)
    return {**gate, "estimate": estimate if plain else to_json(estimate)}


def _said(
    changes: ConstitutionDiff, section: Mapping[str, Any], rows: Sequence[PrincipleRegression]
) -> list[str]:
    """What was amended, what it took, and what came of it, in sentences."""
    again = [f"`{each['principle_id']}` ({each['why']})" for each in section["asked_again"]]
    kept = sum(each["kept"] for each in section["reuse"])
    asked = sum(each["asked"] for each in section["reuse"])
    lines = [
        f"{section['run']} was amended: "
        + (f"asked again under {', '.join(again)}" if again else "no principle was asked again")
        + f"; {len(changes.removed)} principles removed, {len(changes.moved)} moved between tiers.",
    ]
    if kept + asked:
        lines.append(
            f"{kept} of {kept + asked} labels ({kept / (kept + asked):.1%}) are those of the run; "
            f"{asked} were asked for again."
        )
    lines.append(
        f"{section['mended']} of the model's replies were mended under what was amended, and "
        "learned in one pass with the preferences recombined."
    )
    for row in rows:
        if row.amended and row.before and row.after:
            lines.append(
                f"`{row.principle_id}`, as it is worded now, was broken in {row.before.value:.1%} "
                f"of {row.before.n} replies it speaks of and is in {row.after.value:.1%} "
                f"[{row.after.low:.1%}, {row.after.high:.1%}]."
            )
    others = [row for row in rows if not row.amended]
    named = {
        verdict: [row.principle_id for row in others if row.verdict == verdict]
        for verdict in ("worse", "worse within the margin", "not shown", "not worse")
    }
    lines.append(
        f"Of {len(others)} other principles "
        + "; ".join(
            f"{len(names)} {verdict}" + (f" ({', '.join(names)})" if verdict != "not worse" else "")
            for verdict, names in named.items()
            if names
        )
        + f", at a margin of {section['margin'] * 100:.1f} points."
    )
    return lines
