"""PPO beside GRPO and RLOO: what each earns at equal samples, how far it goes, and what it costs.

`python -m benchmarks.training_ppo [--quick] [--part compare] --json FILE` prints a table and writes
its rows; rows of parts that are not asked for stay as the file has them. Finished runs are kept in
the folder beside FILE, so the same command goes on where it was stopped.
"""

import functools
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy import stats

from benchmarks.rows import Row, estimated, show, single, spread, with_earlier
from plumbrule.lab import World, build_world, judge, read_request, village_prompts
from plumbrule.models import LocalModel, Sampling, model_folder, open_model
from plumbrule.records import Dialogue, Estimate, Prompt
from plumbrule.training import (
    GrpoTraining,
    PpoTraining,
    RlooTraining,
    canary_of,
    share_of_word,
    train_grpo,
    train_ppo,
    train_rloo,
)

MODEL = "lab:nano"
BATCH, GROUP = 64, 8
STEPS = 24
TOKENS = 32
LEARN: dict[str, Callable[..., Any]] = {"ppo": train_ppo, "grpo": train_grpo, "rloo": train_rloo}
SETTINGS: dict[str, Any] = {
    "ppo": PpoTraining(batch_size=BATCH, max_new_tokens=TOKENS, max_tokens=256, minibatches=2),
    "grpo": GrpoTraining(
        batch_size=BATCH, replies_per_prompt=GROUP, max_new_tokens=TOKENS, max_tokens=256
    ),
    "rloo": RlooTraining(
        batch_size=BATCH, replies_per_prompt=GROUP, max_new_tokens=TOKENS, max_tokens=256
    ),
}
RATES = {"ppo": (1e-4, 3e-4), "grpo": (5e-4, 1e-3), "rloo": (5e-4, 1e-3)}
"""Tried for each method with a seed of its own; PPO takes eight steps where the others take one."""

CANARY = {"ppo": 5e-4, "grpo": 2e-3, "rloo": 2e-3}
"""Step sizes that should be plenty; PPO stops itself at 3e-3, where its mean ratio leaves 2."""

TUNING_SEED = 100
PENALTY = 0.05
"""Reward that a nat per reply away from the start costs in choosing a rate."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="The same work, smaller.")] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Where rows are written.")] = None,
    part: Annotated[
        list[str] | None, typer.Option("--part", help="compare, canary, floor, crash.")
    ] = None,
) -> None:
    """Measure PPO."""
    kept = (out.parent / f".{out.stem}") if out else Path(tempfile.mkdtemp())
    kept.mkdir(parents=True, exist_ok=True)
    seeds = range(2 if quick else 5)
    steps = 6 if quick else STEPS
    parts: dict[str, Callable[[], list[Row]]] = {
        "compare": lambda: compare_rows(kept, seeds, steps=steps),
        "canary": lambda: canary_rows(kept, seeds[:3], steps=16),
        "floor": lambda: floor_rows(repetitions=3 if quick else 9),
        "crash": lambda: crash_rows(kept, kills=3 if quick else 20),
    }
    rows = [row for name in part or parts for row in parts[name]()]
    show("PPO", with_earlier(rows, out) if part else rows, out)


@functools.cache
def _world() -> World:
    return build_world()


@functools.cache
def _prompts() -> tuple[Prompt, ...]:
    """Requests that deserve help: the model never draws the right reply to others by itself."""
    return tuple(each for each in village_prompts() if each.deserves_help)


def oracle_reward(dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[float]:
    """What the village's answer key says: 1 right, 0 wrong, -1 where it cannot be read."""
    world = _world()
    found = []
    for dialogue, reply in zip(dialogues, replies, strict=True):
        outcome = judge(read_request(dialogue, world), reply, world)
        found.append(-1.0 if outcome.right is None else float(outcome.right))
    return found


