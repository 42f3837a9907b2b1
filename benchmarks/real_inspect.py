"""`inspect` on real models, what runs and what it finds: `python -m benchmarks.real_inspect`.

Every verb on three models, in a process of its own; the circuits of indirect objects and of copying
on two of them, held against roles of heads that were found otherwise and against taking heads out;
and batches against single texts. What was measured is kept in `.cache/real_inspect`, part by part,
so that a second call goes on where the first stopped. Numbers and speed of TransformerLens are held
against ours by `benchmarks.real_speed`.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_ground import model_path, why_absent
from benchmarks.rows import Row, show, single, with_earlier
from benchmarks.tables import fill, markdown

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".cache" / "real_inspect"
RESULTS = ROOT / "benchmarks" / "results" / "real_inspect.json"

TEXT = "When Mary and John went to the store, John gave a drink to"
PROMPTS = ("The cat sat on the mat.", "Who wrote the letter?", "Two and two make", TEXT)

VERBS: dict[str, tuple[str, ...]] = {
    "sites": ("sites", "{model}"),
    "heads": ("heads", "{model}"),
    "lens": ("lens", "{model}", TEXT, "--raw"),
    "neurons": ("neurons", "{model}", "--layer", "5", "--prompts", "{prompts}"),
    "weights, one layer": (
        "weights",
        "{model}",
        *(f"--name=5.heads.{head} OV" for head in range(4)),
    ),
}
"""Verbs, run as a user would; `weights` over all layers takes minutes and is timed apart."""

MODELS = ("smollm2", "gemma3", "qwen2")
TASKS = ("indirect-object", "copying")
CIRCUITS = tuple((model, task) for model in ("smollm2", "gemma3") for task in TASKS)

PARTS = ("verbs", "batches", "circuits")

FRESH, DRAWS = 24, 10
"""Pairs that no search has seen, on which heads are taken out, and draws of other heads."""


def part(name: str, made: Callable[[], list[Row]], *, kept: bool = False) -> list[Row]:
    """Rows of a part, measured once.

    Args:
        name: Of the part.
        made: Measures them.
        kept: Measure nothing: of a part that was not measured there are no rows.
    """
    path = KEPT / f"{name}.json"
    if path.is_file():
        return [Row(**row) for row in json.loads(path.read_text("utf-8"))]
    if kept:
        return []
    print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
    found = made()
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n", "utf-8")
    return found


def ran(arguments: Sequence[str], log: Path) -> tuple[int, float, float, float]:
    """Run plumbrule on one thread: exit code, seconds, seconds of processor, peak GB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "160"}
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("w") as out:
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", "from plumbrule.cli.app import main; main()", *arguments],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, out.fileno(), 2),
            ],
        )
        _, status, used = os.wait4(process, 0)
    return (
        os.waitstatus_to_exitcode(status),
        time.perf_counter() - started,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1e6,
    )


def verb_rows(model: str, verb: str) -> list[Row]:
    """One verb on one model: whether it runs, and its cost."""
    with tempfile.TemporaryDirectory() as place:
        prompts = Path(place) / "prompts.jsonl"
        lines = "".join(json.dumps({"prompt": text}) + "\n" for text in PROMPTS)
        prompts.write_text(lines, "utf-8")
        filled = [each.format(model=model_path(model), prompts=prompts) for each in VERBS[verb]]
        code, wall, cpu, peak = ran(["inspect", *filled], KEPT / f"{model} {verb}.log")
    return [
        single(
            f"inspect {verb}, {model}",
            cpu,
            unit=f"s of processor; {wall:.0f} s passed, peak {peak:.2f} GB, exit code {code}",
            n=1,
            target="runs",
            met=code == 0,
        )
    ]


def circuit_folder(model: str, task: str) -> Path:
    """Where a circuit is kept."""
    return KEPT / f"{model}-{task}"


def circuit_rows(model: str, task: str) -> list[Row]:
    """Find one circuit as a user would."""
    out = circuit_folder(model, task)
    out.mkdir(parents=True, exist_ok=True)
    arguments = ["inspect", "circuit", str(model_path(model)), "--task", task, "--out", str(out)]
    code, wall, cpu, peak = ran(arguments, KEPT / f"{model} {task}.log")
    label = f"{task}, {model}"
    cost = single(
        f"inspect circuit, {label}",
        cpu,
        unit=f"s of processor; {wall:.0f} s passed, peak {peak:.2f} GB, exit code {code}",
        n=1,
        target="runs",
        met=code == 0,
    )
    return [cost, *(_found_rows(label, out) if code == 0 else [])]


