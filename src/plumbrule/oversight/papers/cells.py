"""Reads the number that stands in a cell of a table."""

import re
from dataclasses import dataclass

from plumbrule.oversight.papers.document import Cell
from plumbrule.oversight.papers.numerals import NUMBER, Printed, read_number

_CELL = re.compile(
    rf"[$€£]?\s*(?P<first>{NUMBER})\s*(?P<percent>%?)\s*(?:[(\[]\s*(?P<second>{NUMBER})\s*%?\s*[)\]])?\s*[*†‡§]*"
)


@dataclass(frozen=True)
class CellNumber:
    """A cell that holds a number, with a second one in brackets where there is one."""

    cell: Cell
    first: Printed
    second: Printed | None
    percent: bool


def cell_number(cell: Cell) -> CellNumber | None:
    """Read a cell such as `45`, `37.5%` or `45 (37.5)`; None for a cell that holds more or less."""
    match = _CELL.fullmatch(cell.text)
    if match is None:
        return None
    first = read_number(match["first"])
    second = read_number(match["second"]) if match["second"] else None
    if first is None:
        return None
    return CellNumber(cell, first, second, bool(match["percent"]))
