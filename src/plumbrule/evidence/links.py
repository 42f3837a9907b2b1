"""The chain from a constitution to what is claimed of the weights, link by link, each by a hash.

A link holds, is broken, or is missing: where nothing recorded ties two things together, that is
said and not passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from plumbrule.evidence.records import RunRecord
from plumbrule.evidence.trainings import Identities, inputs_again
from plumbrule.records import to_json
from plumbrule.store import file_sha256, fingerprint

State = Literal["holds", "broken", "missing"]


@dataclass(frozen=True, kw_only=True)
class Link:
    """One tie between two things of the chain."""

    run: str
    """Of which folder."""

    source: str
    target: str

    state: State

    by: str
    """The hash or hashes that tie them, or what is missing."""

    def __str__(self) -> str:
        return f"{self.state}: {self.run}: {self.source} -> {self.target}: {self.by}"


def links(records: Sequence[RunRecord], identities: Identities) -> list[Link]:
    """The links of all folders, in the order of the chain.

    Args:
        records: What the folders recorded.
        identities: What identities are made of, where the exporter had the models.
    """
    found: list[Link] = []
    known = _made_by(records)
    for record in records:
        if record.kind == "run":
            if "amends" in record.named:
                found.append(_amended(record, records))
            found += _of_run(record, identities)
            inner = RunRecord(record.folder / "comparison", f"{record.name}/comparison")
            if (inner.folder / "compare.json").is_file():
                found += _of_comparison(inner, known)
        elif record.kind == "comparison":
            found += _of_comparison(record, known)
        elif record.kind == "review":
            found.append(
                _link(record, "paper", "verdict", None, "", "no weights: a review speaks of a text")
            )
    run = records[0].name if len(records) == 1 else "all"
    for target in ("release", "production"):
        found.append(
            Link(run=run, source="weights", target=target, state="missing", by="nothing recorded")
        )
    return found


def _link(
    record: RunRecord,
    source: str,
    target: str,
    holds: bool | None,
    by: str,
    missing: str = "nothing recorded",
) -> Link:
    """A link; `holds` is None where there is nothing to hold one against the other."""
    state: State = "missing" if holds is None else "holds" if holds else "broken"
    return Link(
        run=record.name, source=source, target=target, state=state,
        by=missing if holds is None else by,
    )  # fmt: skip


def _made_by(records: Sequence[RunRecord]) -> dict[str, str]:
    """Which run's model has which identity."""
    made = {}
    for record in records:
        if record.kind == "run":
            made[record.named.get("model", "")] = f"the model that {record.name} began with"
            if (last := examined_identity(record, "final")) is not None:
                made[last] = f"the model that {record.name} ended with"
    return made


def examined_identity(record: RunRecord, stage: str) -> str | None:
    """Identity of the model whose replies a run examined; None where it examined none."""
    entry = record.stages.get(f"examination/{stage}/replies")
    return None if entry is None else str(entry.payload.get("inputs", {}).get("model"))


def _of_run(record: RunRecord, identities: Identities) -> Iterator[Link]:
    named, law = record.named, record.constitution
    yield _link(
        record, "constitution", "run",
        None if law is None else law.sha256 == named.get("constitution"),
        f"constitution {_short(named.get('constitution'))}",
        "the folder holds no constitution.yaml",
    )  # fmt: skip
    prompts = record.prompts
    yield _link(
        record, "prompts", "run",
        None
        if prompts is None
        else fingerprint([to_json(each) for each in prompts]) == named.get("prompts"),
        f"prompts {_short(named.get('prompts'))}",
        "the folder holds no prompts.jsonl; its prompts are known by their hash alone",
    )  # fmt: skip
    yield from _labels(record)
    yield from _judge(record)
    yield from _samples(record)
    yield from _trainings(record, identities)
    yield from _weights(record, identities)
    end = record.entry("run/end")
    passed = record.report.get("gates_passed")
    yield _link(
        record, "report", "ledger",
        None if end is None else end.payload.get("gates_passed") == passed,
        f"gates {'passed' if passed else 'failed'}, entry run/end",
    )  # fmt: skip


def _amended(record: RunRecord, records: Sequence[RunRecord]) -> Link:
    """From the run that an amendment starts from."""
    told = record.named["amends"]
    found = [
        each.name
        for each in records
        if each.kind == "run" and fingerprint([to_json(each.config), dict(each.named)]) == told
    ]
    return _link(
        record, "earlier run", "amendment", True if found else None,
        f"amends {_short(told)}, which is {', '.join(found)}",
        f"amends {_short(told)}, and no run in this folder gives that hash",
    )  # fmt: skip


def _labels(record: RunRecord) -> Iterator[Link]:
    """Whether each label names the constitution and one of its principles."""
    law = record.constitution
    if law is None:
        yield _link(record, "constitution", "labels", None, "", "no constitution to hold them to")
        return
    ids = {each.id for each in law.principles}
    for stage, entry in record.stages.items():
        inputs = entry.payload.get("inputs", {})
        if "constitution" not in inputs:
            continue
        wrong, labels, rows = 0, 0, 0
        for row in record.rows(stage):
            rows += 1
            for principle in _principles(row):
                labels += 1
                wrong += principle not in ids
            wrong += row.get("constitution_sha256", law.sha256) != law.sha256
        holds = inputs["constitution"] == law.sha256 and not wrong
        yield _link(
            record, "constitution", f"labels of {stage}", holds,
            f"{rows} records, {labels} principle ids and constitution {_short(law.sha256)}",
        )  # fmt: skip


