"""Puts the lines of printed pages in order: line numbers off, columns one after the other."""

import re
from collections.abc import Sequence

FEWEST_NUMBERED = 5
SHARE_NUMBERED = 0.6
"""Share of the lines that must count upwards before what stands at their ends is a line number."""

_LAST = re.compile(r"^(?P<rest>.*?[^\d\s])[ \t]*(?P<number>\d{1,4})[ \t]*$")
_FIRST = re.compile(r"^[ \t]*(?P<number>\d{1,4})(?:[ \t]+(?P<rest>\S.*)|[ \t]*)$")
_ALONE = re.compile(r"[ \t\f]*(\d{1,4})[ \t\f]*")
_GAP = re.compile(r"(?<=\S) {3,}(?=\S)")

SHARE_GAPPED = 0.5
"""Share of a page's lines with a gap in the same place before they are read as two columns."""


def without_line_numbers(text: str) -> str:
    """Take off the numbers that a manuscript counts its lines with, before or behind the words."""
    lines = text.split("\n")
    written = sum(bool(line.strip()) for line in lines)
    for pattern in (_LAST, _FIRST):
        found = [(at, match) for at, line in enumerate(lines) if (match := pattern.match(line))]
        for step in (1, 5):
            chain = _chain([(at, int(match["number"])) for at, match in found], step)
            if len(chain) >= max(FEWEST_NUMBERED, SHARE_NUMBERED * written / step):
                rest = {at: match["rest"] or "" for at, match in found if at in chain}
                lines = [rest.get(at, line) for at, line in enumerate(lines)]
                break
    return "\n".join(_without_blocks(lines))


def _chain(found: Sequence[tuple[int, int]], step: int) -> set[int]:
    """Lines of the longest run of numbers that count on; a page may begin anew."""
    best: set[int] = set()
    for begin in range(min(10, len(found))):
        lines, expected = {found[begin][0]}, found[begin][1] + step
        for at, number in found[begin + 1 :]:
            if number in (expected, step):
                lines.add(at)
                expected = number + step
        best = max(best, lines, key=len)
    return best


def _without_blocks(lines: list[str]) -> list[str]:
    """Drop lines that hold nothing but numbers counting on: line numbers read as a column."""
    kept, at = list[str](), 0
    while at < len(lines):
        end = at
        numbers: list[int] = []
        while end < len(lines) and (match := _ALONE.fullmatch(lines[end])):
            if numbers and int(match[1]) != numbers[-1] + 1:
                break
            numbers.append(int(match[1]))
            end += 1
        if len(numbers) < FEWEST_NUMBERED:
            end = max(at + 1, end)
            kept += lines[at:end]
        at = end
    return kept


def in_one_column(text: str) -> tuple[str, tuple[str, ...]]:
    """Read pages whose lines hold two columns side by side: first the left one, then the right.

    Returns:
        The text, and a note where some page seems to have columns and could not be cut.
    """
    pages, doubtful = [], 0
    for page in text.split("\f"):
        lines = page.split("\n")
        cut, share = _cut(lines)
        if cut is None:
            doubtful += share > SHARE_GAPPED / 2
            pages.append(page)
            continue
        left = [line[:cut].rstrip() for line in lines]
        right = [line[cut:].strip() for line in lines]
        pages.append("\n".join([*left, *right]))
    note = f"{doubtful} pages may be set in columns: their lines may be read across"
    return "\f".join(pages), (note,) if doubtful else ()


def _cut(lines: Sequence[str]) -> tuple[int | None, float]:
    """Where two columns of prose part; None where they do not, and how many lines have a gap."""
    written = [line for line in lines if line.strip()]
    starts = [gaps[-1].end() for line in written if (gaps := list(_GAP.finditer(line)))]
    if len(written) < 8 or not starts:
        return None, 0.0
    cut = max(set(starts), key=starts.count)
    both = [
        line for line in written
        if len(line) > cut and not line[cut - 3 : cut].strip() and line[: cut - 3].strip()
    ]  # fmt: skip
    prose = [line for line in both if len(re.findall(r"[a-z]{2,}", line[cut:])) >= 3
             and len(re.findall(r"[a-z]{2,}", line[:cut])) >= 3]  # fmt: skip
    across = [line for line in written if len(line) > cut and line[cut - 2 : cut].strip()]
    share = len(prose) / len(written)
    # A title over both columns runs across the cut; a page of prose does so everywhere.
    if share >= SHARE_GAPPED and len(across) <= 0.2 * len(written):
        return cut, share
    return None, share
