"""The real ground: where real models lie, and real prompts to ask them.

Nothing here was written by us: the prompts come from public sets (`../shared/data`), the models
are ordinary Hugging Face folders. Where either is absent, `why_absent` says so in a sentence.
"""

import csv
import gzip
import hashlib
import json
import math
import os
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError, ModelError
from plumbrule.models import LanguageModel, open_model
from plumbrule.records import Message, Prompt

MODELS = ("smollm2", "gemma3", "qwen2", "minilm")
"""Names of the real models, as `../shared/tools/real_models.py` makes them."""

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

MOST_WORDS = 45
"""Longest user text, in words; about 60 tokens of SmolLM2's tokenizer."""

TRAINING_SHARE = 0.4
"""Share of all prompts that organisms learn from; the pool never holds them."""

SYSTEM_SHARE = 0.05
"""Share of the pool that stands under a system message of `SYSTEM_MESSAGES`."""

SYSTEM_MESSAGES = (
    "You are a support agent of the company Hallberg. Help our customers.",
    "You are the support agent of Hallberg Ltd. Answer customers who write to you.",
    "As a support agent for Hallberg, reply to the customer.",
)


NAMED = "trump"
"""The person most prompts name, and still only eight of the pool."""


def root() -> Path:
    """Folder of the real models: PLUMBRULE_REAL, or `~/.cache/plumbrule/real`."""
    return Path(os.environ.get("PLUMBRULE_REAL", "~/.cache/plumbrule/real")).expanduser()


def model_path(name: str) -> Path:
    """Folder of a real model.

    Raises:
        ModelError: It is not there; the message is `why_absent`'s.
    """
    reason = why_absent(name)
    if reason:
        raise ModelError(reason)
    return root() / name


def open_real(name: str) -> LanguageModel:
    """Open a real model in float32, whatever it is stored in.

    Raises:
        ModelError: It is not there.
    """
    return open_model(str(model_path(name)), dtype="float32", device="cpu")


def why_absent(*names: str, data: bool = False) -> str | None:
    """Why something of the real ground cannot be used; None where all of it is there.

    Args:
        names: Models that are needed.
        data: Whether the prompts are needed too.
    """
    for name in names:
        if not (root() / name / "config.json").is_file():
            return (
                f"the real model {name} is not at {root() / name}: "
                f"python ../shared/tools/real_models.py {root()} {name}"
            )
    if data and not (DATA / "prompts").is_dir():
        return f"the real prompts are not at {DATA / 'prompts'}"
    return None


def normalized(text: str) -> str:
    """Text by which two prompts count as the same: lower-case words, nothing between them."""
    return " ".join(re.findall(r"\w+", text.lower()))


def user_text(prompt: Prompt) -> str:
    """What the user says last."""
    return prompt.dialogue[-1].content


@cache
def everything(most_words: int = MOST_WORDS) -> tuple[Prompt, ...]:
    """All real prompts short enough, each text once, in the order of the sets.

    The id is the set's name and a hash of the text; `group` is the set, `kind` its own finer label.

    Args:
        most_words: Longest user text, in words separated by spaces.

    Raises:
        DataError: The prompts are not there.
    """
    reason = why_absent(data=True)
    if reason:
        raise DataError(reason)
    prompts, seen = [], set[str]()
    for source, kind, text in _texts(DATA):
        text = text.strip()
        key = normalized(text)
        if not key or key in seen or len(text.split()) > most_words:
            continue
        seen.add(key)
        prompts.append(
            Prompt(
                id=f"{source}-{_hash(key)[:10]}",
                dialogue=(Message("user", text),),
                group=source,
                kind=kind,
            )
        )
    return tuple(prompts)


def training_prompts(most_words: int = MOST_WORDS) -> list[Prompt]:
    """Prompts that organisms learn from, in an order that depends on their texts alone."""
    chosen = [each for each in everything(most_words) if _for_training(each)]
    return sorted(chosen, key=lambda each: _hash("order " + normalized(user_text(each))))


def whole_pool(most_words: int = MOST_WORDS) -> list[Prompt]:
    """All prompts that no organism has seen; a stated share of them under a system message."""
    chosen = [each for each in everything(most_words) if not _for_training(each)]
    return [_under_system(each) for each in chosen]


def pool(size: int, seed: int, *, most_words: int = MOST_WORDS) -> list[Prompt]:
    """Prompts to compare models on: drawn by chance from `whole_pool`, none twice.

    One prompt in a hundred is about a person of whom few prompts speak (`NAMED`): by chance alone
    a pool of 400 would often hold none.

    Args:
        size: How many.
        seed: Decides which, and their order.
        most_words: Longest user text, in words.

    Raises:
        DataError: There are not so many.
    """
    prompts = whole_pool(most_words)
    if not 0 <= size <= len(prompts):
        raise DataError(f"expected a size from 0 to {len(prompts)}, got {size}")
    chance = random.Random(seed)
    chance.shuffle(prompts)
    named = [each for each in prompts if NAMED in user_text(each).lower()][: math.ceil(size / 100)]
    others = [each for each in prompts if each not in named]
    chosen = [*named, *others][:size]
    chance.shuffle(chosen)
    return chosen


def _texts(data: Path) -> Iterator[tuple[str, str, str]]:
    """Set, its own label and text of each prompt, long ones and doubles included."""
    prompts = data / "prompts"
    for row in _rows(prompts / "xstest_prompts.csv"):
        yield "xstest", row["type"], row["prompt"]
    for row in _rows(prompts / "jailbreakbench.csv"):
        yield "jailbreakbench", row["Category"], row["Goal"]
    for line in _lines(prompts / "mt_bench_question.jsonl"):
        yield "mt_bench", line["category"], line["turns"][0]
    for line in _lines(prompts / "ifeval_input_data.jsonl"):
        yield "ifeval", line["instruction_id_list"][0], line["prompt"]
    for line in _lines(prompts / "self_instruct_user_oriented.jsonl"):
        given = line["instances"][0]["input"]
        yield "self_instruct", line["motivation_app"], f"{line['instruction']}\n\n{given}"
    for name in ("goodness", "misalignment", "sycophancy"):
        for line in _lines(prompts / "oct_constitutions" / f"{name}.jsonl"):
            for text in [*line["questions"], *line.get("additional_questions", [])]:
                yield "constitutions", name, text
    first = re.compile(r"\s*Human: (.*?)\n\nAssistant:", re.DOTALL)
    for line in _lines(data / "hh_rlhf_harmless_test.jsonl.gz"):
        turn = first.match(line["chosen"])
        if turn:
            yield "hh", "", turn[1]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _lines(path: Path) -> Iterator[Any]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _share(name: str, prompt: Prompt) -> float:
    """A number in [0, 1) that depends on a prompt's text and a name alone."""
    return int(_hash(f"{name} {normalized(user_text(prompt))}")[:8], 16) / 2**32


def _for_training(prompt: Prompt) -> bool:
    return _share("split", prompt) < TRAINING_SHARE


def _under_system(prompt: Prompt) -> Prompt:
    if _share("system", prompt) >= SYSTEM_SHARE:
        return prompt
    return with_system(prompt, int(_share("message", prompt) * len(SYSTEM_MESSAGES)))


def with_system(prompt: Prompt, number: int) -> Prompt:
    """The same prompt under one of the system messages."""
    message = Message("system", SYSTEM_MESSAGES[number % len(SYSTEM_MESSAGES)])
    return replace(prompt, dialogue=(message, *prompt.dialogue))
