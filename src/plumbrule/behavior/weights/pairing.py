"""Which tensor of a tuned model belongs to which of its base."""

from dataclasses import dataclass

from plumbrule.behavior.weights.sources import Weights


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Which tensor of the tuned model belongs to which of the base."""

    shared: tuple[tuple[str, str, str], ...]
    """What the pair is called, the base's name, the tuned model's name."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    notes: tuple[str, ...]


def pair(base: Weights, tuned: Weights) -> Pairing:
    """Match tensors by name, through ties and through a prefix that only one side writes."""
    notes: list[str] = []
    named = {name: name for name in tuned.tensors}  # the base's name of it to the tuned model's
    if named and not any(_place(name, base) for name in named):
        prefix, named = _without_prefix(base, tuned)
        if prefix:
            notes.append(f"Names were matched after taking {prefix!r} off one side's.")
    shared, places = [], set()
    for name in base.tensors:
        other = named.get(name) or named.get(tuned.aliases.get(name, ""))
        if other:
            shared.append((name, name, other))
            places.add(other)
            if name not in named:
                notes.append(f"{name} is tied in the tuned model and stands alone in the base.")
    for name, other in named.items():
        if other not in places and name in base.aliases and base.aliases[name] in base.tensors:
            shared.append((name, base.aliases[name], other))
            places.add(other)
            notes.append(f"{name} is tied in the base and stands alone in the tuned model.")
    found = {first for _, first, _ in shared}
    return Pairing(
        shared=tuple(shared),
        missing=tuple(name for name in base.tensors if name not in found),
        extra=tuple(name for name in tuned.tensors if name not in places),
        notes=tuple(notes),
    )


def _place(name: str, base: Weights) -> bool:
    return name in base.tensors or name in base.aliases


def _without_prefix(base: Weights, tuned: Weights) -> tuple[str, dict[str, str]]:
    """The prefix, ending in a dot, without which most names agree, and names after taking it off.

    A model saved without its head leaves out the prefix that it has within the whole.
    """
    best: tuple[int, str, dict[str, str]] = (0, "", {name: name for name in tuned.tensors})
    for prefix in {name.partition(".")[0] + "." for name in tuned.tensors}:
        named = {name.removeprefix(prefix): name for name in tuned.tensors}
        best = max(best, (sum(_place(name, base) for name in named), prefix, named), key=_count)
    for prefix in {name.partition(".")[0] + "." for name in base.tensors}:
        named = {
            prefix + name if _place(prefix + name, base) else name: name for name in tuned.tensors
        }
        best = max(best, (sum(_place(name, base) for name in named), prefix, named), key=_count)
    return best[1], best[2]


def _count(found: tuple[int, str, dict[str, str]]) -> tuple[int, str]:
    return found[0], found[1]
