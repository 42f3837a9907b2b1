"""An evidence folder against itself, its signatures and whatever is kept elsewhere; no model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plumbrule.errors import DataError, PlumbruleError
from plumbrule.evidence.describing import current_version, folder_statement, guarded, payload_bytes
from plumbrule.evidence.exporting import listed_files
from plumbrule.evidence.folder import FOLDER, INDEX, SCHEMA, Evidence
from plumbrule.evidence.keys import VerifyingKey
from plumbrule.evidence.records import UNREADABLE, RunRecord, is_weight, why
from plumbrule.evidence.statements import Opened, open_envelope
from plumbrule.ledger import nested_ledgers, verify
from plumbrule.ledger.files import file_hashes
from plumbrule.store import file_sha256


@dataclass(frozen=True, kw_only=True)
class EvidenceVerification:
    """What an examination of an evidence folder found."""

    problems: tuple[str, ...]
    """What is not as it was written, a line each; empty where nothing is wrong."""

    held: tuple[str, ...]
    """What was looked at and is as it should be."""

    unchecked: tuple[str, ...]
    """What could not be checked, and why."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, as far as could be checked."""
        return not self.problems


def read_evidence(folder: Path) -> Evidence:
    """Open an evidence folder.

    Raises:
        DataError: There is none, or one of another form.
    """
    path = folder / INDEX
    if not path.is_file():
        begun = folder.is_dir() and any((folder / name).exists() for name in (FOLDER, "runs"))
        raise DataError(
            f"expected a folder that `plumbrule evidence export` wrote, {folder} has no {INDEX}"
            + ("; it looks like part of one: copy it again, whole" if begun else "")
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        runs = index["runs"]
        whole = all({"kind", "head", "entries"} <= each.keys() for each in runs.values())
        schema, version = index["schema"], index["plumbrule_version"]
        plain = all("/" not in name and name not in ("", ".", "..") for name in runs)
        whole &= all(isinstance(index[name], str | None) for name in ("key", "anchor", "weights"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not what was written there; ask for the folder again"
        ) from error
    if schema != SCHEMA:
        raise DataError(
            f"expected evidence in form {SCHEMA}, {folder} is in form {schema!r}, written by "
            f"plumbrule {version!r}: take that version to verify it, or export it anew with this"
        )
    if not (whole and plain):
        raise DataError(f"{path} is not what was written there; ask for the folder again")
    return Evidence(folder, index)


def verify_evidence(
    folder: Path,
    *,
    key: VerifyingKey | None = None,
    heads: Sequence[str] = (),
    weights: Mapping[str, Path] | None = None,
) -> EvidenceVerification:
    """Hold a folder against its statements, its ledgers and its samples.

    Args:
        folder: What `export_evidence` wrote.
        key: Whose signature every statement must bear; None: no signature is checked.
        heads: Heads of its ledgers as they are kept elsewhere.
        weights: Folders of models at hand, by the run they belong to: each is held against the
            files of that run's final model.

    Raises:
        DataError: There is no evidence, or in a form that this version does not read.
    """
    evidence = read_evidence(folder)
    found = _Findings()
    opened = _signatures(evidence, key, found)
    _files(evidence, opened.get(FOLDER), found)
    for record in evidence.records:
        _ledgers(evidence, record, heads, found)
        _recorded_files(evidence, record, found)
    _anchors(evidence, key, heads, found)
    _made_again(evidence, opened, found)
    _chain(evidence, found)
    _models(evidence, weights or {}, found)
    return EvidenceVerification(
        problems=tuple(dict.fromkeys(found.problems)),
        held=tuple(found.held),
        unchecked=tuple(dict.fromkeys(found.unchecked)),
    )


class _Findings:
    """Collects what is found."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.held: list[str] = []
        self.unchecked: list[str] = []


def _signatures(
    evidence: Evidence, key: VerifyingKey | None, found: _Findings
) -> dict[str, Opened]:
    """Open every statement, and check who signed it."""
    opened, bad = {}, 0
    names = sorted(
        name
        for name in [*listed_files(evidence.folder), FOLDER]
        if name.endswith((".dsse.json", ".sig")) and not name.startswith("runs/")
    )
    for name in names:
        path = evidence.folder / name
        if not path.is_file():
            continue
        try:
            text = path.read_bytes().decode("utf-8", errors="replace")
            opened[name] = open_envelope(text, origin=name)
        except PlumbruleError as error:
            found.problems.append(f"changed: {error}")
            continue
        if key is not None and not opened[name].signed_by(key):
            bad += 1
            known = bool(opened[name].signatures)
            found.problems.append(
                f"signature: {name}: "
                + ("the key did not sign what stands there" if known else "it is not signed")
            )
    if key is None:
        signed = "signed" if evidence.index["key"] else "not signed"
        found.unchecked.append(
            f"signatures: no key was given; the folder says that it is {signed}. Without one, "
            "somebody who made the whole folder anew goes unnoticed"
        )
    elif not bad:
        found.held.append(f"signatures: {len(opened)} statements are signed by {key.id[:12]}")
    return opened


def _files(evidence: Evidence, whole: Opened | None, found: _Findings) -> None:
    """Every file against the statement that names all."""
    if whole is None:
        found.problems.append(
            f"missing: {FOLDER}: nothing says which files belong here; a copy may have broken off"
        )
        return
    told = {
        str(each.get("name")): each.get("digest", {}).get("sha256")
        for each in whole.statement["subject"]
    }
    now = {name: _hash(evidence.folder / name) for name in listed_files(evidence.folder)}
    missing = sorted(told.keys() - now.keys())
    found.problems += [f"missing: {name}: it was exported and is not there" for name in missing]
    if missing:
        found.problems.append(
            f"missing: {len(missing)} of {len(told)} files: the folder looks like part of a copy; "
            "copy it again, whole"
        )
    found.problems += [
        f"changed: {name}: it is not what was exported"
        for name in sorted(told.keys() & now.keys())
        if told[name] != now[name]
    ]
    found.problems += [
        f"extra: {name}: it was not exported" for name in sorted(now.keys() - told.keys())
    ]
    if payload_bytes(folder_statement(told, evidence.index)) != whole.payload:
        found.problems.append(f"changed: {FOLDER}: it does not fit {INDEX}")
    if told == now:
        found.held.append(f"files: all {len(told)} are what was exported")


def _hash(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "no file"
    return file_sha256(path)


def _ledgers(evidence: Evidence, record: RunRecord, heads: Sequence[str], found: _Findings) -> None:
    """The chain of a folder and of those within it, against the head that was exported."""
    told = str(evidence.index["runs"][record.name]["head"])
    try:
        chain = verify(record.folder, expected_head=told)
        entries = {each.hash for each in record.entries}
        for inner in nested_ledgers(record.folder):
            name = f"{record.name}/{inner.relative_to(record.folder).as_posix()}"
            found.problems += [f"ledger: {name}: {each}" for each in verify(inner).problems]
    except PlumbruleError as error:
        found.problems.append(f"ledger: {record.name}: {error}")
        return
    found.problems += [f"ledger: {record.name}: {each}" for each in chain.problems]
    if chain.head != told:
        found.problems.append(
            f"two heads: {record.name}: the folder was exported with the head {told[:12]}, its "
            f"ledger ends with {chain.head[:12]}, "
            + (
                "which goes on from there: entries were added since"
                if told in entries
                else "and has no such entry: it is another history"
            )
        )
    elif not chain.problems:
        found.held.append(f"ledger: {record.name}: {chain.entries} entries, head {chain.head}")


def _recorded_files(evidence: Evidence, record: RunRecord, found: _Findings) -> None:
    """Every record of a folder against the hash that its ledger has of it."""
    try:
        told = record.files
    except PlumbruleError:
        return  # said of the ledger
    if not told:
        if record.kind != "review":  # a review's trail names its files one by one
            found.unchecked.append(f"{record.name}: its ledger names no files, as of an older one")
        return
    now = file_hashes(record.folder)
    for name in sorted({*told, *now}):
        if is_weight(name) and name not in now:
            continue
        if told.get(name) != now.get(name):
            kind = "missing" if name not in now else "extra" if name not in told else "changed"
            found.problems.append(
                f"{kind}: runs/{record.name}/{name}: not as the ledger recorded it"
            )


def _anchors(
    evidence: Evidence, key: VerifyingKey | None, heads: Sequence[str], found: _Findings
) -> None:
    """What outside the folder vouches for it."""
    known = {str(each["head"]): name for name, each in evidence.index["runs"].items()}
    for head in (each.strip().lower() for each in heads):
        if head in known:
            found.held.append(f"anchor: {known[head]} ends with the head that was kept elsewhere")
        else:
            found.problems.append(
                f"two heads: {head[:12]} was kept elsewhere, and no ledger here was exported with "
                f"it: {', '.join(f'{name} has {each[:12]}' for each, name in known.items())}"
            )
    if key is None and not heads:
        found.unchecked.append(
            "anchor: neither a key nor a head kept elsewhere was given: that the folder is whole "
            "in itself does not show that it is the one that was made"
        )
    if key is not None and evidence.index["key"] not in (None, key.id):
        found.problems.append(
            f"signature: {INDEX} names the key {str(evidence.index['key'])[:12]}, the one given "
            f"is {key.id[:12]}"
        )


def _made_again(evidence: Evidence, opened: Mapping[str, Opened], found: _Findings) -> None:
    """Statements, documents and page, made anew from the records."""
    if not current_version(evidence.index):
        found.unchecked.append(
            f"statements and documents: plumbrule {evidence.index['plumbrule_version']} wrote "
            "them, and this version writes other words; they are held by the signature alone"
        )
        return
    statements, texts, failed = guarded(evidence)
    if failed:
        found.problems.append(f"records: statements cannot be made again from them: {failed}")
        return
    wrong = []
    for name, value in statements.items():
        if name not in opened:
            wrong.append((name, "missing", "the records give it, and it is not there"))
        elif opened[name].payload != payload_bytes(value):
            wrong.append((name, "changed", "the records say something else"))
    for name, text in texts.items():
        path = evidence.folder / name
        if not path.is_file():
            wrong.append((name, "missing", "the records give it, and it is not there"))
        elif path.read_bytes() != text.encode():
            wrong.append((name, "changed", "it is not what this version makes of the records"))
    more = set(opened) - set(statements) - {FOLDER}
    wrong += [(name, "extra", "no record gives it") for name in sorted(more)]
    found.problems += [f"{kind}: {name}: {why}" for name, kind, why in wrong]
    if not wrong:
        found.held.append(
            f"statements: {len(statements)} statements, and {len(texts)} documents and pages, are "
            "what the records give"
        )


def _chain(evidence: Evidence, found: _Findings) -> None:
    """Links, and decisions made again."""
    try:
        chain = evidence.links
    except UNREADABLE as error:
        found.problems.append(f"links: they cannot be followed: {why(error)}")
        chain = []
    found.problems += [str(each) for each in chain if each.state == "broken"]
    holding = sum(each.state == "holds" for each in chain)
    if holding:
        found.held.append(f"links: {holding} of {len(chain)} hold")
    found.unchecked += [f"link {each}" for each in chain if each.state == "missing"]
    for each in evidence.rederived:
        found.problems += each.problems
        found.held += [f"decisions: {said}" for said in each.held]
        found.unchecked += [f"decisions: {said}" for said in each.unchecked]


def _models(evidence: Evidence, given: Mapping[str, Path], found: _Findings) -> None:
    """Files of models, where they are here or were given."""
    for record in evidence.records:
        try:
            models = record.models
        except PlumbruleError:
            continue
        for folder, files in models.items():
            last = folder.split("/")[-1]
            place = evidence.folder / "weights" / record.name / last
            if last == "final" and record.name in given:
                place = given[record.name]
            if not place.is_dir():
                if evidence.index["weights"] == "copied":
                    found.problems.append(f"missing: weights/{record.name}/{last}: a model")
                else:
                    found.unchecked.append(
                        f"weights: {record.name}/{folder} is not here; --weights checks a copy of "
                        f"it, and so does model_signing with weights/{record.name}/{last}.sig"
                    )
                continue
            wrong = list(_unlike(place, files))
            found.problems += [f"weights: {record.name}/{folder}: {each}" for each in wrong]
            if not wrong:
                found.held.append(
                    f"weights: {record.name}/{folder}: {len(files)} files as recorded"
                )


def _unlike(place: Path, files: Mapping[str, str]) -> Iterator[str]:
    now = {
        path.relative_to(place).as_posix(): _hash(path)
        for path in place.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    for name in sorted({*files, *now}):
        if name not in now:
            yield f"{name} is missing"
        elif name not in files:
            yield f"{name} was not there"
        elif now[name] != files[name]:
            yield f"{name} is another file"
