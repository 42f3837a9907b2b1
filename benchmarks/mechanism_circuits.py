"""What the inside of models is read with, measured: `python -m benchmarks.mechanism_circuits`.

Parts so far: `classes` (every causal language model class that transformers can build: does what is
captured equal the model's own hidden states?), `capture` (its time over a plain forward pass),
`attribution` (how well it orders what full patching measures).
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, show, single
from benchmarks.tiny_models import build, class_names

TARGET_CLASSES = 160


def class_rows() -> list[Row]:
    """Classes whose captured activations equal the model's own; the others by name."""
    import torch

    from plumbrule.errors import ModelError
    from plumbrule.mechanism import capture, find_sites

    exact, refused, unbuilt, wrong = [], [], [], []
    whole = 0
    for name in class_names():
        tiny = build(name)
        if tiny.module is None:
            unbuilt.append(f"{name}: {tiny.reason}")
            continue
        try:
            sites = find_sites(tiny.module)
        except ModelError as error:
            refused.append(str(error))
            continue
        rows = [[10, 13, 16, 19, 22], [31, 34, 37, 40, 43]]
        names = [f"{number}.in" for number in range(len(sites.layers))]
        found = capture(tiny.module, sites, rows, [*names, *sites.named("out")])
        with torch.no_grad():
            own = tiny.module(
                input_ids=torch.tensor(rows), use_cache=False, output_hidden_states=True
            ).get("hidden_states")
        if own is not None and not all(
            _among(own[number], (found.stacked(f"{number}.in"), found.stacked(f"{number}.out")))
            for number in range(len(names))
        ):
            wrong.append(name)
            continue
        exact.append(name)
        whole += all(len(sites.named(kind)) == len(names) for kind in ("attn", "heads", "mlp"))
    for title, each in (("refused", refused), ("not built", unbuilt), ("WRONG", wrong)):
        for line in each:
            print(f"{title}: {line}"[:180].replace("\n", " "))
    total = len(class_names())
    return [
        single(
            "classes whose captured activations equal the model's own, difference 0",
            len(exact),
            unit=f"classes of {total}; {len(refused)} refused, {len(unbuilt)} not built",
            n=total,
            target=f">= {TARGET_CLASSES}",
            met=len(exact) >= TARGET_CLASSES and not wrong,
        ),
        single(
            "of them with attention, heads and MLP in every layer", whole, unit="classes", n=total
        ),
        single(
            "classes read wrongly", len(wrong), unit="classes", n=total, target="0", met=not wrong
        ),
    ]


def _among(value: Any, captured: Sequence[Any]) -> bool:
    import torch

    return any(torch.equal(value, each) for each in captured)


REPEATS = 30


def capture_rows() -> list[Row]:
    """Capture of all residual sites over a plain forward pass, on a Llama of 8 layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from plumbrule.mechanism import find_sites
    from plumbrule.mechanism.capturing import read

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        vocab_size=4096,
        max_position_embeddings=128,
    )
    module = LlamaForCausalLM(config).eval()
    sites = find_sites(module)
    ids = torch.arange(16)[None]
    residuals = [sites[name] for name in (*sites.named("out"), "final")]
    early = [sites["3.out"]]

    def plain() -> None:
        with torch.no_grad():
            module(input_ids=ids, use_cache=False)

    table = []
    for label, wanted, target in (
        ("8 residual sites and the final one", residuals, 1.05),
        ("one site at layer 4, early stop", early, None),
    ):
        ratios = [
            _seconds(lambda wanted=wanted: read(module, wanted, ids)) / _seconds(plain)  # type: ignore[misc]
            for _ in range(5)
        ]
        middle = statistics.median(ratios)
        table.append(
            Row(
                measure=f"capture time over a plain forward pass: {label}",
                target=f"<= {target}x" if target else "",
                value=middle,
                low=min(ratios),
                high=max(ratios),
                unit="ratio",
                n=len(ratios),
                met=middle <= target if target else None,
                seeds=[0],
            )
        )
    return table


def _seconds(work: Callable[[], Any]) -> float:
    """Least seconds of some repetitions: what disturbs only adds."""
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


FAMILIES = (
    "LlamaForCausalLM",
    "GPT2LMHeadModel",
    "GPTNeoXForCausalLM",
    "Qwen3ForCausalLM",
    "Gemma2ForCausalLM",
    "Olmo2ForCausalLM",
    "GraniteForCausalLM",
    "MixtralForCausalLM",
)
CLEAN, CORRUPTED = [5, 9, 12, 7, 30, 44], [5, 9, 80, 7, 30, 44]


def attribution_rows() -> list[Row]:
    """How well attribution orders what full patching measures, on tiny random models."""
    from plumbrule.mechanism import (
        PromptPair,
        attribute,
        attribute_edges,
        cells_of,
        edges_of,
        find_sites,
        logit_difference,
        patch,
        patch_edges,
    )

    table, metric = [], logit_difference(17, 23)
    for name in FAMILIES:
        module = build(name).module
        sites = find_sites(module)
        cells = cells_of(sites, ["attn", "mlp", "out"], positions=range(2, 6))
        full = patch(module, sites, CLEAN, CORRUPTED, cells, metric)
        names = list(dict.fromkeys(cell.site for cell in cells))
        found = attribute(module, sites, CLEAN, CORRUPTED, names, metric, steps=5)
        estimated = [float(found[cell.site][cell.position or 0, 0]) for cell in cells]
        moved = (full.values - full.corrupted).tolist()
        table += _agreement(f"attribution against full patching, {name}", estimated, moved, "cells")
        pair = PromptPair(clean=tuple(CLEAN), corrupted=tuple(CORRUPTED), right=17, wrong=23)
        graph = edges_of(module, sites)
        guessed = attribute_edges(module, sites, graph, [pair], steps=5)[0].tolist()
        exact = patch_edges(module, sites, graph, [pair], graph.edges)[0].tolist()
        table += _agreement(
            f"edge attribution against path patching, {name}", guessed, exact, "edges"
        )
    return table


def _agreement(measure: str, one: Sequence[float], other: Sequence[float], of: str) -> list[Row]:
    """Whether two measurements order things alike, and whether they are on one line."""
    from scipy.stats import pearsonr, spearmanr

    return [
        single(
            f"{measure}: {label}",
            float(statistic(one, other).statistic),
            unit=f"over {of}",
            n=len(one),
        )
        for label, statistic in (("rank correlation", spearmanr), ("correlation", pearsonr))
    ]


def main() -> None:
    """Run the parts asked for and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", action="append", choices=("classes", "capture", "attribution"))
    given = parser.parse_args()
    parts = given.part or ["classes", "capture", "attribution"]
    rows: list[Row] = []
    if "classes" in parts:
        rows += class_rows()
    if "capture" in parts:
        rows += capture_rows()
    if "attribution" in parts:
        rows += attribution_rows()
    show("Inside models", rows, given.json)


if __name__ == "__main__":
    main()
