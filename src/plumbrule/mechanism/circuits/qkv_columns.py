"""Which of a projection's numbers are which head's query, key or value: seen by what they change.

Attention is run by itself with random numbers in place of what its projections give out, and the
slopes of each head's output are taken with respect to them. A query's numbers change their own
token alone. Of the others, a value's change what the first token gets, which can look nowhere else;
a key's do not. Heads that share a key or value are told by the set of heads that it changes.

Axes: B rows, T tokens, H heads, C numbers that a projection gives out.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from plumbrule.mechanism.hooks import watching
from plumbrule.mechanism.site_search import same
from plumbrule.mechanism.sites import Side, Site
from plumbrule.mechanism.tracing import Call
from plumbrule.models.modules import evaluation_mode

Role = Literal["q", "k", "v"]
Chain = tuple[Call, ...]
"""Modules that run one behind the other."""

NOTICED = 1e-5
"""Least slope, as a share of the largest, that counts as a change."""


class NotSplit(Exception):
    """Attention cannot be read head by head; the reason."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What one head's query, key or value is."""

    role: Role
    head: int
    """Among the query heads for queries, among the key-value heads for the others."""

    parts: tuple[str, ...]
    """Modules that run one behind the other, from the normed stream on."""

    columns: tuple[int, ...]
    """Of the output of the last of them."""


def head_columns(mixer: Call, inner: Sequence[Call], heads: Site) -> list[Columns]:
    """Find every head's query, key and value.

    Args:
        mixer: Attention's call, on random numbers.
        inner: The calls of its parts.
        heads: Where its heads are side by side.

    Returns:
        Queries by head, then keys, then values.

    Raises:
        NotSplit: The parts that take in what attention takes in are not its queries, keys and
            values, each with numbers of its own for each head.
    """
    firsts = [
        each
        for each in inner
        if same(each.taken, mixer.taken) and not heads.path.startswith(f"{each.path}.")
    ]
    chains: list[Chain] = [(each,) for each in firsts if not _within_any(each, firsts)]
    if not chains:
        raise NotSplit("no projection takes in what it takes in")
    for _ in range(3):
        found, mixed = _sorted_columns(mixer, chains, heads)
        if not mixed:
            return _complete(found, heads)
        chains = [_longer(chain, inner) if chain in mixed else chain for chain in chains]
    raise NotSplit("a projection's numbers belong to several heads at once")


def _within_any(call: Call, others: Sequence[Call]) -> bool:
    return any(call.path.startswith(f"{other.path}.") for other in others)


def _longer(chain: Chain, inner: Sequence[Call]) -> Chain:
    """A chain of modules and what reads the last one's output, such as a norm of all heads."""
    last = chain[-1]
    following = [each for each in inner if each.order > last.order and same(each.taken, last.given)]
    if not following:
        raise NotSplit("a projection's numbers belong to several heads at once")
    return (*chain, following[-1])


def _sorted_columns(
    mixer: Call, chains: Sequence[Chain], heads: Site
) -> tuple[list[Columns], list[Chain]]:
    """Every chain's numbers by role and head, and the chains whose heads are mixed."""
    count = heads.heads or 1
    changes, width, outcome = _changes(mixer, [chain[-1] for chain in chains], heads, count)
    by_values = 0.0 * outcome
    found: list[Columns] = []
    mixed: list[Chain] = []
    for chain, (here, before, first, products) in zip(chains, changes, strict=True):
        groups: dict[tuple[Role, tuple[int, ...]], list[int]] = {}
        for column in range(here.shape[1]):
            changed = tuple(head for head in range(count) if bool(here[head, column]))
            if not changed:
                raise NotSplit("some of a projection's numbers change no head")
            role: Role = "q"
            if bool(before[:, column].any()):
                role = "v" if bool(first[:, column].any()) else "k"
            groups.setdefault((role, changed), []).append(column)
            by_values += products[:, column] * (role == "v")
        if _is_mixed(groups, count, width):
            mixed.append(chain)
        for (role, changed), columns in groups.items():
            found.append(
                Columns(
                    role=role,
                    head=changed[0],
                    parts=tuple(each.path for each in chain),
                    columns=tuple(columns),
                )
            )
    # Where keys are made of the same numbers as values, heads are not linear in them.
    if not mixed and float((by_values - outcome).abs().max()) > 1e-3 * float(outcome.abs().max()):
        raise NotSplit("its keys and values are made of the same numbers")
    return found, mixed


def _is_mixed(
    groups: dict[tuple[Role, tuple[int, ...]], list[int]], count: int, width: int
) -> bool:
    """Whether numbers of one head cannot be told from another's, as behind a norm over all."""
    claimed: dict[Role, set[int]] = {"q": set(), "k": set(), "v": set()}
    for role, changed in groups:
        if role == "q" and len(changed) > 1 and count > 1:
            return True
        if claimed[role] & set(changed):
            return True
        claimed[role] |= set(changed)
    # One key that all heads share is as wide as a head; a norm over several keys is wider.
    return any(len(columns) > width for (role, _), columns in groups.items() if role != "q")


