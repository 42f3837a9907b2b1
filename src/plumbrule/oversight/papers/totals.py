# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks that the totals and percentages of a table follow from its cells."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from plumbrule.oversight.papers.document import CheckResult, Flaw, Paper, Table, TableCell
from plumbrule.oversight.papers.quantities import CellNumber, PrintedNumber, cell_number

_TOTAL = re.compile(
    r"(?:(?:grand|column|row|overall)\s+)?(?:total|sum|all|overall)s?\b(?!\s*score)", re.I
)
_SUBTOTAL = re.compile(r"\bsub-?totals?\b", re.I)
_EMPTY = frozenset({"", "-", "–", "—", "−", "n/a", "na"})
_PERCENT = re.compile(r"%|\bper ?cent(?:age)?\b|\bshare\b", re.I)
_NOT_ADDED = re.compile(
    r"(?i:\b(?:means?|sds?|se|sem|medians?|mdn|iqr|ranges?|min|max|ratios?|rates?|ages?|years?"
    r"|scores?|averages?|avg|ci|or|rr|hr|beta|index|df|alpha|accuracy|auc|correlations?|per|bmi"
    r"|weight|height|std|deviations?|variance|probability|loss|error|precision|recall|f1|bleu)\b)"
    r"|\b[MFptrzdgb]\b|[βαχη²%]"
)
_COUNTS = re.compile(
    r"^\s*(?:n|no\.?|counts?|frequency|frequencies|number(?: of \w+)?|cases)\b", re.I
)
_COUNT_AND_PERCENT = re.compile(r"\bn\b\s*[,(/]\s*%|%\s*\)?$|no\.\s*\(%\)", re.I)
_HEAD_N = re.compile(r"\bn\s*=\s*(\d[\d,]*)", re.I)
_SCALED = re.compile(r"\b(?:thousands?|millions?|billions?|000s?|rounded)\b|\([kKmM]\)", re.I)
_OVERLAP = re.compile(
    r"multiple (?:response|answer|choice|option)s?|more than one|not mutually exclusive|overlap"
    r"|may not (?:sum|add)|do not (?:sum|add)|check all|several answers",
    re.I,
)

NEAR_100 = 3
"""Percentage points from 100 within which a column without a total is taken for shares."""


def check_tables(paper: Paper) -> CheckResult:
    """Check sums of columns and rows, sums of percentages, and percentages of counts.

    Kinds: `table_total`, `percentage_total`, `percentage_of_count`. A table says itself whether
    its columns are sums: where no column or too few rows are, nothing is claimed.
    """
    checked, flaws, left = 0, list[Flaw](), list[str]()
    for table in paper.tables:
        name = table.label or f"the table at character {table.start}"
        around = paper.text[max(0, table.start - 300) : table.end + 300]
        if _OVERLAP.search(around):
            left.append(f"sums of {name}: its categories overlap or need not add up")
            continue
        grid = _Grid(table)
        by_place: dict[int, Flaw] = {}
        for flaw in (*grid.columns(paper), *grid.rows(paper), *grid.percentages(paper)):
            by_place.setdefault(flaw.evidence[0].start, flaw)
        flaws += by_place.values()
        checked += grid.checked
        left += [f"{what} of {name}" for what in grid.not_checked]
    return CheckResult(name="tables", checked=checked, flaws=tuple(flaws), not_checked=tuple(left))


