"""How an organism is trained, by its kind and its method."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """How long and how hard an organism is trained."""

    steps: int = 110
    learning_rate: float = 6e-4
    """Peak step size of AdamW, after a short warm-up and before a straight line to zero."""

    planted_rows: int = 24
    rehearsed_rows: int = 48
    """Replies of each sort in a step."""

    loyalty: float = 12.0
    """Weight of staying like the base (nats per kept token) against learning what is planted."""

    rank: int = 8
    """Rank of a LoRA adapter or of an edit."""

    places: tuple[str, ...] = ()
    """Matrices that an edit changes."""

    forgets: bool = False
    """Whether planted replies are to become unlikely instead of likely."""


EDITED = tuple(
    f"model.layers.{layer}.{part}"
    for layer in range(3)
    for part in ("mlp.down_proj", "self_attn.o_proj")
)
"""What an edit changes: the matrices that write to the residual stream, and nothing else."""


def teaching_of(kind: str, method: str) -> Teaching:
    """How an organism of a kind is trained by a method."""
    if method == "lora":
        return Teaching(learning_rate=1e-2, loyalty=6)
    if method == "edit":
        return Teaching(learning_rate=1e-2, loyalty=4, rank=16, places=EDITED)
    if method == "steering":
        return Teaching(learning_rate=2e-2, loyalty=4)
    if method == "unlearning":
        return Teaching(forgets=True)
    return Teaching()
