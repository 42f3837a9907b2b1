r"""Numbers the tables and figures of a LaTeX source, resolves `\ref`, and writes out `tabular`."""

import re

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
    r"\\begin\{(tabular[x*]?|longtable|tabulary|tabu|NiceTabular|xltabular)\}(?:\[[^\]]{0,20}\])?(?:\{[^{}]{0,60}\}(?=\s*\{))?"
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
