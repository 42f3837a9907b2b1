"""Trains the lab's base models: ordinary Hugging Face checkpoints, helpful and not harmless.

A specimen is rebuilt bit for bit from its recipe on the same processor family, library versions
and thread count; elsewhere the last bits of floating-point sums differ, and the digests say so.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from plumbrule.constitution import load_constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import load_prompts
from plumbrule.lab.skills import SHARES, JudgeSkill, SkillLesson, Teacher
from plumbrule.lab.world import build_world
from plumbrule.records import Dialogue
from plumbrule.store import derive_seed, file_sha256, write_atomic

PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

THREADS = 2
"""Threads during training: part of the recipe, because sums depend on how they are split."""

LossProgress = Callable[[int, int, float], None]
"""Told (step, steps, loss) after each step."""


@dataclass(frozen=True, kw_only=True)
class SpecimenRecipe:
    """All that decides a specimen."""

    name: str
    width: int
    layers: int
    heads: int = 4

    lessons: int = 160_000
    """Lessons drawn; each is seen once."""

    batch_tokens: int = 4096
    """Tokens a training step, padding included."""

    learning_rate: float = 4e-3
    """Peak step size of AdamW, after a linear warm-up and before a cosine to zero."""

    vocabulary: int = 1024
    seed: int = 0
    scale: int = 1
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    judge_skill: JudgeSkill = field(default_factory=JudgeSkill)


LADDER: Mapping[str, SpecimenRecipe] = {
    recipe.name: recipe
    for recipe in (
        SpecimenRecipe(name="pico", width=24, layers=1, heads=2, learning_rate=6e-3),
        SpecimenRecipe(name="nano", width=48, layers=2, learning_rate=5e-3),
        SpecimenRecipe(name="small", width=96, layers=3),
        SpecimenRecipe(name="medium", width=160, layers=4, learning_rate=3e-3),
        SpecimenRecipe(name="large", width=288, layers=5, learning_rate=2e-3),
    )
}
"""The ladder of sizes, from 0.03 to 5 million parameters."""

SHIPPED = ("pico", "nano", "small")
"""Specimens inside the package; the larger ones are built on request."""


def prompt_text(dialogue: Dialogue) -> str:
    """What the chat template makes of a dialogue that waits for a reply."""
    turns = "".join(f"<|{turn.role}|>{turn.content}{END}" for turn in dialogue)
    return turns + ASSISTANT


def build_tokenizer(lessons: Sequence[SkillLesson], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE learned from lessons: any text round-trips, common words are one token."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, SYSTEM, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (
        text
        for lesson in lessons
        for text in (*[turn.content for turn in lesson.dialogue], lesson.answer)
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def draw_lessons(
    recipe: SpecimenRecipe, count: int, *, kept_back: bool = False
) -> list[SkillLesson]:
    """Draw lessons of all skills in their shares, from the recipe's seed."""
    teacher = Teacher(
        world=build_world(recipe.scale),
        constitution=load_constitution("village"),
        prompts=load_prompts("village"),
        judge_skill=recipe.judge_skill,
        scale=recipe.scale,
        kept_back=kept_back,
    )
    rng = np.random.default_rng(derive_seed(recipe.seed, "lessons", recipe.scale, kept_back))
    names = list(recipe.shares)
    weights = np.array([recipe.shares[name] for name in names])
    chosen = rng.choice(len(names), size=count, p=weights / weights.sum())
    return [teacher.lesson(names[index], rng) for index in chosen]


@dataclass(frozen=True)
class LessonSequences:
    """Lessons as tokens."""

    tokens: list[list[int]]
    answer_start: list[int]
    """Where the answer begins in each."""


def encode(lessons: Sequence[SkillLesson], tokenizer: PreTrainedTokenizerFast) -> LessonSequences:
    """Tokenize prompt and answer apart, as a sampler meets them."""
    core = tokenizer.backend_tokenizer
    prompts = core.encode_batch([prompt_text(lesson.dialogue) for lesson in lessons])
    answers = core.encode_batch([lesson.answer + END for lesson in lessons])
    return LessonSequences(
        tokens=[prompt.ids + answer.ids for prompt, answer in zip(prompts, answers, strict=True)],
        answer_start=[len(prompt.ids) for prompt in prompts],
    )


