import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from plumbrule.errors import DataError, EndpointError, ModelError, OutputError
from plumbrule.training import checkpoints
from plumbrule.training.checkpoints import (
    Inputs,
    base_of,
    finished,
    inputs_of,
    model_sha256,
    workspace,
)
from plumbrule.training.results import CurvePoint, TrainingResult
from plumbrule.training.settings import SupervisedTraining

INPUTS = Inputs(stage="supervised", model="m", settings={"epochs": 1}, seed=0, data="d")
OTHER = replace(INPUTS, seed=1)


def result(path, inputs=INPUTS):
    return TrainingResult(
        path=path,
        stage="supervised",
        inputs_sha256=inputs.sha256,
        settings_sha256="s",
        examples=3,
        skipped=0,
        steps=2,
        tokens_trained=30,
        seconds=1.5,
        resumed_from=None,
        curve=(CurvePoint(step=1, name="loss", value=2.0),),
    )


def written(space, step, *, sealed=True):
    path = space.steps / f"checkpoint-{step}"
    (path / "part").mkdir(parents=True)
    (path / "weights.bin").write_bytes(b"w" * step)
    (path / "part" / "state.bin").write_bytes(b"s")
    if sealed:
        space.seal(path, step=step, seconds=step / 2, tokens=step * 10)
    return path


def finish(space, out):
    final = space.fresh("final")
    (final / "model.safetensors").write_bytes(b"weights")
    return space.finish(final, result(out, space.inputs))


def test_only_a_sealed_checkpoint_counts(tmp_path):
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        assert space.last_checkpoint() is None
        written(space, 3)
        unsealed = written(space, 4, sealed=False)
        last = space.last_checkpoint()
        assert last is not None
        assert (last.step, last.seconds, last.tokens) == (3, 1.5, 30)
        assert not unsealed.exists()


def test_a_newer_checkpoint_replaces_the_older(tmp_path):
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        older = written(space, 9)
        written(space, 10)
        assert not older.exists()
        last = space.last_checkpoint()
        assert last is not None
        assert last.step == 10


def test_the_seal_is_written_after_all_else_has_reached_the_disk(tmp_path, monkeypatch):
    reached: list[str] = []
    sync = os.fsync

    def watch(handle):
        reached.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        sync(handle)

    monkeypatch.setattr(os, "fsync", watch)
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        reached.clear()
        written(space, 1)
    assert {"weights.bin", "state.bin", "part", "checkpoint-1"} <= set(reached[:4])
    assert reached[4].startswith(".complete.json")


@pytest.mark.parametrize("damage", ["cut", "lost"])
def test_a_checkpoint_with_a_damaged_file_does_not_count(tmp_path, damage):
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        file = written(space, 5) / "weights.bin"
        if damage == "cut":
            file.write_bytes(b"w")
        else:
            file.unlink()
        assert space.last_checkpoint() is None


def test_checkpoints_outlive_the_process_but_not_a_change_of_circumstances(tmp_path):
    for threads, expected in ((1, None), (1, 7), (2, None)):
        with workspace(tmp_path / "out", INPUTS, circumstances={"threads": threads}) as space:
            last = space.last_checkpoint()
            assert (last.step if last else None) == expected
            if last is None:
                written(space, 7)


def test_a_run_on_other_inputs_is_refused_once_there_is_something_to_lose(tmp_path):
    with workspace(tmp_path / "out", OTHER, circumstances={}):
        pass
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        written(space, 1)
    with (
        pytest.raises(OutputError, match="unfinished training from another model"),
        workspace(tmp_path / "out", OTHER, circumstances={}),
    ):
        pass


@pytest.mark.parametrize(("error", "kept"), [(DataError, False), (EndpointError, True)])
def test_a_mistake_in_the_input_leaves_nothing_behind(tmp_path, error, kept):
    with pytest.raises(error), workspace(tmp_path / "out", INPUTS, circumstances={}):
        raise error("no")
    assert (tmp_path / "out.partial").exists() is kept


def test_work_done_before_a_mistake_is_kept(tmp_path):
    def work(space):
        written(space, 1)
        raise DataError("no")

    with pytest.raises(DataError), workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        work(space)
    assert (tmp_path / "out.partial" / "steps" / "checkpoint-1").exists()


def test_two_runs_cannot_share_a_folder(tmp_path):
    with (
        workspace(tmp_path / "out", INPUTS, circumstances={}),
        pytest.raises(OutputError, match="another process is training"),
        workspace(tmp_path / "out", INPUTS, circumstances={}),
    ):
        pass


def test_a_finished_run_is_found_again_and_nothing_else_is_left(tmp_path):
    out = tmp_path / "out"
    assert finished(out, INPUTS) is None
    with workspace(out, INPUTS, circumstances={}) as space:
        written(space, 1)
        made = finish(space, out)
    assert finished(out, INPUTS) == made == result(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert "path" not in json.loads((out / "result.json").read_text())


def test_a_finished_folder_may_be_moved(tmp_path):
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        finish(space, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "moved")
    assert finished(tmp_path / "moved", INPUTS) == result(tmp_path / "moved")


def test_an_output_from_other_inputs_is_refused(tmp_path):
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        finish(space, tmp_path / "out")
    with pytest.raises(OutputError, match="was trained from others"):
        finished(tmp_path / "out", OTHER)


def test_somebody_elses_folder_is_refused_and_an_empty_one_taken(tmp_path):
    (tmp_path / "out").mkdir()
    assert finished(tmp_path / "out", INPUTS) is None
    with workspace(tmp_path / "out", INPUTS, circumstances={}) as space:
        finish(space, tmp_path / "out")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds something else"):
        finished(tmp_path / "letters", INPUTS)
    assert (tmp_path / "letters" / "letter.txt").exists()


def model_folder(path, weights=b"w", **config):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(weights)
    return path


def test_a_models_hash_follows_its_content_and_not_its_place(tmp_path):
    first = model_sha256(model_folder(tmp_path / "a"))
    assert model_sha256(model_folder(tmp_path / "b")) == first
    assert model_sha256(model_folder(tmp_path / "c", weights=b"x")) != first
    assert model_sha256(model_folder(tmp_path / "d", hidden_size=3)) != first
    (tmp_path / "a" / "result.json").write_text("{}")
    assert model_sha256(tmp_path / "a") == first


def test_an_adapters_hash_follows_the_model_under_it(tmp_path):
    hashes = set()
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        base = model_folder(tmp_path / f"{name}-base", weights=weights)
        adapter = tmp_path / name
        adapter.mkdir()
        content = {"base_model_name_or_path": str(base), "r": 2}
        (adapter / "adapter_config.json").write_text(json.dumps(content))
        assert base_of(adapter) == base
        hashes.add(model_sha256(adapter))
    assert len(hashes) == 2


def test_an_adapter_without_its_model_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "gone"}')
    with pytest.raises(ModelError, match="names 'gone', which is none here"):
        base_of(tmp_path)


def test_where_logs_go_does_not_decide_the_weights(tmp_path):
    model = model_folder(tmp_path / "m")

    def sha256(**changes):
        return inputs_of(model, SupervisedTraining(**changes), seed=0, data=[]).sha256

    assert sha256() == sha256(report_to="wandb") == sha256(checkpoint_every=5)
    assert sha256() != sha256(epochs=2)


def test_new_code_makes_new_inputs(monkeypatch):
    before = INPUTS.sha256
    monkeypatch.setattr(checkpoints, "CODE_VERSION", checkpoints.CODE_VERSION + 1)
    assert INPUTS.sha256 != before
