"""Activation patching: which activations of one prompt bring its answer into another's pass.

The corrupted prompt is run once for each cell, with the clean prompt's activation in that cell.
Cells of one layer share a batch, and layers before it are not computed again: nothing has changed
there.

Axes: C cells, R rows of a batch, T tokens, D width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Float

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism.capturing import read
from plumbrule.mechanism.hooks import last_logits, layer_outputs, no_room, skipping, watching
from plumbrule.mechanism.sites import Site, Sites
from plumbrule.models.modules import evaluation_mode

if TYPE_CHECKING:
    import pandas as pd

Item = TypeVar("Item")

Metric = Callable[[Any], Any]
"""Takes the logits after the last token, (R, V); gives one number per row, (R,)."""

BATCH_TOKENS = 4096
"""Tokens in a batch."""


@dataclass(frozen=True, kw_only=True)
class PatchCell:
    """One activation to exchange."""

    site: str
    position: int | None = None
    """Token; None: all of them."""

    head: int | None = None
    """One head, at a site that holds heads side by side; None: all of it."""


@dataclass(frozen=True, kw_only=True)
class Patched:
    """The result of a patching sweep."""

    cells: tuple[PatchCell, ...]
    values: Float[np.ndarray, " C"]
    """The metric with each cell exchanged."""

    clean: float
    corrupted: float

    @property
    def recovered(self) -> Float[np.ndarray, " C"]:
        """Share of the difference between both prompts that each cell brings back.

        Raises:
            DataError: The metric is the same on both prompts, so that there is nothing to bring.
        """
        if self.clean == self.corrupted:
            raise DataError(
                f"the metric is {self.clean:g} on the clean and on the corrupted prompt; choose "
                "prompts that it tells apart"
            )
        found: np.ndarray = (self.values - self.corrupted) / (self.clean - self.corrupted)
        return found

    def to_dataframe(self) -> "pd.DataFrame":
        """A row for each cell: where it is, the metric with it exchanged, the share brought back.

        Raises:
            DataError: As for `recovered`.
        """
        import pandas as pd

        columns = ("site", "position", "head")
        rows = [{name: getattr(cell, name) for name in columns} for cell in self.cells]
        return pd.DataFrame(rows, columns=columns, dtype=object).assign(
            value=self.values, recovered=self.recovered
        )


def logit_difference(good: int, bad: int) -> Metric:
    """How much more a model leans to one next token than to another, in logits."""
    return lambda logits: logits[:, good] - logits[:, bad]


def cells_of(
    sites: Sites,
    kinds: Sequence[str],
    *,
    positions: Sequence[int] | None = None,
    by_head: bool = False,
) -> list[PatchCell]:
    """Every cell of some kinds of site, layer by layer.

    Args:
        sites: A model's sites.
        kinds: Such as `out`, `attn`, `mlp`, `heads`.
        positions: Tokens to exchange one at a time; None: all of them at once.
        by_head: Exchange heads one at a time, where a site has them.
    """
    found = []
    for kind in kinds:
        names = sites.named(kind)
        if not names:
            sites[kind]  # says which there are
            names = (kind,)
        for name in names:
            heads: Sequence[int | None] = [None]
            if by_head and sites[name].heads:
                heads = range(sites[name].heads or 0)
            found += [
                PatchCell(site=name, position=position, head=head)
                for head in heads
                for position in (positions if positions is not None else [None])
            ]
    return found


def patch(
    module: Any,
    sites: Sites,
    clean: Sequence[int],
    corrupted: Sequence[int],
    cells: Sequence[PatchCell],
    metric: Metric,
) -> Patched:
    """Exchange each cell in turn, and measure what the model then says.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        clean: Tokens of the prompt whose activations are brought in.
        corrupted: Tokens of the prompt that is run; as many.
        cells: What to exchange, one at a time.
        metric: What to measure after the last token.

    Raises:
        ConfigError: A cell does not exist.
        DataError: The prompts differ in length, are padded or hold no tokens, nothing is to be
            exchanged, or activations or the metric are no numbers.
        ModelError: The model is spread over devices, or a single pass does not fit into memory.

    Source:
        Vig et al. (2020); Meng et al. (2022); best practices of Zhang & Nanda (2024), arXiv
        2309.16042. Batched by layer and restarted there; ours.
    """
    import torch

    check_device(module)
    check_prompts(module, sites, clean, corrupted)
    if not cells:
        raise DataError("expected cells to exchange, got none")
    for cell in cells:
        _check(sites, cell, len(clean))
    device = next(module.parameters()).device
    ids = torch.tensor([list(corrupted)], device=device)
    with evaluation_mode(module), torch.no_grad():
        wanted = [sites[name] for name in dict.fromkeys(cell.site for cell in cells)]
        there = torch.tensor([list(clean)], device=device)
        source = _in_room(lambda: read(module, wanted, there))
        paths = [layer.path for layer in sites.layers]
        given, base = _in_room(lambda: layer_outputs(module, paths, ids))
        values = np.zeros(len(cells))
        for number, rows in _by_layer(sites, cells).items():
            held = {layer.path: given[layer.path] for layer in sites.layers[:number]}

            def run(batch: list[int], held: Mapping[str, Any] = held) -> Any:
                part = [cells[row] for row in batch]
                with skipping(module, held), watching(module, _exchange(sites, part, source)):
                    logits = last_logits(
                        module, ids.expand(len(part), -1), watched=[cell.site for cell in part]
                    )
                return metric(logits).double().cpu().numpy()

            for batch, measured in halving(rows, max(1, BATCH_TOKENS // len(corrupted)), run):
                values[batch] = measured
        plain = _in_room(lambda: last_logits(module, there))
        ends = [float(metric(logits)[0]) for logits in (plain, base)]
        check_numbers(np.array([*values, *ends]))
        return Patched(cells=tuple(cells), values=values, clean=ends[0], corrupted=ends[1])


def _check(sites: Sites, cell: PatchCell, tokens: int) -> None:
    site = sites[cell.site]
    if cell.position is not None and not -tokens <= cell.position < tokens:
        raise ConfigError(f"expected a position among {tokens} tokens, got {cell.position}")
    if cell.head is not None and not (site.heads and 0 <= cell.head < site.heads):
        raise ConfigError(
            f"expected a head of {cell.site}, which has {site.heads or 'none'}, got {cell.head}"
        )


def _by_layer(sites: Sites, cells: Sequence[PatchCell]) -> Mapping[int, list[int]]:
    """Rows of cells by the first layer that must be computed again."""
    groups: dict[int, list[int]] = {}
    for row, cell in enumerate(cells):
        number, _, kind = cell.site.rpartition(".")
        first = int(number) if number else (len(sites.layers) if kind == "final" else 0)
        groups.setdefault(first, []).append(row)
    return groups


def halving(
    items: Sequence[Item], size: int, run: Callable[[list[Item]], Any]
) -> Iterator[tuple[list[Item], Any]]:
    """Run over items in batches, halved for as long as one does not fit into memory.

    Args:
        items: What is run over.
        size: Most items in a batch.
        run: Takes a batch.

    Raises:
        ModelError: Even one item does not fit.
    """
    at = 0
    while at < len(items):
        batch = list(items[at : at + size])
        try:
            found = run(batch)
        except (MemoryError, RuntimeError) as error:
            if not no_room(error):
                raise
            if len(batch) == 1:
                raise ModelError(
                    "a pass over a single prompt does not fit into memory; take shorter prompts, "
                    "or half precision"
                ) from error
            size = len(batch) // 2
            continue
        at += len(batch)
        yield batch, found


def _in_room(run: Callable[[], Any]) -> Any:
    """Run a single pass, and say what it means where it does not fit into memory."""
    return next(halving([None], 1, lambda _: run()))[1]


def check_numbers(values: Float[np.ndarray, "..."]) -> None:
    """Refuse a metric that is no number.

    Raises:
        DataError: It is not.
    """
    if not np.isfinite(values).all():
        raise DataError(
            "expected numbers from the metric, got NaN or inf; the weights are damaged, the number "
            "format is too narrow (try float32), or the metric divides by zero"
        )


def check_prompts(
    module: Any, sites: Sites, clean: Sequence[int], corrupted: Sequence[int]
) -> None:
    """Refuse prompts whose positions are no counterparts.

    Raises:
        DataError: The prompts differ in length, are padded, or hold what is no token.
    """
    if len(clean) != len(corrupted) or not clean:
        raise DataError(
            "expected two prompts of as many tokens, so that each position has its counterpart; "
            f"got {len(clean)} and {len(corrupted)}"
        )
    padding = getattr(module.config, "pad_token_id", None)
    for name, tokens in (("clean", clean), ("corrupted", corrupted)):
        check_tokens(sites, tokens, f"the {name} prompt")
        # A single one may be how every text begins.
        sides = [
            side
            for side, ends in (("left", tokens[:2]), ("right", tokens[-2:]))
            if padding is not None and list(ends) == [padding] * 2
        ]
        if sides:
            raise DataError(
                f"expected prompts without padding, the {name} one is padded with token {padding} "
                f"on the {sides[0]}; nothing hides padding from attention here, so take it off"
            )


def check_device(module: Any) -> None:
    """Refuse a model that is not in one place.

    Raises:
        ModelError: It is spread over devices.
    """
    devices = sorted({str(one.device) for one in module.parameters()})
    if len(devices) != 1:
        raise ModelError(
            f"expected a model on one device, {type(module).__name__} is on "
            f"{', '.join(devices) or 'none'}; load it without a device map"
        )


def check_tokens(sites: Sites, tokens: Sequence[int], name: str) -> None:
    """Refuse numbers that are no tokens.

    Raises:
        DataError: One is not a whole number from 0 up to the size of the vocabulary.
    """
    for token in tokens:
        if isinstance(token, bool) or not hasattr(token, "__index__"):
            raise DataError(f"expected tokens in {name}, got {token!r}")
        if not 0 <= token < sites.vocabulary:
            raise DataError(
                f"expected tokens from 0 to {sites.vocabulary - 1} in {name}, got {token}"
            )


def _exchange(
    sites: Sites, cells: Sequence[PatchCell], source: Mapping[str, Any]
) -> Mapping[Site, Callable[[Any], Any]]:
    """For each site, a look that puts each row's cell in."""

    def look(name: str) -> Callable[[Any], Any]:
        site, clean = sites[name], source[name][0]

        def exchange(value: Any) -> Any:
            shape = value.shape
            new = value.reshape(len(cells), -1, shape[-1]).clone()
            for row, cell in enumerate(cells):
                if cell.site != name:
                    continue
                here: Any = slice(None) if cell.position is None else cell.position
                part: Any = slice(None)
                if cell.head is not None and site.heads:
                    width = shape[-1] // site.heads
                    part = slice(cell.head * width, (cell.head + 1) * width)
                new[row, here, part] = clean[here, part]
            return new.reshape(shape)

        return exchange

    return {sites[name]: look(name) for name in dict.fromkeys(cell.site for cell in cells)}
