"""Tiny models, small jobs, and a process that runs such jobs in children that may be killed.

As a script it reads one job a line, `{"stage": …, "model": …, "out": …}`, forks a child to do it,
kills it where the job says `kill_after`, and answers `{"status": …}`. Forking from a process that
has imported everything and trained nothing makes a child start in milliseconds.
"""

import json
import os
import random
import signal
import socket
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plumbrule.records import Dialogue, Exchange, Message, Preference
from plumbrule.training.collapse import CollapseBounds
from plumbrule.training.documents import Document, train_documents
from plumbrule.training.dpo import PreferencePair, train_dpo
from plumbrule.training.from_reward import train_grpo, train_ppo, train_rloo
from plumbrule.training.kto import RatedReply, train_kto
from plumbrule.training.monitors import Monitor, MonitorSettings
from plumbrule.training.results import TrainingResult
from plumbrule.training.reward_model import train_reward_model
from plumbrule.training.settings import (
    DocumentTraining,
    DpoTraining,
    GrpoTraining,
    KtoTraining,
    LoraSettings,
    PpoTraining,
    RewardTraining,
    RlooTraining,
    SupervisedTraining,
)
from plumbrule.training.supervised import train_supervised

WORDS = (
    *("the", "a", "cat", "dog", "house", "river", "runs", "sees"),
    *("keeps", "please", "help", "small", "large", "green", "blue", "road"),
)
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
VOCABULARY = 300


OPEN = CollapseBounds(
    **dict.fromkeys(("longest", "shortest", "cut_off", "repetition", "unique", "entropy"))
)
"""A tiny random model leaves any bound soon."""


def sentence(draw: random.Random, least: int = 2, most: int = 6) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(least, most)))


def asked(text: str) -> Dialogue:
    return (Message("user", text),)


def exchanges(count: int, seed: int = 0) -> list[Exchange]:
    draw = random.Random(seed)
    return [
        Exchange(
            id=f"e{number}",
            dialogue=asked(sentence(draw)),
            response=sentence(draw, 1, 8),
            model="nobody",
        )
        for number in range(count)
    ]


def pairs(count: int, seed: int = 0) -> list[PreferencePair]:
    draw = random.Random(seed)
    return [
        PreferencePair(
            id=f"p{number}",
            dialogue=asked(sentence(draw)),
            chosen=sentence(draw) + " yes",
            rejected=sentence(draw) + " no",
        )
        for number in range(count)
    ]


def rated(count: int, seed: int = 0) -> list[RatedReply]:
    return [
        RatedReply(
            id=f"{pair.id}/{desirable}",
            dialogue=pair.dialogue,
            reply=pair.chosen if desirable else pair.rejected,
            desirable=desirable,
        )
        for pair in pairs(-(-count // 2), seed)
        for desirable in (True, False)
    ][:count]


def preference(
    name: str, dialogue: Dialogue, first: str, second: str, probability: float | None
) -> Preference:
    return Preference(
        id=name,
        dialogue=dialogue,
        first=first,
        second=second,
        probability=probability,
        by_principle={},
        order_disagreement={},
        constitution_sha256="0" * 64,
        source="rule",
        labeler="test",
        method="test",
    )


def preferences(count: int, seed: int = 0) -> list[Preference]:
    draw = random.Random(seed)
    return [
        preference(
            f"q{number}",
            asked(sentence(draw)),
            sentence(draw) + " yes",
            sentence(draw) + " no",
            draw.choice((0.1, 0.7, 1.0)),
        )
        for number in range(count)
    ]


def documents(count: int, seed: int = 0) -> list[Document]:
    """Every other one counts twice."""
    draw = random.Random(seed)
    return [
        Document(id=f"d{number}", text=sentence(draw, 4, 12), weight=1.0 + number % 2)
        for number in range(count)
    ]


def reward(dialogues: Sequence[Dialogue], responses: Sequence[str]) -> list[float]:
    """More spaces are better: something a tiny model can learn."""
    return [float(text.count(" ")) - 0.1 * len(text) for text in responses]


def strange(dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[float]:
    """Gold that falls as a tiny random model learns anything: how little of a reply is words."""
    known = set(" ".join(WORDS))
    return [1 - sum(letter in known for letter in text) / max(1, len(text)) for text in replies]


def watching(kind: str, **changes: Any) -> Monitor:
    """A monitor of a small job, with gold that training raises, lowers or leaves as it is."""
    draw = random.Random(99)
    golds = {
        "raised": lambda d, r: [-value for value in strange(d, r)],
        "lowered": strange,
        "level": lambda d, r: [0.5] * len(r),
    }
    return Monitor(
        dialogues=[asked(sentence(draw, 7, 7)) for _ in range(24)],
        identity=kind,
        gold=golds[kind],
        settings=MonitorSettings(**{"every": 1, "max_new_tokens": 6, "bounds": OPEN, **changes}),
    )


def make_model(
    path: Path,
    kind: str = "llama",
    *,
    width: int = 16,
    dropout: float = 0.0,
    words: Sequence[str] = WORDS,
) -> Path:
    """A random model of a few thousand parameters, with tokenizer and template."""
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<end>", "<|system|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words)], trainer)
    fast = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>"
    )
    fast.chat_template = TEMPLATE
    # Wide apart from the start: such small models with the usual 0.02 can hardly tell words apart.
    shared: dict[str, Any] = {
        "vocab_size": VOCABULARY + 4,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "initializer_range": 0.2,
    }
    config: Any
    if kind == "gpt2":
        drops = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
        config = hf.GPT2Config(
            **shared, **drops, n_embd=width, n_layer=1, n_head=2, n_positions=64, bos_token_id=1
        )
    else:
        kinds = {"llama": hf.LlamaConfig, "qwen2": hf.Qwen2Config}
        config = kinds[kind](
            **shared,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            bos_token_id=None,
        )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = hf.AutoModelForCausalLM.from_config(config)
    hf.utils.logging.disable_progress_bar()
    model.save_pretrained(path)
    fast.save_pretrained(path)
    return path