def _found_rows(label: str, out: Path) -> list[Row]:
    """What a circuit came to."""
    record = json.loads((out / "circuit.json").read_text("utf-8"))
    found = record["circuit"]
    held = found["held_out"]
    confirmed = [each for each in found["claims"] if each["confirmed"]]
    rows = [
        single(
            f"right answer ahead on {kind} prompts, {label}"
            if kind == "clean"
            else f"right answer behind on corrupted prompts, {label}",
            record["right_answers"][kind],
            unit="of prompts",
            n=found["searched"] + held,
        )
        for kind in ("clean", "corrupted")
    ]
    rows.append(
        single(
            f"edges claimed at 5%, {label}",
            len(confirmed),
            unit=f"of {found['scanned']}; {len(found['claims'])} patched, {len(found['edges'])} "
            "kept",
            n=held,
        )
    )
    if found["interval"]:
        value = found["interval"]
        rows.append(
            Row(
                measure=f"faithfulness of the edges kept, {label}",
                target="",
                value=value["value"],
                low=value["low"],
                high=value["high"],
                unit=f"share; {found['faithfulness_of_claims']:.3g} with all that are claimed",
                n=held,
                met=None,
                seeds=[record["seed"]],
            )
        )
    return rows


def heads_of(record: dict[str, Any]) -> list[tuple[int, int]]:
    """Heads at either end of the edges claimed: those that write, and queries that read."""
    names = [
        text
        for each in record["circuit"]["claims"]
        if each["confirmed"]
        for text in (each["edge"]["writer"], each["edge"]["reader"])
    ]
    found = (re.fullmatch(r"(\d+)\.(?:heads|q)\.(\d+)", name) for name in names)
    return sorted({(int(each[1]), int(each[2])) for each in found if each})


def check_rows(model: str, task: str) -> list[Row]:
    """The heads of a circuit against known roles, and against other heads when taken out."""
    from plumbrule.mechanism import find_heads
    from plumbrule.mechanism.opening import open_with_sites

    path = circuit_folder(model, task) / "circuit.json"
    if not path.is_file():
        return []
    record = json.loads(path.read_text("utf-8"))
    heads = heads_of(record)
    if not heads:
        return []
    handle, sites = open_with_sites(str(model_path(model)), device="cpu", dtype="float32")
    label = f"{task}, {model}"
    rows = []
    if task == "copying":
        roles = find_heads(handle.module, sites, seed=0)
        for role in ("induction", "previous"):
            known = [(one.layer, one.head) for one in roles if one.confirmed and one.role == role][
                :5
            ]
            both = [f"{layer}.{head}" for layer, head in known if (layer, head) in heads]
            rows.append(
                single(
                    f"of the five strongest {role} heads in the circuit, {label}",
                    len(both),
                    unit=f"heads; {', '.join(both) or 'none'} of "
                    + ", ".join(f"{layer}.{head}" for layer, head in known),
                    n=len(known),
                )
            )
    return rows + _taken_out(handle, sites, heads, record, label)


def _taken_out(
    handle: Any, sites: Any, heads: list[tuple[int, int]], record: dict[str, Any], label: str
) -> list[Row]:
    """How much of the answer is left without the circuit's heads, and without as many others."""
    from plumbrule.mechanism.circuits.text_pairs import given_pairs

    task = record["task"]
    asked = given_pairs(handle, pairs=None, task=task, count=64 + FRESH, chat=False)
    pairs = asked.pairs[64:]
    whole = difference_without(handle.module, sites, pairs, [])
    left = difference_without(handle.module, sites, pairs, heads) / whole
    rng = np.random.default_rng(0)
    others = []
    for _ in range(DRAWS):
        drawn = []
        for layer in sorted({layer for layer, _ in heads}):
            mine = [head for at, head in heads if at == layer]
            rest = [at for at in range(sites[f"{layer}.heads"].heads) if at not in mine]
            chosen = rng.permutation(rest)[: len(mine)]
            drawn += [(layer, int(head)) for head in chosen]
        others.append(difference_without(handle.module, sites, pairs, drawn) / whole)
    lowest = min(others)
    return [
        single(
            f"answer left without the circuit's {len(heads)} heads, {label}",
            left,
            unit=f"of {whole:.3g} logits; heads "
            + ", ".join(f"{layer}.{head}" for layer, head in heads),
            n=len(pairs),
            target="below any draw of others",
            met=left < lowest,
        ),
        Row(
            measure=f"answer left without as many others of the same layers, {label}",
            target="",
            value=float(np.median(others)),
            low=lowest,
            high=max(others),
            unit="of the same",
            n=DRAWS,
            met=None,
            seeds=[0],
        ),
    ]


