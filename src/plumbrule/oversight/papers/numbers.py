# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks that the numbers of a paper agree: abstract, text, tables, changes, cross-references."""

import re
from collections.abc import Iterator
from decimal import Decimal

from plumbrule.oversight.papers.abstract import changed_samples, check_abstract
from plumbrule.oversight.papers.counts import (
    listed_parts,
    parts_of_whole,
    reversed_ranges,
    shares_of_counts,
)
from plumbrule.oversight.papers.document import (
    CheckResult,
    Flaw,
    Paper,
    PaperSentence,
    in_order,
    word_set,
)
from plumbrule.oversight.papers.lists import listed_counts, numbers_again
from plumbrule.oversight.papers.quantities import NUMBER, PrintedNumber, read_number
from plumbrule.oversight.papers.references import expanded
from plumbrule.oversight.papers.tested_rows import check_test_rows
from plumbrule.oversight.papers.totals import check_tables

_UP = r"rose|risen|rise|increas\w+|grew|grown|climb\w*"
_DOWN = r"fell|fallen|drop\w*|decreas\w+|declin\w+|shrank"
_UNIT = r"(?:\s*%|\s*percent|\s+[a-z]{1,12})?"
_CHANGE = re.compile(
    rf"\b(?:(?P<up>{_UP})|(?P<down>{_DOWN})|chang\w+|went|improv\w+|reduc\w+)\b[^.;:]{{0,80}}?\bfrom\s+"
    rf"(?P<first>{NUMBER})(?P<unit>{_UNIT})\s+to\s+(?P<last>{NUMBER})(?P<last_unit>{_UNIT})"
    rf"(?:,?\s*\(?(?:(?:that is|i\.e\.|or),?\s+)?(?:(?:an?|the)\s+(?:[a-z]+\s+){{0,2}}?"
    rf"(?:increase|rise|gain|growth|decrease|drop|decline|fall|reduction|change|difference)\s+of|by)"
    rf"\s+(?P<by>{NUMBER})(?P<by_unit>\s*%|\s*percent(?:age points?)?|\s+points?)?)?",
    re.IGNORECASE,
)
_PERCENTAGE = re.compile(
    rf"(?P<share>{NUMBER})\s*(?:%|percent\b|per cent\b)(?P<what>[^%;()]{{0,80}}?)"
    r"(?=,|;|\)|\.|$|\s+and\s)"
)
_APART = re.compile(
    r"\baged?\b|\byears?[ -]olds?\b|\b(?:wo)?men\b|\b(?:fe)?males?\b|\bgirls?\b|\bboys?\b"
    r"|\bnon-?binary\b|\bsingle\b|\bmarried\b|\bdivorced\b|\bwidowed\b|\b(?:left|right)-handed\b"
    r"|\bnever\b|\bsometimes\b|\boften\b|\balways\b|\bgrade\b|\bprimary\b|\bsecondary\b"
    r"|\bno (?:answer|opinion)\b|\bundecided\b|\bunsure\b|\bdisagreed?\b|\bagreed?\b|\bneutral\b",
    re.IGNORECASE,
)
"""Words for groups of which everybody belongs to one."""

FEWEST_PARTS = 3


def changes(paper: Paper, sentence: PaperSentence) -> Iterator[Flaw | None]:
    """Changes such as `rose from 12 to 15, an increase of 3`; None for one that holds.

    Kind: `change_mismatch`. A change in per cent may be one of points or of the first number.
    """
    for match in _CHANGE.finditer(sentence.text):
        first, last = read_number(match["first"]), read_number(match["last"])
        if first is None or last is None or _other_units(match["unit"], match["last_unit"]):
            continue
        problem = _problem(match, first, last)
        if problem is None:
            yield None
            continue
        yield paper.flaw(
            "change_mismatch",
            problem,
            (sentence.start + match.start(), sentence.start + match.end()),
        )


def _other_units(one: str, other: str) -> bool:
    """Whether two numbers are in units of their own, such as mg and g."""
    first, second = one.strip().lower(), other.strip().lower()
    return bool(first and second) and first != second and not {first, second} & _NO_UNITS


_NO_UNITS = word_set("and in at on for with by per after of the a an")