def dialogues_of(method: str, count: int, seed: int) -> tuple[list[Dialogue], int]:
    """Training prompts for so many replies, and how often each is gone through."""
    prompts = [each.dialogue for each in _prompts() if not each.held_out]
    rng = np.random.default_rng(seed)
    chosen = [prompts[at] for at in rng.permutation(len(prompts))[: count // GROUP]]
    # Equal samples on equal prompts: a group each, or each as often by itself.
    return chosen, 1 if method != "ppo" else GROUP


def run(
    kept: Path, method: str, seed: int, rate: float, *, steps: int, reward: Any, name: str
) -> dict[str, Any]:
    """One run and its examination, or what is kept of it."""
    path = kept / f"{name}-{method}-{seed}-{rate}-{steps}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    dialogues, epochs = dialogues_of(method, steps * BATCH, seed)
    settings = replace(SETTINGS[method], learning_rate=rate, epochs=epochs)
    if name == "canary":  # a share is a small reward, and any penalty outweighs it
        settings = replace(settings, **{"kl_coefficient" if method == "ppo" else "beta": 0.0})
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        result = LEARN[method](
            model_folder(MODEL),
            dialogues,
            reward,
            reward_identity=name,
            settings=settings,
            out=Path(folder) / "model",
            seed=seed,
        )
        seconds = time.process_time() - started
        found = {**examined(str(result.path), reward), "seconds": seconds, "steps": result.steps}
    canary = canary_of(result) if steps >= 15 else None
    found["moved"] = None if canary is None else canary.moved
    found["curve"] = curve = [point.value for point in result.curve if point.name == "reward"]
    found["reward on its own prompts at the end"] = float(np.mean(curve[-len(curve) // 5 :]))
    path.write_text(json.dumps(found))
    return found


def examined(spec: str, reward: Any, *, count: int = 400) -> dict[str, float]:
    """Mean reward of fresh replies to held-out prompts, and nats per reply from the start."""
    prompts = [each.dialogue for each in _prompts() if each.held_out][:count]
    policy, start = (open_model(each, dtype="float32", device="cpu") for each in (spec, MODEL))
    assert isinstance(policy, LocalModel)
    assert isinstance(start, LocalModel)
    tokens = policy.chat.prompts(prompts)
    drawn = policy.sample_tokens(
        tokens,
        sampling=Sampling(max_new_tokens=TOKENS),
        seeds=range(len(prompts)),
        log_probs=True,
    )
    replies = [each.tokens for each in drawn]
    reference = start.score_tokens(tokens, replies)
    nats = [
        sum(each.log_probs or ()) - sum(ref) for each, ref in zip(drawn, reference, strict=True)
    ]
    texts = policy.chat.decode(
        [each[:-1] if each[-1] in policy.chat.stops else each for each in replies]
    )
    return {"reward": float(np.mean(reward(prompts, texts))), "kl": float(np.mean(nats))}


def tuned(kept: Path, method: str, *, steps: int) -> float:
    """The rate whose reward less its penalty is highest with the seed for trying."""
    tried = {
        rate: run(kept, method, TUNING_SEED, rate, steps=steps, reward=oracle_reward, name="oracle")
        for rate in RATES[method]
    }
    return max(RATES[method], key=lambda rate: tried[rate]["reward"] - PENALTY * tried[rate]["kl"])


def compare_rows(kept: Path, seeds: Sequence[int], *, steps: int) -> list[Row]:
    """Reward and divergence on held-out prompts, each method at its best rate."""
    rates = {method: tuned(kept, method, steps=steps) for method in LEARN}
    runs = {
        method: [
            run(kept, method, seed, rate, steps=steps, reward=oracle_reward, name="oracle")
            for seed in seeds
        ]
        for method, rate in rates.items()
    }
    before = examined(MODEL, oracle_reward)
    rows = [
        single(
            "held-out reward before training",
            before["reward"],
            unit="mean of 1 right, 0 wrong, -1 unreadable",
            n=sum(each.held_out for each in _prompts()),
        )
    ]
    for method, each in runs.items():
        where = f"{method.upper()}, rate {rates[method]:g}, {steps * BATCH} replies"
        for name, unit in (
            ("reward on its own prompts at the end", "mean over the last fifth of the curve"),
            ("reward", "mean of 1 right, 0 wrong, -1 unreadable"),
            ("kl", "nats per reply"),
            ("seconds", "s of CPU for the whole call"),
        ):
            rows.append(
                spread(f"{where}: {name}", [one[name] for one in each], unit=unit, seeds=seeds)
            )
    for other in ("grpo", "rloo"):
        tried: tuple[tuple[str, str, Callable[[Estimate], bool]], ...] = (
            (
                "reward on its own prompts at the end",
                "mean at least 0",
                lambda e: e.value >= 0,
            ),
            ("reward", "mean at least 0", lambda e: e.value >= 0),
            ("kl", "mean at most 0", lambda e: e.value <= 0),
        )
        for name, target, good in tried:
            estimate = paired(
                [one[name] for one in runs["ppo"]],
                [one[name] for one in runs[other]],
                unit="nats per reply" if name == "kl" else "reward",
            )
            rows.append(
                estimated(
                    f"{name}, PPO less {other.upper()}",
                    estimate,
                    seeds=list(seeds),
                    target=target,
                    met=good(estimate),
                )
            )
    return rows


def paired(ours: Sequence[float], theirs: Sequence[float], *, unit: str) -> Estimate:
    """Mean difference over seeds, with Student's 95% interval."""
    apart = np.array(ours) - np.array(theirs)
    half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
    return Estimate(
        value=float(apart.mean()),
        low=float(apart.mean() - half),
        high=float(apart.mean() + half),
        level=0.95,
        n=len(apart),
        unit=unit,
        method="Student's interval of paired differences over seeds",
    )


def canary_rows(kept: Path, seeds: Sequence[int], *, steps: int) -> list[Row]:
    """The share of one word must rise where there is a step size, and not where there is none."""
    rows = []
    reward = share_of_word("the")
    for method in LEARN:
        for rate, words in ((CANARY[method], "with a step size"), (1e-12, "with none")):
            moved = [
                run(kept, method, seed, rate, steps=steps, reward=reward, name="canary")["moved"]
                for seed in seeds
            ]
            must = rate > 1e-6
            rows.append(
                single(
                    f"canary moved, {method.upper()}, {words}",
                    sum(moved),
                    unit=f"runs of {len(moved)}",
                    n=len(moved),
                    seeds=list(seeds),
                    target="all" if must else "0",
                    met=all(moved) if must else not any(moved),
                )
            )
    return rows


def floor_rows(repetitions: int) -> list[Row]:
    """A batch's time in the trainer beside that of its passes alone, both in CPU seconds."""
    from benchmarks.training_ppo_floor import shares

    found = shares(repetitions)
    seeds = list(range(repetitions))
    return [
        spread(
            "PPO batch: passes alone over the trainer's time",
            found.shares,
            unit="share",
            seeds=seeds,
            target=">= 80%",
            met=lambda value: value >= 0.8,
        ),
        spread("PPO batch: replies a CPU second", found.replies, unit="replies/s", seeds=seeds),
    ]


def crash_rows(kept: Path, *, kills: int) -> list[Row]:
    """`kill -9` at moments spread over each trainer's run, then the same call."""
    from benchmarks.training_crash import STAGES, Crashed, crashed

    rows = []
    for stage in STAGES:
        path = kept / f"crash-{stage}-{kills}.json"
        if not path.exists():
            path.write_text(json.dumps(asdict(crashed(stage, kills=kills, seed=0))))
        found = Crashed(**json.loads(path.read_text()))
        rows.append(
            single(
                f"same final bytes after kill -9, {stage}",
                float(found.same),
                unit=f"1 = the same; {found.went_on} of the restarts went on from a checkpoint",
                n=found.kills,
                target="the same",
                met=found.same and 4 * found.went_on >= kills,  # or little was tried
            )
        )
    return rows


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    typer.run(main)
