# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks that the cells of a table agree: totals and percentages, p beside its statistic, sizes.

Tables that a program printed into the paper are read for tests too, where bars hold their columns
apart.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from plumbrule.errors import DataError
from plumbrule.oversight.papers.document import (
    CheckResult,
    Flaw,
    Hidden,
    Paper,
    PaperEvidence,
    Table,
    TableCell,
)
from plumbrule.oversight.papers.quantities import CellNumber, PrintedNumber, cell_number
from plumbrule.oversight.papers.statistics import Recomputed, recompute
from plumbrule.oversight.papers.statistics.p_values import Comparison, TestName
from plumbrule.oversight.papers.statistics.testing import Throughout

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
            cells = [*shown, *[part.cell for part in parts]]
            yield paper.flaw("percentage_total", message, *cells)

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
                row = self._row_of(count.cell)
                wrong.append(paper.flaw("percentage_of_count", message, row, count.cell))
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
        cells = [total.cell, *[part.cell for part in parts]]
        return paper.flaw("table_total", message, *cells)


_DEGREES = (
    r"(?:\s*[(\[_{]+\s*(?P<df>\d{1,7}(?:\.\d{1,3})?(?:\s*,\s*\d{1,7}(?:\.\d{1,3})?)?)\s*[)\]}]*)?"
)
_MORE = r"(?:[- ]?(?:values?|stat(?:istic|\.)?s?|ratio|score))?"
_TESTS: tuple[tuple[TestName, re.Pattern[str]], ...] = (
    ("t", re.compile(rf"t{_MORE}{_DEGREES}", re.IGNORECASE)),
    ("z", re.compile(rf"z{_MORE}", re.IGNORECASE)),
    ("F", re.compile(rf"F{_MORE}{_DEGREES}")),
    ("chi2", re.compile(rf"(?:χ|Chi|chi|X)[- ]?(?:\^?2|²|[Ss]q(?:uared?)?\.?){_MORE}{_DEGREES}")),
)
_FREEDOM = re.compile(
    r"d\.?f\.?(?:[_ ]?(?:error|resid(?:ual)?))?|degrees of freedom", re.IGNORECASE
)
_FIRST, _SECOND = (
    re.compile(rf"(?:d\.?f\.?[_ ]?{digit}|{words}[- _]?d\.?f\.?)", re.IGNORECASE)
    for digit, words in ((1, "num(?:erator)?"), (2, "den(?:ominator)?"))
)
_P = re.compile(
    r"p(?:[- ]?(?:values?|val\.?))?|Pr\s*\(\s*>\s*\|?[tzF]\|?\s*\)|sig\.?(?:nificance)?",
    re.IGNORECASE,
)
_SIZE = re.compile(r"n(?:[_ ]?obs\.?)?|sample size|observations", re.IGNORECASE)
_PRINTED_P = re.compile(r"(?P<sign>[<>=≤]?)\s*(?P<p>[01]?\.\d{1,10})(?!\d)\s*[*†‡a-c]{0,4}")
_STATISTIC = re.compile(r"[-−–]?\d{1,7}(?:\.\d{1,6})?(?!\d)")
_BARS = re.compile(r"^(?:#>|##|#)?[ \t]*(?P<row>[^|\n]{0,200}\|[^\n]{1,600})$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class _TestRow:
    cells: tuple[str, ...]
    quote: PaperEvidence


@dataclass(kw_only=True)
class _TestGrid:
    """A table by its headings; a heading that occurs twice stands for nothing."""

    heads: tuple[str, ...]
    rows: list[_TestRow] = field(default_factory=list)

    def column(self, pattern: re.Pattern[str]) -> int | None:
        """The one column whose heading fits."""
        found = [at for at, head in enumerate(self.heads) if pattern.fullmatch(head)]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, kw_only=True)
class _Wrong:
    row: _TestRow
    message: str


