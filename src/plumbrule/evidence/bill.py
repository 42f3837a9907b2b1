"""The bill of materials of a model, in CycloneDX 1.7."""

import uuid
from collections.abc import Mapping
from typing import Any

from plumbrule.evidence.facts import Facts
from plumbrule.evidence.records import RunRecord
from plumbrule.evidence.statements import model_statement
from plumbrule.evidence.trainings import Identities
from plumbrule.report.write import report_json

SPEC = "1.7"

APPROACHES = {
    "none": "supervised",
    "dpo": "supervised",
    "grpo": "reinforcement-learning",
    "rloo": "reinforcement-learning",
    "ppo": "reinforcement-learning",
}
"""How CycloneDX calls what a method does."""


def bill_of_materials(record: RunRecord, facts: Facts, identities: Identities, base: str) -> str:
    """What a model is made of, with hashes.

    Args:
        record: A run that has ended.
        facts: What it says.
        identities: Files of the starting model, where whoever exported had them.
        base: Where the run's folder lies, seen from the document.
    """
    final = record.model("models/final")
    start = identities.get(record.named.get("model", ""), {}).get("files", {})
    ended = record.entries[-1].written_at
    spec = record.report.get("models", {}).get("model", {})
    model = {
        **_of_files("model", record.name, final),
        "modelCard": _card(record, facts),
        "externalReferences": _references(record, base),
    }
    components = [
        _of_files("starting-model", str(spec.get("spec", "not known")), start)
        if start
        else {
            "type": "machine-learning-model",
            "bom-ref": "starting-model",
            "name": str(spec.get("spec", "not known")),
            "version": str(spec.get("identity", "not known")),
        },
        *_data(record),
    ]
    content = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, record.head.hash)}",
        "version": 1,
        "metadata": {
            "timestamp": ended.replace("+00:00", "Z"),
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "name": "plumbrule",
                        "version": str(record.report.get("plumbrule_version", "not known")),
                    },
                ]
            },
            "component": model,
        },
        "components": [*components, *_software(facts)],
        "dependencies": [
            {
                "ref": "model",
                "dependsOn": [each["bom-ref"] for each in components],
            }
        ],
    }
    return report_json(content)


def _of_files(ref: str, name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """A model by its files; its own hash is the one under which `model_signing` signs it."""
    root = model_statement(name, files)["subject"][0]["digest"]["sha256"]
    return {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": name,
        "version": root[:12],
        "hashes": [{"alg": "SHA-256", "content": root}],
        "components": [
            {
                "type": "file",
                "bom-ref": f"{ref}/{path}",
                "name": path,
                "hashes": [{"alg": "SHA-256", "content": files[path]}],
            }
            for path in sorted(files)
        ],
    }


def _data(record: RunRecord) -> list[dict[str, Any]]:
    """Constitution, prompts and labels, as data with their hashes."""
    found = []
    files = {
        "constitution.yaml": "configuration",
        "prompts.jsonl": "dataset",
        **{
            f"stages/{stage}/{name}": "dataset"
            for stage in ("revise", "helpful", "compare", "rewards")
            if stage in record.stages
            for name in record.stages[stage].payload["files"]
        },
    }
    for path, kind in files.items():
        digest = record.files.get(path)
        if digest:
            found.append(
                {
                    "type": "data",
                    "bom-ref": path,
                    "name": path,
                    "hashes": [{"alg": "SHA-256", "content": digest}],
                    "data": [{"type": kind, "name": path}],
                }
            )
    return found


def _software(facts: Facts) -> list[dict[str, Any]]:
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{each.label}",
            "name": each.label,
            "version": each.value,
            "purl": f"pkg:pypi/{each.label}@{each.value.split('+')[0]}",
        }
        for each in facts.get("software", ())
    ]


def _card(record: RunRecord, facts: Facts) -> dict[str, Any]:
    report = record.report
    model = report.get("models", {}).get("model", {})
    parameters: dict[str, Any] = {
        "task": "text-generation",
        "datasets": [{"ref": each["bom-ref"]} for each in _data(record)],
        "inputs": [{"format": "text"}],
        "outputs": [{"format": "text"}],
    }
    if report.get("method") in APPROACHES:
        parameters["approach"] = {"type": APPROACHES[report["method"]]}
    if model.get("architecture"):
        parameters["modelArchitecture"] = str(model["architecture"])
    told = {
        "technicalLimitations": [each.value for each in facts.get("limits", ())],
        "performanceTradeoffs": [
            each.value for topic in ("findings", "side_effects") for each in facts.get(topic, ())
        ],
    }
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": _metrics(record)},
        "considerations": {name: lines for name, lines in told.items() if lines},
    }


def _metrics(record: RunRecord) -> list[dict[str, Any]]:
    source = record.report.get("headline_source", "judge")
    rows = [
        (f"{each['name']}, by {each['by']}", each.get("final"))
        for each in record.report.get("measures", [])
    ]
    rows += [
        (
            f"Principle {each['id']} broken, by {source}",
            each.get("final", {}).get("violation_rate", {}).get(source),
        )
        for each in record.report.get("principles", [])
    ]
    return [
        {
            "type": f"{name} ({estimate['unit']})",
            "value": f"{estimate['value']:.6g}",
            "slice": "held-out prompts",
            "confidenceInterval": {
                "lowerBound": f"{estimate['low']:.6g}",
                "upperBound": f"{estimate['high']:.6g}",
            },
        }
        for name, estimate in rows
        if estimate
    ]


def _references(record: RunRecord, base: str) -> list[dict[str, Any]]:
    """Records that the bill rests on."""
    kinds = {
        "report/report.json": "quality-metrics",
        "report/index.html": "evidence",
        "config.yaml": "configuration",
    }
    return [
        {
            "type": kind,
            "url": f"{base}/{path}",
            "hashes": [{"alg": "SHA-256", "content": record.files[path]}],
        }
        for path, kind in kinds.items()
        if path in record.files
    ]
