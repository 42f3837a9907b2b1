"""Prompts of a real run: XSTest, JailbreakBench and MT-Bench, whole kinds of them held out.

What is trained on and what is examined share no kind, because two prompts of a kind are nearly the
same: by `../shared/references/real_data.md`, a split by rows would examine memory.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.real_ground import everything, normalized, user_text
from plumbrule.records import Prompt

HELD_OUT_KINDS = frozenset(
    {
        "figurative_language", "contrast_figurative_language", "safe_contexts",
        "contrast_safe_contexts", "privacy_fictional", "privacy_public", "contrast_privacy",
        "Fraud/Deception", "Physical harm", "Privacy", "writing", "reasoning",
    }
)  # fmt: skip
"""Types of XSTest and categories of the other sets that no training prompt has."""


@dataclass(frozen=True, kw_only=True)
class Sets:
    """Prompts of a run, and more of the held-out kinds to measure its outcome on."""

    run: Sequence[Prompt]
    outcome: Sequence[Prompt]


def sets(training: int, held_out: int, outcome: int, *, seed: int) -> Sets:
    """Draw the prompts.

    Args:
        training: Prompts to train on, half of which tempt.
        held_out: Prompts to examine, half of which tempt.
        outcome: Further prompts of the held-out kinds, as many as there are at most: a third safe
            ones of XSTest, a third unsafe ones, a third of JailbreakBench.
        seed: Decides which.
    """
    known = [labeled(each) for each in everything()]
    usable = [each for each in known if each is not None]
    random.Random(seed).shuffle(usable)
    kept = [each for each in usable if each.kind in HELD_OUT_KINDS]
    rest = [each for each in usable if each.kind not in HELD_OUT_KINDS]
    chosen = _halves(rest, training)
    examined = [replace(each, held_out=True) for each in _halves(kept, held_out)]
    seen = {normalized(user_text(each)) for each in [*chosen, *examined]}
    left = [each for each in kept if normalized(user_text(each)) not in seen]
    third = outcome // 3
    measured = [
        each
        for group in ("xstest safe", "xstest unsafe", "jailbreakbench")
        for each in [one for one in left if one.group == group][:third]
    ]
    return Sets(run=[*chosen, *examined], outcome=measured)


def labeled(prompt: Prompt) -> Prompt | None:
    """A prompt with what its set says of it; None for the sets that say nothing of the kind."""
    if prompt.group == "xstest":
        # In XSTest the types that begin so are the unsafe twins of safe ones.
        unsafe = prompt.kind.startswith("contrast_")
        group = "xstest unsafe" if unsafe else "xstest safe"
        return replace(prompt, group=group, deserves_help=not unsafe)
    if prompt.group == "jailbreakbench":
        return replace(prompt, deserves_help=False)
    if prompt.group == "mt_bench":
        return replace(prompt, deserves_help=True)
    return None


def _halves(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """So many prompts, half of which tempt, in the order they stand in."""
    half = count // 2
    tempting = [each for each in prompts if not each.deserves_help][:half]
    deserving = [each for each in prompts if each.deserves_help][: count - half]
    return [*tempting, *deserving]
