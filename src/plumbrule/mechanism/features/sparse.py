"""Activations of which few are above zero, and products with them that touch only those.

Everything here is exact: the same entries that a sort of all would find, and the same sums that a
product with the zeros written out would give, up to rounding.

Axes: B rows of a batch, M latents, E entries above zero, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ROWS = 256
"""Rows whose activations are held at once: they are looked at again while still in the cache."""

BLOCKS = (32, 16, 8)
"""Neighbors of which only the largest is looked at first."""

Group = tuple[int, int]
"""Latents from one number up to another."""


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The activations above zero of a batch, row after row and ascending within a row."""

    starts: Any
    """Where each row begins among the entries, and behind the last where they end, (B + 1,)."""

    latents: Any
    """Which latent, (E,)."""

    values: Any
    """How active, (E,)."""

    @property
    def rows(self) -> Any:
        """The row of each entry, (E,)."""
        import torch

        counts = self.starts.diff()
        return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)

    def within(self, group: Group) -> "Codes":
        """Only the entries of some latents, numbered from the first of them."""
        import torch

        low, high = group
        kept = (self.latents >= low) & (self.latents < high)
        if bool(kept.all()):
            return self if low == 0 else _codes(self.starts, self.latents - low, self.values)
        counts = torch.zeros(len(self.starts) - 1, dtype=torch.long, device=self.values.device)
        counts.index_add_(0, self.rows[kept], torch.ones_like(self.latents[kept]))
        return _codes(_starts(counts), self.latents[kept] - low, self.values[kept])


def encode_top(inputs: Any, weight: Any, bias: Any, count: int) -> Codes:
    """The largest activations of each row that are above zero.

    Args:
        inputs: (B, D).
        weight: (M, D).
        bias: (M,).
        count: Largest entries of a row.
    """
    import torch

    counts, latents, values = [], [], []
    for part in inputs.split(ROWS):
        found = top_of_rows(torch.addmm(bias, part, weight.mT), count)
        counts.append(found.starts.diff())
        latents.append(found.latents)
        values.append(found.values)
    return _codes(_starts(torch.cat(counts)), torch.cat(latents), torch.cat(values))


def top_of_rows(before: Any, count: int) -> Codes:
    """The largest numbers of each row that are above zero.

    Args:
        before: Activations before any is left out, (B, M).
        count: Largest entries of a row.
    """
    found = _fast_rows(before, count) if before.device.type == "cpu" else None
    if found is None:
        values, latents = before.topk(min(count, before.shape[1]), dim=1, sorted=False)
        latents, order = latents.sort(dim=1)
        values = values.gather(1, order)
        width = values.shape[1]
        found = _flat(
            before,
            (np.arange(before.shape[0] + 1) * width),
            latents.reshape(-1),
            values.reshape(-1),
        )
    return _above_zero(found)


def top_of_batch(before: Any, count: int) -> Codes:
    """The largest numbers above zero of a whole batch, on average so many a row.

    Args:
        before: Activations before any is left out, (B, M).
        count: Entries a row, on average.
    """
    import torch

    rows, width = before.shape
    wanted = min(count * rows, rows * width)
    bound = _batch_bound(before, wanted) if before.device.type == "cpu" else None
    if bound is None:
        least = float(before.reshape(-1).topk(wanted, sorted=False).values.min())
        return _where(before, (before >= least) & (before > 0))
    # What reaches the bound is at least what is wanted and little more, and is sorted exactly.
    table = before.numpy().reshape(-1)
    places = np.flatnonzero(table >= bound)
    values = table[places]
    least = np.partition(values, len(values) - wanted)[len(values) - wanted]
    kept = (values >= least) & (values > 0)
    row = places[kept] // width
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    latents = torch.from_numpy(places[kept] - row * width)
    return _flat(before, starts, latents, torch.from_numpy(values[kept]))


def above(before: Any, thresholds: Any) -> Codes:
    """Numbers above zero and above the threshold of their latent.

    Args:
        before: Activations before any is left out, (B, M).
        thresholds: (M,).
    """
    return _where(before, before > thresholds.clamp(min=0).to(before.device))


def decoded(codes: Codes, weight: Any) -> Any:
    """What activations write: each row's sum of the latents' vectors, (B, D).

    Args:
        codes: Activations.
        weight: One vector per latent, (M, D).
    """
    return _bags(codes.latents, weight, codes.starts[:-1], codes.values)


def value_slopes(codes: Codes, weight: Any, slopes: Any) -> Any:
    """How what is written changes with each activation, along given slopes, (E,).

    Args:
        codes: Activations.
        weight: One vector per latent, (M, D).
        slopes: Of a loss, along what is written, (B, D).
    """
    import torch

    if not len(codes.values):
        return codes.values
    values = codes.values.detach().clone().requires_grad_()
    with torch.enable_grad():
        written = _bags(codes.latents, weight, codes.starts[:-1], values)
        (found,) = torch.autograd.grad(written, values, slopes)
    return found


