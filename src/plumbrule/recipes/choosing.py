"""What a user asked for: a run with its prompts and, in the village, its answer key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plumbrule.constitution import load_constitution
from plumbrule.data import (
    constitution_prompts,
    read_demonstrations,
    read_pairs,
    read_prompt_file,
)
from plumbrule.errors import ConfigError
from plumbrule.internalization import Subject
from plumbrule.lab import organisms
from plumbrule.loop import RECIPES, RunConfig, make_config, recipe_fields, to_mapping
from plumbrule.recipes.verdicts import village_subjects
from plumbrule.recipes.village import Recipe, village, village_oracle, village_requests
from plumbrule.records import Prompt


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A run, and what a reader should know of its prompts."""

    recipe: Recipe
    notes: tuple[str, ...] = ()
    """Such as how many rows repeat one another and were left out."""

    subjects: Callable[[], Sequence[Subject]] | None = None
    """Gives the principles of a verdict, by the answer key; None where there is none."""


def choose_run(given: Mapping[str, Any], recipes: Sequence[str | Path] = ()) -> Chosen:
    """The run that was asked for.

    Args:
        given: Fields of `RunConfig` that were named, such as `model`, `prompts`, `constitution`.
        recipes: YAML files with fields, `small`, or a way such as `rlhf`, each over the one before.
            Without a file and without `small`: the village's fields, or those of a run of one's own
            where `model` and `prompts` are named.

    Raises:
        ConfigError: Some of a run's own fields are missing, or one is out of range.
        DataError: The prompts cannot be read.
    """
    overrides = {name: value for name, value in given.items() if value is not None}
    fields: dict[str, Any] = {}
    for recipe in recipes:
        fields |= recipe_fields(Path(recipe))
    ways_alone = all(str(recipe) in RECIPES for recipe in recipes)
    if ways_alone:
        overrides = {**fields, **overrides}
    model = overrides.get("model")
    if not ways_alone:
        origin = " and ".join(str(recipe) for recipe in recipes)
        config = make_config({**fields, **overrides}, origin)
    elif model is None or "prompts" not in overrides:
        strange = {"prompts", "constitution"} & set(overrides)
        if strange or (model and not model.startswith("lab:")):
            raise ConfigError(
                "expected --model, --prompts and --constitution together, or none of them for "
                f"the village; got {', '.join(f'--{name}' for name in overrides)}"
            )
        config = make_config({**to_mapping(village().config), **overrides}, "the command line")
    else:
        defaults = {
            "constitution": "default",
            "name": f"{_TITLES[overrides.get('recipe', 'constitutional')]} of "
            f"{model.rstrip('/').rsplit('/', 1)[-1]}",
        }
        config = make_config({**defaults, **overrides}, "the command line")
    notes = _feedback_notes(config)
    if config.prompts == "village":
        prompts = village_requests(config.seed)
        chosen = Recipe(config=config, prompts=prompts, oracle=village_oracle)
        return Chosen(
            recipe=chosen, notes=notes, subjects=partial(village_subjects, seed=config.seed)
        )
    own = read_prompt_file(Path(config.prompts))
    tests = constitution_prompts(load_constitution(config.constitution))
    return Chosen(
        recipe=Recipe(config=config, prompts=[*own.prompts, *tests], oracle=None),
        notes=(*own.notes, *notes),
    )


_TITLES = {
    "constitutional": "Constitutional training",
    "rlhf": "Training on people's labels",
    "hybrid": "Training on people's labels and a critic's",
}


def _feedback_notes(config: RunConfig) -> tuple[str, ...]:
    """What is left out of the files of people's labels, found before any model is opened.

    Raises:
        DataError: One of them cannot be read.
    """
    notes: tuple[str, ...] = ()
    if config.human_pairs is not None:
        notes += read_pairs(Path(config.human_pairs)).notes
    if config.demonstrations is not None:
        notes += read_demonstrations(Path(config.demonstrations)).notes
    return notes


def comparison_prompts(
    path: Path | None, constitution: str | None, models: Sequence[str]
) -> tuple[list[Prompt], tuple[str, ...]]:
    """The prompts that a comparison is about, and what a reader should know of them.

    Args:
        path: A file of prompts.
        constitution: One whose probes and twins are prompts too.
        models: Names of the models; between models of the lab the village's prompts are used
            where neither file nor constitution is given.

    Raises:
        ConfigError: There are none.
        DataError: The file cannot be read.
    """
    found: list[Prompt] = []
    notes: tuple[str, ...] = ()
    if path is not None:
        given = read_prompt_file(path)
        found += given.prompts
        notes = tuple(given.notes)
    if constitution is not None:
        found += constitution_prompts(load_constitution(constitution))
    if not found and any(model.startswith("lab:") for model in models):
        found = list(organisms.pool())
    if not found:
        raise ConfigError(
            "expected prompts that the models are used with: give --prompts FILE.jsonl, with lines "
            'such as {"prompt": "How do I …?"}, or --constitution; some hundred of them at least'
        )
    return found, notes
