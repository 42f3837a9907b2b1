"""What a user asked to have closed: a recipe file or a finished run, as a loop is given it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from plumbrule.constitution import Constitution, Principle, load_constitution
from plumbrule.data import constitution_prompts, read_demonstrations, read_prompt_file
from plumbrule.data.files import read_rows
from plumbrule.data.forms import dialogue_of
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.files import parse_yaml, read_small_text
from plumbrule.judging import PromptSet, grade, load_prompts
from plumbrule.loop.align import PROMPTS
from plumbrule.loop.amendable import open_finished
from plumbrule.loop.asking import model_asker
from plumbrule.loop.config import read_config
from plumbrule.loop.looping import LoopOutcome, loop_and_report
from plumbrule.loop.remedies import (
    LoopGround,
    LoopSettings,
    PersonsWord,
    PrincipleJudge,
    ReplyWriter,
    RequestWriter,
)
from plumbrule.loop.sizes import settle_adapters
from plumbrule.loop.suspicions import read_suspicions
from plumbrule.models import LanguageModel, Sampling, model_folder, open_model
from plumbrule.records import Dialogue, Exchange, Prompt, problems_of, read_jsonl, strict
from plumbrule.store import Tell, derive_seed, fingerprint, silent
from plumbrule.training import Revising, RevisionTrail, critique_and_revise, sift_revisions

VILLAGE = "village"
"""Names the lab's constitution, its prompts, its answer key and whoever knows its facts."""


@dataclass(frozen=True, kw_only=True)
class KnownWorld:
    """A world in which truth is known: who judges there, who writes, and what is asked."""

    judge: PrincipleJudge
    writer: ReplyWriter
    prompts: Callable[[int], Sequence[Prompt]]
    """What is asked, by a seed."""

    asker: RequestWriter | None = None
    """Who writes further requests; None: nobody."""


@strict
@dataclass(frozen=True, kw_only=True)
class LoopRecipe:
    """A loop as a YAML file states it; paths are relative to the file."""

    name: str = ""
    """Title of the page."""

    constitution: str
    """YAML file, or the name of a shipped one."""

    base: str
    """What training starts from: hub id, folder or `lab:NAME`."""

    model: str | None = None
    """A trained model; None: the base is trained on `data` first."""

    data: str | None = None
    """Training examples: conversations that end with a reply, or prompts with one beside."""

    prompts: tuple[str, ...] = ()
    """Files of prompts, or `village`; the constitution's own probes and twins come with them."""

    judge: str
    """Model that says which principles a reply breaks; or `village`, the lab's answer key."""

    writer: str | None = None
    """Model that drafts and mends replies by the constitution, and writes further requests; or
    `village`. None: the base."""

    judging_prompts: str = "default"
    """What both are asked in."""

    library: tuple[str, ...] = ()
    """Constitutions from which a principle may be taken where people miss one."""

    labels: str | None = None
    """What people said of the model's replies: rows of `prompt`, `reply`, `acceptable`, `note`."""

    findings: tuple[str, ...] = ()
    """What other verbs found: output folders of `comply`, `redteam`, `watch`, `inspect verdict` and
    `compare`, or files of hits."""

    device: str = "auto"
    settings: LoopSettings = field(default_factory=LoopSettings)


_adapter = TypeAdapter(LoopRecipe)


def read_recipe(path: Path) -> LoopRecipe:
    """Read a loop's recipe.

    Raises:
        ConfigError: There is no file, or a field is unknown, missing or out of range.
    """
    content = parse_yaml(read_small_text(path, "a loop's recipe"), str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold fields such as `constitution: …`, got {content!r:.60}")
    try:
        return _adapter.validate_json(json.dumps(content))
    except (ValidationError, TypeError) as error:
        said = problems_of(error) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"{path} is not a loop's recipe: {said}. docs/loop.md lists the fields."
        ) from error


def ground_of(recipe: LoopRecipe, where: Path, *, world: KnownWorld | None = None) -> LoopGround:
    """Open all that a recipe names.

    Args:
        recipe: The recipe.
        where: Folder that its paths are relative to.
        world: What `village` stands for.

    Raises:
        PlumbruleError: Something that it names is not there, or is something else.
    """
    if recipe.model is None and recipe.data is None:
        raise ConfigError(
            "expected `model`, a trained model, or `data` to train the base on; the recipe has "
            "neither. `plumbrule run` trains on a constitution; give its models/final as `model`"
        )
    law = load_constitution(_path(recipe.constitution, where))
    suspicions = read_suspicions([where / name for name in recipe.findings], law)
    data: Sequence[Exchange] = ()
    if recipe.data is not None:
        data = read_demonstrations(where / recipe.data).examples
    words = load_prompts(_path(recipe.judging_prompts, where))
    base = _folder(recipe.base, where)
    model = None if recipe.model is None else _folder(recipe.model, where)
    judge, judge_identity = _judge(_path(recipe.judge, where), words, recipe, world)
    writer_name = recipe.writer or recipe.base
    writer, writer_identity, asker, asker_identity = _writers(
        _path(writer_name, where), words, judge, recipe, world
    )
    library: list[Principle] = []
    for name in recipe.library:
        library += load_constitution(_path(name, where)).principles
    return LoopGround(
        constitution=law,
        base=base,
        model=model,
        data=data,
        prompts=suspicions.free_of(_prompts(recipe, law, where, world)),
        judge=judge,
        judge_identity=judge_identity,
        writer=writer,
        writer_identity=writer_identity,
        asker=asker,
        asker_identity=asker_identity,
        library=library,
        words=() if recipe.labels is None else read_labels(where / recipe.labels),
        suspicions=suspicions,
        device=recipe.device,
    )


