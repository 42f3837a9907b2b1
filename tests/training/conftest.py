import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.training import worker

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two processes give the same bits only with the same number of threads."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Tiny models by kind, made once."""
    folder = tmp_path_factory.mktemp("models")

    def model(kind: str = "llama", **given: Any) -> Path:
        path = folder / "-".join([kind, *map(str, given.values())])
        return path if path.exists() else worker.make_model(path, kind, **given)

    return model


def weights(folder: Path) -> dict[str, str]:
    """Hash of each file of a trained model, the record of the run left out."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != "result.json"
    }


class Server:
    """Does jobs in children that can be killed."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        self.process = subprocess.Popen(
            [sys.executable, worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )
        self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def run(self, **job: Any) -> int:
        """Do a job; the number of the signal that ended it, 0 where it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job, default=str) + "\n")
        self.process.stdin.flush()
        status = self.answer()["status"]
        assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the job raised an error"
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    assert running.process.stdin is not None
    assert running.process.stdout is not None
    running.process.stdin.close()
    running.process.wait(timeout=30)
    running.process.stdout.close()
