"""What a run will take, said before anything starts: calls, tokens, minutes and memory by stage.

Counts come from the run's own prompts, with what questions begin with in common counted once.
Replies do not exist yet: they are counted twice, as long as those of each model to some of the
prompts are on average, and at their longest, which is an upper end. Speeds are measured on this
machine by the same replies.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plumbrule.data import preferred_replies
from plumbrule.loop.config import RunConfig
from plumbrule.loop.counting import Counting, Stage
from plumbrule.loop.feedback import HumanFeedback
from plumbrule.loop.sizes import needed_bytes
from plumbrule.loop.steps import Jury, RunModels, draw_prompts
from plumbrule.loop.trials import held_out_name
from plumbrule.models import LanguageModel, LocalModel, Sampling
from plumbrule.records import Dialogue, Prompt

SHARED = 32
"""Prompts that a model reads and writes to when its speed is measured."""

WRITTEN = 128
"""Most tokens it writes to each of them."""

ADAPTED, FULL = 2.5, 3.5
"""Cost of training on a token in costs of reading it: forward, backward through all layers, and
for full weights the gradients of the weights too. Measured on SmolLM2."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a model is on this machine."""

    read: float
    """Tokens read a second, prompts of alike length side by side."""

    write: float
    """Tokens written a second, replies drawn side by side."""

    length: float
    """Mean length of its replies, in lengths of the longest that is allowed."""


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """A stage, and how long it will take."""

    stage: Stage
    seconds: float | None
    """None where the model is an endpoint, whose speed is not ours to know."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a run will take."""

    stages: tuple[PlannedStage, ...]
    """With replies at their longest."""

    likely: tuple[PlannedStage, ...]
    """With replies as long as some were; those of an endpoint at their longest."""

    memory_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """All stages whose time can be told, as long as they are likely to take."""
        return sum(each.seconds or 0.0 for each in self.likely)

    def lines(self) -> list[str]:
        """The plan as a table of text."""
        head = (
            f"{'stage':<36}{'calls':>7}{'tokens read':>13}{'written':>10}{'trained':>10}{'min':>7}"
        )
        rows = [head]
        for planned in self.likely:
            stage = planned.stage
            minutes = "?" if planned.seconds is None else f"{planned.seconds / 60:.1f}"
            rows.append(
                f"{stage.name:<36}{stage.calls:>7}{stage.tokens_read:>13}"
                f"{stage.tokens_written:>10}{stage.tokens_trained:>10}{minutes:>7}"
            )
        for name, stages in (("about", self.likely), ("at most", self.stages)):
            total = [
                sum(getattr(each.stage, count) for each in stages)
                for count in ("calls", "tokens_read", "tokens_written", "tokens_trained")
            ]
            seconds = sum(each.seconds or 0.0 for each in stages)
            rows.append(
                f"{f'together, {name}':<36}{total[0]:>7}{total[1]:>13}{total[2]:>10}{total[3]:>10}"
                f"{seconds / 60:>7.1f}"
            )
        return [*rows, f"Memory at its peak: about {self.memory_bytes / 1e9:.1f} GB.", *self.notes]


