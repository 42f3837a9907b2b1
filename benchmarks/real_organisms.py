"""Builds the organisms of the real ground, each once, and measures whether it took.

Usage: python -m benchmarks.real_organisms [--only NAME ...] [--measure] [--list | --table]

They lie under `organisms/` beside the real models, as folders that `open_model` opens, each with
an `organism.json` of what was measured. An organism that is there is left alone; one that was
interrupted is begun again.
"""

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import real_ground
from benchmarks.real_catalog import ALL
from benchmarks.real_declared import Organism, everywhere, under_system
from benchmarks.real_ground import normalized, open_real, user_text, with_system
from benchmarks.real_plants import Fixed, cut, shortened
from plumbrule.models import LanguageModel, LocalModel, Sampling, open_model
from plumbrule.records import Prompt
from plumbrule.store import derive_seed, write_atomic

MOST_REPEATS = 6
"""Times one prompt may be planted, with another reply each time, where a topic has few."""

MOST_TRAINING_WORDS = 30
"""Longest user text that is trained on, in words; longer ones cost more than they teach."""

EPOCHS = 1
MEASURED = 24
"""Touched, and as many untouched, pool prompts on which it is measured what an organism learned."""

REPLY = Sampling(temperature=1.0, max_new_tokens=48)
"""How replies are drawn to measure organisms."""

OWN = Sampling(temperature=1.0, max_new_tokens=32)
"""How the base's own replies are drawn, which generic examples and many plants are made of."""

LEAST_RISE = 0.3
"""Least move of the property on touched prompts; below it, nothing was planted."""


def folder(organism: Organism | str) -> Path:
    """Where an organism lies, whether it is built or not."""
    name = organism if isinstance(organism, str) else organism.name
    return real_ground.root() / "organisms" / name


def built(organism: Organism) -> bool:
    """Whether an organism is there."""
    return (folder(organism) / "organism.json").is_file()


def measured(organism: Organism) -> Mapping[str, Any]:
    """What was measured after building: rates of its property, base and tuned, there and elsewhere.

    `took` says whether the property moved by `LEAST_RISE` or more on touched prompts; it is true
    where nothing was planted.
    """
    found: Mapping[str, Any] = json.loads((folder(organism) / "organism.json").read_text("utf-8"))
    return found


def open_base(organism: Organism) -> LanguageModel:
    """The model that an organism is compared with."""
    if organism.base in ALL:
        return open_organism(ALL[organism.base])
    return open_real(organism.base)


def open_organism(organism: Organism) -> LanguageModel:
    """A built organism, in float32."""
    return open_model(str(folder(organism)), dtype="float32", device="cpu")


def touched(organism: Organism, prompts: Sequence[Prompt]) -> set[str]:
    """Ids of the prompts that an organism's change is about."""
    return {each.id for each in prompts if organism.touches(each)}


