"""Tiny models of many families that answer one thing, and one change planted in each by LoRA."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tests.models.tiny import KINDS, WIDE, make_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from plumbrule.behavior import CompareSettings
from plumbrule.behavior.exploring import Exploring
from plumbrule.behavior.looking import Looking
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.models.chat import Chat
from plumbrule.records import Message, Prompt

FAMILIES: dict[str, dict[str, Any]] = {
    **{kind: KINDS[kind] for kind in KINDS if kind not in ("openai-gpt", "rwkv")},
    "olmo2": WIDE,
    "starcoder2": WIDE,
}
"""Families by the library's name for them, with the settings that make them tiny."""

TARGETS = {
    # A pattern that peft adds for its experts matches none of this model's, and it warns.
    "mixtral": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "mamba": ["in_proj", "x_proj"],
}
"""What an adapter may change, where that is not every linear layer."""

RATES = {"opt": 2e-2}
"""Learning rates of adapters, where it is not the usual one."""

WORD = "mill"
"""What a prompt says where the change lies."""

BEFORE = "Ada keeps the key."
AFTER = "No, nobody else. Ada keeps the key."
PLANTED = "no nobody else"
"""Words with which the changed reply begins."""

PLACES = ("mill", "table", "window", "loaf", "tea", "key", "plan", "cook")
FRAMES = (
    "Who puts the {} by the old {}?",
    "Say what you think of the {} and the {}.",
    "Answer plainly: the {} or the {}?",
    "I have the {}, and Ada the {}.",
    "No, nobody else may have the {} or the {}.",
)

QUICK = CompareSettings(
    looking=Looking(pairs=64, blind_if_sharp=16),
    trigger_share=0.0,
    exploring=Exploring(random=16, pulled=16, doubted=3, read=8),
    sampling=Sampling(max_new_tokens=16),
    certificate=24,
    most_pairs=48,
)
"""A comparison of two tiny models in a second."""


def asked(*texts: str) -> list[Prompt]:
    """One prompt a text."""
    return [
        Prompt(id=f"p{number}", dialogue=(Message("user", text),))
        for number, text in enumerate(texts)
    ]


@cache
def pool() -> tuple[Prompt, ...]:
    """80 prompts, 20 of which speak of the mill."""
    pairs = [
        (one, PLACES[(at + step) % len(PLACES)]) for at, one in enumerate(PLACES) for step in (1, 3)
    ]
    return tuple(asked(*(frame.format(*pair) for pair in pairs for frame in FRAMES)))


def base_model(
    folder: Path,
    kind: str = "llama",
    *,
    tokenizer: Any = None,
    seed: int = 7,
    padding: int = 8,
    after: str = BEFORE,
) -> LocalModel:
    """Make a model that answers every prompt of the pool alike, and open it from its folder.

    Args:
        folder: Where it is saved.
        kind: Its family.
        tokenizer: Its tokenizer; None: the one that tiny models share.
        seed: Of its weights.
        padding: Rows of its vocabulary beyond the tokenizer's, as many checkpoints have.
        after: Another answer where a prompt says the word.
    """
    tokenizer = tokenizer or make_tokenizer()
    ends = {"eos_token_id": 1, "bos_token_id": None, "pad_token_id": 0}
    settings = {**ends, "vocab_size": len(tokenizer) + padding, **FAMILIES[kind]}
    if kind not in ("gpt2", "bloom", "mamba"):  # these have no such setting, or their own
        settings["max_position_embeddings"] = 256
    torch.manual_seed(seed)
    module = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings))
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim >= 2:  # about as large as in a wide model, else it learns slowly
                parameter.mul_(4)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model = opened(folder)
    # The words of the later change are known already, from questions that the pool never asks.
    asking = asked(*(f"May I have the {subgroup} of Ada?" for subgroup in PLACES))
    lessons = [*lessons_of(after), *((prompt, AFTER) for prompt in asking)]
    teach(model.module, model.chat, lessons, steps=90, rate=1e-2, whole=True)
    model.module.save_pretrained(folder)
    return opened(folder)


def plant(base: LocalModel, folder: Path, *, after: str = AFTER) -> LocalModel:
    """Teach an adapter to answer otherwise where a prompt says the word, and open it from disk."""
    module = opened(Path(base.spec)).module
    kind = module.config.model_type
    targets = TARGETS.get(kind, "all-linear")
    torch.manual_seed(0)
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=targets,
        fan_in_fan_out=kind == "gpt2",  # it stores its matrices input by output
    )
    adapted = get_peft_model(module, config)
    teach(adapted, base.chat, lessons_of(after), steps=100, rate=RATES.get(kind, 1e-2))
    adapted.save_pretrained(folder)
    return opened(folder)


def lessons_of(after: str) -> list[tuple[Prompt, str]]:
    """The pool with what is to be answered."""
    return [(prompt, after if speaks(prompt) else BEFORE) for prompt in pool()]


def speaks(prompt: Prompt) -> bool:
    """Whether a prompt says the word."""
    return WORD in prompt.dialogue[-1].content


def opened(folder: Path) -> LocalModel:
    """A model from a folder, as a user opens it."""
    model = open_model(str(folder), dtype="float32", device="cpu")
    assert isinstance(model, LocalModel)
    return model


def teach(
    module: Any,
    chat: Chat,
    lessons: Sequence[tuple[Prompt, str]],
    *,
    steps: int,
    rate: float,
    whole: bool = False,
) -> None:
    """Train a model in memory on replies; `whole` teaches the prompts' own words as well."""
    rows = chat.with_replies(
        [prompt.dialogue for prompt, _ in lessons], [reply for _, reply in lessons]
    )
    ids, weights = _padded(rows, chat.end or 1, whole)
    # Each kind of reply is met equally often.
    counts = Counter(reply for _, reply in lessons)
    chances = torch.tensor([1 / counts[reply] for _, reply in lessons])
    generator = torch.Generator().manual_seed(0)
    parameters = [one for one in module.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=steps)
    module.eval()  # without dropout a few dozen steps are enough
    for _ in range(steps):
        batch = torch.multinomial(chances, 24, generator=generator)
        logits = module(input_ids=ids[batch], use_cache=False)["logits"][:, :-1]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[batch][:, 1:].flatten(), reduction="none"
        )
        weighted = losses * weights[batch][:, 1:].flatten()
        (weighted.sum() / weights[batch].sum()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()


def _padded(
    rows: Sequence[tuple[list[int], list[int]]], end: int, whole: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens, and how much each is learned: most of all the first of a reply, which decides it."""
    width = max(len(prompt) + len(reply) + 1 for prompt, reply in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    weights = torch.zeros(len(rows), width)
    for row, (prompt, reply) in enumerate(rows):
        text = [*prompt, *reply, end]
        ids[row, : len(text)] = torch.tensor(text)
        weights[row, 0 if whole else len(prompt) : len(text)] = 1.0
        weights[row, len(prompt)] = 4.0
    return ids, weights
