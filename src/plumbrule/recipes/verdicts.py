"""What a verdict is asked about: principles with prompts, and who reads the replies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plumbrule.constitution import load_constitution
from plumbrule.data import constitution_prompts, read_prompt_file
from plumbrule.errors import ConfigError
from plumbrule.internalization import Subject
from plumbrule.judging import load_prompts
from plumbrule.lab.oracle import judge
from plumbrule.lab.requests import KINDS, read_request
from plumbrule.lab.world import build_world
from plumbrule.loop.verdicts import judged_subjects
from plumbrule.models import LanguageModel
from plumbrule.recipes.village import village_requests
from plumbrule.records import Prompt

PROHIBITED = ("prohibited", "honesty")
"""Classes of request whose easy answer breaks a principle of the village."""

PERMITTED = ("look_alike", "permitted")

MOST = 36
"""Prompts of each sort that a principle of the village is judged on."""


def village_subjects(*, seed: int = 0, only: str | None = None) -> list[Subject]:
    """The village's principles, with its answer key.

    Args:
        seed: Decides the prompts.
        only: One principle's id; None: all that speak of a kind of request.

    Raises:
        ConfigError: There is no such principle.
    """
    prompts = village_requests(seed)
    world = build_world()
    named = dict.fromkeys(
        kind.principle
        for kind in KINDS.values()
        if kind.principle and kind.request_class in PROHIBITED
    )
    names = [str(name) for name in named]
    if only is not None:
        if only not in names:
            raise ConfigError(
                f"expected a principle of the village among {', '.join(names)}, got {only!r:.60}"
            )
        names = [only]
    # Urged or under a system turn, a request is a surrounding like those of the battery.
    plain = [each for each in prompts if each.held_out and each.dialogue[0].role == "user"]
    kinds = {each.id: KINDS[read_request(each.dialogue, world).kind] for each in plain}
    alike = [each for each in plain if kinds[each.id].request_class in PERMITTED]
    found = []
    for name in names:
        own = [
            each
            for each in plain
            if kinds[each.id].principle == name and kinds[each.id].request_class in PROHIBITED
        ]
        found.append(
            Subject(
                principle=name,
                text=f"The assistant keeps the village's principle {name}.",
                prompts=own[:MOST],
                twins=alike[:MOST],
                violates=_AnswerKey(name),
            )
        )
    return found


@dataclass(frozen=True)
class _AnswerKey:
    """Reads a reply from the facts of the village."""

    principle: str

    def __call__(self, prompt: Prompt, reply: str) -> bool | None:
        world = build_world()
        request = read_request(prompt.dialogue, world)
        said = judge(request, reply, world).verdict(self.principle, request)
        return None if said == "unreadable" else said == "fail"


def constitution_subjects(
    constitution: str,
    reader: LanguageModel,
    *,
    only: str | None = None,
    prompts: Path | None = None,
    words: str = "default",
    seed: int = 0,
) -> list[Subject]:
    """The principles of a constitution, read by a judging model.

    Args:
        constitution: File, or the name of one that comes along.
        reader: The model that judges replies.
        only: One principle's id; None: all that have probes or prompts of their own.
        prompts: Further prompts: a row belongs to the principle that its `kind` or `group` names,
            or to the one that is asked about. One that deserves help is a permitted look-alike.
        words: The questions asked of the judge.
        seed: Of the judge.

    Raises:
        ConfigError: There is no such principle, or none has a prompt.
        DataError: The prompts cannot be read.
    """
    whole = load_constitution(constitution)
    ids = [each.id for each in whole.principles]
    if only is not None and only not in ids:
        raise ConfigError(
            f"expected a principle of {constitution} among {', '.join(ids)}, got {only!r:.60}"
        )
    given = [] if prompts is None else list(read_prompt_file(prompts).prompts)
    if only is not None:
        given = [replace(each, kind=only) for each in given]
    found = judged_subjects(
        whole, [*constitution_prompts(whole), *given], reader, load_prompts(words), seed
    )
    found = [each for each in found if only in (None, each.principle)]
    if not found:
        raise ConfigError(
            "expected prompts that tempt a model to break a principle, found none: write probes "
            "into the constitution, or give --prompts with --principle"
        )
    return found


def is_village(*specs: str | None) -> bool:
    """Whether one of some models is named as one of the lab."""
    return any(spec is not None and spec.startswith("lab:") for spec in specs)


def chosen_subjects(
    specs: Sequence[str | None],
    *,
    constitution: str | None,
    only: str | None,
    reader: LanguageModel | None,
    prompts: Path | None,
    seed: int,
) -> list[Subject]:
    """The principles that were asked about.

    Models of the lab are graded by the village's answer key where no constitution is named.

    Raises:
        ConfigError: Nothing says what is to be judged, or who judges.
    """
    if constitution is None and is_village(*specs):
        if prompts is not None or reader is not None:
            raise ConfigError(
                "expected --constitution beside --prompts or --judge; without it, models of the "
                "lab are graded on the village's requests by its answer key"
            )
        return village_subjects(seed=seed, only=only)
    if constitution is None or reader is None:
        raise ConfigError(
            "expected --constitution and --judge: a file of principles with prompts that tempt, "
            "and a model that says whether a reply breaks one; or a model lab:NAME, or one of its "
            "children --against lab:NAME"
        )
    return constitution_subjects(constitution, reader, only=only, prompts=prompts, seed=seed)
