"""Plumbrule's side of the comparison."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.serving import Jobs, Work, serve


def opened(folder: Path) -> Jobs:
    """A model of transformers, as Plumbrule reads it."""
    import torch
    from transformers import AutoModelForCausalLM

    from plumbrule.mechanism import (
        PromptPair,
        attention_patterns,
        attribute_edges,
        attribute_pairs,
        capture,
        cells_of,
        edges_of,
        find_sites,
        head_scores,
        logit_difference,
        logit_lens,
        parsed_edges,
        patch,
        run_with,
    )

    module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    sites = find_sites(module)
    made: list[Any] = []

    def graph() -> Any:
        """Made when first needed: most jobs can do without."""
        if not made:
            made.append(edges_of(module, sites))
        return made[0]

    nodes = ["embed", *sites.named("heads"), *sites.named("mlp")]

    def plain(ids: list[int]) -> Work:
        def run() -> torch.Tensor:
            with torch.no_grad():
                return module(input_ids=torch.tensor([ids]), use_cache=False)["logits"]  # type: ignore[no-any-return]

        return Work(run=run, named=lambda found: {"logits": found.numpy()})

    def capturing(names: Sequence[str]) -> Callable[..., Work]:
        def job(ids: list[int]) -> Work:
            return Work(
                run=lambda: capture(module, sites, [ids], names),
                named=lambda found: {name: found.values[name][0].numpy() for name in names},
            )

        return job

    def patching(kind: str) -> Callable[..., Work]:
        def job(clean: list[int], corrupted: list[int], good: int, bad: int) -> Work:
            if kind == "heads":
                cells = cells_of(sites, ["heads"], by_head=True)
            else:
                cells = cells_of(sites, [kind], positions=range(len(clean)))
            metric = logit_difference(good, bad)
            return Work(
                run=lambda: patch(module, sites, clean, corrupted, cells, metric),
                named=lambda found: {kind: found.values.reshape(len(sites.layers), -1)},
            )

        return job

    def attributing(
        clean: list[list[int]], corrupted: list[list[int]], good: int, bad: int
    ) -> Work:
        metric = logit_difference(good, bad)
        pairs = list(zip(clean, corrupted, strict=True))
        return Work(
            run=lambda: attribute_pairs(module, sites, pairs, nodes, metric),
            named=lambda found: {
                name: np.mean([scores[name] for scores in found], axis=0) for name in nodes
            },
        )

    def edges(clean: list[list[int]], corrupted: list[list[int]], good: int, bad: int) -> Work:
        # The other tool takes slopes in the corrupted prompt and moves toward the clean one.
        pairs = [
            PromptPair(clean=tuple(here), corrupted=tuple(there), right=good, wrong=bad)
            for here, there in zip(corrupted, clean, strict=True)
        ]

        def named(found: np.ndarray) -> dict[str, np.ndarray]:
            return {
                str(edge): score for edge, score in zip(graph().edges, found.mean(0), strict=True)
            }

        return Work(
            run=lambda: attribute_edges(module, sites, graph(), pairs, steps=1), named=named
        )

    def patterns(ids: list[int]) -> Work:
        return Work(
            run=lambda: attention_patterns(module, sites, torch.tensor([ids])),
            named=lambda found: {f"{layer}.pattern": value[0] for layer, value in enumerate(found)},
        )

    def scores(rows: list[list[int]], texts: list[str]) -> Work:
        return Work(
            run=lambda: head_scores(
                module, sites, torch.tensor(rows), roles=("previous", "induction")
            ),
            named=dict,
        )

    def lens(ids: list[int]) -> Work:
        return Work(
            run=lambda: logit_lens(module, sites, torch.tensor([ids])),
            named=lambda found: {"lens": found[1:, 0]},
        )

    def one_edges(
        clean: list[int], corrupted: list[int], good: int, bad: int, edges: list[str]
    ) -> Work:
        pair = PromptPair(clean=tuple(clean), corrupted=tuple(corrupted), right=good, wrong=bad)
        sets = [[edge] for edge in parsed_edges(edges)]
        return Work(
            run=lambda: run_with(module, sites, graph(), [pair], sets),
            named=lambda found: dict(zip(edges, found[0], strict=True)),
        )

    return {
        "plain": plain,
        "capture_all": capturing(sites.names),
        "capture_stream": capturing(sites.named("out")),
        "patch_stream": patching("in"),
        "patch_heads": patching("heads"),
        "nodes": attributing,
        "edges": edges,
        "patterns": patterns,
        "head_scores": scores,
        "lens": lens,
        "one_edges": one_edges,
    }


if __name__ == "__main__":
    serve(opened)
