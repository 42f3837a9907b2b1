import json
from typing import Any

import pytest
import torch
from tests.training.conftest import weights
from tests.training.worker import BRIEF, LORA, asked, exchanges, make_model, reward, train
from tests.training.worker import WORDS as LEXICON

from plumbrule.errors import ConfigError, DataError
from plumbrule.models import LocalModel, open_model
from plumbrule.training import LoraSettings, PpoTraining, RewardModel, train_ppo
from plumbrule.training.checkpoints import TrainingWorkspace, inputs_of
from plumbrule.training.loading import load_for_training
from plumbrule.training.policy_gradients import masked_mean
from plumbrule.training.ppo_trainer import ppo_trainer
from plumbrule.training.reproducibility import reproducibly
from plumbrule.training.rewarded import RewardedPrompts, batches_of_prompts

WORDS = ["cat", "dog", "help", "road"]


def curve(result, name):
    return [point.value for point in result.curve if point.name == name]


def letters(dialogues, replies):
    return [float(reply.count("a")) for reply in replies]


def built(model, tmp_path, **changes):
    """A trainer and a batch of its replies, before any step."""
    settings = PpoTraining(**{**BRIEF, "batch_size": 6, "max_new_tokens": 6, **changes})
    space = TrainingWorkspace(
        out=tmp_path / "out",
        folder=tmp_path / "out.partial",
        inputs=inputs_of(model, settings, seed=0, data=[]),
    )
    start = load_for_training(model, settings, space)
    prompts = start.chat.prompts([one.dialogue for one in exchanges(6)])

    def score(numbers, replies):
        return [float(len(reply)) for reply in replies]

    batches = batches_of_prompts(settings, [len(prompt) for prompt in prompts], 0)
    given = RewardedPrompts(start=start, prompts=prompts, score=score, batches=batches, space=space)
    trainer = ppo_trainer(given, settings, seed=0)
    return trainer, trainer.roll_out(range(6), 0)


@pytest.mark.parametrize(("kind", "lora"), [("llama", None), ("gpt2", LoraSettings(rank=8))])
def test_replies_come_to_earn_more(models, tmp_path, kind, lora):
    epochs = 32 if lora else 16
    settings = PpoTraining(
        **{**BRIEF, "batch_size": 16, "epochs": epochs, "learning_rate": 5e-2 if lora else 1e-2},
        iterations=2,
        minibatches=2,
        max_new_tokens=4,
        kl_coefficient=0.0,
        lora=lora,
    )
    dialogues = [asked(word) for word in WORDS] * 4
    result = train_ppo(
        models(kind),
        dialogues,
        letters,
        reward_identity="letters",
        settings=settings,
        out=tmp_path / "a",
        seed=0,
    )
    rewards = curve(result, "reward")
    half = len(rewards) // 2  # a mean of few replies moves by chance, which processors differ in
    assert sum(rewards[half:]) > sum(rewards[:half]) + 1
    assert result.steps == 4 * epochs
    assert result.tokens_trained > 16 * 16
    assert curve(result, "kl")[0] == pytest.approx(0, abs=1e-5)
    assert max(curve(result, "drift")) < 1e-4  # sampler and trainer compute the same model
    assert curve(result, "ratio/mean")[0] == pytest.approx(1, abs=1e-4)
    assert open_model(str(result.path)).score([asked("cat")], ["a"])[0].tokens == 1
    assert not any("value" in name for name in weights(result.path))


def test_a_penalty_holds_the_model_back(models, tmp_path):
    def moved(coefficient):
        result = train(
            "ppo",
            models(),
            tmp_path / f"{coefficient}",
            epochs=8,
            kl_coefficient=coefficient,
            kl_target=None,
        )
        return sum(curve(result, "kl")[-8:]) / 8

    assert moved(10.0) < 0.75 * moved(0.0)


