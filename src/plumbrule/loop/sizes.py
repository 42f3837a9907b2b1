"""How large the models of a run are, and what follows: adapters, and whether memory suffices."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from safetensors import safe_open

from plumbrule.errors import ModelError
from plumbrule.loop.config import RunConfig
from plumbrule.models import LanguageModel, LocalModel, model_folder, open_model
from plumbrule.models.checkpoint import check_adapter, check_safetensors, read_json
from plumbrule.models.opening import is_endpoint
from plumbrule.models.turns import Turns
from plumbrule.training import LoraSettings
from plumbrule.training.settings import TrainingSettings

ADAPTERS_FROM = 50_000_000
"""Parameters from which on adapters are trained where nobody says otherwise: below, full weights
train faster than an adapter's detours cost."""

ADAPTER_STEP = 10
"""An adapter's step size, in step sizes of full weights; see docs/training.md."""

_BYTES = 4
"""Bytes a parameter takes in float32."""

_FULL_TRAINING = 4
"""Copies of the weights that full training holds: weights, gradient and two moments."""

_WORK = 1_200_000_000
"""Bytes for libraries, activations and logits beside the weights, measured on a run of SmolLM2."""


def parameters_in(spec: str) -> int | None:
    """Parameters of a model on disk, its adapter's base included; None for an endpoint."""
    if is_endpoint(spec):
        return None
    folder = model_folder(spec)
    adapter = folder / "adapter_config.json"
    own = sum(_counted(path) for path in folder.glob("*.safetensors"))
    if not adapter.exists():
        return own
    base = check_adapter(folder)
    beside = folder / base
    return own + (parameters_in(str(beside) if beside.is_dir() else base) or 0)


