# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
r"""Turns LaTeX into the text that is printed, with headings, tables and citations as in Markdown.

It is a reader, not a compiler: macros without arguments are expanded, unknown commands are
dropped and their arguments kept. Headings become `# Title`, tables rows of cells between bars,
`\citep{a,b}` becomes `[@a; @b]` and `\citet{a}` becomes `@a`.
"""

import re
from pathlib import Path

from plumbrule.oversight.papers.hiding import Veil
from plumbrule.oversight.papers.latex_files import SourceReader, unbalanced
from plumbrule.oversight.papers.latex_floats import number_floats, tabular_rows
from plumbrule.oversight.papers.latex_words import accents, letters, math_text

_MACRO = re.compile(r"\\(?:re)?newcommand\*?\s*\{?\\([a-zA-Z]{1,40})\}?\s*\{([^{}\\]{0,200})\}")
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
_BIBITEM = re.compile(r"\\bibitem\s*(?:\[[^\]]{0,300}\]\s*)?\{([^{}\n]{1,200})\}\s*")
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
    whole = reader.clean(source)
    notes = [*reader.notes, *unbalanced(whole)]
    text = _macros(_document(whole, veil))
    text = _hidden(text, veil)
    text = re.sub(r"\\begin\{abstract\}", "\n\n# Abstract\n\n", text)
    text = re.sub(r"\\end\{abstract\}", "\n\n# \n\n", text)
    text, unresolved = number_floats(text)
    notes += [f"`\\ref{{{name}}}` has no label" for name in unresolved]
    text = tabular_rows(text)
    text = _CITE.sub(_citation, text)
    files = tuple(
        name.strip() for match in _BIB_FILES.finditer(text) for name in match[1].split(",")
    )
    text = _BIB_FILES.sub("", text)
    text = re.sub(r"\\begin\{thebibliography\}(?:\{[^{}]{0,40}\})?", "\n\n# References\n\n", text)
    text = _BIBITEM.sub(lambda match: f"\n\n[{match[1].strip()}] ", text)
    text = _headings(text)
    return _plain(text), files, tuple(notes)


def _document(whole: str, veil: Veil) -> str:
    """What is typeset, with the title as a heading; the rest of a file is hidden."""
    begin = whole.find("\\begin{document}")
    head, body = (whole[:begin], whole[begin + 16 :]) if begin >= 0 else ("", whole)
    end = body.find("\\end{document}")
    if end >= 0:
        body = body[:end] + veil.hide(body[end + 14 :], "after the end of the document")
    title = re.search(r"\\title\s*(?:\[[^\]]{0,300}\])?\{", head or body[:5000])
    macros = "".join(match[0] + "\n" for match in _MACRO.finditer(head))
    marks = "".join(re.findall("\ue000\\d+\ue001", head))
    if title is None:
        return marks + macros + body
    name, _ = braced(head or body, title.end() - 1)
    return f"{marks}\n\n# {' '.join(name.split())}\n\n{macros}{body}"


def _macros(text: str) -> str:
    """Expand macros without arguments: papers keep numbers and names in them."""
    known = {match[1]: match[2] for match in _MACRO.finditer(text)}
    text = _MACRO.sub("", text)
    if not known:
        return text
    names = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    return re.sub(rf"\\({names})(?![a-zA-Z])(?:\{{\}})?", lambda match: known[match[1]], text)


def braced(text: str, start: int) -> tuple[str, int]:
    """What stands in the braces that open at `start`, and where they end; up to 20,000 characters.

    Braces that never close hold what is left of the paragraph.
    """
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start, start + 20_000):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start + 1 : match.start()], match.end()
    end = text.find("\n\n", start)
    end = len(text) if end < 0 else end
    return text[start + 1 : end], end


def _hidden(text: str, veil: Veil) -> str:
    """Take out what is typeset invisibly: phantoms, white letters, letters of no size."""
    for pattern, offset in ((_HIDDEN, -1), (_WHITE_GROUP, None)):
        parts, at = [], 0
        for match in pattern.finditer(text):
            if match.start() < at:
                continue
            inner, end = braced(text, match.end() + offset if offset else match.start())
            how = "\\phantom" if "phantom" in match[0] else "white text"
            words = inner if offset else inner[len(match[0]) - 1 :]
            parts += [text[at : match.start()], veil.hide(_plain(words), how)]
            at = end
        text = "".join(parts) + text[at:]
    return text


def _citation(match: re.Match[str]) -> str:
    keys = [key.strip() for key in match[3].split(",") if key.strip()]
    command = match[1].lower()
    if command.startswith("nocite"):
        return "".join(f" \ue002{key}\ue003" for key in keys)
    if command in ("citet", "textcite", "citeauthor", "citeyear", "citealt", "citep*"):
        return " " + ", ".join(f"@{key}" for key in keys)
    return " [" + "; ".join(f"@{key}" for key in keys) + "]"


def _headings(text: str) -> str:
    parts, at = [], 0
    for match in _HEADING.finditer(text):
        if match.start() < at:
            continue
        title, end = braced(text, match.end() - 1)
        parts += [
            text[at : match.start()],
            f"\n\n{'#' * _LEVELS[match[1]]} {' '.join(title.split())}\n\n",
        ]
        at = end
    return "".join(parts) + text[at:]


def _plain(text: str) -> str:
    """Formulas, signs and commands as they are printed."""
    text = _MATH.sub(lambda match: math_text(match[1] or match[2] or match[3] or ""), text)
    text = letters(accents(_HREF.sub(r"\2 (\1)", text)))
    text = text.replace("\\\\", "\n").replace("\\item", "\n- ")
    text = _DROPPED.sub("", text)
    text = text.replace("\\footnote{", " {")
    text = _COMMAND.sub("", _ENVIRONMENT.sub("", text))
    text = re.sub(r"\\([%&$#_{}])", "\ue004\\1", text)
    text = re.sub(r"(?<!\ue004)[{}]", "", text).replace("\ue004", "")
    text = re.sub(r"\\[ ,;:!/@-]", " ", text).replace("~", " ")
    text = text.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”")
    return re.sub(r"\n[ \t]*(?:\n[ \t]*)+\n", "\n\n", re.sub(r"[ \t]{2,}", " ", text))
