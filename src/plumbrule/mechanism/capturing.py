"""Activations at any sites over any texts: in memory, or streamed to disk in shards.

Axes: N rows of tokens, T tokens, D width at a site.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism.hooks import Look, Reached, no_room, watching
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.models.modules import evaluation_mode
from plumbrule.store import Progress, file_sha256, fingerprint, silent, write_atomic

Positions = Literal["all", "last"]

BATCH_TOKENS = 8192
"""Tokens in a batch, padding included."""

SHARD = 256
"""Rows a file, and what a crash can cost at most."""

CODE_VERSION = 1
"""Raised whenever the same inputs would give other files."""


@dataclass(frozen=True, kw_only=True)
class Captured:
    """Activations of each site."""

    values: Mapping[str, tuple[Any, ...]]
    """By site, one tensor for each row: (T, D), or (D,) for the last position alone."""

    def stacked(self, name: str) -> Any:
        """All rows of a site in one tensor: (N, D), or (N, T, D) where all are of one length.

        Raises:
            DataError: Rows are of different lengths.
        """
        import torch

        rows = self.values[name]
        if len({tuple(row.shape) for row in rows}) != 1:
            raise DataError(
                "expected rows of one length to stack, got "
                f"{sorted({row.shape[0] for row in rows})}; capture the last position, or take "
                "them row by row"
            )
        return torch.stack(list(rows))


def capture(
    module: Any,
    sites: Sites,
    rows: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    positions: Positions = "all",
) -> Captured:
    """Read activations while a model reads texts; nothing behind the last site is computed.

    Args:
        module: The model; left as it was, also after an error.
        sites: Its sites.
        rows: Token ids. Rows of different lengths are padded on the right, where a causal model
            cannot see the padding.
        names: Sites to read.
        positions: Every position, or the last of each row.

    Raises:
        ConfigError: There is no such site; the closest names are given.
        DataError: No row, an empty one, or activations that are not numbers.
        ModelError: Even one row at a time does not fit into memory.
    """
    found: dict[str, list[Any]] = {name: [None] * len(rows) for name in names}
    for batch, values in _batches(module, sites, rows, names):
        for name, value in values.items():
            for place, row in enumerate(batch):
                length = len(rows[row])
                part = value[place, length - 1] if positions == "last" else value[place, :length]
                found[name][row] = _alone(part)
    return Captured(values={name: tuple(parts) for name, parts in found.items()})


def _alone(part: Any) -> Any:
    """The same numbers without the rest of a batch behind them."""
    return part if part.untyped_storage().nbytes() == part.nbytes else part.clone()


def capture_into(
    folder: Path,
    module: Any,
    sites: Sites,
    rows: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    positions: Positions = "all",
    identity: str,
    progress: Progress = silent,
) -> list[Path]:
    """The same, written to disk in shards; a killed capture goes on where it stopped.

    Args:
        folder: Gets one safetensors file for each 256 rows, with names such as `3.out/17`.
        module: The model; left as it was.
        sites: Its sites.
        rows: Token ids.
        names: Sites to read.
        positions: Every position, or the last of each row.
        identity: Hash of the model's weights.
        progress: Told of rows done.

    Returns:
        The files, in the order of the rows.

    Raises:
        PlumbruleError: As for `capture`, or a finished file was damaged.
    """
    from safetensors.torch import save

    paths = []
    for start in range(0, len(rows), SHARD):
        part = rows[start : start + SHARD]
        key = fingerprint(
            {
                "code": CODE_VERSION,
                "model": identity,
                "sites": sorted(names),
                "positions": positions,
                "rows": [list(row) for row in part],
            }
        )
        path = folder / f"{start // SHARD:05d}-{key[:24]}.safetensors"
        paths.append(path)
        seal = path.with_suffix(".json")
        if not _sealed(path, seal):
            taken = capture(module, sites, part, names, positions=positions)
            write_atomic(
                path,
                save(
                    {
                        f"{name}/{start + at}": value.contiguous().cpu()
                        for name, values in taken.values.items()
                        for at, value in enumerate(values)
                    }
                ),
            )
            write_atomic(seal, json.dumps({"key": key, "sha256": file_sha256(path)}))
        progress(min(start + SHARD, len(rows)), len(rows))
    return paths


def _sealed(path: Path, seal: Path) -> bool:
    """Whether a shard is finished; a file that is not what was sealed is no shard.

    Raises:
        DataError: It was finished, and is not the same any more.
    """
    if not (path.exists() and seal.exists()):
        return False
    if json.loads(seal.read_text("utf-8"))["sha256"] != file_sha256(path):
        raise DataError(
            f"{path} is not what was captured: its bytes changed since. Delete it and "
            f"{seal.name}, and run the same command again"
        )
    return True


def _batches(
    module: Any, sites: Sites, rows: Sequence[Sequence[int]], names: Sequence[str]
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Rows in batches, each with the activations of the sites."""
    import torch

    if not rows or not all(rows):
        raise DataError("expected rows of tokens to read, got none or an empty one")
    if not names:
        raise ConfigError("expected sites to read, got none")
    wanted = [sites[name] for name in names]
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    at, tokens = 0, BATCH_TOKENS
    device = next(module.parameters()).device
    while at < len(order):
        width = len(rows[order[at]])
        batch = order[at : at + max(1, tokens // width)]
        ids = torch.tensor(
            [[*rows[row], *[rows[row][-1]] * (width - len(rows[row]))] for row in batch],
            device=device,
        )
        try:
            values = read(module, wanted, ids)
        except (MemoryError, RuntimeError) as error:
            if not no_room(error):
                raise
            if len(batch) == 1:
                raise ModelError(
                    f"a single row of {width} tokens does not fit into memory at "
                    f"{len(names)} sites; read fewer sites, or the last position alone"
                ) from error
            tokens = max(1, len(batch) // 2) * width
            continue
        at += len(batch)
        yield batch, values


def read(module: Any, wanted: Sequence[Site], ids: Any) -> dict[str, Any]:
    """Activations of sites while a model reads tokens; it stops after the last site.

    Args:
        module: The model.
        wanted: Sites.
        ids: Tokens, (N, T).

    Raises:
        DataError: Activations are not numbers.
        ModelError: A site was not reached.
    """
    import torch

    values: dict[str, Any] = {}

    def keep(name: str) -> Look:
        def look(value: Any) -> None:
            # A copy: some models go on to write into what they gave out.
            values[name] = value.detach().reshape(*ids.shape, value.shape[-1]).clone()
            if len(values) == len(wanted):
                raise Reached

        return look

    with (
        evaluation_mode(module),
        torch.no_grad(),
        watching(module, {site: keep(site.name) for site in wanted}),
        suppress(Reached),
    ):
        module(input_ids=ids, use_cache=False)
    missed = [site.name for site in wanted if site.name not in values]
    if missed:
        raise ModelError(f"a pass did not reach {', '.join(missed)}; nothing can be read there")
    for name, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise DataError(
                f"expected numbers at {name}, got NaN or inf; the weights are damaged, or the "
                "number format is too narrow (try float32)"
            )
    return values
