# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Cuts a text into sentences, sections and tables, with their places."""

import re
from collections.abc import Iterator

from plumbrule.oversight.papers.document import PaperSentence, Section, Table, TableCell, word_set

_BLOCK = re.compile(r"\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
_OWN_LINE = re.compile(r"\s*(?:#{1,6} |\||[-*+] |\[[^\]\s]{1,60}\] |\d{1,3}\. )")
_END = re.compile(r"[.!?][\"”’')\]]*\s+(?=[\"“‘'(\[]?[A-Z0-9@À-Þ])")
_ABBREVIATIONS = word_set(
    """
    al e.g i.e cf vs fig figs eq eqs tab sec dr mr mrs ms prof st no nos p pp vol ed eds
    approx ca resp etc viz jr sr inc dept univ
    """
)
_LAST_WORD = re.compile(r"([\w.]+)\.[\"”’')\]]*\s+$")


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans of paragraphs; headings, rows of tables and items of lists stand alone."""
    for match in _BLOCK.finditer(text):
        start = at = match.start()
        for line in match[0].split("\n"):
            if _OWN_LINE.match(line):
                if start < at:
                    yield start, at - 1
                start = at
                if line.lstrip().startswith(("#", "|")):
                    yield at, at + len(line)
                    start = at + len(line) + 1
            at += len(line) + 1
        if start < match.end():
            yield start, match.end()


def split_sentences(text: str) -> tuple[PaperSentence, ...]:
    """Cut a text at full stops, question and exclamation marks that end a sentence.

    Abbreviations and initials end none. Rows of tables and headings come as they are.

    Example:
        >>> [each.text for each in split_sentences("We saw this (Lee et al. 2019). It held.")]
        ['We saw this (Lee et al. 2019).', 'It held.']
    """
    found = []
    for start, end in blocks(text):
        at = start
        block = text[start:end]
        for match in _END.finditer(block):
            if not _abbreviated(block[max(0, match.start() - 30) : match.end()]):
                found.append(_sentence(text, at, start + match.end()))
                at = start + match.end()
        found.append(_sentence(text, at, end))
    return tuple(each for each in found if each.text)


def _abbreviated(before: str) -> bool:
    match = _LAST_WORD.search(before)
    if match is None:
        return False
    word = match[1].lower()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha())


def _sentence(text: str, start: int, end: int) -> PaperSentence:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return PaperSentence(text=piece.strip(), start=start, end=start + len(piece.strip()))


_MARKED = re.compile(r"^(#{1,6})[ \t]*([^\n]*)$", re.MULTILINE)
_ATTRIBUTES = re.compile(r"[ \t]*\{[^{}\n]{0,100}\}[ \t]*$")
_UNDERLINED = re.compile(r"^(?=\S)([^\n|]{2,100})\n(={3,}|-{3,})[ \t]*$", re.MULTILINE)
_NUMBER = r"(?:(?:\d{1,2}(?:\.\d{1,2}){0,3}|[IVX]{1,4}|[A-H])(?:[.:]|[ \t]*\|)?[ \t]+)?"
_KNOWN = (
    r"abstract|summary|(?:general |concluding )?(?:introduction|discussion|remarks)|background"
    r"|related work|literature review|(?:materials? and |data and )?methods?|methodology"
    r"|participants(?: and procedure)?|procedure|measures|materials|data|experiments?"
    r"|(?:statistical )?analys[ie]s|results?(?: and discussion)?|limitations|conclusions?"
    r"|discussion and conclusions?|acknowledge?ments?|funding|appendix(?: [A-Z])?"
    r"|a ?b ?s ?t ?r ?a ?c ?t|references(?: cited| and notes)?|bibliography|literature cited"
    r"|works cited"
)
_WORDS = re.compile(rf"^[ \t]*{_NUMBER}({_KNOWN})[ \t]*:?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_NUMBERED = re.compile(
    r"(?:\A|\n[ \t]*)\n(?P<head>\d{1,2}(?:\.\d{1,2}){0,3}\.?[ \t]+[A-Z][^\n.!?;|]{2,80})[ "
    r"\t]*\n(?=[ \t]*\n)"
)
_RUN_IN = re.compile(
    r"^[ \t]*(abstract|summary)[ \t]*[.:—–-][ \t]*(?=\S)", re.MULTILINE | re.IGNORECASE
)
_ABSTRACT = re.compile(rf"^{_NUMBER}(?:a ?b ?s ?t ?r ?a ?c ?t|summary)\s*:?$", re.IGNORECASE)
_REFERENCES = re.compile(
    rf"^{_NUMBER}(?:references(?: cited| and notes| list)?|bibliography|literature(?: cited)?"
    r"|works cited)\s*:?$",
    re.IGNORECASE,
)


def find_sections(text: str, *, marked: bool) -> tuple[Section, ...]:
    """Find the headings of a text and what is under each.

    Args:
        text: The paper's text.
        marked: Headings are marked with `#` or underlined, as in Markdown. Otherwise they are
            known by their words, or by a number and blank lines around them.
    """
    heads: dict[int, tuple[str, int]] = {}
    for match in _MARKED.finditer(text):
        title = _ATTRIBUTES.sub("", match[2]).strip(" #*")
        heads[match.start()] = (title, len(match[1]))
    for match in _UNDERLINED.finditer(text):
        heads[match.start()] = (match[1].strip(), 1 if match[2][0] == "=" else 2)
    if not marked or len(heads) < 2:
        heads |= _unmarked(text)
    starts = sorted(heads)
    return tuple(
        Section(title=heads[start][0], level=heads[start][1], start=start, end=end)
        for start, end in zip(starts, [*starts[1:], len(text)], strict=False)
    )


def _unmarked(text: str) -> dict[int, tuple[str, int]]:
    heads = {
        match.start(): (match[0].strip(" \t:"), 1)
        for match in _WORDS.finditer(text)
        if _stands_alone(text, match)
    }
    for match in _NUMBERED.finditer(text):
        words = match["head"].strip()
        heads[match.start("head")] = (words, 1 + words.split()[0].strip(".").count("."))
    for match in _RUN_IN.finditer(text):
        heads.setdefault(match.start(), (match[1], 1))
    return heads


def _stands_alone(text: str, match: re.Match[str]) -> bool:
    """Whether a word on a line of its own is a heading, and no piece of a sentence around it."""
    if match[1][0].islower() and match[0].strip() == match[1].strip():
        return False
    before = text[max(0, match.start() - 200) : match.start()].rstrip(" \t")
    after = text[match.end() : match.end() + 40].lstrip(" \t")
    runs_in = before.endswith("\n") and before[:-1].rstrip(" \t")[-1:] not in ("", "\n", *".!?:;")
    return not (runs_in and re.match(r"\n[ \t]*[a-z]", after))


def find_abstract(text: str, sections: tuple[Section, ...]) -> Section | None:
    """The section called abstract; where it runs in with its text, its first paragraph."""
    for section in sections:
        if not _ABSTRACT.match(section.title):
            continue
        first = text[section.start : section.end].split("\n", 1)[0]
        if not _RUN_IN.match(first):
            return section
        end = text.find("\n\n", section.start, section.end)
        end = section.end if end < 0 else end
        return Section(title=section.title, level=section.level, start=section.start, end=end)
    return None


def find_references(text: str, sections: tuple[Section, ...]) -> Section | None:
    """The last section called references, up to the next heading."""
    for section in reversed(sections):
        if _REFERENCES.match(section.title) and text[section.start : section.end].strip():
            return section
    return None


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


def _barred(line: str, start: int) -> tuple[TableCell, ...]:
    inner_start = line.find("|") + 1 if line.lstrip().startswith("|") else 0
    inner_end = line.rfind("|") if line.rstrip().endswith("|") else len(line)
    cells, at = [], inner_start
    for piece in line[inner_start:inner_end].split("|"):
        cells.append(_cell(piece, start + at))
        at += len(piece) + 1
    return tuple(cells)


def _spaced(line: str, start: int) -> tuple[TableCell, ...]:
    cells, at = [], len(line) - len(line.lstrip())
    stripped_end = len(line.rstrip())
    for match in _GAP.finditer(line, at, stripped_end):
        cells.append(_cell(line[at : match.start()], start + at))
        at = match.end()
    cells.append(_cell(line[at:stripped_end], start + at))
    return tuple(cells)


def _cell(piece: str, start: int) -> TableCell:
    lead = len(piece) - len(piece.lstrip())
    words = piece.strip()
    return TableCell(text=words, start=start + lead, end=start + lead + len(words))


def _caption(lines: list[str], at: int, end: int) -> tuple[str, str]:
    """Label and words of the caption that is nearest, above first."""
    above = [line for line in lines[max(0, at - 8) : at] if line.strip()][-LINES_TO_CAPTION:]
    below = [line for line in lines[end : end + 4] if line.strip()][:1]
    for line in [*reversed(above), *below]:
        match = _CAPTION.match(line.strip())
        if match:
            return f"Table {match[2]}", match[3].strip(" *")
    return "", ""
