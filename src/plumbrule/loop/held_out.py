"""A second judge that taught nothing: what only the first sees get better was learned for it.

The judge of a run may be its critic, and whatever a model learns to please it with looks like
progress to it. A judge that critiqued, labeled and rewarded nothing was not pleased on purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from plumbrule.compliance import violation_rate
from plumbrule.constitution import Principle
from plumbrule.loop.findings import find_changes, principle_change
from plumbrule.loop.steps import DECIDED, Examined, Jury, grade_replies
from plumbrule.loop.trials import held_out_name, try_held_out
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.models import LanguageModel
from plumbrule.people import kappa_between
from plumbrule.records import Estimate, Prompt

_SILENT = "it says of no reply that it breaks or keeps it"

BREAKS = ("breaks", "keeps")
"""What both judges say of a reply; that a principle does not apply counts as kept."""


@dataclass(frozen=True, kw_only=True)
class HeldOutExamination:
    """What a judge that taught nothing says of the first and of the last model."""

    jury: Jury
    """That judge, and what an examination of it found."""

    before: Examined
    after: Examined


def examine_held_out(
    run: RunWorkspace,
    who: LanguageModel,
    jury: Jury,
    stages: Sequence[Examined],
    prompts: Sequence[Prompt],
) -> HeldOutExamination:
    """Let a judge that taught nothing grade the replies that the run's own judge read.

    Args:
        run: The run.
        who: That judge.
        jury: The run's own.
        stages: The examined models; the first and the last are graded.
        prompts: The held-out prompts.
    """
    alone = try_held_out(run, jury, who, prompts)
    read = {each.exchange_id for each in stages[0].manners}  # of each model the same prompts
    before, after = (
        replace(
            stage,
            judgments=grade_replies(
                run,
                f"examination/{stage.stage}/{held_out_name(who)}",
                alone,
                [each for each in stage.exchanges if each.id in read],
            ),
            truth=None,
        )
        for stage in (stages[0], stages[-1])
    )
    return HeldOutExamination(jury=alone, before=before, after=after)


def held_out_rates(
    found: HeldOutExamination | None, stages: Sequence[Examined], prompts: Sequence[Prompt]
) -> dict[str, Any] | None:
    """Both judges beside each other, for the record of a report.

    Args:
        found: What the held-out judge says; None: there was none.
        stages: The examined models with what the run's own judge says.
        prompts: The held-out prompts.

    Returns:
        For each principle and each of the two models both rates and how far the judges agree
        (Cohen's kappa); both changes, and whether a fall that the judge sees, confirmed beside all
        other changes, is `borne_out`: `yes` where the held-out judge's interval lies below 0,
        `no` where it reaches 0 and lies wholly above the judge's, `open` where it decides neither,
        None where the judge confirms no fall. None without a held-out judge.
    """
    if found is None:
        return None
    law, known = found.jury.constitution, {prompt.id: prompt for prompt in prompts}
    claims, _ = find_changes(stages, known, law, command="", oracle=False)
    falls = {
        each.principle_id
        for each in claims
        if each.estimate is not None and each.estimate.value < 0
    }
    able = {each.id for each in found.jury.judge_standing.judged(law)}
    return {
        "spec": found.jury.judge.spec,
        "principles": [
            _principle(each, found, stages, fell=each.id in falls, able=each.id in able)
            for each in law.principles
        ],
    }


def warn_of_held_out(found: dict[str, Any] | None) -> list[str]:
    """Principles that only the judge sees get better: a reader must know before any rate."""
    return [
        f"NOT BORNE OUT: `{each['id']}` is broken less often by the judge's word "
        f"({_points(each['change']['judge'])}), and not by that of the held-out judge "
        f"({_points(each['change']['held out'])}), which took no part in training. The model may "
        "have learned to please its judge."
        for each in (found or {}).get("principles", ())
        if each["borne_out"] == "no"
    ]


def _principle(
    principle: Principle,
    found: HeldOutExamination,
    stages: Sequence[Examined],
    *,
    fell: bool,
    able: bool,
) -> dict[str, Any]:
    row: dict[str, Any] = {"id": principle.id}
    own, other = (stages[0], stages[-1]), (found.before, found.after)
    for judged, again in zip(own, other, strict=True):
        said, heard = (each.verdicts(principle.id) for each in (judged, again))
        row[judged.stage] = {
            "violation_rate": {
                "judge": violation_rate(list(said.values())),
                "held out": violation_rate(list(heard.values())),
            },
            "reasons": {
                "judge": _SILENT,
                "held out": _SILENT if able else "it does no better than chance here",
            },
            "records": f"stages/examination/{judged.stage}/{held_out_name(found.jury.judge)}",
            **_agreement(said, heard),
        }
    first, second = (
        principle_change(principle.id, before, after, oracle=False)
        for before, after in (own, other)
    )
    return {
        **row,
        "change": {"judge": first, "held out": second},
        "borne_out": _borne_out(first, second) if fell else None,
    }


def _agreement(said: dict[str, str], heard: dict[str, str]) -> dict[str, Any]:
    both = [(said[each], heard[each]) for each in said if {said[each], heard.get(each)} <= DECIDED]
    if not both:
        return {"agreement": None, "agreement_reason": "no reply has a verdict of both"}
    one, other = ([BREAKS[pair[at] != "fail"] for pair in both] for at in (0, 1))
    found = kappa_between(one, other, people=("judge", "held out"), answers=BREAKS)
    return {"agreement": found.estimate, "agreement_reason": found.reason}


def _borne_out(judge: Estimate | None, held_out: Estimate | None) -> str:
    """Whether the held-out judge sees the fall too, rules it out, or cannot say."""
    if judge is None or held_out is None:
        return "open"
    if held_out.high < 0:
        return "yes"
    return "no" if held_out.low > judge.high else "open"


def _points(estimate: Estimate) -> str:
    low, value, high = (100 * each for each in (estimate.low, estimate.value, estimate.high))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"
