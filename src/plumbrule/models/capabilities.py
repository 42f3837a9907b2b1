"""What a given architecture can be trusted with in inference, found by trying and not by its name.

Whether prompts of different lengths may share a batch, whether the model's own cache can be used,
and the like; `decoding.find_capabilities` tries them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What was found safe for one model."""

    padded: bool
    """Prompts of different lengths may share a batch, padded on the left."""

    cache: str | None
    """Argument under which the model takes its cache back; None: recompute each step."""

    drops: bool
    """Finished rows can be taken out of the cache."""

    positions: bool
    """The model takes explicit positions."""

    keeps_last: bool
    """The model can be asked for the logits of the last positions alone."""

    shares: bool = False
    """It takes a cache of ours, so that a common beginning of several texts is computed once."""

    def explain(self) -> str:
        """What a report says about it."""
        cache = "with the model's cache" if self.cache else "recomputed each step (no usable cache)"
        shared = ", common beginnings computed once" if self.shares else ""
        return f"{'padded' if self.padded else 'equal-length'} batches, {cache}{shared}"
