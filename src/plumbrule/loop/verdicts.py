"""Verdicts in a folder: held, bound to its inputs, resumed, and shown as a page."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plumbrule.folders import held_folder
from plumbrule.internalization import (
    PrincipleVerdict,
    Subject,
    VerdictReport,
    VerdictSettings,
    find_verdicts,
)
from plumbrule.ledger import Ledger, record_files
from plumbrule.models import LocalModel
from plumbrule.records import to_json
from plumbrule.report import write_page
from plumbrule.store import Tell, canonical, fingerprint, silent
from plumbrule.version import __version__

MARKER = "verdict.json"


def judge_and_report(
    folder: Path,
    model: LocalModel,
    subjects: Sequence[Subject],
    *,
    base: LocalModel | None,
    settings: VerdictSettings,
    command: str,
    tell: Tell = silent,
) -> VerdictReport:
    """Find the verdicts, write the page, and record every file of the folder.

    Args:
        folder: Of the verdict; one that was interrupted there goes on.
        model: The model that is judged.
        subjects: Its principles.
        base: The model before, if there is one.
        settings: How far to go.
        command: What makes it again, for the page.
        tell: Told of progress.

    Raises:
        OutputError: The folder holds something else.
        PlumbruleError: The input is wrong; finished work is kept.
    """
    ours = {
        "model": model.identity,
        "base": None if base is None else base.identity,
        "settings": asdict(settings),
        "subjects": fingerprint(
            [
                [each.principle, each.text, [to_json(one) for one in (*each.prompts, *each.twins)]]
                for each in subjects
            ]
        ),
    }
    configuration = canonical({"command": command, "settings": asdict(settings)}) + "\n"
    with held_folder(folder, marker=MARKER, ours=ours, configuration=configuration):
        report = find_verdicts(
            model, subjects, base=base, settings=settings, folder=folder / "work", tell=tell
        )
        write_page("verdict", verdict_content(report, subjects, command=command), folder / "report")
        with Ledger.open(folder / "ledger.db") as ledger:
            record_files(ledger, folder)
    return report


def verdict_content(
    report: VerdictReport, subjects: Sequence[Subject], *, command: str
) -> dict[str, Any]:
    """The record of the page, as `docs/verdict.md` describes it."""
    texts = {each.principle: each.text for each in subjects}
    return {
        "title": f"Held or shown: {report.model}",
        "summary": summary_of(report),
        "model": report.model,
        "base": report.base,
        "battery": report.battery,
        "level": report.level,
        "seconds": report.seconds,
        "tokens": report.tokens,
        "command": command,
        "version": __version__,
        "settings": dict(report.settings),
        "verdicts": [
            {**to_json(each), "text": texts.get(each.principle)} for each in report.verdicts
        ],
    }


def summary_of(report: VerdictReport) -> list[str]:
    """What a reader must know first, in sentences."""
    counts: dict[str, list[PrincipleVerdict]] = {}
    for each in report.verdicts:
        counts.setdefault(each.label, []).append(each)
    said = [
        f"{label}: {', '.join(each.principle for each in counts[label])}."
        for label in ("conditional", "surface", "absent", "undecided", "internalized")
        if label in counts
    ]
    return [
        f"{len(report.faked)} of {len(report.verdicts)} principles are shown and not held.",
        *said,
    ]