def _judge(record: RunRecord) -> Iterator[Link]:
    """Whether every judgment names the judge that the run began with."""
    stages = [
        stage
        for stage in record.stages
        if stage.startswith("examination/") and stage.endswith("/judgments")
    ]
    rows = [row for stage in stages for row in record.rows(stage)]
    judge = record.named.get("judge")
    yield _link(
        record, "judge", "judgments",
        all(row["judge"] == judge for row in rows) if rows and judge else None,
        f"judge {_short(judge)} on {len(rows)} judgments",
    )  # fmt: skip


def _principles(row: Mapping[str, Any]) -> list[str]:
    """Ids of principles that a label speaks of."""
    found = [row["principle_id"]] if "principle_id" in row else []
    found += list(row.get("by_principle", ()))
    found += [each["principle_id"] for each in row.get("rounds", ()) if each.get("principle_id")]
    if isinstance(known := row.get("known"), dict):
        found.append(known["principle_id"])
    return found


def _samples(record: RunRecord) -> Iterator[Link]:
    """Whether the records of each stage are those that the ledger names."""
    wrong = []
    for stage, entry in record.stages.items():
        for name, digest in entry.payload["files"].items():
            path = record.folder / "stages" / stage / name
            if not path.is_file() or _text_fingerprint(path) != digest:
                wrong.append(f"{stage}/{name}")
    said = f"{len(record.stages)} stages by the hashes of their shards"
    if wrong:
        said += f"; not so: {', '.join(wrong[:5])}"
    yield _link(record, "records of stages", "ledger", not wrong, said)


def _text_fingerprint(path: Any) -> str | None:
    try:
        return fingerprint(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _trainings(record: RunRecord, identities: Identities) -> Iterator[Link]:
    """Whether data, settings and starting weights give the hash that each training is named by."""
    for stage, entry in record.trainings.items():
        made = inputs_again(record, stage, identities)
        yield _link(
            record, "data", stage,
            None if made is None else made == entry.payload["inputs_sha256"],
            f"inputs {_short(entry.payload['inputs_sha256'])} made again from records, settings "
            "and starting weights",
            f"the hash {_short(entry.payload['inputs_sha256'])} of starting weights, settings and "
            "data stands in the ledger; it is not made again from records",
        )  # fmt: skip
        result = record.json(f"{entry.payload['model']}/result.json")
        yield _link(
            record, stage, str(entry.payload["model"]),
            result.get("inputs_sha256") == entry.payload["inputs_sha256"] if result else None,
            f"inputs {_short(entry.payload['inputs_sha256'])} in result.json beside the weights",
            "no result.json beside the weights",
        )  # fmt: skip


def _weights(record: RunRecord, identities: Identities) -> Iterator[Link]:
    """From files of weights to the identity whose replies were examined."""
    end = record.entry("run/end")
    final = record.model("models/final")
    told = {} if end is None else end.payload.get("model", {})
    yield _link(
        record, "models/final", "ledger",
        None if not told else all(final.get(path) == digest for path, digest in told.items()),
        f"{', '.join(f'{path} {_short(digest)}' for path, digest in sorted(told.items()))} in "
        "the entries run/end and files",
    )  # fmt: skip
    base = record.named.get("model")
    before, last = (examined_identity(record, stage) for stage in ("before", "final"))
    yield _link(
        record, "starting weights", "run",
        _is_made_of(base, identities), f"model {_short(base)} is the hash of weights and the rest",
        f"model {_short(base)} is the hash of weights and the rest, and whoever exported had no "
        "weights that give it",
    )  # fmt: skip
    yield _link(
        record, "starting weights", "examination before",
        None if before is None else before == base and _signed_by(record, "before", before),
        f"model {_short(before)} on every reply",
    )  # fmt: skip
    holds = _is_made_of(last, identities)
    if holds and last is not None:
        weights = identities[last]["parts"][0][-1]
        holds = all(final.get(path) == digest for path, digest in weights.items())
        holds &= _signed_by(record, "final", last)
    yield _link(
        record, "models/final", "examination final",
        holds, f"model {_short(last)} is the hash of its weights and the rest",
        f"model {_short(last)} stands on every reply, and whoever exported had no weights that "
        "give it",
    )  # fmt: skip


def _signed_by(record: RunRecord, stage: str, identity: str) -> bool:
    """Whether every reply that was examined names a model."""
    rows = record.rows(f"examination/{stage}/replies")
    return all(row["model"] == identity for row in rows)


def _is_made_of(identity: str | None, identities: Identities) -> bool | None:
    """Whether what an identity is said to be made of gives it; None where nothing is said."""
    if identity is None or identity not in identities:
        return None
    return fingerprint(identities[identity]["parts"]) == identity


def _of_comparison(record: RunRecord, known: Mapping[str, str]) -> Iterator[Link]:
    for part in ("base", "tuned"):
        identity = str(record.named.get(part))
        yield _link(
            record, f"{part} model", "comparison",
            True if identity in known else None,
            f"model {_short(identity)} is {known.get(identity)}",
            f"model {_short(identity)} is of no run in this folder",
        )  # fmt: skip
    decisions = record.entry("compare/decisions")
    files = {} if decisions is None else decisions.payload.get("files", {})
    same = all(
        (record.folder / name).is_file() and file_sha256(record.folder / name) == digest
        for name, digest in files.items()
    )
    yield _link(
        record, "samples", "decisions", same if files else None,
        f"{len(files)} files of samples by their SHA-256",
    )  # fmt: skip


def _short(digest: object) -> str:
    return str(digest)[:12]
