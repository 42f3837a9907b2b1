# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
r"""Turns LaTeX into the text that is printed, with headings, tables and citations as in Markdown.

It is a reader, not a compiler: macros that the paper's files define are expanded, unknown commands
are dropped and their arguments kept. Headings become `# Title`, tables rows of cells between bars,
`\citep{a,b}` becomes `[@a; @b]` and `\citet{a}` becomes `@a`.
"""

import re
from pathlib import Path

from plumbrule.oversight.papers.latex_macros import (
    Macro,
    braced,
    expand,
    rewritten,
    siunitx,
    take_definitions,
    unknown_numbers,
)
from plumbrule.oversight.papers.markup import (
    AT,
    Veil,
    accents,
    decoded,
    letters,
    math_text,
    uncover,
)

DEEPEST_INPUT = 10
"""Files that name one another; a deeper chain is taken for a circle."""

MOST_FILES = 500
LARGEST_SOURCE = 20_000_000
"""Bytes of one file beside the paper, and characters of all LaTeX sources together."""

_INPUT = re.compile(r"\\(?:input|include|subfile)\s*\{([^{}\n]{1,300})\}")
_PACKAGE = re.compile(r"\\usepackage\s*(?:\[[^\[\]]{0,300}\]\s*)?\{([^{}]{1,300})\}")
_VERB = re.compile(
    r"\\(?:verb\*?|lstinline|mintinline\{[^{}]{1,30}\})([^a-zA-Z\s*{\[])(.{1,500}?)\1"
)
_CONDITION = re.compile(r"\\(if(?!f(?![a-zA-Z])|thenelse)[a-zA-Z]*|fi)(?![a-zA-Z])")
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%([^\n]*)")
_VERBATIM = re.compile(
    r"\\begin\{(verbatim|lstlisting|minted|comment)\*?\}(.*?)(?:\\end\{\1\*?\}|\Z)", re.DOTALL
)
_IF_FALSE = re.compile(r"\\iffalse(?![a-zA-Z])(.*?)(?:\\fi(?![a-zA-Z])|\Z)", re.DOTALL)


class SourceReader:
    """Puts the files of one paper together."""

    def __init__(self, folder: Path, veil: Veil) -> None:
        self.notes: list[str] = []
        self._folder = folder.resolve()
        self._veil = veil
        self._files = 0
        self._length = 0

    def clean(self, text: str, depth: int = 0) -> str:
        """Take out comments and blocks that are not typeset, and put in the files named."""
        text = _VERBATIM.sub(self._block, uncover(text, self._veil))
        text = _VERB.sub(lambda match: self._veil.hide(match[2], "code block"), text)
        text = _COMMENT.sub(lambda m: m[1] + self._veil.hide(m[2], "LaTeX comment"), text)
        text = _IF_FALSE.sub(lambda match: self._veil.hide(match[1], "LaTeX comment"), text)
        return _INPUT.sub(lambda match: self._file(match[1].strip(), depth), text)

    def _block(self, match: re.Match[str]) -> str:
        comment = match[1] == "comment"
        return self._veil.hide(match[2], "LaTeX comment" if comment else "code block") + "\n"

    def _file(self, name: str, depth: int) -> str:
        path = self.inside(name, ".tex")
        if path is None:
            return ""
        if depth >= DEEPEST_INPUT or self._files >= MOST_FILES:
            self.notes.append(f"`{name}` was not read: too many files name one another")
            return ""
        text = decoded(path.read_bytes())
        self._files += 1
        self._length += len(text)
        if self._length > LARGEST_SOURCE:
            self.notes.append(f"`{name}` was not read: the sources are too long together")
            return ""
        return self._part(self.clean(text, depth + 1), name)

    def _part(self, text: str, name: str) -> str:
        r"""A file as a part of another: its own frame, if it has one, is none of the whole."""
        begin = text.find("\\begin{document}")
        if begin >= 0 and not _in_condition(text, begin):
            text = text[begin:]
        end = document_end(text, part=True)
        if end >= 0 and begin < 0:
            self.notes.append(f"`{name}` ends the document; what follows it was read as well")
        if end >= 0:
            text = text[:end] + self._veil.hide(text[end:], "after the end of the document")
        return re.sub(r"\\(?:begin|end)\s*\{document\}", "", text)

    def packages(self, text: str) -> dict[str, Macro]:
        """Macros that style files in the paper's folder define."""
        known: dict[str, Macro] = {}
        for match in _PACKAGE.finditer(text):
            for name in match[1].split(",")[:20]:
                path = self._file_of(f"{name.strip()}.sty")
                inside = path is not None and path.is_relative_to(self._folder)
                if path is not None and inside and path.stat().st_size < LARGEST_SOURCE:
                    known |= take_definitions(decoded(path.read_bytes()))[1]
        return known

    def _file_of(self, name: str) -> Path | None:
        """The file of that name, wherever it really lies; None where there is none."""
        try:
            path = (self._folder / name).resolve()
            return path if path.is_file() else None
        except (OSError, ValueError):
            return None

    def inside(self, name: str, suffix: str) -> Path | None:
        """Find a file that the paper names; None, with a note, where it may not or cannot be."""
        path = self._file_of(name) or self._file_of(name + suffix)
        reason = ""
        if path is None:
            reason = "there is no such file in the paper's folder"
        elif not path.is_relative_to(self._folder):
            reason = "it lies outside the paper's folder"
        elif path.stat().st_size > LARGEST_SOURCE:
            reason = f"it has more than {LARGEST_SOURCE:,} bytes"
        if reason:
            self.notes.append(f"`{name}` was not read: {reason}")
        return None if reason else path


