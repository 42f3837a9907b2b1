"""Training by two processes, killed and gone on with: what `benchmarks.scale` starts and compares.

`accelerate launch --multi_gpu --num_processes 2 -m benchmarks.scale_training OUT` is one such
training; without a GPU it computes on the CPU and agrees by gloo.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from plumbrule.lab import village_prompts
from plumbrule.models import model_folder
from plumbrule.records import Exchange
from plumbrule.training import SupervisedTraining, train_supervised

ROOT = Path(__file__).parent.parent
SETTINGS = SupervisedTraining(
    learning_rate=1e-3, epochs=12, batch_size=16, max_tokens=512, checkpoint_every=5
)

OPTIONS = (
    "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
)  # fmt: skip
"""What accelerate would guess, and say so."""


def train(out: Path) -> None:
    """Teach a model of the lab to decline; in every process alike."""
    prompts = village_prompts(
        tempting=10, honesty=4, deserving=4, examined_tempting=1, examined_deserving=1
    )
    examples = [
        Exchange(id=each.id, dialogue=each.dialogue, response="I will not say.", model="none")
        for each in prompts
    ]
    train_supervised(model_folder("lab:small"), examples, settings=SETTINGS, out=out, seed=0)


def launched(out: Path, *, count: int, kills: int = 0, seed: int = 0) -> int:
    """Train from the start by so many processes, killed so often; gives how often they were.

    Raises:
        RuntimeError: A training ended in an error.
    """
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(out.parent / f"{out.name}.partial", ignore_errors=True)
    draw, killed = random.Random(seed), 0
    launcher = ["-m", "accelerate.commands.launch", *OPTIONS, "--num_processes", str(count)]
    command = [
        sys.executable,
        *(launcher if count > 1 else []),
        "-m",
        "benchmarks.scale_training",
        str(out),
    ]
    while True:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        steps = out.parent / f"{out.name}.partial" / "steps"
        try:
            seen = _sealed(steps)
            while process.poll() is None and (killed >= kills or _sealed(steps) == seen):
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                time.sleep(draw.uniform(0.0, 0.2))
                ours = psutil.Process(process.pid)
                for each in [ours, *ours.children(recursive=True)]:
                    each.kill()
                killed += 1
        said, _ = process.communicate()
        if process.returncode == 0:
            return killed
        if process.returncode != -signal.SIGKILL:
            raise RuntimeError(said[-2000:])


def _sealed(steps: Path) -> list[str]:
    return sorted(path.parent.name for path in steps.glob("checkpoint-*/complete.json"))


if __name__ == "__main__":
    train(Path(sys.argv[1]))
