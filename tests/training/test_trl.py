"""What `training/trl.py` relies on in TRL, by name and by value."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest
import torch
import trl
from datasets import Dataset
from tests.training.worker import BRIEF, LORA, exchanges, pairs, rated, train

from plumbrule.training import trl as ours
from plumbrule.training.checkpoints import TrainingWorkspace, inputs_of
from plumbrule.training.loading import load_for_training
from plumbrule.training.log_probs import reply_log_probs
from plumbrule.training.reproducibility import reproducibly
from plumbrule.training.rewarded import RewardedPrompts
from plumbrule.training.running import Batches, run_trainer
from plumbrule.training.settings import (
    DpoTraining,
    GrpoTraining,
    KtoTraining,
    SupervisedTraining,
)
from plumbrule.training.tokenized_data import LengthLimits, encode, order

SOURCE = Path(__file__).parents[2] / "src" / "plumbrule"
SHARED = {
    "output_dir",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "max_grad_norm",
    "optim",
    "bf16",
    "gradient_checkpointing",
    "logging_strategy",
    "logging_steps",
    "logging_nan_inf_filter",
    "save_strategy",
    "report_to",
    "seed",
    "use_cpu",
    "disable_tqdm",
    "log_level",
    "dataloader_num_workers",
    "dataloader_pin_memory",
    "average_tokens_across_devices",
    "remove_unused_columns",
}
DRAWING = {
    "num_generations",
    "num_iterations",
    "max_completion_length",
    "temperature",
    "top_p",
    "beta",
    "shuffle_dataset",
    "steps_per_generation",
}
DRAWING_METHODS = {
    "_tokenize_prompts",
    "_calculate_rewards",
    "_generate_single_turn",
    "_generate_and_score_completions",
    "_get_per_token_logps_and_entropies",
    "_compute_loss",
    "log",
}
TALK = LengthLimits(max_tokens=64, context=64)


def test_only_one_file_imports_trl():
    pattern = re.compile(r"^\s*(import|from) trl\b", re.MULTILINE)
    found = [path.name for path in SOURCE.rglob("*.py") if pattern.search(path.read_text())]
    assert found == ["trl.py"]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (trl.SFTConfig, {"max_length", "packing"}),
        (trl.DPOConfig, {"beta", "max_length", "precompute_ref_log_probs"}),
        (
            trl.KTOConfig,
            {
                "beta",
                "desirable_weight",
                "undesirable_weight",
                "max_length",
                "precompute_ref_log_probs",
            },
        ),
        (trl.GRPOConfig, DRAWING),
        (trl.RLOOConfig, DRAWING),
    ],
)
def test_the_configurations_have_the_fields_that_are_set(config, names):
    assert (SHARED | names) - {field.name for field in dataclasses.fields(config)} == set()


@pytest.mark.parametrize(
    ("trainer", "names"),
    [
        (trl.SFTTrainer, {"compute_loss"}),
        (trl.DPOTrainer, {"compute_loss", "_prepare_dataset", "_precompute_ref_logps"}),
        (trl.KTOTrainer, {"compute_loss", "_prepare_dataset", "_precompute_ref_logps"}),
        (trl.GRPOTrainer, DRAWING_METHODS),
        (trl.RLOOTrainer, DRAWING_METHODS),
    ],
)
def test_the_trainers_have_the_methods_that_are_replaced(trainer, names):
    names = names | {"_get_train_sampler", "_save", "create_model_card", "_send_telemetry"}
    assert {name for name in names if not callable(getattr(trainer, name, None))} == set()
    given = set(inspect.signature(trainer.__init__).parameters)
    assert {"model", "args", "train_dataset", "processing_class", "peft_config"} <= given


def opened(model, settings, tmp_path):
    inputs = inputs_of(model, settings, seed=0, data=[])
    space = TrainingWorkspace(out=tmp_path / "out", folder=tmp_path / "out.partial", inputs=inputs)
    space.folder.mkdir(exist_ok=True)
    return load_for_training(model, settings, space), space


def supervised(model, tmp_path, **changes):
    settings = SupervisedTraining(**{**BRIEF, "group_by_length": False, **changes})
    start, space = opened(model, settings, tmp_path)
    examples = exchanges(12)
    encoded = encode(
        start.chat,
        [example.id for example in examples],
        [example.dialogue for example in examples],
        [example.response for example in examples],
        TALK,
    )
    numbers = order([1] * 12, epochs=1, batch_size=4, seed=0, group=False)
    batches = Batches(order=numbers, batch_size=4, micro_batch_size=4)
    trainer = ours.supervised_trainer(start, encoded, settings, batches, space, seed=0)
    return trainer, settings, batches, space, start


def preferring(model, tmp_path, **changes):
    settings = DpoTraining(**{**BRIEF, "group_by_length": False, **changes})
    start, space = opened(model, settings, tmp_path)
    both = pairs(12)
    names, dialogues = [pair.id for pair in both], [pair.dialogue for pair in both]
    chosen = encode(start.chat, names, dialogues, [pair.chosen for pair in both], TALK)
    rejected = encode(start.chat, names, dialogues, [pair.rejected for pair in both], TALK)
    numbers = order([1] * 12, epochs=1, batch_size=4, seed=0, group=False)
    batches = Batches(order=numbers, batch_size=4, micro_batch_size=4)
    trainer = ours.dpo_trainer(
        start, chosen, rejected, settings, batches, space, weights=[1.0] * 12, seed=0
    )
    return trainer, settings, batches, space, start


def judging(model, tmp_path, **changes):
    settings = KtoTraining(**{**BRIEF, "group_by_length": False, "beta": 0.5, **changes})
    start, space = opened(model, settings, tmp_path)
    replies = rated(12)
    encoded = encode(
        start.chat,
        [one.id for one in replies],
        [one.dialogue for one in replies],
        [one.reply for one in replies],
        TALK,
    )
    numbers = order([1] * 12, epochs=1, batch_size=4, seed=0, group=False)
    batches = Batches(order=numbers, batch_size=4, micro_batch_size=4)
    desirable = [one.desirable for one in replies]
    trainer = ours.kto_trainer(
        start, encoded, desirable, settings, batches, space, weights=[1.0] * 12, seed=0
    )
    return trainer, settings, batches, space, start


def gradients(trainer, loss):
    trainer.model.zero_grad()
    loss.backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in trainer.model.named_parameters()
        if parameter.grad is not None
    }


BASES = {supervised: trl.SFTTrainer, preferring: trl.DPOTrainer, judging: trl.KTOTrainer}


@pytest.mark.parametrize("build", [supervised, preferring, judging])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("lora", [None, LORA])
def test_the_plain_losses_are_trls_in_value_and_gradient(models, tmp_path, build, kind, lora):
    with reproducibly(0):
        trainer, *_ = build(models(kind), tmp_path, lora=lora)
        batch = trainer.data_collator([trainer.train_dataset[number] for number in range(5)])
        trainer.model.eval()  # no dropout, so that both see the same model
        with torch.no_grad():  # away from the start, where DPO's margins are all zero
            for parameter in trainer.model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn_like(parameter))
        plain = trainer.compute_loss(trainer.model, dict(batch))
        found = gradients(trainer, plain)
        theirs = BASES[build].compute_loss(trainer, trainer.model, bare(batch))
        expected = gradients(trainer, theirs)
    # Both sum in float32 in another order: a few last bits of numbers near one.
    assert plain.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert found.keys() == expected.keys()
    assert any(value.abs().max() > 1e-3 for value in found.values())
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-5)


def bare(batch):
    """Without what is ours, which TRL would hand on to the model."""
    return {name: value for name, value in batch.items() if name not in ("weight", "probability")}


@pytest.mark.parametrize("build", [preferring, judging])
def test_what_only_we_can_weigh_is_the_same_in_trls_tiles(models, tmp_path, build, monkeypatch):
    with reproducibly(0):
        trainer, *_ = build(models(), tmp_path)
        batch = trainer.data_collator([trainer.train_dataset[number] for number in range(4)])
        batch["weight"] = torch.tensor([2.0, 1.0, 0.5, 0.5])
        if "probability" in batch:
            batch["probability"] = torch.tensor([0.6, 0.9, 1.0, 0.5])
        trainer.model.eval()
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        plain = trainer.compute_loss(trainer.model, dict(batch))
        found = gradients(trainer, plain)
        monkeypatch.setattr(ours, "reply_log_probs", lambda *given: None)
        tiled = trainer.compute_loss(trainer.model, dict(batch))
        expected = gradients(trainer, tiled)
    assert plain.item() == pytest.approx(tiled.item(), abs=1e-5)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-5)


def test_logits_that_would_not_fit_are_left_to_trl(models, tmp_path, monkeypatch):
    with reproducibly(0):
        trainer, *_ = supervised(models(), tmp_path)
        batch = trainer.data_collator([trainer.train_dataset[number] for number in range(5)])
        calls: list[int] = []
        monkeypatch.setattr(trl.SFTTrainer, "compute_loss", lambda *given, **named: calls.append(1))
        monkeypatch.setattr(reply_log_probs, "__kwdefaults__", {"most": 100})
        trainer.compute_loss(trainer.model, dict(batch))
    assert calls == [1]


def test_the_reference_is_trls_and_needs_no_adapter_of_its_own(models, tmp_path):
    with reproducibly(0):
        trainer, *_ = preferring(models(), tmp_path)
        rows = [trainer.train_dataset[number] for number in range(12)]
        batch = trainer.data_collator(rows)
        theirs = trl.DPOTrainer.compute_ref_log_probs(trainer, trainer.model, bare(batch))
    expected = (
        [row["ref_chosen_logps"] for row in rows],
        [row["ref_rejected_logps"] for row in rows],
    )
    for found, values in zip(theirs, expected, strict=True):
        assert found.tolist() == pytest.approx(values, abs=1e-4)


def test_an_adapter_that_goes_on_is_not_kept_twice(models, tmp_path):
    adapter = train("supervised", models(), tmp_path / "adapter", lora=LORA).path
    with reproducibly(0):
        trainer, *_ = preferring(adapter, tmp_path, lora=LORA)
    assert list(trainer.model.peft_config) == ["default"]
    trained = {name for name, value in trainer.model.named_parameters() if value.requires_grad}
    assert trained
    assert all(".default." in name for name in trained)


def test_nobody_is_told_what_is_trained(models, tmp_path, monkeypatch):
    told = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(
        "trl.trainer.base_trainer.send_telemetry", lambda *given, **named: told.append(named)
    )
    train("supervised", models(), tmp_path / "a", count=4)
    train("dpo", models(), tmp_path / "b", count=4)
    train("kto", models(), tmp_path / "c", count=4)
    train("grpo", models(), tmp_path / "d", count=4)
    train("rloo", models(), tmp_path / "e", count=4)
    assert told == []


def conversations():
    return [
        {
            "prompt": [{"role": "user", "content": example.dialogue[0].content}],
            "completion": [{"role": "assistant", "content": example.response}],
        }
        for example in exchanges(12)
    ]


def test_tokens_are_those_of_trls_conversational_format_and_prompts_are_not_learned(
    models, tmp_path
):
    with reproducibly(0):
        trainer, *_, start = supervised(models(), tmp_path)
        theirs = trl.SFTTrainer(
            model=start.module,
            args=trl.SFTConfig(str(tmp_path), use_cpu=True, bf16=False, report_to="none"),
            train_dataset=Dataset.from_list(conversations()),
            processing_class=start.chat.tokenizer,
        )
    assert theirs.completion_only_loss
    for mine, other in zip(trainer.train_dataset, theirs.train_dataset, strict=True):
        assert mine["input_ids"] == other["input_ids"]
        assert mine["labels"] == other["labels"]
        assert mine["labels"][0] == -100
        assert mine["labels"][-1] == start.chat.end


def test_a_whole_run_is_trls_run_in_the_same_order(models, tmp_path):
    with reproducibly(0):
        trainer, settings, batches, space, _ = supervised(models(), tmp_path)
        mine = run_trainer(trainer, settings, batches, space, None)
        start, _ = opened(models(), settings, tmp_path)
        rows = conversations()
        theirs = trl.SFTTrainer(
            model=start.module,
            args=trl.SFTConfig(
                str(tmp_path / "trl"),
                use_cpu=True,
                bf16=False,
                report_to="none",
                save_strategy="no",
                per_device_train_batch_size=4,
                num_train_epochs=1,
                learning_rate=settings.learning_rate,
                lr_scheduler_type="linear",
                logging_steps=1,
                disable_tqdm=True,
                train_sampling_strategy="sequential",
            ),
            train_dataset=Dataset.from_list([rows[number] for number in batches.order]),
            processing_class=start.chat.tokenizer,
        )
        theirs.remove_callback(ours_printer())
        theirs.train()
    curve = [point.value for point in mine.curve if point.name == "loss"]
    expected = [entry["loss"] for entry in theirs.state.log_history if "loss" in entry]
    assert curve == pytest.approx(expected, abs=1e-4)
    assert curve[-1] < curve[0] - 0.05


def ours_printer():
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


def test_the_configuration_is_ours_where_trls_defaults_would_be_slow_or_loud(models, tmp_path):
    with reproducibly(0):
        trainer, *_ = supervised(models(), tmp_path)
    args = trainer.args
    assert args.bf16 is torch.cuda.is_available()
    assert args.gradient_checkpointing is False
    assert args.report_to == []
    assert args.max_length is None
    assert args.average_tokens_across_devices is False
    assert len(trainer.train_dataset.cache_files) == 0


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
@pytest.mark.parametrize("lora", [None, LORA])
def test_drawn_tokens_are_as_likely_to_the_trainer_as_when_they_were_drawn(
    models, tmp_path, kind, lora
):
    # Another temperature and a cut, so that a comparison with the wrong numbers would show.
    lora = lora and dataclasses.replace(lora, dropout=0.0)
    result = train(
        kind,
        models(),
        tmp_path / "out",
        epochs=1,
        temperature=0.7,
        top_p=0.9,
        iterations=2,
        lora=lora,
    )
    drift = [point.value for point in result.curve if point.name == "drift"]
    means = [point.value for point in result.curve if point.name == "ratio/mean"]
    assert len(drift) == result.steps / 2  # in the second pass the model has moved
    assert max(drift) < 1e-4
    assert means[0::2] == pytest.approx([1.0] * len(drift), abs=1e-4)
    assert max(abs(mean - 1) for mean in means[1::2]) > 1e-4


def test_grpo_asks_for_rewards_of_tokens_and_draws_for_each_prompt_by_its_number(models, tmp_path):
    settings = GrpoTraining(**BRIEF, replies_per_prompt=2, max_new_tokens=4, beta=0.0)
    asked = []

    def score(numbers, replies):
        asked.append((list(numbers), [list(reply) for reply in replies]))
        return [float(len(reply)) for reply in replies]

    with reproducibly(0):
        start, space = opened(models(), settings, tmp_path)
        prompts = start.chat.prompts([example.dialogue for example in exchanges(4)])
        batches = Batches(order=[3, 1, 0, 2], batch_size=2, micro_batch_size=2)
        given = RewardedPrompts(
            start=start, prompts=prompts, score=score, batches=batches, space=space
        )
        trainer = ours.group_trainer(given, settings, seed=0)
        assert trainer.args.steps_per_generation == 1
        run = run_trainer(trainer, settings, batches, space, None)
    assert run.steps == 2
    assert [numbers for numbers, _ in asked] == [[3, 3, 1, 1], [0, 0, 2, 2]]
    assert all(1 <= len(reply) <= 4 for _, replies in asked for reply in replies)
    assert all(isinstance(token, int) for _, replies in asked for token in replies[0])
