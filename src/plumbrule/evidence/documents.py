"""Documents that people are asked for, put together from facts: a card, a bill, two annexes."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from plumbrule.errors import DataError
from plumbrule.evidence.bill import bill_of_materials
from plumbrule.evidence.facts import REPORT, Fact, Facts, facts_of
from plumbrule.evidence.records import RunRecord
from plumbrule.evidence.trainings import Identities
from plumbrule.ledger import verify
from plumbrule.loop.verifying import verify_files
from plumbrule.store import write_atomic

DocumentKind = Literal["card", "bom", "annex-iv", "annex-xi"]

NOT_KNOWN = "not known"

Section = tuple[str, str, Sequence[str] | None]
"""Number, heading, and the topics of facts that are under it; None where its parts say all."""

ANNEX_IV: Sequence[Section] = (
    ("1", "General description of the AI system", None),
    ("1(a)", "Intended purpose, provider, version and earlier versions", ("name", "earlier")),
    ("1(b)", "Interaction with hardware, software and other AI systems", ()),
    ("1(c)", "Versions of software and firmware, requirements on updates", ("software",)),
    ("1(d)", "Forms in which it is placed on the market or put into service", ()),
    ("1(e)", "Hardware on which it is intended to run", ()),
    ("1(f)", "Products of which it is a component: features, marking, layout", ()),
    ("1(g)", "User interface provided to the deployer", ()),
    ("1(h)", "Instructions for use for the deployer", ()),
    ("2", "Elements of the AI system and process of its development", None),
    ("2(a)", "Methods and steps of development, pre-trained systems used", ("base", "method")),
    (
        "2(b)",
        "Design specifications: logic, choices, assumptions, what is optimized for",
        ("constitution",),
    ),
    ("2(c)", "Architecture, and computational resources used", ("model", "hardware", "cost")),
    ("2(d)", "Data requirements, training data, labeling procedures", ("data", "labels")),
    ("2(e)", "Human oversight measures (Article 14)", ()),
    ("2(f)", "Pre-determined changes", ()),
    (
        "2(g)",
        "Validation and testing: data, metrics, logs and reports",
        ("held_out", "measures", "principles", "gates", "judge", "log"),
    ),
    ("2(h)", "Cybersecurity measures", ()),
    (
        "3",
        "Monitoring, functioning and control: capabilities, limitations, unintended outcomes",
        ("findings", "side_effects", "limits"),
    ),
    ("4", "Appropriateness of the performance metrics", ()),
    ("5", "Risk management system (Article 9)", ()),
    ("6", "Changes through the lifecycle", ("earlier",)),
    ("7", "Harmonized standards applied", ()),
    ("8", "EU declaration of conformity (Article 47)", ()),
    ("9", "Evaluation in the post-market phase (Article 72)", ()),
)
"""Regulation (EU) 2024/1689, Annex IV, in its order."""

ANNEX_XI: Sequence[Section] = (
    ("Section 1", "Information by all providers of general-purpose AI models", None),
    ("1", "General description of the model", ("name",)),
    ("1(a)", "Tasks, and AI systems into which it can be integrated", ()),
    ("1(b)", "Acceptable use policies", ()),
    ("1(c)", "Date of release and methods of distribution", ()),
    ("1(d)", "Architecture and number of parameters", ("model",)),
    ("1(e)", "Modality and format of inputs and outputs", ()),
    ("1(f)", "License", ()),
    ("2", "Elements of the model and process of its development", None),
    ("2(a)", "Technical means required for integration", ("software",)),
    (
        "2(b)",
        "Design specifications and training process, what it is designed to optimize for",
        ("base", "method", "constitution"),
    ),
    ("2(c)", "Data used for training, testing and validation", ("data", "labels", "held_out")),
    ("2(d)", "Computational resources used for training, training time", ("hardware", "cost")),
    ("2(e)", "Known or estimated energy consumption", ()),
    ("Section 2", "Information by providers of models with systemic risk", None),
    (
        "1",
        "Evaluation strategies and results",
        ("measures", "principles", "judge", "gates", "findings", "side_effects", "limits"),
    ),
    ("2", "Adversarial testing, model adaptations, alignment and fine-tuning", ("method",)),
    ("3", "System architecture", ()),
)
"""Regulation (EU) 2024/1689, Annex XI, in its order."""

CARD: Sequence[Section] = (
    ("", "Model Details", ("name", "base", "model", "weights", "software")),
    ("", "Uses", ()),
    ("", "Bias, Risks, and Limitations", ("findings", "side_effects", "limits")),
    ("", "Training Data", ("data", "labels")),
    ("", "Training Procedure", ("constitution", "method")),
    ("", "Evaluation", ("held_out", "gates", "measures", "principles", "judge")),
    ("", "Environmental Impact", ()),
    ("", "Compute Infrastructure", ("hardware", "cost")),
    ("", "Citation", ()),
    ("", "Model Card Contact", ()),
)
"""Headings of the annotated template of Hugging Face, in its order."""


def documents(
    record: RunRecord, identities: Identities, *, root: str = "../../runs"
) -> dict[str, str]:
    """Every document of a run.

    Args:
        record: What the folder recorded.
        identities: Files of the starting model, where whoever exported had them.
        root: Where folders of runs lie, seen from the documents.

    Returns:
        Texts by the name of their file; empty for what is no run that has ended.
    """
    if record.kind != "run":
        return {}
    facts = facts_of(record)
    base = f"{root}/{record.name}"
    return {
        "README.md": _card(record, facts, base),
        "bom.cdx.json": bill_of_materials(record, facts, identities, base),
        "annex-iv.md": _annex("Technical documentation, Annex IV", ANNEX_IV, facts, base),
        "annex-xi.md": _annex("Technical documentation, Annex XI", ANNEX_XI, facts, base),
    }


FILES: Mapping[DocumentKind, str] = {
    "card": "README.md",
    "bom": "bom.cdx.json",
    "annex-iv": "annex-iv.md",
    "annex-xi": "annex-xi.md",
}
"""Names of documents in an evidence folder."""


def write_document(kind: DocumentKind, run: Path, out: Path | None = None) -> str:
    """Make one document of a run, and write it where a file is named.

    Args:
        kind: Which.
        run: Folder of a run that has ended.
        out: The file; links lead from there to the run's folder.

    Returns:
        The text.

    Raises:
        DataError: The folder is no run that has ended, or is not as its ledger recorded it.
        StorageError: The disk did not take the file.
    """
    record = RunRecord(run, run.resolve().name)
    if record.kind != "run":
        raise DataError(
            f"expected a run that has ended, {run} is none, and documents speak of a model; give "
            "the folder of a finished `plumbrule run`"
        )
    problems = [*map(str, verify(run).problems), *verify_files(run)[0]]
    if problems:
        raise DataError(
            f"expected a run that is as its ledger recorded it, {run} is not: {problems[0]}; "
            f"`plumbrule ledger verify {run}` says all"
        )
    place = Path.cwd() if out is None else out.resolve().parent
    root = os.path.relpath(run.resolve().parent, place).replace(os.sep, "/")
    text = documents(record, {}, root=root)[FILES[kind]]
    if out is not None:
        write_atomic(out, text)
    return text


def _annex(title: str, sections: Sequence[Section], facts: Facts, base: str) -> str:
    lines = [f"# {title}", ""]
    for number, heading, topics in sections:
        lines += [f"{'###' if '(' in number else '##'} {number} {heading}", ""]
        if topics is not None:
            lines += _under(topics, facts, base)
    return "\n".join(lines).rstrip() + "\n"


def _under(topics: Sequence[str], facts: Facts, base: str) -> list[str]:
    """The lines of a section: a fact each, or that none is known."""
    told = [fact for topic in topics for fact in facts.get(topic, ())]
    return [*([_line(fact, base) for fact in told] or [NOT_KNOWN]), ""]


def _line(fact: Fact, base: str) -> str:
    place = f"{fact.file} {fact.place}".strip()
    path = re.sub(r"[^A-Za-z0-9._/-]", lambda found: f"%{ord(found[0]):02X}", f"{base}/{fact.file}")
    return f"- {_safe(fact.label)}: {_safe(fact.value)} ([{_safe(place)}]({path}))"


@cache  # every fact stands in several documents
def _safe(text: str) -> str:
    r"""Text of whoever as Markdown shows it: no markup, no HTML, one line.

    Example:
        >>> print(_safe("a <b> [c](d)"))
        a &lt;b&gt; \[c\](d)
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", line)


