"""What a user asked for: a run with its prompts and, in the village, its answer key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.constitution import load_constitution
from plumbrule.data import constitution_prompts, read_prompt_file
from plumbrule.errors import ConfigError
from plumbrule.lab import organisms
from plumbrule.loop import make_config, read_config, to_mapping
from plumbrule.recipes.village import Recipe, village, village_oracle, village_requests
from plumbrule.records import Prompt


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A run, and what a reader should know of its prompts."""

    recipe: Recipe
    notes: tuple[str, ...] = ()
    """Such as how many rows repeat one another and were left out."""


def choose_run(given: Mapping[str, Any], recipe: Path | None = None) -> Chosen:
    """The run that was asked for.

    Args:
        given: Fields of `RunConfig` that were named, such as `model`, `prompts`, `constitution`.
        recipe: YAML file with fields, or `small`; None: the village's, or those of a run of one's
            own where `model` and `prompts` are named.

    Raises:
        ConfigError: Some of a run's own fields are missing, or one is out of range.
        DataError: The prompts cannot be read.
    """
    overrides = {name: value for name, value in given.items() if value is not None}
    model = overrides.get("model")
    if recipe is not None:
        config = read_config(recipe, overrides)
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
            "name": f"Constitutional training of {model.rstrip('/').rsplit('/', 1)[-1]}",
        }
        config = make_config({**defaults, **overrides}, "the command line")
    if config.prompts == "village":
        prompts = village_requests(config.seed)
        return Chosen(recipe=Recipe(config=config, prompts=prompts, oracle=village_oracle))
    own = read_prompt_file(Path(config.prompts))
    tests = constitution_prompts(load_constitution(config.constitution))
    return Chosen(
        recipe=Recipe(config=config, prompts=[*own.prompts, *tests], oracle=None),
        notes=tuple(own.notes),
    )


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
