"""Prompt sets: the words in which a model is asked to critique, revise, compare and grade.

A prompt set is a YAML file. Nothing in a stage knows which one it uses: a large model and a lab
specimen run through the same code and differ in this file alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plumbrule.constitution import Principle
from plumbrule.errors import ConfigError
from plumbrule.files import parse_yaml, read_small_text
from plumbrule.records import Dialogue, Message, problems_of
from plumbrule.store import fingerprint

Task = Literal[
    "critique", "revise", "revise_directly", "compare", "grade", "grade_again", "manner", "applies"
]
TASKS: tuple[Task, ...] = get_args(Task)

OPTIONAL: tuple[Task, ...] = ("grade_again", "applies")
"""What a prompt set may lack: then replies are graded by one question, and conditions are left to
the question about the principle."""

_SHIPPED = ("default", "village")
_SLOTS = (
    "principle", "statement", "request", "reply", "critique", "first", "second", "condition",
)  # fmt: skip
_TAG = re.compile(r"<(?=/?\s*(?:principle|request|reply|reply_a|reply_b|critique)\b)", re.I)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Template(_Strict):
    """How one task is put to a model."""

    user: str
    """Words of the user's turn, with slots such as `{request}` and `{reply}`."""

    system: str = ""
    """Words of the system prompt; empty for none."""

    options: dict[str, str] = {}
    """Answer → what it means, for tasks that choose among given answers."""

    no_problem: tuple[str, ...] = ()
    """How a critique begins that found nothing to mend."""

    max_new_tokens: Annotated[int, Field(ge=1, le=10**6)] = 256
    """Tokens a written answer may have."""


class _File(_Strict):
    name: str
    version: int
    single_line: bool = False
    few_shot: Annotated[int, Field(ge=0, le=1000)] = 0
    critique: Template
    revise: Template
    revise_directly: Template
    compare: Template
    grade: Template
    manner: Template
    grade_again: Template | None = None
    applies: Template | None = None


@dataclass(frozen=True)
class PromptSet:
    """A checked prompt set; its hash is part of every judgment that came from it."""

    content: _File

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.content.name

    @cached_property
    def sha256(self) -> str:
        """Hash of everything a model is shown."""
        return fingerprint(self.content.model_dump(mode="json", exclude_none=True))

    @property
    def decides_conditions(self) -> bool:
        """Whether conditions are asked about before the principles that have them."""
        return self.content.applies is not None

    @property
    def grading(self) -> tuple[Task, ...]:
        """The questions by which a reply is graded: one, or the same both ways round."""
        return ("grade",) if self.content.grade_again is None else ("grade", "grade_again")

    def template(self, task: Task) -> Template:
        """The template of a task.

        Raises:
            ConfigError: The set has none for this task.
        """
        template: Template | None = getattr(self.content, task)
        if template is None:
            raise ConfigError(f"the prompt set {self.name!r} has no template `{task}`; add one")
        return template

    def render(
        self, task: Task, *, principle: Principle | None, values: Mapping[str, str]
    ) -> Dialogue:
        """Put a task to a model.

        Args:
            task: Which task.
            principle: The principle it is about; None for `manner` and `applies`.
            values: What fills the slots: `request`, `reply`, `critique`, `first`, `second`,
                `condition`.
                Text from models and users: delimiters inside it are broken, so that it cannot
                end its own fence and speak as the prompt.
        """
        template = self.template(task)
        turns = [Message("system", template.system)] if template.system else []
        if principle is not None and task in ("critique", "revise", "revise_directly"):
            turns.extend(self._few_shot(task, principle))
        turns.append(Message("user", self._fill(template, principle, values)))
        return tuple(turns)

    def _few_shot(self, task: Task, principle: Principle) -> Sequence[Message]:
        turns = []
        for example in principle.critique_examples[: self.content.few_shot]:
            values = {
                "request": example.request,
                "reply": example.reply,
                "critique": example.critique,
            }
            answer = example.critique if task == "critique" else example.revision
            turns.append(Message("user", self._fill(self.template(task), principle, values)))
            turns.append(Message("assistant", answer))
        return turns

    def _fill(
        self, template: Template, principle: Principle | None, values: Mapping[str, str]
    ) -> str:
        about = (
            {}
            if principle is None
            else {"principle": principle.text, "statement": principle.statement()}
        )
        return template.user.format(**about, **{name: self._fence(values[name]) for name in values})

    def _fence(self, text: str) -> str:
        if self.content.single_line:
            return " ".join(text.split())
        return _TAG.sub("&lt;", text)


def transcript(dialogue: Dialogue) -> str:
    """A dialogue as the text that a judge reads: one user turn as it is, more with their roles.

    Example:
        >>> transcript((Message("user", "Hello"),))
        'Hello'
    """
    turns = [turn for turn in dialogue if turn.role != "system"]
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.content}" for turn in turns)


def load_prompts(name_or_path: str) -> PromptSet:
    """Load a shipped prompt set by name, or one's own by path.

    Raises:
        ConfigError: There is no such set, or the file does not hold one.
    """
    if name_or_path in _SHIPPED:
        text = (resources.files("plumbrule.judging") / f"{name_or_path}.yaml").read_text("utf-8")
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(
                f"expected a prompt set: one of {', '.join(_SHIPPED)} or a YAML file; "
                f"{name_or_path!r} is neither. Check the path."
            )
        text = read_small_text(path, "a prompt set")
    try:
        prompts = PromptSet(_File.model_validate(parse_yaml(text, name_or_path)))
        for task in TASKS:
            if task not in OPTIONAL or getattr(prompts.content, task) is not None:
                _check_slots(prompts.template(task))
        _check_grading(prompts)
    except (ValidationError, ValueError) as error:
        said = problems_of(error) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"{name_or_path} does not hold a prompt set: {said}. "
            "Start from a shipped one; docs/judging.md lists the fields that it must have."
        ) from error
    return prompts


def _check_grading(prompts: PromptSet) -> None:
    """Refuse two questions about a reply that cannot be read together."""
    first, *more = (prompts.template(task).options for task in prompts.grading)
    for other in more:
        if tuple(first) != tuple(other) or set(first.values()) != set(other.values()):
            raise ValueError(
                "`grade` and `grade_again` must offer the same answers in the same order, with "
                f"the same meanings, got {first} and {other}"
            )


def _check_slots(template: Template) -> None:
    """Refuse a slot nobody fills, before a run is under way."""
    for _, slot, form, conversion in Formatter().parse(template.user):
        # A form such as `:>99999999999` would fill the memory, an attribute show what is no text.
        if slot is not None and (slot not in _SLOTS or form or conversion):
            raise ConfigError(
                f"a slot must be one of {', '.join(f'{{{name}}}' for name in _SLOTS)}, without "
                f"anything else in its braces, got {slot!r}; a brace of your own is written twice"
            )