@dataclass(frozen=True, kw_only=True)
class ByLatent:
    """The entries of a batch, latent after latent."""

    starts: Sequence[int]
    """Where each latent begins among the entries, and behind the last where they end."""

    offsets: Any
    """The same without the last, (M,)."""

    rows: Any
    """The row of each entry, (E,)."""

    order: Any
    """Which entry of the batch each is, (E,)."""

    def sums(self, weights: Any, vectors: Any, group: Group) -> Any:
        """For each of some latents the weighted sum of its rows' vectors.

        Args:
            weights: One an entry, in this order, (E,).
            vectors: One per row of the batch, (B, D).
            group: Latents from one number up to another.
        """
        low, high = group
        first, last = self.starts[low], self.starts[high]
        return _bags(
            self.rows[first:last],
            vectors,
            self.offsets[low:high] - first,
            weights[first:last],
        )


def by_latent(codes: Codes, latents: int) -> ByLatent:
    """Order the entries of a batch by their latent.

    Args:
        codes: Activations.
        latents: M.
    """
    import torch

    order = codes.latents.argsort(stable=True)
    starts = _starts(torch.bincount(codes.latents, minlength=latents))
    return ByLatent(
        starts=starts.tolist(), offsets=starts[:-1], rows=codes.rows[order], order=order
    )


def dense(codes: Codes, latents: int) -> Any:
    """The same activations with the zeros written out, (B, M)."""
    import torch

    rows = len(codes.starts) - 1
    table = torch.zeros(rows, latents, dtype=codes.values.dtype, device=codes.values.device)
    table[codes.rows, codes.latents] = codes.values
    return table


def _where(before: Any, kept: Any) -> Codes:
    """The numbers at the places that are kept."""
    import torch

    width = before.shape[1]
    if before.device.type == "cpu":
        places = torch.from_numpy(np.flatnonzero(kept.numpy()))
    else:
        places = kept.reshape(-1).nonzero()[:, 0]
    rows = places.div(width, rounding_mode="floor")
    counts = torch.bincount(rows, minlength=before.shape[0])
    return _codes(_starts(counts), places - rows * width, before.reshape(-1)[places])


def _bags(places: Any, table: Any, offsets: Any, weights: Any) -> Any:
    import torch

    if not len(places):
        return table.new_zeros(len(offsets), table.shape[1])
    return torch.nn.functional.embedding_bag(
        places, table, offsets, mode="sum", per_sample_weights=weights
    )


def _codes(starts: Any, latents: Any, values: Any) -> Codes:
    return Codes(starts=starts, latents=latents, values=values)


def _starts(counts: Any) -> Any:
    import torch

    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def _flat(like: Any, starts: Any, latents: Any, values: Any) -> Codes:
    import torch

    return _codes(torch.as_tensor(starts, device=like.device), latents, values)


def _above_zero(codes: Codes) -> Codes:
    import torch

    kept = codes.values > 0
    if bool(kept.all()):
        return codes
    counts = torch.zeros(len(codes.starts) - 1, dtype=torch.long, device=codes.values.device)
    counts.index_add_(0, codes.rows[kept], torch.ones_like(codes.latents[kept]))
    return _codes(_starts(counts), codes.latents[kept], codes.values[kept])


def _fast_rows(before: Any, count: int) -> Codes | None:
    """The largest of each row, found among the largest of blocks; None where that does not pay.

    The numbers that reach the `count`-th largest block maximum are at least `count`, and few more:
    each of that many blocks holds one.
    """
    rows, width = before.shape
    block = next((size for size in BLOCKS if width % size == 0 and width // size >= 2 * count), 0)
    if not block or not before.is_contiguous():
        return None
    import torch

    blocks = width // block
    largest = before.view(rows, blocks, block).amax(-1).numpy()
    bound = np.partition(largest, blocks - count, axis=1)[:, blocks - count]
    table = before.numpy()
    places = np.flatnonzero(table >= bound[:, None])
    row = places // width
    values = table.reshape(-1)[places]
    counts = np.bincount(row, minlength=rows)
    most = int(counts.max())
    if counts.min() < count or most > 8 * count:  # not numbers, or nearly all alike
        return None
    padded = np.full((rows, most), -np.inf, dtype=values.dtype)
    padded[row, np.arange(len(row)) - (np.cumsum(counts) - counts)[row]] = values
    last = np.partition(padded, most - count, axis=1)[:, most - count]
    kept = values >= last[row]
    if int(kept.sum()) != rows * count:  # some are equal, and which of them stay has to be chosen
        return None
    return _flat(
        before,
        np.arange(rows + 1) * count,
        torch.from_numpy(places[kept] - row[kept] * width),
        torch.from_numpy(values[kept]),
    )


def _batch_bound(before: Any, wanted: int) -> float | None:
    """A number that at least as many reach as are wanted, and few more; None where none is."""
    rows, width = before.shape
    block = next((size for size in BLOCKS if width % size == 0), 0)
    if not block or not before.is_contiguous() or wanted * 2 > rows * width // block:
        return None
    largest = before.view(rows, width // block, block).amax(-1).reshape(-1).numpy()
    bound = float(np.partition(largest, len(largest) - wanted)[len(largest) - wanted])
    return bound if np.isfinite(bound) else None
