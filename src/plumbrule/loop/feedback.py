"""What people gave a run, and how their labels and a model's are put together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from plumbrule.data import read_demonstrations, read_pairs
from plumbrule.errors import DataError
from plumbrule.judging import (
    LabelRouter,
    learn_router,
    mix_labels,
    pair_features,
    transcript,
    weigh_preferences,
)
from plumbrule.loop.config import RunConfig
from plumbrule.models import LocalModel
from plumbrule.records import Dialogue, Exchange, Preference, Prompt, to_json
from plumbrule.store import fingerprint

MOST_ASKED = 200
"""Pairs named in a run's `ask_people.jsonl`."""


@dataclass(frozen=True, kw_only=True)
class HumanFeedback:
    """What people gave a run; either may be empty."""

    pairs: tuple[Preference, ...] = ()
    """Pairs of replies with what people say of them."""

    demonstrations: tuple[Exchange, ...] = ()
    """Replies to imitate."""

    notes: tuple[str, ...] = ()
    """What was left out of their files, for the report."""

    @property
    def named(self) -> dict[str, str]:
        """Hash of each part that is there: a run's folder is bound to it."""
        parts = {"human_pairs": self.pairs, "demonstrations": self.demonstrations}
        return {
            name: fingerprint([to_json(each) for each in part])
            for name, part in parts.items()
            if part
        }


NOTHING_GIVEN = HumanFeedback()
"""What a run has that learns from a critic alone."""


def read_feedback(
    config: RunConfig, held_out: Sequence[Prompt], model: LocalModel
) -> HumanFeedback:
    """Read the files of people's labels and replies that a run names, and fit them to it.

    What asks the same as a held-out prompt is left out, or the examination would test memory; so is
    what is longer than the model or the training settings take. Both are said.

    Raises:
        DataError: A file cannot be read, or nothing is left of it.
    """
    examined = {prompt.dialogue for prompt in held_out}
    notes: list[str] = []
    pairs: tuple[Preference, ...] = ()
    examples: tuple[Exchange, ...] = ()
    if config.human_pairs is not None:
        read = read_pairs(Path(config.human_pairs))
        longest = min(config.reward.max_tokens, config.supervised.max_tokens)
        lengths = np.maximum(
            *(
                _lengths(
                    model,
                    [each.dialogue for each in read.preferences],
                    [getattr(each, side) for each in read.preferences],
                )
                for side in ("first", "second")
            )
        )
        keep = _kept(
            [each.dialogue for each in read.preferences], lengths, examined, _room(model, longest)
        )
        pairs = tuple(each for each, why in zip(read.preferences, keep, strict=True) if why is None)
        notes += [*read.notes, *_said(config.human_pairs, "pairs", keep)]
    if config.demonstrations is not None:
        found = read_demonstrations(Path(config.demonstrations))
        dialogues = [each.dialogue for each in found.examples]
        lengths = _lengths(model, dialogues, [each.response for each in found.examples])
        keep = _kept(dialogues, lengths, examined, _room(model, config.supervised.max_tokens))
        examples = tuple(
            each for each, why in zip(found.examples, keep, strict=True) if why is None
        )
        notes += [*found.notes, *_said(config.demonstrations, "demonstrations", keep)]
    return HumanFeedback(pairs=pairs, demonstrations=examples, notes=tuple(notes))


def _room(model: LocalModel, longest: int) -> int:
    return longest if model.context is None else min(longest, model.context)


