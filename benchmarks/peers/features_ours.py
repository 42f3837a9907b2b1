"""Plumbrule's side of the comparison of dictionaries."""

from pathlib import Path

import numpy as np

from benchmarks.peers.serving import Jobs, Work, serve


def opened(folder: Path) -> Jobs:
    """A dictionary in training on the activations of a folder."""
    import torch

    from plumbrule.mechanism.features.dictionaries import Origin, Reading
    from plumbrule.mechanism.features.learning import Learner
    from plumbrule.mechanism.features.settings import DictionarySettings

    held: dict[tuple[int, int, str], Learner] = {}
    data = torch.from_numpy(np.load(folder / "activations.npy"))

    def step(latents: int, active: int, kind: str = "topk") -> Work:
        key = (latents, active, kind)
        if key not in held:
            settings = DictionarySettings(
                kind=kind,  # type: ignore[arg-type]
                latents=latents,
                active=active,
                tokens=10_000_000,
            )
            held[key] = Learner(settings, data, data)
        return Work(run=lambda: held[key].step(data, data))

    def product(latents: int) -> Work:
        weight, bias = torch.randn(latents, data.shape[1]), torch.zeros(latents)
        return Work(run=lambda: torch.addmm(bias, data, weight.mT))

    def train(
        latents: int,
        active: int,
        tokens: int,
        batch: int,
        rate: float,
        window: float,
        seed: int,
        kind: str,
        decay: float = 0.99,
    ) -> Work:
        settings = DictionarySettings(
            kind=kind,  # type: ignore[arg-type]
            latents=latents,
            active=active,
            tokens=tokens,
            batch=batch,
            learning_rate=rate,
            dead_after=window,
            second_decay=decay,
            seed=seed,
        )

        def run() -> Learner:
            learner = Learner(settings, data[:8192], data[:8192])
            for number in range(settings.steps):
                part = data[(number * batch) % (len(data) - batch) :][:batch]
                learner.step(part, part)
            return learner

        def named(learner: Learner) -> dict[str, np.ndarray]:
            dictionary = learner.dictionary(Origin(reading=Reading(site="made")))
            part = data[-8192:]
            codes = dictionary.codes(part)
            missing = (dictionary.decode(codes) - part).square().sum()
            variance = (part - part.mean(0)).square().sum()
            return {
                "decoder": dictionary.decoder.numpy(),
                "explained": np.array(float(1 - missing / variance)),
                "active": np.array(len(codes.values) / len(part)),
            }

        return Work(run=run, named=named)

    return {"step": step, "product": product, "train": train}


if __name__ == "__main__":
    serve(opened)