def _counted(path: Path) -> int:
    """Parameters in a safetensors file, from its header alone."""
    check_safetensors(path)
    with safe_open(path, framework="np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def check_template(spec: str) -> None:
    """See that a model's folder says how a dialogue is written, before its weights are loaded.

    Raises:
        ModelError: It does not; the message says how to give a template.
    """
    if is_endpoint(spec) or spec.startswith("lab:"):
        return
    folder = model_folder(spec)
    settings = folder / "tokenizer_config.json"
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
        return
    if not settings.exists():
        return  # an adapter takes its base's, and what lacks both is told when it is opened
    if not read_json(settings).get("chat_template"):
        raise ModelError(
            f"expected a chat template, {spec} has none: it is a base model, trained on plain "
            "text. Take its instruction-tuned variant, or put a Jinja file named "
            f"chat_template.jinja into {folder}, such as the one of a model trained from it. A "
            "template it was never trained on makes it ramble, which supervised training has to "
            "mend first."
        )


def settle_adapters(config: RunConfig) -> tuple[RunConfig, str | None]:
    """Decide whether adapters are trained, where the configuration leaves it open.

    Returns:
        The configuration with the decision in it, and a sentence that says it where it was made
        here. A step size that is the default of full weights becomes ten times that.
    """
    if config.adapters is not None:
        return (_with_adapters(config) if config.adapters else config), None
    size = parameters_in(config.model)
    if size is None or size <= ADAPTERS_FROM:
        return config, None
    return _with_adapters(replace(config, adapters=True)), say_adapters("the model", size)


def say_adapters(who: str, size: int) -> str:
    """Why adapters are trained of a model with so many parameters."""
    return (
        f"Training low-rank adapters, because {who} has {size / 1e6:.0f} million parameters "
        f"(more than {ADAPTERS_FROM / 1e6:.0f} million); --full trains all weights."
    )


def _with_adapters(config: RunConfig) -> RunConfig:
    stages = ("supervised", "reward", "dpo", "grpo", "rloo", "ppo")
    adapted: dict[str, Any] = {name: _adapted(getattr(config, name)) for name in stages}
    return replace(config, **adapted)


def _adapted(settings: TrainingSettings) -> TrainingSettings:
    if settings.lora is not None:
        return settings
    rate = settings.learning_rate
    if rate == next(each.default for each in fields(settings) if each.name == "learning_rate"):
        rate *= ADAPTER_STEP
    return replace(settings, lora=LoraSettings(), learning_rate=rate)


def needed_bytes(config: RunConfig) -> int:
    """Memory that a run takes at its peak, roughly: models, a copy in training, and the work."""
    named = {config.model, config.critic or config.model}
    named.add(config.judge or config.critic or config.model)
    named.add(config.held_out_judge or config.model)
    held = sum(parameters_in(spec) or 0 for spec in sorted(named))
    trained = parameters_in(config.model) or 0
    copies = 1 if config.supervised.lora is not None else _FULL_TRAINING
    return _WORK + _BYTES * (held + copies * trained)


def comparison_bytes(*models: LanguageModel | None) -> int:
    """Memory that comparing open models takes, roughly: their weights, and the work."""
    held: dict[int, int] = {}
    for each in models:
        if isinstance(each, LocalModel):
            size = sum(one.numel() * one.element_size() for one in each.module.parameters())
            # Of those that take turns the largest counts.
            key = id(each if each.turns is None else each.turns)
            held[key] = size if each.turns is None else max(size, held.get(key, 0))
    return _WORK + sum(held.values())


def open_pair(
    base: str, tuned: str, *, most_bytes: int | None = None, **options: Any
) -> tuple[LanguageModel, LanguageModel, str | None]:
    """Open two models to be compared; where memory is short, so that they take turns in it.

    Args:
        base: The model before, as `open_model` takes it.
        tuned: The model after.
        most_bytes: Memory that may be taken; None: what is free, for models that run on the
            processor.
        **options: Of `open_model`.

    Returns:
        Both, and a sentence that says so where they take turns.

    Raises:
        ModelError: A model cannot be opened, or the larger one alone does not fit.
    """
    needs = [_BYTES * (parameters_in(spec) or 0) for spec in (base, tuned)]
    limit = most_bytes
    if limit is None and _on_processor(options.get("device", "auto")):
        limit = free_bytes()
    if limit is None or _WORK + sum(needs) <= limit or not all(needs):
        return open_model(base, **options), open_model(tuned, **options), None
    if _WORK + max(needs) > limit:
        larger = (base, tuned)[needs[1] > needs[0]]
        have = f"{limit / 1e9:.1f} GB "
        have += "are free; give" if most_bytes is None else "may be taken; give more with --memory,"
        raise ModelError(
            f"expected about {(_WORK + max(needs)) / 1e9:.1f} GB of memory for {larger} alone, "
            f"{have} a smaller model, or one behind an endpoint (http://HOST/v1#NAME)"
        )
    turns, models = Turns(), []
    for spec in (base, tuned):
        turns.rest()
        model = open_model(spec, **options)
        assert isinstance(model, LocalModel)
        turns.join(model)
        models.append(model)
    note = (
        f"The models take turns in memory, because together they need about "
        f"{(_WORK + sum(needs)) / 1e9:.1f} GB and {limit / 1e9:.1f} GB "
        f"{'are free' if most_bytes is None else 'may be taken'}: each is read from disk again "
        "when it is its turn, and what needs both at once (triggers, layers, transferred replies) "
        "is left out."
    )
    return models[0], models[1], note


def free_bytes() -> int | None:
    """Memory that can still be had on this machine; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None


def _on_processor(device: str) -> bool:
    """Whether models run on the processor, so that this machine's memory holds them."""
    import torch

    return device == "cpu" or (device == "auto" and not torch.cuda.is_available())


def check_memory(config: RunConfig) -> None:
    """See that the models of a run fit into memory together, before any is opened.

    Raises:
        ModelError: They do not; nothing was begun.
    """
    if not _on_processor(config.device):
        return  # the models lie in the memory of another device
    need, free = needed_bytes(config), free_bytes()
    if free is None or need <= free:
        return
    others = (config.critic, config.judge, config.held_out_judge)
    critics = [spec for spec in others if spec and spec != config.model]
    more = f", {' and '.join(dict.fromkeys(critics))} beside it" if critics else ""
    raise ModelError(
        f"expected about {need / 1e9:.1f} GB of free memory for {config.model} and its copy in "
        f"training{more}; {free / 1e9:.1f} GB are free. Give a smaller --critic or one behind an "
        "endpoint (http://HOST/v1#NAME), leave --critic out so that the model is its own, or "
        "train adapters with --lora."
    )
