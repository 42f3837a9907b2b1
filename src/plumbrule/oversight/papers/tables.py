"""Finds tables in a text: rows between bars, and columns held apart by spaces or tabs."""

import re

from plumbrule.oversight.papers.document import Cell, Table

_ROW = re.compile(r"^[ \t]{0,3}\|.*\|[ \t]*$")
_BARE = re.compile(r"^[^|\n]{1,200}\|.*$")
_RULE = re.compile(r"^[ \t|:+=-]{3,}$")
_CAPTION = re.compile(r"^(?:\*\*)?(Table|Tab\.)\s+([A-Z]?\d{1,3})\b[.:|]?\s*(.*)$", re.IGNORECASE)
_GAP = re.compile(r"\t+|[ ]{2,}")

LINES_TO_CAPTION = 3
"""Lines that are not blank between a table and its caption, above or below, at most."""


def find_tables(text: str, *, aligned: bool) -> tuple[Table, ...]:
    """Find every table.

    Args:
        text: The paper's text.
        aligned: Also take lines as rows whose columns are held apart by two spaces or a tab, as
            plain text writes them.
    """
    lines, starts = text.split("\n"), [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    found, at = [], 0
    while at < len(lines):
        end = _grid_end(lines, at)
        read = _barred
        if end - at < 2 and aligned:
            end, read = _aligned_end(lines, at), _spaced
        if end - at < 2:
            at += 1
            continue
        rows = [
            read(lines[number], starts[number])
            for number in range(at, end)
            if not _RULE.match(lines[number])
        ]
        if len(rows) > 1:
            label, caption = _caption(lines, at, end)
            found.append(
                Table(
                    label=label,
                    caption=caption,
                    rows=tuple(rows),
                    start=starts[at],
                    end=starts[end] - 1,
                )
            )
        at = end
    return tuple(found)


def _grid_end(lines: list[str], at: int) -> int:
    """Line behind a grid with bars that begins here; `at` itself where none does."""
    row = _ROW
    if not _ROW.match(lines[at]):
        # Markdown allows rows without outer bars if a rule of dashes follows the first.
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if not (_BARE.match(lines[at]) and _RULE.match(following) and "|" in following):
            return at
        row = _BARE
    end = at
    while end < len(lines) and (row.match(lines[end]) or (end > at and _is_rule(lines[end]))):
        end += 1
    return end


def _is_rule(line: str) -> bool:
    return bool(_RULE.match(line)) and "|" in line


def _aligned_end(lines: list[str], at: int) -> int:
    columns = _columns(lines[at])
    if columns < 2:
        return at
    end = at
    while end < len(lines) and (
        (_RULE.match(lines[end]) and end > at) or abs(_columns(lines[end]) - columns) <= 1
    ):
        if not _RULE.match(lines[end]) and _columns(lines[end]) < 2:
            break
        end += 1
    rows = [line for line in lines[at:end] if not _RULE.match(line)]
    numbers = sum(any(letter.isdigit() for letter in row) for row in rows[1:])
    return end if len(rows) > 2 and 2 * numbers >= len(rows) - 1 else at


def _columns(line: str) -> int:
    return len(_GAP.split(line.strip())) if line.strip() else 0


def _barred(line: str, start: int) -> tuple[Cell, ...]:
    inner_start = line.find("|") + 1 if line.lstrip().startswith("|") else 0
    inner_end = line.rfind("|") if line.rstrip().endswith("|") else len(line)
    cells, at = [], inner_start
    for piece in line[inner_start:inner_end].split("|"):
        cells.append(_cell(piece, start + at))
        at += len(piece) + 1
    return tuple(cells)


def _spaced(line: str, start: int) -> tuple[Cell, ...]:
    cells, at = [], len(line) - len(line.lstrip())
    stripped_end = len(line.rstrip())
    for match in _GAP.finditer(line, at, stripped_end):
        cells.append(_cell(line[at : match.start()], start + at))
        at = match.end()
    cells.append(_cell(line[at:stripped_end], start + at))
    return tuple(cells)


def _cell(piece: str, start: int) -> Cell:
    lead = len(piece) - len(piece.lstrip())
    words = piece.strip()
    return Cell(text=words, start=start + lead, end=start + lead + len(words))


def _caption(lines: list[str], at: int, end: int) -> tuple[str, str]:
    """Label and words of the caption that is nearest, above first."""
    above = [line for line in lines[max(0, at - 8) : at] if line.strip()][-LINES_TO_CAPTION:]
    below = [line for line in lines[end : end + 4] if line.strip()][:1]
    for line in [*reversed(above), *below]:
        match = _CAPTION.match(line.strip())
        if match:
            return f"Table {match[2]}", match[3].strip(" *")
    return "", ""
