"""Ways to tamper with an evidence folder, from a flipped bit to a folder made wholly anew.

Who tampers has everything but the private key: this package, the whole folder, and a key of their
own. `rebuilt` makes every hash, ledger, statement and document anew after a change, so that the
folder is whole in itself again.
"""

import base64
import json
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.evidence import SigningKey
from plumbrule.evidence.describing import described, folder_statement, payload_bytes, payloads
from plumbrule.evidence.exporting import listed_files
from plumbrule.evidence.folder import FOLDER, IDENTITIES, INDEX, Evidence
from plumbrule.evidence.records import RunRecord, is_weight
from plumbrule.evidence.statements import bundle, envelope
from plumbrule.ledger import LedgerHead
from plumbrule.ledger.chain import GENESIS, seal
from plumbrule.ledger.headfile import Ends, write_ends
from plumbrule.store import canonical, file_sha256, fingerprint


@dataclass(frozen=True)
class Case:
    """A folder to tamper with, the chance that decides how, and a key of the tamperer's own."""

    folder: Path
    rng: random.Random
    key: SigningKey

    @property
    def run(self) -> Path:
        """The records of its run."""
        return next(each for each in sorted((self.folder / "runs").iterdir()))

    def some(self, *patterns: str) -> Path:
        """A file of the folder by chance."""
        found = sorted(
            path
            for pattern in patterns or ("**/*",)
            for path in self.folder.glob(pattern)
            if path.is_file() and path.stat().st_size
        )
        return self.rng.choice(found)


Way = Callable[[Case], None]


def one_bit(case: Case) -> None:
    """A bit of any file."""
    path = case.some()
    data = bytearray(path.read_bytes())
    data[case.rng.randrange(len(data))] ^= 1 << case.rng.randrange(8)
    path.write_bytes(data)


def weight_bit(case: Case) -> None:
    """A bit of a model's weights."""
    path = case.some("weights/**/*.safetensors")
    data = bytearray(path.read_bytes())
    data[case.rng.randrange(len(data))] ^= 1 << case.rng.randrange(8)
    path.write_bytes(data)


def file_cut(case: Case) -> None:
    """The end of a file."""
    path = case.some()
    data = path.read_bytes()
    path.write_bytes(data[: case.rng.randrange(len(data))])


def file_removed(case: Case) -> None:
    """A file."""
    case.some().unlink()


def folder_half_copied(case: Case) -> None:
    """Every other file, as of a copy that broke off."""
    for path in sorted(path for path in case.folder.rglob("*") if path.is_file()):
        if case.rng.random() < 0.5 and path.name != INDEX:
            path.unlink()


def file_added(case: Case) -> None:
    """A file more, beside another."""
    place = case.some().parent
    (place / f"more-{case.rng.randrange(10**6)}.json").write_text("{}\n", "utf-8")


def files_swapped(case: Case) -> None:
    """Two files of one kind in each other's place."""
    one, other = case.some("runs/**/*.jsonl"), case.some("runs/**/*.jsonl")
    if one.read_bytes() == other.read_bytes():
        other = case.some("documents/**/*")
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def file_linked(case: Case) -> None:
    """A file replaced by a link to a copy of it elsewhere."""
    path = case.some("runs/**/*.jsonl", "weights/**/*")
    away = case.folder.parent / "away"
    away.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(away)


def row_dropped(case: Case) -> None:
    """A row of a stage's records."""
    path = case.some("runs/**/stages/**/*.jsonl")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    del lines[case.rng.randrange(len(lines))]
    path.write_text("".join(lines), "utf-8")


def row_edited(case: Case) -> None:
    """A row of a stage's records, its seal made anew."""
    _edit_row(case, "runs/**/stages/**/*.jsonl", _other_reply)


def weights_swapped(case: Case) -> None:
    """The supervised model in place of the final one."""
    place = case.folder / "weights" / case.run.name
    (place / "final" / "model.safetensors").write_bytes(
        (place / "supervised" / "model.safetensors").read_bytes()
    )


def entry_edited(case: Case) -> None:
    """A digit in an entry of the ledger."""
    rows = _rows(_ledger(case))
    row = case.rng.choice(rows)
    payload = str(row["payload"])
    at = case.rng.choice([at for at, letter in enumerate(payload) if letter.isalnum()])
    row["payload"] = payload[:at] + ("0" if payload[at] != "0" else "1") + payload[at + 1 :]
    _write_rows(_ledger(case), rows)


