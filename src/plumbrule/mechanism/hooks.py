"""Reading and exchanging activations while a model runs; the model is always left as it was."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from plumbrule.mechanism.sites import Site, Sites
from plumbrule.mechanism.tracing import first_tensor, with_first_tensor

Look = Callable[[Any], Any]
"""Takes an activation; gives what the model goes on with, or None to leave it."""


class Reached(Exception):
    """Ends a pass after the last site that was wanted."""


def no_room(error: BaseException) -> bool:
    """Whether an error says that something does not fit into memory.

    Args:
        error: What was raised. Without an accelerator torch says so by a plain `RuntimeError`.
    """
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@contextmanager
def watching(module: Any, looks: Mapping[Site, Look]) -> Iterator[None]:
    """Look at sites while the model runs, and exchange what is there.

    Args:
        module: The model.
        looks: What to do at each site. Looks at one site are done in order.
    """
    handles = []
    try:
        for site, look in looks.items():
            part = module.get_submodule(site.path)
            if site.side == "in":
                handles.append(part.register_forward_pre_hook(_before(look), with_kwargs=True))
            else:
                handles.append(part.register_forward_hook(_after(look)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def last_logits(
    module: Any,
    ids: Any,
    *,
    watched: Iterable[str] = (),
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Logits after the last token, (R, V); those after others are spared where the model can.

    Args:
        module: The model.
        ids: Tokens to read, (R, T), all rows of one length.
        watched: Sites that are looked at meanwhile. Where `final` is among them nothing is spared:
            it would hold the last position alone.
        given: What the pass is given besides, such as a cache of what is before.
    """
    spared = last_alone(module) if "final" not in watched else {}
    return module(input_ids=ids, use_cache=False, **spared, **(given or {}))["logits"][
        :, -1
    ].float()


def last_alone(module: Any) -> dict[str, Any]:
    """What asks a model for the last token's logits alone; nothing where it cannot be asked."""
    accepted = "logits_to_keep" in inspect.signature(module.forward).parameters
    return {"logits_to_keep": 1} if accepted else {}


def logits_at(
    module: Any, ids: Any, ends: Sequence[int], given: Mapping[str, Any] | None = None
) -> Any:
    """Logits after one token of each row, (R, V); others are spared where the model can.

    Args:
        module: The model.
        ids: Tokens to read, (R, T).
        ends: For each row the place of the token.
        given: What the pass is given besides, such as a cache of what is before.
    """
    import torch

    rows, places = torch.arange(len(ids), device=ids.device), sorted(set(ends))
    spared: dict[str, Any] = {}
    if last_alone(module):
        spared = {"logits_to_keep": torch.tensor(places, device=ids.device)}
        ends = [places.index(end) for end in ends]
    logits = module(input_ids=ids, use_cache=False, **spared, **(given or {}))["logits"]
    return logits[rows, torch.tensor(ends, device=ids.device)].float()


@contextmanager
def patched(module: Any, sites: Sites, values: Mapping[str, Any]) -> Iterator[None]:
    """Go on with given activations instead of the model's own.

    Args:
        module: The model.
        sites: Its sites.
        values: By site, what to go on with.
    """

    def instead(value: Any) -> Look:
        return lambda _: value

    with watching(module, {sites[name]: instead(value) for name, value in values.items()}):
        yield


def layer_outputs(
    module: Any, paths: Sequence[str], ids: Any, given: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], Any]:
    """What some modules give out, whole, and the logits after the last token, (R, V).

    Args:
        module: The model.
        paths: Modules, as `named_modules` calls them.
        ids: Tokens to read.
        given: What the pass is given besides, such as a cache of what is before.
    """
    found: dict[str, Any] = {}

    def keep(path: str) -> Callable[..., None]:
        def hook(part: Any, arguments: Any, out: Any) -> None:
            found[path] = out

        return hook

    handles = [module.get_submodule(path).register_forward_hook(keep(path)) for path in paths]
    try:
        logits = last_logits(module, ids, given=given)
    finally:
        for handle in handles:
            handle.remove()
    return found, logits


@contextmanager
def skipping(module: Any, given: Mapping[str, Any]) -> Iterator[None]:
    """Let modules give out what they gave out before, without computing it.

    Args:
        module: The model.
        given: By module, what it gives out: one row, shown to every row of the pass.
    """
    parts = {path: module.get_submodule(path) for path in given}

    def held(value: Any) -> Callable[..., Any]:
        def forward(*arguments: Any, **keywords: Any) -> Any:
            rows = first_tensor([*arguments, *keywords.values()]).shape[0]
            tensor = first_tensor(value)
            return with_first_tensor(value, tensor.expand(rows, *tensor.shape[1:]))

        return forward

    # On the instance, where it goes before the class; another library may have put its own there.
    own = {path: vars(parts[path]).get("forward") for path in given}
    try:
        for path, value in given.items():
            parts[path].forward = held(value)
        yield
    finally:
        for path, before in own.items():
            parts[path].__dict__.pop("forward", None)
            if before is not None:
                parts[path].forward = before


def _before(look: Look) -> Callable[..., Any]:
    def hook(part: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        for at, each in enumerate(arguments):
            tensor = first_tensor(each)
            if tensor is not None:
                new = look(tensor)
                if new is None:
                    return None
                rest = [*arguments[:at], with_first_tensor(each, new), *arguments[at + 1 :]]
                return tuple(rest), keywords
        for name, each in keywords.items():
            tensor = first_tensor(each)
            if tensor is not None:
                new = look(tensor)
                if new is None:
                    return None
                return arguments, {**keywords, name: with_first_tensor(each, new)}
        return None

    return hook


def _after(look: Look) -> Callable[..., Any]:
    def hook(part: Any, arguments: tuple[Any, ...], given: Any) -> Any:
        tensor = first_tensor(given)
        if tensor is None:
            return None
        new = look(tensor)
        return None if new is None else with_first_tensor(given, new)

    return hook