class _Grid:
    """One table as numbers."""

    def __init__(self, table: Table) -> None:
        self.heads = [cell.text for cell in table.rows[0]]
        self._caption = table.caption
        self._rows = table.rows[1:]
        self._numbers = [[cell_number(cell) for cell in row] for row in self._rows]
        names = [row[0].text if row else "" for row in self._rows]
        self._total_rows = [i for i, name in enumerate(names) if _TOTAL.match(name)]
        self._breaks = {i for i, name in enumerate(names) if _SUBTOTAL.search(name)}
        self.checked = 0
        self.not_checked: list[str] = []

    def columns(self, paper: Paper) -> list[Flaw]:
        """Sums down the columns, for each row called total."""
        flaws: list[Flaw] = []
        start = 0
        for row in self._total_rows:
            if self._breaks & set(range(start, row)):
                self.not_checked.append("sums with subtotals")
            elif row - start >= 2:
                flaws += self._column_sums(paper, start, row)
            start = row + 1
        return flaws

    def _column_sums(self, paper: Paper, start: int, row: int) -> list[Flaw]:
        wrong, right = [], 0
        for column in range(1, len(self.heads)):
            if _NOT_ADDED.search(self.heads[column]) and not self._counts_with_percent(column):
                continue
            parts = self._column(column, start, row)
            total = self._at(row, column)
            if parts is None or total is None or total.percent or any(p.percent for p in parts):
                continue
            self.checked += 1
            flaw = self._sum(paper, parts, total)
            right += flaw is None
            wrong += [flaw] if flaw else []
        if wrong and right == 0 and len(wrong) > 1:
            self.not_checked.append("column sums: no column adds up, so the row is no sum")
            return []
        return wrong

    def _counts_with_percent(self, column: int) -> bool:
        """Whether cells such as `45 (37.5)` hold counts although the heading names a percentage."""
        head = self.heads[column]
        if not (_COUNT_AND_PERCENT.search(head) and re.search(r"\bn\b|\bno\.", head, re.I)):
            return False
        return all(number.second is not None for number in self._numbers_of(column))

    def rows(self, paper: Paper) -> list[Flaw]:
        """Sums along the rows, where one column is called total and most rows agree with it."""
        totals = [i for i, head in enumerate(self.heads) if i and _TOTAL.match(head)]
        if len(totals) != 1:
            return []
        others = [
            i
            for i, head in enumerate(self.heads)
            if i and i != totals[0] and not _NOT_ADDED.search(head)
        ]
        if len(others) < 2:
            return []
        wrong, right = [], 0
        for number in range(len(self._rows)):
            found = [self._at(number, column) for column in others]
            parts = [each for each in found if each is not None]
            total = self._at(number, totals[0])
            if total is None or len(parts) != len(others) or any(p.percent for p in parts):
                continue
            self.checked += 1
            flaw = self._sum(paper, parts, total)
            right += flaw is None
            wrong += [flaw] if flaw else []
        return wrong if right >= len(wrong) else []

    def percentages(self, paper: Paper) -> list[Flaw]:
        """Percentages that should be 100 together, and percentages beside their counts."""
        flaws: list[Flaw] = []
        for column in range(1, len(self.heads)):
            if _PERCENT.search(self.heads[column]) and not _COUNTS.match(self.heads[column]):
                flaws += self._hundred(paper, column)
        return [*flaws, *self._shares(paper)]

    def _hundred(self, paper: Paper, column: int) -> Iterator[Flaw]:
        row = self._total_rows[0] if len(self._total_rows) == 1 else len(self._rows)
        if len(self._total_rows) > 1 or self._breaks:
            return
        parts = self._column(column, 0, row)
        if parts is None or len(parts) < 2:
            return
        total = self._at(row, column) if row < len(self._rows) else None
        if total is not None and abs(total.first.value - 100) > total.first.half:
            return
        value = sum((part.first.value for part in parts), Decimal(0))
        allowed = sum((part.first.half for part in parts), Decimal(0))
        near = abs(value - 100) <= NEAR_100 and len(parts) > 2
        if total is None and not near and abs(value - 100) > allowed:
            return
        self.checked += 1
        if abs(value - 100) > allowed:
            shown = [total.cell] if total else []
            message = f"the percentages add up to {value}, not to 100 (rounding allows {allowed})"
            places = _places([*shown, *[part.cell for part in parts]])
            yield paper.flaw("percentage_total", message, *places)

    def _shares(self, paper: Paper) -> Iterator[Flaw]:
        """Counts with their percentages, in two columns or in one."""
        for column in range(1, len(self.heads)):
            beside = column + 1 if column + 1 < len(self.heads) else 0
            pairs = [
                (number, number.second)
                for number in self._numbers_of(column)
                if number.second is not None and _PERCENT.search(self.heads[column])
            ]
            if not pairs and _COUNTS.match(self.heads[column]) and beside:
                if not _PERCENT.search(self.heads[beside]):
                    continue
                pairs = [
                    (count, share.first)
                    for row in range(len(self._rows))
                    if (count := self._at(row, column)) and (share := self._at(row, beside))
                ]
            yield from self._against(paper, pairs, self._whole(column))

    def _against(
        self, paper: Paper, pairs: Sequence[tuple[CellNumber, PrintedNumber]], whole: Decimal | None
    ) -> list[Flaw]:
        if whole is None or whole <= 0 or len(pairs) < 2:
            return []
        wrong = []
        for count, share in pairs:
            exact = 100 * count.first.value / whole
            if not share.fits(exact):
                message = (
                    f"{count.first.value} of {whole} is {exact:.4g}%, the table says {share.value}%"
                )
                places = _places([self._row_of(count.cell), count.cell])
                wrong.append(paper.flaw("percentage_of_count", message, *places))
        self.checked += len(pairs)
        if 2 * len(wrong) > len(pairs):
            self.not_checked.append("percentages of counts: they refer to another whole")
            return []
        return wrong

    def _row_of(self, cell: TableCell) -> TableCell:
        """The whole row around a cell, as one quote."""
        row = next(row for row in self._rows if row and row[0].start <= cell.start <= row[-1].end)
        return TableCell(text="", start=row[0].start, end=row[-1].end)

    def _whole(self, column: int) -> Decimal | None:
        head = _HEAD_N.search(self.heads[column])
        if head:
            return Decimal(head[1].replace(",", ""))
        if len(self._total_rows) != 1:
            return None
        total = self._at(self._total_rows[0], column)
        return total.first.value if total and total.first.decimals == 0 else None

    def _numbers_of(self, column: int) -> list[CellNumber]:
        return [number for row in range(len(self._rows)) if (number := self._at(row, column))]

    def _at(self, row: int, column: int) -> CellNumber | None:
        numbers = self._numbers[row]
        return numbers[column] if column < len(numbers) else None

    def _column(self, column: int, start: int, end: int) -> list[CellNumber] | None:
        """Numbers of some rows; None where a cell holds something else or fewer than two do."""
        found = []
        for row in range(start, end):
            number = self._at(row, column)
            if number is not None:
                found.append(number)
            elif column < len(self._rows[row]) and (
                self._rows[row][column].text.lower() not in _EMPTY
            ):
                return None
        return found if len(found) >= 2 else None

    def _sum(self, paper: Paper, parts: Sequence[CellNumber], total: CellNumber) -> Flaw | None:
        values = [part.first.value for part in parts]
        added = sum(values, Decimal(0))
        whole = total.first.value
        rounded = any(p.first.decimals for p in (*parts, total)) or _SCALED.search(
            " ".join([*self.heads, self._caption])
        )
        allowed = sum((p.first.half for p in (*parts, total)), Decimal(0)) if rounded else 0
        if abs(added - whole) <= allowed or whole < max(values):
            return None
        if whole and added % whole == 0:  # several ways of cutting one whole, below each other
            return None
        message = f"the cells add up to {added}, the total says {whole}"
        places = _places([total.cell, *[part.cell for part in parts]])
        return paper.flaw("table_total", message, *places)


def _places(cells: Sequence[TableCell]) -> list[tuple[int, int]]:
    return [(cell.start, cell.end) for cell in cells]
