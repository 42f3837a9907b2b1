"""What the records of a run say, fact by fact, each with the place where it is.

Documents are put together from these and from headings: nothing in them is worded by hand, so that
every line can be followed to a record, and what no record says is not known.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.evidence.records import RunRecord
from plumbrule.records import to_json

REPORT = "report/report.json"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that a record says."""

    label: str
    """What is spoken of."""

    value: str
    """What the record says of it."""

    file: str
    """The record, within the run's folder."""

    place: str = ""
    """Where in it: a JSON pointer, or the key of an entry."""


Facts = Mapping[str, Sequence[Fact]]
"""Facts by topic."""


def facts_of(record: RunRecord) -> dict[str, list[Fact]]:
    """Everything that documents say of a run.

    Args:
        record: A run that has ended.

    Returns:
        Facts by topic; a topic without any is not there.
    """
    topics = {
        "name": _name,
        "earlier": _earlier,
        "software": _software,
        "hardware": _hardware,
        "model": _model,
        "base": _base,
        "weights": _weights,
        "constitution": _constitution,
        "method": _method,
        "data": _data,
        "labels": _labels,
        "cost": _cost,
        "held_out": _held_out,
        "measures": _measures,
        "principles": _principles,
        "judge": _judge,
        "gates": _gates,
        "findings": _findings,
        "side_effects": _side_effects,
        "limits": _limits,
        "log": _log,
    }
    found = {topic: list(make(record)) for topic, make in topics.items()}
    return {topic: facts for topic, facts in found.items() if facts}


def _told(record: RunRecord, label: str, *path: str) -> Iterator[Fact]:
    """A value of the report; nothing where it is not there."""
    value: Any = record.report
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if value is not None and value != "":
        said = f"{value:,}" if type(value) is int else str(value)
        yield Fact(label=label, value=said, file=REPORT, place="/" + "/".join(path))


def _name(record: RunRecord) -> Iterator[Fact]:
    yield from _told(record, "Name", "title")
    end = record.entry("run/end")
    for path, digest in sorted((end.payload.get("model") or {}).items() if end else ()):
        yield _entry("Version", f"{path} {digest}", "run/end")


def _entry(label: str, value: str, key: str) -> Fact:
    return Fact(label=label, value=value, file="ledger.db", place=f"entry {key}")


def _earlier(record: RunRecord) -> Iterator[Fact]:
    if "amends" in record.named:
        yield _entry("Amends", str(record.named["amends"]), "run/begin")


def _software(record: RunRecord) -> Iterator[Fact]:
    path = record.folder / "config.yaml"
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").split("\n"):
        parts = line.removeprefix("# ").split(" ")
        if line.startswith("# ") and len(parts) == 2 and not parts[0].endswith(":"):
            yield Fact(label=parts[0], value=parts[1], file="config.yaml", place="first lines")


def _hardware(record: RunRecord) -> Iterator[Fact]:
    yield from _told(record, "Device", "models", "model", "device")
    yield from _told(record, "Number format", "models", "model", "dtype")
    yield from _told(record, "Peak memory of the process, bytes", "peak_rss_bytes")


def _model(record: RunRecord) -> Iterator[Fact]:
    for label, name in (
        ("Architecture", "architecture"),
        ("Parameters", "parameters"),
        ("Vocabulary, tokens", "vocabulary"),
        ("Context, tokens", "context_tokens"),
    ):
        yield from _told(record, label, "models", "model", name)


def _base(record: RunRecord) -> Iterator[Fact]:
    yield from _told(record, "Starting model", "models", "model", "spec")
    yield from _told(record, "Identity of the starting model", "models", "model", "identity")


def _weights(record: RunRecord) -> Iterator[Fact]:
    for path, digest in sorted(record.model("models/final").items()):
        yield _entry(f"models/final/{path}", f"SHA-256 {digest}", _files_key(record))


def _files_key(record: RunRecord) -> str:
    return [each.key for each in record.entries if each.kind == "files"][-1]


def _constitution(record: RunRecord) -> Iterator[Fact]:
    yield from _told(record, "Constitution", "constitution", "name")
    yield from _told(record, "Version of the constitution", "constitution", "version")
    yield from _told(record, "SHA-256 of the constitution", "constitution_sha256")
    for at, each in enumerate(record.report.get("constitution", {}).get("principles", [])):
        place = f"/constitution/principles/{at}"
        yield Fact(
            label=f"Principle {each['id']}", value=each["text"], file=REPORT, place=f"{place}/text"
        )


def _method(record: RunRecord) -> Iterator[Fact]:
    yield from _told(record, "Way of training", "recipe")
    yield from _told(record, "Method", "method")
    for stage, entry in record.trainings.items():
        for label, name in (("steps", "steps"), ("inputs", "inputs_sha256")):
            yield _entry(f"{stage}, {label}", str(entry.payload.get(name)), entry.key)
    config = record.begun.get("config", {})
    for name in ("supervised", "reward", str(record.report.get("method"))):
        settings = config.get(name)
        if isinstance(settings, dict):
            said = ", ".join(f"{key} {value}" for key, value in sorted(settings.items()))
            yield _entry(f"Settings of {name}", said, "run/begin")


