"""All that this package knows of TRL: the one file that imports it.

TRL removes public names in minor releases, so what is relied on here is kept few and is tested by
name and by value in `tests/training/test_trl.py`. Four things are ours: examples come as tokens,
their order is set in advance, on a CPU the losses are computed from the model's own logits at the
replies' positions alone, which TRL's tiled computation of the same numbers is slower than, and
tokens drawn are compared with what the trainer makes of them.

Axes: R rows (dialogues with a reply each), T tokens of the longest, C columns that are scored,
V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset, Features, Value
from datasets import Sequence as Numbers
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    KTOConfig,
    KTOTrainer,
    RLOOConfig,
    RLOOTrainer,
    SFTConfig,
    SFTTrainer,
)

from plumbrule.errors import ConfigError
from plumbrule.training.checkpoints import TrainingWorkspace
from plumbrule.training.drift import DriftTally
from plumbrule.training.loading import LoadedModel, half
from plumbrule.training.log_probs import (
    NOT_SCORED,
    least_shared,
    reference_log_probs,
    reply_log_probs,
)
from plumbrule.training.preference_losses import judged_loss, preference_loss
from plumbrule.training.rewarded import RewardedPrompts
from plumbrule.training.running import Batches, Discreet, OrderedTrainer, arguments, at_once
from plumbrule.training.settings import (
    DpoTraining,
    GroupTraining,
    GrpoTraining,
    KtoTraining,
    TrainingSettings,
)
from plumbrule.training.tokenized_data import TokenizedExample


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
        alone = self.args.world_size == 1  # several get their gradients together in `forward`
        cpu = self.args.device.type == "cpu"
        if alone and cpu and not self.aux_loss_enabled and not return_outputs:
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
    weighted = len(set(weights)) > 1
    rows = {
        "input_ids": [example.prompt + example.reply for example in examples],
        "labels": [[NOT_SCORED] * len(example.prompt) + example.reply for example in examples],
    }
    config = SFTConfig(
        **arguments(settings, batches, space, start.module, seed=seed),
        max_length=None,  # nothing is cut: too long was refused before
        packing=False,
    )
    numbers = {"weight": list(weights)} if weighted else {}
    trainer = _on_tokens(_SupervisedTrainer, config, start, rows, numbers, examples)
    if weighted:
        if trainer.aux_loss_enabled:
            raise ConfigError(
                "expected examples that all count the same: the loss of a mixture of experts has a "
                "part that belongs to no example; leave the weights out"
            )
        trainer.data_collator = _with_numbers(trainer.data_collator, "weight")
    return trainer


def _on_tokens(
    kind: Any,
    config: Any,
    start: LoadedModel,
    rows: dict[str, list[list[int]]],
    numbers: Mapping[str, Sequence[float]],
    examples: Sequence[TokenizedExample],
) -> Any:
    """A trainer on rows of tokens with numbers beside them; of its examples one is tried."""
    features = dict.fromkeys(rows, Numbers(Value("int32")))
    for name, values in numbers.items():
        features[name] = Value("bool" if isinstance(values[0], bool) else "float32")
    trainer = kind(
        model=start.module,
        args=config,
        train_dataset=Dataset.from_dict({**rows, **numbers}, features=Features(features)),
        processing_class=start.chat.tokenizer,
        peft_config=start.adapter,
    )
    if "ref" in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter(
            "ref"
        )  # TRL's copy of an adapter that goes on; nobody reads it
    trainer.share_from = _share_from(trainer, examples)
    return trainer


class _WithReference(OrderedTrainer):
    """What TRL's trainers on preferences need: rows that are tokens, their reference computed."""

    share_from: int | None = None

    def _prepare_dataset(self, dataset: Any, *given: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *given: Any) -> Any:
        return dataset


