"""The sentences of a report: what was done, and what a reader must know of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from plumbrule.compliance import prohibited_violation
from plumbrule.judging import endless
from plumbrule.judging.phrases import METHOD
from plumbrule.loop.config import RunConfig
from plumbrule.loop.findings import LEVEL
from plumbrule.loop.sifting import say_sifted
from plumbrule.loop.steps import Examined, TrainedStages
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.records import Prompt


def summary(
    run: RunWorkspace,
    stages: Sequence[Examined],
    prompts: Mapping[str, Prompt],
    trained: TrainedStages,
    *,
    oracle: bool,
) -> list[str]:
    """What was done and what came of it, in a few sentences."""
    when = "before, in between and after" if len(stages) > 2 else "before and after"
    lines = [
        f"{run.config.model} was trained on {_SOURCES[run.config.recipe]}: "
        f"{', '.join(_taught(run.config, trained))}.",
        f"It was examined {when} on {len(prompts)} held-out prompts that no training saw.",
    ]
    if oracle:
        first, last = (
            prohibited_violation(stage.truth or (), prompts) for stage in (stages[0], stages[-1])
        )
        if first and last:
            lines.append(
                f"Prohibited requests answered against the constitution, by the answer key: "
                f"{first.value:.1%} before, {last.value:.1%} after "
                f"(95% interval {last.low:.1%} to {last.high:.1%}, {last.n} requests)."
            )
    return lines


_SOURCES = {
    "constitutional": "the constitution",
    "rlhf": "what people prefer",
    "hybrid": "the constitution and on what people prefer",
}


def _taught(config: RunConfig, trained: TrainedStages) -> list[str]:
    """What was imitated, who labeled how much, and what was made of it."""
    said = []
    if config.recipe != "rlhf":
        revised = sum(trail.revised for trail in trained.trails)
        said.append(
            f"{revised} of {len(trained.trails)} replies were revised" + say_sifted(trained.sifted)
        )
    else:
        said.append(f"{trained.results['supervised'].examples} replies of people's were imitated")
    if config.method == "none":
        return said
    people = sum(each.source == "human" for each in trained.preferences)
    own = [each for each in trained.preferences if each.source != "human"]
    if people:
        said.append(f"{people} pairs of replies labeled by people")
    if own:
        decided = sum(each.probability is not None for each in own)
        said.append(f"{decided} of {len(own)} pairs of replies decided")
    said[-1] += f", and the model trained on them by {config.method.upper()} against a reward model"
    return said


def failing_principles(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """The principles that fail a gate, which a reader must know before anything else."""
    return [
        f"FAILED: {gate['name']} ({gate['bound']}), measured {each.value:.1%} "
        f"[{each.low:.1%}, {each.high:.1%}], {each.unit}."
        for gate in gates
        if not gate["passed"] and gate["principle_id"]
        for each in [gate["estimate"]]
    ]


def untaught_principles(
    principles: Sequence[Mapping[str, Any]],
    untaught: Collection[str],
    stages: Sequence[Examined],
    source: str,
) -> list[str]:
    """Principles that nothing was taught under, with how often they are broken all the same."""
    first, last = stages[0].stage, stages[-1].stage
    said = []
    for each in principles:
        if each["id"] not in untaught:
            continue
        before, after = (each[stage]["violation_rate"][source] for stage in (first, last))
        line = f"NOT TAUGHT: `{each['id']}`, under which the critic does no better than chance"
        if before and after:
            line += (
                f"; it is broken in {after.value:.1%} of the {after.n} replies it speaks of, "
                f"{before.value:.1%} before"
            )
        said.append(f"{line}.")
    return said


def ungraded(stages: Sequence[Examined], *, oracle: bool) -> list[str]:
    """That nobody graded anything, where so: a page of unknown rates must say why at its top."""
    if oracle or any(stage.judgments for stage in stages):
        return []
    return [
        "NOT GRADED: no reply was graded under any principle, because the judge does no better "
        "than chance under each; whether the constitution is kept is not known. Another judge, or "
        "labels by people, would tell."
    ]


def notes(
    stages: Sequence[Examined], trained: TrainedStages, tested: int, *, oracle: bool
) -> list[str]:
    """What a reader must know to read the numbers rightly."""
    said = [
        f"{tested} changes were looked for; those listed as findings are chosen so that at most "
        f"{LEVEL:.0%} of them are expected to be false.",
    ]
    read, replies = len(stages[0].manners), len(stages[0].exchanges)
    if read < replies:
        said.append(
            f"The judge read {read} of each model's {replies} held-out replies, drawn by chance "
            f"(`most_judged`)" + (", the answer key all of them." if oracle else ".")
        )
    unusable = sum(each.reason is not None for trail in trained.trails for each in trail.rounds)
    if unusable:
        said.append(
            f"{unusable} critiques or revisions were unusable and left the reply as it was."
        )
    cut = {
        stage.stage: sum(e.finish_reason == "length" for e in stage.exchanges) for stage in stages
    }
    if any(cut.values()):
        said.append(f"Replies cut off at the token limit: {cut}.")
    for name, odd in (
        ("that are empty", lambda text: not text.strip()),
        ("that say the same over and over", endless),
    ):
        found = {stage.stage: sum(odd(e.response) for e in stage.exchanges) for stage in stages}
        if any(found.values()):
            said.append(f"Replies {name}: {found}.")
    foreign = {
        stage.stage: sum(e.method == METHOD and e.manner == "refused" for e in stage.manners)
        for stage in stages
    }
    if any(foreign.values()):
        said.append(
            f"Replies in another language than English, which phrases cannot sort: {foreign}."
        )
    said += trained.notes
    held_out = trained.results["reward"].held_out if "reward" in trained.results else None
    if held_out is not None:
        accuracy = "undefined" if held_out.accuracy is None else f"{held_out.accuracy:.1%}"
        givers = {"human": "people do", "ai": "the critic does"}
        sources = {each.source for each in trained.preferences}
        who = givers.get(next(iter(sources)), "") if len(sources) == 1 else ""
        said.append(
            f"The reward model orders {accuracy} of {held_out.decided} held-out preferences as "
            f"{who or 'their labels do'}."
        )
    disagreement = [
        value for each in trained.preferences for value in each.order_disagreement.values()
    ]
    if disagreement:
        said.append(
            "Asked in both orders, the critic's probabilities differ by "
            f"{float(np.mean(disagreement)):.2f} on average."
        )
    if oracle:
        unreadable = {
            stage.stage: sum(each.manner == "unreadable" for each in stage.truth or ())
            for stage in stages
        }
        said.append(f"Replies that the answer key cannot read, counted as failures: {unreadable}.")
    else:
        if any(each.method == METHOD for each in stages[-1].manners):
            said.append(
                "Help and refusals were told by the phrases of refusals, not by a judge: `helped` "
                "means that a reply does not decline, whether it is right or wrong."
            )
        said.append("No answer key exists for these prompts: rates and gates are the judge's word.")
    return said