def document_end(text: str, *, part: bool = False) -> int:
    r"""Where the document ends: the first `\end{document}` that no brace or condition holds.

    Args:
        text: From the beginning of the document.
        part: Of an included file, whose braces are its own.

    Returns:
        -1 where it never does; of a whole document whose braces do not close, the last one.
    """
    last = -1
    for match in re.finditer(r"\\end\s*\{document\}", text):
        last = match.start()
        if not _in_condition(text, last) and _depth(text[:last]) <= 0:
            return last
    return -1 if part or last < 0 or _in_condition(text, last) else last


def _in_condition(text: str, at: int) -> bool:
    depth = 0
    for match in _CONDITION.finditer(text, 0, at):
        depth = max(0, depth + (-1 if match[1] == "fi" else 1))
    return depth > 0


def _depth(text: str) -> int:
    found = re.findall(r"\\.|[{}]", text, re.DOTALL)
    return found.count("{") - found.count("}")


def unbalanced(source: str) -> tuple[str, ...]:
    """Say which braces and environments of a source do not close; LaTeX would stop at them."""
    notes = []
    depth, opened, line = 0, 0, 1
    for match in re.finditer(r"\\.|[{}\n]", source, re.DOTALL):
        if match[0].endswith("\n"):
            line += 1
        elif match[0] == "{":
            opened = line if depth == 0 else opened
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth < 0:
                notes.append(f"a brace closes in line {line} that was never opened")
                depth = 0
    if depth:
        notes.append(f"a brace opened in line {opened} never closes")
    open_names: list[str] = []
    for match in re.finditer(r"\\(begin|end)\s*\{([^{}\n]{1,60})\}", source):
        if match[1] == "begin":
            open_names.append(match[2])
        elif open_names and open_names[-1] == match[2]:
            open_names.pop()
        else:
            notes.append(f"`\\end{{{match[2]}}}` does not close what was opened last")
            break
    else:
        notes.extend(f"`\\begin{{{name}}}` never ends" for name in open_names)
    return tuple(f"LaTeX does not compile: {note}; read as well as possible" for note in notes[:5])


_FLOAT = re.compile(
    r"\\begin\{(table|figure|wrapfigure|wraptable|longtable|sidewaystable)(\*?)\}(.*?)\\end\{\1\*?\}",
    re.DOTALL,
)
_LABEL = re.compile(r"\\label\s*\{([^{}\n]{1,200})\}")
_CAPTION = re.compile(
    r"\\caption\*?\s*(?:\[[^\]]{0,500}\])?\{((?:[^{}]|\{(?:[^{}]|\{[^{}]{0,300}\}){0,300}\}){0,3000})\}"
)
_REF = re.compile(
    r"(?:(Tables?|Figures?|Figs?\.|Tabs?\.)[~\s]*)?\\(auto|c|C|eq|page|name)?ref\*?\s*\{([^{}\n]{1,200})\}"
)
_TABULAR = re.compile(
    r"\\begin\{(tabular[x*]?|longtable|tabulary|tabu|NiceTabular|xltabular|(?:long|tall)?tblr)\}(?:\[[^\]]{0,20}\])?(?:\{[^{}]{0,60}\}(?=\s*\{))?"
    r"\{(?:[^{}]|\{[^{}]{0,60}\}){0,400}\}(.*?)\\end\{\1\}",
    re.DOTALL,
)
_RULES = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|addlinespace|endhead|endfirsthead|endfoot|endlastfoot"
    r"|centering|small|footnotesize)(?:\[[^\]]{0,20}\])?|\\c(?:mid|)line\{[^{}]{0,20}\}"
    r"|\\cmidrule(?:\([^)]{0,9}\))?\{[^{}]{0,20}\}"
)
_SPAN = re.compile(r"\\multi(?:column|row)\{([^{}]{1,9})\}\{[^{}]{0,40}\}\{([^{}]{0,300})\}")


