"""A key-value cache that grows in place, whose rows can be copied, dropped and put together.

The library's own concatenates at every token, which copies all of it each time. Layers with a
sliding window are kept whole here: the model's mask, not the cache, says how far a token looks.

Axes: R rows, H heads, T tokens, D numbers a head.
"""

from functools import partial
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

_STEP = 64  # tokens by which a full buffer grows, so that it is copied once in so many


class _Layer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, in buffers with room to spare."""

    def __init__(self, room: int = 0) -> None:
        super().__init__()
        self.room = room
        self.length = 0
        self.buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *given: Any, **named: Any
    ) -> tuple[Float[Tensor, "R H T D"], Float[Tensor, "R H T D"]]:
        """Add the newest tokens, and give all."""
        start, self.length = self.length, self.length + key_states.shape[-2]
        if self.buffers is None or self.length > self.buffers[0].shape[-2]:
            self._grow(key_states, value_states)
        assert self.buffers is not None  # for mypy: just made
        for buffer, fresh in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self.length] = fresh
        return self.view()

    def view(self) -> tuple[Float[Tensor, "R H T D"], Float[Tensor, "R H T D"]]:
        """Keys and values so far."""
        assert self.buffers is not None
        keys, values = self.buffers
        return keys[:, :, : self.length], values[:, :, : self.length]

    def get_seq_length(self) -> int:
        """Tokens so far."""
        return self.length

    def reorder_cache(self, beam_idx: Int[Tensor, " kept"]) -> None:
        """Go on with these rows alone; a row may come several times."""
        if self.buffers is not None:
            self.take(beam_idx, self.buffers[0].shape[2])

    def take(self, rows: Int[Tensor, " kept"], size: int) -> None:
        """The same, with room for `size` tokens."""
        made = []
        for old in self.buffers or ():
            new = old.new_empty(len(rows), old.shape[1], max(size, self.length), old.shape[3])
            new[:, :, : self.length] = old[rows, :, : self.length]
            made.append(new)
        self.buffers = (made[0], made[1])

    def _grow(self, keys: Tensor, values: Tensor) -> None:
        size = max(self.length, min(self.room, self.length + _STEP))
        made = []
        for which, like in enumerate((keys, values)):
            new = like.new_empty(like.shape[0], like.shape[1], size, like.shape[3])
            if self.buffers is not None:
                old = self.buffers[which]
                new[:, :, : old.shape[2]] = old
            made.append(new)
        self.buffers = (made[0], made[1])
        self.is_initialized = True


class KeyValues(Cache):  # type: ignore[misc]
    """What a model remembers of a batch; it goes in and out under `past_key_values`."""

    def __init__(self, room: int = 0) -> None:
        """Make an empty one.

        Args:
            room: Tokens that a row will have in the end, where known; no more are set aside.
        """
        super().__init__(layer_class_to_replicate=_Layer)
        self.room = room
        # Names itself nowhere: gigabytes in a cycle would wait for the collector of cycles.
        self.layer_class_to_replicate = partial(_Layer, room)

    def copied(self, rows: Int[Tensor, " kept"], *, room: int) -> "KeyValues":
        """These rows as a cache of their own; a row may come several times."""
        new = KeyValues(room)
        for layer in self.layers:
            fresh = _Layer(room)
            fresh.length, fresh.buffers, fresh.is_initialized = layer.length, layer.buffers, True
            fresh.take(rows, room)
            new.layers.append(fresh)
        return new

    def place(self, source: "KeyValues", places: list[tuple[int, int, int]], rows: int) -> None:
        """Copy whole rows in, each to end where this cache ends.

        Args:
            source: Where they are.
            places: For each of its rows, in order: the row here, and its first and last column
                here; they are its first columns there.
            rows: Rows here.
        """
        end = max(last for _, _, last in places)
        for index, layer in enumerate(source.layers):
            if index == len(self.layers):
                self.layers.append(_Layer(self.room))
            mine = self.layers[index]
            if mine.buffers is None:
                mine.length = end
                mine._grow(*(each.new_empty(rows, *each.shape[1:]) for each in layer.view()))
                # Columns of padding are masked, but what is masked must still be a number.
                for each in mine.view():
                    each.zero_()
            for to, whence in zip(mine.view(), layer.view(), strict=True):
                for row, (place, first, last) in enumerate(places):
                    to[place, :, first:last] = whence[row, :, : last - first]
