"""Ask several judges about the same replies or pairs, and keep what each says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from plumbrule.constitution import Principle
from plumbrule.errors import ConfigError
from plumbrule.judging.grading import LEAST_COVERED
from plumbrule.judging.prompts import PromptSet
from plumbrule.judging.revision import trimmed, unusable
from plumbrule.judging.trial import ask_grades, log_odds
from plumbrule.judging.votes import Votes
from plumbrule.models import Choice, LanguageModel, Sampling
from plumbrule.records import Dialogue, Message

THOUGHT_CLAMP = (0.4, 0.6)
"""Labels made after a chain of thought are surer than they are right, so they are kept within these
(Bai et al. 2022, arXiv:2212.08073, section 4.1)."""


@dataclass(frozen=True, kw_only=True)
class EnsembleMember:
    """A judge with its words: another model, or the same in another prompt set."""

    name: str
    model: LanguageModel
    prompts: PromptSet

    borders: Mapping[str, float] = field(default_factory=dict)
    """Principle → log-odds above which this judge's word is "broken", from its trial."""


def ask_members(
    members: Sequence[EnsembleMember],
    asked: Sequence[tuple[Principle, str, str]],
    *,
    seeds: Sequence[int],
) -> Votes:
    """Ask every member about the same replies.

    Args:
        members: Models, or variations of the words put to them. For `learn_reliabilities`, those
            of one model are one family: `families=[each.model.identity for each in members]`.
        asked: Principle, request and reply.
        seeds: One per item.

    Returns:
        Votes, moved so that a member's border lies at one half. A member without a border that puts
        less than half of its probability on the offered answers has not answered.
    """
    votes = np.full((len(asked), len(members)), np.nan)
    for at, member in enumerate(members):
        options = member.prompts.template("grade").options
        choices = ask_grades(member.model, asked, prompts=member.prompts, seeds=seeds)
        for item, (choice, (principle, _, _)) in enumerate(zip(choices, asked, strict=True)):
            against = log_odds(choice, options)
            border = member.borders.get(principle.id)
            if against is not None and (border is not None or choice.covered >= LEAST_COVERED):
                votes[item, at] = expit(against - (border or 0.0))
    return votes


def label_pairs(
    model: LanguageModel,
    dialogues: Sequence[Dialogue],
    options: Sequence[str],
    *,
    seeds: Sequence[int],
    thoughts: int = 0,
    max_new_tokens: int = 256,
) -> list[float | None]:
    """Ask which of two answers is right: directly, or after a chain of thought.

    Args:
        model: The judge.
        dialogues: The questions, such as the `compare` template gives; the last turn is a user's.
        options: The two answers.
        seeds: One per question.
        thoughts: How often it thinks before it answers; 0 asks directly.
        max_new_tokens: Longest thought.

    Returns:
        Probability of the first answer: as it is where asked directly; after thoughts, the mean
        over them, kept within 0.4 to 0.6. None where no answer came.

    Raises:
        ConfigError: There are not exactly two answers, or fewer than 0 thoughts.

    Source:
        Bai et al. (2022), "Constitutional AI", arXiv:2212.08073, section 4.1.
    """
    if len(options) != 2 or thoughts < 0:
        raise ConfigError(
            f"expected two answers and 0 or more thoughts, got {list(options)} and {thoughts}"
        )
    if not thoughts:
        return [_first(each) for each in model.choose(dialogues, options, seeds=seeds)]
    heard: list[list[float]] = [[] for _ in dialogues]
    sampling = Sampling(temperature=1.0, max_new_tokens=max_new_tokens)
    for turn in range(thoughts):
        own = [seed * thoughts + turn for seed in seeds]
        opened = [_think(dialogue) for dialogue in dialogues]
        said = [trimmed(each) for each in model.sample(opened, sampling=sampling, seeds=own)]
        usable = [at for at, each in enumerate(said) if unusable(each) is None]
        asked = [
            (
                *opened[at],
                Message("assistant", said[at].text),
                Message("user", f"So which is it? Answer {options[0]} or {options[1]} alone."),
            )
            for at in usable
        ]
        chosen = model.choose(asked, options, seeds=[own[at] for at in usable])
        for at, choice in zip(usable, chosen, strict=True):
            if (first := _first(choice)) is not None:
                heard[at].append(first)
    low, high = THOUGHT_CLAMP
    return [min(max(float(np.mean(each)), low), high) if each else None for each in heard]


def _think(dialogue: Dialogue) -> Dialogue:
    asked = dialogue[-1].content
    return (
        *dialogue[:-1],
        Message("user", f"{asked}\n\nFirst think it over in a few sentences; answer afterwards."),
    )


def _first(choice: Choice) -> float | None:
    return None if choice.probabilities is None else choice.probabilities[0]