def entry_dropped(case: Case) -> None:
    """An entry of the ledger, those after it renumbered."""
    rows = _rows(_ledger(case))
    del rows[case.rng.randrange(len(rows) - 1)]
    for at, row in enumerate(rows, 1):
        row["position"] = at
    _write_rows(_ledger(case), rows)


def ledger_cut(case: Case) -> None:
    """The last entries of the ledger, the head file fitted to it."""
    path = _ledger(case)
    rows = _rows(path)[: -case.rng.randint(1, 3)]
    _write_rows(path, rows)
    _write_head(path, rows)


def ledger_continued(case: Case) -> None:
    """An entry more at the end, sealed rightly, the head file fitted to it."""
    path = _ledger(case)
    rows = _rows(path)
    rows.append({**rows[-1], "key": "another", "payload": "{}"})
    _reseal(path, rows)


def ledger_rebuilt(case: Case) -> None:
    """An entry edited, the whole chain and the head file made anew, nothing else."""
    path = _ledger(case)
    rows = _rows(path)
    case.rng.choice(rows)["written_at"] = "2020-01-01T00:00:00.000000+00:00"
    _reseal(path, rows)


def document_edited(case: Case) -> None:
    """A word of a document."""
    path = case.some("documents/**/*")
    text = path.read_text("utf-8")
    words = [word for word in ("not known", "Finding", "failed", "Identity", "0.") if word in text]
    word = case.rng.choice(words)
    path.write_text(text.replace(word, "known" if word == "not known" else "passed", 1), "utf-8")


def page_edited(case: Case) -> None:
    """A word of the page."""
    path = case.folder / "index.html"
    path.write_text(path.read_text("utf-8").replace("missing", "holds", 1), "utf-8")


def statement_edited(case: Case) -> None:
    """What a statement says, its signature left as it is."""
    path = case.some("statements/*", "weights/*/*.sig", FOLDER)
    value = json.loads(path.read_text("utf-8"))
    inside = value.get("dsseEnvelope", value)
    payload = json.loads(base64.b64decode(inside["payload"]))
    payload["predicate"]["edited"] = True
    inside["payload"] = base64.b64encode(canonical(payload).encode()).decode()
    path.write_text(canonical(value) + "\n", "utf-8")


def statements_swapped(case: Case) -> None:
    """The manifest of one model in place of another's, both signed."""
    place = case.folder / "weights" / case.run.name
    (place / "final.sig").write_bytes((place / "supervised.sig").read_bytes())


def signed_anew(case: Case) -> None:
    """Nothing but the signatures, all by another key, and the key's name with them."""
    rebuilt(case, named=True)


def index_edited(case: Case) -> None:
    """The anchor that the folder names."""
    path = case.folder / INDEX
    index = json.loads(path.read_text("utf-8"))
    index["anchor"] = "a transparency log"
    path.write_text(canonical(index) + "\n", "utf-8")


def finding_removed(case: Case) -> None:
    """A finding of the run's report."""
    _edit_report(case, _without_finding)


def gates_passed(case: Case) -> None:
    """A gate that failed, as passed."""
    _edit_report(case, _all_passed)


def finding_removed_rebuilt(case: Case) -> None:
    """A finding, and everything made anew."""
    _edit_report(case, _without_finding)
    rebuilt(case)


def gates_passed_rebuilt(case: Case) -> None:
    """A gate, the ledger's word on it, and everything made anew."""
    _edit_report(case, _all_passed)

    def passed(key: str, payload: dict[str, Any]) -> None:
        if key == "run/end":
            payload["gates_passed"] = True

    rebuilt(case, edit=passed)


def verdict_rebuilt(case: Case) -> None:
    """A reply's verdict by the answer key, and everything made anew but the report."""
    _edit_row(case, "runs/*/stages/examination/*/oracle/*.jsonl", _other_verdict)
    rebuilt(case)


def label_rebuilt(case: Case) -> None:
    """A preference that was trained on, and everything made anew but the training's hash."""
    _edit_row(case, "runs/*/stages/compare/*.jsonl", _other_preference)
    rebuilt(case)


def setting_rebuilt(case: Case) -> None:
    """A training's learning rate, and everything made anew but the training's hash."""

    def slower(key: str, payload: dict[str, Any]) -> None:
        if key == "run/begin":
            payload["config"]["supervised"]["learning_rate"] /= 2

    rebuilt(case, edit=slower)


def constitution_rebuilt(case: Case) -> None:
    """A word of the constitution, and everything made anew but the labels' hash of it."""
    path = case.run / "constitution.yaml"
    path.write_text(path.read_text("utf-8").replace("Do not", "Never", 1), "utf-8")
    rebuilt(case)


