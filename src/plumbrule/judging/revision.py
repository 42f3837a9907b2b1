"""Critique a reply under a principle, and revise it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from plumbrule.constitution import Principle
from plumbrule.judging.prompts import PromptSet, Task, transcript
from plumbrule.models import Completion, LanguageModel, Sampling
from plumbrule.records import Dialogue


@dataclass(frozen=True, kw_only=True)
class RevisionDraft:
    """A reply that may need mending, and the principle to mend it by."""

    dialogue: Dialogue
    reply: str
    principle: Principle


@dataclass(frozen=True, kw_only=True)
class Critique:
    """What a critic said of a draft."""

    text: str

    found_problem: bool | None
    """None where the critic gave no usable critique."""

    reason: str | None = None
    """Why there is none."""


def critique(
    model: LanguageModel,
    drafts: Sequence[RevisionDraft],
    *,
    prompts: PromptSet,
    temperature: float,
    seeds: Sequence[int],
    max_new_tokens: int | None = None,
    trim: bool = False,
) -> list[Critique]:
    """Ask a model what is wrong with each draft under its principle.

    A critique that begins as the prompt set's `no_problem` says found nothing to mend; one that
    was cut off, refused or lost is counted as unusable and never as approval.

    Args:
        model: The critic.
        drafts: What to critique.
        prompts: The words to ask in.
        temperature: Of the sampling, dimensionless.
        seeds: One per draft.
        max_new_tokens: Longest critique; None: as the prompt set says.
        trim: Shorten a critique that was cut off to its last whole sentence, and take it.
    """
    asked = _render("critique", drafts, [{}] * len(drafts), prompts)
    sampling = _sampling("critique", prompts, temperature, max_new_tokens)
    completions = model.sample(asked, sampling=sampling, seeds=seeds)
    if trim:
        completions = [trimmed(each) for each in completions]
    clean = tuple(start.casefold() for start in prompts.template("critique").no_problem)
    found = []
    for completion in completions:
        text = completion.text.strip()
        reason = unusable(completion)
        problem = None if reason else not text.casefold().startswith(clean)
        found.append(Critique(text=text, found_problem=problem, reason=reason))
    return found


def revise(
    model: LanguageModel,
    drafts: Sequence[RevisionDraft],
    critiques: Sequence[str] | None,
    *,
    prompts: PromptSet,
    temperature: float,
    seeds: Sequence[int],
    max_new_tokens: int | None = None,
) -> list[Completion]:
    """Ask a model to mend each draft.

    Args:
        model: Who revises.
        drafts: What to mend.
        critiques: What was found, one per draft; None revises directly, without a critique.
        prompts: The words to ask in.
        temperature: Of the sampling, dimensionless.
        seeds: One per draft.
        max_new_tokens: Longest revision; None: as the prompt set says.

    Returns:
        The completions; `unusable` says which of them are no revision.
    """
    task: Task = "revise_directly" if critiques is None else "revise"
    extra = [{}] * len(drafts) if critiques is None else [{"critique": text} for text in critiques]
    asked = _render(task, drafts, extra, prompts)
    sampling = _sampling(task, prompts, temperature, max_new_tokens)
    return model.sample(asked, sampling=sampling, seeds=seeds)


def unusable(completion: Completion) -> str | None:
    """Why a completion is no answer; None where it is one."""
    if completion.finish_reason == "errored":
        return f"no answer came: {completion.text}"
    if completion.finish_reason == "refused":
        return "the model declined to answer"
    if completion.finish_reason == "length":
        return f"cut off after {completion.tokens} tokens"
    return None if completion.text.strip() else "the answer was empty"


def endless(text: str) -> bool:
    """Whether a text says the same over and over, as small models do until they are cut off.

    A text does so where its last words are one phrase of up to twelve words at least four times
    running, or where less than a third of its runs of four words are different ones.

    Example:
        >>> endless("I will help you. " * 6)
        True
        >>> endless("Boil the egg for six minutes, then put it into cold water.")
        False
    """
    words = text.casefold().split()
    for length in range(1, min(12, len(words) // 4) + 1):
        if words[-4 * length :] == words[-length:] * 4:
            return True
    runs = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
    return len(runs) >= 24 and len(set(runs)) < len(runs) / 3


def whole_sentences(text: str) -> str:
    """A text up to the end of its last whole sentence or line; empty where it has none.

    Example:
        >>> whole_sentences("Boil the egg. Then put it into co")
        'Boil the egg.'
    """
    ends = [
        match.end()
        for match in re.finditer(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d)*]*(?=\s|$)", text)
    ]
    # "1. " and "e.g. " end no sentence: what stands before must have a few words.
    ends = [end for end in ends if len(text[:end].rsplit("\n", 1)[-1].split()) > 1]
    return text[: ends[-1]].strip() if ends else ""


def trimmed(completion: Completion) -> Completion:
    """A completion that was cut off, up to its last whole sentence and taken as ended there.

    One without a whole sentence, or that repeats for ever, stays cut off.
    """
    if completion.finish_reason != "length" or endless(completion.text):
        return completion
    text = whole_sentences(completion.text)
    return replace(completion, text=text, finish_reason="stop") if text else completion


def _render(
    task: Task,
    drafts: Sequence[RevisionDraft],
    extra: Sequence[dict[str, str]],
    prompts: PromptSet,
) -> list[Dialogue]:
    return [
        prompts.render(
            task,
            principle=draft.principle,
            values={"request": transcript(draft.dialogue), "reply": draft.reply, **more},
        )
        for draft, more in zip(drafts, extra, strict=True)
    ]


def _sampling(task: Task, prompts: PromptSet, temperature: float, most: int | None) -> Sampling:
    longest = prompts.template(task).max_new_tokens
    return Sampling(temperature=temperature, max_new_tokens=longest if most is None else most)
