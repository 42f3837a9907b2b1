"""How far a model seems to move from itself: what rounding, batching or a server alone do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plumbrule.behavior.pair import Draft, unlike
from plumbrule.behavior.recording import Recorder
from plumbrule.errors import ModelError
from plumbrule.records import Prompt, strict
from plumbrule.store import derive_seed


@strict
@dataclass(frozen=True, kw_only=True)
class Noise:
    """The floor of a comparison: movement between a model and itself."""

    floor: float
    """Mean movement plus two standard errors, from 0 to 1."""

    largest: float
    """Largest movement of one reply."""

    replies: int
    how: str
    """What was done to the model between the two looks."""


def measure_noise(recorder: Recorder, prompts: Sequence[Prompt]) -> Noise:
    """Compare the base with itself, as different in everything but weights as can be arranged.

    Weights at hand: the same replies weighed in one batch and one at a time. An endpoint: the
    same prompts asked three times, and the movement of `Pair.ask` with the base as its own twin.
    Each time with seeds of its own, because few servers heed them, and a cache would repeat itself.

    Args:
        recorder: Draws and accounts.
        prompts: A few prompts; never those that hypotheses are tested on.

    Raises:
        ModelError: The base replied to none of them.
    """
    seeds = [derive_seed(recorder.seed, "noise", prompt.id) for prompt in prompts]
    pair = recorder.pair
    if pair.local is None:
        rounds = [
            pair.draw(pair.base, prompts, [derive_seed(seed, name) for seed in seeds])
            for name in ("first", "twin", "again")
        ]
        moved = [
            max(0.0, unlike(first.text, twin.text) - unlike(first.text, again.text))
            for first, twin, again in zip(*rounds, strict=True)
            if pair.answered(first, twin, again)
        ]
        if not moved:
            raise ModelError(
                f"expected replies from {pair.base.spec}, it gave none to {len(prompts)} prompts; "
                "see that it answers such requests at all"
            )
        return _noise(moved, "the base asked three times, as its own twin and yardstick")
    base, _ = pair.local
    read = base.chat.prompts([prompt.dialogue for prompt in prompts])
    pair.texts += len(prompts)
    drawn = base.sample_tokens(read, sampling=pair.sampling, seeds=seeds)
    together = base.score_tokens(read, [one.tokens for one in drawn])
    alone = [
        base.score_tokens([text], [one.tokens])[0] for text, one in zip(read, drawn, strict=True)
    ]
    moved = [
        Draft(
            prompt_id=prompt.id,
            dialogue=prompt.dialogue,
            seed=seed,
            reply="",
            base_log_prob=float(sum(before)),
            tuned_log_prob=float(sum(after)),
        ).movement
        for prompt, seed, before, after in zip(prompts, seeds, together, alone, strict=True)
    ]
    return _noise(moved, "the base's replies weighed in one batch and one at a time")


def _noise(moved: Sequence[float], how: str) -> Noise:
    values = np.array(moved)
    return Noise(
        floor=min(1.0, float(values.mean() + 2 * values.std() / np.sqrt(len(values)))),
        largest=float(values.max()),
        replies=len(values),
        how=how,
    )
