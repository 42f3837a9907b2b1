"""Handles on tiny random models, made once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.tiny import build, make_tokenizer

from plumbrule.models import LocalModel


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def make(tokenizer: Any) -> Callable[..., LocalModel]:
    """Makes a handle on a random model in memory."""

    def made(kind: str = "llama", *, settings: Any = None, **changes: Any) -> LocalModel:
        module = build(kind, len(tokenizer), **changes)
        return LocalModel(module, tokenizer, settings=settings)

    return made


@pytest.fixture(scope="session")
def llama(make: Callable[..., LocalModel]) -> LocalModel:
    return make("llama")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, llama: LocalModel, tokenizer: Any) -> Path:
    """The random llama as a user has it on disk."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    llama.module.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