def prompt_rebuilt(case: Case) -> None:
    """What a prompt deserves, and everything made anew but the hash of the prompts."""
    path = case.run / "prompts.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    row = case.rng.choice(rows)
    row["deserves_help"] = not row["deserves_help"]
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), "utf-8")
    rebuilt(case)


def weights_rebuilt(case: Case) -> None:
    """Other final weights, and everything made anew but the identity on the replies."""
    weights_swapped(case)
    rebuilt(case, edit=_new_weights(case))


def decision_rebuilt(case: Case) -> None:
    """A verdict of the comparison turned over, and everything made anew."""
    path = case.run / "comparison" / "decisions.json"
    value = json.loads(path.read_text("utf-8"))
    if value["verdicts"]:
        verdict = case.rng.choice(value["verdicts"])
        verdict["confirmed"] = not verdict["confirmed"]
    else:
        value["looked_at"] += 1
    path.write_text(canonical(value), "utf-8")
    rebuilt(case)


def whole_examination_rebuilt(case: Case) -> None:
    """A verdict, every number that follows from it, and everything made anew."""
    _edit_row(case, "runs/*/stages/examination/*/oracle/*.jsonl", _other_verdict)
    _decide_again(case)


def whole_identity_rebuilt(case: Case) -> None:
    """Other final weights, their identity on every reply, and everything made anew."""
    weights_swapped(case)
    digest = file_sha256(case.folder / "weights" / case.run.name / "final" / "model.safetensors")
    path = case.folder / IDENTITIES
    identities = json.loads(path.read_text("utf-8"))
    record = RunRecord(case.run, case.run.name)
    old = record.stages["examination/final/replies"].payload["inputs"]["model"]
    parts = identities.pop(old)
    before = parts["parts"][0][-1]["model.safetensors"]
    parts["parts"][0][-1]["model.safetensors"] = digest
    parts["files"]["model.safetensors"] = digest
    new = fingerprint(parts["parts"])
    path.write_text(canonical({**identities, new: parts}) + "\n", "utf-8")
    _replace_everywhere(case, {old: new, before: digest})
    rebuilt(case, edit=_new_weights(case))


def whole_constitution_rebuilt(case: Case) -> None:
    """A word of the constitution, its hash on every label, and everything made anew."""
    from plumbrule.constitution import load_constitution

    path = case.run / "constitution.yaml"
    old = load_constitution(path).sha256
    text = path.read_text("utf-8").replace("hurts people", "hurts many people", 1)
    path.write_text(text, "utf-8")
    _replace_everywhere(case, {old: load_constitution(path).sha256})
    report = case.run / "report" / "report.json"
    report.write_text(
        report.read_text("utf-8").replace("what hurts people", "what hurts many people"), "utf-8"
    )
    rebuilt(case)


def costs_rebuilt(case: Case) -> None:
    """What a run cost, which follows from no sample, and everything made anew."""

    def cheaper(report: dict[str, Any], rng: random.Random) -> None:
        report["seconds"] /= 10

    _edit_report(case, cheaper)
    rebuilt(case)


def dates_rebuilt(case: Case) -> None:
    """The moments of all entries, and everything made anew."""
    rebuilt(case, shift="2020")


def unsigned(case: Case) -> None:
    """Every signature, and the key's name."""
    rebuilt(case, signed=False)


WAYS: Sequence[Way] = (
    one_bit, weight_bit, file_cut, file_removed, folder_half_copied, file_added, files_swapped,
    file_linked, row_dropped, row_edited, weights_swapped, entry_edited, entry_dropped, ledger_cut,
    ledger_continued, ledger_rebuilt, document_edited, page_edited, statement_edited,
    statements_swapped, index_edited, finding_removed, gates_passed, finding_removed_rebuilt,
    gates_passed_rebuilt, verdict_rebuilt, label_rebuilt, setting_rebuilt, constitution_rebuilt,
    prompt_rebuilt, weights_rebuilt, decision_rebuilt, whole_examination_rebuilt,
    whole_identity_rebuilt, whole_constitution_rebuilt, costs_rebuilt, dates_rebuilt, signed_anew,
    unsigned,
)  # fmt: skip

WHOLE: frozenset[Way] = frozenset(
    {
        whole_examination_rebuilt, whole_identity_rebuilt, whole_constitution_rebuilt,
        costs_rebuilt, dates_rebuilt, signed_anew, unsigned,
    }
)  # fmt: skip
"""Those that leave a folder whole in itself: nothing but the key, or a head kept elsewhere, can
show them."""


