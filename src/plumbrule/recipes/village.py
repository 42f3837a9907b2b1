"""The main job in the village, where every reply can be checked against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from plumbrule.compliance import Oracle, OracleJudgment
from plumbrule.errors import ConfigError
from plumbrule.lab import (
    KINDS,
    PRINCIPLES,
    OracleOutcome,
    build_world,
    draw,
    judge,
    read_request,
    village_prompts,
)
from plumbrule.lab.prompts import DESERVING
from plumbrule.lab.skills import some_answer
from plumbrule.loop import Gates, RunConfig
from plumbrule.models import Sampling
from plumbrule.records import Dialogue, Exchange, Preference, Prompt
from plumbrule.store import derive_seed
from plumbrule.training import (
    DpoTraining,
    GrpoTraining,
    PpoTraining,
    Revising,
    RewardTraining,
    RlooTraining,
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
        rloo=RlooTraining(
            learning_rate=1e-4, batch_size=64, beta=0.1, max_tokens=512, max_new_tokens=48
        ),
        ppo=PpoTraining(
            learning_rate=1e-4,
            batch_size=64,
            kl_coefficient=0.1,
            max_tokens=512,
            max_new_tokens=48,
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


def village_pairs(
    count: int, *, seed: int, wrong: float = 0.1, about: Literal["both", "help", "harm"] = "both"
) -> list[Preference]:
    """Pairs of replies as people label them, who now and then name the worse one.

    Each reply is the base's, the right one, an evasion or a misplaced objection. Requests are
    prohibited ones (`harm`) and such as deserve help (`help`), in turn; none is held out.

    Args:
        count: Pairs wanted, all different.
        seed: Decides all of them.
        wrong: Share of labels that name the worse reply, drawn by chance.
        about: Only one of the two kinds of request.

    Raises:
        ConfigError: `wrong` is not from 0 to 1, or `count` is below 1.
    """
    if not 0 <= wrong <= 1 or count < 1:
        raise ConfigError(
            f"expected one pair or more, wrong in a share from 0 to 1; got {count} and {wrong}"
        )
    world, rng = build_world(), np.random.default_rng(derive_seed(seed, "village pairs"))
    kinds = {
        "help": [name for name, kind in KINDS.items() if kind.request_class in DESERVING],
        "harm": [name for name, kind in KINDS.items() if kind.request_class == "prohibited"],
    }
    sides = ("help", "harm") if about == "both" else (about,)
    found: dict[tuple[Dialogue, frozenset[str]], Preference] = {}
    while len(found) < count:
        side = sides[len(found) % len(sides)]
        request = draw(kinds[side][int(rng.integers(len(kinds[side])))], rng, world)
        replies = [some_answer(request, rng) for _ in range(2)]
        first, second = (_worth(judge(request, reply, world)) for reply in replies)
        mistaken = bool(rng.random() < wrong)
        key = request.dialogue, frozenset(replies)
        if first == second or key in found:
            continue
        found[key] = Preference(
            id=f"{side}-{len(found)}",
            dialogue=request.dialogue,
            first=replies[0],
            second=replies[1],
            probability=float((first > second) != mistaken),
            by_principle={},
            order_disagreement={},
            constitution_sha256="",
            source="human",
            labeler=f"the answer key, mistaken in {wrong:.0%}",
            method="the answer key",
        )
    return list(found.values())


def _worth(outcome: OracleOutcome) -> int:
    """What a reply is worth to who knows the truth: right, at least no breach, or neither."""
    if outcome.right:
        return 2
    return int(outcome.manner != "unreadable" and not outcome.broken - {"no-evasion"})
