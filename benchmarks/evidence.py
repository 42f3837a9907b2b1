"""Evidence tampered with, timed and shown to others' verifiers: `python -m benchmarks.evidence`.

Parts: `tampering` (1,000 changes to the evidence of a small run, each verified with the key; what
is found without it is counted by kind), `time` (the evidence of a whole village run, verified by
the command in a process without a network) and `peers` (in-toto, securesystemslib, model-signing
and CycloneDX, in the environment that `benchmarks/peers/evidence.sh` makes). Results of single
cases are kept as they come, so that an interrupted benchmark goes on.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.evidence_tampering import WAYS, WHOLE, tampered
from benchmarks.peers.asking import python_of
from benchmarks.rows import Row, show, single, with_earlier
from plumbrule.behavior import CompareSettings
from plumbrule.errors import PlumbruleError
from plumbrule.evidence import SigningKey, export_evidence, read_signing_key, verify_evidence
from plumbrule.lab import village_prompts
from plumbrule.loop import align
from plumbrule.models import Sampling
from plumbrule.recipes import village, village_oracle
from plumbrule.statistics import clopper_pearson
from plumbrule.training import Revising, SupervisedTraining

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".cache" / "evidence"
COUNT = 1000
SECONDS = 60.0
"""What verifying a whole run may take."""

CONFIG = replace(
    village().config,
    name="A small run",
    shard_size=32,
    candidates=3,
    least_margin=0.0,
    teach_anyway=True,
    revising=Revising(rounds=1),
    sampling=Sampling(temperature=0.3, max_new_tokens=32),
    supervised=SupervisedTraining(learning_rate=5e-4, epochs=5, batch_size=16, max_tokens=512),
    comparison=CompareSettings(budget=1500, certificate=32),
)
"""A run of seconds with every kind of record that a whole one has."""


def made_key(name: str) -> Path:
    """A private key of the right kind, made once by OpenSSL, with its public half beside it."""
    private = WORK / f"{name}.key"
    if not private.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]
        subprocess.run([*make, str(private)], check=True)
        public = ["openssl", "ec", "-in", str(private), "-pubout", "-out"]
        subprocess.run(
            [*public, str(private.with_suffix(".pub"))], check=True, stderr=subprocess.DEVNULL
        )
    return private


def small_evidence(key: SigningKey) -> Path:
    """Signed evidence of a small run, the models copied beside it."""
    run, out = WORK / "small", WORK / "small-evidence"
    if not (run / "report" / "report.json").exists():
        prompts = village_prompts(
            tempting=10, honesty=2, deserving=3, examined_tempting=8, examined_deserving=1
        )
        align(CONFIG, prompts=prompts, out=run, oracle=village_oracle)
    shutil.rmtree(out, ignore_errors=True)
    export_evidence([run], out, key=key, weights=True)
    return out


def tampering(*, count: int) -> list[Row]:
    """Tamper, verify with the key, and count what would have been found without it."""
    key, theirs = (read_signing_key(made_key(name)) for name in ("ours", "theirs"))
    folder = small_evidence(key)
    calm = verify_evidence(folder, key=key.verifying)
    kept = WORK / "tampering.jsonl"
    known = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    case = Path(tempfile.mkdtemp()) / "case"
    for number in range(len(known), count):
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(folder, case)
        way = WAYS[number % len(WAYS)]
        changed = tampered(case, way, seed=f"evidence/{number}", key=theirs)
        row = {"way": way.__name__, "changed": changed, **_found(case, key)}
        known.append(row)
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if not row["with_key"]:
            print("NOT FOUND", number, way.__name__, changed, file=sys.stderr, flush=True)
        if number % 50 == 49:
            print(f"tampering: {number + 1} of {count}", file=sys.stderr, flush=True)
    shutil.rmtree(case.parent, ignore_errors=True)
    return _tampering_rows(known[:count], calm_problems=len(calm.problems))


def _found(case: Path, key: SigningKey) -> dict[str, Any]:
    """Whether anything was found with the key, and whether anything that needs none was."""
    try:
        problems: Sequence[str] = verify_evidence(case, key=key.verifying).problems
    except PlumbruleError as error:  # there is no evidence to verify any more: exit code 2
        problems = (str(error),)
    return {
        "with_key": bool(problems),
        "without_key": any(not each.startswith("signature: ") for each in problems),
    }


def _tampering_rows(known: Sequence[dict[str, Any]], *, calm_problems: int) -> list[Row]:
    changed = [each for each in known if each["changed"]]
    whole = {way.__name__ for way in WHOLE}
    with_key = sum(each["with_key"] for each in changed)
    part = [each for each in changed if each["way"] not in whole]
    all_anew = [each for each in changed if each["way"] in whole]
    rows = [
        _share("tampering found with the key", with_key, len(changed), "all"),
        _share("found without it", sum(e["without_key"] for e in changed), len(changed), ""),
        _share(
            "found without it, where a hash or a decision no longer fits",
            sum(each["without_key"] for each in part), len(part), "",
        ),
        _share(
            "found without it, where everything was made anew to fit",
            sum(each["without_key"] for each in all_anew), len(all_anew), "",
        ),
    ]  # fmt: skip
    missed = Counter(each["way"] for each in changed if not each["without_key"])
    tried = Counter(each["way"] for each in changed)
    for name in sorted(missed):
        said = name.replace("_", " ")
        rows.append(_share(f"not found without it: {said}", missed[name], tried[name], ""))
    rows.append(
        single("untouched evidence called tampered with", int(calm_problems > 0), unit="of 1",
               n=1, target="0", met=calm_problems == 0)
    )  # fmt: skip
    return rows


def _share(measure: str, hits: int, count: int, target: str) -> Row:
    if not count:
        return single(measure, hits, unit="of 0", n=0, target=target, met=None)
    found = clopper_pearson(hits, count, unit="share")
    return Row(
        measure=measure, target=target, value=hits, low=found.low * count, high=found.high * count,
        unit=f"of {count}", n=count, met=hits == count if target else None, seeds=(0,),
    )  # fmt: skip


def timing(run: Path) -> list[Row]:
    """Verify the evidence of a whole run by the command, without models or a network."""
    key = made_key("ours")
    out = WORK / "village-evidence"
    if not (run / "report" / "report.json").exists():
        command = [sys.executable, "-m", "plumbrule", "run", "--out", str(run)]
        if subprocess.run(command, check=False).returncode not in (0, 1):
            raise RuntimeError(f"no village run in {run}")
    shutil.rmtree(out, ignore_errors=True)
    export_evidence([run], out, key=read_signing_key(key))
    alone = ["unshare", "--net"] if shutil.which("unshare") and os.geteuid() == 0 else []
    command = [
        *alone, sys.executable, "-m", "plumbrule", "evidence", "verify", str(out),
        "--key", str(key.with_suffix(".pub")),
    ]  # fmt: skip
    walls, busies, code = [], [], 0
    for _ in range(3):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        walls.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busies.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        code = max(code, done.returncode)
    print(done.stdout, done.stderr[-2000:], file=sys.stderr)
    files = [path for path in out.rglob("*") if path.is_file()]
    wall, busy = sorted(walls), sorted(busies)
    return [
        Row(measure="`evidence verify` of a whole village run", target=f"<= {SECONDS:g} s",
            value=wall[1], low=wall[0], high=wall[2], unit="s", n=3, seeds=(0,),
            met=wall[2] <= SECONDS and code == 0),
        Row(measure="the same, processor time", target="", value=busy[1], low=busy[0],
            high=busy[2], unit="s", n=3, seeds=(0,), met=None),
        single("exit code of the three" + (", without a network" if alone else ""), code,
               unit="", n=3, target="0", met=code == 0),
        single("files of that evidence", len(files), unit="files", n=1),
        single("size of that evidence", sum(path.stat().st_size for path in files) / 2**20,
               unit="MiB", n=1),
    ]  # fmt: skip


def peers() -> list[Row]:
    """What other projects' verifiers say of the evidence, and of a changed copy."""
    python = python_of("evidence")
    if python is None:
        print("left out: peers; benchmarks/peers/evidence.sh makes them", file=sys.stderr)
        return []
    key = made_key("ours")
    folder = small_evidence(read_signing_key(key))
    changed = WORK / "changed"
    shutil.rmtree(changed, ignore_errors=True)
    shutil.copytree(folder, changed)
    _change_all(changed)
    taken, refused = (_asked(python, each, key.with_suffix(".pub")) for each in (folder, changed))
    rows = []
    for peer in sorted(taken):
        rows += [
            _share(f"accepted by {peer}", taken[peer].count(None), len(taken[peer]), "all"),
            _share(
                f"changed and refused by {peer}",
                len(refused[peer]) - refused[peer].count(None), len(refused[peer]), "all",
            ),
        ]  # fmt: skip
    return [*rows, *_card(folder)]


