# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks that every table and figure that the text points to exists."""

import re
from collections.abc import Iterator

from plumbrule.oversight.papers.document import Check, Flaw, Paper

_CAPTION = re.compile(
    r"^[ \t*_#>]*(?P<kind>Table|Tab\.|Figure|Fig\.)[ \t]+(?P<number>\d{1,3})[ \t]*(?:[.:|—–]|\*"
    r"|\s+[A-Z]|[ \t]*$)",
    re.MULTILINE,
)
_POINTER = re.compile(
    r"\b(?P<kind>Tables?|Tabs?\.|Figures?|Figs?\.)[ \t\n]+(?P<list>\d{1,3}[a-h]?(?:(?:,\s*"
    r"|\s*[–-]\s*|\s+and\s+|,\s+and\s+|\s*&\s*)\d{1,3}[a-h]?\b)*|\?\?)"
)
_ELSEWHERE = re.compile(
    r"^\s*(?:of|in|from)\s+(?:the\s+)?(?:[A-Z@\[]|supplement|appendix|online|original)|^[^.;]{0,30}\bsupplement",
    re.IGNORECASE,
)
_WORK_BEFORE = re.compile(
    r"(?:\d{4}[a-z]?|@[\w:-]+|et al\.|supplement\w*|appendix|online|see|their|\[\d+)[,;]?\s*$", re.I
)


def missing_floats(paper: Paper) -> Check:
    """Compare pointers such as `Table 3` with the captions; kind `missing_float`.

    Where a paper has no caption of a kind at all, its tables or figures may simply not have been
    read, and nothing is claimed.
    """
    known: dict[str, set[int]] = {"Table": set(), "Figure": set()}
    captions = set()
    for match in _CAPTION.finditer(paper.text):
        known[_kind(match["kind"])].add(int(match["number"]))
        captions.add(match.start("kind"))
    flaws, checked, unsure = [], 0, set()
    end = paper.references.start if paper.references else len(paper.text)
    for match in _POINTER.finditer(paper.text, 0, end):
        kind = _kind(match["kind"])
        if match.start() in captions or _is_elsewhere(paper.text, match):
            continue
        checked += 1
        if match["list"] == "??":
            flaws.append(_flaw(paper, match, f"a reference to a {kind.lower()} leads nowhere"))
        elif not known[kind]:
            unsure.add(kind)
        else:
            flaws += [
                _flaw(paper, match, f"the text points to {kind} {number}, which does not exist")
                for number in _numbers(match["list"])
                if number not in known[kind]
            ]
    return Check(
        name="cross-references",
        checked=checked,
        flaws=tuple(flaws),
        not_checked=tuple(
            f"references to {kind.lower()}s: no caption of a {kind.lower()} was found"
            for kind in sorted(unsure)
        ),
    )


def _kind(word: str) -> str:
    return "Table" if word.lower().startswith("tab") else "Figure"


def _is_elsewhere(text: str, match: re.Match[str]) -> bool:
    """Whether a table of another work is meant."""
    before, after = (
        text[max(0, match.start() - 30) : match.start()],
        text[match.end() : match.end() + 60],
    )
    return bool(_ELSEWHERE.match(after) or _WORK_BEFORE.search(before)) and match["list"] != "??"


def _numbers(words: str) -> Iterator[int]:
    parts = re.split(r",\s*and\s+|,\s*|\s+and\s+|\s*&\s*", words)
    for part in parts:
        ends = [int(re.sub(r"\D", "", each)) for each in re.split(r"\s*[–-]\s*", part)]
        if len(ends) == 2 and 0 <= ends[1] - ends[0] <= 20:
            yield from range(ends[0], ends[1] + 1)
        else:
            yield from ends


def _flaw(paper: Paper, match: re.Match[str], message: str) -> Flaw:
    return Flaw(
        kind="missing_float",
        severity="low",
        message=message,
        evidence=(paper.evidence(*match.span()),),
    )
