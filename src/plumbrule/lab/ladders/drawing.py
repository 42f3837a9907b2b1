"""What the ladders share: contexts held out by their content, and looking up many at once.

Axes: C contexts, T tokens a context, P places (what is asked about) a context.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from plumbrule.errors import ConfigError

HELD_OUT_SHARE = 10
"""One context in so many is held out: no training ever sees it."""

MOST_BARREN = 50
"""Draws without a single context of the wanted side after which there is taken to be none."""

Answers = Int[np.ndarray, "contexts places"]
Contexts = Int[np.ndarray, "contexts tokens"]

Ask = Callable[[str], Answers]
"""Takes the kind of a question, returns what is believed about every place at half the depth."""


@dataclass(frozen=True, kw_only=True)
class Relabelled:
    """The same contexts in other names."""

    contexts: Contexts

    restore: Callable[[Answers, str], Answers]
    """Takes answers about these contexts and their kind, returns them in the first names."""


def held_out(keys: Contexts) -> Bool[np.ndarray, " contexts"]:
    """Which contexts are held out, by a hash of their content alone.

    Args:
        keys: One row a context, the same for contexts that say the same.
    """
    state = np.full(len(keys), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in keys.T.astype(np.uint64):
        state = (state ^ (column + np.uint64(1))) * np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(29)
    chosen: Bool[np.ndarray, " contexts"] = state % np.uint64(HELD_OUT_SHARE) == 0
    return chosen


def draw_split(
    draw: Callable[[int, np.random.Generator], Contexts],
    count: int,
    *,
    seed: int,
    exam: bool,
    key: Callable[[Contexts], Contexts] = lambda contexts: contexts,
) -> Contexts:
    """Draw contexts until enough lie on the wanted side of the split.

    Args:
        draw: Draws so many contexts.
        count: How many are wanted.
        seed: Decides which.
        exam: Whether to draw those held out, or those to train on.
        key: What `held_out` decides by; the whole context where not given.

    Raises:
        ConfigError: The task is so small that one side of the split is empty.
    """
    rng = np.random.default_rng(seed)
    found: list[Contexts] = []
    missing, barren = count, 0
    while missing > 0:
        drawn = draw(max(64, missing * (HELD_OUT_SHARE + 2 if exam else 2)), rng)
        kept = drawn[held_out(key(drawn)) == exam][:missing]
        barren = 0 if len(kept) else barren + 1
        if barren == MOST_BARREN:
            raise ConfigError(
                "the task is too small to hold contexts out from training; choose larger sizes"
            )
        found.append(kept)
        missing -= len(kept)
    return np.concatenate(found)


def look_up(table: Answers, places: Answers) -> Answers:
    """Take, in each context, the entries of a table at some places."""
    return np.take_along_axis(table, places, axis=1)


def follow(links: Answers, times: int) -> Answers:
    """Where links lead when they are followed so many times, one after another; 1 at least."""
    found = links
    for _ in range(times - 1):
        found = look_up(links, found)
    return found


def rename_links(links: Contexts, *, seed: int) -> Relabelled:
    """Links between places, with the places renamed at random."""
    new = shuffles(len(links), links.shape[1], np.random.default_rng(seed))
    old = inverse(new)
    return Relabelled(
        contexts=look_up(new, look_up(links, old)),
        restore=lambda answers, kind: look_up(old, look_up(answers, new)),
    )


def shuffles(
    count: int, size: int, rng: np.random.Generator
) -> Int[np.ndarray, "contexts entries"]:
    """As many random orders of `size` things as there are contexts."""
    return np.argsort(rng.random((count, size)), axis=1)


def inverse(orders: Int[np.ndarray, "contexts entries"]) -> Int[np.ndarray, "contexts entries"]:
    """The orders that undo these."""
    return np.argsort(orders, axis=1)


def check_size(name: str, value: int, *, least: int, most: int) -> None:
    """Refuse a size that no context can have.

    Raises:
        ConfigError: It is no whole number, or outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be a whole number, got {value!r}")
    if not least <= value <= most:
        raise ConfigError(f"{name} must be from {least} to {most}, got {value}")
