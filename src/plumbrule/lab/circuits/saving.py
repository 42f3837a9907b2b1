"""Models of known circuits as folders: weights, a tokenizer of their words, pairs, the truth."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumbrule.lab.circuits.tasks import CircuitModel
from plumbrule.store import write_atomic

PLAIN = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
"""A template for models that read words and know no turns."""


def save_circuit(model: CircuitModel, folder: Path, *, pairs: int, seed: int) -> None:
    """Save a model with what its circuit is measured on.

    Args:
        model: A model of known circuit.
        folder: Gets the model, `pairs.jsonl` and `truth.json`.
        pairs: Different pairs of prompts to draw.
        seed: Of the pairs.
    """
    words = [word.replace(" ", "-") for word in model.vocabulary]
    save_module(model.module, words, folder)
    drawn = dict.fromkeys(model.pairs(pairs, seed=seed))
    lines = [
        {
            "clean": " ".join(words[token] for token in pair.clean),
            "corrupted": " ".join(words[token] for token in pair.corrupted),
            "right": words[pair.right],
            "wrong": words[pair.wrong],
        }
        for pair in drawn
    ]
    write_pairs(lines, folder / "pairs.jsonl")
    truth = {
        "task": model.task.name,
        "description": model.task.description,
        "computation": model.task.computation,
        "nodes": dict(model.nodes),
        "edges": [f"{writer} -> {reader}" for writer, reader in model.edges],
    }
    write_atomic(folder / "truth.json", json.dumps(truth, indent=1) + "\n")


def save_module(module: Any, words: Sequence[str], folder: Path) -> None:
    """Save a model whose tokens are words, with a tokenizer that splits at spaces."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token=words[0]))
    core.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    tokenizer.chat_template = PLAIN
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_pairs(lines: Sequence[dict[str, str]], path: Path) -> None:
    """Pairs as `inspect circuit` reads them."""
    write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
