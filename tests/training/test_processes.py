"""Several processes train one model: the same bytes after a kill, and what is refused.

`python -m benchmarks.scale --part accelerate` does the same with the launcher and ten kills.
"""

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import weights
from tests.training.worker import train

from plumbrule.errors import ConfigError
from plumbrule.training import processes, stage
from plumbrule.training.processes import Processes


def test_two_processes_that_were_killed_end_with_the_weights_of_two_that_were_not(
    server, models, tmp_path
):
    for name, dies in (("whole", False), ("killed", True), ("killed", False)):
        out = tmp_path / name
        assert server.run(stage="supervised", model=models(), out=out, pair=dies) == 0
        assert out.exists() != dies

    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert not (tmp_path / "killed.partial").exists()
    # One process takes the same examples a step; only sums are put together otherwise.
    train("supervised", models(), tmp_path / "alone")
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    alone = load_file(tmp_path / "alone" / "model.safetensors")
    for name, value in whole.items():
        torch.testing.assert_close(value, alone[name], atol=1e-4, rtol=1e-4)


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    alone = processes.processes()

    assert alone == Processes(number=0, count=1)
    assert alone.first
    assert alone.agreed("as I say") == "as I say"


@pytest.mark.parametrize(
    ("name", "given", "match"),
    [
        ("dpo", {}, "supervised training without a monitor from 3 processes, got dpo"),
        ("supervised", {"monitor": "raised"}, "without a monitor"),
        ("supervised", {}, "batch that 3 processes can share alike, got 4"),
    ],
)
def test_what_several_cannot_do_is_refused_before_anything_is_written(
    models, tmp_path, monkeypatch, name, given, match
):
    monkeypatch.setattr(stage, "processes", lambda: Processes(number=0, count=3))
    with pytest.raises(ConfigError, match=match):
        train(name, models(), tmp_path / "out", **given)

    assert list(tmp_path.iterdir()) == []