def _card(record: RunRecord, facts: Facts, base: str) -> str:
    """A model card with the metadata that Hugging Face reads."""
    lines = ["---", _metadata(record), "---", "", f"# {_safe(_title(record))}", ""]
    for _, heading, topics in CARD:
        lines += [f"## {heading}", "", *_under(topics or (), facts, base)]
    return "\n".join(lines).rstrip() + "\n"


def _title(record: RunRecord) -> str:
    return str(record.report.get("title") or record.name)


def _metadata(record: RunRecord) -> str:
    """The YAML on top of a card: what is recorded, and no more."""
    values: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["plumbrule", f"constitution:{record.report.get('constitution_sha256', '')[:12]}"],
    }
    spec = str(record.report.get("models", {}).get("model", {}).get("spec", ""))
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", spec):  # a hub id, no folder of this machine
        values["base_model"] = spec
    results = [
        made
        for at, each in enumerate(record.report.get("measures", []))
        if (made := _metric(each, f"/measures/{at}/final")) is not None
    ]
    if results:
        values["model-index"] = [
            {
                "name": record.name,
                "results": [
                    {
                        "task": {"type": "text-generation"},
                        "dataset": {
                            "name": "held-out prompts",
                            "type": "prompts",
                            "revision": str(record.named.get("prompts")),
                        },
                        "metrics": results,
                    }
                ],
            }
        ]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000).rstrip()


def _metric(measure: Mapping[str, Any], place: str) -> dict[str, Any] | None:
    estimate = measure.get("final")
    if not estimate:
        return None
    return {
        "type": re.sub(r"[^a-z]+", "_", str(measure["name"]).lower()).strip("_"),
        "name": f"{measure['name']}, by {measure['by']} ({REPORT} {place})",
        "value": estimate["value"],
    }
