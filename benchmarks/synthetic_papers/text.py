# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Prints a synthetic paper as Markdown and as LaTeX, from one draft.

In a draft `{P:1,2}` cites works in brackets, `{N:0}` names a work's authors and year, `{T:0}`
points to a table, and `{H:comment:words}` hides words. Signs in stars are set in italics.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.synthetic_papers.words import CitedWork

_MARK = re.compile(r"\{([PNT]):([\d,]+)\}")
_HIDDEN = re.compile(r"\{H:(\w+):([^{}]*)\}")
_LATEX_LETTERS = {"ü": '\\"u', "ñ": "\\~n", "é": "\\'e", "ö": '\\"{o}'}


@dataclass
class Grid:
    """A table: caption, headings, rows, and the section it is in."""

    caption: str
    heads: list[str]
    rows: list[list[str]]
    section: str


@dataclass
class PaperDraft:
    """A paper before it is printed in a format."""

    title: str
    abstract: list[str]
    sections: list[tuple[str, list[str]]]
    grids: list[Grid]
    works: list[CitedWork]
    listed: list[int]
    """Works that the list of references holds."""

    numeric: bool
    """Markdown cites by number instead of author and year."""

    said_years: dict[int, int] = field(default_factory=dict)
    """Years that sentences give, where they differ from the list's."""


def render_markdown(draft: PaperDraft) -> str:
    """Print a draft as Markdown, citing by author and year or by number."""

    def mark(kind: str, numbers: list[int]) -> str:
        if kind == "T":
            return f"Table {numbers[0] + 1}"
        works = [draft.works[number] for number in numbers]
        places = ", ".join(str(number + 1) for number in numbers)
        if kind == "N":
            year = draft.said_years.get(numbers[0], works[0].year)
            return f"{works[0].names()} ({year})" + (f" [{places}]" if draft.numeric else "")
        if draft.numeric:
            return f"[{places}]"
        return (
            "(" + "; ".join(f"{w.names().replace(' and ', ' & ')}, {w.year}" for w in works) + ")"
        )

    hide = {
        "plain": lambda words: words,
        "comment": lambda words: f"<!-- {words} -->",
        "white": lambda words: f'<span style="color:white">{words}</span>',
    }
    parts = [f"# {draft.title}", "## Abstract", *_marked(draft.abstract, mark, hide)]
    for name, paragraphs in draft.sections:
        parts += [f"## {name}", *_marked(paragraphs, mark, hide)]
        for number, grid in enumerate(draft.grids, start=1):
            if grid.section == name:
                parts += [f"**Table {number}.** {grid.caption}", _pipes(grid)]
    parts.append("## References")
    listed = (
        draft.listed if draft.numeric else sorted(draft.listed, key=lambda n: draft.works[n].line())
    )
    for number in listed:
        parts.append((f"[{number + 1}] " if draft.numeric else "") + draft.works[number].line())
    return "\n\n".join(parts) + "\n"


def _pipes(grid: Grid) -> str:
    rows = [grid.heads, ["---"] * len(grid.heads), *grid.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def render_latex(draft: PaperDraft) -> str:
    """Print a draft as one LaTeX file with its list of references inside."""

    def mark(kind: str, numbers: list[int]) -> str:
        if kind == "T":
            return f"Table~\\ref{{tab:{numbers[0]}}}"
        works = [draft.works[number] for number in numbers]
        keys = ",".join(work.key for work in works)
        if kind == "N":
            year = draft.said_years.get(numbers[0], works[0].year)
            return f"{works[0].names()} ({year})~\\cite{{{keys}}}"
        return f"\\citep{{{keys}}}"

    hide = {
        "plain": lambda words: words,
        "comment": lambda words: f"\n% {words}\n",
        "white": lambda words: f"\\textcolor{{white}}{{{words}}}",
    }
    parts = [
        "\\documentclass{article}\n\\usepackage{xcolor}\n\\title{" + draft.title + "}",
        "\\begin{document}\n\\maketitle",
        "\\begin{abstract}\n"
        + "\n".join(_marked(draft.abstract, mark, hide, _latex))
        + "\n\\end{abstract}",
    ]
    for name, paragraphs in draft.sections:
        parts += [f"\\section{{{name}}}", *_marked(paragraphs, mark, hide, _latex)]
        parts += [_tabular(n, g) for n, g in enumerate(draft.grids) if g.section == name]
    parts.append("\\begin{thebibliography}{99}")
    for number in draft.listed:
        work = draft.works[number]
        parts.append(f"\\bibitem{{{work.key}}} {_latex(work.line())}")
    return "\n\n".join([*parts, "\\end{thebibliography}\n\\end{document}"]) + "\n"


def _marked(
    paragraphs: list[str],
    mark: Callable[[str, list[int]], str],
    hide: dict[str, Callable[[str], str]],
    spell: Callable[[str], str] = str,
) -> list[str]:
    printed = []
    for paragraph in paragraphs:
        pieces, at = [], 0
        for match in re.finditer(f"{_MARK.pattern}|{_HIDDEN.pattern}", paragraph):
            pieces.append(spell(paragraph[at : match.start()]))
            if match[1]:
                numbers = [int(each) for each in match[2].split(",")]
                pieces.append(_spelled_mark(mark(match[1], numbers), spell))
            else:
                pieces.append(hide[match[3]](match[4]))
            at = match.end()
        printed.append("".join(pieces) + spell(paragraph[at:]))
    return printed


def _spelled_mark(words: str, spell: Callable[[str], str]) -> str:
    """Letters of a citation in the format's spelling; commands stay as they are."""
    if spell is str:
        return words
    for letter, command in _LATEX_LETTERS.items():
        words = words.replace(letter, command)
    return words


def _latex(words: str) -> str:
    words = (
        words.replace("*χ2*", "$\\chi^2$")
        .replace("%", "\\%")
        .replace("&", "\\&")
        .replace("–", "--")
    )
    words = re.sub(r"\*(\w+)\*", r"$\1$", words)
    return _spelled_mark(words, _latex)


def _tabular(number: int, grid: Grid) -> str:
    rows = [
        " & ".join(cell.replace("%", "\\%") for cell in row) + " \\\\"
        for row in [grid.heads, *grid.rows]
    ]
    body = "\n".join([rows[0], "\\midrule", *rows[1:]])
    return (
        f"\\begin{{table}}[t]\n\\centering\n\\caption{{{grid.caption}}}\\label{{tab:{number}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(grid.heads) - 1)}}}\n\\toprule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}"
    )