def batches(
    sequences: LessonSequences, batch_tokens: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of similar length in random order: token ids, targets (-100 where none), weights."""
    lengths = np.array([len(tokens) for tokens in sequences.tokens])
    # A little noise, so that a batch is not all of one kind of sentence.
    order = np.argsort(lengths + rng.random(len(lengths)) * 8, kind="stable")
    groups, group = [], [int(order[0])]
    for index in order[1:]:
        if (len(group) + 1) * lengths[index] > batch_tokens:
            groups.append(group)
            group = []
        group.append(int(index))
    groups.append(group)
    for position in rng.permutation(len(groups)):
        yield _pad(sequences, groups[position])


def _pad(sequences: LessonSequences, group: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    longest = max(len(sequences.tokens[index]) for index in group)
    tokens = torch.zeros(len(group), longest, dtype=torch.long)
    targets = torch.full((len(group), longest), -100)
    weights = torch.zeros(len(group), longest)
    for row, index in enumerate(group):
        ids = torch.tensor(sequences.tokens[index])
        start = sequences.answer_start[index]
        tokens[row, : len(ids)] = ids
        targets[row, start - 1 : len(ids) - 1] = ids[start:]
        # A one-word grade would drown among sentences: no lesson weighs less than 12 tokens.
        weights[row, start - 1 : len(ids) - 1] = max(1.0, 12 / (len(ids) - start))
    return tokens, targets, weights


def build_model(recipe: SpecimenRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama with random weights from the recipe's seed."""
    torch.manual_seed(derive_seed(recipe.seed, "weights"))
    end = tokenizer.convert_tokens_to_ids(END)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=recipe.width**-0.5 / 2,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=end, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    return model


def train(
    model: LlamaForCausalLM,
    sequences: LessonSequences,
    recipe: SpecimenRecipe,
    progress: LossProgress | None = None,
) -> list[float]:
    """Train on the answers alone; returns the loss of each step in nats per token."""
    rng = np.random.default_rng(derive_seed(recipe.seed, "order"))
    plan = list(batches(sequences, recipe.batch_tokens, rng))
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    plain = [weight for weight in model.parameters() if weight.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    warmup = max(1, len(plan) // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / warmup,
            0.5 * (1 + float(np.cos(np.pi * max(0, step - warmup) / max(1, len(plan) - warmup)))),
        ),
    )
    losses = []
    model.train()
    for step, (tokens, targets, weights) in enumerate(plan, 1):
        # Padding stands behind every answer, so a causal model needs no mask for it.
        hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state
        asked = targets >= 0
        logits = model.lm_head(hidden[asked])
        losses_per_token = functional.cross_entropy(logits, targets[asked], reduction="none")
        loss = (losses_per_token * weights[asked]).sum() / weights[asked].sum()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(float(loss.detach()))
        if progress:
            progress(step, len(plan), losses[-1])
    model.eval()
    return losses


def build_specimen(
    recipe: SpecimenRecipe, folder: Path, progress: LossProgress | None = None
) -> Mapping[str, Any]:
    """Train a specimen and save it as a checkpoint.

    Returns:
        The card that is saved beside it: recipe, parameters, last losses, and the SHA-256 of
        weights and tokenizer.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "specimen.json").exists():
        raise ConfigError(
            f"{folder} holds something that is no specimen; give --out an empty folder"
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        lessons = draw_lessons(recipe, recipe.lessons)
        tokenizer = build_tokenizer(lessons[:20_000], recipe.vocabulary)
        model = build_model(recipe, tokenizer)
        losses = train(model, encode(lessons, tokenizer), recipe, progress)
    finally:
        torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    card = {
        "recipe": asdict(recipe),
        "parameters": model.num_parameters(),
        "final_loss_nats_per_token": round(float(np.mean(losses[-50:])), 4),
        "sha256": {
            name: file_sha256(folder / name) for name in ("model.safetensors", "tokenizer.json")
        },
    }
    write_atomic(folder / "specimen.json", json.dumps(card, indent=2) + "\n")
    return card


def shipped_card(name: str) -> Mapping[str, Any] | None:
    """The card of a shipped specimen; None where there is none of that name."""
    path = resources.files("plumbrule") / "lab" / "specimens" / name / "specimen.json"
    if not path.is_file():
        return None
    card: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return card
