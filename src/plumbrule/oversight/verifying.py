"""Verify the folder of a review: what is altered, missing, added or from another one.

To verify a review nothing is asked again and nothing is changed on disk. Three things must agree:
the ledger with its own chain and head, each file with its entry, and each recorded verdict with
the one that the records before it give.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plumbrule.errors import ConfigError, DataError, PlumbruleError
from plumbrule.ledger import LedgerEntry, Problem, read_entries, verify
from plumbrule.oversight.asking import Assignment
from plumbrule.oversight.cases import is_verbatim
from plumbrule.oversight.plans import Manifest, expected_jobs
from plumbrule.oversight.records import Decision, Report, record_id
from plumbrule.oversight.trail import (
    Record,
    Records,
    file_of,
    read_record,
    read_sources,
    refuse_other_form,
    source_file,
    text_of,
)
from plumbrule.oversight.verdicts import ReviewVerdict

FOLDERS = ("plans", "reports", "decisions", "verdicts", "sources")
"""Where a review keeps files; anything else in them was added."""


@dataclass(frozen=True, kw_only=True)
class Tampering:
    """One place where a review is not what was written."""

    place: str
    """File in the folder, or entry of the ledger with its key."""

    kind: Literal["changed", "dropped", "added", "reordered"]
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class ReviewVerification:
    """What an examination of a review's folder found."""

    verdict: ReviewVerdict | None
    """As derived now from the recorded reports; None where they cannot be read."""

    problems: tuple[Tampering, ...]
    complete: bool
    """Whether every report that was called for is there and a verdict was recorded on them."""

    head: str
    """Hash of the ledger's last entry; empty where there is no ledger to read."""

    @property
    def sound(self) -> bool:
        """Whether everything is as it was written, as far as can be known."""
        return not self.problems


def verify_review(folder: Path, *, expected_head: str | None = None) -> ReviewVerification:
    """Derive a review's verdict anew from its records, and find whatever was done to them.

    Args:
        folder: A review's folder.
        expected_head: Hash of the ledger's last entry, as kept elsewhere. Without it, one who
            writes ledger, head and all files anew and consistently goes unnoticed.

    Returns:
        The verdict as derived now, and every problem with its place.

    Raises:
        ConfigError: There is no such folder.
        DataError: Its records have the form of another version.
    """
    if not folder.is_dir():
        raise ConfigError(f"expected the folder of a review, {folder} is none")
    try:
        chain = verify(folder / "ledger.db", expected_head=expected_head)
    except PlumbruleError as error:
        return _unreadable(Tampering(place="ledger.db", kind="changed", detail=str(error)))
    problems = [_of_chain(problem) for problem in chain.problems]
    try:
        entries = read_entries(folder / "ledger.db")
    except DataError as error:  # a row so broken that it is no entry: the chain names it
        unread = Tampering(place="ledger.db", kind="changed", detail=str(error))
        return _unreadable(*problems, unread, head=chain.head)
    records, history, misread = _read(entries)
    if records is not None and chain.sound:
        refuse_other_form(records.manifest, folder)
    problems += misread
    if records is None:
        lost = Tampering(place="ledger entry 1", kind="dropped", detail="there is no manifest")
        return _unreadable(*problems, lost, head=chain.head)
    problems += _foreign(history, records.manifest)
    problems += _files(folder, [record for _, record in history])
    problems += _evidence(folder, records)
    problems += _verdicts(history)
    verdict = records.derive()
    missing, unasked = _against_plans(records)
    problems += unasked
    concluded = any(each.basis == verdict.basis for each in records.verdicts)
    if records.verdicts and (missing or not concluded):
        problems += _lost(missing, history)
    return ReviewVerification(
        verdict=verdict,
        problems=tuple(dict.fromkeys(problems)),
        complete=not missing and concluded,
        head=chain.head,
    )


def _unreadable(*problems: Tampering, head: str = "") -> ReviewVerification:
    return ReviewVerification(verdict=None, problems=problems, complete=False, head=head)


def _of_chain(problem: Problem) -> Tampering:
    place = "ledger.head" if problem.position is None else f"ledger entry {problem.position}"
    key = "" if problem.key is None else f" {problem.key!r}"
    return Tampering(place=place + key, kind=problem.kind, detail=problem.detail)


def _read(
    entries: tuple[LedgerEntry, ...],
) -> tuple[Records | None, list[tuple[LedgerEntry, Record]], list[Tampering]]:
    history, problems = list[tuple[LedgerEntry, Record]](), []
    for entry in entries:
        try:
            history.append((entry, read_record(entry)))
        except DataError as error:
            detail = " ".join(str(error).split())
            problems.append(Tampering(place=_place(entry), kind="changed", detail=detail))
    records: Records | None = None
    for _, record in history:
        if records is None and isinstance(record, Manifest):
            records = Records(manifest=record)
        elif records is not None:
            records.add(record)
    return records, history, problems


def _place(entry: LedgerEntry) -> str:
    return f"ledger entry {entry.position} {entry.key!r}"