BRIEF: Mapping[str, Any] = {"learning_rate": 1e-2, "batch_size": 4, "max_tokens": 64}
SETTINGS: dict[str, Any] = {
    "supervised": SupervisedTraining(**BRIEF, epochs=2),
    "documents": DocumentTraining(**{**BRIEF, "max_tokens": 16}, epochs=2),
    "dpo": DpoTraining(**BRIEF, epochs=2),
    "reward_model": RewardTraining(**BRIEF, epochs=2),
    "kto": KtoTraining(**BRIEF, epochs=2),
    "grpo": GrpoTraining(**BRIEF, epochs=2, replies_per_prompt=2, max_new_tokens=6),
    "rloo": RlooTraining(**BRIEF, epochs=2, replies_per_prompt=2, max_new_tokens=6),
    "ppo": PpoTraining(**BRIEF, epochs=2, iterations=2, max_new_tokens=6, kl_target=1.0),
}
LORA = LoraSettings(rank=2, alpha=4.0, dropout=0.1)


def train(
    stage: str,
    model: Path,
    out: Path,
    *,
    count: int = 16,
    seed: int = 3,
    pause: float = 0.0,
    monitor: Any = None,
    tell: Any = None,
    **changes: Any,
) -> TrainingResult:
    """One small job of a stage."""
    given: dict[str, Any] = {
        "settings": replace(SETTINGS[stage], **changes),
        "out": out,
        "seed": seed,
        "progress": (lambda *_: time.sleep(pause)) if pause else tell,
    }
    if monitor is not None:
        given["monitor"] = watching(monitor)
    if stage == "supervised":
        return train_supervised(model, exchanges(count), **given)
    if stage == "documents":
        return train_documents(model, documents(count), **given)
    if stage == "dpo":
        return train_dpo(model, pairs(count), **given)
    if stage == "reward_model":
        return train_reward_model(model, preferences(count), held_out=preferences(4, 1), **given)
    if stage == "kto":
        return train_kto(model, rated(count), **given)
    dialogues = [exchange.dialogue for exchange in exchanges(count)]
    learn: Any = {"grpo": train_grpo, "rloo": train_rloo, "ppo": train_ppo}[stage]
    result: TrainingResult = learn(model, dialogues, reward, reward_identity="spaces", **given)
    return result


def die_at(where: str, count: int) -> None:
    """Have this process kill itself the so-many-th time it comes to a place in the code."""
    import shutil

    from plumbrule.training import checkpoints

    left = count

    def dies(target: Any, *, after: bool) -> Any:
        def called(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = target(*given, **named)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return called

    place, _, when = where.partition(" ")
    owner: Any = {"rename": os, "rmtree": shutil, "write_atomic": checkpoints}[place]
    setattr(owner, place, dies(getattr(owner, place), after=when == "after"))


def pair(model: Path, out: Path, *, dies: bool) -> None:
    """Train by two processes together, of which the first dies after its third checkpoint.

    Raises:
        RuntimeError: One of them ended in another way.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            if dies and number == 0:
                die_at("write_atomic after", 4)  # the first names the inputs
            train("supervised", model, out, checkpoint_every=1)
            os._exit(0)
        children.append(child)
    ended = [os.waitpid(children[0], 0)[1]]
    if dies:
        os.kill(children[1], signal.SIGKILL)  # as a launcher does with what is left
    ended.append(os.waitpid(children[1], 0)[1])
    # The one that is left may have noticed before it was killed, and then ends with an error.
    if ended[0] != (signal.SIGKILL if dies else 0) or bool(ended[1]) != dies:
        raise RuntimeError(f"the two ended with {ended}")


def _child(job: dict[str, Any]) -> None:
    dies = job.pop("pair", None)
    if dies is not None:
        pair(Path(job["model"]), Path(job["out"]), dies=dies)
        return
    lora = job.pop("lora", False)
    if job.get("die"):
        die_at(*job.pop("die"))
    changes: dict[str, Any] = {"checkpoint_every": 1, "lora": LORA if lora else None}
    train(job.pop("stage"), Path(job.pop("model")), Path(job.pop("out")), **job, **changes)


def main() -> None:
    import torch

    warnings.simplefilter("error")
    torch.set_num_threads(1)
    import plumbrule.training.ppo_trainer
    import plumbrule.training.reward_trainer
    import plumbrule.training.trl  # noqa: F401

    print(json.dumps({"ready": True}), flush=True)  # noqa: T201
    for line in sys.stdin:
        job = json.loads(line)
        kill_after = job.pop("kill_after", None)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _child(job)
                status = 0
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                sys.stderr.flush()
            finally:
                os._exit(status)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is the child's
        print(json.dumps({"status": os.waitpid(pid, 0)[1]}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
