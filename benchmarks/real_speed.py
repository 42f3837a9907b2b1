"""Speed on real weights against the usual tools: `python -m benchmarks.real_speed`.

Sampling against `model.generate`, LoRA against TRL, scoring and choosing against reading every text
whole; the same weights, prompts and threads, in one process, in turn.
"""

import argparse
import importlib
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.real_ground import model_path, open_real, pool, why_absent
from benchmarks.rows import Row, show, spread, with_earlier
from plumbrule.models import LocalModel, Sampling
from plumbrule.records import Dialogue, Exchange, Message
from plumbrule.training import LoraSettings, SupervisedTraining, train_supervised

Clock = Literal["wall", "cpu"]
Timed = Callable[[int], float]

QUESTIONS = (
    "Does the text ask for something that could harm a person? Answer with A for yes, B for no.",
    "Is the text polite? Answer with A for yes or B for no.",
    "Does the text ask about a fact that can be looked up? Answer with A for yes, B for no.",
    "Is the text written in English, without words of other languages? A for yes, B for no.",
)

_SECONDS = {"wall": time.perf_counter, "cpu": time.process_time}


def ratios(ours: Timed, theirs: Timed, repetitions: int) -> list[float]:
    """How many times the peer's time ours is faster, in turn, so that noise hits both."""
    ours(0), theirs(0)  # warm up
    found = []
    for seed in range(repetitions):
        first, second = (ours, theirs) if seed % 2 else (theirs, ours)
        seconds = {first: first(seed)}
        seconds[second] = second(seed)
        found.append(seconds[theirs] / seconds[ours])
        print(f"  {seconds[ours]:.2f} s against {seconds[theirs]:.2f} s", flush=True)
    return found


def sampling_rows(model: LocalModel, *, repetitions: int, quick: bool, clock: Clock) -> list[Row]:
    """Replies of exactly 64 tokens, and of at most as many, ours and `model.generate`'s."""
    replies, tokens = (16, 12) if quick else (64, 64)
    dialogues = [prompt.dialogue for prompt in pool(replies, 0)]
    stops = model.chat.stops
    rows = []
    for ends in (False, True):
        model.chat.stops = stops if ends else frozenset()
        rows.append(_sampling_row(model, dialogues, tokens, repetitions, clock))
    model.chat.stops = stops
    return rows


