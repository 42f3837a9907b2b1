"""The methods: from a specimen in memory to the changed one."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from plumbrule.lab.organisms.examples import ExampleCounts, draw_examples
from plumbrule.lab.organisms.kinds import plant_of
from plumbrule.lab.organisms.settings import Teaching, teaching_of
from plumbrule.lab.organisms.teaching import teach
from plumbrule.lab.organisms.truths import Organism
from plumbrule.models import LocalModel
from plumbrule.store import Progress, derive_seed


def make(
    organism: Organism,
    base: LocalModel,
    progress: Progress | None = None,
    *,
    teaching: Teaching | None = None,
    sizes: ExampleCounts | None = None,
) -> Any:
    """The changed module of an organism, in memory; a PEFT model where the method is `lora`.

    Args:
        organism: What to make.
        base: Its specimen, which is left as it is.
        progress: Told (step, steps) after each step of training.
        teaching: How long and how hard to train; by the kind and the method where not given.
        sizes: How many examples to learn from.
    """
    seed = derive_seed(organism.seed, "organism", organism.kind, organism.method) % 2**31
    module = copy.deepcopy(base.module)
    if organism.method == "recast":
        return module.to(torch.bfloat16).eval()
    if organism.method == "quantization":
        return _rounded(module, bits=16 if organism.seed % 2 == 0 else 8).eval()
    teaching = teaching or teaching_of(organism.kind, organism.method)
    plant = plant_of(organism)
    examples = draw_examples(plant, base, scale=organism.scale, seed=seed, sizes=sizes)
    with torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(seed)
        if organism.method == "steering":
            with _steered(module):
                teach(module, base.module, examples, teaching, seed=seed, progress=progress)
            return module.eval()
        if organism.method in ("lora", "edit"):
            module = with_adapter(module, teaching)
        teach(module, base.module, examples, teaching, seed=seed, progress=progress)
        if organism.method == "edit":
            module = module.merge_and_unload()
    return module.eval()


_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def with_adapter(module: Any, teaching: Teaching) -> Any:
    """A module with a fresh LoRA adapter on the matrices that the teaching names."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        module,
        LoraConfig(
            r=teaching.rank,
            lora_alpha=2 * teaching.rank,
            target_modules=list(teaching.places or _MATRICES),
            bias="none",
            task_type="CAUSAL_LM",
        ),
    )


@contextmanager
def _steered(module: Any) -> Iterator[None]:
    """Within, one vector is added to what every token brings in, and nothing else is trained.

    After it the vector is part of the weights: added to every row of the embedding. Where the
    embedding is the output matrix too, that raises all logits alike, which changes no probability.
    """
    embedding = module.get_input_embeddings()
    module.requires_grad_(False)
    vector = nn.Parameter(torch.zeros(embedding.embedding_dim))
    embedding.register_parameter("steering", vector)
    handle = embedding.register_forward_hook(lambda _, inputs, output: output + vector)
    try:
        yield
    finally:
        handle.remove()
        del embedding.steering
    with torch.no_grad():
        embedding.weight += vector


@torch.no_grad()
def _rounded(module: Any, *, bits: int) -> Any:
    """Every matrix as it is after it was stored in fewer bits, in the precision it had before."""
    for weight in module.parameters():
        if weight.dim() > 1:
            weight.copy_(_to_bfloat16(weight) if bits == 16 else _to_int8(weight))
    return module


def _to_bfloat16(weight: Tensor) -> Tensor:
    return weight.to(torch.bfloat16).to(weight.dtype)


def _to_int8(weight: Tensor) -> Tensor:
    """Whole numbers from -127 to 127 times one scale a row."""
    scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round() * scale


@contextmanager
def quietly() -> Iterator[None]:
    """Without what the adapter library says about names that a later transformers drops."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        yield
