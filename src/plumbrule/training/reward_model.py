"""Reward models: learned from preferences with probabilities, then asked for scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.errors import DataError, ModelError
from plumbrule.records import Dialogue, Preference, to_json
from plumbrule.training.checkpoints import TrainingWorkspace, base_of, model_sha256
from plumbrule.training.results import HeldOut, TrainingProgress, TrainingResult
from plumbrule.training.settings import RewardTraining
from plumbrule.training.stage import TrainingJob, carry_out, conclude
from plumbrule.training.weighting import weighed

if TYPE_CHECKING:  # torch takes seconds to import, and `plumbrule --help` must not wait for it
    from plumbrule.models.chat import Chat
    from plumbrule.training.loading import LoadedModel
    from plumbrule.training.tokenized_data import TokenizedExample

_ROWS = 64  # replies scored side by side


def train_reward_model(
    model: Path,
    preferences: Sequence[Preference],
    *,
    settings: RewardTraining,
    out: Path,
    seed: int,
    held_out: Sequence[Preference] = (),
    progress: TrainingProgress | None = None,
) -> TrainingResult:
    """Train a model to score replies, from preferences with soft or hard labels.

    With p the label's probability that the first reply is better, the loss is
    -[p log s + (1 - p) log(1 - s)], s = sigmoid(score of the first - score of the second),
    multiplied by the label's weight, which is 1 on average. What the labeler was unsure of is
    learned as such.

    Args:
        model: Folder of a causal language model, or of a PEFT adapter on one. It gets a new head
            that gives one number.
        preferences: Labeled pairs. Those without a probability, which no principle decided, and
            those that weigh 0 are left out, and the result says how many. A pair of equal replies
            teaches nothing and costs little, so it may stay.
        settings: How to train.
        out: Folder of the reward model; absent, or finished by the same call before.
        seed: Decides the new head, the order of the pairs and all that is drawn at random.
        held_out: Preferences to measure the result on, each alike; undecided ones are left out.
        progress: Told at each point of the curve.

    Returns:
        Where the model is, how training went, and how it does on `held_out`.

    Raises:
        DataError: No preference has a probability, or one is not between 0 and 1, too long,
            cannot be replied to, or has a weight below 0; or all weigh 0.
        ConfigError: Training diverged (the last checkpoint is kept), or an adapter does not fit
            the settings.
        ModelError: The starting folder cannot be trained.
        OutputError: `out` holds something else.
        StorageError: The disk is full; the same call goes on from the last checkpoint.

    Source:
        Bai et al. (2022), "Constitutional AI", arXiv:2212.08073, section 4.1: soft labels.
    """
    train, test = _decided(preferences), _decided(held_out)
    if not train:
        raise DataError(
            f"expected a preference with a probability to learn from, got {len(preferences)} "
            "without; give the judge principles that decide some of them"
        )
    train, weights = weighed(train, [one.weight for one in train], what="pair")
    data: list[Any] = [[_plain(one) for one in train], [_plain(one) for one in test]]
    if set(weights) != {1.0}:
        data.append(weights)
    job = TrainingJob(
        model=model,
        out=out,
        settings=settings,
        seed=seed,
        examples=len(train),
        skipped=len(preferences) - len(train),
        progress=progress,
    )

    def work(space: TrainingWorkspace) -> TrainingResult:
        from plumbrule.training.loading import load_for_training
        from plumbrule.training.reward_trainer import measure, reward_trainer
        from plumbrule.training.running import batches_of

        start = load_for_training(model, settings, space, task="SEQ_CLS")
        pairs, unseen = (_encoded(start, each, settings) for each in (train, test))
        longest = [max(len(first), len(second)) for first, second, _ in pairs]
        batches = batches_of(settings, longest, seed=seed)
        trainer = reward_trainer(start, pairs, settings, batches, space, weights=weights, seed=seed)
        pad = int(start.chat.tokenizer.pad_token_id)

        def measured(trained: Any) -> HeldOut:
            return measure(trained, unseen, pad=pad, rows=batches.micro_batch_size)

        return conclude(
            job,
            space,
            start,
            trainer,
            batches,
            lengths=[len(a) + len(b) for a, b, _ in pairs],
            held_out=measured if unseen else None,
        )

    return carry_out(job, data, work)


@dataclass(frozen=True)
class RewardModel:
    """A trained reward model, ready to score. Only differences between scores mean anything."""

    identity: str
    """Hash of its files, and of the model under it where it is an adapter."""

    module: Any
    """The Hugging Face sequence classifier with one output."""

    chat: "Chat"

    @staticmethod
    def open(path: Path) -> "RewardModel":
        """Open what `train_reward_model` made.

        Raises:
            ModelError: The folder holds no model with one score.
        """
        from plumbrule.training.loading import load_reward_model

        _check_reward_model(path)
        module, chat = load_reward_model(path)
        return RewardModel(identity=model_sha256(path), module=module, chat=chat)

    def score(self, dialogues: Sequence[Dialogue], responses: Sequence[str]) -> list[float]:
        """Score replies, higher is better, in the unit of log-odds between two replies.

        Args:
            dialogues: What was replied to, each ending with the user.
            responses: One reply each.

        Returns:
            One score per reply, in order.

        Raises:
            DataError: The numbers differ, or a reply is longer than the model reads.
        """
        import torch

        from plumbrule.training.reward_trainer import padded
        from plumbrule.training.tokenized_data import LengthLimits, encode

        if len(dialogues) != len(responses):
            raise DataError(
                f"expected one reply a dialogue, got {len(responses)} for {len(dialogues)}"
            )
        config = self.module.config.get_text_config(decoder=True)
        context = getattr(config, "max_position_embeddings", None)
        examples = encode(
            self.chat,
            [str(number) for number in range(len(responses))],
            dialogues,
            responses,
            LengthLimits(max_tokens=context or 2**31, context=context),
        )
        scores = [0.0] * len(examples)
        by_length = sorted(range(len(examples)), key=lambda number: len(examples[number]))
        device = next(self.module.parameters()).device
        pad = int(self.chat.tokenizer.pad_token_id)
        for at in range(0, len(by_length), _ROWS):
            part = by_length[at : at + _ROWS]
            ids, mask = padded([examples[number] for number in part], pad=pad)
            with torch.inference_mode():
                out = self.module(
                    input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
                )
            for number, value in zip(part, out.logits[:, 0].tolist(), strict=True):
                scores[number] = value
        return scores


def _decided(preferences: Sequence[Preference]) -> list[Preference]:
    """Those with a probability."""
    decided = [one for one in preferences if one.probability is not None]
    for one in decided:
        if not 0 <= (one.probability or 0.0) <= 1:
            raise DataError(
                f"expected a probability between 0 and 1, preference {one.id!r} has "
                f"{one.probability}"
            )
    return decided


def _plain(preference: Preference) -> list[Any]:
    dialogue = to_json(preference.dialogue)
    return [dialogue, preference.first, preference.second, preference.probability]


def _encoded(
    start: "LoadedModel", preferences: Sequence[Preference], settings: RewardTraining
) -> list[tuple["TokenizedExample", "TokenizedExample", float]]:
    first = start.encode(preferences, [one.first for one in preferences], settings)
    second = start.encode(preferences, [one.second for one in preferences], settings)
    labels = [float(one.probability or 0.0) for one in preferences]
    return list(zip(first, second, labels, strict=True))


def _check_reward_model(path: Path) -> None:
    adapter, config = path / "adapter_config.json", path / "config.json"
    if adapter.exists():
        task = json.loads(adapter.read_text(encoding="utf-8")).get("task_type")
        base_of(path)
        if task == "SEQ_CLS":
            return
    elif config.exists():
        names = json.loads(config.read_text(encoding="utf-8")).get("architectures") or []
        if any(name.endswith("ForSequenceClassification") for name in names):
            return
    raise ModelError(
        f"expected a reward model as train_reward_model makes it, {path} holds none; give its "
        "output folder"
    )
