"""What becomes of a run whose numbers or memory give out."""

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import weights
from tests.training.worker import train

from plumbrule.errors import ConfigError
from plumbrule.training import log_probs
from plumbrule.training.running import Discreet
from plumbrule.training.trl import _DrawingTrainer


def test_a_loss_that_is_no_number_is_named_by_step_and_batch_and_the_last_state_kept(
    models, tmp_path, monkeypatch
):
    step = Discreet.training_step

    def bad(trainer, *given, **named):
        if trainer.state.global_step == 5:
            for parameter in trainer.model.parameters():
                parameter.data.fill_(float("nan"))
        return step(trainer, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Discreet, "training_step", bad)
        with pytest.raises(
            ConfigError, match=r"loss is nan at step 6, batch 6 \(examples"
        ) as caught:
            train("supervised", models(), tmp_path / "out", checkpoint_every=2)
    kept = tmp_path / "out.partial" / "steps" / "checkpoint-4"
    assert str(kept) in str(caught.value)
    assert (kept / "model.safetensors").exists()
    whole = train("supervised", models(), tmp_path / "whole")
    result = train("supervised", models(), tmp_path / "out", checkpoint_every=2)
    assert result.resumed_from == 4
    assert weights(result.path) == weights(whole.path)


@pytest.mark.parametrize("stage", ["supervised", "dpo", "grpo", "ppo"])
def test_where_memory_runs_out_fewer_are_taken_at_once_and_it_is_said(
    models, tmp_path, monkeypatch, caplog, stage
):
    read = log_probs._logits

    def short(model, columns, **given):
        if len(given["input_ids"]) > (4 if stage == "dpo" else 2) and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return read(model, columns, **given)

    told = []
    changes = {"epochs": 1, "count": 8}
    plain = train(stage, models(), tmp_path / "plain", **changes)
    if stage == "grpo":  # TRL reads replies by itself
        score = _DrawingTrainer._get_per_token_logps_and_entropies

        def scored(trainer, model, ids, *given, **named):
            if named.get("compute_entropy") and len(ids) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return score(trainer, model, ids, *given, **named)

        monkeypatch.setattr(_DrawingTrainer, "_get_per_token_logps_and_entropies", scored)
    monkeypatch.setattr(log_probs, "_logits", short)
    result = train(
        stage, models(), tmp_path / "short", tell=lambda *each: told.append(each), **changes
    )
    assert {"micro_batch_size": 2.0} in [measured for *_, measured in told]
    assert "memory ran out with 4 examples at once; going on with 2" in caplog.text
    assert result.steps == plain.steps
    before, after = (load_file(each.path / "model.safetensors") for each in (plain, result))
    for name, value in before.items():
        torch.testing.assert_close(value, after[name], rtol=0.05, atol=5e-3)


def test_one_example_that_does_not_fit_is_said(models, tmp_path, monkeypatch):
    def never(*given, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(log_probs, "_logits", never)
    with pytest.raises(ConfigError, match="1 example at once to fit into memory"):
        train("supervised", models(), tmp_path / "out", count=4)