def ground_of_run(
    run: Path,
    recipe_changes: Mapping[str, Any] | None = None,
    *,
    world: KnownWorld | None = None,
) -> LoopGround:
    """A finished run's last model, constitution and prompts, as a loop is given them.

    Args:
        run: Folder of a finished `plumbrule run`.
        recipe_changes: Fields of `LoopRecipe` in place of the run's own, such as `data`, `labels`,
            `library`, `judge`.
        world: What `village` stands for.

    Raises:
        PlumbruleError: The run has not ended, or its files are not what it recorded.
    """
    opened = open_finished(run)
    config = opened.config
    village = config.prompts == VILLAGE
    fields: dict[str, Any] = {
        "constitution": str(run / "constitution.yaml"),
        "base": config.model,
        "model": str(run / "models" / "final"),
        "judge": VILLAGE if village else config.judge or config.critic or config.model,
        "writer": VILLAGE if village else config.critic or config.model,
        "judging_prompts": config.judging_prompts,
        "device": config.device,
    }
    given = {name: each for name, each in (recipe_changes or {}).items() if each}
    recipe = LoopRecipe(**{**fields, **given})
    ground = ground_of(recipe, Path(), world=world)
    asked = read_jsonl(Prompt, run / PROMPTS)
    return replace(
        ground,
        constitution=opened.constitution,
        prompts=ground.suspicions.free_of([*asked, *ground.prompts]),
    )


def loop_recipe(
    recipe: Path,
    out: Path,
    *,
    rounds: int | None = None,
    world: KnownWorld | None = None,
    command: str = "plumbrule loop",
    tell: Tell = silent,
) -> LoopOutcome:
    """Close the loop that a recipe states.

    Args:
        recipe: The YAML file.
        out: Folder of the loop; one that was interrupted goes on.
        rounds: Most rounds, in place of the recipe's.
        world: What `village` stands for.
        command: What the user typed, for the page.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    chosen = read_recipe(recipe)
    settings = chosen.settings if rounds is None else replace(chosen.settings, rounds=rounds)
    return loop_and_report(
        ground_of(chosen, recipe.parent, world=world),
        settings,
        out,
        title=chosen.name,
        command=command,
        tell=tell,
    )


def remedy_run(
    run: Path,
    out: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    world: KnownWorld | None = None,
    command: str = "plumbrule remedy",
    tell: Tell = silent,
) -> LoopOutcome:
    """Answer what is wrong with a finished run's last model: one round of the loop.

    Args:
        run: The run's folder; nothing in it is changed.
        out: Folder of the remedies; one that was interrupted goes on.
        settings: Of `LoopSettings`, in place of one round and of what the run was trained with.
        changes: As for `ground_of_run`.
        world: What `village` stands for.
        command: What the user typed, for the page.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    config = read_config(run / "config.yaml", {}) if (run / "config.yaml").is_file() else None
    usual: dict[str, Any] = {"rounds": 1}
    if config is not None:
        config, _ = settle_adapters(config)
        usual |= {
            "learning_rate": config.supervised.learning_rate,
            "max_tokens": config.supervised.max_tokens,
            "micro_batch_size": config.supervised.micro_batch_size,
            "batch_size": config.supervised.batch_size,
            "lora": config.supervised.lora,
            "sampling": config.sampling,
            "seed": config.seed,
        }
    chosen = LoopSettings(**{**usual, **(settings or {})})
    ground = ground_of_run(run, {**(changes or {}), "settings": chosen}, world=world)
    return loop_and_report(
        ground, chosen, out, title=f"Remedies for {run.name}", command=command, tell=tell
    )


def read_labels(path: Path) -> list[PersonsWord]:
    """What people said of replies.

    Args:
        path: Rows with `prompt` or `messages`, `reply`, `acceptable` (true or false) and perhaps
            `note`.

    Raises:
        DataError: There is no such file, or a row says something else.
    """
    found = []
    for place, row in read_rows(path, "labels", "labels"):
        reply, fine = row.get("reply"), row.get("acceptable")
        if not isinstance(reply, str) or not isinstance(fine, bool):
            raise DataError(
                f"{place} must have `reply`, a text, and `acceptable`, true or false, got "
                f"{reply!r:.40} and {fine!r:.40}"
            )
        dialogue = dialogue_of(row, place)
        key = fingerprint([[each.role, each.content] for each in dialogue] + [reply])
        found.append(
            PersonsWord(
                exchange=Exchange(
                    id=f"word {key[:16]}", dialogue=dialogue, response=reply, model="labeled"
                ),
                fine=fine,
                note=str(row.get("note") or ""),
            )
        )
    return found