class _DpoTrainer(_WithReference, DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on tokens, in a set order, with the reference computed before."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        # TRL's loss takes neither weights nor probabilities, and its model no such inputs.
        ours = ("weight", "probability")
        weights, probability = (inputs[name] for name in ours)
        inputs = {name: value for name, value in inputs.items() if name not in ours}
        plain = bool((weights == 1).all()) and bool((probability == 1).all())
        if self.aux_loss_enabled or return_outputs or (plain and not _on_cpu(self)):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        found = _reply_sums(self, model, inputs, tiled=not plain)
        if found is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        chosen, rejected = found.chunk(2)
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
        if bool((probability == 1).all()):  # the same numbers, without rounding them once more
            return -(F.logsigmoid(margins) * weights).mean()
        return (preference_loss(chosen, rejected, probability) * weights).mean()


def _on_cpu(trainer: Any) -> bool:
    return bool(trainer.args.device.type == "cpu")


def _reply_sums(
    trainer: Any, model: Any, inputs: dict[str, Any], *, prefix: str = "", tiled: bool
) -> Tensor | None:
    """Log-probability of each row's reply, from the logits or, where asked to, in TRL's tiles."""
    ids, mask = inputs[f"{prefix}input_ids"], inputs[f"{prefix}attention_mask"]
    labels = ids.masked_fill(inputs[f"{prefix}completion_mask"] == 0, NOT_SCORED)
    if _on_cpu(trainer):
        found = reply_log_probs(model, ids, mask, labels, trainer.share_from)
        if found is not None:
            return found.sum(1)
    if not tiled:
        return None
    out = model(
        input_ids=ids, attention_mask=mask, labels=labels, use_cache=False, fused_lm_head=True
    )
    sums: Tensor = out.log_probs.sum(1)
    return sums


def _with_numbers(collate: Any, *names: str) -> Any:
    """What puts examples into a batch, with numbers of theirs beside them."""
    return lambda examples: {
        **collate(examples),
        **{name: torch.tensor([example[name] for example in examples]) for name in names},
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
    probabilities: Sequence[float] | None = None,
    seed: int,
) -> Any:
    """A trainer that learns to prefer the chosen replies, each pair by its weight and as surely."""
    reference = reference_log_probs(
        start, [*chosen, *rejected], rows=2 * batches.micro_batch_size, bfloat16=half(settings)
    )
    rows = {
        "prompt_ids": [example.prompt for example in chosen],
        "chosen_ids": [example.reply for example in chosen],
        "rejected_ids": [example.reply for example in rejected],
    }
    numbers = {
        "ref_chosen_logps": reference[: len(chosen)],
        "ref_rejected_logps": reference[len(chosen) :],
        "weight": list(weights),
        "probability": list(probabilities or [1.0] * len(chosen)),
    }
    config = DPOConfig(
        **arguments(settings, batches, space, start.module, seed=seed),
        beta=settings.beta,
        max_length=None,  # nothing is cut: too long was refused before
        precompute_ref_log_probs=True,
    )
    trainer = _on_tokens(_DpoTrainer, config, start, rows, numbers, chosen)
    trainer.data_collator = _with_numbers(trainer.data_collator, "weight", "probability")
    return trainer


def _share_from(trainer: Any, examples: Sequence[TokenizedExample]) -> int | None:
    """From how many saved tokens on rows share what they begin with."""
    if trainer.args.device.type != "cpu" or trainer.args.gradient_checkpointing:
        return None
    return least_shared(trainer.model, examples[0].prompt + examples[0].reply)


class _KtoTrainer(_WithReference, KTOTrainer):  # type: ignore[misc]
    """TRL's trainer on tokens, in the order of its rows, with the reference computed before."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return list(range(len(self.order)))  # one row for each time that an example comes

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        weights = inputs["weight"]
        inputs = {name: value for name, value in inputs.items() if name != "weight"}
        plain = bool((weights == 1).all())
        if self.aux_loss_enabled or return_outputs or (plain and not _on_cpu(self)):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with torch.no_grad():
            strangers = _reply_sums(self, model, inputs, prefix="KL_", tiled=True)
        found = _reply_sums(self, model, inputs, tiled=True)
        assert found is not None
        assert strangers is not None
        apart = (strangers - inputs["ref_KL_logps"]).mean().clamp(min=0)
        ratios, good = found - inputs["ref_logps"], inputs["label"].bool()
        kinds = torch.where(good, self.desirable_weight, self.undesirable_weight)
        self._note(self.beta * ratios.detach(), good, apart)
        return (judged_loss(ratios, good, apart, beta=self.beta) * kinds * weights).mean()

    def _note(self, rewards: Tensor, good: Tensor, apart: Tensor) -> None:
        metrics = self._metrics["train"]
        metrics["kl"].append(apart.item())
        for name, these in (("rewards/chosen", good), ("rewards/rejected", ~good)):
            if these.any():
                metrics[name].append(rewards[these].mean().item())
        if good.any() and not good.all():
            metrics["rewards/margins"].append(
                metrics["rewards/chosen"][-1] - metrics["rewards/rejected"][-1]
            )


def kto_trainer(
    start: LoadedModel,
    examples: Sequence[TokenizedExample],
    desirable: Sequence[bool],
    settings: KtoTraining,
    batches: Batches,
    space: TrainingWorkspace,
    *,
    weights: Sequence[float],
    seed: int,
) -> Any:
    """A trainer that learns from replies called desirable or not, each by its weight."""
    given = arguments(settings, batches, space, start.module, seed=seed)
    micro = max(2, given["per_device_train_batch_size"])
    while batches.batch_size % micro:  # a batch of a prime number of replies is taken whole
        micro += 1
    strangers = _strangers(batches.order, micro)
    mismatched = [
        TokenizedExample(prompt=examples[own].prompt, reply=examples[other].reply)
        for own, other in sorted(set(strangers))
    ]
    places = {pair: at for at, pair in enumerate(sorted(set(strangers)))}
    bfloat16 = half(settings)
    own = reference_log_probs(start, examples, rows=micro, bfloat16=bfloat16)
    others = reference_log_probs(start, mismatched, rows=micro, bfloat16=bfloat16)
    rows = {
        "prompt_ids": [examples[row].prompt for row, _ in strangers],
        "completion_ids": [examples[row].reply for row, _ in strangers],
        "KL_completion_ids": [examples[other].reply for _, other in strangers],
    }
    numbers: dict[str, Sequence[float]] = {
        "label": [bool(desirable[row]) for row, _ in strangers],
        "ref_logps": [own[row] for row, _ in strangers],
        "ref_KL_logps": [others[places[pair]] for pair in strangers],
        "weight": [weights[row] for row, _ in strangers],
    }
    config = KTOConfig(
        **{
            **given,
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": batches.batch_size // micro,
        },
        beta=settings.beta,
        desirable_weight=settings.desirable_weight,
        undesirable_weight=settings.undesirable_weight,
        max_length=None,  # nothing is cut: too long was refused before
        precompute_ref_log_probs=True,
    )
    trainer = _on_tokens(_KtoTrainer, config, start, rows, numbers, examples)
    trainer.data_collator = _with_numbers(trainer.data_collator, "weight")
    return trainer


def _strangers(order: Sequence[int], micro: int) -> list[tuple[int, int]]:
    """Each row's example, and the example whose reply is put to its prompt to measure divergence.

    As in TRL, the replies of what is in memory at once go round by one; a single row left over
    takes that of the row before.
    """
    found: list[tuple[int, int]] = []
    for at in range(0, len(order), micro):
        part = list(order[at : at + micro])
        before = order[at - 1] if len(part) == 1 and at else part[-1]
        found.extend(zip(part, [before, *part[:-1]], strict=True))
    return found


class _DrawnLogProbs(LogitsProcessor):  # type: ignore[misc]
    """Changes nothing, and remembers how likely each token was when it was drawn."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._before: Tensor | None = None
        self._found: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._look(input_ids[:, -1])
        self._before = (scores.float() / self._temperature).log_softmax(-1)
        return scores

    def finish(self, ids: Tensor) -> Tensor:
        """One column per token that was drawn."""
        self._look(ids[:, -1])
        return torch.stack(self._found, dim=1)

    def _look(self, tokens: Tensor) -> None:
        if self._before is not None:
            self._found.append(self._before.gather(1, tokens[:, None])[:, 0])


class _DrawingTrainer(Discreet):
    """What TRL's trainers that draw replies need: prompts that are tokens already, and a watch.

    A prompt's text is only its number.
    """

    prompts: Sequence[list[int]] = ()
    drift: DriftTally

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [self.prompts[int(prompt)] for prompt in prompts], None, {}

    def _generate_single_turn(self, *given: Any, **named: Any) -> Any:
        with self._listening():
            return super()._generate_single_turn(*given, **named)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super()._generate_and_score_completions(inputs)
        # Beside the tokens, so that TRL shuffles and cuts them up together.
        missing = found["completion_ids"].shape[1] - self._drawn.shape[1]
        found["drawn_log_probs"] = F.pad(self._drawn, (0, missing))
        return found

    def _get_per_token_logps_and_entropies(self, *given: Any, **named: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*given, **named)
        self._latest = found[0].detach()
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        loss = super()._compute_loss(model, inputs)
        cycle = self.args.steps_per_generation
        self.drift.add(
            self._latest,
            inputs["drawn_log_probs"],
            inputs["completion_mask"].bool(),
            before_updates=self._step % (cycle * self.num_iterations) < cycle,
        )
        return loss

    def log(self, logs: dict[str, float], *given: Any, **named: Any) -> None:
        """Say beside TRL's numbers how far replies and model have come apart."""
        super().log({**logs, **self.drift.read()}, *given, **named)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Have the model's own `generate` tell how likely its tokens were."""
        model = self.accelerator.unwrap_model(self.model)
        generate, heard = model.generate, _DrawnLogProbs(self.args.temperature)

        def telling(*given: Any, **named: Any) -> Any:
            out = generate(*given, **named, logits_processor=LogitsProcessorList([heard]))
            self._drawn = heard.finish(out)
            return out

        model.generate = telling
        try:
            yield
        finally:
            del model.generate


class _GrpoTrainer(_DrawingTrainer, GRPOTrainer):  # type: ignore[misc]
    pass


class _RlooTrainer(_DrawingTrainer, RLOOTrainer):  # type: ignore[misc]
    pass


def group_trainer(given: RewardedPrompts, settings: GroupTraining, *, seed: int) -> Any:
    """A trainer that learns from rewards on replies it draws itself, by GRPO or RLOO."""
    start, batches, space = given.start, given.batches, given.space
    grpo = isinstance(settings, GrpoTraining)
    trainer_kind, config_kind = (_GrpoTrainer, GRPOConfig) if grpo else (_RlooTrainer, RLOOConfig)

    def reward(
        prompts: list[str], completions: list[str], completion_ids: list[list[int]], **more: Any
    ) -> list[float]:
        return given.score([int(prompt) for prompt in prompts], completion_ids)

    replies = batches.batch_size * settings.replies_per_prompt
    micro = at_once(replies, settings.micro_batch_size or replies, space.most_at_once)
    start.module.generation_config.eos_token_id = sorted(start.chat.stops)
    config = config_kind(
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
    trainer = trainer_kind(
        model=start.module,
        reward_funcs=[reward],
        args=config,
        train_dataset=Dataset.from_dict({"prompt": [str(number) for number in batches.order]}),
        processing_class=start.chat.tokenizer,
        peft_config=start.adapter,
    )
    trainer.prompts, trainer.drift = given.prompts, DriftTally()
    return trainer