def _lengths(
    model: LocalModel, dialogues: Sequence[Dialogue], replies: Sequence[str]
) -> np.ndarray:
    """Tokens of each dialogue with its reply and the token that ends it."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns of what is long, which is what is looked for here
    try:
        encoded = model.chat.with_replies(dialogues, replies)
    finally:
        logging.set_verbosity(verbosity)
    return np.array([len(prompt) + len(reply) + 1 for prompt, reply in encoded])


def _kept(
    dialogues: Sequence[Dialogue], lengths: np.ndarray, examined: set[Dialogue], most: int
) -> list[str | None]:
    """Why each is left out; None where it is kept."""
    asked = "they ask what a held-out prompt asks"
    long = f"they have more than the {most} tokens that the model and its training take"
    return [
        asked if dialogue in examined else long if length > most else None
        for dialogue, length in zip(dialogues, lengths.tolist(), strict=True)
    ]


def _said(path: str, what: str, reasons: Sequence[str | None]) -> list[str]:
    """Sentences about what was left out.

    Raises:
        DataError: That is all of it.
    """
    said = [
        f"{path}: {reasons.count(reason)} {what} left out: {reason}"
        for reason in dict.fromkeys(reason for reason in reasons if reason)
    ]
    if all(reasons):
        raise DataError(
            f"expected {what} to learn from, none of {len(reasons)} in {path} can be taken; "
            + "; ".join(said)
        )
    return said


@dataclass(frozen=True, kw_only=True)
class MixedPreferences:
    """Labels of people and of a model together, as sure as their givers were seen to be."""

    preferences: tuple[Preference, ...]
    router: LabelRouter

    ask: tuple[Preference, ...]
    """Pairs that a model labeled and that people should see next, the most doubtful first."""


def mixed_preferences(
    ai: Sequence[Preference],
    people: Sequence[Preference],
    doubled: Sequence[Preference],
    *,
    person_accuracy: float,
    seed: int,
) -> MixedPreferences:
    """Put both kinds of label together, people's where they are and a model's elsewhere.

    Where the model labeled what people did, it is seen on which pairs it says the same; from that
    is learned how far its label of every other pair is to be trusted.

    Args:
        ai: Pairs that a model labeled; those of the same two replies that people labeled are
            theirs.
        people: Pairs that people labeled.
        doubled: The model's labels of people's pairs, by their ids.
        person_accuracy: Share of people's labels that are right.
        seed: Of the learning.

    Returns:
        People's pairs and those the model decided, with probabilities and weights to train on.

    Raises:
        DataError: There is no pair that both decided.
    """
    said = {each.id: each.probability for each in people}
    both = [each for each in doubled if _leans(each) and said[each.id] not in (None, 0.5)]
    if not both:
        raise DataError(
            f"expected pairs that people and the critic both decide, to see where they agree; "
            f"there are none among {len(people)}. Take --recipe rlhf, which needs no critic, or "
            "another --critic"
        )
    agrees = np.array([(each.probability > 0.5) == (said[each.id] > 0.5) for each in both])  # type: ignore[operator]
    router = learn_router(
        pair_features(both),
        agrees,
        confidence=np.array([abs((each.probability or 0.5) - 0.5) for each in both]),
        seed=seed,
    )
    drawn = {_compared(each): each for each in ai}
    # What people were shown may be a dialogue as text; of a pair that was drawn it is known whole.
    people = [
        replace(each, dialogue=drawn[_compared(each)].dialogue)
        if _compared(each) in drawn
        else each
        for each in people
    ]
    theirs = {_compared(each) for each in people}
    left = [each for each in ai if _leans(each) and _compared(each) not in theirs]
    expected = router.expected(pair_features(left))
    labels = mix_labels(
        [each.id for each in left],
        np.array([each.probability for each in left], float),
        expected,
        {},
    )
    sure = [each for each in people if each.probability is not None and each.probability != 0.5]
    given = mix_labels(
        [each.id for each in sure],
        np.full(len(sure), 0.5),
        np.full(len(sure), 0.5),
        {each.id: ("person", (each.probability or 0.0) > 0.5) for each in sure},
        person_accuracy=person_accuracy,
    )
    doubtful = np.argsort(np.abs(expected - 0.5), kind="stable")[:MOST_ASKED]
    return MixedPreferences(
        preferences=(*weigh_preferences(sure, given), *weigh_preferences(left, labels)),
        router=router,
        ask=tuple(left[at] for at in doubtful.tolist()),
    )


def _leans(each: Preference) -> bool:
    return each.probability is not None and each.probability != 0.5


def _compared(each: Preference) -> tuple[str, frozenset[str]]:
    """What is compared as people are shown it, whichever reply comes first."""
    return transcript(each.dialogue), frozenset((each.first, each.second))
