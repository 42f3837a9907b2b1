"""Train without a word and without a trace: what the libraries change is as it was afterwards."""

import gc
import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

_LOUD = ("trl", "accelerate", "peft", "datasets", "huggingface_hub")


def on_cuda() -> bool:
    """Whether training runs on CUDA."""
    return torch.cuda.is_available()


@contextmanager
def reproducibly(seed: int) -> Iterator[None]:
    """Train without a word, with all random numbers from one seed, and leave no trace behind.

    The caller's random generators, logging levels, warnings and progress bars are as they were.
    """
    with (
        _own_randomness(seed),
        _own_determinism(),
        _levels(),
        _no_bars(),
        _old_objects_aside(),
        warnings.catch_warnings(),
    ):
        # Version notes of one library to another, which no user of this package can act on.
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        # Some kernels have no deterministic form; which ones, nobody here can change.
        warnings.filterwarnings("ignore", message=".*deterministic")
        # PEFT on GPT-2's transposed layers: it sets the flag right by itself, and says so.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")
        yield


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if on_cuda() else []
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the libraries draw from the global generator
    torch.manual_seed(seed % 2**63)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        torch.set_rng_state(kept[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _own_determinism() -> Iterator[None]:
    """On CUDA, take the slower kernels that give the same bits every time."""
    if not on_cuda():
        yield
        return
    kept = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(kept, warn_only=warned)


@contextmanager
def _old_objects_aside() -> Iterator[None]:
    """Keep the collector from going through all that was imported, each time it is called."""
    if gc.get_freeze_count():  # somebody else did, and would be surprised by the thaw
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _levels() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOUD]
    kept = [logger.level for logger in loggers]
    verbosity = transformers_logging.get_verbosity()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        for logger, level in zip(loggers, kept, strict=True):
            logger.setLevel(level)


@contextmanager
def _no_bars() -> Iterator[None]:
    import datasets

    shown = transformers_logging.is_progress_bar_enabled()
    mapped = datasets.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
        if mapped:
            datasets.enable_progress_bars()