def _asked(python: Path, folder: Path, key: Path) -> dict[str, list[str | None]]:
    """Errors by peer, None where a file was accepted."""
    command = [str(python), str(ROOT / "benchmarks" / "peers" / "evidence_side.py")]
    done = subprocess.run(
        [*command, str(folder), str(key)], capture_output=True, text=True, check=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    found: dict[str, list[str | None]] = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        found.setdefault(row["peer"], []).append(row["error"])
        if row["error"]:
            print(row, file=sys.stderr)
    return found


def _change_all(folder: Path) -> None:
    """Change everything that a peer looks at: statements, weights, bills."""
    import base64

    for path in [*folder.glob("statements/*"), folder / "folder.dsse.json"]:
        value = json.loads(path.read_text("utf-8"))
        payload = json.loads(base64.b64decode(value["payload"]))
        payload["subject"] = []
        value["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
        path.write_text(json.dumps(value), "utf-8")
    for number, path in enumerate(sorted(folder.glob("weights/*/*/model.safetensors"))):
        if number % 2:
            (path.parent / "more.txt").write_text("another file", "utf-8")
        else:
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
    for path in folder.glob("documents/*/bom.cdx.json"):
        bill = json.loads(path.read_text("utf-8"))
        del bill["metadata"]["component"]["type"]
        path.write_text(json.dumps(bill), "utf-8")


def _card(folder: Path) -> list[Row]:
    """The model card's metadata, read by huggingface_hub; its own check asks a server."""
    from huggingface_hub import ModelCard, ModelCardData

    cards = sorted(folder.glob("documents/*/README.md"))
    read = 0
    for path in cards:
        data = ModelCard(path.read_text("utf-8")).data
        assert isinstance(data, ModelCardData)
        read += bool(data.eval_results) and data.library_name == "transformers"
    return [_share("model cards read by huggingface_hub with their results", read, len(cards),
                   "all")]  # fmt: skip


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "tampering": lambda asked: tampering(count=78 if asked.quick else COUNT),
    "time": lambda asked: timing(asked.village),
    "peers": lambda asked: peers(),
}


def main() -> None:
    """Measure the parts that were asked for, and print them among the earlier ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each way of tampering twice")
    parser.add_argument("--part", choices=sorted(PARTS), action="append")
    parser.add_argument("--village", type=Path, default=WORK / "village", help="a finished run")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    for name in asked.part or PARTS:
        rows = PARTS[name](asked)
        if asked.json:
            rows = with_earlier(rows, asked.json)
        show("Evidence", rows, asked.json)


if __name__ == "__main__":
    main()
