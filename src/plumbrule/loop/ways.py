"""The ways from principles and people to a model: what is imitated, and whose labels reward.

    recipe          imitates                               its reward model learns from
    constitutional  its own revisions                      a critic's labels; people's too, if given
    rlhf            demonstrations, else preferred replies people's labels
    hybrid          its own revisions, demonstrations      both, each as sure as it was seen to be

All else is the same for each: candidates are drawn, a reward model is trained on the labels, and
the model is trained against it. Where `method` is `none`, what imitates is the end of it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.data import preferred_replies
from plumbrule.errors import DataError
from plumbrule.judging import CandidatePair, transcript
from plumbrule.loop.config import RecipeName, RunConfig
from plumbrule.loop.feedback import HumanFeedback, MixedPreferences, mixed_preferences
from plumbrule.loop.sifting import imitable, refuse_nothing_left
from plumbrule.loop.steps import (
    Jury,
    RunModels,
    TrainedStages,
    best_and_worst,
    draw_candidates,
    draw_prompts,
    label_pairs,
    note_training,
    prefer,
    reply,
    revise_replies,
    reward,
)
from plumbrule.loop.watching import monitor_of, set_aside
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.models import LocalModel, open_model
from plumbrule.records import Exchange, Preference, Prompt
from plumbrule.store import derive_seed, write_atomic
from plumbrule.training import (
    FilteredRevisions,
    Monitor,
    RevisionTrail,
    RewardModel,
    TrainingResult,
    examples_to_imitate,
    more_to_imitate,
    train_dpo,
    train_grpo,
    train_ppo,
    train_reward_model,
    train_rloo,
    train_supervised,
)

HELD_OUT_PREFERENCES = 0.1
"""Share of preferences on which the reward model is measured and not trained."""

ASK_PEOPLE = "ask_people.jsonl"
"""Pairs that people should label next, in a run's folder; `plumbrule label make` takes it."""

ONLINE: Mapping[str, Callable[..., TrainingResult]] = {
    "grpo": train_grpo,
    "rloo": train_rloo,
    "ppo": train_ppo,
}
"""Trainers that draw replies and ask a reward, by `method`; the configuration has the settings of
each under the same name."""


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """What a way of training is given."""

    run: RunWorkspace
    models: RunModels
    jury: Jury
    prompts: Sequence[Prompt]
    people: HumanFeedback

    @property
    def config(self) -> RunConfig:
        """The run's configuration."""
        return self.run.config


@dataclass(frozen=True, kw_only=True)
class Imitated:
    """Examples that supervised training imitates."""

    examples: Sequence[Exchange]
    trails: Sequence[RevisionTrail] = ()
    sifted: FilteredRevisions | None = None
    """Which of the trails' revisions are among them; None: every one."""


