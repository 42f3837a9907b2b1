"""A comparison with its report, in a folder of its own: for the command, for Python, for a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumbrule.behavior import CompareSettings, Comparison, compare_into, comparison_content
from plumbrule.ledger import Ledger, record_files
from plumbrule.models import EndpointModel, LanguageModel, probe
from plumbrule.records import Prompt
from plumbrule.report import write_page
from plumbrule.store import Tell, silent


def compare_and_report(
    folder: Path,
    base: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    settings: CompareSettings,
    command: str,
    judge: LanguageModel | None = None,
    encoder: Path | None = None,
    tell: Tell = silent,
) -> tuple[Comparison, dict[str, Any]]:
    """Compare two models, write the report, and record every file of the folder.

    Args:
        folder: Of the comparison; one that was interrupted there goes on.
        base: The model before.
        tuned: The model after.
        prompts: What the models are used for.
        settings: How to compare.
        command: What makes it again, for the report.
        judge: A model that proposes and judges.
        encoder: Folder of a sentence encoder.
        tell: Told of progress.

    Returns:
        What was found, and what `report.json` holds.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    # Weights at hand are looked at tensor by tensor, which names what is wrong with them.
    probe(*(each for each in (base, tuned, judge) if isinstance(each, EndpointModel)))
    found = compare_into(
        folder,
        base,
        tuned,
        prompts,
        settings=settings,
        judge=judge,
        encoder=encoder,
        tell=tell,
    )
    content = comparison_content(found, base=base, tuned=tuned, command=command)
    write_page("comparison", content, folder / "report")
    with Ledger.open(folder / "ledger.db") as ledger:
        record_files(ledger, folder)
    return found, content