def rebuilt(
    case: Case,
    *,
    edit: Callable[[str, dict[str, Any]], None] = lambda key, payload: None,
    shift: str | None = None,
    signed: bool = True,
    named: bool = False,
) -> None:
    """Make every hash, ledger, statement and document of a folder anew.

    Args:
        case: The folder, with whatever was changed in its records.
        edit: Changes payloads of the run's ledger, by their key.
        shift: Year to move all entries to.
        signed: Whether the tamperer signs with a key of their own.
        named: Whether the folder names that key, or goes on naming the one it was signed with.
    """
    path = case.folder / INDEX
    index = json.loads(path.read_text("utf-8"))
    inner = case.run / "comparison"
    if inner.is_dir():
        _rebuild_ledger(case, inner, edit=_no_edit, shift=shift)
    head = _rebuild_ledger(case, case.run, edit=edit, shift=shift)
    index["runs"][case.run.name] |= {"head": head.hash, "entries": head.entries}
    key = case.key if signed else None
    if named or not signed:
        index["key"] = None if key is None else key.verifying.id
    if key is None:
        (case.folder / "key.pub").unlink(missing_ok=True)
    elif named:
        (case.folder / "key.pub").write_bytes(key.verifying.pem)
    path.write_text(canonical(index) + "\n", "utf-8")
    evidence = Evidence(case.folder, index)
    statements = payloads(evidence)
    for name, value in statements.items():
        wrapped = bundle if name.endswith(".sig") else envelope
        (case.folder / name).write_text(wrapped(payload_bytes(value), key), "utf-8")
    for name, text in described(evidence, statements).items():
        (case.folder / name).write_text(text, "utf-8")
    hashes = {name: file_sha256(case.folder / name) for name in listed_files(case.folder)}
    whole = payload_bytes(folder_statement(hashes, index))
    (case.folder / FOLDER).write_text(envelope(whole, key), "utf-8")


def _rebuild_ledger(
    case: Case,
    folder: Path,
    *,
    edit: Callable[[str, dict[str, Any]], None],
    shift: str | None,
) -> LedgerHead:
    path = folder / "ledger.db"
    rows = _rows(path)
    for row in rows:
        payload = json.loads(str(row["payload"]))
        if shift:
            row["written_at"] = shift + str(row["written_at"])[4:]
        if row["kind"] == "stage":
            place = folder / "stages" / payload["stage"]
            payload["files"] = {
                name: fingerprint((place / name).read_text("utf-8")) for name in payload["files"]
            }
        elif row["key"] == "compare/decisions":
            decisions = json.loads((folder / "decisions.json").read_text("utf-8"))
            payload["decisions"] = fingerprint(decisions)
        elif row["kind"] == "files":
            payload["files"] = {
                name: _hash_now(case, folder, name, old) for name, old in payload["files"].items()
            }
        edit(str(row["key"]), payload)
        row["payload"] = canonical(payload)
    return _reseal(path, rows)


def _hash_now(case: Case, folder: Path, name: str, old: str) -> str:
    if folder == case.run and is_weight(name):
        return file_sha256(case.folder / "weights" / folder.name / name.split("/", 1)[1])
    path = folder / name
    return file_sha256(path) if path.is_file() else old


def _no_edit(key: str, payload: dict[str, Any]) -> None:
    del key, payload


def _new_weights(case: Case) -> Callable[[str, dict[str, Any]], None]:
    place = case.folder / "weights" / case.run.name / "final" / "model.safetensors"

    def edit(key: str, payload: dict[str, Any]) -> None:
        if key == "run/end":
            payload["model"] = {"model.safetensors": file_sha256(place)}

    return edit


def _replace_everywhere(case: Case, hashes: Mapping[str, str]) -> None:
    """One hash for another in every record and ledger, seals of shards made anew."""
    for path in sorted(case.run.rglob("*")):
        if path.suffix not in (".jsonl", ".json", ".yaml") or not path.is_file():
            continue
        text = path.read_text("utf-8")
        new = text
        for old, other in hashes.items():
            new = new.replace(old, other)
        if new != text:
            path.write_text(new, "utf-8")
            if path.suffix == ".jsonl" and '"seal"' in new:
                _seal_anew(path, new.removesuffix("\n").split("\n")[:-1])
    for ledger in case.run.rglob("ledger.db"):
        rows = _rows(ledger)
        for row in rows:
            for old, other in hashes.items():
                row["payload"] = str(row["payload"]).replace(old, other)
        _reseal(ledger, rows)


