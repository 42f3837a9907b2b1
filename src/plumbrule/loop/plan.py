"""What a run will take, said before anything starts: calls, tokens, minutes and memory by stage.

Counts come from the run's own prompts, with what questions begin with in common counted once;
replies that do not exist yet are taken at their longest, so that the numbers are upper ends. Speeds
are measured on this machine, by letting each model read and write a little.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from plumbrule.judging import PromptSet, conditions_of, known_conditions, known_replies
from plumbrule.loop.config import RunConfig
from plumbrule.loop.sizes import needed_bytes
from plumbrule.loop.steps import Jury
from plumbrule.models import LanguageModel, LocalModel, Sampling
from plumbrule.records import Dialogue, Prompt

if TYPE_CHECKING:
    from plumbrule.loop.align import Models

SHARED = 16
"""Prompts that a model reads and writes to when its speed is measured."""

WRITTEN = 12
"""Tokens it writes to each of them."""

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


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage will take."""

    name: str

    who: str
    """`model`, `critic` or `judge`."""

    calls: int
    """Replies, answers or examples."""

    tokens_read: int = 0
    tokens_written: int = 0
    tokens_trained: int = 0


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A stage, and how long it will take."""

    stage: Stage
    seconds: float | None
    """None where the model is an endpoint, whose speed is not ours to know."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will take."""

    stages: tuple[Planned, ...]
    memory_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """All stages whose time can be told."""
        return sum(each.seconds or 0.0 for each in self.stages)

    def lines(self) -> list[str]:
        """The plan as a table of text."""
        head = (
            f"{'stage':<36}{'calls':>7}{'tokens read':>13}{'written':>10}{'trained':>10}{'min':>7}"
        )
        rows = [head]
        for planned in self.stages:
            stage = planned.stage
            minutes = "?" if planned.seconds is None else f"{planned.seconds / 60:.1f}"
            rows.append(
                f"{stage.name:<36}{stage.calls:>7}{stage.tokens_read:>13}"
                f"{stage.tokens_written:>10}{stage.tokens_trained:>10}{minutes:>7}"
            )
        total = [
            sum(getattr(each.stage, name) for each in self.stages)
            for name in ("calls", "tokens_read", "tokens_written", "tokens_trained")
        ]
        rows.append(
            f"{'together, at most':<36}{total[0]:>7}{total[1]:>13}{total[2]:>10}{total[3]:>10}"
            f"{self.seconds / 60:>7.1f}"
        )
        return [*rows, f"Memory at its peak: about {self.memory_bytes / 1e9:.1f} GB.", *self.notes]


def make_plan(
    config: RunConfig,
    models: "Models",
    jury: Jury,
    training: Sequence[Prompt],
    held_out: Sequence[Prompt],
) -> Plan:
    """Count what a run will take, and measure how fast its models are here.

    Args:
        config: The run.
        models: Its models, open.
        jury: Who judges, by which constitution, in which words.
        training: Prompts for training, cut to the configured number.
        held_out: Prompts of the examination.
    """
    who: dict[str, LanguageModel] = {
        "model": models.model,
        "critic": models.critic,
        "judge": models.judge,
    }
    some = [prompt.dialogue for prompt in [*held_out, *training]][:SHARED]
    speeds: dict[int, Speed | None] = {}
    for model in who.values():
        if id(model) not in speeds:
            speeds[id(model)] = measure_speed(model, some)
    heavy = ADAPTED if config.supervised.lora is not None else FULL
    planned = []
    for stage in _stages(config, models, jury, training, held_out):
        speed = speeds[id(who[stage.who])]
        seconds = None
        if speed is not None:
            seconds = (
                stage.tokens_read + heavy * stage.tokens_trained
            ) / speed.read + stage.tokens_written / speed.write
        planned.append(Planned(stage=stage, seconds=seconds))
    notes = []
    if config.comparison is not None:
        notes.append("The comparison for side effects at the end comes on top of this.")
    if any(each.seconds is None for each in planned):
        notes.append("Stages with ? wait for an endpoint, whose speed is not known beforehand.")
    return Plan(stages=tuple(planned), memory_bytes=needed_bytes(config), notes=tuple(notes))


