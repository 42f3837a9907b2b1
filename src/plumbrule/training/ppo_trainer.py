"""The trainer of proximal policy optimization: draw, score, compare, and take some clipped steps.

The model gets a value head for the time of training: one linear map from what its output layer
reads to the reward still to come. Everything drawn is drawn from numbers of its own seed, so the
state of a run between two batches of replies is its weights, its optimizer, its value head and the
coefficient of the penalty, and a checkpoint holds them all.

Axes: R rows (replies), L columns (tokens of the longest reply), C columns of a padded batch where
any row has a token of its reply, H numbers that the output layer reads.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from peft import get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import TrainingArguments

from plumbrule.models.decoding import find_capabilities
from plumbrule.models.handle import Sampling
from plumbrule.models.modules import evaluation_mode, text_config
from plumbrule.models.sampling import batches, sample_batch
from plumbrule.records import Message
from plumbrule.store import derive_seed, write_atomic
from plumbrule.training.drift import DriftTally
from plumbrule.training.log_probs import (
    MOST_LOGITS,
    NOT_SCORED,
    least_shared,
    log_probs_of,
    padded_rows,
    scored_logits,
)
from plumbrule.training.policy_gradients import (
    advantages_of,
    clipped_policy_loss,
    clipped_value_loss,
    explained_variance,
    masked_mean,
    next_coefficient,
    token_rewards,
    whiten,
)
from plumbrule.training.rewarded import RewardedPrompts
from plumbrule.training.running import Discreet, arguments
from plumbrule.training.settings import PpoTraining
from plumbrule.training.tokenized_data import TokenizedExample

_PROBE = (Message("user", "The cook puts four apples, a loaf and some tea on the wide table."),)
_HEAD, _STATE = "value_head.safetensors", "ppo.json"
_DRAWN_ROWS, _DRAWN_TOKENS = 256, 2**16  # drawn side by side
_CUDA_LOGITS = 4  # times as many as on a CPU


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A batch of replies and all that is learned from them."""

    examples: list[TokenizedExample]
    mask: Bool[Tensor, "R L"]
    drawn: Float[Tensor, "R L"]
    """Log-probabilities as the sampler computed them, in nats."""

    log_probs: Float[Tensor, "R L"]
    """The same as the trainer computes them, before the first step on the batch."""

    values: Float[Tensor, "R L"]
    advantages: Float[Tensor, "R L"]
    returns: Float[Tensor, "R L"]


class ValueHead(torch.nn.Linear):
    """The reward still to come, from what the output layer reads; 0 before it has learned.

    Of what it reads only the direction counts, so that one step size suits models of any width
    and scale.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)
        torch.nn.init.zeros_(self.weight)
        torch.nn.init.zeros_(self.bias)

    def forward(self, hidden: Float[Tensor, "R C H"]) -> Float[Tensor, "R C"]:
        """One number per token, in units of reward."""
        found: Tensor = super().forward(F.normalize(hidden.float(), dim=-1))
        return found[..., 0]


class StartingWeights:
    """The weights that a run started from, exchanged with those of now for a while."""

    def __init__(self, model: Any) -> None:
        """Copy what training will change; the rest is the same in both."""
        self._kept = [
            (parameter, parameter.detach().clone())
            for parameter in model.parameters()
            if parameter.requires_grad
        ]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model is the reference inside."""
        now = [parameter.data for parameter, _ in self._kept]
        for parameter, start in self._kept:
            parameter.data = start
        try:
            yield
        finally:
            for (parameter, _), data in zip(self._kept, now, strict=True):
                parameter.data = data


