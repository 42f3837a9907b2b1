"""The page of an evidence folder, as one record that `report` shows."""

from collections.abc import Mapping
from typing import Any

from plumbrule.evidence.folder import Evidence
from plumbrule.report.templating import fill

KINDS = {
    "training": "SLSA provenance: how the weights came about",
    "findings": "in-toto test result: gates and findings",
    "comparison": "in-toto test result: every hypothesis of the comparison",
    "review": "in-toto test result: the review's verdict",
}
"""Statements by the part of their file's name that says what they hold."""

DOCUMENTS = {
    "README.md": "model card in the form of Hugging Face",
    "bom.cdx.json": "bill of materials, CycloneDX 1.7",
    "annex-iv.md": "technical documentation in the order of Annex IV",
    "annex-xi.md": "technical documentation in the order of Annex XI",
}

VERIFIER = (
    "cryptography", "jaxtyping", "jinja2", "numpy", "pydantic", "pyyaml", "rich", "safetensors",
    "scipy", "sqlalchemy", "typer",
)  # fmt: skip
"""All that `evidence verify` needs besides this package: a third of a gigabyte, no torch."""


def page(evidence: Evidence, documents: Mapping[str, str], statements: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        evidence: The folder, with its records in place.
        documents: The documents in it, by path.
        statements: The statements in it, by path.
    """
    return fill("evidence", _content(evidence, documents, statements))


def _content(
    evidence: Evidence, documents: Mapping[str, str], statements: Mapping[str, Any]
) -> dict[str, Any]:
    index, chain = evidence.index, evidence.links
    counts = {
        state: sum(each.state == state for each in chain)
        for state in ("holds", "broken", "missing")
    }
    problems = [line for each in evidence.rederived for line in each.problems]
    names = ", ".join(index["runs"])
    return {
        "title": f"Evidence of {names}",
        "summary": [
            f"{counts['holds']} links of the chain hold, {counts['broken']} are broken, "
            f"{counts['missing']} are missing.",
            "Every decision that can be made again from the samples came out as recorded."
            if not problems
            else f"{len(problems)} decisions came out otherwise than recorded.",
            "Every statement is signed; without the key, from elsewhere, that shows nothing."
            if index["key"]
            else "Nothing here is signed.",
        ],
        "anchors": _anchors(index),
        "runs": [
            {"name": name, **each, "page": f"runs/{name}/report/index.html"}
            for name, each in index["runs"].items()
        ],
        "links": [vars(each) for each in chain],
        "decisions": [
            ("Came out as recorded", [line for each in evidence.rederived for line in each.held]),
            ("Came out otherwise", problems),
            (
                "Not made again, and why",
                [line for each in evidence.rederived for line in each.unchecked],
            ),
        ],
        "files": _files(evidence, documents, statements),
        "version": index["plumbrule_version"],
        "installing": [
            "python3 -m venv ../verifier",
            f"../verifier/bin/pip install {' '.join(VERIFIER)}",
            f"../verifier/bin/pip install --no-deps plumbrule=={index['plumbrule_version']}",
        ],
        "commands": _commands(evidence),
    }


def _anchors(index: Mapping[str, Any]) -> list[dict[str, str]]:
    key = index["key"]
    return [
        {
            "name": "Signature",
            "said": f"ECDSA over P-256 by the key {key}, over every statement and over the list of "
            "all files"
            if key
            else "none",
        },
        {
            "name": "Head kept elsewhere",
            "said": index["anchor"] or "none was named when this was written",
        },
        {"name": "Transparency log", "said": "none"},
    ]


def _files(
    evidence: Evidence, documents: Mapping[str, str], statements: Mapping[str, Any]
) -> list[dict[str, str]]:
    rows = [
        {"path": "evidence.json", "said": "what was exported, by which version, with which heads"},
        {"path": "folder.dsse.json", "said": "in-toto link: SHA-256 of every other file"},
        {"path": "identities.json", "said": "what the identities of models are the hash of"},
    ]
    for name in statements:
        said = (
            "the weights' manifest, in the layout of model_signing"
            if name.endswith(".sig")
            else KINDS.get(name.split(".")[-3], "statement")
        )
        rows.append({"path": name, "said": said})
    rows += [
        {"path": name, "said": DOCUMENTS.get(name.split("/")[-1], "document")} for name in documents
    ]
    for record in evidence.records:
        rows.append(
            {
                "path": f"runs/{record.name}/",
                "said": "ledger, configuration, samples and report as they were recorded; models "
                + (
                    "lie under weights/"
                    if evidence.index["weights"] == "copied"
                    else "are left out, their hashes stand in the ledger"
                ),
            }
        )
    return rows


def _commands(evidence: Evidence) -> list[str]:
    commands = ["../verifier/bin/plumbrule evidence verify . --key ../evidence.pub"]
    for record in evidence.records:
        for folder in record.models:
            last = folder.split("/")[-1]
            commands.append(
                f"model_signing verify key MODEL --signature weights/{record.name}/{last}.sig "
                "--public_key ../evidence.pub"
            )
    return commands