def check_test_rows(paper: Paper) -> CheckResult:
    """Check every table that has a column of p-values or of sizes.

    Kind: `table_statistic`. Where most rows of a table disagree, its columns mean something else,
    and nothing is claimed. A p-value above the recomputed one may have been corrected, and is only
    told where the paper names no correction.
    """
    flaws, checked, left = [], 0, []
    throughout = Throughout.of(paper.text)
    grids = [_grid(paper, each) for each in paper.tables]
    for grid in [*grids, *(each for piece in paper.hidden for each in _printed(paper, piece))]:
        for count, wrong in (_p_values(grid, throughout), _sizes(grid)):
            checked += count
            if 2 * len(wrong) > max(count, 2):
                left.append(f"tests of a table ({' | '.join(grid.heads)[:80]}): most rows disagree")
                continue
            flaws += [paper.flaw("table_statistic", each.message, each.row.quote) for each in wrong]
    return CheckResult(name="tests", checked=checked, flaws=tuple(flaws), not_checked=tuple(left))


def _grid(paper: Paper, table: Table) -> _TestGrid:
    rows = [
        _TestRow(
            cells=tuple(_bare(cell.text) for cell in row),
            quote=paper.evidence(row[0].start, row[-1].end),
        )
        for row in table.rows[1:]
        if row
    ]
    return _TestGrid(heads=tuple(_bare(cell.text) for cell in table.rows[0]), rows=rows)


def _printed(paper: Paper, piece: Hidden) -> Iterator[_TestGrid]:
    """Tables of a block of code: lines with as many bars as the one above them."""
    if piece.how != "code block":
        return
    grid: _TestGrid | None = None
    for match in _BARS.finditer(piece.text):
        cells = tuple(_bare(each) for each in match["row"].strip().strip("|").split("|"))
        if grid is None or len(cells) != len(grid.heads) or not any(c.isdigit() for c in match[0]):
            if grid is not None and grid.rows:
                yield grid
            grid = _TestGrid(heads=cells)
            continue
        quote = paper.hidden_evidence(match["row"].strip(), piece)
        grid.rows.append(_TestRow(cells=cells, quote=quote))
    if grid is not None and grid.rows:
        yield grid


def _bare(cell: str) -> str:
    return re.sub(r"[*`$\\]|(?<=\s)_|_(?=\s)", "", cell).strip()


def _p_values(grid: _TestGrid, throughout: Throughout) -> tuple[int, list[_Wrong]]:
    """How many p-values could be recomputed, and those that do not follow."""
    found = [
        (name, at, match["df"] if "df" in match.groupdict() else None)
        for name, pattern in _TESTS
        for at, head in enumerate(grid.heads)
        if (match := pattern.fullmatch(head))
    ]
    p_column = grid.column(_P)
    if len(found) != 1 or p_column is None:
        return 0, []
    test, column, head = found[0]
    seen = [
        (row, told, result)
        for row in grid.rows
        if max(column, p_column) < len(row.cells)
        and (told := _PRINTED_P.fullmatch(row.cells[p_column]))
        and (result := _recomputed(grid, row, test, column, head, told, throughout))
    ]
    wrong = [each for each in seen if _disagrees(each[2], each[1]["p"])]
    if throughout.corrected and not _plainly_not_raised(seen):
        wrong = [each for each in wrong if float(each[1]["p"]) < each[2].p]
    known = bool(head) or test != "t" or grid.column(_FREEDOM) is not None
    return len(seen), [
        _Wrong(
            row=row,
            message=f"{grid.heads[column]} = {row.cells[column]} gives {_in_words(result, known)}; "
            f"the table says {told[0]}",
        )
        for row, told, result in wrong
    ]


def _in_words(seen: Recomputed, known: bool) -> str:
    if known:
        return seen.in_words
    return f"at most p = {seen.p_high:.4g} with {FEWEST_FREEDOM} degrees of freedom or more"