class PpoTrainer(Discreet):
    """Takes the numbers of a batch's prompts, once for each of the steps on their replies."""

    given: RewardedPrompts
    settings: PpoTraining
    draw_seed: int
    rows_at_once: int
    head: ValueHead
    starting: StartingWeights
    coefficient: float

    def set_up(self, given: RewardedPrompts, settings: PpoTraining, *, seed: int) -> None:
        """Make what a run needs besides a model and its data."""
        self.given, self.settings, self.draw_seed = given, settings, seed
        rows = (settings.micro_batch_size, given.space.most_at_once, given.batches.batch_size)
        self.rows_at_once = min(row for row in rows if row)
        output = self.model.get_output_embeddings()
        self.head = ValueHead(output.weight.shape[1]).to(output.weight.device)
        self.starting = StartingWeights(self.model)
        self.coefficient = settings.kl_coefficient
        self.drift = DriftTally()
        self._told: dict[str, list[float]] = {}
        self._capabilities: Any = None
        self._share_from: int | None = None
        self._rollout: Rollout | None = None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return list(range(len(self.train_dataset)))  # in order as it is

    def create_optimizer(self, *given: Any, **named: Any) -> Any:
        """AdamW, with a step size of its own for the value head."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(*given, **named)
        if fresh:
            optimizer.add_param_group(
                {
                    "params": list(self.head.parameters()),
                    "lr": self.settings.value_learning_rate,
                    "weight_decay": 0.0,
                }
            )
        return optimizer

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One optimizer step's gradients: a minibatch of the replies that are being learned."""
        settings, step = self.settings, self.state.global_step
        cycle = self.given.batches.steps_each
        batch, place = divmod(step, cycle)
        if place == 0:
            self._rollout = self.roll_out([int(number) for number in inputs["numbers"]], batch)
        assert self._rollout is not None
        each = cycle // settings.iterations
        round_, part = divmod(place, each)
        draw = np.random.default_rng(derive_seed(self.draw_seed, "minibatches", batch, round_))
        rows = np.array_split(draw.permutation(len(self._rollout.examples)), each)[part]
        loss = self._learn(self._rollout, [int(row) for row in rows], first=place == 0)
        self.since_log.append((step + 1, loss))
        return loss

    def log(self, logs: dict[str, float], *given: Any, **named: Any) -> None:
        """Say what was measured since the last time."""
        means = {name: sum(values) / len(values) for name, values in self._told.items()}
        self._told = {}
        super().log({**logs, **means, **self.drift.read()}, *given, **named)

    def _learn(self, rollout: Rollout, rows: Sequence[int], *, first: bool) -> Tensor:
        """Add up the gradients of some replies, as many at once as fit."""
        settings, tokens = self.settings, rollout.mask[list(rows)].sum()
        sums = torch.zeros(3, dtype=torch.float64, device=tokens.device)
        self.head.zero_grad()  # the library empties the gradients of the model alone
        with _without_dropout(self.model):
            for part in self.parts(rollout.examples, rows):
                mask = rollout.mask[part]
                log_probs, values = self.read([rollout.examples[row] for row in part], mask)
                policy = clipped_policy_loss(
                    log_probs,
                    rollout.log_probs[part],
                    rollout.advantages[part],
                    mask,
                    clip=settings.clip,
                )
                value = clipped_value_loss(
                    values,
                    rollout.values[part],
                    rollout.returns[part],
                    mask,
                    clip=settings.value_clip,
                )
                policy_loss, value_loss = policy.losses.sum(), value.losses.sum()
                self.accelerator.backward(
                    (policy_loss + settings.value_weight * value_loss) / tokens
                )
                clipped = policy.clipped.sum()
                sums += torch.stack([policy_loss, value_loss, clipped]).detach()
                self.drift.add(log_probs, rollout.drawn[part], mask, before_updates=first)
        torch.nn.utils.clip_grad_norm_(self.head.parameters(), settings.gradient_clip)
        policy_mean, value_mean, share = (sums / tokens).tolist()
        self._tell(policy_loss=policy_mean, value_loss=value_mean, clipped_share=share)
        return torch.tensor(
            policy_mean + settings.value_weight * value_mean, device=self.args.device
        )

    @torch.no_grad()
    def roll_out(self, numbers: Sequence[int], batch: int) -> Rollout:
        """Draw a reply to each prompt, have them scored, and work out what each token brought."""
        settings, given = self.settings, self.given
        with evaluation_mode(self.model):
            replies = self.draw([given.prompts[number] for number in numbers], batch)
            examples = [
                TokenizedExample(prompt=given.prompts[number], reply=list(reply.tokens))
                for number, reply in zip(numbers, replies, strict=True)
            ]
            mask = _token_mask([len(example.reply) for example in examples], self.args.device)
            log_probs, values = self.read_all(examples, mask)
            with self.starting.in_place():
                reference, _ = self.read_all(examples, mask)
        scores = torch.tensor(
            given.score(numbers, [example.reply for example in examples]), device=mask.device
        )
        drawn = torch.zeros_like(log_probs)
        drawn[mask] = torch.tensor(
            [value for reply in replies for value in reply.log_probs or ()], device=mask.device
        )
        rewards = token_rewards(scores, log_probs, reference, mask, coefficient=self.coefficient)
        if settings.whiten_rewards:
            rewards = whiten(rewards, mask, shift=False)
        found = advantages_of(
            rewards, values, mask, discount=settings.discount, decay=settings.decay
        )
        divergence = float((log_probs - reference).sum(1).mean())
        lengths = mask.sum(1).double()
        cut = [reply.finish_reason == "length" for reply in replies]
        self._tell(
            reward=float(scores.mean()),
            reward_std=float(scores.std(correction=0)),
            kl=divergence,
            kl_coefficient=self.coefficient,
            entropy=-float(masked_mean(log_probs, mask)),
            explained_variance=explained_variance(values, found.returns, mask),
            **{
                "completions/mean_length": float(lengths.mean()),
                "completions/clipped_ratio": sum(cut) / len(cut),
            },
        )
        self.coefficient = next_coefficient(
            self.coefficient, divergence=divergence, target=settings.kl_target
        )
        advantages = found.advantages
        return Rollout(
            examples=examples,
            mask=mask,
            drawn=drawn,
            log_probs=log_probs,
            values=values,
            advantages=whiten(advantages, mask) if settings.whiten_advantages else advantages,
            returns=found.returns,
        )

    def draw(self, prompts: Sequence[list[int]], batch: int) -> list[Any]:
        """One reply per prompt, each from a seed of its own."""
        chat = self.given.start.chat
        if self._capabilities is None:
            text = chat.prompts([_PROBE])[0]
            self._capabilities = find_capabilities(self.model, text)
            if self.args.device.type == "cpu" and not self.args.gradient_checkpointing:
                self._share_from = least_shared(self.model, text)
        sampling = Sampling(max_new_tokens=self.settings.max_new_tokens, temperature=1.0)
        fits = self.given.space.most_at_once
        found: dict[int, Any] = {}
        for rows in batches(
            [len(prompt) for prompt in prompts],
            extra=sampling.max_new_tokens,
            rows=min(_DRAWN_ROWS, fits or _DRAWN_ROWS),
            tokens=_DRAWN_TOKENS,
            equal=not self._capabilities.padded,
        ):
            replies = sample_batch(
                self.model,
                self._capabilities,
                [prompts[row] for row in rows],
                [derive_seed(self.draw_seed, "reply", batch, row) for row in rows],
                sampling=sampling,
                stops=chat.stops,
                log_probs=True,
            )
            found.update(zip(rows, replies, strict=True))
        return [found[row] for row in range(len(prompts))]

    def read_all(
        self, examples: Sequence[TokenizedExample], mask: Bool[Tensor, "R L"]
    ) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        """Log-probability and value of every token of a batch, without gradients."""
        log_probs = torch.zeros(mask.shape, device=mask.device)
        values = torch.zeros_like(log_probs)
        for part in self.parts(examples, range(len(examples))):
            found = self.read([examples[row] for row in part], mask[part])
            log_probs[part], values[part] = found
        return log_probs, values

    def read(
        self, examples: Sequence[TokenizedExample], mask: Bool[Tensor, "R L"]
    ) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        """Log-probability of each token of some replies, and the value before it."""
        tokenizer = self.given.start.chat.tokenizer
        ids, attended, labels = padded_rows(examples, tokenizer, self.args.device)
        with _heard(self.model) as heard:
            found = scored_logits(self.model, ids, attended, labels, self._share_from, most=2**62)
        assert found is not None
        logits, targets = found
        hidden = heard[-1]
        if hidden.shape[1] != logits.shape[1]:  # a model that computes the logits of all columns
            columns = (labels[:, 1:] != NOT_SCORED).any(0).nonzero().squeeze(1)
            hidden = hidden[:, columns - (ids.shape[1] - hidden.shape[1])]
        values = self.head(hidden)
        here = targets != NOT_SCORED
        empty = torch.zeros(mask.shape, device=mask.device)
        return (
            empty.masked_scatter(mask, log_probs_of(logits, targets)[here]),
            empty.masked_scatter(mask, values[here]),
        )

    def parts(
        self, examples: Sequence[TokenizedExample], rows: Sequence[int]
    ) -> Iterator[list[int]]:
        """Rows to read side by side: of alike lengths, and no more than fit."""
        most = MOST_LOGITS * (1 if self.args.device.type == "cpu" else _CUDA_LOGITS)
        left = sorted(rows, key=lambda row: (-len(examples[row]), row))
        while left:
            size = min(self.rows_at_once, len(left))
            while size > 1 and size * self._logits([examples[row] for row in left[:size]]) > most:
                size = (size + 1) // 2
            yield left[:size]
            left = left[size:]

    def _logits(self, examples: Sequence[TokenizedExample]) -> int:
        """Numbers a row of some replies' logits has."""
        columns = max(map(len, examples)) - min(len(example.prompt) for example in examples)
        return columns * int(text_config(self.model).vocab_size)

    def _tell(self, **measured: float | None) -> None:
        for name, value in measured.items():
            if value is not None:
                self._told.setdefault(name, []).append(value)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        save_file(self.head.state_dict(), folder / _HEAD)
        write_atomic(folder / _STATE, json.dumps({"kl_coefficient": self.coefficient}))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder = Path(resume_from_checkpoint)
        self.head.load_state_dict(load_file(folder / _HEAD))
        state: Mapping[str, float] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        self.coefficient = state["kl_coefficient"]


