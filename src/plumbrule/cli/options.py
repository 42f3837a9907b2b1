"""What no option may hold, whatever its own range: NaN, infinity, and text that no file holds."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from plumbrule.errors import ConfigError

LARGEST = 2**63 - 1
"""Size of a whole number that can be written down everywhere."""


def look_at_options(app: typer.Typer) -> None:
    """Have every verb of a command line, and of those within it, look at its options first."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _looking(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            look_at_options(group.typer_instance)


def _looking(verb: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(verb)
    def looked(**given: Any) -> Any:
        for name, value in given.items():
            for each in value if isinstance(value, list | tuple) else [value]:
                _check(f"--{name.replace('_', '-')}", each)
        return verb(**given)

    return looked


def _check(name: str, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, got {value}")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ConfigError(f"{name} must lie within {LARGEST}, got a larger number")
    if isinstance(value, str | Path):
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{name} must be UTF-8 text, got {str(value)!r:.60}") from error
