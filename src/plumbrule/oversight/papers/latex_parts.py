"""Puts a LaTeX paper together from its files, and numbers its tables and figures."""

import re
from pathlib import Path

from plumbrule.oversight.papers.latex_macros import Macro, take_definitions
from plumbrule.oversight.papers.markup import Veil, decoded, uncover

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
    """Say that rows of numbers stand in no table that is known, if they do."""
    lines = _INNER.sub("", text).split("\n")
    rows = [each for each in lines if len(_COLUMN.findall(each)) > 1 and re.search(r"\d", each)]
    if len(rows) < 2:
        return ()
    return (f"{len(rows)} rows of cells stand in no table that could be read",)


def _rows(grid: str) -> str:
    grid = _SPAN.sub(_spanned, _LABEL.sub("", _RULES.sub("", grid)))
    lines = []
    for row in re.split(r"\\\\(?:\s*\[[^\]\n]{0,20}\])?", grid):
        cells = [" ".join(cell.split()) for cell in re.split(r"(?<!\\)&", row)]
        if any(cells):
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


def _spanned(match: re.Match[str]) -> str:
    """A cell over several columns stands in the first of them; the others are empty."""
    columns = int(match[1]) if match[0].startswith("\\multicolumn") and match[1].isdigit() else 1
    return match[2] + " & " * (min(columns, 50) - 1)
