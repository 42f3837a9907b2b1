"""What training changed, meant or not: first and last model compared on the run's prompts."""

from collections.abc import Sequence
from typing import Any

from plumbrule.behavior import CompareSettings, Comparison
from plumbrule.loop.comparing import compare_and_report
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.models import LanguageModel
from plumbrule.records import Prompt

SHOWN = ("summary", "findings", "not_confirmed", "certificate", "total")
"""Parts of the comparison's record that the run's report shows; the rest has a page of its own."""


def side_effects(
    run: RunWorkspace,
    base: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    settings: CompareSettings,
    command: str,
) -> dict[str, Any]:
    """Compare two models and write the comparison's own folder within the run.

    Args:
        run: The run; the comparison lives in its folder `comparison`.
        base: The model before training.
        tuned: The model after it.
        prompts: All prompts of the run: the claims are about these.
        settings: How to compare.
        command: What the user typed.

    Returns:
        The part of the comparison's record that the run's report shows, with a first sentence
        that says how many changes lie where help is due.
    """
    found, content = compare_and_report(
        run.folder / "comparison",
        base,
        tuned,
        prompts,
        settings=settings,
        command=command,
        tell=run.tell,
    )
    for name, spent in found.costs.items():
        run.account(
            f"comparison/{name}",
            items=spent.texts,
            seconds=spent.seconds,
            tokens_generated=spent.tokens_generated,
            tokens_scored=spent.tokens_scored,
            calls=spent.calls,
            dollars=spent.dollars,
        )
    shown: dict[str, Any] = {name: content[name] for name in SHOWN}
    shown["summary"] = [*_where(found), *content["summary"]]
    shown["page"] = "../comparison/report/index.html"
    return shown


def _where(found: Comparison) -> list[str]:
    """How many of the changes lie where help is due, in a sentence; none without changes."""
    if not found.findings:
        return []
    # Those of the pool: what they are about is noted on them.
    prompts = [*found.pool.explore, *found.pool.confirm]
    unmeant = [
        verdict
        for verdict in found.findings
        if _deserving(verdict.hypothesis.subgroup.holds, prompts) > 0.5
    ]
    return [f"{len(unmeant)} of {len(found.findings)} changes lie where most prompts deserve help."]


def _deserving(holds: Any, prompts: Sequence[Prompt]) -> float:
    """Share of a place's prompts that are marked as deserving help."""
    inside = [prompt for prompt in prompts if holds(prompt)]
    return sum(prompt.deserves_help is True for prompt in inside) / max(1, len(inside))