def _problem(match: re.Match[str], first: PrintedNumber, last: PrintedNumber) -> str | None:
    """What is wrong with a change; None where nothing is."""
    told = f"from {match['first']} to {match['last']}"
    if (match["up"] and last.value < first.value) or (match["down"] and last.value > first.value):
        return f"{told} is no {'rise' if match['up'] else 'fall'}"
    by = read_number(match["by"]) if match["by"] else None
    if by is None or (not match["by_unit"] and 1900 <= by.value < 2100):
        return None
    size = abs(last.value - first.value)
    room = first.half + last.half + by.half
    if abs(size - abs(by.value)) <= room:
        return None
    percent = (match["by_unit"] or "").strip() in ("%", "percent")
    if percent and first.value > first.half:
        low = 100 * (size - first.half - last.half) / (first.value + first.half)
        high = 100 * (size + first.half + last.half) / (first.value - first.half)
        if low - by.half <= abs(by.value) <= high + by.half:
            return None
        exact = 100 * size / first.value
        return f"{told} is a change of {size} or of {exact:.3g}%, the text says {by.value}%"
    return f"{told} is a change of {size}, the text says {by.value}"


def percentage_parts(paper: Paper, sentence: PaperSentence) -> Iterator[Flaw | None]:
    """Percentages of groups that part one whole: together they are no more than 100.

    Kind: `percentage_total`. Only lists of three and more are looked at whose groups nobody can
    belong to two of, such as ages; fewer than 100 may be named for other reasons.
    """
    run: list[re.Match[str]] = []
    for match in [*_PERCENTAGE.finditer(sentence.text), None]:
        if match is not None and run and match.start() - run[-1].end() <= len(", and "):
            run.append(match)
            continue
        if len(run) >= FEWEST_PARTS and sum(bool(_APART.search(each["what"])) for each in run) >= 2:
            yield _over(paper, sentence, run)
        run = [match] if match is not None else []


def _over(paper: Paper, sentence: PaperSentence, run: list[re.Match[str]]) -> Flaw | None:
    shares = [share for each in run if (share := read_number(each["share"])) is not None]
    value = sum((share.value for share in shares), Decimal(0))
    allowed = sum((share.half for share in shares), Decimal(0))
    if value <= 100 + allowed:
        return None
    return paper.flaw(
        "percentage_total",
        f"the percentages add up to {value}, to more than 100 (rounding allows {allowed})",
        (sentence.start + run[0].start(), sentence.start + run[-1].end()),
    )


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


def missing_floats(paper: Paper) -> CheckResult:
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
                for number in dict.fromkeys(expanded(match["list"], longest=20))
                if number not in known[kind]
            ]
    return CheckResult(
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


def _flaw(paper: Paper, match: re.Match[str], message: str) -> Flaw:
    return paper.flaw("missing_float", message, match.span())


def check_numbers(paper: Paper) -> CheckResult:
    """Run every check of numbers.

    Kinds: `abstract_mismatch`, `table_total`, `percentage_total`, `percentage_of_count`,
    `subgroup_sum`, `reversed_range`, `change_mismatch`, `missing_float`, `listed_count`,
    `number_changed`, `table_statistic`.
    """
    parts = [
        check(paper)
        for check in (check_tables, _sentences, check_abstract, missing_floats, check_test_rows)
    ]
    left = [reason for part in parts for reason in part.not_checked]
    if not paper.tables:
        left.append("sums of tables: no table was found")
    return CheckResult(
        name="numbers",
        checked=sum(part.checked for part in parts),
        flaws=in_order([flaw for part in parts for flaw in part.flaws]),
        not_checked=tuple(left),
    )


def _sentences(paper: Paper) -> CheckResult:
    found: list[Flaw | None] = []
    end = paper.references.start if paper.references else len(paper.text)
    before = None
    for sentence in paper.sentences:
        if sentence.start >= end:
            break
        if sentence.text.startswith("|"):
            continue
        found += (
            *shares_of_counts(paper, sentence),
            *parts_of_whole(paper, before, sentence),
            *listed_parts(paper, sentence),
            *reversed_ranges(paper, sentence),
            *changes(paper, sentence),
            *percentage_parts(paper, sentence),
        )
        before = sentence
    found += (*listed_counts(paper), *numbers_again(paper), *changed_samples(paper))
    flaws = tuple(each for each in found if each is not None)
    return CheckResult(name="sentences", checked=len(found), flaws=flaws, not_checked=())
