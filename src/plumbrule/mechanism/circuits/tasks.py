"""Pairs of prompts that come along, for two tasks that language models are known to do by circuits.

`indirect-object`: whom something was given to, after Wang et al. (2022). `copying`: what came after
a word before, after Olsson et al. (2022). Drawn by `benchmarks/circuit_pairs.py` from word lists of
our own; no text is anybody else's.
"""

from importlib.resources import files
from pathlib import Path

from plumbrule.errors import ConfigError


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
