"""What holds of any module: the model beneath an adapter, and evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def base_module(module: Any) -> Any:
    """The Hugging Face model itself, beneath any adapter."""
    return module.get_base_model() if hasattr(module, "get_base_model") else module


def text_config(module: Any) -> Any:
    """Configuration of the part that reads and writes text."""
    return base_module(module).config.get_text_config(decoder=True)


@contextmanager
def evaluation_mode(*modules: Any) -> Iterator[None]:
    """Without dropout; training mode comes back afterwards, part by part."""
    training = [part for module in modules for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
