"""What a report says: every number of it is computed here, once, from records."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.judging import Standing
from plumbrule.loop.certified import certified_rates, say_certificate
from plumbrule.loop.deciding import decided, listed, plain
from plumbrule.loop.feedback import NOTHING_GIVEN, HumanFeedback
from plumbrule.loop.held_out import HeldOutExamination, held_out_rates, warn_of_held_out
from plumbrule.loop.notes import (
    failing_principles,
    notes,
    summary,
    ungraded,
    untaught_principles,
)
from plumbrule.loop.outcomes import labels_used
from plumbrule.loop.sifting import counted, warn_of_sifted
from plumbrule.loop.steps import Examined, Jury, TrainedStages
from plumbrule.loop.talk import say_talk, talk_to_judge, warn_of_talk
from plumbrule.loop.trials import say_trial, trial_rows
from plumbrule.loop.watching import stopped_early, watched_notes
from plumbrule.loop.workspace import RunWorkspace, peak_rss_bytes
from plumbrule.models import LanguageModel
from plumbrule.records import Prompt, to_json
from plumbrule.version import __version__

EXAMPLES = 12
"""Dialogues shown in the report, as many as possible of different kinds."""


def report_content(
    run: RunWorkspace,
    stages: Sequence[Examined],
    *,
    prompts: Sequence[Prompt],
    constitution: Constitution,
    models: Mapping[str, LanguageModel],
    trained: TrainedStages,
    jury: Jury,
    command: str,
    people: HumanFeedback = NOTHING_GIVEN,
    held_out_judge: HeldOutExamination | None = None,
) -> dict[str, Any]:
    """Everything that `report.json` holds.

    Args:
        run: The run, for its configuration and costs.
        stages: The examined models, in order: before, supervised, final.
        prompts: The held-out prompts.
        constitution: What was trained on.
        models: Who was trained, who critiqued, who judged.
        trained: What training left behind.
        people: What people gave the run.
        jury: Who judged, and what an examination of them found.
        command: What the user typed.
        held_out_judge: What a judge that taught nothing says; None: there was none.
    """
    known = {prompt.id: prompt for prompt in prompts}
    oracle = all(stage.truth is not None for stage in stages)
    found, tested = decided(
        stages,
        prompts=prompts,
        constitution=constitution,
        gates=run.config.gates,
        untaught=jury.untaught if jury.critic_teaches else None,
        command=command,
    )
    source = found["headline_source"]
    talk = talk_to_judge(stages)
    beside = held_out_rates(held_out_judge, stages, prompts)
    certified = certified_rates(stages, jury, file=run.config.certificate)
    tried = _tried(jury, held_out_judge)
    content = {
        "schema": 1,
        "title": run.config.name,
        "summary": [
            *failing_principles(found["gates"]),
            *warn_of_sifted(trained.sifted),
            *stopped_early(trained.results.get("final")),
            *warn_of_held_out(beside),
            *untaught_principles(found["principles"], jury.untaught, stages, source),
            *ungraded(stages, oracle=oracle),
            *warn_of_talk(talk),
            *summary(run, stages, known, trained, oracle=oracle),
            *(line for who, each in tried for line in say_trial(who, each, constitution)),
        ],
        "plumbrule_version": __version__,
        "seed": run.config.seed,
        "command": command,
        "config_sha256": run.identity,
        "recipe": run.config.recipe,
        "method": run.config.method,
        "labels": labels_used(trained, people),
        "revisions": None if trained.sifted is None else counted(trained.sifted),
        **found,
        **who_by_what(constitution, models),
        "seconds": sum(cost.seconds for cost in run.costs.values()),
        "peak_rss_bytes": _peak_memory(run.folder / "report" / "report.json"),
        "stages": [_cost(name, run) for name in run.costs],
        "held_out_judge": beside,
        "judge_certificate": certified,
        "talk_to_judge": talk,
        "trials": [row for who, each in tried for row in trial_rows(who, each)],
        "curves": _curves(trained),
        "examples": _examples(stages, known, trained),
        "notes": [
            *people.notes,
            *notes(stages, trained, tested, oracle=oracle),
            *watched_notes(trained.results.get("final"), run.config),
            *say_certificate(certified),
            *say_talk(talk, stages),
        ],
    }
    written: dict[str, Any] = to_json(plain(content))
    return written


def _peak_memory(report: Path) -> int:
    """Most memory that a process of the run took, as far as the report before this one tells.

    A finished run that is given again does little, and must not say that it never took more.
    """
    try:
        told = json.loads(report.read_text(encoding="utf-8"))["peak_rss_bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        told = None
    return max(peak_rss_bytes(), told if isinstance(told, int) else 0)


def _tried(jury: Jury, held_out: HeldOutExamination | None) -> list[tuple[str, Standing]]:
    """Who was examined, and what was found; a judge that is the critic is no other."""
    found = [("critic", jury.critic_standing)] if jury.critic_teaches else []
    if not found or jury.critic.identity != jury.judge.identity:
        found.append(("judge", jury.judge_standing))
    if held_out:
        found.append(("held-out judge", held_out.jury.judge_standing))
    return found


def who_by_what(constitution: Constitution, models: Mapping[str, LanguageModel]) -> dict[str, Any]:
    """The constitution and the models, as a report names them."""
    return {
        "constitution_sha256": constitution.sha256,
        "constitution": {
            "name": constitution.name,
            "version": constitution.version,
            "tiers": list(constitution.tiers),
            "principles": listed(constitution),
        },
        "models": {
            name: {"spec": model.spec, "identity": model.identity, **model.describe()}
            for name, model in models.items()
        },
    }


def _cost(name: str, run: RunWorkspace) -> dict[str, Any]:
    cost = run.costs[name]
    # Trainings leave models; comparison and verdict, folders with reports of their own.
    elsewhere = name == "verdict" or name.startswith(("train/", "comparison/"))
    return {
        "name": name,
        "seconds": round(cost.seconds, 3),
        "tokens_generated": cost.tokens_generated,
        "tokens_scored": cost.tokens_scored,
        "calls": cost.calls,
        "dollars": cost.dollars,
        "items": cost.items,
        **({"retries": cost.retries} if cost.retries else {}),
        "records": None if elsewhere else f"stages/{name}",
    }


_CURVES = (
    ("supervised", "Supervised training", "loss", "loss (nats per token)"),
    ("reward", "Reward model", "loss", "loss (nats per pair)"),
    ("final", "Training against the reward model", "loss", "loss"),
    ("final", "Reward margin", "rewards/margins", "margin (nats)"),
    ("final", "Reward", "reward", "reward (logits)"),
)


def _curves(trained: TrainedStages) -> list[dict[str, Any]]:
    curves = []
    for stage, title, name, unit in _CURVES:
        curve = trained.results[stage].curve if stage in trained.results else ()
        points = [[each.step, each.value] for each in curve if each.name == name]
        if len(points) > 1:
            curves.append(
                {
                    "name": title,
                    "x": "step",
                    "y": unit,
                    "series": [{"name": name, "points": points}],
                }
            )
    return curves


def _examples(
    stages: Sequence[Examined], prompts: Mapping[str, Prompt], trained: TrainedStages
) -> list[dict[str, Any]]:
    """A few held-out dialogues before and after, then a few revisions, of as many kinds as fit."""
    chosen = _different_kinds(list(prompts.values()), EXAMPLES)
    replies = {
        (stage.stage, each.id): (each, stage) for stage in stages for each in stage.exchanges
    }
    rows = []
    for prompt in chosen:
        said = []
        for stage in stages:
            exchange, _ = replies[stage.stage, prompt.id]
            said.append(
                {
                    "stage": stage.stage,
                    "text": exchange.response,
                    "verdict": _said(stage, prompt.id),
                    "oracle": _truth(stage, prompt.id),
                }
            )
        rows.append(_example(prompt, said, ()))
    left_out = trained.sifted.dropped if trained.sifted else {}
    revised = [each for each in trained.trails if each.revised and each.first.id not in left_out]
    for trail in revised[:4]:
        prompt = Prompt(id=trail.first.id, dialogue=trail.first.dialogue, kind="training prompt")
        said = [{"stage": "before", "text": trail.first.response, "verdict": None, "oracle": None}]
        rows.append(_example(prompt, said, trail.rounds))
    return rows


def _different_kinds(prompts: Sequence[Prompt], most: int) -> list[Prompt]:
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(f"{prompt.group}/{prompt.kind}", prompt)
    # Requests that tempt come first: there is most to see.
    order = sorted(first.values(), key=lambda each: (bool(each.deserves_help), each.kind))
    tempting = [each for each in order if not each.deserves_help]
    deserving = [each for each in order if each.deserves_help]
    half = most - min(len(deserving), most // 2)
    return tempting[:half] + deserving[: most - len(tempting[:half])]


def _example(prompt: Prompt, said: list[dict[str, Any]], rounds: Sequence[Any]) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "kind": " / ".join(part for part in (prompt.group, prompt.kind) if part),
        "principle_id": None,
        "dialogue": [{"role": turn.role, "content": turn.content} for turn in prompt.dialogue],
        "replies": said,
        "critiques": [
            {
                "round": number,
                "principle_id": each.principle_id,
                "critique": each.critique or each.reason or "",
                "revision": each.revision,
                "changed": each.revision is not None,
            }
            for number, each in enumerate(rounds, 1)
        ],
    }


def _said(stage: Examined, exchange_id: str) -> str | None:
    manner = next((each.manner for each in stage.manners if each.exchange_id == exchange_id), None)
    if manner is None:  # not among those that the judge reads
        return None
    broken = [
        each.principle_id
        for each in stage.judgments
        if each.exchange_id == exchange_id and each.verdict == "fail"
    ]
    return f"{manner}; breaks {', '.join(broken)}" if broken else manner


def _truth(stage: Examined, exchange_id: str) -> str | None:
    found = next((each for each in stage.truth or () if each.exchange_id == exchange_id), None)
    if found is None:
        return None
    broken = [name for name, verdict in found.verdicts.items() if verdict == "fail"]
    return f"{found.manner}; breaks {', '.join(broken)}" if broken else found.manner
