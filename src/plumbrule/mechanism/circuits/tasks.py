"""Pairs of prompts to search a circuit with, and those that come along, for two tasks.

Both tasks are known to be done by circuits in language models.

`indirect-object`: whom something was given to, after Wang et al. (2022). `copying`: what came after
a word before, after Olsson et al. (2022). Drawn by `benchmarks/circuit_pairs.py` from word lists of
our own; no text is anybody else's.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from plumbrule.errors import ConfigError
from plumbrule.records import strict


@strict
@dataclass(frozen=True, kw_only=True)
class PromptPair:
    """A prompt, one that differs from it in what matters, and two answers."""

    clean: tuple[int, ...]
    """Tokens of the prompt."""

    corrupted: tuple[int, ...]
    """Tokens of the other; as many, each at its counterpart's place."""

    right: int
    """Next token that the clean prompt asks for."""

    wrong: int
    """Next token that the corrupted prompt asks for, or any other answer to hold it against."""


def tasks() -> tuple[str, ...]:
    """Names of the tasks."""
    return tuple(sorted(path.stem for path in _folder().glob("*.jsonl")))


def task_file(name: str) -> Path:
    """The pairs of a task: JSON lines with clean, corrupted, right and wrong.

    Args:
        name: Of the task.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in tasks():
        raise ConfigError(f"expected a task among {', '.join(tasks())}, got {name!r}")
    return _folder() / f"{name}.jsonl"


def _folder() -> Path:
    return Path(str(files("plumbrule") / "mechanism" / "circuits" / "pairs"))