def _sampling_row(
    model: LocalModel, dialogues: Sequence[Dialogue], tokens: int, repetitions: int, clock: Clock
) -> Row:
    count, ends = len(dialogues), sorted(model.chat.stops)

    def ours(seed: int) -> float:
        started = _SECONDS[clock]()
        model.sample(
            dialogues, sampling=Sampling(max_new_tokens=tokens), seeds=range(seed, seed + count)
        )
        return _SECONDS[clock]() - started

    def theirs(seed: int, batch: int) -> float:
        torch.manual_seed(seed)
        started = _SECONDS[clock]()
        _generate(model, dialogues, batch, tokens, ends)
        return _SECONDS[clock]() - started

    best = min((count // 4, count // 2, count), key=lambda size: theirs(0, size))
    print(f"  generate is fastest in batches of {best}", flush=True)
    return _row(
        f"sampling {count} replies of {'at most ' if ends else ''}{tokens} tokens over "
        f"`generate` in batches of {best}",
        ratios(ours, lambda seed: theirs(seed, best), repetitions),
        target=None if ends else 1.2,
    )


def _generate(
    model: LocalModel, dialogues: Sequence[Dialogue], batch: int, tokens: int, ends: list[int]
) -> list[str]:
    """What a user of the library writes."""
    tokenizer = model.tokenizer
    tokenizer.padding_side = "left"
    texts = tokenizer.apply_chat_template(
        [_messages(dialogue) for dialogue in dialogues], tokenize=False, add_generation_prompt=True
    )
    replies: list[str] = []
    for at in range(0, len(texts), batch):
        given = tokenizer(
            texts[at : at + batch], return_tensors="pt", padding=True, add_special_tokens=False
        )
        with torch.inference_mode():
            found: Any = model.module.generate(
                **given,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=tokens,
                min_new_tokens=None if ends else tokens,
                eos_token_id=ends or None,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = found[:, given["input_ids"].shape[1] :]
        replies += tokenizer.batch_decode(new, skip_special_tokens=True)
    return replies


def reading_rows(model: LocalModel, *, repetitions: int, quick: bool, clock: Clock) -> list[Row]:
    """Scoring and choosing with common beginnings computed once, over reading every text whole."""
    texts, judged, questions = (6, 2, QUESTIONS) if quick else (24, 6, QUESTIONS * 4)
    dialogues = [prompt.dialogue for prompt in pool(texts, 1)]
    replies = ["I'm sorry, but I can't help with that.", "Yes. Here is how it is done.", "No."]
    asked = [
        (Message("user", f"Read this text.\n\n{_long(dialogue)}\n\nQuestion: {question}"),)
        for dialogue in dialogues[:judged]
        for question in questions
    ]
    shared = model.capabilities
    plain = replace(shared, shares=False)

    def timed(what: Callable[[], Any]) -> tuple[Timed, Timed]:
        def under(route: Any) -> Timed:
            def run(seed: int) -> float:
                model._capabilities = route
                started = _SECONDS[clock]()
                what()
                return _SECONDS[clock]() - started

            return run

        return under(shared), under(plain)

    choosing = timed(lambda: model.choose(asked, ("A", "B"), seeds=[0] * len(asked)))
    scoring = timed(
        lambda: model.score(
            [dialogue for dialogue in dialogues for _ in replies], replies * len(dialogues)
        )
    )
    named = {
        f"choosing, {judged} texts x {len(questions)} questions, over reading all whole": (
            choosing,
            None if quick else 5.0,
        ),
        f"scoring {len(replies)} replies to each of {texts} prompts, over reading all whole": (
            scoring,
            None,
        ),
    }
    rows = [
        _row(name, ratios(*pair, repetitions), target=target)
        for name, (pair, target) in named.items()
    ]
    model._capabilities = shared
    return rows


def _long(dialogue: Dialogue) -> str:
    """A text of some 150 words, as the reply of a model is."""
    words = dialogue[-1].content.split()
    return " ".join((words * (150 // len(words) + 1))[:150])


def training_rows(model: LocalModel, *, repetitions: int, quick: bool, clock: Clock) -> list[Row]:
    """A LoRA run, whole call less loading, ours over TRL's SFTTrainer."""
    count, batch = (8, 4) if quick else (32, 8)
    prompts = pool(count, 2)
    drawn = model.sample(
        [prompt.dialogue for prompt in prompts],
        sampling=Sampling(max_new_tokens=12 if quick else 64),
        seeds=range(count),
    )
    examples = [
        Exchange(id=prompt.id, dialogue=prompt.dialogue, response=each.text or "Yes.", model="it")
        for prompt, each in zip(prompts, drawn, strict=True)
    ]
    folder = model_path("smollm2")

    def ours(seed: int) -> float:
        settings = SupervisedTraining(
            learning_rate=1e-4,
            epochs=1,
            batch_size=batch,
            max_tokens=512,
            lora=LoraSettings(rank=8, alpha=16),
        )
        with tempfile.TemporaryDirectory() as out:
            started = _SECONDS[clock]()
            train_supervised(
                folder, examples, settings=settings, out=Path(out) / "model", seed=seed
            )
            return _SECONDS[clock]() - started

    def theirs(seed: int) -> float:
        with tempfile.TemporaryDirectory() as out:
            started = _SECONDS[clock]()
            _trl(folder, examples, batch, seed, out)
            return _SECONDS[clock]() - started

    found = ratios(ours, theirs, repetitions)
    measure = f"LoRA on {count} examples, steps of {batch}, the whole call, over TRL's SFTTrainer"
    return [_row(measure, found, target=1.2)]


def _trl(folder: Path, examples: Sequence[Exchange], batch: int, seed: int, out: str) -> None:
    """TRL as it comes, but for what would be unfair: 32-bit like ours, no logs, no checkpoints."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(folder),
        args=SFTConfig(
            learning_rate=1e-4,
            num_train_epochs=1,
            per_device_train_batch_size=batch,
            max_length=512,
            seed=seed,
            output_dir=out,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": _messages(each.dialogue),
                    "completion": [{"role": "assistant", "content": each.response}],
                }
                for each in examples
            ]
        ),
        peft_config=LoraConfig(
            r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.train()
    trainer.save_model(out)


def _messages(dialogue: Dialogue) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in dialogue]


def _row(measure: str, values: Sequence[float], *, target: float | None) -> Row:
    return spread(
        measure,
        values,
        unit="ratio",
        seeds=list(range(len(values))),
        target="" if target is None else f">= {target}x",
        met=None if target is None else lambda value: value >= target,
        worst=statistics.median,
    )


def inside_rows(quick: bool) -> list[Row]:
    """Capture and patching, where that part is there."""
    if importlib.util.find_spec("benchmarks.real_speed_inside") is None:
        return []
    found: list[Row] = importlib.import_module("benchmarks.real_speed_inside").inside_rows(quick)
    return found


PARTS = {"sampling": sampling_rows, "reading": reading_rows, "training": training_rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small tasks, two repetitions")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--threads", type=int, default=2, help="for every side's arithmetic")
    parser.add_argument(
        "--clock", choices=tuple(_SECONDS), default="wall", help="cpu where others use the machine"
    )
    parser.add_argument("--only", nargs="*", choices=(*PARTS, "inside"), help="these parts alone")
    given = parser.parse_args(arguments)
    reason = why_absent("smollm2", data=True)
    if reason:
        parser.exit(0, f"skipped: {reason}\n")
    torch.set_num_threads(given.threads)
    model = open_real("smollm2")
    assert isinstance(model, LocalModel)
    repetitions = 2 if given.quick else 5
    rows: list[Row] = []
    for name in given.only or (*PARTS, "inside"):
        print(name, flush=True)
        if name == "inside":
            rows += inside_rows(given.quick)
            continue
        rows += PARTS[name](model, repetitions=repetitions, quick=given.quick, clock=given.clock)
    rows = with_earlier(rows, given.json) if given.only else rows
    show(f"Speed on real weights, {given.threads} threads", rows, given.json)


if __name__ == "__main__":
    main()
