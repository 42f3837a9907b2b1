"""Models with a circuit to look for: set by hand, or trained here, with their pairs of prompts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.folders import held_folder
from plumbrule.store import Progress, Tell, canonical, derive_seed, silent

if TYPE_CHECKING:
    from plumbrule.lab.circuits.building import Family

EXAMINED = 300
"""Sentences with which `giving` is examined, on either sort of people."""

SEGMENT, SLACK = 16, 3
"""Tokens of the segment that comes back in a prompt for `copying`; and other tokens, some before it
and the others between its two copies."""


def build_copying(folder: Path, seed: int, pairs: int, progress: Progress) -> Mapping[str, float]:
    """Train two layers of attention to copy; save them with pairs whose last token was said before.

    Args:
        folder: Gets the model and `pairs.jsonl`.
        seed: Of the weights, the text and the pairs.
        pairs: How many.
        progress: Told of steps.

    Returns:
        Share of right answers among its 40 words, by what was asked.
    """
    from plumbrule.lab.circuits.saving import save_module, write_pairs
    from plumbrule.lab.induction import InductionRecipe, training

    recipe = InductionRecipe(seed=seed, heads=2)  # few heads, so that a drawing shows them all
    words = [f"w{number}" for number in range(recipe.vocabulary)]
    module: Any = None
    for step, reached in training(recipe):
        module = reached
        progress(step, recipe.steps)
    save_module(module, words, folder)
    rng = np.random.default_rng(derive_seed(seed, "copying pairs"))
    drawn = [_copying_pair(rng, words) for _ in range(pairs)]
    write_pairs(drawn, folder / "pairs.jsonl")
    numbers = {word: at for at, word in enumerate(words)}
    asked = [([numbers[word] for word in each["clean"].split()], each["right"]) for each in drawn]
    said = [_likeliest(module, ids) == numbers[right] for ids, right in asked]
    return {"the pairs' clean prompts": float(np.mean(said))}


def _likeliest(module: Any, ids: list[int]) -> int:
    import torch

    with torch.no_grad():
        return int(module(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())


def _copying_pair(rng: np.random.Generator, words: list[str]) -> dict[str, str]:
    """A segment and the same again up to one of its tokens; and that of other tokens.

    The first copy is elsewhere in the two, or where a head looks would be no part of the task.
    """
    back = int(rng.integers(SEGMENT // 2, SEGMENT - 1))
    leads = rng.permutation(SLACK + 1)[:2].tolist()
    told: dict[str, str] = {}
    for lead, prompt, answer in zip(leads, ("clean", "corrupted"), ("right", "wrong"), strict=True):
        drawn = [words[at] for at in rng.permutation(len(words))[: SEGMENT + SLACK]]
        segment, others = drawn[:SEGMENT], drawn[SEGMENT:]
        said = [*others[:lead], *segment, *others[lead:], *segment[: back + 1]]
        told |= {prompt: " ".join(said), answer: segment[back + 1]}
    return told if told["right"] != told["wrong"] else _copying_pair(rng, words)


def build_giving_pairs(
    folder: Path, seed: int, pairs: int, progress: Progress
) -> Mapping[str, float]:
    """Train the specimen that knows whom something was given to; pairs of people kept back.

    Args:
        folder: Gets the model and `pairs.jsonl`.
        seed: Of the weights, the lessons and the pairs.
        pairs: How many.
        progress: Told of steps.

    Returns:
        Share of right answers among all words, on people learned with and on those kept back.
    """
    from dataclasses import asdict

    from plumbrule.lab.circuits.saving import write_pairs
    from plumbrule.lab.indirect_object import (
        GivingRecipe,
        accuracy,
        build_giving,
        draw_pairs,
        people,
        single_token_names,
    )
    from plumbrule.models import LocalModel, open_model

    recipe = GivingRecipe(seed=seed)
    build_giving(folder, recipe, lambda step, steps, _: progress(step, steps))
    opened = open_model(str(folder))
    assert isinstance(opened, LocalModel)
    learned, kept = (
        single_token_names(opened.tokenizer, people(recipe, kept_back=back))
        for back in (False, True)
    )
    drawn = draw_pairs(recipe, pairs, seed=derive_seed(seed, "giving pairs"), names=kept)
    write_pairs([asdict(pair) for pair in drawn], folder / "pairs.jsonl")
    examined = derive_seed(seed, "giving examination")
    return {
        label: accuracy(
            opened.module,
            opened.tokenizer,
            draw_pairs(recipe, EXAMINED, seed=examined, names=names),
        )
        for label, names in (("people it learned with", learned), ("people kept back", kept))
    }


TRAINED: Mapping[str, tuple[str, Callable[[Path, int, int, Progress], Mapping[str, float]]]] = {
    "copying": (
        "Two layers of attention that have learned to copy: what came after a token comes again.",
        build_copying,
    ),
    "giving": (
        "The village's language: whom was something given to, of people never met in such a "
        "sentence.",
        build_giving_pairs,
    ),
}
"""What each one does, and what makes it."""


def offered() -> dict[str, str]:
    """What can be made, each with a sentence."""
    from plumbrule.lab.circuits import TASKS

    return {
        **{each.name: each.description for each in TASKS.values()},
        **{name: f"(trained) {description}" for name, (description, _) in TRAINED.items()},
    }


def make_circuit(
    name: str,
    folder: Path,
    *,
    seed: int,
    pairs: int,
    family: "Family" = "gpt2",
    tell: Tell = silent,
) -> Mapping[str, float]:
    """Make a small model with a circuit to look for, in a folder of its own.

    Args:
        name: One of `offered`.
        folder: Gets the model, `pairs.jsonl` and, where the weights are set by hand, `truth.json`.
        seed: Of weights and pairs.
        pairs: Pairs of prompts to draw.
        family: Architecture of a model whose weights are set by hand.
        tell: Told of progress.

    Returns:
        Of a trained model: share of right answers, by what was asked.

    Raises:
        ConfigError: There is no such model.
        OutputError: The folder holds something else.
    """
    from plumbrule.lab.circuits import TASKS, save_circuit

    if name not in {*TASKS, *TRAINED}:
        raise ConfigError(f"expected a model among {', '.join([*TASKS, *TRAINED])}, got {name!r}")
    # Built before the folder is touched: what cannot be built leaves nothing behind.
    model = TASKS[name].build(seed, family=family) if name in TASKS else None
    ours = {"name": name, "seed": seed, "pairs": pairs, "family": family}
    with held_folder(folder, marker="lab_circuit.json", ours=ours, configuration=canonical(ours)):
        if model is None:
            return TRAINED[name][1](
                folder, seed, pairs, lambda done, total: tell(f"training {name}", done, total)
            )
        save_circuit(model, folder, pairs=pairs, seed=seed)
    return {}
