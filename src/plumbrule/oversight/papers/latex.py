# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
r"""Turns LaTeX into the text that is printed, with headings, tables and citations as in Markdown.

It is a reader, not a compiler: macros that the paper's files define are expanded, unknown commands
are dropped and their arguments kept. Headings become `# Title`, tables rows of cells between bars,
`\citep{a,b}` becomes `[@a; @b]` and `\citet{a}` becomes `@a`.
"""

import re
from pathlib import Path

from plumbrule.oversight.papers.latex_macros import (
    braced,
    expand,
    rewritten,
    siunitx,
    take_definitions,
    unknown_numbers,
)
from plumbrule.oversight.papers.latex_parts import (
    SourceReader,
    document_end,
    loose_cells,
    number_floats,
    tabular_rows,
    unbalanced,
)
from plumbrule.oversight.papers.markup import AT, Veil, accents, letters, math_text

_HIDDEN = re.compile(
    r"\\(?:[hv]?phantom|textcolor\s*\{(?:white|White)\}|textcolor\s*\[[^\]]{1,9}\]\s*\{[1,. "
    r"]{1,9}\}"
    r"|transparent\s*\{0?\.?0\})\s*\{"
)
_WHITE_GROUP = re.compile(
    r"\{\s*\\color\s*\{(?:white|White)\}|\{\s*\\fontsize\s*\{[01]?\.?\d?(?:pt)?\}"
)
_CITE = re.compile(
    r"[ ~]?\\([a-zA-Z]*cite[a-zA-Z]*)\*?\s*((?:\[[^\[\]]{0,200}\]\s*){0,2})\{([^{}]{1,2000})\}"
)
_HEADING = re.compile(
    r"\\(part|chapter|section|subsection|subsubsection|paragraph)\*?\s*(?:\[[^\]]{0,200}\])?\{"
)
_LEVELS = {
    "part": 1,
    "chapter": 1,
    "section": 1,
    "subsection": 2,
    "subsubsection": 3,
    "paragraph": 4,
}
_MANY_CITES = re.compile(
    r"[ ~]?\\([a-zA-Z]*cites)\*?((?:\s*(?:\[[^\[\]]{0,200}\]\s*){0,2}\{[^{}]{1,500}\}){1,20})"
)
_FORMULA = re.compile(
    r"\\begin\{(equation|align|alignat|flalign|eqnarray|gather|multline|displaymath|math"
    r"|IEEEeqnarray)(\*?)\}(?:\{[^{}]{0,20}\})?(.{1,5000}?)\\end\{\1\2\}",
    re.DOTALL,
)
_FIRST_ARGUMENT = re.compile(
    r"\\(?:textcolor|colorbox|fcolorbox|hypertarget|hyperlink|selectlanguage|foreignlanguage"
    r"|citeproc|parbox|resizebox|scalebox|raisebox)\s*(?:\[[^\]]{0,30}\])?\{[^{}]{0,300}\}"
)
_ITEM = re.compile(r"\\bibitem(?![a-zA-Z])")
_BIBITEM = re.compile(
    r"\\bibitem\s*(?:\[(?:[^\[\]{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,300}\}){0,300}\}){0,3000}\}){0,3000}\]\s*)?"
    r"\{([^{}\n]{1,200})\}\s*"
)
UNREAD_ITEMS = "some entries of the list of references could not be read"
_BIB_FILES = re.compile(
    r"\\(?:bibliography|addbibresource)\s*(?:\[[^\]]{0,99}\])?\{([^{}\n]{1,500})\}"
)
_MATH = re.compile(
    r"(?<!\\)\$\$?([^$]{1,2000}?)(?<!\\)\$\$?|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", re.DOTALL
)
_HREF = re.compile(r"\\href\s*\{([^{}]{1,500})\}\s*\{([^{}]{1,500})\}")
_DROPPED = re.compile(
    r"\\(?:label|vspace|hspace|includegraphics|bibliographystyle|usepackage|documentclass|pagestyle"
    r"|thispagestyle|setlength|newcommand|renewcommand|setcounter|addtocounter|input|include"
    r"|printbibliography|color|definecolor|hypersetup|author|date|affil|institute)\*?"
    r"\s*(?:\[[^\[\]]{0,300}\]\s*){0,2}(?:\{[^{}]{0,500}\}\s*){0,3}"
)
_ENVIRONMENT = re.compile(
    r"\\(?:begin|end)\s*\{[^{}\n]{1,60}\}(?:\s*\[[^\]\n]{0,100}\])?(?:\{[^{}\n]{0,20}\})?"
)
_COMMAND = re.compile(r"\\[a-zA-Z]+\*?(?:\[[^\]\n]{0,100}\])?")


