"""Rows of a benchmark: what was measured, against which target, and whether it was met."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from plumbrule.records import Estimate


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a benchmark's table."""

    measure: str
    target: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    n: int
    met: bool | None
    """None for a number without a target."""

    seeds: Sequence[int]


def with_earlier(rows: Sequence[Row], path: Path | None) -> list[Row]:
    """The rows of a file in their order, those that were measured again in place of the old."""
    known = [] if path is None or not path.exists() else json.loads(path.read_text("utf-8"))
    merged = {row.measure: row for row in (*(Row(**each) for each in known), *rows)}
    return list(merged.values())


def single(
    measure: str,
    value: float,
    *,
    unit: str,
    n: int,
    seeds: Sequence[int] = (0,),
    target: str = "",
    met: bool | None = None,
) -> Row:
    """A row of one number without a spread."""
    return Row(
        measure=measure,
        target=target,
        value=value,
        low=None,
        high=None,
        unit=unit,
        n=n,
        met=met,
        seeds=list(seeds),
    )


def estimated(
    measure: str,
    estimate: Estimate,
    *,
    seeds: Sequence[int] = (0,),
    target: str = "",
    met: bool | None = None,
    unit: str | None = None,
) -> Row:
    """A row of an estimate with its interval, in the estimate's unit unless another is named."""
    return Row(
        measure=measure,
        target=target,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        unit=unit or estimate.unit,
        n=estimate.n,
        met=met,
        seeds=list(seeds),
    )


def spread(
    measure: str,
    values: Sequence[float],
    *,
    unit: str,
    seeds: Sequence[int],
    target: str = "",
    met: Callable[[float], bool] | None = None,
    worst: Callable[[Sequence[float]], float] | None = None,
) -> Row:
    """A row of repeated measurements: the median with the smallest and the largest.

    Args:
        measure: What was measured.
        values: One a repetition.
        unit: Of the values.
        seeds: Of the repetitions.
        target: In words.
        met: Whether a value meets the target.
        worst: Which value is held against the target; the median where not given.
    """
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    judged = worst(values) if worst else middle
    return Row(
        measure=measure,
        target=target,
        value=middle,
        low=ordered[0],
        high=ordered[-1],
        unit=unit,
        n=len(values),
        met=None if met is None else met(judged),
        seeds=list(seeds),
    )


def show(title: str, rows: Sequence[Row], path: Path | None) -> None:
    """Print rows as a table, and write them as JSON.

    Raises:
        ValueError: Two rows have one name: whoever reads or merges them would lose one.
    """
    names = Counter(row.measure for row in rows)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ValueError(f"rows of a table need names of their own; twice there: {twice}")
    table = Table(title=title)
    for name in ("measure", "target", "value", "low", "high", "unit", "n", "met"):
        table.add_column(name, justify="left" if name in ("measure", "target") else "right")
    for row in rows:
        table.add_row(
            row.measure,
            row.target,
            *[_number(each) for each in (row.value, row.low, row.high)],
            row.unit,
            str(row.n),
            {True: "yes", False: "NO", None: ""}[row.met],
        )
    Console(width=170).print(table)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