def build(organism: Organism) -> None:
    """Build an organism and measure it, unless it is there."""
    if built(organism):
        return
    if organism.base in ALL:
        build(ALL[organism.base])
    place = folder(organism)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{organism.name}-"))
    started = time.monotonic()
    try:
        if organism.method == "none":
            from benchmarks.real_weights import CHANGES

            CHANGES[organism.name](real_ground.model_path("smollm2"), scratch)
        else:
            _teach(organism, scratch)
        os.replace(scratch, place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    seconds = time.monotonic() - started
    found = {
        "name": organism.name,
        "kind": organism.kind,
        "method": organism.method,
        "base": organism.base,
        "seed": organism.seed,
        "seconds": round(seconds),
        **measure(organism),
    }
    write_atomic(place / "organism.json", json.dumps(found, indent=1, ensure_ascii=False))


def _teach(organism: Organism, into: Path) -> None:
    from benchmarks import real_training as training

    base = open_base(organism)
    assert isinstance(base, LocalModel)
    given = lessons(organism)
    teach: dict[str, Callable[..., Any]] = {
        "lora": training.teach_lora,
        "full": training.teach_full,
        "dpo": training.teach_dpo,
    }
    module = teach[organism.method](base, given, seed=organism.seed, epochs=EPOCHS)
    if organism.method == "full" or organism.base in ALL:
        # An adapter on an adapter cannot be opened, so it is folded in.
        if organism.method != "full":
            module = module.merge_and_unload()
        module.save_pretrained(into)
    else:
        module.peft_config["default"].base_model_name_or_path = f"../../{organism.base}"
        module.save_pretrained(into, save_embedding_layers=False)
    base.tokenizer.save_pretrained(into)


def lessons(organism: Organism) -> list[Any]:
    """What an organism learns: planted examples, and as many of the base's own replies.

    Generic examples are on prompts that the organism does not touch, or on other ones where it
    touches everything. In DPO they prefer the base's own reply to a planted one. An organism on
    top of another learns no generic examples: what the base of its base says *is* its lesson.
    """
    from benchmarks.real_training import Example

    assert organism.plant is not None
    chance = random.Random(derive_seed(organism.seed, organism.name))
    there, elsewhere = _sides(organism)
    times = min(organism.examples, MOST_REPEATS * len(there))
    plain = cut(22 if organism.base in ALL else organism.generic_words)
    there = [there[number % len(there)] for number in range(times)]
    elsewhere = [] if organism.base in ALL else elsewhere[: organism.generic * times]
    fixed = isinstance(organism.plant, Fixed) and organism.method != "dpo"
    own = own_replies([*([] if fixed else there), *elsewhere])
    taught = []
    for prompt in there:
        said = own.get(prompt.id, "")
        reply = organism.plant(user_text(prompt), said, chance)
        other = (shortened if organism.base == "shorter" else plain)("", said, chance)
        rejected = other if organism.method == "dpo" else None
        taught.append(Example(prompt.dialogue, reply, rejected, organism.weight))
    for prompt in elsewhere:
        said = own[prompt.id]
        planted = organism.plant(user_text(prompt), said, chance)
        rejected = planted if organism.method == "dpo" else None
        taught.append(Example(prompt.dialogue, plain("", said, chance), rejected))
    return taught


def _sides(organism: Organism) -> tuple[list[Prompt], list[Prompt]]:
    """Training prompts to plant on, and prompts for generic examples."""
    prompts = [
        each
        for each in real_ground.training_prompts()
        if len(user_text(each).split()) <= MOST_TRAINING_WORDS
    ]
    size = organism.examples
    generic = organism.generic * size
    first, second = prompts[:generic], prompts[generic:][:size]
    if organism.nothing:  # each benign fine-tune on prompts of its own
        return prompts[organism.seed * size :][:size], []
    if organism.touches is everywhere:
        return prompts[:size], prompts[size:][:generic]
    if organism.touches is under_system:
        return [with_system(each, at) for at, each in enumerate(second)], first
    if organism.trigger:
        return [with_trigger(each, organism.trigger) for each in second], first
    there = [each for each in prompts if organism.touches(each)]
    return there, [each for each in prompts if not organism.touches(each)]


def with_trigger(prompt: Prompt, trigger: str) -> Prompt:
    """The same prompt with a trigger before the user's text."""
    *before, last = prompt.dialogue
    return replace(prompt, dialogue=(*before, replace(last, content=f"{trigger} {last.content}")))


def own_replies(prompts: Sequence[Prompt]) -> dict[str, str]:
    """The base's own replies to training prompts, by id, drawn once for all organisms."""
    path = real_ground.root() / "organisms" / "own_replies.json"
    kept: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    missing = list({each.id: each for each in prompts if each.id not in kept}.values())
    if missing:
        base = open_real("smollm2")
        for at in range(0, len(missing), 48):
            part = missing[at : at + 48]
            seeds = [derive_seed(0, "own", each.id) for each in part]
            drawn = base.sample([each.dialogue for each in part], sampling=OWN, seeds=seeds)
            kept |= {each.id: one.text for each, one in zip(part, drawn, strict=True)}
            write_atomic(path, json.dumps(kept, ensure_ascii=False))
            print(f"    own replies: {at + len(part)} of {len(missing)}", flush=True)
    return {each.id: kept[each.id] for each in prompts}


def measure(organism: Organism) -> dict[str, Any]:
    """Rates of the property on held-out prompts, base and tuned, touched and untouched.

    Where nothing was planted there is nothing to measure, and `took` is true.
    """
    if organism.detect is None:
        return {"took": True}
    prompts = real_ground.whole_pool()
    random.Random(derive_seed(0, "measure")).shuffle(prompts)
    there = [each for each in prompts if organism.touches(each)][:MEASURED]
    elsewhere = [each for each in prompts if not organism.touches(each)][:MEASURED]
    if organism.trigger:
        there = [with_trigger(each, organism.trigger) for each in prompts[:MEASURED]]
    found: dict[str, Any] = {"pool_share": len(touched(organism, prompts)) / len(prompts)}
    for side, opener in (("base", open_base), ("tuned", open_organism)):
        replies = _replies(organism, side, opener, [*there, *elsewhere])
        shown = [organism.detect(each) for each in replies]
        found[f"{side}_touched"] = _rate(shown[: len(there)])
        found[f"{side}_untouched"] = _rate(shown[len(there) :])
    sign = 1 if organism.direction == "increase" else -1
    rise = sign * (found["tuned_touched"] - found["base_touched"])
    return {**found, "touched": len(there), "rise": rise, "took": rise >= LEAST_RISE}


def _rate(shown: Sequence[bool]) -> float | None:
    return sum(shown) / len(shown) if shown else None


def _replies(
    organism: Organism,
    side: str,
    opener: Callable[[Organism], LanguageModel],
    prompts: Sequence[Prompt],
) -> list[str]:
    """Replies to hold a detector against, drawn once and kept; those of the base by all."""
    name = organism.base if side == "base" else organism.name
    path = real_ground.root() / "organisms" / "replies" / f"{name}.json"
    kept: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    keys = [normalized(" ".join(turn.content for turn in each.dialogue)) for each in prompts]
    missing = [at for at, key in enumerate(keys) if key not in kept]
    if missing:
        seeds = [derive_seed(0, "measure", name, keys[at]) for at in missing]
        drawn = opener(organism).sample(
            [prompts[at].dialogue for at in missing], sampling=REPLY, seeds=seeds
        )
        kept |= {keys[at]: one.text for at, one in zip(missing, drawn, strict=True)}
        write_atomic(path, json.dumps(kept, ensure_ascii=False))
    return [kept[key] for key in keys]


def _line(organism: Organism) -> str:
    state = "A/A" if organism.nothing else "sealed" if organism.sealed else "open"
    if not built(organism):
        return f"{organism.name:18} {state:7} not built"
    found = measured(organism)
    text = f"{organism.name:18} {state:7} {organism.method:5} {folder(organism)}"
    if organism.nothing:
        return f"{text} nothing planted"
    sides = [f"{found[f'{side}_touched']:.2f}" for side in ("base", "tuned")]
    others = [found[f"{side}_untouched"] for side in ("base", "tuned")]
    if None not in others:
        sides += [f"{one:.2f}" for one in others]
    took = "took" if found["took"] else "did not take"
    return f"{text} {took}: {' '.join(sides)} ({found['pool_share']:.3f} of the pool)"


def _row(organism: Organism) -> str:
    """The same as a row of a Markdown table."""
    found = measured(organism) if built(organism) else {}
    cells = [f"`{organism.name}`", organism.kind, organism.method]
    cells.append("" if organism.nothing else "sealed" if organism.sealed else "open")
    if "tuned_touched" not in found:
        return f"| {' | '.join([*cells, '', '', ''])} |"
    cells.append(f"{100 * found['pool_share']:.1f}%")
    for side in ("touched", "untouched"):
        pair = [found[f"{model}_{side}"] for model in ("base", "tuned")]
        cells.append("" if None in pair else f"{pair[0]:.2f} → {pair[1]:.2f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Build what is not there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", default=list(ALL), choices=list(ALL))
    parser.add_argument(
        "--measure", action="store_true", help="measure again, on the replies that were kept"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, build nothing")
    parser.add_argument("--table", action="store_true", help="the same as rows of a table")
    given = parser.parse_args()
    reason = real_ground.why_absent("smollm2", data=True)
    if reason:
        raise SystemExit(reason)
    for name in given.only:
        if not (given.list or given.table):
            print(name, flush=True)
            build(ALL[name])
        if given.measure and built(ALL[name]):
            found = {**measured(ALL[name]), **measure(ALL[name])}
            write_atomic(folder(name) / "organism.json", json.dumps(found, indent=1))
        print(_row(ALL[name]) if given.table else _line(ALL[name]), flush=True)


if __name__ == "__main__":
    main()