def _path(name: str, where: Path) -> str:
    """A path relative to the recipe's folder where there is one; otherwise the name as it is."""
    there = where / name
    return str(there) if there.exists() and name != VILLAGE else name


def _folder(spec: str, where: Path) -> Path:
    folder = model_folder(_path(spec, where))
    if folder is None or not Path(folder).is_dir():
        raise ModelError(
            f"expected a model whose weights are at hand, {spec} is not; a loop trains it"
        )
    return Path(folder)


def _prompts(
    recipe: LoopRecipe, law: Constitution, where: Path, world: KnownWorld | None
) -> list[Prompt]:
    found: list[Prompt] = []
    for name in recipe.prompts:
        if name == VILLAGE:
            found += _known(world).prompts(recipe.settings.seed)
        else:
            found += read_prompt_file(where / name).prompts
    if VILLAGE not in recipe.prompts:
        found += constitution_prompts(law)
    return found


def _judge(
    spec: str, words: PromptSet, recipe: LoopRecipe, world: KnownWorld | None
) -> tuple[PrincipleJudge, str]:
    if spec == VILLAGE:
        return _known(world).judge, "the village's answer key"
    model = open_model(spec, device=recipe.device)
    return model_judge(model, words, recipe.settings.seed), f"{model.identity} {words.sha256}"


def _writers(
    spec: str,
    words: PromptSet,
    judge: PrincipleJudge,
    recipe: LoopRecipe,
    world: KnownWorld | None,
) -> tuple[ReplyWriter, str, RequestWriter | None, str]:
    """Who writes replies and who further requests, each with its identity; one model is both."""
    if spec == VILLAGE:
        known, who = _known(world), "whoever knows the village"
        return known.writer, who, known.asker, who
    model = open_model(spec, device=recipe.device)
    writer = model_writer(model, words, judge, recipe.settings.sampling)
    return writer, f"{model.identity} {words.sha256}", model_asker(model), model.identity


def _known(world: KnownWorld | None) -> KnownWorld:
    if world is None:
        raise ConfigError(
            "expected a world that knows the village, got none: from Python give "
            "`world=plumbrule.recipes.looping.village_world()`, or name a model"
        )
    return world


def model_judge(model: LanguageModel, words: PromptSet, seed: int) -> PrincipleJudge:
    """A model as judge of principles, asked under each by itself."""

    def judge(
        exchanges: Sequence[Exchange], principles: Sequence[Principle]
    ) -> list[dict[str, bool | None]]:
        law = Constitution(name="judged", version="1", principles=tuple(principles))
        seeds = [derive_seed(seed, each.id) % 2**31 for each in exchanges]
        found: list[dict[str, bool | None]] = [{} for _ in exchanges]
        judgments = grade(model, exchanges, law, prompts=words, seeds=seeds)
        for at, said in enumerate(judgments):
            if said.verdict != "not_applicable":
                found[at // len(principles)][said.principle_id] = {
                    "pass": False,
                    "fail": True,
                }.get(said.verdict)
        return found

    return judge


def model_writer(
    model: LanguageModel, words: PromptSet, judge: PrincipleJudge, sampling: Sampling
) -> ReplyWriter:
    """A model that drafts a reply and mends it under each principle that the judge finds broken.

    The principle that decides first is mended last. What came of it and is unfit to be imitated
    (`sift_revisions`) is no reply.
    """

    def write(law: Constitution, dialogues: Sequence[Dialogue], seed: int) -> list[str | None]:
        seeds = [derive_seed(seed, "draft", at) % 2**31 for at in range(len(dialogues))]
        drawn = model.sample(list(dialogues), sampling=sampling, seeds=seeds)
        mended = [
            RevisionTrail(
                first=Exchange(
                    id=str(at), dialogue=dialogue, response=one.text, model=model.identity
                ),
                rounds=(),
            )
            for at, (dialogue, one) in enumerate(zip(dialogues, drawn, strict=True))
        ]
        for principle in sorted(law.principles, key=lambda each: -each.tier):
            now = [replace(each.first, response=each.response) for each in mended]
            said = judge(now, [principle])
            wrong = [at for at, each in enumerate(said) if each.get(principle.id)]
            trails = critique_and_revise(
                model,
                [now[at] for at in wrong],
                law,
                prompts=words,
                settings=Revising(rounds=1, temperature=0.7),
                seed=derive_seed(seed, principle.id),
                under=[principle.id],
            )
            for at, trail in zip(wrong, trails, strict=True):
                mended[at] = replace(mended[at], rounds=(*mended[at].rounds, *trail.rounds))
        unfit = sift_revisions(mended).dropped
        return [None if each.first.id in unfit else each.response or None for each in mended]

    return write