def _decide_again(case: Case) -> None:
    """The report as the tampered samples give it, then everything anew."""
    from plumbrule.evidence.deriving import _untaught, examined
    from plumbrule.loop.deciding import decided, plain
    from plumbrule.records import to_json

    record = RunRecord(case.run, case.run.name)
    assert record.prompts is not None
    assert record.constitution is not None
    again, _ = decided(
        examined(record),
        prompts=[each for each in record.prompts if each.held_out],
        constitution=record.constitution,
        gates=record.config.gates,
        untaught=_untaught(record),
        command=str(record.report["command"]),
    )

    def anew(report: dict[str, Any], rng: random.Random) -> None:
        report.update(to_json(plain(again)))

    _edit_report(case, anew)
    rebuilt(case)


def _edit_report(case: Case, edit: Callable[[dict[str, Any], random.Random], None]) -> None:
    path = case.run / "report" / "report.json"
    report = json.loads(path.read_text("utf-8"))
    edit(report, case.rng)
    text = json.dumps(report, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, "utf-8")


def _without_finding(report: dict[str, Any], rng: random.Random) -> None:
    del report["findings"][rng.randrange(len(report["findings"]))]


def _all_passed(report: dict[str, Any], rng: random.Random) -> None:
    report["gates_passed"] = not report["gates_passed"]
    for gate in report["gates"]:
        gate["passed"] = report["gates_passed"]


def _edit_row(
    case: Case, pattern: str, edit: Callable[[dict[str, Any], random.Random], None]
) -> None:
    """Change a row of a shard and make its seal anew."""
    path = case.some(pattern)
    lines = path.read_text("utf-8").removesuffix("\n").split("\n")[:-1]
    at = case.rng.randrange(len(lines))
    row = json.loads(lines[at])
    edit(row, case.rng)
    lines[at] = canonical(row)
    _seal_anew(path, lines)


def _seal_anew(path: Path, lines: Sequence[str]) -> None:
    seal_line = canonical({"records": len(lines), "seal": fingerprint(list(lines))})
    path.write_text("".join(line + "\n" for line in [*lines, seal_line]), "utf-8")


def _other_reply(row: dict[str, Any], rng: random.Random) -> None:
    texts = [name for name, value in row.items() if isinstance(value, str)]
    if texts:
        row[rng.choice(texts)] += "x"
    else:
        row["more"] = 1


def _other_verdict(row: dict[str, Any], rng: random.Random) -> None:
    name = rng.choice(sorted(row["verdicts"]))
    row["verdicts"][name] = "pass" if row["verdicts"][name] == "fail" else "fail"


def _other_preference(row: dict[str, Any], rng: random.Random) -> None:
    del rng
    row["probability"] = 0.5 if row["probability"] is None else 1 - row["probability"] / 2


def _ledger(case: Case) -> Path:
    return case.run / "ledger.db"


def _rows(path: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM entries ORDER BY position").fetchall()
    connection.close()
    return [dict(row) for row in found]


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM entries")
        for row in rows:
            names = ", ".join(row)
            places = ", ".join("?" for _ in row)
            connection.execute(
                f"INSERT INTO entries ({names}) VALUES ({places})", tuple(row.values())
            )
    connection.close()


def _reseal(path: Path, rows: Sequence[dict[str, Any]]) -> LedgerHead:
    previous = GENESIS
    for at, row in enumerate(rows, 1):
        made = seal(at, previous, row["key"], row["kind"], row["payload"], row["written_at"])
        row.update(position=at, previous=previous, hash=made.hash)
        previous = str(made.hash)
    _write_rows(path, rows)
    return _write_head(path, rows)


def _write_head(path: Path, rows: Sequence[Mapping[str, Any]]) -> LedgerHead:
    head = LedgerHead(entries=len(rows), hash=str(rows[-1]["hash"]))
    write_ends(path.with_suffix(".head"), Ends(head=head))
    return head


def tampered(folder: Path, way: Way, *, seed: str, key: SigningKey) -> bool:
    """Tamper with a folder; whether anything in it is other than before."""
    before = {name: file_sha256(folder / name) for name in [*listed_files(folder), FOLDER]}
    way(Case(folder, random.Random(seed), key))
    now = {
        name: file_sha256(folder / name)
        for name in [*listed_files(folder), FOLDER]
        if (folder / name).is_file()
    }
    linked = any((folder / name).is_symlink() for name in now)
    return linked or before != now
