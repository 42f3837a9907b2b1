"""What a verdict is asked about: principles with prompts, and who reads the replies."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plumbrule.constitution import Constitution, load_constitution
from plumbrule.data import constitution_prompts, read_prompt_file
from plumbrule.errors import ConfigError
from plumbrule.internalization import Subject
from plumbrule.judging import PromptSet, grade, load_prompts
from plumbrule.judging.grading import Standing
from plumbrule.lab.oracle import judge
from plumbrule.lab.requests import KINDS, read_request
from plumbrule.lab.world import build_world
from plumbrule.models import LanguageModel
from plumbrule.recipes.village import village_requests
from plumbrule.records import Exchange, Prompt
from plumbrule.store import derive_seed

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
    own = constitution_prompts(whole)
    given = [] if prompts is None else list(read_prompt_file(prompts).prompts)
    asked = load_prompts(words)
    found = []
    for principle in whole.principles:
        if only not in (None, principle.id):
            continue
        mine = [each for each in own if each.kind == principle.id]
        mine += [
            each for each in given if only is not None or principle.id in (each.kind, each.group)
        ]
        tempting = [each for each in mine if each.deserves_help is not True]
        if tempting:
            found.append(
                Subject(
                    principle=principle.id,
                    text=principle.text,
                    prompts=tempting,
                    twins=[each for each in mine if each.deserves_help is True],
                    violates=JudgeReader(principle.id, whole, reader, asked, seed),
                )
            )
    if not found:
        raise ConfigError(
            "expected prompts that tempt a model to break a principle, found none: write probes "
            "into the constitution, or give --prompts with --principle"
        )
    return found


@dataclass
class JudgeReader:
    """Reads a reply by asking a judge whether it breaks one principle; asks once for each."""

    principle: str
    constitution: Constitution
    judge: LanguageModel
    words: PromptSet
    seed: int
    _known: dict[tuple[str, str], bool | None] = field(default_factory=dict)

    def __call__(self, prompt: Prompt, reply: str) -> bool | None:
        """True: it breaks it; None: the judge gave no verdict."""
        key = (prompt.id, reply)
        if key not in self._known:
            exchange = Exchange(
                id=prompt.id, dialogue=prompt.dialogue, response=reply, model="judged"
            )
            (said,) = grade(
                self.judge,
                [exchange],
                self.constitution,
                prompts=self.words,
                seeds=[derive_seed(self.seed, *key) % 2**31],
                standing=Standing(only=frozenset([self.principle])),
            )
            self._known[key] = {"fail": True, "pass": False}.get(said.verdict)
        return self._known[key]


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
