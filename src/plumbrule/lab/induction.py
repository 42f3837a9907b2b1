"""Two layers of attention, trained from scratch until they copy: induction heads with known dates.

The text is random tokens in which one random segment comes back again and again, at gaps of random
length. Nothing but the repetition can be predicted, and only by looking for the token's earlier
copy and taking what came after it, which takes two layers (Elhage et al., 2021). Early in training
the loss on repeated tokens lies on a plateau, then falls within a few hundred steps: the phase
change of Olsson et al. (2022). The MLPs write zero and stay so; the model is attention alone.

Axes: B sequences, T tokens.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from plumbrule.errors import ConfigError, ModelError
from plumbrule.records import strict
from plumbrule.store import Progress, derive_seed, fingerprint, silent, write_atomic

CODE_VERSION = 1
"""Raised whenever the same recipe would give other weights."""


@strict
@dataclass(frozen=True, kw_only=True)
class InductionRecipe:
    """All that decides one training and its checkpoints."""

    seed: int = 0
    width: int = 64
    layers: int = 2
    heads: int = 8
    vocabulary: int = 40

    tokens: int = 64
    """Tokens a sequence."""

    batch: int = 32
    """Sequences a step, drawn anew for each."""

    steps: int = 1200
    learning_rate: float = 3e-3
    """Of AdamW, after a linear warm-up of 50 steps."""

    checkpoints: int = 25
    """Checkpoints at even distances, the untrained model among them."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.checkpoints < 2 or self.steps % (self.checkpoints - 1):
            raise ConfigError(
                "expected steps that are a multiple of checkpoints - 1, so that checkpoints lie at "
                f"even distances, got {self.steps} steps and {self.checkpoints} checkpoints"
            )
        if self.tokens < 40 or self.vocabulary < 24:
            raise ConfigError(
                "expected at least 40 tokens a sequence and 24 in the vocabulary, so that a "
                f"segment comes back, got {self.tokens} and {self.vocabulary}"
            )

    @property
    def every(self) -> int:
        """Steps from one checkpoint to the next."""
        return self.steps // (self.checkpoints - 1)


@dataclass(frozen=True, kw_only=True)
class RepeatedSequences:
    """Random tokens with a segment that comes back."""

    ids: Int[np.ndarray, "B T"]

    known: Bool[np.ndarray, "B T"]
    """Tokens that their predecessor's earlier copy foretells."""

    source: Int[np.ndarray, "B T"]
    """For each known token, where its latest earlier copy is; -1 for the others."""


def draw_sequences(recipe: InductionRecipe, count: int, *, seed: int) -> RepeatedSequences:
    """Draw text: a segment of 10 to 24 distinct tokens, repeated at gaps of 0 to 3 random ones.

    Args:
        recipe: Gives the length and the vocabulary.
        count: B.
        seed: Of the tokens.
    """
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, recipe.vocabulary, size=(count, recipe.tokens))
    known = np.zeros(ids.shape, dtype=bool)
    source = np.full(ids.shape, -1)
    for row in range(count):
        size = int(rng.integers(10, 25))
        segment = rng.permutation(recipe.vocabulary)[:size]
        at, before = int(rng.integers(0, 4)), -1
        while at < recipe.tokens:
            end = min(recipe.tokens, at + size)
            ids[row, at:end] = segment[: end - at]
            if before >= 0:
                known[row, at + 1 : end] = True
                source[row, at + 1 : end] = np.arange(before + 1, before + end - at)
            before, at = at, at + size + int(rng.integers(0, 4))
    return RepeatedSequences(ids=ids, known=known, source=source)


def build_module(recipe: InductionRecipe) -> Any:
    """The model before training: a Llama whose MLPs write zero."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=recipe.width,
        intermediate_size=16,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        vocab_size=recipe.vocabulary,
        max_position_embeddings=2 * recipe.tokens,
        initializer_range=0.05,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "weights") % 2**63)
        module = LlamaForCausalLM(config)
    for layer in module.model.layers:
        layer.mlp.down_proj.weight.data.zero_()
        for weight in layer.mlp.parameters():
            weight.requires_grad_(False)
    return module.eval()


def training(recipe: InductionRecipe) -> Iterator[tuple[int, Any]]:
    """Train, and stop at each checkpoint.

    Yields:
        Steps done and the module, which the next step changes: measure or save it at once.
    """
    import torch
    from torch.nn.functional import cross_entropy

    module = build_module(recipe)
    weights = [each for each in module.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    for step in range(recipe.steps + 1):
        if step % recipe.every == 0:
            yield step, module.eval()
        if step == recipe.steps:
            return
        drawn = draw_sequences(recipe, recipe.batch, seed=derive_seed(recipe.seed, "step", step))
        ids = torch.tensor(drawn.ids)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / 50)
        logits = module.train()(input_ids=ids, use_cache=False)["logits"]
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()


def train_into(
    folder: Path,
    recipe: InductionRecipe,
    *,
    progress: Progress = silent,
) -> list[tuple[int, Path]]:
    """Train once, and keep every checkpoint as an ordinary model folder.

    Args:
        folder: Gets one folder a recipe; a finished one is not trained again, one that was killed
            is begun anew.
        recipe: What to train.
        progress: Told of steps done.

    Returns:
        Steps and folder of each checkpoint, in order.

    Raises:
        ModelError: A finished training lacks a checkpoint.
    """
    settings = {"code": CODE_VERSION, **asdict(recipe)}
    root = folder / f"induction-{fingerprint(settings)[:16]}"
    steps = range(0, recipe.steps + 1, recipe.every)
    found = [(step, root / f"step-{step:05d}") for step in steps]
    seal = root / "recipe.json"
    if seal.exists():
        lacking = [path for _, path in found if not (path / "model.safetensors").exists()]
        if lacking:
            raise ModelError(
                f"{root} says that it is finished but lacks {lacking[0].name}; delete the folder, "
                "and it is trained anew"
            )
        return found
    for (step, path), (reached, module) in zip(found, training(recipe), strict=True):
        assert step == reached
        _save(module, path)
        progress(step, recipe.steps)
    write_atomic(seal, json.dumps(settings, indent=1))
    return found


def _save(module: Any, path: Path) -> None:
    """An ordinary model folder, without a tokenizer: the tokens are numbers."""
    from safetensors.torch import save

    config = module.config.to_dict() | {"architectures": [type(module).__name__]}
    write_atomic(path / "config.json", json.dumps(config, indent=1))
    state = {name: value.contiguous() for name, value in module.state_dict().items()}
    write_atomic(path / "model.safetensors", save(state, metadata={"format": "pt"}))


def open_checkpoint(path: Path) -> Any:
    """A checkpoint as it was saved, in memory.

    Raises:
        ModelError: There is none.
    """
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForCausalLM

    if not (path / "model.safetensors").exists():
        raise ModelError(f"expected a checkpoint with its weights, there is none at {path}")
    module = LlamaForCausalLM(LlamaConfig(**json.loads((path / "config.json").read_text("utf-8"))))
    module.load_state_dict(load_file(path / "model.safetensors"))
    return module.eval()