def _complete(found: list[Columns], heads: Site) -> list[Columns]:
    """Numbered by head, where every query head has its query, key and value."""
    ordered: list[Columns] = []
    for role in ("q", "k", "v"):
        each = sorted((one for one in found if one.role == role), key=lambda one: one.head)
        widths = {len(one.columns) for one in each}
        if not each or len(widths) != 1 or (role == "q" and len(each) != heads.heads):
            raise NotSplit("its queries, keys and values do not come one for each head")
        ordered += [
            Columns(role=one.role, head=at, parts=one.parts, columns=one.columns)
            for at, one in enumerate(each)
        ]
    keys, values = (sum(one.role == role for one in ordered) for role in ("k", "v"))
    if keys != values:
        raise NotSplit(f"it has {keys} keys and {values} values")
    return ordered


def _changes(
    mixer: Call, ends: Sequence[Call], heads: Site, count: int
) -> tuple[list[tuple[Any, Any, Any, Any]], int, Any]:
    """For each projection whether its numbers change each head: (H, C), and a head's width.

    Three tables: anywhere; from an earlier token to the last one; and at the first token. A fourth
    holds the products of the numbers with the slopes, which sum to the heads' output, (H,), over
    whatever it is linear in.
    """
    import torch

    part = _readable(mixer)
    arguments, keywords = (_as_floats(each) for each in (mixer.arguments, dict(mixer.keywords)))
    leaves = [_leaf(end, seed) for seed, end in enumerate(ends)]
    held: list[Any] = []
    looks: dict[Site, Any] = {
        _relative(mixer, end.path, "out", seed): partial(_instead, leaf)
        for seed, (end, leaf) in enumerate(zip(ends, leaves, strict=True))
    }
    looks[_relative(mixer, heads.path, "in", len(ends))] = held.append
    with torch.enable_grad(), evaluation_mode(part), watching(part, looks):
        part(*arguments, **keywords)
    if not held:
        raise NotSplit("its heads are not reached when it runs by itself")
    value = held[0]
    weights = torch.randn(value.shape[-1], generator=torch.Generator().manual_seed(len(ends)))
    split = (value * weights.to(value)).reshape(*value.shape[:2], count, -1).sum(-1)
    tables = [
        [_slopes(split[:, at, head].sum(), leaves) for head in range(count)] for at in (-1, 0)
    ]
    found = []
    for number, leaf in enumerate(leaves):
        slopes, first = (torch.stack([row[number] for row in table]) for table in tables)
        last = slopes.abs()
        least = NOTICED * float(last.max())
        found.append(
            (
                last.amax((1, 2)) > least,
                last[:, :, :-1].amax((1, 2)) > least,
                first.abs().amax((1, 2)) > least,
                (slopes * leaf.detach()).sum((1, 2)),
            )
        )
    return found, int(value.shape[-1]) // count, split[:, -1].detach().sum(0)


def _instead(leaf: Any, _: Any) -> Any:
    return leaf


def _slopes(value: Any, leaves: Sequence[Any]) -> list[Any]:
    import torch

    found = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
    return [
        torch.zeros_like(leaf) if slope is None else slope
        for leaf, slope in zip(leaves, found, strict=True)
    ]


def _readable(mixer: Call) -> Any:
    """Attention in single precision at least: slopes in half precision are mostly rounding."""
    import torch

    assert mixer.taken is not None
    if torch.finfo(mixer.taken.dtype).bits >= 32:
        return mixer.module
    return copy.deepcopy(mixer.module).float()


def _as_floats(value: Any) -> Any:
    """Tensors of half precision in single precision, in tuples and mappings too."""
    import torch

    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.float() if torch.finfo(value.dtype).bits < 32 else value
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_as_floats(each) for each in value)
    if isinstance(value, dict):
        return {name: _as_floats(each) for name, each in value.items()}
    return value


def _leaf(end: Call, seed: int) -> Any:
    """Random numbers in the shape of a projection's output, to take gradients at."""
    import torch

    if end.given is None or end.given.dim() != 3 or not end.given.is_floating_point():
        raise NotSplit("a projection does not give out one vector a token")
    made = torch.Generator().manual_seed(seed)
    drawn = torch.randn(end.given.shape, generator=made).to(end.given.device)
    return drawn.to(
        end.given.dtype if end.given.element_size() >= 4 else torch.float32
    ).requires_grad_()


def _relative(mixer: Call, path: str, side: Side, number: int) -> Site:
    return Site(name=str(number), path=path.removeprefix(f"{mixer.path}."), side=side)
