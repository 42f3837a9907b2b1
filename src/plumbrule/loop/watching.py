"""Training against the reward, watched by replies to prompts that were set aside for it.

The reward model stands for what the critic said, and a model that is trained on it for long enough
finds where it is wrong. Where a run has a held-out judge, that judge reads the watched replies too,
and training stops where they get worse while the reward gets better; in any case it stops where
replies collapse. What is kept is the best model so far.
"""

from collections.abc import Sequence
from functools import partial

from plumbrule.errors import DataError
from plumbrule.judging import grade
from plumbrule.loop.config import RunConfig
from plumbrule.loop.steps import Jury, RunModels, draw_prompts
from plumbrule.loop.trials import try_held_out
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.records import Dialogue, Exchange, Judgment, Prompt
from plumbrule.store import derive_seed, fingerprint
from plumbrule.training import Monitor, MonitorSettings, RewardModel, TrainingResult


def set_aside(prompts: Sequence[Prompt], config: RunConfig) -> tuple[list[Prompt], list[Prompt]]:
    """Prompts to train on, and as many to watch training by as the configuration says.

    Raises:
        DataError: Fewer would be left to train on than are set aside.
    """
    if not config.watched:
        return list(prompts), []
    if len(prompts) < 2 * config.watched:
        raise DataError(
            f"expected at least {2 * config.watched} training prompts where {config.watched} are "
            f"set aside to watch training by, got {len(prompts)}; add prompts or lower --watch"
        )
    watched = draw_prompts(prompts, config.watched, config.seed, "watched")
    apart = {each.id for each in watched}
    return [each for each in prompts if each.id not in apart], watched


def monitor_of(
    run: RunWorkspace,
    models: RunModels,
    jury: Jury,
    reward_model: TrainingResult,
    watched: Sequence[Prompt],
) -> Monitor | None:
    """What watches training against a reward model; None where no prompts were set aside."""
    if not watched:
        return None
    parts = [reward_model.inputs_sha256, jury.constitution.sha256, jury.prompts.sha256]
    gold = None
    if models.held_out_judge is not None:
        alone = try_held_out(run, jury, models.held_out_judge, watched)
        parts.append(models.held_out_judge.identity)
        gold = partial(kept_shares, alone, seed=run.config.seed)
    return Monitor(
        dialogues=[each.dialogue for each in watched],
        identity=fingerprint(parts),
        gold=gold,
        proxy=RewardModel.open(reward_model.path).score,
        settings=MonitorSettings(max_new_tokens=run.config.sampling.max_new_tokens),
    )


def kept_shares(
    jury: Jury, dialogues: Sequence[Dialogue], replies: Sequence[str], *, seed: int
) -> list[float]:
    """Share of the constitution that each reply keeps, as the jury's judge sees it, 0 to 1.

    A principle counts by how sure the judge is that it is kept; one that does not apply is kept.

    Raises:
        DataError: The judge gave no usable answer about a reply under any principle.
    """
    exchanges = [
        Exchange(id=str(number), dialogue=dialogue, response=reply, model="watched")
        for number, (dialogue, reply) in enumerate(zip(dialogues, replies, strict=True))
    ]
    judged = grade(
        jury.judge,
        exchanges,
        jury.constitution,
        prompts=jury.prompts,
        seeds=[derive_seed(seed, "watched", each.id) for each in exchanges],
        standing=jury.judge_standing,
    )
    said: dict[str, list[float]] = {each.id: [] for each in exchanges}
    for each in judged:
        value = _kept(each)
        if value is not None:
            said[each.exchange_id].append(value)
    silent = [name for name, values in said.items() if not values]
    if silent:
        raise DataError(
            f"the held-out judge gave no usable answer about {len(silent)} of {len(exchanges)} "
            "watched replies under any principle, so it cannot watch training; give another "
            "--held-out-judge, or leave --watch out"
        )
    return [sum(values) / len(values) for values in said.values()]


def _kept(judgment: Judgment) -> float | None:
    """How far a principle is kept; None where the judge gave no usable answer."""
    if judgment.verdict == "not_applicable":
        return 1.0
    if judgment.verdict not in ("pass", "fail"):
        return None
    if judgment.probability is not None:
        return 1.0 - judgment.probability
    return float(judgment.verdict == "pass")


def stopped_early(trained: TrainingResult | None) -> list[str]:
    """That training against the reward was stopped, where it was: a report begins with that."""
    seen = None if trained is None else trained.monitored
    return (
        [] if seen is None or seen.stopped is None else [f"STOPPED EARLY: {seen.stopped.message}"]
    )


def watched_notes(trained: TrainingResult | None, config: RunConfig) -> list[str]:
    """What a reader must know of how training was watched; nothing where it was not."""
    seen = None if trained is None else trained.monitored
    if trained is None or seen is None:
        return []
    by = "by the held-out judge and for collapse" if config.held_out_judge else "for collapse alone"
    share = f"{seen.seconds / trained.seconds:.0%}" if trained.seconds else "most"
    return [
        f"Training against the reward was watched {len(seen.checks)} times, {by}, on replies to "
        f"{config.watched} prompts that were set aside; that took {share} of its time."
    ]
