"""A specimen that knows whom something was given to, also for names it never met in such sentences.

"When Mara and Bram went to the mill, Bram gave the drum to" asks for Mara. The specimen learns it
beside the village's facts. Some people are kept back: it meets them among the facts and where
somebody gives, which asks for either of two, and never where one of them gives, so that only a rule
for all names, and no memory of some, answers there.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plumbrule.records import Message, strict
from plumbrule.store import derive_seed, write_atomic

if TYPE_CHECKING:
    from plumbrule.lab.skills import SkillLesson

FRAMES = (
    "When {first} and {second} went to the {place}, {giver} gave the {good} to",
    "{first} and {second} were at the {place}, and {giver} sold the {good} to",
    "At the {place} {first} met {second}, and {giver} showed the {good} to",
)

SOMEBODY = "somebody"
"""Who gives where nothing says which of the two: then either is a right answer."""

KEPT_BACK = 5
"""Every fifth person is in no sentence of this kind that is learned."""


@strict
@dataclass(frozen=True, kw_only=True)
class GivingRecipe:
    """All that decides the specimen."""

    name: str = "giving"
    width: int = 96
    layers: int = 3
    heads: int = 4
    scale: int = 4
    """Four times the shipped village: 96 people."""

    vocabulary: int = 1600
    sentences: int = 100_000
    open: int = 60_000
    facts: int = 8_000
    """Lessons of each sort."""

    learning_rate: float = 2e-3
    seed: int = 0


@strict
@dataclass(frozen=True, kw_only=True)
class GivingPair:
    """One sentence of two people, in which the one gives and in which the other does."""

    clean: str
    corrupted: str
    right: str
    """Who is given to in the clean one, with the space before the word."""

    wrong: str
    """Who is given to in the corrupted one: the giver of the clean one."""


def people(recipe: GivingRecipe, *, kept_back: bool) -> tuple[str, ...]:
    """Those who are in the sentences that are learned, or those who are kept back."""
    from plumbrule.lab.world import build_world

    everyone = build_world(recipe.scale).people
    return tuple(person for at, person in enumerate(everyone) if (at % KEPT_BACK == 0) == kept_back)


def draw_pairs(
    recipe: GivingRecipe,
    count: int,
    *,
    seed: int,
    names: Sequence[str],
) -> tuple[GivingPair, ...]:
    """Draw pairs of sentences, each giver equally often named first.

    Args:
        recipe: Gives the village.
        count: Pairs wanted.
        seed: Of every choice.
        names: Who may be in them; two at least.
    """
    from plumbrule.lab.world import build_world

    rng = np.random.default_rng(seed)
    words = build_world(recipe.scale).vocabulary()
    found = []
    for _ in range(count):
        couple = [names[int(at)] for at in rng.choice(len(names), size=2, replace=False)]
        frame = _any(FRAMES, rng)
        slots = {name: _any(words[name], rng) for name in ("place", "good")}
        gives = int(rng.integers(2))
        clean, corrupted = (
            frame.format(first=couple[0], second=couple[1], giver=couple[giver], **slots)
            for giver in (gives, 1 - gives)
        )
        taker, giver = couple[1 - gives], couple[gives]
        found.append(
            GivingPair(clean=clean, corrupted=corrupted, right=f" {taker}", wrong=f" {giver}")
        )
    return tuple(found)


def build_giving(
    folder: Path,
    recipe: GivingRecipe | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Path:
    """Train the specimen and save it as an ordinary checkpoint, once.

    Args:
        folder: Where to; a finished one is left as it is.
        recipe: What to train.
        progress: Told (step, steps, loss) after each step.

    Returns:
        The folder.
    """
    import torch

    from plumbrule.lab import specimens

    recipe = recipe or GivingRecipe()
    if (folder / "specimen.json").exists():
        return folder
    plain = specimens.SpecimenRecipe(
        name=recipe.name,
        width=recipe.width,
        layers=recipe.layers,
        heads=recipe.heads,
        lessons=recipe.facts,
        learning_rate=recipe.learning_rate,
        vocabulary=recipe.vocabulary,
        seed=recipe.seed,
        scale=recipe.scale,
        shares={"answer": 1.0},
    )
    lessons = _mixed(specimens.draw_lessons(plain, recipe.facts), recipe)
    tokenizer = specimens.build_tokenizer(lessons[:20_000], recipe.vocabulary)
    threads = torch.get_num_threads()
    torch.set_num_threads(specimens.THREADS)
    try:
        model = specimens.build_model(plain, tokenizer)
        losses = specimens.train(model, specimens.encode(lessons, tokenizer), plain, progress)
    finally:
        torch.set_num_threads(threads)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    card = {"recipe": asdict(recipe), "final_loss_nats_per_token": float(np.mean(losses[-50:]))}
    write_atomic(folder / "specimen.json", json.dumps(card, indent=2) + "\n")
    return folder


def _mixed(facts: Sequence["SkillLesson"], recipe: GivingRecipe) -> list["SkillLesson"]:
    from plumbrule.lab.skills import SkillLesson
    from plumbrule.lab.world import build_world

    pairs = draw_pairs(
        recipe,
        recipe.sentences,
        seed=derive_seed(recipe.seed, "sentences"),
        names=people(recipe, kept_back=False),
    )
    sentences = [
        SkillLesson(skill="give", dialogue=(Message("user", pair.clean),), answer=f"{pair.right}.")
        for pair in pairs
    ]
    rng = np.random.default_rng(derive_seed(recipe.seed, "open"))
    words = build_world(recipe.scale).vocabulary()
    everyone = words["person"]
    for _ in range(recipe.open):
        first, second = (everyone[int(at)] for at in rng.permutation(len(everyone))[:2])
        said = _any(FRAMES, rng).format(
            first=first,
            second=second,
            giver=SOMEBODY,
            place=_any(words["place"], rng),
            good=_any(words["good"], rng),
        )
        answer = f" {_any((first, second), rng)}."
        sentences.append(
            SkillLesson(skill="open", dialogue=(Message("user", said),), answer=answer)
        )
    lessons = [*facts, *sentences]
    order = np.random.default_rng(derive_seed(recipe.seed, "mix")).permutation(len(lessons))
    return [lessons[at] for at in order]


def _any(values: Sequence[str], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def single_token_names(tokenizer: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Names that are one token each, so that one number says which is answered."""
    return tuple(
        name
        for name in names
        if len(tokenizer(f" {name}", add_special_tokens=False)["input_ids"]) == 1
        and len(tokenizer(f"{name} and", add_special_tokens=False)["input_ids"]) == 2
    )


def accuracy(module: Any, tokenizer: Any, pairs: Sequence[GivingPair]) -> float:
    """Share of pairs whose clean sentence is answered with the right one of the two names."""
    import torch

    from plumbrule.lab.specimens import prompt_text

    right = 0
    with torch.no_grad():
        for pair in pairs:
            text = prompt_text((Message("user", pair.clean),))
            ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
            logits = module(input_ids=ids, use_cache=False).logits[0, -1]
            good, bad = (
                tokenizer(name, add_special_tokens=False)["input_ids"][0]
                for name in (pair.right, pair.wrong)
            )
            right += bool(logits[good] > logits[bad]) and int(logits.argmax()) == good
    return right / len(pairs)
