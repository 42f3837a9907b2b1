"""The folder of a review: a ledger that holds every record, and a file of each for reading.

The ledger is written first and is what counts; the files are the same records in a form that
people and other tools open. After a kill a missing file is written again from the ledger, and
nothing is asked twice.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError, LedgerError
from plumbrule.folders import held_folder
from plumbrule.ledger import Ledger, LedgerEntry, read_entries, verify
from plumbrule.oversight.plans import FORM, Level, Manifest, TaskPlan, build_tree, text_sha256
from plumbrule.oversight.records import Decision, Node, Report
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
    """Where a record's file is in the folder."""
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
    """What is in a record's file."""
    return canonical(to_json(record)) + "\n"


def source_file(sha256: str) -> str:
    """Where a source's text is in the folder."""
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