def number_floats(text: str) -> tuple[str, tuple[str, ...]]:
    """Write captions as `Table 1: …` and references as their numbers.

    Returns:
        The text, and the labels that are referred to and do not exist, each once.
    """
    numbers = {"Table": 0, "Figure": 0}
    names: dict[str, str] = {}

    def captioned(match: re.Match[str]) -> str:
        kind = "Table" if "table" in match[1] else "Figure"
        caption = _CAPTION.search(match[3])
        inner = match[3]
        if caption is not None:
            numbers[kind] += 1
            for label in _LABEL.finditer(match[3]):
                names[label[1]] = f"{kind} {numbers[kind]}"
            words = _LABEL.sub("", " ".join(caption[1].split()))
            head = f"\n\n{kind} {numbers[kind]}: {words}\n\n"
            inner = head + _CAPTION.sub("", inner, count=1)
        if match[1] == "longtable":  # float and grid in one
            inner = _longtable(match[0], inner)
        return f"\n\n{inner}\n\n"

    text = _FLOAT.sub(captioned, text)
    sections = {match[1] for match in _LABEL.finditer(text)}
    lost: dict[str, None] = {}

    def referred(match: re.Match[str]) -> str:
        word, how, label = match[1], match[2], match[3]
        name = names.get(label)
        if name is None:
            if label not in sections and "," not in label:
                lost[label] = None
            return f"{word} ??" if word else "??"
        return name if word or how in ("auto", "c", "C") else name.split()[1]

    return _REF.sub(referred, text), tuple(lost)


def _longtable(whole: str, inner: str) -> str:
    """Keep the environment around a grid that is its own float."""
    head = re.match(
        r"\\begin\{longtable\}(?:\[[^\]]{0,20}\])?\{(?:[^{}]|\{[^{}]{0,60}\}){0,400}\}", whole
    )
    caption, _, rest = inner.rpartition("\n\n")
    columns = head[0] if head else "\\begin{longtable}{l}"
    bare = re.sub(r"^\s*(?:\[[^\]]{0,20}\])?\{(?:[^{}]|\{[^{}]{0,60}\}){0,400}\}", "", rest)
    return f"{caption}\n\n{columns}{bare}\\end{{longtable}}"


def tabular_rows(text: str) -> str:
    """Write every `tabular` as rows of cells between bars."""
    return _TABULAR.sub(lambda match: "\n\n" + _rows(match[2]) + "\n\n", text)


_INNER = re.compile(
    r"\\begin\{(array|[pbvBV]?matrix|smallmatrix|cases|aligned|split)\}(?:\{[^{}]{0,60}\})?(.{1,3000}?)"
    r"\\end\{\1\}",
    re.DOTALL,
)
_COLUMN = re.compile(r"(?<!\\)&")


def loose_cells(text: str) -> tuple[str, ...]:
    """Say that rows of numbers are in no table that is known, if they do."""
    lines = _INNER.sub("", text).split("\n")
    rows = [each for each in lines if len(_COLUMN.findall(each)) > 1 and re.search(r"\d", each)]
    if len(rows) < 2:
        return ()
    return (f"{len(rows)} rows of cells are in no table that could be read",)


def _rows(grid: str) -> str:
    grid = _SPAN.sub(_spanned, _LABEL.sub("", _RULES.sub("", grid)))
    lines = []
    for row in re.split(r"\\\\(?:\s*\[[^\]\n]{0,20}\])?", grid):
        cells = [" ".join(cell.split()) for cell in re.split(r"(?<!\\)&", row)]
        if any(cells):
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


def _spanned(match: re.Match[str]) -> str:
    """A cell over several columns is in the first of them; the others are empty."""
    columns = int(match[1]) if match[0].startswith("\\multicolumn") and match[1].isdigit() else 1
    return match[2] + " & " * (min(columns, 50) - 1)


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
