"""Several processes that train one model together: who each is, and how they agree.

`accelerate launch` starts them and says in their environment which is which. The first keeps the
folder, the checkpoints and the result; the others compute.
"""

import os
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")

_SAID = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What every launcher puts into the environment."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that train."""

    number: int = 0
    """From 0."""

    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one keeps the folder."""
        return self.number == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.several:
            import torch.distributed

            torch.distributed.barrier()

    def agreed(self, value: Value) -> Value:
        """What the first says, whatever the others would have said."""
        if not self.several:
            return value
        import torch.distributed

        said = [value]
        torch.distributed.broadcast_object_list(said, src=0)
        return said[0]


def processes() -> Processes:
    """Who trains: this process alone, unless a launcher started several."""
    if any(name not in os.environ for name in _SAID) or os.environ["WORLD_SIZE"] == "1":
        return Processes()
    from accelerate import PartialState

    from plumbrule.training.reproducibility import on_cuda

    state = PartialState(cpu=not on_cuda())
    return Processes(number=state.process_index, count=state.num_processes)
