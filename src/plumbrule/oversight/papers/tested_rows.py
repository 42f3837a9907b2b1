# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks tables that report tests: p against its statistic, sizes against degrees of freedom.

Tables that a program printed into the paper are read too, where bars hold their columns apart.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from plumbrule.errors import DataError
from plumbrule.oversight.papers.document import (
    CheckResult,
    Hidden,
    Paper,
    PaperEvidence,
    Table,
)
from plumbrule.oversight.papers.statistics import Recomputed, recompute
from plumbrule.oversight.papers.statistics.p_values import Comparison, TestName
from plumbrule.oversight.papers.statistics.text import all_one_sided, corrects_somewhere

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
    """A table by its headings; a heading that stands twice stands for nothing."""

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
    raised, one_sided = corrects_somewhere(paper.text), all_one_sided(paper.text)
    for grid in [*_visible(paper), *(g for piece in paper.hidden for g in _printed(paper, piece))]:
        for count, wrong in (
            _p_values(grid, raised=raised, one_sided=one_sided),
            _sizes(grid),
        ):
            checked += count
            if 2 * len(wrong) > max(count, 2):
                left.append(f"tests of a table ({' | '.join(grid.heads)[:80]}): most rows disagree")
                continue
            flaws += [paper.flaw("table_statistic", each.message, each.row.quote) for each in wrong]
    return CheckResult(name="tests", checked=checked, flaws=tuple(flaws), not_checked=tuple(left))


def _visible(paper: Paper) -> Iterator[_TestGrid]:
    for table in paper.tables:
        yield _grid(paper, table)


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


def _p_values(grid: _TestGrid, *, raised: bool, one_sided: bool) -> tuple[int, list[_Wrong]]:
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
        and (result := _recomputed(grid, row, test, column, head, told, one_sided=one_sided))
    ]
    wrong = [each for each in seen if _disagrees(each[2], each[1]["p"])]
    if raised and not _plainly_not_raised(seen):
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
    told: re.Match[str], *, one_sided: bool,
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
            one_sided=one_sided,
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
