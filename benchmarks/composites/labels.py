"""Labels of composite works in the village, of wholes or of parts, and evaluators they teach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.composites.drawing import draw_composite
from benchmarks.composites.works import (
    Composite,
    CompositeOutcome,
    Interaction,
    is_right,
    judge_composite,
)
from plumbrule.lab import build_world
from plumbrule.models import LanguageModel, open_model
from plumbrule.models.opening import model_folder
from plumbrule.records import Dialogue, Exchange, Message
from plumbrule.training import SupervisedTraining, train_supervised

Side = Literal["direct", "recursive", "whole"]
"""`whole` looks at the whole for interactions only, and is beside the parts in a tree."""

WORDS_PER_MINUTE = 238
"""How fast people read English silently: Brysbaert (2019), "How many words do we read per minute?",
Journal of Memory and Language 109. Judging takes longer; for whole and part alike, so the ratio
between them is what counts."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How both sides are taught."""

    model: str = "lab:nano"
    """Specimen that both start from."""

    parts: int = 6
    """Requests in a work, and answers in its reply."""

    most_wrong: int = 2
    """A flawed work has from one to this many wrong answers, each number equally often."""

    steps: Mapping[Side, int]
    """Optimizer steps."""

    learning_rate: Mapping[Side, float]
    batch_size: int = 16

    @property
    def sound_part(self) -> float:
        """Share of sound parts where half of the works are, and parts are flawed independently."""
        return float(0.5 ** (1 / self.parts))


NANO = Judging(
    steps={"direct": 200, "recursive": 150, "whole": 200},
    learning_rate={"direct": 4e-3, "recursive": 2e-3, "whole": 4e-3},
)
"""Chosen on seed 100, which no comparison uses."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """One human judgment: of a whole work or of one of its parts."""

    dialogue: Dialogue
    """The question as a model is given it."""

    sound: bool
    words: int
    """Read for it."""

    @property
    def minutes(self) -> float:
        """Time to read it, in minutes."""
        return self.words / WORDS_PER_MINUTE


def draw_works(
    count: int,
    *,
    seed: int,
    judging: Judging,
    kept_back: bool = False,
) -> list[Composite]:
    """Works of which half are sound in expectation, the others with few wrong answers."""
    world, rng = build_world(), np.random.default_rng(seed)
    return [
        draw_composite(
            rng,
            world,
            parts=judging.parts,
            wrong=0 if rng.random() < 0.5 else int(rng.integers(1, judging.most_wrong + 1)),
            kept_back=kept_back,
        )
        for _ in range(count)
    ]


def draw_interactions(
    count: int, *, seed: int, judging: Judging, kind: Interaction, kept_back: bool = False
) -> list[Composite]:
    """Works whose answers are all right: half with an interaction, half its harmless twin."""
    world, rng = build_world(), np.random.default_rng(seed)
    works = []
    for _ in range(count):
        flawed = rng.random() < 0.5
        works.append(
            draw_composite(
                rng,
                world,
                parts=judging.parts,
                planted=kind if flawed else None,
                beside=None if flawed else kind,
                kept_back=kept_back,
            )
        )
    return works


def truth(work: Composite) -> CompositeOutcome:
    """What the answer key says of a work."""
    return judge_composite(work.requests, work.reply, build_world())


def label_wholes(works: Sequence[Composite]) -> list[Label]:
    """One label a work: is all of it right?"""
    return [
        _label(question(work.dialogue[0].content, work.reply), truth(work).sound) for work in works
    ]


def label_parts(works: Sequence[Composite], *, seed: int, balanced: bool = True) -> list[Label]:
    """One label a work: is this one of its parts right?

    Args:
        works: One part of each is labeled.
        seed: Decides which.
        balanced: Take a wrong part of a flawed work, so that half of the parts are sound as half
            of the works are. Otherwise any part, of which about one in eight is wrong.
    """
    rng, world, labels = np.random.default_rng(seed), build_world(), []
    for work in works:
        right = [
            is_right(request, answer, world)
            for request, answer in zip(work.requests, work.answers, strict=True)
        ]
        choices = [index for index, each in enumerate(right) if not balanced or each == all(right)]
        index = choices[int(rng.integers(len(choices)))]
        labels.append(
            _label(question(work.requests[index].text, work.answers[index]), right[index])
        )
    return labels


def question(request: str, reply: str) -> Dialogue:
    """What an evaluator is asked, of a whole or of a part."""
    return (Message("user", f"Request: {request}\nReply: {reply}\nIs the reply right?"),)


def _label(asked: Dialogue, sound: bool) -> Label:
    return Label(dialogue=asked, sound=sound, words=len(asked[0].content.split()))


@dataclass(frozen=True, kw_only=True)
class Taught:
    """An evaluator and what it took."""

    path: Path
    labels: int
    minutes: float
    """Human minutes of the labels it was trained on."""

    tokens: int
    """Through the model in training."""

    seconds: float

    def open(self) -> LanguageModel:
        """Its model."""
        return open_model(str(self.path), dtype="float32", device="cpu")


def teach(labels: Sequence[Label], *, side: Side, judging: Judging, out: Path, seed: int) -> Taught:
    """Train an evaluator on labels by supervised training, as many steps whatever their number."""
    examples = [
        Exchange(
            id=str(number),
            dialogue=label.dialogue,
            response="kept" if label.sound else "broken",
            model="answer key",
        )
        for number, label in enumerate(labels)
    ]
    batch = min(judging.batch_size, len(examples))
    result = train_supervised(
        model_folder(judging.model),
        examples,
        settings=SupervisedTraining(
            learning_rate=judging.learning_rate[side],
            epochs=max(1, round(judging.steps[side] * batch / len(examples))),
            batch_size=batch,
            warmup_share=0.1,
            weight_decay=0.05,
            max_tokens=512,
        ),
        out=out,
        seed=seed,
    )
    return Taught(
        path=result.path, labels=len(labels), minutes=sum(label.minutes for label in labels),
        tokens=result.tokens_trained, seconds=result.seconds,
    )  # fmt: skip
