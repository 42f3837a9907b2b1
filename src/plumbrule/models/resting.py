"""A module as it is when it answers, for as long as something looks at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def at_rest(*modules: Any) -> Iterator[None]:
    """Without dropout; training mode comes back afterwards, part by part."""
    training = [part for module in modules for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
