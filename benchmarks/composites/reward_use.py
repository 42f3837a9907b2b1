"""What a reward is good for: choosing the best of several replies, and training on it.

A policy of the village answers a list of requests one by one, with some errors, and the answers
together are its reply. Rewards see replies as wholes, and the answer key says what became better in
truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.composites.drawing import draw_composite
from benchmarks.composites.labels import Judging
from benchmarks.composites.works import (
    judge_composite,
    numbered,
    read_composite,
    split_numbered,
)
from plumbrule.lab import build_world
from plumbrule.models import Sampling, open_model
from plumbrule.models.opening import model_folder
from plumbrule.records import Dialogue, Exchange, Message
from plumbrule.store import derive_seed
from plumbrule.training import (
    DpoTraining,
    PreferencePair,
    SupervisedTraining,
    train_dpo,
    train_supervised,
)

DECIDED = (
    "private_sleep", "private_debt", "insult", "take_goods", "praise", "borrow_goods", "own_goods",
)  # fmt: skip
"""Kinds of request whose right answer is decided by the request alone. In the others it states a
fact of the village, which a specimen of this size half remembers and no evaluator here checks."""

Values = Callable[[Sequence[Dialogue], Sequence[str]], list[float]]
"""A reward: one number per reply, higher is better."""


@dataclass(frozen=True, kw_only=True)
class Using:
    """How a policy is made, sampled from and trained."""

    lessons: int = 1000
    """Requests with answers that the policy starts from."""

    wrong: float = 0.15
    """Share of wrong answers in those lessons: what the policy has to unlearn."""

    lesson_rate: float = 2e-3
    replies: int = 4
    """Drawn to each list of requests, to choose from."""

    temperature: float = 0.7
    longest: int = 48
    """Tokens of an answer."""

    dpo: DpoTraining = field(
        default_factory=lambda: DpoTraining(
            learning_rate=1e-4, epochs=2, batch_size=16, beta=0.5, max_tokens=512
        )
    )


@dataclass(frozen=True, kw_only=True)
class PolicyReplies:
    """Replies of a policy to the same requests."""

    dialogues: tuple[Dialogue, ...]
    replies: tuple[tuple[str, ...], ...]
    """Several a request."""

    @property
    def flat(self) -> tuple[list[Dialogue], list[str]]:
        """One row per reply."""
        each = [len(several) for several in self.replies]
        dialogues = [
            dialogue
            for dialogue, count in zip(self.dialogues, each, strict=True)
            for _ in range(count)
        ]
        return dialogues, [reply for several in self.replies for reply in several]

    def table(self, values: Sequence[float]) -> np.ndarray:
        """Numbers of `flat`, one row a request."""
        return np.asarray(values, dtype=float).reshape(len(self.dialogues), -1)


def make_policy(out: Path, *, judging: Judging, using: Using, seed: int) -> Path:
    """Teach a specimen to answer the requests that lists are made of, mostly rightly."""
    world, rng = build_world(), np.random.default_rng(derive_seed(seed, "policy"))
    examples = []
    for number in range(using.lessons):
        wrong = int(rng.random() < using.wrong)
        work = draw_composite(rng, world, parts=1, wrong=wrong, kinds=DECIDED)
        examples.append(
            Exchange(
                id=str(number),
                dialogue=work.requests[0].dialogue,
                response=work.answers[0],
                model="lessons",
            )
        )
    result = train_supervised(
        model_folder(judging.model),
        examples,
        settings=SupervisedTraining(
            learning_rate=using.lesson_rate, epochs=1, batch_size=16, max_tokens=512
        ),
        out=out,
        seed=seed,
    )
    return result.path


def requests(count: int, *, judging: Judging, seed: int, kept_back: bool) -> list[Dialogue]:
    """Composite requests to answer."""
    world, rng = build_world(), np.random.default_rng(seed)
    return [
        draw_composite(rng, world, parts=judging.parts, kinds=DECIDED, kept_back=kept_back).dialogue
        for _ in range(count)
    ]


def draw_replies(
    policy: Path, dialogues: Sequence[Dialogue], *, using: Using, replies: int, seed: int
) -> PolicyReplies:
    """Let a policy answer each list several times, request by request."""
    model = open_model(str(policy), dtype="float32", device="cpu")
    lists = [_alone(dialogue) for dialogue in dialogues for _ in range(replies)]
    asked = [single for several in lists for single in several]
    drawn = model.sample(
        asked,
        sampling=Sampling(temperature=using.temperature, max_new_tokens=using.longest),
        seeds=[derive_seed(seed, number) for number in range(len(asked))],
    )
    # A line break inside an answer would make two lines of it, which no list has.
    answers = iter(" ".join(each.text.split()) for each in drawn)
    texts = [numbered([next(answers) for _ in several]) for several in lists]
    return PolicyReplies(
        dialogues=tuple(dialogues),
        replies=tuple(tuple(texts[at : at + replies]) for at in range(0, len(texts), replies)),
    )


def _alone(dialogue: Dialogue) -> list[Dialogue]:
    """Each request of a list by itself."""
    return [(Message("user", line),) for line in split_numbered(dialogue[-1].content) or ()]


def true_values(dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[float]:
    """The answer key as a reward: 1 where all of a reply is sound, else 0."""
    world = build_world()
    return [
        float(judge_composite(read_composite(dialogue, world), reply, world).sound)
        for dialogue, reply in zip(dialogues, replies, strict=True)
    ]


def true_shares(dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[float]:
    """Share of right answers in each reply."""
    world = build_world()
    return [
        float(np.mean(judge_composite(read_composite(dialogue, world), reply, world).parts))
        for dialogue, reply in zip(dialogues, replies, strict=True)
    ]


def preferred(drawn: PolicyReplies, values: Values) -> list[PreferencePair]:
    """What a reward prefers among replies: the answers in which its first and last one differ.

    The reward speaks of whole replies. Each answer inherits what is said of its reply, and which
    of them earned it is left to training to find out.
    """
    table = drawn.table(values(*drawn.flat))
    pairs = []
    for number, (dialogue, replies, row) in enumerate(
        zip(drawn.dialogues, drawn.replies, table, strict=True)
    ):
        best, worst = int(row.argmax()), int(row.argmin())
        if row[best] == row[worst]:
            continue  # it tells no difference
        better, worse = (split_numbered(replies[index]) or () for index in (best, worst))
        pairs += [
            PreferencePair(id=f"{number}-{place}", dialogue=alone, chosen=chosen, rejected=rejected)
            for place, (alone, chosen, rejected) in enumerate(
                zip(_alone(dialogue), better, worse, strict=True)
            )
            if chosen != rejected
        ]
    return pairs


def train_on(
    policy: Path, drawn: PolicyReplies, values: Values, *, using: Using, out: Path, seed: int
) -> Path:
    """Train a policy toward the replies that a reward prefers among its own."""
    return train_dpo(policy, preferred(drawn, values), settings=using.dpo, out=out, seed=seed).path
