"""nnsight's side of the comparison."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.serving import Jobs, Work, serve


def opened(folder: Path) -> Jobs:
    """A model of transformers, wrapped."""
    import nnsight  # type: ignore[import-not-found]
    import torch
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_pretrained(folder).eval()
    model = nnsight.NNsight(module)
    layers = model.transformer.h if module.config.model_type == "gpt2" else model.model.layers

    def plain(ids: list[int]) -> Work:
        def run() -> Any:
            with torch.no_grad():
                return module(input_ids=torch.tensor([ids]), use_cache=False)["logits"]

        return Work(run=run, named=lambda found: {"logits": found.numpy()})

    def capture_stream(ids: list[int]) -> Work:
        def run() -> Any:
            with torch.no_grad(), model.trace(input_ids=torch.tensor([ids]), use_cache=False):
                found = nnsight.save([layer.output for layer in layers])
            return found

        def named(found: Any) -> dict[str, np.ndarray]:
            return {f"{at}.out": value.numpy()[0] for at, value in enumerate(found)}

        return Work(run=run, named=named)

    return {"plain": plain, "capture_stream": capture_stream}


if __name__ == "__main__":
    serve(opened)
