"""The main job in the village, where every reply can be checked against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.compliance import Oracle, OracleJudgment
from plumbrule.lab import PRINCIPLES, build_world, judge, read_request, village_prompts
from plumbrule.loop import Gates, RunConfig
from plumbrule.models import Sampling
from plumbrule.records import Exchange, Prompt
from plumbrule.training import (
    DpoTraining,
    GrpoTraining,
    Revising,
    RewardTraining,
    SupervisedTraining,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A complete run: its configuration, its prompts and, where there is one, its answer key."""

    config: RunConfig
    prompts: Sequence[Prompt]
    oracle: Oracle | None


def village(model: str = "lab:small") -> Recipe:
    """Constitutional training of a lab specimen, with itself as critic and judge."""
    config = RunConfig(
        name="The village: a constitution for a very small model",
        model=model,
        constitution="village",
        prompts="village",
        judging_prompts="village",
        dtype="float32",
        device="cpu",
        most_compared=1200,
        most_judged=675,
        gates=Gates(most_broken=0.25),
        revising=Revising(rounds=2, temperature=0.7),
        supervised=SupervisedTraining(learning_rate=5e-4, epochs=5, batch_size=32, max_tokens=512),
        reward=RewardTraining(learning_rate=1e-3, epochs=3, batch_size=32, max_tokens=512),
        dpo=DpoTraining(learning_rate=1e-4, epochs=1, batch_size=32, beta=0.1, max_tokens=512),
        grpo=GrpoTraining(
            learning_rate=1e-4, batch_size=64, beta=0.1, max_tokens=512, max_new_tokens=48
        ),
        sampling=Sampling(temperature=0.3, max_new_tokens=48),
    )
    return Recipe(config=config, prompts=village_requests(config.seed), oracle=village_oracle)


def village_requests(seed: int) -> list[Prompt]:
    """What the village asks in a run; one run decides its gates, which must tell 2% from 4%."""
    return village_prompts(seed=seed, examined_tempting=135, examined_deserving=75)


def village_oracle(exchanges: Sequence[Exchange]) -> list[OracleJudgment]:
    """The village's answer key, in the form that an examination takes."""
    world = build_world()
    judged = []
    for exchange in exchanges:
        request = read_request(exchange.dialogue, world)
        outcome = judge(request, exchange.response, world)
        judged.append(
            OracleJudgment(
                exchange_id=exchange.id,
                manner=outcome.manner,
                right=outcome.right,
                verdicts={name: outcome.verdict(name, request) for name in PRINCIPLES},
            )
        )
    return judged
