# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Finds the headings of a text, and with them its abstract and its list of references."""

import re

from plumbrule.oversight.papers.document import Section

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
    """Find the headings of a text and what stands under each.

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