def ppo_trainer(given: RewardedPrompts, settings: PpoTraining, *, seed: int) -> PpoTrainer:
    """A trainer that learns from rewards on replies it draws itself, with a value head."""
    module, batches_ = given.start.module, given.batches
    if given.start.adapter is not None:
        module = get_peft_model(module, given.start.adapter)
    size, order = batches_.batch_size, list(batches_.order)
    args = TrainingArguments(
        **{
            **arguments(settings, batches_, given.space, module, seed=seed),
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": 1,
        }
    )
    if args.gradient_checkpointing and given.start.lora:
        module.enable_input_require_grads()
    trainer = PpoTrainer(
        model=module,
        args=args,
        # Each batch's prompts once for every step on their replies.
        train_dataset=[
            number
            for at in range(0, len(order), size)
            for number in order[at : at + size] * batches_.steps_each
        ],
        data_collator=_collate,
        processing_class=given.start.chat.tokenizer,
    )
    trainer.set_up(given, settings, seed=seed)
    return trainer


def _collate(numbers: Sequence[int]) -> dict[str, Tensor]:
    return {"numbers": torch.tensor(list(numbers))}


def _token_mask(lengths: Sequence[int], device: torch.device) -> Bool[Tensor, "R L"]:
    columns = torch.arange(max(lengths), device=device)
    return columns < torch.tensor(list(lengths), device=device)[:, None]


@contextmanager
def _heard(model: Any) -> Iterator[list[Tensor]]:
    """What the output layer was given, call by call."""
    heard: list[Tensor] = []
    listen: Callable[..., None] = lambda module, inputs: heard.append(inputs[0])  # noqa: E731
    hook = model.get_output_embeddings().register_forward_pre_hook(listen)
    try:
        yield heard
    finally:
        hook.remove()


@contextmanager
def _without_dropout(model: Any) -> Iterator[None]:
    """As in drawing, but where activations are recomputed, which layers do in training mode only.

    A ratio of two draws of dropout would be no importance ratio.
    """
    with evaluation_mode(model):
        for part in model.modules():
            if getattr(part, "gradient_checkpointing", False):
                part.training = True
        yield
    # What was in training mode before is again; these parts were.
