"""What is written from the records of an evidence folder: statements, documents, page.

All of it is a function of the records, so that whoever verifies makes it again and compares the
bytes: an edited sentence shows without any key.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from plumbrule.evidence.documents import documents
from plumbrule.evidence.folder import Evidence
from plumbrule.evidence.page import page
from plumbrule.evidence.records import UNREADABLE, RunRecord, is_weight, why
from plumbrule.evidence.statements import (
    LINK,
    PROVENANCE,
    TEST_RESULT,
    Json,
    model_statement,
    statement,
)
from plumbrule.evidence.trainings import Identities
from plumbrule.loop.config import deciding
from plumbrule.store import canonical, file_sha256
from plumbrule.version import __version__


def payloads(evidence: Evidence) -> dict[str, Json]:
    """Every statement that is signed, but for the one that names all files.

    Args:
        evidence: The folder.

    Returns:
        Statements by the name of their file; those that end in `.sig` go into a bundle of
        `model_signing`'s.
    """
    found: dict[str, Json] = {}
    for record in evidence.records:
        for folder, files in record.models.items():
            last = folder.split("/")[-1]
            found[f"weights/{record.name}/{last}.sig"] = model_statement(last, files)
        for kind, made in _statements(record, evidence.identities):
            found[f"statements/{record.name}.{kind}.dsse.json"] = made
    return found


def folder_statement(hashes: Mapping[str, str], index: Mapping[str, Any]) -> Json:
    """What names every file of the folder.

    Args:
        hashes: SHA-256 of each, by path.
        index: What `evidence.json` holds.
    """
    return statement(
        hashes,
        LINK,
        {
            "name": "plumbrule evidence export",
            "command": ["plumbrule", "evidence", "export", *index["runs"]],
            "materials": [
                {"name": f"{name}/ledger.db", "digest": {"sha256": each["head"]}}
                for name, each in index["runs"].items()
            ],
            "byproducts": {},
            "environment": {"plumbrule": index["plumbrule_version"]},
        },
    )


def _statements(record: RunRecord, identities: Identities) -> Iterator[tuple[str, Json]]:
    if record.kind == "run":
        final = {
            f"models/final/{path}": each for path, each in record.model("models/final").items()
        }
        yield "training", statement(final, PROVENANCE, _provenance(record, identities))
        yield "findings", statement(final, TEST_RESULT, _tested(record))
        inner = RunRecord(record.folder / "comparison", f"{record.name}/comparison")
        if (inner.folder / "compare.json").is_file():
            yield "comparison", statement(final, TEST_RESULT, _compared(inner))
    elif record.kind == "comparison":
        tuned = {"tuned model": str(record.named.get("tuned"))}
        parts = identities.get(tuned["tuned model"], {}).get("files")
        yield "comparison", statement(parts or tuned, TEST_RESULT, _compared(record))
    elif record.kind == "review":
        marker = {"review.json": file_sha256(record.folder / "review.json")}
        result = {"result": "PASSED", "configuration": _resources(marker)}
        yield "review", statement(marker, TEST_RESULT, result)


def _resources(files: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "digest": {"sha256": files[name]}} for name in sorted(files)]


def _provenance(record: RunRecord, identities: Identities) -> Json:
    """How the weights came about, as SLSA has it."""
    named = record.named
    used = [
        {"name": name, "digest": {"sha256": named[name]}}
        for name in sorted(named)
        if len(str(named[name])) == 64
    ]
    start = identities.get(named.get("model", ""), {}).get("files", {})
    used += [
        {"name": f"starting model/{path}", "digest": {"sha256": start[path]}}
        for path in sorted(start)
    ]
    records = {path: each for path, each in record.files.items() if not is_weight(path)}
    return {
        "buildDefinition": {
            "buildType": "urn:plumbrule:run:1",
            "externalParameters": deciding(record.config),
            "internalParameters": {
                "trainings": {name: dict(each.payload) for name, each in record.trainings.items()}
            },
            "resolvedDependencies": used,
        },
        "runDetails": {
            "builder": {
                "id": "urn:plumbrule:loop",
                "version": {"plumbrule": str(record.report.get("plumbrule_version"))},
            },
            "metadata": {
                "invocationId": str(record.report.get("config_sha256")),
                "startedOn": _moment(record.entries[0].written_at),
                "finishedOn": _moment(record.entries[-1].written_at),
            },
            "byproducts": [
                {"name": "ledger.db", "digest": {"sha256": record.head.hash}},
                *_resources(records),
            ],
        },
    }


def _moment(written: str) -> str:
    """A ledger's moment as RFC 3339 in UTC."""
    return written.replace("+00:00", "Z")


def _tested(record: RunRecord) -> Json:
    """Gates and findings of a run."""
    report = record.report
    gates, findings = report.get("gates", []), report.get("findings", [])
    passed = [f"gate: {_gate(each)}" for each in gates if each["passed"]]
    failed = [f"gate: {_gate(each)}" for each in gates if not each["passed"]]
    passed += [f"finding: {each['claim']}" for each in findings if each["severity"] == "info"]
    warned = [f"finding: {each['claim']}" for each in findings if each["severity"] != "info"]
    return {
        "result": "FAILED" if failed else "WARNED" if warned else "PASSED",
        "configuration": _resources(
            {
                path: each
                for path, each in record.files.items()
                if path
                in ("config.yaml", "constitution.yaml", "prompts.jsonl", "report/report.json")
                or path.startswith("stages/examination/")
            }
        ),
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
    }


def _gate(gate: Mapping[str, Any]) -> str:
    return f"{gate['name']} ({gate['bound']})"


def _compared(record: RunRecord) -> Json:
    """Every hypothesis of a comparison: confirmed ones are changes, which is what warns."""
    verdicts = record.json("decisions.json").get("verdicts", [])
    warned = [_hypothesis(each) for each in verdicts if each["confirmed"]]
    return {
        "result": "WARNED" if warned else "PASSED",
        "configuration": _resources(
            {path: file_sha256(record.folder / path) for path in ("compare.json", "decisions.json")}
            | dict(record.json("decisions.json").get("files", {}))
        ),
        "passedTests": [_hypothesis(each) for each in verdicts if not each["confirmed"]],
        "warnedTests": warned,
        "failedTests": [],
    }


def _hypothesis(verdict: Mapping[str, Any]) -> str:
    word = "confirmed" if verdict["confirmed"] else "not confirmed"
    return f"{word}: hypothesis {verdict['hypothesis']['id']}: e-value {verdict['e_value']:.4g}"


def payload_bytes(value: Json) -> bytes:
    """A statement as it is signed."""
    return canonical(value).encode()


def current_version(index: Mapping[str, Any]) -> bool:
    """Whether this version wrote a folder, so that it would write the same again."""
    return index.get("plumbrule_version") == __version__


def described(evidence: Evidence, statements: Mapping[str, Json]) -> dict[str, str]:
    """Every text that is made from the records: documents and page.

    Args:
        evidence: The folder, with its records in place.
        statements: What `payloads` gave.

    Raises:
        PlumbruleError: A record cannot be read.
    """
    found = {}
    for record in evidence.records:
        for name, text in documents(record, evidence.identities).items():
            found[f"documents/{record.name}/{name}"] = text
    found["index.html"] = page(evidence, dict(found), statements)
    return found


def guarded(evidence: Evidence) -> tuple[dict[str, Json], dict[str, str], str]:
    """Payloads and texts made again, or why they cannot be."""
    try:
        statements = payloads(evidence)
        return statements, described(evidence, statements), ""
    except UNREADABLE as error:
        return {}, {}, why(error)
