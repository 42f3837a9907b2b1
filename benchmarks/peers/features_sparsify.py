"""sparsify's side of the comparison of dictionaries: its own coder, stepped as its trainer does."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.serving import Jobs, Work, serve


def opened(folder: Path) -> Jobs:
    """A dictionary in training on the activations of a folder."""
    import torch
    from sparsify import SparseCoder, SparseCoderConfig  # type: ignore[import-not-found]

    data = torch.from_numpy(np.load(folder / "activations.npy"))
    held: dict[tuple[int, int], Any] = {}

    def step(latents: int, active: int, kind: str = "topk") -> Work:
        if kind != "topk":
            raise ValueError(f"sparsify has no {kind}")
        key = (latents, active)
        if key not in held:
            coder = SparseCoder(data.shape[1], SparseCoderConfig(num_latents=latents, k=active))
            held[key] = coder, torch.optim.Adam(coder.parameters(), lr=1e-3, fused=True)
        coder, optimizer = held[key]

        def run() -> Any:
            found = coder(data)
            found.fvu.backward()
            coder.remove_gradient_parallel_to_decoder_directions()
            optimizer.step()
            optimizer.zero_grad()
            coder.set_decoder_norm_to_unit_norm()
            return found.fvu.detach()

        return Work(run=run)

    def write(name: str, kind: str) -> Work:
        torch.manual_seed(0)
        coder = SparseCoder(data.shape[1], SparseCoderConfig(num_latents=256, k=8))
        with torch.no_grad():
            for each in coder.parameters():
                each += 0.1 * torch.randn_like(each)

        def run() -> Any:
            coder.save_to_disk(folder / name)
            with torch.no_grad():
                return coder(data).sae_out

        return Work(run=run, named=lambda found: {"written": found.numpy()})

    return {"step": step, "write": write}


if __name__ == "__main__":
    serve(opened)
