"""After `kill -9` at any moment the same call ends with the same bytes."""

import errno
import json
import random
from typing import Any

import pytest
from tests.training.conftest import weights
from tests.training.worker import train

from plumbrule.errors import StorageError

KILLED = 9


def record(folder):
    content = json.loads((folder / "result.json").read_text())
    return {name: content[name] for name in ("curve", "steps", "tokens_trained", "held_out")}


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("supervised", "gpt2"),
        ("dpo", "llama"),
        ("reward_model", "llama"),
        ("kto", "gpt2"),
        ("grpo", "gpt2"),
        ("rloo", "llama"),
        ("ppo", "gpt2"),
        ("ppo", "llama"),
    ],
)
def test_kills_at_random_moments_change_nothing(server, models, tmp_path, stage, kind):
    # GPT-2 with dropout and an adapter, so that the state of the random numbers counts.
    model = models(kind, **({"dropout": 0.1} if kind == "gpt2" else {}))
    job = {"stage": stage, "model": model, "lora": kind == "gpt2", "pause": 0.03, "count": 12}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert server.run(**job, out=whole) == 0
    draw = random.Random(f"{stage} {kind}")
    killed = [server.run(**job, out=broken, kill_after=draw.uniform(0.2, 0.6)) for _ in range(3)]
    assert server.run(**job, out=broken) == 0
    assert set(killed) <= {0, KILLED}
    assert weights(whole) == weights(broken)
    assert record(whole) == record(broken)
    assert not (tmp_path / "broken.partial").exists()


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("write_atomic", 1),  # before the inputs are recorded
        ("write_atomic", 4),  # a checkpoint is written, its seal is not
        ("write_atomic after", 4),  # both are, and the one before still lies there
        ("rmtree", 2),  # while the one before is deleted
        ("write_atomic", 7),
        ("rename", 1),  # the final model is whole, but not in its place
        ("rename after", 1),  # it is in its place, the workspace still lies there
    ],
)
def test_kills_at_the_worst_moments_change_nothing(
    server, models, tmp_path, reference, where, count
):
    job = {"stage": "supervised", "model": models(), "count": 12, "out": tmp_path / "out"}
    assert server.run(**job, die=(where, count)) == KILLED
    assert (tmp_path / "out.partial").exists()
    assert server.run(**job) == 0
    assert weights(tmp_path / "out") == weights(reference)
    assert record(tmp_path / "out") == record(reference)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture(scope="module")
def reference(server, models, tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "out"
    assert server.run(stage="supervised", model=models(), count=12, out=out) == 0
    return out


def test_a_full_disk_is_said_and_the_same_call_goes_on(models, tmp_path, monkeypatch, reference):
    import transformers

    save = transformers.Trainer._save

    def full(trainer, output_dir=None, state_dict=None):
        if output_dir and output_dir.endswith("-3"):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(trainer, output_dir, state_dict)

    given: dict[str, Any] = {"count": 12, "checkpoint_every": 1}
    with monkeypatch.context() as patch:
        patch.setattr(transformers.Trainer, "_save", full)
        with pytest.raises(StorageError, match="free some space"):
            train("supervised", models(), tmp_path / "out", **given)
    result = train("supervised", models(), tmp_path / "out", **given)
    assert result.resumed_from == 2
    assert weights(result.path) == weights(reference)


def test_work_before_a_kill_is_not_done_again(server, models, tmp_path):
    job = {"stage": "supervised", "model": models(), "count": 12, "out": tmp_path / "out"}
    assert server.run(**job, die=("rename", 1)) == KILLED
    assert server.run(**job) == 0
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    assert content["resumed_from"] == content["steps"] - 1


@pytest.mark.parametrize("stage", ["grpo", "ppo"])
def test_drawn_replies_are_resumed_between_batches_only(server, models, tmp_path, stage):
    # Two optimizer steps a batch: TRL would go on from between them, and diverge in silence.
    job = {"stage": stage, "model": models(), "count": 4, "iterations": 2, "epochs": 3}
    if stage == "ppo":
        job |= {"minibatches": 2, "iterations": 1}
    assert server.run(**job, out=tmp_path / "whole") == 0
    for count in (2, 3) if stage == "ppo" else (4, 5):
        out = tmp_path / f"broken{count}"
        assert server.run(**job, out=out, die=("write_atomic after", count)) == KILLED
        names = [path.name for path in (tmp_path / f"{out.name}.partial" / "steps").iterdir()]
        assert all(int(name.removeprefix("checkpoint-")) % 2 == 0 for name in names)
        assert server.run(**job, out=out) == 0
        assert weights(tmp_path / "whole") == weights(out)
        assert record(tmp_path / "whole") == record(out)
