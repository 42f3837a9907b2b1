"""Capture and patching on real weights against TransformerLens: `-m benchmarks.real_speed_inside`.

The same weights, prompts and cells on every side, each in a process of its own with one thread,
asked in turn. Before anything is timed both sides' numbers are held against each other: streams,
what halves and heads write, attention patterns, the logit lens, scores of the sweeps, and single
edges. A side whose environment was not made (`benchmarks/peers/*.sh`) is named and left out.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.peers.asking import Peer, PeerError, python_of
from benchmarks.real_ground import model_path, why_absent
from benchmarks.rows import Row, show, single, spread, with_earlier

Clock = Literal["wall", "cpu"]

PEERS = {
    "TransformerBridge": ("transformer_lens", "benchmarks.peers.bridge"),
    "HookedTransformer": ("hooked_transformer", "benchmarks.peers.hooked"),
}
"""By side, its environment and its program."""

CLEAN = "When Mary and John went to the store, John gave the drink to"
CORRUPTED = "When Mary and John went to the store, Mary gave the drink to"
ANSWERS = (" Mary", " John")

EDGES = ("2.heads.1 -> 11.mlp.in", "1.heads.2 -> 16.q.0", "16.heads.0 -> 18.q.6")
"""Single edges that are patched on both sides; the last is from a previous-token head to an
induction head."""

SAME = 1e-4
"""Largest difference, as a share of the span of the numbers, that counts as rounding of 30 layers
in single precision."""

KINDS = {
    "residual stream": ("embed", "in", "out"),
    "what attention adds": ("attn",),
    "what MLPs add": ("mlp",),
    "head outputs": ("heads",),
    "attention patterns": ("pattern",),
}
"""What is compared, by the last part of a site's name."""

SWEEPS = (
    ("capture, all our sites against the full cache", "capture_all", "capture_all", 1.4),
    ("capture, the stream behind each layer", "capture_stream", "capture_stream", 1.4),
    ("patching sweep, stream, layers x positions", "patch_stream", "patch_stream", 4.0),
    ("patching sweep, all heads", "patch_heads", "patch_heads", 4.0),
)
"""Measure, our job, theirs, and how many times faster ours must be."""


@contextmanager
def linked(name: str) -> Iterator[Path]:
    """A folder with a real model's files, in which sides may write their logs."""
    with tempfile.TemporaryDirectory() as place:
        for path in model_path(name).iterdir():
            (Path(place) / path.name).symlink_to(path)
        yield Path(place)


