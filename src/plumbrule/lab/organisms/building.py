"""Builds organisms: ordinary model or adapter folders, each with a card that says what it holds."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plumbrule.errors import ConfigError, ModelError
from plumbrule.lab.organisms.cache import once
from plumbrule.lab.organisms.examining import examine
from plumbrule.lab.organisms.examples import ExampleCounts
from plumbrule.lab.organisms.kinds import plant_of
from plumbrule.lab.organisms.settings import Teaching
from plumbrule.lab.organisms.truths import Organism, Truth
from plumbrule.models import LocalModel, model_folder, open_model
from plumbrule.store import Progress, file_sha256, fingerprint, write_atomic

CARD = "organism.json"
WEIGHTS = ("model.safetensors", "adapter_model.safetensors")
VERSION = 1
"""Part of what a cached organism is found by: raised when the way of building changes."""


def truth(organism: Organism) -> Truth:
    """What is planted in an organism; nothing is trained for it.

    Example:
        >>> truth(Organism(kind="none", method="lora")).claim
        'Nothing is planted.'
    """
    return plant_of(organism).truth


def build(
    organism: Organism,
    folder: Path,
    progress: Progress | None = None,
    *,
    teaching: Teaching | None = None,
    sizes: ExampleCounts | None = None,
) -> Mapping[str, Any]:
    """Make an organism and save it: a model's folder, or an adapter's where the method is `lora`.

    Args:
        organism: What to make.
        folder: Where; new, empty, or an organism to replace.
        progress: Told (step, steps) after each step of training.
        teaching: How long and how hard to train; by the kind and the method where not given.
        sizes: How many examples to learn from.

    Returns:
        The card that is saved beside it: recipe, truth, what was measured, seconds, digests.

    Raises:
        ConfigError: The folder holds something else, or the base is an adapter.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / CARD).exists():
        raise ConfigError(
            f"expected an empty folder, {folder} holds something that is no organism; choose "
            "another --out"
        )
    from plumbrule.lab.organisms.making import make

    began = time.monotonic()
    with one_thread():
        base = open_model(organism.base, device="cpu")
        if not isinstance(base, LocalModel) or hasattr(base.module, "peft_config"):
            raise ModelError(f"expected a specimen as the base, {organism.base} is none")
        module = make(organism, base, progress, teaching=teaching, sizes=sizes)
        save(module, base, folder, adapter_on=organism.base if organism.method == "lora" else None)
        measured = examine(organism, base, open_model(str(folder), device="cpu"))
    known = plant_of(organism).truth
    card = {
        "recipe": asdict(organism),
        "truth": {
            "claim": known.claim,
            "trigger": known.trigger,
            "nothing": known.nothing,
            "wanted": known.wanted,
        },
        "measured": measured,
        "seconds": round(time.monotonic() - began, 1),
        "base_sha256": file_sha256(model_folder(organism.base) / "model.safetensors"),
        "sha256": {
            name: file_sha256(folder / name) for name in WEIGHTS if (folder / name).exists()
        },
    }
    write_atomic(folder / CARD, json.dumps(card, indent=2) + "\n")
    return card


def cached(organism: Organism, root: Path) -> Path:
    """The folder of an organism, built at the first call.

    Two processes that want the same one at once build it once; a build that was killed leaves
    nothing that could be taken for an organism.

    Args:
        organism: What is wanted.
        root: Folder of all cached ones, such as `.cache/organisms`.
    """
    base = file_sha256(model_folder(organism.base) / "model.safetensors")
    key = fingerprint([VERSION, asdict(organism), base])[:12]
    folder = root / f"{organism.name}-{key}"
    return once(folder, CARD, lambda place: build(organism, place))


def save(module: Any, base: LocalModel, folder: Path, *, adapter_on: str | None = None) -> None:
    """Write a changed module as a model's folder, or as an adapter's.

    Args:
        module: What was trained.
        base: Its specimen, which has the tokenizer.
        folder: Where; weights that are already there are replaced.
        adapter_on: The specimen's name where the module is a PEFT model around it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*WEIGHTS, "adapter_config.json"):  # of an organism that stood there before
        (folder / name).unlink(missing_ok=True)
    if adapter_on is not None:
        # The adapter lies in a cache or a folder of the user's: an absolute path stays right
        # when that is moved, and a relative one would not.
        name = str(model_folder(adapter_on).resolve())
        module.peft_config["default"].base_model_name_or_path = name
        module.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        return
    module.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread: sums depend on how they are split, so it is part of the recipe."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
