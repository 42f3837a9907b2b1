"""The folder of a review: a ledger that holds every record, and a file of each for reading.

The ledger is written first and is what counts; the files are the same records in a form that
people and other tools open. After a kill a missing file is written again from the ledger, and
nothing is asked twice.

To verify a review nothing is asked again and nothing is changed on disk. Three things must agree:
the ledger with its own chain and head, each file with its entry, and each recorded verdict with
the one that the records before it give.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from plumbrule.errors import ConfigError, DataError, LedgerError, PlumbruleError
from plumbrule.folders import held_folder
from plumbrule.ledger import Ledger, LedgerEntry, Problem, read_entries, verify
from plumbrule.oversight.asking import Assignment
from plumbrule.oversight.cases import is_verbatim
from plumbrule.oversight.plans import (
    FORM,
    Level,
    Manifest,
    TaskPlan,
    build_tree,
    expected_jobs,
    text_sha256,
)
from plumbrule.oversight.records import Decision, Node, Report, record_id
from plumbrule.oversight.verdicts import ReviewVerdict, derive
from plumbrule.records import from_json, to_json
from plumbrule.store import canonical, fingerprint, write_atomic

Record = Manifest | Level | Report | Decision | ReviewVerdict

KINDS: Mapping[str, type[Record]] = {
    "review manifest": Manifest,
    "review plan": Level,
    "review report": Report,
    "review decision": Decision,
    "review verdict": ReviewVerdict,
}
"""What the ledger of a review holds, by the kind of the entry."""


@dataclass(kw_only=True)
class Records:
    """What a review's ledger holds, in the order of writing."""

    manifest: Manifest
    levels: list[Level] = field(default_factory=list)
    """From the whole down."""

    reports: list[Report] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    verdicts: list[ReviewVerdict] = field(default_factory=list)

    @property
    def plans(self) -> dict[str, TaskPlan]:
        """How each task was cut, by its id."""
        return {plan.task_id: plan for level in self.levels for plan in level.plans}

    @property
    def tree(self) -> Node:
        """The tree these make."""
        return build_tree(self.manifest.task, self.plans, self.reports, self.decisions)

    def derive(self) -> ReviewVerdict:
        """The verdict that these give."""
        return derive(
            self.tree,
            review_id=self.manifest.review_id,
            rule=self.manifest.rule,
            dimensions=self.manifest.dimensions,
            budget=self.manifest.budget,
        )

    def add(self, record: Record) -> None:
        """Take in one more record."""
        if isinstance(record, Level):
            self.levels.append(record)
        elif isinstance(record, Report):
            self.reports.append(record)
        elif isinstance(record, Decision):
            self.decisions.append(record)
        elif isinstance(record, ReviewVerdict):
            self.verdicts.append(record)


@dataclass(kw_only=True)
class ReviewTrail:
    """An open review folder, held by this process."""

    folder: Path
    ledger: Ledger
    records: Records
    sources: Mapping[str, str]

    def record(self, record: Record) -> None:
        """Write a record down, in the ledger and then in its file.

        Raises:
            StorageError: The disk did not take it. The same command goes on from there.
        """
        write_down(self.ledger, record)
        write_atomic(self.folder / file_of(record), text_of(record))
        self.records.add(record)


def write_down(ledger: Ledger, record: Record) -> None:
    """Enter one record into a ledger."""
    kind = next(name for name, each in KINDS.items() if isinstance(record, each))
    ledger.record(key_of(record), kind, {"record": to_json(record)})


def key_of(record: Record) -> str:
    """Name of a record in the ledger: says what it is, and is unique."""
    match record:
        case Manifest():
            return f"review/{record.review_id}"
        case Level():
            return f"plan/{record.depth}"
        case Report():
            name = fingerprint(record.specialist)[:12]
            return f"report/{record.task_id}/{name}/{record.round}"
        case Decision():
            return f"decision/{record.number}/{record.task_id}"
        case ReviewVerdict():
            return f"verdict/{record.basis}"


def file_of(record: Record) -> str:
    """Where a record's file stands in the folder."""
    match record:
        case Manifest():
            return "manifest.json"
        case Level():
            return f"plans/{record.depth:03d}.json"
        case Report():
            return f"reports/{record.id}.json"
        case Decision():
            return f"decisions/{record.number:04d}-{record.id}.json"
        case ReviewVerdict():
            return f"verdicts/{record.basis}.json"


def text_of(record: Record) -> str:
    """What stands in a record's file."""
    return canonical(to_json(record)) + "\n"


def source_file(sha256: str) -> str:
    """Where a source's text stands in the folder."""
    return f"sources/{sha256}.txt"