def _recomputed(
    grid: _TestGrid, row: _TestRow, test: TestName, column: int, head: str | None,
    told: re.Match[str], throughout: Throughout,
) -> Recomputed | None:  # fmt: skip
    degrees = _degrees(grid, row, test, head or "")
    if not _STATISTIC.fullmatch(row.cells[column]):
        return None
    if degrees is None and test == "t" and grid.column(_FREEDOM) is None:
        return _beyond_any(row.cells[column], told)
    if degrees is None:
        return None
    sign: Comparison = "<" if told["sign"] in ("<", "≤") else ">" if told["sign"] == ">" else "="
    value = row.cells[column].replace("−", "-").replace("–", "-")
    try:
        return recompute(
            test, value, comparison=sign, p=told["p"], df1=degrees[0], df2=degrees[1],
            one_sided=throughout.one_sided,
        )  # fmt: skip
    except DataError:
        return None


def _beyond_any(value: str, told: re.Match[str]) -> Recomputed | None:
    """A t without degrees of freedom, where p is above what the fewest give; else None."""
    if told["sign"] not in ("", "="):
        return None
    try:
        seen = recompute("t", value.lstrip("-−–"), comparison="=", p=told["p"], df2=FEWEST_FREEDOM)
    except DataError:
        return None
    return seen if float(told["p"]) > seen.p_high else None


FEWEST_FREEDOM = 10
"""Degrees of freedom that a test in a table of several is taken to have at least."""


def _plainly_not_raised(seen: Sequence[tuple[_TestRow, re.Match[str], Recomputed]]) -> bool:
    """Whether some p stands as it was computed; corrections leave at most the largest alone."""
    largest = max((result.p for _, _, result in seen), default=1.0)
    return any(
        told["sign"] in ("", "=") and not result.error and result.p < largest
        for _, told, result in seen
    )


def _disagrees(seen: Recomputed, p: str) -> bool:
    # Programs print .000 for what is smaller, and half of p fits a test with one side.
    return seen.error and not seen.fits_one_sided and not (float(p) == 0 and seen.p < 0.001)


def _degrees(
    grid: _TestGrid, row: _TestRow, test: TestName, given: str
) -> tuple[float | None, float | None] | None:
    """Degrees of freedom of a row, as `recompute` takes them; None where they are not given."""
    if test == "z":
        return None, None
    if not given:
        columns = [grid.column(_FREEDOM)]
        if test == "F" and columns[0] is None:
            columns = [grid.column(_FIRST), grid.column(_SECOND)]
        cells = [row.cells[at] for at in columns if at is not None and at < len(row.cells)]
        given = ", ".join(cells)
    parts = [each.strip() for each in given.strip("()[] ").split(",")]
    if any(not re.fullmatch(r"\d{1,7}(?:\.\d{1,4})?", each) for each in parts):
        return None
    numbers = [float(each) for each in parts]
    if len(numbers) != (2 if test == "F" else 1) or not all(numbers):
        return None
    if test == "t":
        return None, numbers[0]
    return numbers[0], numbers[1] if test == "F" else None


FEWEST_ROWS = 3


def _sizes(grid: _TestGrid) -> tuple[int, list[_Wrong]]:
    """Rows whose size is not as far from its degrees of freedom as in all other rows."""
    size, freedom = grid.column(_SIZE), grid.column(_FREEDOM)
    if size is None or freedom is None:
        return 0, []
    rows = [
        (row, int(row.cells[size]), int(row.cells[freedom]))
        for row in grid.rows
        if max(size, freedom) < len(row.cells)
        and row.cells[size].isdigit()
        and row.cells[freedom].isdigit()
    ]
    if len(rows) < FEWEST_ROWS:
        return 0, []
    (usual, count), *_ = Counter(n - df for _, n, df in rows).most_common(1)
    if count < len(rows) - 1:
        return 0, []
    return len(rows), [
        _Wrong(
            row=row,
            message=f"{grid.heads[size]} is {n} beside {df} degrees of freedom; in every other row "
            f"it is {usual} more than these",
        )
        for row, n, df in rows
        if n - df != usual
    ]