def given(name: str) -> dict[str, Any]:
    """The two prompts as a model reads them, and the answers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path(name))
    clean, corrupted = (tokenizer(text)["input_ids"] for text in (CLEAN, CORRUPTED))
    good, bad = (tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in ANSWERS)
    return {"clean": clean, "corrupted": corrupted, "good": good, "bad": bad}


def inside_rows(
    quick: bool, *, name: str = "smollm2", clock: Clock = "cpu", scores_alone: bool = False
) -> list[Row]:
    """How many times faster ours is, and how far both sides' numbers differ.

    Args:
        quick: One repetition, and no sweep over the stream.
        name: The real model.
        clock: Seconds of the processor, or seconds passed.
        scores_alone: Only where heads look.

    Returns:
        Rows; none where the model is absent, which is printed.
    """
    reason = why_absent(name)
    if reason:
        print(reason)
        return []
    found: list[Row] = []
    asked = given(name)
    with linked(name) as folder:
        for label, (environment, program) in PEERS.items():
            python, own = python_of(environment), python_of("ours")
            if python is None or own is None:
                print(f"{label} is left out: run benchmarks/peers/{environment}.sh")
                continue
            try:
                with (
                    Peer("benchmarks.peers.ours", python=own, folder=folder, threads=1) as ours,
                    Peer(program, python=python, folder=folder, threads=1) as theirs,
                ):
                    found += score_rows(
                        ours, theirs, folder, name, f"{name}, {label}", quick=quick, clock=clock
                    )
                    if scores_alone:
                        continue
                    found += agreements(ours, theirs, folder, asked, f"{name}, {label}")
                    found += speeds(
                        ours, theirs, asked, f"{name}, {label}", quick=quick, clock=clock
                    )
            except PeerError as error:
                print(f"{name}, {label} is left out: {str(error)[-600:]}")
    return found


def agreements(
    ours: Peer, theirs: Peer, folder: Path, asked: Mapping[str, Any], label: str
) -> list[Row]:
    """How far the numbers of both sides differ."""
    ids = {"ids": asked["clean"]}
    both: list[dict[str, np.ndarray]] = []
    for side, capture in ((ours, "capture_all"), (theirs, "capture_same")):
        values = side.values(capture, folder, **ids)
        both.append(values | side.values("patterns", folder, **ids))
    table = [
        _difference(f"{what}, {label}", *(_of_kinds(each, kinds) for each in both))
        for what, kinds in KINDS.items()
    ]
    for what, job, arguments in (
        ("logits", "plain", ids),
        ("logit lens, log-probabilities", "lens", ids),
        ("scores of patching, heads", "patch_heads", dict(asked)),
        ("path patching of single edges", "one_edges", {**asked, "edges": list(EDGES)}),
    ):
        if job not in theirs.jobs:
            continue
        mine, other = (side.values(job, folder, **arguments) for side in (ours, theirs))
        table.append(_difference(f"{what}, {label}", mine, other))
    return table


def _of_kinds(values: Mapping[str, np.ndarray], kinds: Sequence[str]) -> dict[str, np.ndarray]:
    return {name: value for name, value in values.items() if name.rpartition(".")[2] in kinds}


def _difference(
    measure: str, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> Row:
    """The largest difference over everything that both have."""
    names = [name for name in ours if name in theirs]
    if not names:
        raise PeerError(f"{measure}: nothing in common")
    apart = [float(np.abs(ours[name] - theirs[name]).max()) for name in names]
    spans = [float(np.ptp(ours[name])) or 1.0 for name in names]
    if len(spans) > 1 and all(np.ndim(ours[name]) == 0 for name in names):
        spans = [max(float(np.abs(ours[name])) for name in names)] * len(names)
    share = max(one / span for one, span in zip(apart, spans, strict=True))
    print(f"{measure}: {max(apart):.3g} apart, {share:.2g} of the span", flush=True)
    return single(
        f"largest difference: {measure}",
        max(apart),
        unit=f"of numbers that span up to {max(spans):.4g}; {share:.2g} of its own span at most",
        n=sum(int(np.size(ours[name])) for name in names),
        target=f"<= {SAME} of the span",
        met=share <= SAME,
    )


def speeds(
    ours: Peer, theirs: Peer, asked: Mapping[str, Any], label: str, *, quick: bool, clock: Clock
) -> list[Row]:
    """How many times faster ours is, in turn."""
    table = []
    for measure, mine, other, bound in SWEEPS:
        if quick and mine == "patch_stream":
            continue
        capture = mine.startswith("capture")
        arguments = {"ids": asked["clean"]} if capture else dict(asked)
        times = 3 if capture else 1
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(1 if quick else 5):
            order = [("ours", ours, mine), ("theirs", theirs, other)]
            for side, peer, job in order if turn % 2 == 0 else reversed(order):
                seconds[side].append(peer.ask(job, times=times, **arguments)[clock])
        ratios = [there / here for here, there in zip(*seconds.values(), strict=True)]
        own, their = (1e3 * statistics.median(each) for each in seconds.values())
        print(f"{measure}, {label}: {own:.4g} ms against {their:.4g} ms ({clock})", flush=True)
        table.append(
            spread(
                f"{measure}, {label}",
                ratios,
                unit=f"times faster; ours {own:.4g} ms, theirs {their:.4g} ms ({clock})",
                seeds=[0],
                target=f">= {bound}x",
                met=lambda value, bound=bound: value >= bound,  # type: ignore[misc]
            )
        )
    return table


def repeated_texts(name: str, *, texts: int = 16, words: int = 20) -> dict[str, Any]:
    """Random words, each text twice in a row, as both sides read them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path(name))
    known = [
        token
        for token in range(len(tokenizer))
        if (text := tokenizer.decode([token])).startswith(" ") and text[1:].isalpha()
    ]
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"rows": [], "texts": []}
    while len(found["texts"]) < texts:
        half = [int(each) for each in rng.choice(known, size=words, replace=False)]
        text = tokenizer.decode(half + half)
        # The other tool puts the mark of a beginning before every text where there is one.
        start = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
        if tokenizer(text, add_special_tokens=False)["input_ids"] == half + half:
            found["rows"].append([*start, *half, *half])
            found["texts"].append(text)
    return found


def score_rows(
    ours: Peer, theirs: Peer, folder: Path, name: str, label: str, *, quick: bool, clock: Clock
) -> list[Row]:
    """Where every head looks, by role: how far both sides' scores differ, and the time."""
    asked = repeated_texts(name)
    mine = ours.values("head_scores", folder, **asked)
    table = []
    for job, what in (("head_scores", "`detect_head`"), ("filtered_scores", "patterns alone")):
        other = theirs.values(job, folder, **asked)
        apart = max(float(np.abs(mine[role] - other[role]).max()) for role in mine)
        table.append(
            single(
                f"largest difference: previous and induction scores of all heads, {what}, {label}",
                apart,
                unit="share of attention",
                n=sum(value.size for value in mine.values()),
                target="<= 1e-4",
                met=apart <= 1e-4,
            )
        )
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(1 if quick else 5):
            order = [("ours", ours, "head_scores"), ("theirs", theirs, job)]
            for side, peer, each in order if turn % 2 == 0 else reversed(order):
                seconds[side].append(peer.ask(each, **asked)[clock])
        ratios = [there / here for here, there in zip(*seconds.values(), strict=True)]
        own, their = (1e3 * statistics.median(each) for each in seconds.values())
        table.append(
            spread(
                f"previous and induction scores of all heads, {what}, {label}",
                ratios,
                unit=f"times faster; ours {own:.4g} ms, theirs {their:.4g} ms ({clock})",
                seeds=[0],
                target=">= 2x",
                met=lambda value: value >= 2,
            )
        )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scores", action="store_true", help="only where heads look")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="cpu")
    chosen = parser.parse_args(arguments)
    found = inside_rows(
        chosen.quick, name=chosen.model, clock=chosen.clock, scores_alone=chosen.scores
    )
    found = with_earlier(found, chosen.json) if chosen.scores else found
    show("Looking inside real models, against TransformerLens", found, chosen.json)


if __name__ == "__main__":
    main()