def read_record(entry: LedgerEntry) -> Record:
    """The record in an entry.

    Raises:
        DataError: The entry holds no record of a review, or one under another name.
    """
    kind = KINDS.get(entry.kind)
    if kind is None or set(entry.payload) != {"record"}:
        raise DataError(f"entry {entry.position} is no record of a review, but {entry.kind!r}")
    record = from_json(kind, entry.payload["record"], origin=f"entry {entry.position}")
    if key_of(record) != entry.key:
        raise DataError(f"entry {entry.position} is called {entry.key!r} and holds another record")
    return record


def refuse_other_form(manifest: Manifest, folder: Path) -> None:
    """Records of another form were written by another version, which alone can read them.

    Raises:
        DataError: The manifest names another form.
    """
    if manifest.form != FORM:
        raise DataError(
            f"expected a review whose records have form {FORM}, {folder} holds one of form "
            f"{manifest.form}; use the version that wrote it, or review the work anew in another "
            "folder"
        )


def read_records(folder: Path) -> Records:
    """All records of a review, from its ledger.

    Raises:
        LedgerError: There is no ledger.
        DataError: It does not hold a review.
    """
    entries = list(read_entries(folder / "ledger.db"))
    manifest = read_record(entries[0]) if entries else None
    if not isinstance(manifest, Manifest):
        raise DataError(f"{folder} holds no review: its ledger does not begin with a manifest")
    refuse_other_form(manifest, folder)
    found = Records(manifest=manifest)
    for entry in entries[1:]:
        found.add(read_record(entry))
    return found


def read_sources(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Texts of the sources, each checked against its hash.

    Raises:
        DataError: A source is missing or is not the text that was reviewed.
    """
    found = {}
    for name, sha256 in manifest.sources.items():
        path = folder / source_file(sha256)
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"the source {name!r} cannot be read from {path}: {error}") from error
        if text_sha256(text) != sha256:
            raise DataError(f"{path} is not the source {name!r} as it was reviewed")
        found[name] = text
    return found


@contextmanager
def open_trail(
    folder: Path, manifest: Manifest, sources: Mapping[str, str]
) -> Iterator[ReviewTrail]:
    """Open the folder of a review, new or to go on with.

    Raises:
        OutputError: The folder holds another review, or something else, or is in use.
        LedgerError: Its ledger is not what was written; nothing more is recorded there.
    """
    ours: dict[str, Any] = {"review": manifest.review_id}
    with held_folder(folder, marker="review.json", ours=ours, configuration=text_of(manifest)):
        if (folder / "ledger.db").exists() and not _unborn(folder):
            _refuse_damaged(folder)
        with Ledger.open(folder / "ledger.db") as ledger:
            for name, sha256 in manifest.sources.items():
                _restore(folder / source_file(sha256), sources[name])
            write_down(ledger, manifest)
            records = read_records(folder)
            for record in _all(records):
                _restore(folder / file_of(record), text_of(record))
            yield ReviewTrail(folder=folder, ledger=ledger, records=records, sources=sources)


@contextmanager
def reopen_trail(folder: Path) -> Iterator[ReviewTrail]:
    """Open the folder of a review that was begun.

    Raises:
        LedgerError: There is no review here, or it is not what was written.
    """
    manifest = read_records(folder).manifest
    with open_trail(folder, manifest, read_sources(folder, manifest)) as trail:
        yield trail


def _all(records: Records) -> list[Record]:
    return [records.manifest, *records.levels, *records.reports, *records.decisions,
            *records.verdicts]  # fmt: skip


def _restore(path: Path, text: str) -> None:
    """Write a file that a kill prevented; one that says something else is somebody's doing."""
    if not path.exists():
        write_atomic(path, text)
    elif path.read_bytes() != text.encode():
        raise LedgerError(
            f"{path} is not what the ledger recorded; `verify_review` tells what was done. "
            "Nothing more is recorded here"
        )


def _unborn(folder: Path) -> bool:
    """Whether a kill came before the first record: then there is no head and nothing recorded."""
    if any(
        (folder / name).exists()
        for name in ("ledger.head", "plans", "reports", "decisions", "verdicts", "manifest.json")
    ):
        return False
    try:
        with closing(sqlite3.connect(folder / "ledger.db")) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
            return not tables or database.execute("SELECT 1 FROM entries").fetchone() is None
    except sqlite3.DatabaseError:
        return False


def _refuse_damaged(folder: Path) -> None:
    found = verify(folder / "ledger.db")
    if not found.sound:
        raise LedgerError(
            f"the ledger of {folder} is not what was written, so the review does not go on: "
            f"{found.problems[0]}. `verify_review` tells all that was done to it"
        )


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
                detail = f"it quotes what does not stand at {quote.start} of {quote.source!r}"
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