def difference_without(
    module: Any, sites: Any, pairs: Sequence[Any], heads: Sequence[tuple[int, int]]
) -> float:
    """How far the answer is ahead where some heads cannot tell the two prompts apart.

    Args:
        module: The model.
        sites: Its sites.
        pairs: Prompts.
        heads: Layers and heads that give the mean of what they give on both prompts.
    """
    import torch

    from plumbrule.mechanism import answer_difference, watching
    from plumbrule.mechanism.capturing import read
    from plumbrule.mechanism.hooks import last_logits

    names = sorted({f"{layer}.heads" for layer, _ in heads})
    total = 0.0
    for pair in pairs:
        clean, corrupted = (torch.tensor([list(each)]) for each in (pair.clean, pair.corrupted))
        looks = {}
        if names:
            here, there = (
                read(module, [sites[name] for name in names], ids) for ids in (clean, corrupted)
            )
            for name in names:
                looks[sites[name]] = _mean_of(name, heads, sites, here[name], there[name])
        with torch.no_grad(), watching(module, looks):
            logits = last_logits(module, clean)
        total += float(answer_difference(logits, [pair])[0])
    return total / len(pairs)


def _mean_of(
    name: str, heads: Sequence[tuple[int, int]], sites: Any, here: Any, there: Any
) -> Callable[[Any], Any]:
    """Exchanges the numbers of some heads of a layer."""

    def look(value: Any) -> Any:
        new, width = value.clone(), value.shape[-1] // sites[name].heads
        for layer, head in heads:
            if f"{layer}.heads" == name:
                own = slice(head * width, (head + 1) * width)
                new[..., own] = (here[..., own] + there[..., own]) / 2
        return new

    return look


def batch_rows(model: str) -> list[Row]:
    """Texts of different lengths in one batch against each alone."""
    from plumbrule.mechanism import capture
    from plumbrule.mechanism.opening import open_with_sites
    from plumbrule.mechanism.texts import text_tokens

    handle, sites = open_with_sites(str(model_path(model)), device="cpu", dtype="float32")
    rows = [text_tokens(handle, text) for text in PROMPTS]
    names = [name for name in sites.names if name != "final"]
    together = capture(handle.module, sites, rows, names)
    shares = []
    for at, row in enumerate(rows):
        alone = capture(handle.module, sites, [row], names)
        for name in names:
            one, other = together.values[name][at], alone.values[name][0]
            shares.append(float((one - other).abs().max() / other.abs().max()))
    return [
        single(
            f"batched against alone, all sites, {model}",
            max(shares),
            unit="of the largest number at a site",
            n=len(shares),
            target="<= 1e-4",
            met=max(shares) <= 1e-4,
        )
    ]


def rows(*, quick: bool, kept: bool = False, only: Sequence[str] = PARTS) -> list[Row]:
    """Everything that can be measured here.

    Args:
        quick: SmolLM2's cheap verbs and its batches alone.
        kept: What was measured before alone.
        only: Of `PARTS`.
    """
    found: list[Row] = []
    measured = partial(part, kept=kept)
    for model in MODELS[:1] if quick else MODELS:
        reason = why_absent(model)
        if reason:
            print(reason)
            continue
        if "verbs" in only:
            for verb in ("sites", "lens") if quick else VERBS:
                found += measured(f"verb {model} {verb}", lambda m=model, v=verb: verb_rows(m, v))  # type: ignore[misc]
        if "batches" in only:
            found += measured(f"batch {model}", lambda m=model: batch_rows(m))  # type: ignore[misc]
    if quick or "circuits" not in only:
        return found
    for model, task in CIRCUITS:
        if why_absent(model) is None:
            found += measured(f"circuit {model} {task}", lambda m=model, t=task: circuit_rows(m, t))  # type: ignore[misc]
            found += measured(f"check {model} {task}", lambda m=model, t=task: check_rows(m, t))  # type: ignore[misc]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kept", action="store_true", help="print what was measured, no more")
    parser.add_argument("--part", action="append", choices=PARTS, help="these alone")
    chosen = parser.parse_args(arguments)
    found = rows(quick=chosen.quick, kept=chosen.kept, only=chosen.part or PARTS)
    found = with_earlier(found, chosen.json) if chosen.part else found
    show("Inside real models", found, None if chosen.quick else chosen.json)
    if not chosen.quick and chosen.json == RESULTS:
        tables = {"real_inspect": True, "real_inspect_details": False}
        fill(
            ROOT / "docs" / "mechanism.md",
            {name: markdown("real_inspect", targets=judged) for name, judged in tables.items()},
        )


if __name__ == "__main__":
    main()