def _foreign(history: list[tuple[LedgerEntry, Record]], manifest: Manifest) -> Iterator[Tampering]:
    """Records of another review, or whose id is not the hash of what they say."""
    for entry, record in history:
        if record.review_id != manifest.review_id:
            detail = f"it is of review {record.review_id!r}"
            yield Tampering(place=_place(entry), kind="added", detail=detail)
        if isinstance(record, Report | Decision) and record.id != record_id(record):
            detail = "its id is not the hash of its contents"
            yield Tampering(place=_place(entry), kind="changed", detail=detail)


def _files(folder: Path, records: list[Record]) -> Iterator[Tampering]:
    """Each file against its entry."""
    known = {file_of(record): text_of(record) for record in records}
    manifest = next(record for record in records if isinstance(record, Manifest))
    known["config.yaml"] = text_of(manifest)
    for name, text in known.items():
        path = folder / name
        if not path.is_file():
            yield Tampering(place=name, kind="dropped", detail="the ledger has it, the folder not")
        elif path.read_bytes() != text.encode():
            yield Tampering(place=name, kind="changed", detail="it is not what the ledger recorded")
    yield from _marker(folder, manifest)
    sources = {source_file(sha256) for sha256 in manifest.sources.values()}
    for part in FOLDERS:
        for path in sorted((folder / part).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if name not in known and name not in sources and not path.name.startswith("."):
                yield Tampering(place=name, kind="added", detail="the ledger does not know it")


def _marker(folder: Path, manifest: Manifest) -> Iterator[Tampering]:
    """The file that ties the folder to its review."""
    path = folder / "review.json"
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield Tampering(place=path.name, kind="dropped", detail="the folder is tied to no review")
        return
    except ValueError:
        marker = None
    if not isinstance(marker, dict) or marker.get("review") != manifest.review_id:
        yield Tampering(place=path.name, kind="changed", detail="it names another review")


def _evidence(folder: Path, records: Records) -> Iterator[Tampering]:
    """The sources against their hashes, and every quote against the sources."""
    texts: dict[str, str] = {}
    for name, sha256 in records.manifest.sources.items():
        one = Manifest(**{**vars(records.manifest), "sources": {name: sha256}})
        try:
            texts |= read_sources(folder, one)
        except DataError as error:
            kind: Literal["dropped", "changed"] = (
                "changed" if (folder / source_file(sha256)).exists() else "dropped"
            )
            yield Tampering(place=source_file(sha256), kind=kind, detail=str(error))
    for report in records.reports:
        for quote in report.evidence:
            if quote.source in texts and not is_verbatim(quote, texts):
                detail = f"it quotes words that are not at {quote.start} of {quote.source!r}"
                yield Tampering(place=file_of(report), kind="changed", detail=detail)


def _verdicts(history: list[tuple[LedgerEntry, Record]]) -> Iterator[Tampering]:
    """Each recorded verdict against the one that the records before it give."""
    records: Records | None = None
    for entry, record in history:
        if records is None:
            records = Records(manifest=record) if isinstance(record, Manifest) else None
            continue
        if isinstance(record, ReviewVerdict) and record != (derived := records.derive()):
            detail = "the records before it give another verdict"
            yield Tampering(place=_place(entry), kind="changed", detail=detail)
            yield from _unlike(record, derived, records)
        records.add(record)


def _unlike(
    recorded: ReviewVerdict, derived: ReviewVerdict, records: Records
) -> Iterator[Tampering]:
    """Which reports and decisions a recorded verdict does not rest on, although it should."""
    before, now = set(recorded.rests_on), set(derived.rests_on)
    known = {report.id: file_of(report) for report in records.reports}
    known |= {decision.id: file_of(decision) for decision in records.decisions}
    for name in sorted(now - before):
        detail = "the verdict that was recorded after it rests on another"
        yield Tampering(place=known[name], kind="changed", detail=detail)
    for name in sorted(before - now):
        detail = "a recorded verdict rests on it, and no entry before that holds it"
        yield Tampering(place=f"record {name}", kind="dropped", detail=detail)


def _against_plans(records: Records) -> tuple[list[Assignment], list[Tampering]]:
    """Reports that are called for and missing, and reports nobody called for."""
    jobs = expected_jobs(records.tree, records.plans, review_id=records.manifest.review_id)
    wanted = {(job.task_id, job.specialist, job.round): job for job in jobs}
    seen, problems = set(), []
    for report in records.reports:
        place = (report.task_id, report.specialist, report.round)
        job = wanted.get(place)
        if job is None or place in seen or job.answers != report.answers:
            detail = f"nobody asked {report.specialist} for it"
            problems.append(Tampering(place=file_of(report), kind="added", detail=detail))
        seen.add(place)
    return [job for place, job in wanted.items() if place not in seen], problems


def _lost(
    missing: list[Assignment], history: list[tuple[LedgerEntry, Record]]
) -> Iterator[Tampering]:
    """A verdict was recorded, so everything before it must be there.

    A review that goes on after a question, or was killed on the way, has records after its last
    verdict; what is missing there was never written.
    """
    last = max(at for at, (_, record) in enumerate(history) if isinstance(record, ReviewVerdict))
    if last == len(history) - 1:
        for job in missing:
            if job.answers is None:
                place = f"report/{job.task_id} by {job.specialist}"
                yield Tampering(
                    place=place, kind="dropped", detail="a verdict was given without it"
                )
