"""All that this package knows of TRL: the one file that imports it.

TRL removes public names in minor releases, so what is relied on here is kept few and is tested by
name and by value in `tests/training/test_trl.py`. Three things are ours: examples come as tokens,
their order is set in advance, and on a CPU the losses are computed from the model's own logits at
the replies' positions alone, which TRL's tiled computation of the same numbers is slower than.

Axes: R rows (dialogues with a reply each), T tokens of the longest, C columns that are scored.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset, Features, Value
from datasets import Sequence as Numbers
from torch import Tensor
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from plumbrule.errors import ConfigError
from plumbrule.models.modules import evaluation_mode
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.loading import LoadedModel, half
from plumbrule.training.log_probs import NOT_SCORED, least_shared, reply_log_probs
from plumbrule.training.running import Batches, Discreet, OrderedTrainer, arguments
from plumbrule.training.settings import DpoTraining, GrpoTraining, TrainingSettings
from plumbrule.training.tokenized_data import TokenizedExample

Score = Callable[[Sequence[int], Sequence[Sequence[int]]], list[float]]
"""Rewards of replies, from the numbers of their prompts and the replies' tokens."""


class _SupervisedTrainer(OrderedTrainer, SFTTrainer):  # type: ignore[misc]
    """TRL's trainer on tokens, in a set order."""

    share_from: int | None = None

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        # TRL's loss takes no weights, and its model no such input.
        weights: Any = inputs.get("weight")
        inputs = {name: value for name, value in inputs.items() if name != "weight"}
        log_probs = None
        if self.args.device.type == "cpu" and not self.aux_loss_enabled and not return_outputs:
            log_probs = reply_log_probs(
                model,
                inputs["input_ids"],
                inputs["attention_mask"],
                inputs["labels"],
                self.share_from,
            )
        if log_probs is None and (weights is None or return_outputs):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        scored = num_items_in_batch
        if scored is None:
            scored = (inputs["labels"][:, 1:] != NOT_SCORED).sum()
        if log_probs is None:
            losses = []
            for at in range(len(weights)):
                row = {name: value[[at]] for name, value in inputs.items()}
                losses.append(super().compute_loss(model, row, False, scored))
            return (torch.stack(losses) * weights).sum()
        if weights is not None:
            log_probs = log_probs * weights.unsqueeze(1)
        return -log_probs.sum() / scored


def supervised_trainer(
    start: LoadedModel,
    examples: Sequence[TokenizedExample],
    settings: TrainingSettings,
    batches: Batches,
    space: TrainingWorkspace,
    *,
    weights: Sequence[float] = (),
    seed: int,
) -> Any:
    """A trainer that learns the examples' replies, each by its weight where they differ."""
    numbers = Numbers(Value("int32"))
    weighted = len(set(weights)) > 1
    columns: dict[str, Any] = {
        "input_ids": [example.prompt + example.reply for example in examples],
        "labels": [[NOT_SCORED] * len(example.prompt) + example.reply for example in examples],
    }
    features: dict[str, Any] = {"input_ids": numbers, "labels": numbers}
    if weighted:
        columns["weight"], features["weight"] = list(weights), Value("float32")
    data = Dataset.from_dict(columns, features=Features(features))
    config = SFTConfig(
        **arguments(settings, batches, space, start.module, seed=seed),
        max_length=None,  # nothing is cut: too long was refused before
        packing=False,
    )
    trainer = _SupervisedTrainer(
        model=start.module,
        args=config,
        train_dataset=data,
        processing_class=start.chat.tokenizer,
        peft_config=start.adapter,
    )
    if weighted:
        if trainer.aux_loss_enabled:
            raise ConfigError(
                "expected examples that all count the same: the loss of a mixture of experts has a "
                "part that belongs to no example; leave the weights out"
            )
        trainer.data_collator = _with_weights(trainer.data_collator)
    trainer.share_from = _share_from(trainer, examples)
    return trainer


