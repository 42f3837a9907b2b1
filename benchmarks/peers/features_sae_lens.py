"""SAELens's side of the comparison of dictionaries: its own training classes and trainer."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.serving import Jobs, Work, serve


def opened(folder: Path) -> Jobs:
    """A dictionary in training on the activations of a folder."""
    os.environ.setdefault("WANDB_MODE", "disabled")
    import torch
    from sae_lens import (  # type: ignore[import-not-found]
        SAE,
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        TopKTrainingSAE,
        TopKTrainingSAEConfig,
    )
    from sae_lens.config import LoggingConfig, SAETrainerConfig  # type: ignore[import-not-found]
    from sae_lens.training.sae_trainer import SAETrainer  # type: ignore[import-not-found]

    data = torch.from_numpy(np.load(folder / "activations.npy"))
    classes = {
        "topk": (TopKTrainingSAE, TopKTrainingSAEConfig),
        "batch_topk": (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig),
    }
    held: dict[tuple[int, int, str], Any] = {}

    def trainer(
        kind: str,
        latents: int,
        active: int,
        tokens: int,
        batch: int,
        rate: float,
        scale: str,
        window: float = 0.05,
        decay: float = 0.999,
    ) -> Any:
        coder, config = classes[kind]
        steps = max(1, round(tokens / batch))

        def provider() -> Iterator[Any]:
            number = 0
            while True:
                yield data[(number * batch) % max(1, len(data) - batch) :][:batch]
                number += 1

        return SAETrainer(
            SAETrainerConfig(
                total_training_samples=tokens,
                train_batch_size_samples=batch,
                lr=rate,
                adam_beta2=decay,
                lr_end=rate / 10,
                lr_warm_up_steps=steps // 20,
                lr_decay_steps=steps // 5,
                dead_feature_window=max(1, round(window * steps)),
                n_batches_for_norm_estimate=8,
                logger=LoggingConfig(log_to_wandb=False),
            ),
            coder(config(d_in=data.shape[1], d_sae=latents, k=active, normalize_activations=scale)),
            provider(),
        )

    def step(latents: int, active: int, kind: str = "topk") -> Work:
        key = (latents, active, kind)
        if key not in held:
            # As many steps as ours is told of, so that no latent counts as dead while it is timed.
            held[key] = trainer(kind, latents, active, 10_000_000, len(data), 3e-4, "none")
        return Work(run=lambda: held[key].step(data))

    def train(
        latents: int,
        active: int,
        tokens: int,
        batch: int,
        rate: float,
        window: float,
        seed: int,
        kind: str,
        decay: float = 0.999,
    ) -> Work:
        def run() -> Any:
            torch.manual_seed(seed)
            scale = "expected_average_only_in"
            return trainer(kind, latents, active, tokens, batch, rate, scale, window, decay).fit()

        def named(coder: Any) -> dict[str, np.ndarray]:
            part = data[-8192:]
            with torch.no_grad():
                codes = coder.encode(part)
                if hasattr(coder, "topk_threshold"):
                    # What it saves is its threshold, for use without a batch.
                    before = coder.encode_with_hidden_pre(part)[1]
                    codes = before * (before > coder.topk_threshold)
                missing = (coder.decode(codes) - part).square().sum()
                variance = (part - part.mean(0)).square().sum()
            return {
                "decoder": coder.W_dec.detach().numpy(),
                "explained": np.array(float(1 - missing / variance)),
                "active": np.array(float((codes > 0).sum() / len(part))),
            }

        return Work(run=run, named=named)

    def read(name: str) -> Work:
        coder = SAE.load_from_disk(folder / name)

        def run() -> Any:
            with torch.no_grad():
                return coder(data)

        return Work(run=run, named=lambda found: {"written": found.numpy()})

    def write(name: str, kind: str) -> Work:
        coder, config = classes[kind]
        torch.manual_seed(0)
        made = coder(config(d_in=data.shape[1], d_sae=256, k=8))
        with torch.no_grad():
            for each in made.parameters():
                each += 0.1 * torch.randn_like(each)

        def run() -> Any:
            made.save_inference_model(folder / name)
            with torch.no_grad():
                return SAE.load_from_disk(folder / name)(data)

        return Work(run=run, named=lambda found: {"written": found.numpy()})

    return {"step": step, "train": train, "read": read, "write": write}


if __name__ == "__main__":
    serve(opened)
