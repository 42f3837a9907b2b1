"""`TransformerBridge` of TransformerLens 4: what its authors recommend now."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.lens import jobs_of
from benchmarks.peers.serving import Jobs, Work, serve


def opened(folder: Path) -> Jobs:
    """A model of transformers behind a bridge, weights as they are."""
    import torch
    from transformer_lens.model_bridge import (  # type: ignore[import-not-found]
        TransformerBridge,
    )
    from transformer_lens.tools.analysis.attribution_patching import (  # type: ignore[import-not-found]
        EdgeAttributionConfig,
        attribution_patch,
    )

    model = TransformerBridge.boot_transformers(str(folder), device="cpu")
    model.eval()

    def attributing(granularity: str) -> Any:
        def job(clean: list[list[int]], corrupted: list[list[int]], good: int, bad: int) -> Work:
            def metric(logits: Any) -> Any:
                return logits[0, -1, good] - logits[0, -1, bad]

            config = EdgeAttributionConfig(granularity=granularity)
            pair = torch.tensor(clean), torch.tensor(corrupted)
            shown = by_node if granularity == "node" else by_edge
            return Work(run=lambda: attribution_patch(model, *pair, metric, config), named=shown)

        return job

    return {**jobs_of(model, attributing("node")), "edges": attributing("edge")}


def by_node(found: Any) -> dict[str, np.ndarray]:
    """Scores by site: (T, H)."""
    scores: dict[str, dict[tuple[int, int], float]] = {}
    for node, score in found.node_scores.items():
        part = {"embed": "embed", "attn_head_out": "heads", "mlp_out": "mlp"}[node.kind]
        site = part if node.layer is None else f"{node.layer}.{part}"
        scores.setdefault(site, {})[node.position, node.head or 0] = score
    return {site: table(values) for site, values in scores.items()}


def table(values: dict[tuple[int, int], float]) -> np.ndarray:
    """Numbers by row and column as an array."""
    found = np.zeros([1 + max(place[axis] for place in values) for axis in (0, 1)])
    for place, value in values.items():
        found[place] = value
    return found


WRITERS = {"embed": "embed", "attn_head_out": "{}.heads.{}", "mlp_out": "{}.mlp"}
READERS = {
    "q_input": "{}.q.{}",
    "k_input": "{}.k.{}",
    "v_input": "{}.v.{}",
    "mlp_in": "{}.mlp.in",
    "logits": "final",
}


def by_edge(found: Any) -> dict[str, np.ndarray]:
    """Scores by edge, summed over positions."""
    scores: dict[str, float] = {}
    for (writer, reader), score in found.edge_scores.items():
        ends = WRITERS[writer.kind], READERS[reader.kind]
        name = " -> ".join(
            end.format(node.layer, node.head)
            for end, node in zip(ends, (writer, reader), strict=True)
        )
        scores[name] = scores.get(name, 0.0) + score
    return {name: np.array(score) for name, score in scores.items()}


if __name__ == "__main__":
    serve(opened)
