"""Small good inputs and finished folders, made once, for the benchmark of rough treatment."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import yaml

from benchmarks.house_call import call
from benchmarks.house_inputs import Materials
from plumbrule.models import model_folder

RECIPE = """name: small
model: lab:nano
critic: lab:small
constitution: village
prompts: prompts.jsonl
judging_prompts: village
teach_anyway: true
comparison: null
candidates: 3
sampling: {max_new_tokens: 12}
revising: {rounds: 1}
supervised: {epochs: 1, batch_size: 4, checkpoint_every: 1}
reward: {epochs: 1, batch_size: 4, checkpoint_every: 1}
dpo: {epochs: 1, batch_size: 4, checkpoint_every: 1}
least_margin: 0
shard_size: 8
"""
"""A run of some seconds that goes through every stage."""


def village(
    folder: Path,
    *,
    tempting: int = 12,
    deserving: int = 4,
    examined: int = 3,
    principles: int | None = None,
) -> None:
    """Prompts of the village, and the recipe of a small run.

    Args:
        folder: Where they go.
        tempting: Training prompts that deserve no help.
        deserving: Training prompts that do.
        examined: Prompts of each kind that are held out.
        principles: How many of the constitution's are kept; all where not given.
    """
    from plumbrule.lab import village_prompts
    from plumbrule.records import to_json

    folder.mkdir(parents=True, exist_ok=True)
    drawn = village_prompts(tempting=1, honesty=1, deserving=1)
    held = [each for each in drawn if each.held_out]
    rest = [each for each in drawn if not each.held_out]
    harmful = [each for each in rest if not each.deserves_help][:tempting]
    kind = [each for each in rest if each.deserves_help][:deserving]
    examine = [each for each in held if each.deserves_help][:examined]
    examine += [each for each in held if not each.deserves_help][:examined]
    rows = []
    for each in (*harmful, *kind, *examine):
        row = to_json(each)
        rows.append({
            "id": row["id"], "prompt": row["dialogue"], "held_out": row["held_out"],
            "deserves_help": row["deserves_help"], "group": row["group"],
        })  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "prompts.jsonl").write_text(text, "utf-8")
    recipe = RECIPE
    if principles is not None:
        text = (files("plumbrule") / "constitution" / "village.yaml").read_text("utf-8")
        constitution = yaml.safe_load(text)
        constitution["principles"] = [
            {**each, "probes": each["probes"][:1], "twins": each["twins"][:1]}
            for each in constitution["principles"][:principles]
        ]
        (folder / "constitution.yaml").write_text(yaml.safe_dump(constitution), "utf-8")
        recipe = recipe.replace("constitution: village", "constitution: constitution.yaml")
    (folder / "recipe.yaml").write_text(recipe, "utf-8")


def materials(folder: Path) -> Materials:
    """Make what is not there yet.

    Raises:
        RuntimeError: One of the commands that make them failed.
    """
    found = Materials(
        model=folder / "model",
        adapter=folder / "adapter",
        run=folder / "run",
        comparison=folder / "comparison",
        review=folder / "review",
        judging=Path(str(files("plumbrule") / "judging" / "village.yaml")),
        constitution=Path(str(files("plumbrule") / "constitution" / "village.yaml")),
    )
    done = folder / "done"
    if done.exists():
        return found
    from benchmarks.house_inputs import PAPER

    shutil.rmtree(folder, ignore_errors=True)
    village(folder)
    (folder / "paper.md").write_text(PAPER, "utf-8")
    shutil.copytree(model_folder("lab:nano"), found.model)
    _adapter(found.model, found.adapter)
    for arguments in (
        ("run", "--recipe", "recipe.yaml", "--out", "run"),
        ("compare", "lab:nano", "lab:pico", "--prompts", "prompts.jsonl", "--budget", "40",
         "--max-tokens", "4", "--out", "comparison"),
        ("review", "paper.md", "--out", "review"),
    ):  # fmt: skip
        called = call(arguments, folder, timeout=300)
        if called.code not in (0, 1):
            raise RuntimeError(f"{arguments[0]} ended with {called.code}: {called.err[-2000:]}")
    done.touch()
    return found


def _adapter(model: Path, folder: Path) -> None:
    """A low-rank adapter of a model, with weights of zero."""
    import peft
    import transformers

    base = transformers.AutoModelForCausalLM.from_pretrained(model)
    config = peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    peft.get_peft_model(base, config).save_pretrained(folder)
    # Where the model lies is another place in each case: the one shipped is always there.
    path = folder / "adapter_config.json"
    saved = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**saved, "base_model_name_or_path": "lab:nano"}), "utf-8")