def test_what_is_read_is_what_scoring_says_and_padding_has_no_part_in_it(models, tmp_path):
    for kind in ("llama", "gpt2"):
        with reproducibly(0):
            (tmp_path / kind).mkdir()
            _, rollout = built(models(kind), tmp_path / kind)
        model = open_model(str(models(kind)), dtype="float32", device="cpu")
        assert isinstance(model, LocalModel)
        expected = model.score_tokens(
            [example.prompt for example in rollout.examples],
            [example.reply for example in rollout.examples],
        )
        for row, values in enumerate(expected):
            own = rollout.log_probs[row][rollout.mask[row]].tolist()
            assert own == pytest.approx(values, abs=1e-4)
        assert torch.equal(rollout.log_probs[~rollout.mask], rollout.log_probs[~rollout.mask] * 0)
        torch.testing.assert_close(rollout.drawn, rollout.log_probs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("micro", [1, 2])
def test_gradients_do_not_depend_on_how_many_replies_are_in_memory(models, tmp_path, micro):
    found = []
    for at_once in (None, micro):
        with reproducibly(0):
            folder = tmp_path / str(at_once)
            folder.mkdir()
            trainer, rollout = built(models(), folder, micro_batch_size=at_once)
            with torch.no_grad():  # away from the start, where no ratio is clipped
                for parameter in trainer.model.parameters():
                    parameter.add_(0.02 * torch.randn_like(parameter))
            trainer._learn(rollout, range(6), first=True)
        found.append([parameter.grad.clone() for parameter in trainer.model.parameters()])
        found[-1].append(trainer.head.weight.grad.clone())
    assert any(gradient.abs().max() > 1e-3 for gradient in found[0])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_the_value_head_learns_what_replies_earn(models, tmp_path):
    result = train(
        "ppo",
        models(),
        tmp_path / "out",
        epochs=40,
        learning_rate=1e-9,
        value_learning_rate=0.1,
        iterations=1,
        kl_target=None,
        kl_coefficient=0.0,
    )
    losses = curve(result, "value_loss")
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_the_reference_is_the_start_whatever_has_been_learned_since(models, tmp_path):
    with reproducibly(0):
        trainer, rollout = built(models(), tmp_path)
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.add_(0.1)
            moved, _ = trainer.read_all(rollout.examples, rollout.mask)
            with trainer.starting.in_place():
                start, _ = trainer.read_all(rollout.examples, rollout.mask)
            back, _ = trainer.read_all(rollout.examples, rollout.mask)
    torch.testing.assert_close(start, rollout.log_probs)
    assert (moved - start).abs().max() > 0.01
    assert torch.equal(moved, back)


def test_advantages_are_white_and_the_coefficient_is_steered(models, tmp_path):
    with reproducibly(0):
        trainer, rollout = built(models(), tmp_path, kl_target=1.0, kl_coefficient=0.1)
    assert float(masked_mean(rollout.advantages, rollout.mask)) == pytest.approx(0, abs=1e-5)
    assert trainer.coefficient == pytest.approx(0.1 * 0.98)  # no divergence yet: a fifth too low


def test_bfloat16_and_recomputed_activations_train_too(models, tmp_path):
    changes: dict[str, Any]
    for changes in ({"precision": "bfloat16"}, {"gradient_checkpointing": True, "lora": LORA}):
        name = next(iter(changes))
        result = train("ppo", models(), tmp_path / name, epochs=1, count=8, **changes)
        assert result.steps == 4
        assert max(curve(result, "drift")) < 0.1


def test_the_same_call_gives_the_same_bytes_and_an_adapter_goes_on(models, tmp_path):
    first = train("supervised", models(), tmp_path / "first", lora=LORA, epochs=1)
    runs = [
        train("ppo", first.path, tmp_path / name, lora=LORA, epochs=1, micro_batch_size=2)
        for name in "ab"
    ]
    assert weights(runs[0].path) == weights(runs[1].path)
    assert curve(runs[0], "kl")[0] == pytest.approx(0, abs=1e-5)  # the adapter is the reference


def test_a_reward_model_of_another_tokenizer_reads_the_text(models, tmp_path):
    other = make_model(tmp_path / "other", words=(*LEXICON, "zebra", "quite"))
    scorer = RewardModel.open(train("reward_model", other, tmp_path / "scorer", count=2).path)
    files = [folder / "tokenizer.json" for folder in (other, models())]
    assert files[0].read_bytes() != files[1].read_bytes()
    seen = []

    def scored(dialogues, replies):
        seen.extend(replies)
        return scorer.score(dialogues, replies)

    settings = PpoTraining(**BRIEF, iterations=1, max_new_tokens=4)
    result = train_ppo(
        models(),
        [asked(word) for word in WORDS],
        scored,
        reward_identity=scorer.identity,
        settings=settings,
        out=tmp_path / "out",
        seed=0,
    )
    again = scorer.score([asked(word) for word in WORDS], seen[:4])
    assert sum(again) / 4 == pytest.approx(curve(result, "reward")[0], rel=0.3, abs=0.5)


@pytest.mark.parametrize(
    "bad", [lambda d, r: [1.0] * (len(r) + 1), lambda d, r: [float("nan")] * len(r)]
)
def test_a_reward_that_is_no_number_a_reply_is_refused(models, tmp_path, bad):
    given = {"reward_identity": "bad", "out": tmp_path / "out", "seed": 0}
    settings = PpoTraining(**BRIEF, max_new_tokens=4)
    with pytest.raises(DataError, match="one finite reward a reply"):
        train_ppo(models(), [asked("x")], bad, settings=settings, **given)
    with pytest.raises(DataError, match="at least one dialogue"):
        train_ppo(models(), [], reward, settings=settings, **given)


@pytest.mark.parametrize("stage", ["ppo", "grpo", "rloo"])
def test_a_run_that_comes_apart_is_stopped(models, tmp_path, stage):
    changes: dict[str, Any] = {"learning_rate": 1.0, "iterations": 3, "most_ratio": 1.0001}
    with pytest.raises(ConfigError, match=r"\(most_ratio\), got .*Lower learning_rate"):
        train(stage, models(), tmp_path / "out", **changes)


def test_a_checkpoint_holds_the_value_head_its_optimizer_and_the_coefficient(
    server, models, tmp_path
):
    job = {"stage": "ppo", "model": models(), "count": 8, "epochs": 3, "out": tmp_path / "out"}
    assert server.run(**job, die=("rename", 1)) == 9
    folder = next((tmp_path / "out.partial" / "steps").glob("checkpoint-*"))
    assert (folder / "value_head.safetensors").exists()
    assert json.loads((folder / "ppo.json").read_text())["kl_coefficient"] != 0.05
    groups = torch.load(folder / "optimizer.pt", weights_only=True)["param_groups"]
    assert len(groups) == 3
    assert groups[2]["initial_lr"] == pytest.approx(1e-2)
