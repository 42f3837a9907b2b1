"""What a certificate of a run's judge makes of the rates that it reports."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError
from plumbrule.files import absent
from plumbrule.judging import Standing, TrialAnswer, conclude, conclude_conditions, corrected
from plumbrule.judging.conditions import ConditionAnswer
from plumbrule.loop.steps import Examined, Jury
from plumbrule.records import from_json

Record = TypeVar("Record")


def check_certificate(jury: Jury, folder: Path) -> None:
    """See that a judge that was examined now is read as its certificate says, before it grades.

    Raises:
        DataError: Its answers are read by other borders, or nothing of the certificate is graded.
    """
    held, standing = jury.certificate, jury.judge_standing
    if held is None:
        return
    try:
        held.check_fits(
            jury.judge.identity, jury.prompts.sha256, jury.constitution, standing=standing
        )
    except DataError as error:
        raise DataError(
            f"{error}; here {folder}, which keeps that examination. Then give the same command "
            "with the new certificate, and it goes on."
        ) from error
    graded = {each.id for each in standing.judged(jury.constitution)}
    named = [each.principle_id for each in held.principles]
    if not graded & set(named):
        raise DataError(
            f"expected a certificate about a principle that the judge grades "
            f"({', '.join(sorted(graded)) or 'none'}), got one about {', '.join(named)}; label "
            "replies under these, or leave --certificate out"
        )


def certified_rates(
    stages: Sequence[Examined], jury: Jury, *, file: str | None
) -> dict[str, Any] | None:
    """The judge's rates with its errors taken out, for the record of a report.

    Returns:
        Which certificate it is, and for each of its principles and each stage both rates; None
        without a certificate.
    """
    held = jury.certificate
    if held is None:
        return None
    rows: dict[str, dict[str, Any]] = {}
    for stage in stages:
        found = corrected(held, stage.judgments, jury.constitution, standing=jury.judge_standing)
        for each in found:
            row = rows.setdefault(each.principle_id, {"id": each.principle_id})
            row[stage.stage] = {
                "violation_rate": {"judge": each.reported, "corrected": each.rate},
                "reasons": {"corrected": each.reason},
                "records": f"stages/examination/{stage.stage}/judgments",
                "judged": each.judged,
                "flagged": each.flagged,
                "unanswered": each.unanswered,
                "likeness": each.likeness,
            }
    today = datetime.now(UTC).date()
    return {
        "file": file,
        "spec": held.spec,
        "dated": held.dated,
        "old": held.old(today),
        "labels": len(held.items_sha256),
        "source": held.source,
        "principles": list(rows.values()),
    }


def say_certificate(found: dict[str, Any] | None) -> list[str]:
    """What a reader must know of how far the judge's rates are corrected."""
    if found is None:
        return [
            "The judge's rates are its own word, with its errors in them. Label some of its "
            "replies, certify it (`plumbrule judge certify --run DIR`) and give the same command "
            "with --certificate FILE: the report then corrects them, and nothing is done again."
        ]
    old = " It is old: certify again." if found["old"] else ""
    return [
        f"The judge's rates under {len(found['principles'])} principles are corrected by the "
        f"certificate {found['file']} of {found['spec']}, dated {found['dated']}, from "
        f"{found['labels']} labeled replies ({found['source']}).{old} All other rates of the "
        "judge are its own word, with its errors in them."
    ]


def standing_of(run: Path | None, law: Constitution) -> Standing:
    """What a run found of its judge; a judge that is the critic was examined as that.

    Raises:
        DataError: The folder holds no examination.
    """
    if run is None:
        return Standing()
    place = run / "stages" / "trial"
    name = "judge" if (place / "judge").is_dir() else "critic"
    answers = read_records(TrialAnswer, place / name, "a run's examination of its judge")
    told = place / f"{name}_conditions"
    conditions = read_records(ConditionAnswer, told, "conditions") if told.is_dir() else []
    return Standing(trial=conclude(name, answers, law), conditions=conclude_conditions(conditions))


def read_records(kind: type[Record], place: Path, what: str) -> list[Record]:
    """Records of a file, or of all files of a folder; the seals of shards are none.

    Args:
        kind: What a line is.
        place: A file of JSON lines, or a folder of them.
        what: What its records are, for messages.

    Raises:
        DataError: There is none, or a line is no such record.
    """
    files = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
    if not files or not all(file.is_file() for file in files):
        raise DataError(f"expected {what} as JSON lines: {absent(place)}")
    found = []
    for file in files:
        text = file.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{file}, line {number} must be JSON, got {line[:60]!r}") from error
            if isinstance(value, dict) and value.keys() == {"records", "seal"}:
                continue
            found.append(from_json(kind, value, origin=f"{file}, line {number}"))
    return found