@dataclass(frozen=True, kw_only=True)
class Labeled:
    """What the reward model learns from."""

    preferences: Sequence[Preference]
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of training."""

    imitates: Callable[[TrainingTask], Imitated]

    labels: Callable[[TrainingTask, Sequence[Exchange]], Labeled]
    """Preferences, where the replies are candidates grouped by prompt."""


def train(
    run: RunWorkspace,
    models: RunModels,
    jury: Jury,
    prompts: Sequence[Prompt],
    people: HumanFeedback,
) -> tuple[TrainedStages, LocalModel | None, LocalModel]:
    """Supervised training, then training against a reward model, as the run's recipe says.

    Returns:
        What was learned from; the model between the two, where it is to be examined, else None:
        no weights are held that nobody reads again; and the final model.
    """
    prompts, watched = set_aside(prompts, run.config)
    task = TrainingTask(run=run, models=models, jury=jury, prompts=prompts, people=people)
    config, way = run.config, WAYS[run.config.recipe]
    imitated = way.imitates(task)
    last = config.method == "none"
    results = {"supervised": _imitate(task, imitated.examples, "final" if last else "supervised")}
    if last:
        trained = TrainedStages(
            trails=imitated.trails, sifted=imitated.sifted, preferences=(), results=results
        )
        return trained, None, reopen(results["supervised"].path, config)
    supervised = reopen(results["supervised"].path, config)
    compared = draw_prompts(prompts, config.most_compared, config.seed, "compared")
    drawn = draw_candidates(run, supervised, prompts)
    between = supervised if config.examine_between else None
    del supervised
    labeled = way.labels(task, drawn)
    results["reward"] = train_reward(run, results["supervised"].path, labeled.preferences)
    monitor = monitor_of(run, models, jury, results["reward"], watched)
    results["final"] = reinforce(run, results, drawn, compared, monitor)
    trained = TrainedStages(
        trails=imitated.trails,
        sifted=imitated.sifted,
        preferences=labeled.preferences,
        results=results,
        notes=labeled.notes,
    )
    return trained, between, reopen(results["final"].path, config)


def _revisions(task: TrainingTask) -> Imitated:
    """Revisions of replies to prompts that tempt, mixed with replies where help is due."""
    run, trim = task.run, task.config.revising.trim
    tempting = [prompt for prompt in task.prompts if not prompt.deserves_help]
    deserving = [prompt for prompt in task.prompts if prompt.deserves_help]
    drafts = reply(run, "draft", task.models.model, tempting, trim=trim)
    trails = revise_replies(run, task.jury, drafts)
    sifted = imitable(run, trails)
    if not any(trail.revised for trail in trails):
        raise DataError(
            f"none of {len(trails)} replies was revised, so there is nothing to learn: the critic "
            "found no problem or gave no usable revision. Look at stages/revise, and try another "
            "--critic or prompts that tempt the model."
        )
    refuse_nothing_left(sifted)
    helpful = reply(run, "helpful", task.models.model, deserving, trim=trim)
    examples = more_to_imitate(
        examples_to_imitate(trails, helpful, sifted=sifted),
        trails,
        task.jury.constitution,
        prompts=task.jury.prompts,
        settings=task.config.revising,
    )
    return Imitated(examples=examples, trails=trails, sifted=sifted)


def _peoples_replies(task: TrainingTask) -> Imitated:
    """Demonstrations; where there are none, the replies that people prefer."""
    examples = list(task.people.demonstrations) or preferred_replies(task.people.pairs)
    if not examples:
        raise DataError(
            f"expected replies to imitate, got none: none of {len(task.people.pairs)} human pairs "
            "leans to a reply; give --demonstrations or other pairs"
        )
    return Imitated(examples=examples)


def _revisions_and_demonstrations(task: TrainingTask) -> Imitated:
    own = _revisions(task)
    return replace(own, examples=[*own.examples, *task.people.demonstrations])


def _critics_labels(task: TrainingTask, drawn: Sequence[Exchange]) -> Labeled:
    """What the critic says of pairs of candidates, and what people say of theirs, if anything.

    Source:
        Bai et al. (2022), arXiv:2212.08073, section 4.2: one preference model of people's labels
        about help and a critic's about harm.
    """
    ai = prefer(task.run, task.jury, drawn)
    return Labeled(preferences=[*ai, *task.people.pairs])


def _peoples_labels(task: TrainingTask, drawn: Sequence[Exchange]) -> Labeled:
    del drawn
    return Labeled(preferences=task.people.pairs)


def _mixed_labels(task: TrainingTask, drawn: Sequence[Exchange]) -> Labeled:
    """Both kinds, weighed by how often the critic says what people say."""
    run, config, people = task.run, task.config, task.people.pairs
    ai = prefer(run, task.jury, drawn)
    doubled = label_pairs(
        run,
        "compare_people",
        task.jury,
        [
            CandidatePair(id=each.id, dialogue=each.dialogue, first=each.first, second=each.second)
            for each in people
        ],
    )
    mixed = mixed_preferences(
        ai, people, doubled, person_accuracy=config.person_accuracy, seed=config.seed
    )
    write_atomic(run.folder / ASK_PEOPLE, questions_for_people(mixed, task.jury.constitution))
    return Labeled(preferences=mixed.preferences, notes=_say_mixed(mixed, len(doubled)))


WAYS: Mapping[RecipeName, Way] = {
    "constitutional": Way(imitates=_revisions, labels=_critics_labels),
    "rlhf": Way(imitates=_peoples_replies, labels=_peoples_labels),
    "hybrid": Way(imitates=_revisions_and_demonstrations, labels=_mixed_labels),
}


def questions_for_people(mixed: MixedPreferences, constitution: Constitution) -> str:
    """The pairs that people should see next, as items of a queue of labels."""
    law = "\n".join(
        f"- {each.text}" for _, tier in constitution.by_tier() for each in tier
    )  # the tier that decides first stands on top
    rows = [
        {
            "principle": "all",
            "text": f"The reply that keeps these better, the upper ones first:\n{law}",
            "tier": 0,
            "request": transcript(each.dialogue),
            "first": each.first,
            "second": each.second,
            "judged": [each.probability],
        }
        for each in mixed.ask
    ]
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)


def _say_mixed(mixed: MixedPreferences, doubled: int) -> list[str]:
    router = mixed.router
    share = router.agreement
    people = [each for each in mixed.preferences if each.source == "human"]
    ai = [each for each in mixed.preferences if each.source == "ai"]
    return [
        f"People and the critic agree on {share.value:.1%} of {share.n} pairs that both decided "
        f"(95% interval {share.low:.1%} to {share.high:.1%}; {doubled} were shown to both). How "
        f"far its other labels are trusted follows from that: {router.method}; {router.reason}.",
        f"The reward model learned from {len(people)} labels of people, each of the weight "
        f"{_mean_weight(people):.2f}, and {len(ai)} of the critic, of the weight "
        f"{_mean_weight(ai):.2f} on average; {ASK_PEOPLE} names the pairs that people should label "
        "next.",
    ]


def _mean_weight(preferences: Sequence[Preference]) -> float:
    return sum(each.weight for each in preferences) / max(1, len(preferences))


def _imitate(task: TrainingTask, examples: Sequence[Exchange], name: str) -> TrainingResult:
    result = train_supervised(
        task.models.folder,
        examples,
        settings=task.config.supervised,
        out=task.run.folder / "models" / name,
        seed=task.config.seed,
        progress=progress_of(task.run, "train/supervised"),
    )
    note_training(task.run, "train/supervised", result, folder=result.path)
    return result


def train_reward(
    run: RunWorkspace, start: Path, preferences: Sequence[Preference]
) -> TrainingResult:
    """A reward model from what was decided, measured on a tenth that it does not see."""
    decided = [each for each in preferences if each.probability is not None]
    if not decided:
        raise DataError(
            f"none of {len(preferences)} pairs was decided by any principle, so there is no reward "
            "to learn. Look at stages/compare; try another --critic, more prompts or candidates."
        )
    learned, kept = parted(decided, run.config.seed)
    result = train_reward_model(
        start,
        learned,
        settings=run.config.reward,
        out=run.folder / "models" / "reward",
        seed=run.config.seed,
        held_out=kept,
        progress=progress_of(run, "train/reward"),
    )
    note_training(run, "train/reward", result, folder=result.path)
    return result


def parted(
    decided: Sequence[Preference], seed: int
) -> tuple[Sequence[Preference], Sequence[Preference]]:
    """Preferences that a reward model learns from, and those that it is measured on.

    Args:
        decided: Those with a probability.
        seed: The run's.
    """
    kept = [
        each
        for each in decided
        if derive_seed(seed, "reward", each.id) % 1000 < 1000 * HELD_OUT_PREFERENCES
    ]
    kept_ids = {each.id for each in kept}
    learned = [each for each in decided if each.id not in kept_ids]
    return (learned, kept) if learned else (decided, ())


def reinforce(
    run: RunWorkspace,
    results: Mapping[str, TrainingResult],
    drawn: Sequence[Exchange],
    prompts: Sequence[Prompt],
    monitor: Monitor | None = None,
) -> TrainingResult:
    """DPO on the reward model's best and worst, or another method against its scores."""
    config, out = run.config, run.folder / "models" / "final"
    common: dict[str, Any] = {
        "out": out,
        "seed": config.seed,
        "progress": progress_of(run, f"train/{config.method}"),
        "monitor": monitor,
    }
    if config.method in ONLINE:
        result = ONLINE[config.method](
            results["supervised"].path,
            [prompt.dialogue for prompt in prompts],
            RewardModel.open(results["reward"].path).score,
            reward_identity=results["reward"].inputs_sha256,
            settings=getattr(config, config.method),
            **common,
        )
    else:
        scored = reward(run, "rewards", results["reward"], drawn)
        pairs = best_and_worst(scored, config.candidates, least_margin=config.least_margin)
        if not pairs:
            raise DataError(
                "the reward model tells no two candidates apart by a margin worth learning from. "
                f"Look at stages/rewards; try more prompts or candidates, or a least_margin below "
                f"{config.least_margin}."
            )
        result = train_dpo(results["supervised"].path, pairs, settings=config.dpo, **common)
    note_training(run, f"train/{config.method}", result, folder=result.path)
    return result


def reopen(folder: Path, config: RunConfig) -> LocalModel:
    """A model that the run has trained."""
    model = open_model(str(folder), dtype=config.dtype, device=config.device)
    assert isinstance(model, LocalModel)
    return model


def progress_of(run: RunWorkspace, name: str) -> Callable[[int, int, Mapping[str, float]], None]:
    """Tells of a training's steps under the name of its stage."""
    return lambda done, total, _: run.tell(name, done, total)