def make_plan(
    config: RunConfig,
    models: RunModels,
    jury: Jury,
    training: Sequence[Prompt],
    held_out: Sequence[Prompt],
    people: HumanFeedback,
) -> RunPlan:
    """Count what a run will take, and measure how fast its models are here.

    Args:
        config: The run.
        models: Its models, open.
        jury: Who judges, by which constitution, in which words.
        training: Prompts for training, cut to the configured number.
        held_out: Prompts of the examination.
        people: What people gave the run.
    """
    who = models.named()
    some = [prompt.dialogue for prompt in [*held_out, *training]][:SHARED]
    measured: dict[int, Speed | None] = {}
    for model in who.values():
        if id(model) not in measured:
            measured[id(model)] = measure_speed(model, some, config.sampling)
    by_role = {role: measured[id(model)] for role, model in who.items()}
    heavy = ADAPTED if config.supervised.lora is not None else FULL
    given = (models, jury, training, held_out, people)
    planned = timed(_stages(config, config, *given), by_role, heavy)
    # Candidates are drawn at a temperature of their own, at which replies may be longer.
    warmer = replace(config.sampling, temperature=config.candidate_temperature)
    drawn = {**by_role, "model": measure_speed(models.model, some, warmer)}
    texts, candidates = (_as_long(config, speeds, jury) for speeds in (by_role, drawn))
    likely = timed(_stages(texts, candidates, *given), by_role, heavy)
    notes = []
    if config.watched:
        notes.append("Watching training against the reward comes on top of this.")
    if config.comparison is not None:
        notes.append("The comparison for side effects at the end comes on top of this.")
    if config.verdict is not None:
        notes.append("The verdict on each principle at the end comes on top of this.")
    if any(each.seconds is None for each in planned):
        notes.append("Stages with ? wait for an endpoint, whose speed is not known beforehand.")
    return RunPlan(
        stages=planned, likely=likely, memory_bytes=needed_bytes(config), notes=tuple(notes)
    )


def timed(
    stages: Sequence[Stage], speeds: Mapping[str, Speed | None], heavy: float
) -> tuple[PlannedStage, ...]:
    """How long stages will take.

    Args:
        stages: With their counts.
        speeds: Of each role; None where it is not known.
        heavy: Cost of training on a token in costs of reading it.
    """
    planned = []
    for stage in stages:
        speed = speeds[stage.who]
        seconds = None
        if speed is not None:
            read = stage.tokens_read + heavy * stage.tokens_trained
            seconds = read / speed.read + stage.tokens_written / speed.write
        planned.append(PlannedStage(stage=stage, seconds=seconds))
    return tuple(planned)


def _as_long(config: RunConfig, speeds: Mapping[str, Speed | None], jury: Jury) -> RunConfig:
    """The run with bounds on its texts that are as long as texts are likely to be."""

    def likely(role: str, most: int) -> int:
        speed = speeds[role]
        return most if speed is None else max(1, round(speed.length * most))

    words, revising = jury.prompts, config.revising
    critique = revising.critique_tokens or words.template("critique").max_new_tokens
    revision = revising.revision_tokens or words.template("revise").max_new_tokens
    longest = likely("model", config.sampling.max_new_tokens)
    return replace(
        config,
        sampling=replace(config.sampling, max_new_tokens=longest),
        revising=replace(
            revising,
            critique_tokens=likely("critic", critique),
            revision_tokens=likely("critic", revision),
        ),
    )


def measure_speed(
    model: LanguageModel, dialogues: Sequence[Dialogue], sampling: Sampling
) -> Speed | None:
    """Let a local model read a little and write a little; None for an endpoint.

    Args:
        model: Who reads and writes.
        dialogues: What it is asked.
        sampling: How replies are drawn; of long ones only the beginning is, and one that does not
            end there counts as the longest.
    """
    if not isinstance(model, LocalModel):
        return None
    prompts = model.chat.prompts(dialogues)
    once = replace(sampling, max_new_tokens=1)
    more = replace(sampling, max_new_tokens=min(WRITTEN, sampling.max_new_tokens))
    seeds = list(range(len(prompts)))
    model.sample_tokens(prompts[:1], sampling=once, seeds=seeds[:1])  # the first call looks around
    started = time.perf_counter()
    model.sample_tokens(prompts, sampling=once, seeds=seeds)
    between = time.perf_counter()
    drawn = model.sample_tokens(prompts, sampling=more, seeds=seeds)
    reading = between - started
    writing = max(time.perf_counter() - between - reading, 1e-3)
    lengths = [
        len(one.tokens) if one.finish_reason == "stop" else sampling.max_new_tokens for one in drawn
    ]
    written = sum(len(one.tokens) for one in drawn) - len(prompts)
    return Speed(
        read=sum(map(len, prompts)) / max(reading, 1e-3),
        write=max(written, 1) / writing,
        length=sum(lengths) / len(lengths) / sampling.max_new_tokens,
    )


