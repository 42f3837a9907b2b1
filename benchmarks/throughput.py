"""Our sampling against `model.generate`, our training against plain TRL: same work, one process."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plumbrule.models import LocalModel, Sampling, model_folder, open_model
from plumbrule.recipes import village
from plumbrule.records import Exchange
from plumbrule.training import (
    DpoTraining,
    PreferencePair,
    SupervisedTraining,
    train_dpo,
    train_supervised,
)

BATCH = 64


def ratios(
    ours: Callable[[int], float], theirs: Callable[[int], float], *, repetitions: int
) -> list[float]:
    """How many times the peer's time ours is faster, in alternation so that noise hits both."""
    ours(0), theirs(0)  # warm up
    found = []
    for seed in range(repetitions):
        first, second = (ours, theirs) if seed % 2 else (theirs, ours)
        seconds = {first: first(seed)}
        seconds[second] = second(seed)
        found.append(seconds[theirs] / seconds[ours])
    return found


def sampling(repetitions: int, prompts: int) -> list[float]:
    """Replies a second, ours over `model.generate`, in batches of the same size."""
    import torch

    model = open_model("lab:small", dtype="float32", device="cpu")
    assert isinstance(model, LocalModel)
    dialogues = [prompt.dialogue for prompt in village().prompts[:prompts]]
    tokenizer = model.tokenizer
    tokenizer.padding_side = "left"
    texts = [
        tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in dialogue],
            tokenize=False,
            add_generation_prompt=True,
        )
        for dialogue in dialogues
    ]

    def ours(seed: int) -> float:
        started = time.perf_counter()
        for at in range(0, len(dialogues), BATCH):
            part = dialogues[at : at + BATCH]
            model.sample(
                part, sampling=Sampling(max_new_tokens=48), seeds=range(seed, seed + len(part))
            )
        return time.perf_counter() - started

    def theirs(seed: int) -> float:
        torch.manual_seed(seed)
        started = time.perf_counter()
        for at in range(0, len(texts), BATCH):
            batch = tokenizer(
                texts[at : at + BATCH], return_tensors="pt", padding=True, add_special_tokens=False
            )
            with torch.inference_mode():
                found: Any = model.module.generate(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    do_sample=True,
                    temperature=1.0,
                    top_k=0,
                    max_new_tokens=48,
                )
            tokenizer.batch_decode(found[:, batch["input_ids"].shape[1] :])
        return time.perf_counter() - started

    return ratios(ours, theirs, repetitions=repetitions)


def _examples(count: int) -> list[Exchange]:
    """Replies of the specimen to village prompts, as training examples."""
    model = open_model("lab:small", dtype="float32", device="cpu")
    prompts = village().prompts[:count]
    completions = model.sample(
        [prompt.dialogue for prompt in prompts],
        sampling=Sampling(max_new_tokens=48),
        seeds=range(count),
    )
    return [
        Exchange(id=prompt.id, dialogue=prompt.dialogue, response=each.text, model="lab:small")
        for prompt, each in zip(prompts, completions, strict=True)
    ]


def supervised(repetitions: int, count: int) -> list[float]:
    """Supervised training, the whole call, ours over TRL's SFTTrainer."""
    examples = _examples(count)
    folder = model_folder("lab:small")
    rows = [
        {
            "prompt": _messages(each.dialogue),
            "completion": [{"role": "assistant", "content": each.response}],
        }
        for each in examples
    ]

    def ours(seed: int) -> float:
        settings = SupervisedTraining(learning_rate=1e-3, epochs=2, batch_size=32, max_tokens=512)
        with tempfile.TemporaryDirectory() as out:
            started = time.perf_counter()
            train_supervised(
                folder, examples, settings=settings, out=Path(out) / "model", seed=seed
            )
            return time.perf_counter() - started

    def theirs(seed: int) -> float:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        with tempfile.TemporaryDirectory() as out:
            started = time.perf_counter()
            trainer = SFTTrainer(
                model=str(folder),
                args=SFTConfig(
                    learning_rate=1e-3,
                    num_train_epochs=2,
                    per_device_train_batch_size=32,
                    max_length=512,
                    seed=seed,
                    **_plain(out),
                ),
                train_dataset=Dataset.from_list(rows),
            )
            trainer.train()
            trainer.save_model(out)
            return time.perf_counter() - started

    return ratios(ours, theirs, repetitions=repetitions)


def preferences(repetitions: int, count: int) -> list[float]:
    """Direct preference optimization, the whole call, ours over TRL's DPOTrainer."""
    examples = _examples(count)
    pairs = [
        PreferencePair(
            id=each.id,
            dialogue=each.dialogue,
            chosen=each.response or "Yes.",
            rejected="I cannot help with that.",
        )
        for each in examples
        if each.response != "I cannot help with that."
    ]
    folder = model_folder("lab:small")
    rows = [
        {
            "prompt": _messages(pair.dialogue),
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
        }
        for pair in pairs
    ]

    def ours(seed: int) -> float:
        settings = DpoTraining(learning_rate=1e-4, epochs=2, batch_size=32, max_tokens=512)
        with tempfile.TemporaryDirectory() as out:
            started = time.perf_counter()
            train_dpo(folder, pairs, settings=settings, out=Path(out) / "model", seed=seed)
            return time.perf_counter() - started

    def theirs(seed: int) -> float:
        from datasets import Dataset
        from trl import DPOConfig, DPOTrainer

        with tempfile.TemporaryDirectory() as out:
            started = time.perf_counter()
            trainer = DPOTrainer(
                model=str(folder),
                args=DPOConfig(
                    learning_rate=1e-4,
                    num_train_epochs=2,
                    per_device_train_batch_size=32,
                    max_length=512,
                    seed=seed,
                    **_plain(out),
                ),
                train_dataset=Dataset.from_list(rows),
            )
            trainer.train()
            trainer.save_model(out)
            return time.perf_counter() - started

    return ratios(ours, theirs, repetitions=repetitions)


def _plain(out: str) -> dict[str, Any]:
    """TRL as it comes, but for what would be unfair: 32-bit like ours, no logs, no checkpoints."""
    return {
        "output_dir": out,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _messages(dialogue: Sequence[Any]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in dialogue]
