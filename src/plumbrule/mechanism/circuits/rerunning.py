"""One part of a model, run again by itself on other numbers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from plumbrule.mechanism.tracing import Call, first_tensor
from plumbrule.models.modules import evaluation_mode


def noise(value: Any, *, seed: int) -> Any:
    """Random numbers instead of an activation."""
    import torch

    made = torch.Generator().manual_seed(seed)
    return torch.randn(value.shape, generator=made).to(value.dtype).to(value.device)


def rerun(
    call: Call,
    arguments: tuple[Any, ...] | None = None,
    keywords: Mapping[str, Any] | None = None,
) -> None:
    """Run a module again, with what it took in or something else."""
    import torch

    with evaluation_mode(call.module), torch.no_grad():
        call.module(
            *(call.arguments if arguments is None else arguments),
            **(call.keywords if keywords is None else keywords),
        )


@contextmanager
def noting(layer: Call) -> Iterator[list[Call]]:
    """Write down the calls of a module's parts."""
    calls: list[Call] = []
    names = {
        id(part): f"{layer.path}.{path}" for path, part in layer.module.named_modules() if path
    }

    def note(part: Any, arguments: Any, keywords: Any, given: Any) -> None:
        calls.append(
            Call(
                path=names[id(part)],
                module=part,
                order=len(calls),
                taken=first_tensor([*arguments, *keywords.values()]),
                given=first_tensor(given),
                arguments=arguments,
                keywords=keywords,
            )
        )

    handles = [
        part.register_forward_hook(note, with_kwargs=True)
        for path, part in layer.module.named_modules()
        if path
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
