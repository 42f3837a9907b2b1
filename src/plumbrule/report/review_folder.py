"""Reads the files of a finished review; they are the ledger's records, one a file, as JSON."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReviewFiles:
    """What a review's folder holds, as plain JSON."""

    name: str
    """Of the folder."""

    manifest: Json
    plans: dict[str, Json]
    """How each task was cut, by its id."""

    reports: dict[str, list[Json]]
    """By task: rounds in order, within each the order in which specialists were to be asked."""

    decisions: list[Json]
    """In the order they were made."""

    verdict: Json | None
    """The one that rests on all reports and decisions; None where there is none yet."""

    head: str | None
    """Hash of the ledger's last entry; None where there is no file of it."""

    sources: dict[str, str | None] = field(default_factory=dict)
    """Texts by id; None where the file is missing or no text."""

    sections: list[Json] = field(default_factory=list)
    """Headings of a paper, each with the character where it begins; empty for other works."""

    page_starts: list[int] = field(default_factory=list)
    """Where each page of a paper begins; empty where it has none."""


def read_review_files(folder: Path) -> ReviewFiles:
    """Read the records of a review from its files.

    Whether these files are what was written is not looked into: `verify_review` does that.

    Raises:
        DataError: There is no review in the folder, or one of its files holds no record.
    """
    if not (folder / "manifest.json").is_file():
        raise DataError(
            f"expected the folder of a review, found no manifest.json in {folder}; give the folder "
            "that the review was written to"
        )
    manifest = _read(folder / "manifest.json", "task", "sources", "specialists")
    levels = [_read(path, "plans") for path in sorted((folder / "plans").glob("*.json"))]
    found = [
        _read(path, "id", "task_id", "round")
        for path in sorted((folder / "reports").glob("*.json"))
    ]
    decisions = [
        _read(path, "id", "number") for path in sorted((folder / "decisions").glob("*.json"))
    ]
    order = [each["name"] for each in manifest["specialists"]]
    reports: dict[str, list[Json]] = {}
    for report in sorted(found, key=lambda each: (each["round"], _place(order, each))):
        reports.setdefault(report["task_id"], []).append(report)
    head = folder / "ledger.head"
    paper = _paper(folder / "material.json")
    return ReviewFiles(
        name=folder.resolve().name,
        manifest=manifest,
        plans={plan["task_id"]: plan for level in levels for plan in level["plans"]},
        reports=reports,
        decisions=sorted(decisions, key=lambda each: int(each["number"])),
        verdict=_verdict(folder, {each["id"] for each in [*found, *decisions]}),
        head=_read(head, "hash")["hash"] if head.is_file() else None,
        sources={
            name: _text(folder / "sources" / f"{sha256}.txt")
            for name, sha256 in manifest["sources"].items()
        },
        sections=paper.get("sections", []),
        page_starts=paper.get("page_starts", []),
    )


def _paper(path: Path) -> Json:
    """What a review of a paper keeps of it; empty for other works and while it is not finished."""
    try:
        value = json.loads(path.read_bytes())["paper"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}


def _verdict(folder: Path, ids: set[str]) -> Json | None:
    """The verdict on everything there is; earlier ones rest on less."""
    for path in sorted((folder / "verdicts").glob("*.json")):
        verdict = _read(path, "rests_on", "states")
        if set(verdict["rests_on"]) == ids:
            return verdict
    return None


def _place(order: list[str], report: Json) -> int:
    return order.index(report["specialist"]) if report["specialist"] in order else -1


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def _read(path: Path, *needed: str) -> Json:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as JSON: {error}; `plumbrule review --verify` tells what was "
            "done to the folder"
        ) from error
    if not isinstance(value, dict) or not set(needed) <= set(value):
        raise DataError(
            f"expected a record with {', '.join(needed)} in {path}, found another form; "
            "`plumbrule review --verify` tells what was done to the folder"
        )
    return value