def measure_speed(model: LanguageModel, dialogues: Sequence[Dialogue]) -> Speed | None:
    """Let a local model read a little and write a little; None for an endpoint."""
    if not isinstance(model, LocalModel):
        return None
    prompts = model.chat.prompts(dialogues)
    once = Sampling(temperature=1.0, max_new_tokens=1)
    more = Sampling(temperature=1.0, max_new_tokens=1 + WRITTEN)
    seeds = list(range(len(prompts)))
    model.sample_tokens(prompts[:1], sampling=once, seeds=seeds[:1])  # the first call looks around
    started = time.perf_counter()
    model.sample_tokens(prompts, sampling=once, seeds=seeds)
    between = time.perf_counter()
    drawn = model.sample_tokens(prompts, sampling=more, seeds=seeds)
    reading = between - started
    writing = max(time.perf_counter() - between - reading, 1e-3)
    written = sum(len(each.tokens) for each in drawn) - len(prompts)
    return Speed(read=sum(map(len, prompts)) / max(reading, 1e-3), write=max(written, 1) / writing)


def _stages(
    config: RunConfig,
    models: "Models",
    jury: Jury,
    training: Sequence[Prompt],
    held_out: Sequence[Prompt],
) -> list[Stage]:
    """Every stage in order, with its counts."""
    count = Counting(model=models.model, jury=jury)
    longest = config.sampling.max_new_tokens
    tempting = [prompt for prompt in training if not prompt.deserves_help]
    deserving = [prompt for prompt in training if prompt.deserves_help]
    compared = list(training)[: config.most_compared]
    stages = count.trials([*training, *held_out])
    for name in ("before", "supervised", "final"):
        if name == "supervised":
            stages += count.teaching(config, tempting, deserving)
        if name == "final":
            stages += count.reinforcing(config, compared)
        folder = f"examination/{name}"
        stages.append(count.replies(f"{folder}/replies", held_out, longest))
        stages.append(count.grades(f"{folder}/judgments", "judge", held_out, longest))
        if config.manners == "judge":
            stages.append(count.manners(f"{folder}/manners", held_out, longest))
    return [stage for stage in stages if stage.calls]


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Counts tokens with the tokenizer at hand."""

    model: LocalModel
    jury: Jury

    def trials(self, prompts: Sequence[Prompt]) -> list[Stage]:
        """The examination of critic and judge."""
        law, words = self.jury.constitution, self.jury.prompts
        known = known_replies(law)
        if not any(each.broken is not None for each in known):
            return []
        asked = [
            words.render(
                task,
                principle=law.principle(each.principle_id),
                values={"request": each.request, "reply": each.reply},
            )
            for each in known
            for task in words.grading
        ]
        stages = []
        same = self.jury.judge.identity == self.jury.critic.identity
        for who in ("critic",) if same else ("critic", "judge"):
            stages.append(
                Stage(
                    name=f"trial/{who}", who=who, calls=len(asked), tokens_read=self.shared(asked)
                )
            )
            if words.decides_conditions:
                questions = [(each.request, each.condition.text) for each in known_conditions(law)]
                told = [_condition(words, request, text) for request, text in questions]
                stages.append(
                    Stage(
                        name=f"trial/{who}_conditions",
                        who=who,
                        calls=len(told),
                        tokens_read=self.shared(told),
                    )
                )
                scoped = [
                    _condition(words, prompt.dialogue[-1].content, each.text)
                    for prompt in prompts
                    for each in conditions_of(law)
                ]
                stages.append(
                    Stage(
                        name=f"scopes/{who}",
                        who=who,
                        calls=len(scoped),
                        tokens_read=self.shared(scoped),
                    )
                )
        return stages

    def replies(self, name: str, prompts: Sequence[Prompt], longest: int, copies: int = 1) -> Stage:
        """Replies of the model."""
        return Stage(
            name=name,
            who="model",
            calls=copies * len(prompts),
            tokens_read=self.shared([prompt.dialogue for prompt in prompts]),
            tokens_written=copies * longest * len(prompts),
        )

    def grades(
        self, name: str, who: str, prompts: Sequence[Prompt], longest: int, times: int = 1
    ) -> Stage:
        """Grading of a reply to each prompt under every principle."""
        reply = _filler(longest)
        asked = [
            self.jury.prompts.render(
                task,
                principle=principle,
                values={"request": prompt.dialogue[-1].content, "reply": reply},
            )
            for prompt in prompts
            for principle in self.jury.constitution.principles
            for task in self.jury.prompts.grading
        ]
        return Stage(
            name=name,
            who=who,
            calls=times * len(asked),
            tokens_read=times * self.shared(asked),
        )

    def manners(self, name: str, prompts: Sequence[Prompt], longest: int) -> Stage:
        """Sorting of a reply to each prompt."""
        asked = [
            self.jury.prompts.render(
                "manner",
                principle=None,
                values={"request": prompt.dialogue[-1].content, "reply": _filler(longest)},
            )
            for prompt in prompts
        ]
        return Stage(name=name, who="judge", calls=len(asked), tokens_read=self.shared(asked))

    def teaching(
        self, config: RunConfig, tempting: Sequence[Prompt], deserving: Sequence[Prompt]
    ) -> list[Stage]:
        """Drafts, critiques, revisions, and training on them."""
        longest, settings = config.sampling.max_new_tokens, config.revising
        critique = settings.critique_tokens or self.jury.prompts.template("critique").max_new_tokens
        revision = settings.revision_tokens or self.jury.prompts.template("revise").max_new_tokens
        grading = self.grades("", "critic", tempting, longest)
        asked = [
            self.jury.prompts.render(
                "revise",
                principle=self.jury.constitution.principles[0],
                values={
                    "request": prompt.dialogue[-1].content,
                    "reply": _filler(longest),
                    "critique": _filler(critique),
                },
            )
            for prompt in tempting
        ]
        each = self.shared(asked) * (2 if settings.with_critique else 1)
        written = (critique if settings.with_critique else 0) + revision
        imitated = self.lengths(tempting, revision) + self.lengths(deserving, longest)
        return [
            self.replies("draft", tempting, longest),
            Stage(
                name="revise",
                who="critic",
                calls=settings.rounds * (grading.calls + 2 * len(tempting)),
                tokens_read=settings.rounds * (grading.tokens_read + each),
                tokens_written=settings.rounds * written * len(tempting),
            ),
            self.replies("helpful", deserving, longest),
            Stage(
                name="train/supervised",
                who="model",
                calls=len(tempting) + len(deserving),
                tokens_trained=config.supervised.epochs * imitated,
            ),
        ]

    def reinforcing(self, config: RunConfig, compared: Sequence[Prompt]) -> list[Stage]:
        """Candidates, comparisons, the reward model, and training against it."""
        longest = config.sampling.max_new_tokens
        pairs = 2 * self.lengths(compared, longest)
        reply = _filler(longest)
        asked = [
            self.jury.prompts.render(
                "compare",
                principle=principle,
                values={"request": prompt.dialogue[-1].content, "first": reply, "second": reply},
            )
            for prompt in compared
            for principle in self.jury.constitution.principles
        ]
        stages = [
            self.replies("candidates", compared, longest, copies=config.candidates),
            Stage(
                name="compare",
                who="critic",
                calls=2 * len(asked),
                tokens_read=2 * self.shared(asked),
            ),
            Stage(
                name="train/reward",
                who="model",
                calls=len(compared),
                tokens_trained=config.reward.epochs * pairs,
            ),
        ]
        if config.method == "grpo":
            grpo = config.grpo
            drawn = grpo.replies_per_prompt * len(compared)
            trained = grpo.replies_per_prompt * self.lengths(compared, grpo.max_new_tokens)
            stages.append(
                Stage(
                    name="train/grpo",
                    who="model",
                    calls=drawn,
                    tokens_read=trained,
                    tokens_written=drawn * grpo.max_new_tokens,
                    tokens_trained=grpo.epochs * trained,
                )
            )
            return stages
        return [
            *stages,
            Stage(
                name="rewards",
                who="model",
                calls=config.candidates * len(compared),
                tokens_read=config.candidates * self.lengths(compared, longest),
            ),
            Stage(
                name="train/dpo",
                who="model",
                calls=len(compared),
                tokens_read=pairs,
                tokens_trained=config.dpo.epochs * pairs,
            ),
        ]

    def lengths(self, prompts: Sequence[Prompt], reply: int) -> int:
        """Tokens of each prompt and a reply of so many tokens."""
        asked = self.model.chat.prompts([prompt.dialogue for prompt in prompts])
        return sum(len(each) + reply for each in asked)

    def shared(self, dialogues: Sequence[Dialogue]) -> int:
        """Tokens that have to be read where what texts begin with is read once."""
        return distinct_tokens(self.model.chat.prompts(dialogues)) if dialogues else 0


def distinct_tokens(texts: Sequence[Sequence[int]]) -> int:
    """Tokens of texts, common beginnings counted once.

    Example:
        >>> distinct_tokens([[1, 2, 3], [1, 2, 4], [9]])
        5
    """
    ordered = sorted(map(list, texts))
    saved = 0
    for one, other in pairwise(ordered):
        common = 0
        for left, right in zip(one, other, strict=False):
            if left != right:
                break
            common += 1
        saved += common
    return sum(map(len, ordered)) - saved


def _filler(tokens: int) -> str:
    """A text of about so many tokens, in the place of one that does not exist yet."""
    return "word " * tokens


def _condition(words: PromptSet, request: str, text: str) -> Dialogue:
    return words.render(
        "applies", principle=None, values={"request": request, "condition": text.rstrip(".")}
    )