def latex_text(
    source: str, folder: Path, veil: Veil
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Read a LaTeX source.

    Args:
        source: The main file.
        folder: Where files that it names may lie.
        veil: Takes comments and text that is not printed.

    Returns:
        The text; the names of its `.bib` files; and what was not read.
    """
    reader = SourceReader(folder, veil)
    whole, known = take_definitions(reader.clean(source))
    known = reader.packages(whole) | known
    notes = [*reader.notes, *unbalanced(whole)]
    files = tuple(
        name.strip() for match in _BIB_FILES.finditer(whole) for name in match[1].split(",")
    )
    text = expand(_document(whole, veil), known, veil)
    text, unknown = unknown_numbers(siunitx(text))
    notes += unknown
    text = _abstract(_hidden(text, veil))
    text, unresolved = number_floats(text)
    notes += [f"`\\ref{{{name}}}` has no label" for name in unresolved]
    text = _FORMULA.sub(lambda match: f"\n{math_text(match[3])}\n", tabular_rows(text))
    notes += loose_cells(text)
    # An @ of the paper's own is no citation; those that follow are.
    text = text.replace("@", AT)
    text = _MANY_CITES.sub(_citations, text)
    text = _CITE.sub(_citation, text)
    text = _BIB_FILES.sub("", text)
    text = re.sub(r"\\begin\{thebibliography\}(?:\{[^{}]{0,40}\})?", "\n\n# References\n\n", text)
    text = _printed_by_pandoc(text)
    if len(_ITEM.findall(text)) != len(_BIBITEM.findall(text)):
        notes.append(UNREAD_ITEMS)
    text = _BIBITEM.sub(lambda match: f"\n\n[{match[1].strip()}] ", text)
    text = _headings(text)
    return _plain(text), files, tuple(notes)


def _abstract(text: str) -> str:
    """The abstract as a section, whether it is an environment or a command."""
    text = re.sub(r"\\begin\{abstract\}", "\n\n# Abstract\n\n", text)
    text = re.sub(r"\\end\{abstract\}", "\n\n# \n\n", text)
    command = re.search(r"\\abstract\s*(?=\{)", text)
    if command is None:
        return text
    words, end = braced(text, command.end())
    return f"{text[: command.start()]}\n\n# Abstract\n\n{words}\n\n# \n\n{text[end:]}"


_PANDOC = re.compile(
    r"\\begin\{(?:CSLReferences|cslreferences)\}(?:\{[^{}]{0,9}\}){0,2}(.*?)"
    r"(?:\\end\{(?:CSLReferences|cslreferences)\}|\Z)",
    re.DOTALL,
)
_PANDOC_ENTRY = re.compile(
    r"(?:\\leavevmode\s*)?(?:\\vadjust\s*pre\s*\{)?\s*\\hypertarget\s*\{ref-[^{}]{1,200}\}\{\}\}?%?"
    r"|\\bibitem\s*\[\\citeproctext\]\s*\{ref-[^{}]{1,200}\}"
)


def _printed_by_pandoc(text: str) -> str:
    """A list that pandoc wrote, as paragraphs, and superscript numbers as citations."""
    found = _PANDOC.search(text)
    if found is None:
        return text
    listed = _PANDOC_ENTRY.sub("\n\n", found[1])
    listed = re.sub(r"\\CSL(?:LeftMargin|RightInline|Block|Indent)\s*", "", listed)
    listed = re.sub(r"\{(\d{1,4}\.)\s*\}%?\s*", r"\1 ", listed)
    before = re.sub(
        r"\\textsuperscript\s*\{([\d, –-]{1,40})\}",
        r" [\1]",
        text[: found.start()],
    )
    return f"{before}\n\n# References\n\n{listed}\n\n{text[found.end() :]}"


def _document(whole: str, veil: Veil) -> str:
    """What is typeset, with title and abstract of the preamble; the rest of a file is hidden."""
    begin = whole.find("\\begin{document}")
    head, body = (whole[:begin], whole[begin + 16 :]) if begin >= 0 else ("", whole)
    end = document_end(body)
    if end >= 0:
        body = body[:end] + veil.hide(body[end + 14 :], "after the end of the document")
    marks = "".join(re.findall("\ue000\\d+\ue001", head))
    abstract = re.search(r"\\abstract\s*(?=\{)", head)
    if abstract is not None:
        body = f"{head[abstract.start() : braced(head, abstract.end())[1]]}\n{body}"
    title = re.search(r"\\title\s*(?:\[[^\]]{0,300}\])?\{", head or body[:5000])
    if title is None:
        return marks + body
    name, _ = braced(head or body, title.end() - 1)
    return f"{marks}\n\n# {' '.join(name.split())}\n\n{body}"


def _hidden(text: str, veil: Veil) -> str:
    """Take out what is typeset invisibly: phantoms, white letters, letters of no size."""

    def argument(match: re.Match[str]) -> tuple[str, int]:
        words, end = braced(match.string, match.end() - 1)
        how = "\\phantom" if "phantom" in match[0] else "white text"
        return veil.hide(_plain(words), how), end

    def group(match: re.Match[str]) -> tuple[str, int]:
        inner, end = braced(match.string, match.start())
        return veil.hide(_plain(inner[len(match[0]) - 1 :]), "white text"), end

    return rewritten(rewritten(text, _HIDDEN, argument), _WHITE_GROUP, group)


def _citation(match: re.Match[str]) -> str:
    keys = [key.strip() for key in match[3].split(",") if key.strip()]
    command = match[1].lower()
    if command.startswith("nocite"):
        return "".join(f" \ue002{key}\ue003" for key in keys)
    if command in ("citet", "textcite", "citeauthor", "citeyear", "citealt", "citep*"):
        return " " + ", ".join(f"@{key}" for key in keys)
    return " [" + "; ".join(f"@{key}" for key in keys) + "]"


def _citations(match: re.Match[str]) -> str:
    r"""Several works in brackets of their own, as biblatex's `\cites` takes them."""
    keys = [
        key.strip() for group in re.findall(r"\{([^{}]+)\}", match[2]) for key in group.split(",")
    ]
    return " [" + "; ".join(f"@{key}" for key in keys if key) + "]"


def _headings(text: str) -> str:
    def heading(match: re.Match[str]) -> tuple[str, int]:
        title, end = braced(match.string, match.end() - 1)
        return f"\n\n{'#' * _LEVELS[match[1]]} {' '.join(title.split())}\n\n", end

    return rewritten(text, _HEADING, heading)


def _plain(text: str) -> str:
    """Formulas, signs and commands as they are printed."""
    text = _MATH.sub(lambda match: math_text(match[1] or match[2] or match[3] or ""), text)
    text = letters(accents(_HREF.sub(r"\2 (\1)", _FIRST_ARGUMENT.sub("", text))))
    text = text.replace("\\\\", "\n").replace("\\item", "\n- ")
    text = _DROPPED.sub("", text)
    text = text.replace("\\footnote{", " {")
    text = _COMMAND.sub("", _ENVIRONMENT.sub("", text))
    text = re.sub(r"\\([%&$#_{}])", "\ue004\\1", text)
    text = re.sub(r"(?<!\ue004)[{}]", "", text).replace("\ue004", "")
    text = re.sub(r"\\[ ,;:!/@-]", " ", text).replace("~", " ")
    text = text.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”")
    return re.sub(r"\n[ \t]*(?:\n[ \t]*)+\n", "\n\n", re.sub(r"[ \t]{2,}", " ", text))
