"""How many threads a model on a CPU is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

from plumbrule.models.handle import LanguageModel
from plumbrule.models.local import LocalModel

FEW_PARAMETERS = 5_000_000
"""Parameters up to which one thread is enough: each step is so short that threads wait for one
another longer than they compute, and on a busy machine several times as long."""


@contextmanager
def fitting_threads(*models: LanguageModel) -> Iterator[None]:
    """Compute with one thread where all local models are tiny and on a CPU; as before afterwards.

    Results also do not depend on the number of cores then, to the last bit.

    Args:
        models: All that will compute; endpoints do not count.
    """
    import torch

    local = [each for each in models if isinstance(each, LocalModel)]
    before = torch.get_num_threads()
    if local and all(map(_tiny, local)):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _tiny(model: LocalModel) -> bool:
    weights = list(model.module.parameters())
    on_cpu = all(each.device.type == "cpu" for each in weights)
    return on_cpu and sum(each.numel() for each in weights) <= FEW_PARAMETERS
