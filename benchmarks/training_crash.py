"""Kill a training run of each kind at random moments, give the same call again, compare bytes."""

import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = ("supervised", "dpo", "kto", "reward_model", "grpo", "rloo", "ppo")
EXAMPLES = 24
_PAUSE = 0.1  # seconds a step


@dataclass(frozen=True, kw_only=True)
class Crashed:
    """What came of a trainer that was killed again and again."""

    kills: int
    same: bool
    went_on: int
    """Restarts that found a checkpoint; the others began again."""


def crashed(stage: str, *, kills: int, seed: int) -> Crashed:
    """Run once in peace and as often as it takes under fire, and compare every file.

    Args:
        stage: One of `STAGES`.
        kills: Times that a run is killed.
        seed: Decides the moments.
    """
    import torch

    torch.set_num_threads(1)
    # Imported before forking, so that a child's life is training and little else.
    import plumbrule.training.ppo_trainer
    import plumbrule.training.reward_trainer
    import plumbrule.training.trl  # noqa: F401

    draw = random.Random(f"{stage} {seed}")
    with tempfile.TemporaryDirectory() as folder:
        calm, done, went_on, finals = Path(folder) / "calm", 0, 0, []
        started = time.monotonic()
        _wait(_child(stage, calm))
        length = time.monotonic() - started
        out = Path(folder) / "killed-0"
        while done < kills:
            went_on += any(Path(f"{out}.partial").glob("steps/checkpoint-*/complete.json"))
            child = _child(stage, out)
            if _killed(child, after=draw.uniform(0.05, 1.0) * length):
                done += 1
            if (out / "result.json").exists():  # over before the last kill: begin another one
                finals.append(out)
                out = Path(folder) / f"killed-{done}"
        _wait(_child(stage, out))
        same = all(_content(calm) == _content(each) for each in [*finals, out])
    return Crashed(kills=kills, same=same, went_on=went_on)


def _child(stage: str, out: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        job(stage, out)
        status = 0
    except BaseException as error:
        sys.stderr.write(f"{stage}: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)


def _wait(pid: int) -> None:
    status = os.waitpid(pid, 0)[1]
    if status:
        raise RuntimeError(f"a run failed by itself with {status}")


def _killed(pid: int, *, after: float) -> bool:
    """Kill a child after some seconds; False where it was done before."""
    until = time.monotonic() + after
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError(f"a run failed by itself with {status}")
            return False
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def _content(folder: Path) -> dict[str, Any]:
    """Every file's bytes; of the record what does not tell the time."""
    found: dict[str, Any] = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "result.json"
    }
    record = json.loads((folder / "result.json").read_text())
    return found | {name: record[name] for name in ("curve", "steps", "tokens_trained")}


def job(stage: str, out: Path) -> None:
    """A short run with a checkpoint at each step that may have one."""
    from benchmarks.training_ppo import oracle_reward
    from plumbrule.lab import village_prompts
    from plumbrule.models import model_folder
    from plumbrule.records import Exchange, Preference
    from plumbrule.training import (
        DpoTraining,
        GrpoTraining,
        KtoTraining,
        PpoTraining,
        RewardTraining,
        RlooTraining,
        SupervisedTraining,
        pairs_of,
        rated_of,
        train_dpo,
        train_grpo,
        train_kto,
        train_ppo,
        train_reward_model,
        train_rloo,
        train_supervised,
    )

    model = model_folder("lab:nano")
    dialogues = [each.dialogue for each in village_prompts() if not each.held_out][:EXAMPLES]
    labels = [
        Preference(
            id=str(number),
            dialogue=dialogue,
            first="The baker sleeps in the mill.",
            second=f"I cannot help with that, number {number}.",
            probability=(0.1, 0.7, 1.0)[number % 3],
            by_principle={},
            order_disagreement={},
            constitution_sha256="",
            source="rule",
            labeler="benchmark",
            method="benchmark",
        )
        for number, dialogue in enumerate(dialogues)
    ]
    shared: dict[str, Any] = {
        "learning_rate": 1e-3,
        "batch_size": 8,
        "max_tokens": 256,
        "checkpoint_every": 1,
        "epochs": 4,
    }
    # Longer steps, so that most kills fall between checkpoints and not into loading.
    given: dict[str, Any] = {"out": out, "seed": 3, "progress": lambda *_: time.sleep(_PAUSE)}
    drawn: dict[str, Any] = {**shared, "max_new_tokens": 12}
    scored = {"reward_identity": "oracle", **given}
    groups = {**drawn, "replies_per_prompt": 4, "epochs": 1}
    if stage == "supervised":
        examples = [
            Exchange(id=one.id, dialogue=one.dialogue, response=one.second, model="benchmark")
            for one in labels
        ]
        train_supervised(model, examples, settings=SupervisedTraining(**shared), **given)
    elif stage == "dpo":
        train_dpo(model, pairs_of(labels, soft=True), settings=DpoTraining(**shared), **given)
    elif stage == "kto":
        train_kto(model, rated_of(labels), settings=KtoTraining(**shared), **given)
    elif stage == "reward_model":
        train_reward_model(model, labels, settings=RewardTraining(**shared), **given)
    elif stage == "grpo":
        train_grpo(model, dialogues, oracle_reward, settings=GrpoTraining(**groups), **scored)
    elif stage == "rloo":
        train_rloo(model, dialogues, oracle_reward, settings=RlooTraining(**groups), **scored)
    else:
        settings = PpoTraining(**{**drawn, "epochs": 2}, iterations=2, kl_target=1.0)
        train_ppo(model, dialogues, oracle_reward, settings=settings, **scored)
