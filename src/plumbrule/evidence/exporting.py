"""One folder with all that a claim rests on, for somebody who has neither models nor network."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError, ModelError, OutputError, PlumbruleError
from plumbrule.evidence.describing import described, folder_statement, payload_bytes, payloads
from plumbrule.evidence.folder import FOLDER, IDENTITIES, INDEX, SCHEMA, Evidence
from plumbrule.evidence.keys import SigningKey
from plumbrule.evidence.links import examined_identity
from plumbrule.evidence.records import RunRecord, is_weight
from plumbrule.evidence.statements import bundle, envelope
from plumbrule.ledger import nested_ledgers, verify
from plumbrule.loop.verifying import verify_files
from plumbrule.store import (
    Tell,
    canonical,
    file_sha256,
    fingerprint,
    silent,
    storage_errors,
    write_atomic,
)
from plumbrule.version import __version__

LEDGER = ("ledger.db", "ledger.head")


def export_evidence(
    runs: Sequence[Path],
    out: Path,
    *,
    key: SigningKey | None = None,
    anchor: str | None = None,
    weights: bool = False,
    tell: Tell = silent,
) -> Evidence:
    """Put finished folders together with what they prove.

    Args:
        runs: Folders of runs, comparisons and reviews that have ended.
        out: The folder to write; it must not hold anything.
        key: Signs every statement; None: nothing is signed.
        anchor: Where else the heads of the ledgers are kept, in the exporter's words.
        weights: Copy the models that the runs made as well.
        tell: Told of progress.

    Returns:
        The folder.

    Raises:
        DataError: A folder is not what its ledger recorded, or not finished; two have one name.
        OutputError: `out` holds something.
        StorageError: The disk did not take it.
    """
    records = [RunRecord(path, path.resolve().name) for path in runs]
    records.sort(key=lambda each: each.name)  # the order in which the index is read again
    _check(records, out)
    index: dict[str, Any] = {
        "schema": SCHEMA,
        "plumbrule_version": __version__,
        "key": None if key is None else key.verifying.id,
        "anchor": anchor,
        "weights": "copied" if weights else "elsewhere",
        "runs": {
            each.name: {"kind": each.kind, "head": each.head.hash, "entries": each.head.entries}
            for each in records
        },
    }
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for number, record in enumerate(records):
            tell("copying", number, len(records))
            _copy(record, out, weights=weights)
    identities = {}
    for number, record in enumerate(records):
        tell("reading weights", number, len(records))
        identities.update(_identities(record))
    write_atomic(out / IDENTITIES, canonical(identities) + "\n")
    write_atomic(out / INDEX, canonical(index) + "\n")
    evidence = Evidence(out, index)
    tell("deciding again", 0, 1)
    statements = payloads(evidence)
    for name, value in statements.items():
        wrapped = bundle if name.endswith(".sig") else envelope
        write_atomic(out / name, wrapped(payload_bytes(value), key))
    for name, text in described(evidence, statements).items():
        write_atomic(out / name, text)
    if key is not None:
        write_atomic(out / "key.pub", key.verifying.pem)
    hashes = {name: file_sha256(out / name) for name in listed_files(out)}
    whole = folder_statement(hashes, index)
    write_atomic(out / FOLDER, envelope(payload_bytes(whole), key))
    return evidence


def listed_files(folder: Path) -> list[str]:
    """Every file of an evidence folder but the one that names them."""
    found = [path.relative_to(folder).as_posix() for path in _walk(folder)]
    return sorted(name for name in found if name != FOLDER)


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _check(records: Sequence[RunRecord], out: Path) -> None:
    """Refuse what cannot be vouched for."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"expected an empty folder for evidence, {out} holds something")
    names = [each.name for each in records]
    if not names:
        raise DataError("expected a run, a comparison or a review to export, got none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"expected folders of different names, {', '.join(twice)} comes twice; rename one"
        )
    for record in records:
        found = verify(record.folder)
        files, _ = verify_files(record.folder)
        problems = [*map(str, found.problems), *files]
        if problems:
            raise DataError(
                f"expected a folder that is as its ledger recorded it, {record.folder} is not: "
                f"{'; '.join(problems[:3])}. `plumbrule ledger verify {record.folder}` says all"
            )
        if record.kind == "other" and not record.files:
            raise DataError(
                f"expected a folder that has ended, {record.folder} has not: its ledger names no "
                "files yet. Give its own command again, then this one"
            )


def _copy(record: RunRecord, out: Path, *, weights: bool) -> None:
    """The records of a folder, and the models beside them where they are wanted."""
    place = out / "runs" / record.name
    kept = record.files or {
        path.relative_to(record.folder).as_posix(): "" for path in _walk(record.folder)
        if not path.name.startswith(".") and path.name not in ("run.lock", "progress.log")
    }  # fmt: skip
    names = [name for name in kept if not is_weight(name)]
    inside = [path.relative_to(record.folder) for path in nested_ledgers(record.folder)]
    names += [(folder / name).as_posix() for folder in (Path(), *inside) for name in LEDGER]
    for name in dict.fromkeys(names):
        if (record.folder / name).is_file():
            _copied(record.folder / name, place / name)
    if weights:
        for folder, files in record.models.items():
            for name in files:
                to = out / "weights" / record.name / folder.split("/")[-1] / name
                _copied(record.folder / folder / name, to)


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _identities(record: RunRecord) -> dict[str, Any]:
    """What the identities of a run's first and last model are made of, where both are known."""
    if record.kind != "run":
        return {}
    wanted = {
        record.config.model: record.named.get("model"),
        str(record.folder / "models" / "final"): examined_identity(record, "final"),
    }
    found = {}
    for spec, identity in wanted.items():
        made = _identity(record, spec)
        if made is not None and fingerprint(made["parts"]) == identity:
            found[str(identity)] = made
    return found


def _identity(record: RunRecord, spec: str) -> dict[str, Any] | None:
    """Parts of a model's identity and files of its folder; None where it cannot be opened here."""
    from plumbrule.models import LocalModel, model_folder, open_model
    from plumbrule.models.identity import identity_parts

    config = record.config
    try:
        model = open_model(
            spec, dtype=config.dtype, device="cpu", trust_remote_code=config.trust_remote_code
        )
        folders = [model_folder(spec)]
    except PlumbruleError:
        return None  # the link is then named as missing
    if not isinstance(model, LocalModel):
        return None
    adapter = folders[0] / "adapter_config.json"
    if adapter.is_file():
        name = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")
        try:
            folders.insert(0, model_folder(str(name)))
        except ModelError:
            return None
    arguments = model.settings.template_arguments
    return {
        "parts": identity_parts(folders, model.module, model.tokenizer, arguments),
        "files": {
            path.name: file_sha256(path) for path in sorted(folders[-1].iterdir()) if path.is_file()
        },
    }