def _data(record: RunRecord) -> Iterator[Fact]:
    if "prompts" in record.named:
        yield _entry("SHA-256 of the prompts", str(record.named["prompts"]), "run/begin")
    prompts = record.prompts
    if prompts is not None:
        held = sum(each.held_out for each in prompts)
        for label, count in (("Training prompts", len(prompts) - held), ("Held-out prompts", held)):
            yield Fact(label=label, value=f"{count:,}", file="prompts.jsonl")
    for stage, entry in record.trainings.items():
        yield _entry(f"{stage}, examples", f"{entry.payload.get('examples'):,}", entry.key)
        yield _entry(f"{stage}, left out", f"{entry.payload.get('skipped'):,}", entry.key)


def _labels(record: RunRecord) -> Iterator[Fact]:
    for who in ("critic", "judge"):
        yield from _told(record, f"The {who}", "models", who, "spec")
        yield from _told(record, f"Identity of the {who}", "models", who, "identity")
    for who, kinds in record.report.get("labels", {}).items():
        for kind, count in kinds.items():
            yield from _told(record, f"{who}, {kind}", "labels", who, kind) if count else ()
    for at, each in enumerate(record.report.get("trials", [])):
        works = {True: "yes", False: "no", None: "not tested"}[each.get("works")]
        yield Fact(
            label=f"{each.get('who')} does better than chance under {each.get('principle_id')}",
            value=works, file=REPORT, place=f"/trials/{at}/works",
        )  # fmt: skip


def _cost(record: RunRecord) -> Iterator[Fact]:
    yield from _told(record, "Seconds in all", "seconds")
    for name, label in (
        ("tokens_generated", "Tokens generated"),
        ("tokens_scored", "Tokens read or trained on"),
        ("calls", "Calls of endpoints"),
        ("dollars", "Dollars"),
    ):
        stages = record.report.get("stages", [])
        if stages:
            total = sum(each.get(name) or 0 for each in stages)
            yield Fact(label=label, value=f"{total:,}", file=REPORT, place=f"/stages/*/{name}")


def _held_out(record: RunRecord) -> Iterator[Fact]:
    for name, entry in record.stages.items():
        if name.startswith("examination/"):
            yield Fact(
                label=name, value=f"{entry.payload.get('records'):,} records",
                file=f"stages/{name}", place=f"entry {entry.key}",
            )  # fmt: skip


def estimate_said(estimate: Mapping[str, Any] | None) -> str | None:
    """An estimate as a line; None where there is none."""
    if not estimate:
        return None
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    return (
        f"{value:.4g} [{low:.4g}, {high:.4g}] {estimate['unit']}, level {estimate['level']:g}, "
        f"n {estimate['n']:,}, {estimate['method']}"
    )


def _measures(record: RunRecord) -> Iterator[Fact]:
    for at, each in enumerate(record.report.get("measures", [])):
        for stage in ("before", "supervised", "final"):
            said = estimate_said(each.get(stage))
            if said:
                yield Fact(
                    label=f"{each['name']}, by {each['by']}, {stage}", value=said,
                    file=REPORT, place=f"/measures/{at}/{stage}",
                )  # fmt: skip


def _principles(record: RunRecord) -> Iterator[Fact]:
    source = record.report.get("headline_source", "judge")
    for at, each in enumerate(record.report.get("principles", [])):
        for stage in ("before", "supervised", "final"):
            said = estimate_said(each.get(stage, {}).get("violation_rate", {}).get(source))
            if said:
                yield Fact(
                    label=f"Principle {each['id']} broken, by {source}, {stage}", value=said,
                    file=REPORT, place=f"/principles/{at}/{stage}/violation_rate/{source}",
                )  # fmt: skip


def _judge(record: RunRecord) -> Iterator[Fact]:
    for at, each in enumerate(record.report.get("judge_quality") or []):
        for name in ("sensitivity", "specificity"):
            said = estimate_said(each.get(name))
            if said:
                yield Fact(
                    label=f"The judge's {name} under {each['principle_id']}", value=said,
                    file=REPORT, place=f"/judge_quality/{at}/{name}",
                )  # fmt: skip


def _gates(record: RunRecord) -> Iterator[Fact]:
    for at, each in enumerate(record.report.get("gates", [])):
        said = estimate_said(each.get("estimate")) or each.get("detail") or each.get("reason") or ""
        yield Fact(
            label=f"{each['name']} ({each['bound']})",
            value=f"{'passed' if each['passed'] else 'failed'}: {said}",
            file=REPORT, place=f"/gates/{at}",
        )  # fmt: skip


def _findings(record: RunRecord) -> Iterator[Fact]:
    for at, each in enumerate(record.report.get("findings", [])):
        yield Fact(
            label=f"Finding, severity {each['severity']}", value=each["claim"],
            file=REPORT, place=f"/findings/{at}",
        )  # fmt: skip


def _side_effects(record: RunRecord) -> Iterator[Fact]:
    for at, each in enumerate((record.report.get("comparison") or {}).get("summary", [])):
        yield Fact(
            label="First and last model compared", value=each,
            file=REPORT, place=f"/comparison/summary/{at}",
        )  # fmt: skip


def _limits(record: RunRecord) -> Iterator[Fact]:
    for part in ("summary", "notes"):
        for at, each in enumerate(record.report.get(part, [])):
            yield Fact(
                label="The report says", value=to_json(each), file=REPORT, place=f"/{part}/{at}"
            )


def _log(record: RunRecord) -> Iterator[Fact]:
    yield Fact(label="Entries of the ledger", value=f"{record.head.entries:,}", file="ledger.db")
    yield Fact(label="Head of the ledger", value=record.head.hash, file="ledger.db")
    for label, entry in (("Begun", record.entries[0]), ("Ended", record.entries[-1])):
        yield _entry(label, entry.written_at, entry.key)