class _DpoTrainer(OrderedTrainer, DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on tokens, in a set order, with the reference computed before."""

    share_from: int | None = None

    def _prepare_dataset(self, dataset: Any, *given: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *given: Any) -> Any:
        return dataset

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        # TRL's loss takes no weights, and its model no such input.
        weights = inputs["weight"]
        inputs = {name: value for name, value in inputs.items() if name != "weight"}
        log_probs = None
        if self.args.device.type == "cpu" and not self.aux_loss_enabled and not return_outputs:
            labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, NOT_SCORED)
            log_probs = reply_log_probs(
                model, inputs["input_ids"], inputs["attention_mask"], labels, self.share_from
            )
        if log_probs is None and ((weights == 1).all() or return_outputs):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if log_probs is None:
            losses = []
            for at in range(len(weights)):
                pair = _pair_of(inputs, at, len(weights))
                losses.append(super().compute_loss(model, pair, False, num_items_in_batch))
            return (torch.stack(losses) * weights).mean()
        chosen, rejected = log_probs.sum(1).chunk(2)
        chosen = self.beta * (chosen - inputs["ref_chosen_logps"])
        rejected = self.beta * (rejected - inputs["ref_rejected_logps"])
        margins = chosen - rejected
        for name, value in (
            ("rewards/chosen", chosen),
            ("rewards/rejected", rejected),
            ("rewards/margins", margins),
            ("rewards/accuracies", (margins > 0).float()),
        ):
            self._metrics["train"][name].append(value.detach().mean().item())
        return -(F.logsigmoid(margins) * weights).mean()


def _pair_of(inputs: dict[str, Any], at: int, pairs: int) -> dict[str, Any]:
    """One pair of a batch: of what has a row for each reply, the chosen ones are on top."""
    return {
        name: value[[at] if len(value) == pairs else [at, pairs + at]]
        for name, value in inputs.items()
    }


def _with_weights(collate: Any) -> Any:
    """What puts examples into a batch, with their weights beside them."""
    return lambda examples: {
        **collate(examples),
        "weight": torch.tensor([example["weight"] for example in examples]),
    }


def dpo_trainer(
    start: LoadedModel,
    chosen: Sequence[TokenizedExample],
    rejected: Sequence[TokenizedExample],
    settings: DpoTraining,
    batches: Batches,
    space: TrainingWorkspace,
    *,
    weights: Sequence[float],
    seed: int,
) -> Any:
    """A trainer that learns to prefer the chosen replies, each pair by its weight."""
    reference = reference_log_probs(
        start, [*chosen, *rejected], rows=2 * batches.micro_batch_size, bfloat16=half(settings)
    )
    numbers, number = Numbers(Value("int32")), Value("float32")
    data = Dataset.from_dict(
        {
            "prompt_ids": [example.prompt for example in chosen],
            "chosen_ids": [example.reply for example in chosen],
            "rejected_ids": [example.reply for example in rejected],
            "ref_chosen_logps": reference[: len(chosen)],
            "ref_rejected_logps": reference[len(chosen) :],
            "weight": list(weights),
        },
        features=Features(
            {
                "prompt_ids": numbers,
                "chosen_ids": numbers,
                "rejected_ids": numbers,
                "ref_chosen_logps": number,
                "ref_rejected_logps": number,
                "weight": number,
            }
        ),
    )
    config = DPOConfig(
        **arguments(settings, batches, space, start.module, seed=seed),
        beta=settings.beta,
        max_length=None,  # nothing is cut: too long was refused before
        precompute_ref_log_probs=True,
    )
    trainer = _DpoTrainer(
        model=start.module,
        args=config,
        train_dataset=data,
        processing_class=start.chat.tokenizer,
        peft_config=start.adapter,
    )
    trainer.data_collator = _with_weights(trainer.data_collator)
    if "ref" in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter("ref")  # TRL's copy of the adapter, which nothing reads here
    trainer.share_from = _share_from(trainer, chosen)
    return trainer


def _share_from(trainer: Any, examples: Sequence[TokenizedExample]) -> int | None:
    """From how many saved tokens on rows share what they begin with."""
    if trainer.args.device.type != "cpu" or trainer.args.gradient_checkpointing:
        return None
    return least_shared(trainer.model, examples[0].prompt + examples[0].reply)


@torch.no_grad()
def reference_log_probs(
    start: LoadedModel, examples: Sequence[TokenizedExample], *, rows: int, bfloat16: bool
) -> list[float]:
    """Log-probability of each reply under the starting model, in nats."""
    model, device = start.module, next(start.module.parameters()).device
    found = [0.0] * len(examples)
    by_length = sorted(range(len(examples)), key=lambda number: -len(examples[number]))
    arithmetic = torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
    with evaluation_mode(model), arithmetic:
        at = 0
        while at < len(by_length):
            part = by_length[at : at + rows]
            log_probs = reply_log_probs(
                model, *_padded([examples[n] for n in part], start.chat.tokenizer, device)
            )
            if log_probs is None:
                rows = max(1, len(part) // 2)
                continue
            for number, value in zip(part, log_probs.double().sum(1).tolist(), strict=True):
                found[number] = value
            at += len(part)
    return found


def _padded(
    examples: Sequence[TokenizedExample], tokenizer: Any, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Token numbers, mask and labels of a batch, padded on the right."""
    longest = max(len(example) for example in examples)
    ids = torch.full((len(examples), longest), int(tokenizer.pad_token_id))
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, NOT_SCORED)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.reply)
        mask[row, : len(example)] = 1
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.reply)
    return ids.to(device), mask.to(device), labels.to(device)


class _GrpoTrainer(Discreet, GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer with prompts that are tokens already; a prompt's text is only its number."""

    prompts: Sequence[list[int]] = ()

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [self.prompts[int(prompt)] for prompt in prompts], None, {}


def grpo_trainer(
    start: LoadedModel,
    prompts: Sequence[list[int]],
    score: Score,
    settings: GrpoTraining,
    batches: Batches,
    space: TrainingWorkspace,
    *,
    seed: int,
) -> Any:
    """A trainer that learns from rewards on replies it draws itself."""

    def reward(
        prompts: list[str], completions: list[str], completion_ids: list[list[int]], **given: Any
    ) -> list[float]:
        return score([int(prompt) for prompt in prompts], completion_ids)

    replies = batches.batch_size * settings.replies_per_prompt
    micro = min(settings.micro_batch_size or replies, replies)
    while replies % micro:
        micro -= 1
    start.module.generation_config.eos_token_id = sorted(start.chat.stops)
    config = GRPOConfig(
        **{
            **arguments(settings, batches, space, start.module, seed=seed),
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": replies // micro,
        },
        num_generations=settings.replies_per_prompt,
        num_iterations=settings.iterations,
        max_completion_length=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        beta=settings.beta,
        shuffle_dataset=False,
    )
    trainer = _GrpoTrainer(
        model=start.module,
        reward_funcs=[reward],
        args=config,
        train_dataset=Dataset.from_dict({"prompt": [str(number) for number in batches.order]}),
        processing_class=start.chat.tokenizer,
        peft_config=start.adapter,
    )
    trainer.prompts = prompts
    return trainer
