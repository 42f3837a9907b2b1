"""The trainer of reward models: Bradley-Terry with probabilities for labels.

TRL's own takes only hard labels and drops a column of probabilities without a word.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import TrainingArguments

from plumbrule.models.modules import evaluation_mode
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.loading import LoadedModel
from plumbrule.training.preference_losses import preference_loss
from plumbrule.training.results import HeldOut
from plumbrule.training.running import Batches, OrderedTrainer, arguments
from plumbrule.training.settings import RewardTraining
from plumbrule.training.tokenized_data import TokenizedExample


class RewardTrainer(OrderedTrainer):
    """Scores both replies of each pair in one pass, the first ones on top."""

    loss_is_scaled_for_ga = False  # a mean over the pairs in memory

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean loss of a batch, each pair by its weight, in nats per pair."""
        first, second = pair_scores(model, inputs)
        losses = preference_loss(first, second, inputs["probability"])
        loss = (losses * inputs["weight"]).mean()
        return (loss, {"scores": torch.stack([first, second])}) if return_outputs else loss


def pair_scores(model: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Scores of the first and of the second replies."""
    scores = model(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
    ).logits[:, 0]
    first, second = scores.float().chunk(2)
    return first, second


def collate(
    pairs: Sequence[tuple[TokenizedExample, TokenizedExample, float]], *, pad: int
) -> dict[str, torch.Tensor]:
    """Put pairs into one batch, all first replies before all second ones."""
    examples = [first for first, _, _ in pairs] + [second for _, second, _ in pairs]
    ids, mask = padded(examples, pad=pad)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "probability": torch.tensor([probability for _, _, probability in pairs]),
    }


def padded(examples: Sequence[TokenizedExample], *, pad: int) -> tuple[Tensor, Tensor]:
    """Token numbers and mask of a batch, padded on the right."""
    longest = max(len(example) for example in examples)
    ids = torch.full((len(examples), longest), pad)
    mask = torch.zeros_like(ids)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.reply)
        mask[row, : len(example)] = 1
    return ids, mask


def reward_trainer(
    start: LoadedModel,
    pairs: Sequence[tuple[TokenizedExample, TokenizedExample, float]],
    settings: RewardTraining,
    batches: Batches,
    space: TrainingWorkspace,
    *,
    weights: Sequence[float],
    seed: int,
) -> RewardTrainer:
    """A trainer that learns which reply of each pair is better, and how surely, by its weight."""
    from peft import get_peft_model

    module = start.module
    if start.adapter is not None:
        module = get_peft_model(module, start.adapter)
    pad = int(start.chat.tokenizer.pad_token_id)
    return RewardTrainer(
        model=module,
        args=TrainingArguments(**arguments(settings, batches, space, module, seed=seed)),
        train_dataset=list(zip(pairs, weights, strict=True)),
        data_collator=lambda part: {
            **collate([pair for pair, _ in part], pad=pad),
            "weight": torch.tensor([weight for _, weight in part]),
        },
        processing_class=start.chat.tokenizer,
    )


@torch.inference_mode()
def measure(
    model: Any,
    pairs: Sequence[tuple[TokenizedExample, TokenizedExample, float]],
    *,
    pad: int,
    rows: int,
) -> HeldOut:
    """How a reward model does on pairs it has not seen."""
    device = next(model.parameters()).device
    losses: list[float] = []
    decided = correct = 0
    for at in range(0, len(pairs), rows):
        batch = {
            name: value.to(device)
            for name, value in collate(pairs[at : at + rows], pad=pad).items()
        }
        with evaluation_mode(model):
            first, second = pair_scores(model, batch)
        losses.extend(preference_loss(first, second, batch["probability"]).tolist())
        for margin, label in zip(
            (first - second).tolist(), (batch["probability"] - 0.5).tolist(), strict=True
        ):
            decided += label != 0
            correct += margin * label > 0
    return HeldOut(
        pairs=len(pairs),
        loss=sum(losses) / len(losses),
        decided=decided,
        correct=correct,
        accuracy=correct / decided if decided else None,
    )