def _stages(
    config: RunConfig,
    candidates: RunConfig,
    models: RunModels,
    jury: Jury,
    training: Sequence[Prompt],
    held_out: Sequence[Prompt],
    people: HumanFeedback,
) -> list[Stage]:
    """Every stage in order, with its counts.

    Args:
        config: The run, with the length of its texts.
        candidates: The same with the length of its candidates.
        models: Its models.
        jury: Who judges.
        training: Prompts for training.
        held_out: Prompts of the examination.
        people: What people gave the run.
    """
    count = Counting(model=models.model, jury=jury)
    longest = config.sampling.max_new_tokens
    tempting = [prompt for prompt in training if not prompt.deserves_help]
    deserving = [prompt for prompt in training if prompt.deserves_help]
    compared = list(training)[: config.most_compared]
    stages = count.trials([*training, *held_out], models.held_out_judge)
    for name in ("before", "supervised", "final"):
        if name == "supervised":
            stages += _imitating(count, config, tempting, deserving, people)
        if name == "final" and config.method != "none":
            stages += _reinforcing(count, candidates, compared, people)
        if name == "supervised" and not (config.examine_between and config.method != "none"):
            continue
        folder = f"examination/{name}"
        stages.append(count.replies(f"{folder}/replies", held_out, longest))
        judged = draw_prompts(held_out, config.most_judged, config.seed, "judged")
        stages.append(count.grades(f"{folder}/judgments", "judge", judged, longest))
        if config.manners == "judge":
            stages.append(count.manners(f"{folder}/manners", judged, longest))
        if models.held_out_judge is not None and name != "supervised":
            again = f"{folder}/{held_out_name(models.held_out_judge)}"
            stages.append(count.grades(again, "held_out_judge", judged, longest))
    return [stage for stage in stages if stage.calls]


def _imitating(
    count: Counting,
    config: RunConfig,
    tempting: Sequence[Prompt],
    deserving: Sequence[Prompt],
    people: HumanFeedback,
) -> list[Stage]:
    """Supervised training, on what its recipe imitates."""
    given = list(people.demonstrations) or preferred_replies(people.pairs)
    if config.recipe != "rlhf":
        given = list(people.demonstrations)
    tokens = config.supervised.epochs * count.examples(given)
    if config.recipe == "rlhf":
        return [
            Stage(name="train/supervised", who="model", calls=len(given), tokens_trained=tokens)
        ]
    *before, training = count.teaching(config, tempting, deserving)
    more = training.tokens_trained + tokens
    return [*before, replace(training, calls=training.calls + len(given), tokens_trained=more)]


def _reinforcing(
    count: Counting, config: RunConfig, compared: Sequence[Prompt], people: HumanFeedback
) -> list[Stage]:
    """Labels, a reward model, and training against it."""
    pairs = people.pairs
    tokens = config.reward.epochs * sum(
        count.examples(preferred_replies([replace(each, probability=side) for each in pairs]))
        for side in (0.0, 1.0)
    )
    stages = []
    for stage in count.reinforcing(config, compared):
        own = config.recipe != "rlhf"
        if stage.name == "train/reward":
            stage = replace(
                stage,
                calls=stage.calls * own + len(pairs),
                tokens_trained=stage.tokens_trained * own + tokens,
            )
        if stage.name == "compare":
            if not own:
                continue
            if config.recipe == "hybrid":
                asked = [Prompt(id=each.id, dialogue=each.dialogue) for each in pairs]
                again = count.comparing(asked, config.sampling.max_new_tokens)
                stages.append(replace(again, name="compare_people"))
        stages.append(stage)
    return stages
