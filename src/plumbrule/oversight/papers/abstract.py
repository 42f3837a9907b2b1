"""Compares the numbers of the abstract with those of the text and the tables.

Two numbers are taken for one quantity only if their units agree and the words around them do. A
number of the abstract that occurs nowhere else is no flaw: it is listed as not checked.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal

from plumbrule.oversight.papers.document import CheckResult, Flaw, Paper, PaperEvidence, word_set
from plumbrule.oversight.papers.quantities import (
    Quantity,
    numbers_in,
    quantities,
    slipped,
    stem,
)
from plumbrule.oversight.papers.quantities import cells as cells_of

AGREES, CONFLICTS = 0.5, 0.75
"""Share of the words around an abstract's number that must be around the other one too: to
count as its repetition, and to count as the same quantity with another value."""

FEWEST_WORDS = 2
_CONTRASTS = frozenset(
    stem(word)
    for word in word_set(
        """
    treatment control placebo intervention experimental sham women men female male girl boy
    baseline pretest posttest before after pre post follow-up followup first second third
    fourth one two three older younger young old high low left right n sd mean median year
    month week day morning evening short long early late training test validation small
    medium large
    """
    )
)


def check_abstract(paper: Paper) -> CheckResult:
    """Find numbers of the abstract that the rest of the paper contradicts.

    Kind: `abstract_mismatch`, with both places as evidence.
    """
    if paper.abstract is None:
        reason = "numbers of the abstract: no part of the paper is called an abstract"
        return CheckResult(name="abstract", checked=0, flaws=(), not_checked=(reason,))
    spans = paper.body()
    inside = [s for s in paper.sentences if paper.abstract.start <= s.start < paper.abstract.end]
    outside = [s for s in paper.sentences if any(a <= s.start < b for a, b in spans)]
    body: dict[str, list[Quantity]] = defaultdict(list)
    for each in quantities(s for s in outside if not s.text.startswith("|")):
        body[each.unit].append(each)
    cells = [each for table in paper.tables for each in cells_of(table)]
    flaws, alone, checked = [], [], 0
    told = {number.value for a, b in spans for _, _, number in numbers_in(paper.text[a:b])}
    here = {each.number.value for each in quantities(inside)}
    for quantity in quantities(inside):
        checked += 1
        same = body[quantity.unit]
        if any(_repeats(quantity, each) for each in [*same, *cells]):
            continue
        rival = _rival(quantity, same) or _rival_cell(quantity, cells)
        if rival is None and quantity.number.value not in told:
            rival = _slip(quantity, [each for each in same if each.number.value not in here])
            rival = rival or _slip_cell(quantity, cells)
        if rival is None:
            alone.append(paper.text[quantity.start : quantity.end])
        else:
            flaws.append(_flaw(paper, quantity, rival))
    sample, places = _sample(paper), {flaw.evidence[0].start for flaw in flaws}
    if sample is not None and sample.evidence[0].start not in places:
        flaws.append(sample)
    left = (
        (f"numbers of the abstract that occur nowhere else: {', '.join(alone)}",) if alone else ()
    )
    return CheckResult(name="abstract", checked=checked, flaws=tuple(flaws), not_checked=left)


PEOPLE = (
    r"(?:participants?|patients?|people|persons?|subjects?|students?|adults?|children|volunteers?"
    r"|respondents?|individuals?|adolescents?|undergraduates?|infants|pupils|teachers?|nurses?)"
)
_SAMPLE = re.compile(
    r"(?:\bsamples? of|\bN\s*="
    r"|\b(?:tested|recruited|studied|surveyed|interviewed|enrolled|examined))"
    r"\s+(?:a total of |data (?:of|from) )?(?P<one>\d{1,3}(?:,\d{3})+|\d{2,7})(?![\d.%]|,\d)"
    rf"|(?<![\d.,])(?P<two>\d{{1,3}}(?:,\d{{3}})+|\d{{2,7}})\s+(?:[a-z-]+\s+){{0,2}}{PEOPLE}\b"
)
_SEVERAL = re.compile(
    r"\b(?:Stud(?:y|ies)|Experiments?|Samples?|Waves?|Cohorts?|Phases?|Sites?|Trials?)\s+(?:[2-9B]|two|II)\b"
    r"|\b(?:second|pilot|both|two|three|replication)\s+(?:stud|experiment|sample|wave|cohort|trial)",
    re.IGNORECASE,
)
_SOME = re.compile(
    r"exclud|remov|dropp|withdr|lost|declin|discard|except|omit|remain|missing|complet|respond|return"
    r"|eligib|screen|invit|analy[sz]ed|another|additional|subset|of (?:them|these|whom|which)"
    r"|(?:fewer|more|less) than|at least|up to|about|studies|samples|previous|earlier|prior",
    re.IGNORECASE,
)
LONG = 3
"""Digits from which two numbers of the same things are seldom a slip apart by chance."""

FARTHEST = 0.5
"""Relative distance up to which two sizes are taken for one sample's."""


def _sample(paper: Paper) -> Flaw | None:
    """The one sample size of the abstract, if the text has another and this one nowhere.

    Sums of two sizes of the text count as there: a sample may be told group by group.
    """
    assert paper.abstract is not None
    inside = _sizes(paper.text, paper.abstract.start, paper.abstract.end)
    outside = [each for a, b in paper.body() for each in _sizes(paper.text, a, b)]
    if len({size for size, _ in inside}) != 1 or not outside:
        return None
    size, place = inside[0]
    body = " ".join(paper.text[a:b] for a, b in paper.body())
    others = {
        int(each.replace(",", "")) for each in re.findall(r"\d{1,3}(?:,\d{3})+|\d{1,7}", body)
    }
    if size in others or any(size - each in others and each > 1 for each in others):
        return None
    near = min(outside, key=lambda each: abs(each[0] - size))
    if abs(near[0] - size) > FARTHEST * size:
        return None
    message = f"the abstract speaks of {size}, the text of {near[0]} and nowhere of {size}"
    places = _sentence(paper, place), _sentence(paper, near[1])
    return paper.flaw("abstract_mismatch", message, *places)


def changed_samples(paper: Paper) -> Iterator[Flaw]:
    """A sample size that occurs once, where a slip would make another of it that the text has too.

    Kind: `number_changed`. Papers of several samples are left alone, and sentences that say that
    some people left or came.
    """
    if _SEVERAL.search(paper.text):
        return
    found = [each for a, b in paper.body() for each in _sizes(paper.text, a, b)]
    body = " ".join(paper.text[a:b] for a, b in paper.body())
    numbers = [int(each.replace(",", "")) for each in re.findall(r"\d[\d,]*\d|\d", body)]
    for size, place in found:
        others = {other: at for other, at in found if slipped(Decimal(size), Decimal(other))}
        if numbers.count(size) != 1 or len(others) != 1:
            continue
        other, at = others.popitem()
        quotes = _sentence(paper, place), _sentence(paper, at)
        apart = abs(size - other)
        others_work = any(
            each.start <= citation.start < each.end
            for each in quotes
            for citation in paper.citations
        )
        if apart in numbers or others_work or any(_SOME.search(each.quote) for each in quotes):
            continue
        if numbers.count(other) == 1 and place < at:
            continue  # told once, at the second place
        message = f"the sample has {size} here and {other} there"
        yield paper.flaw("number_changed", message, *quotes)


def _sizes(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Sizes of samples in a stretch of text, with their places."""
    found = []
    for match in _SAMPLE.finditer(text, start, end):
        words = match["one"] or match["two"]
        found.append((int(words.replace(",", "")), match.start("one" if match["one"] else "two")))
    return [each for each in found if not 1900 <= each[0] < 2100]


def _coverage(quantity: Quantity, other: Quantity) -> float:
    if not quantity.words:
        return 0.0
    return len(quantity.words & other.words) / len(quantity.words)


def _repeats(quantity: Quantity, other: Quantity) -> bool:
    if not quantity.number.agrees(other.number):
        return False
    if other.cell:  # tables print at least the digits of the abstract
        fine = other.number.decimals >= quantity.number.decimals
        fits = fine and (other.unit != "%" or quantity.unit == "%")
        return fits and bool(quantity.words & other.words)
    return (
        not quantity.words
        or _coverage(quantity, other) >= AGREES
        or (len(quantity.words & other.words) >= FEWEST_WORDS)
    )


def _contrast(words: frozenset[str]) -> frozenset[str]:
    return words & _CONTRASTS


def _rival(quantity: Quantity, same: Sequence[Quantity]) -> Quantity | None:
    """The place of the text that gives another value to the same quantity."""
    if len(quantity.words) < FEWEST_WORDS:
        return None
    fitting = [
        each
        for each in same
        if _coverage(quantity, each) >= CONFLICTS
        and len(quantity.words & each.words) >= FEWEST_WORDS
        and _contrast(quantity.words) == _contrast(each.words)
    ]
    return max(fitting, key=lambda each: _coverage(quantity, each), default=None)


def _rival_cell(quantity: Quantity, cells: Sequence[Quantity]) -> Quantity | None:
    """The cell whose row and column the abstract names, both in full."""
    fitting = [
        each
        for each in cells
        if each.words <= quantity.words
        and len(each.words) >= FEWEST_WORDS
        and _contrast(quantity.words) == _contrast(each.words)
        and (each.unit == "%") == (quantity.unit == "%")
    ]
    values = {each.number.value for each in fitting}
    return fitting[0] if len(values) == 1 else None


def _slip(quantity: Quantity, same: Sequence[Quantity]) -> Quantity | None:
    """The place whose number a slip of the hand makes of one that occurs nowhere else."""
    named = quantity.unit not in ("", "%")
    long = len(str(quantity.number.value).replace(".", "")) >= LONG
    least = 0 if named and long else 1 if named else FEWEST_WORDS
    fitting = [
        each
        for each in same
        if slipped(quantity.number.value, each.number.value)
        and len(quantity.words & each.words) >= least
        and not (
            _contrast(quantity.words) - _contrast(each.words)
            and _contrast(each.words) - _contrast(quantity.words)
        )
    ]
    return fitting[0] if len({each.number.value for each in fitting}) == 1 else None


def _slip_cell(quantity: Quantity, cells: Sequence[Quantity]) -> Quantity | None:
    """The same for the cell whose row and column share most with what the abstract says."""
    shared = {id(each): len(each.words & quantity.words) for each in cells}
    most = max(shared.values(), default=0)
    fitting = [
        each
        for each in cells
        if most and shared[id(each)] == most
        and slipped(quantity.number.value, each.number.value)
        and (each.unit == "%") == (quantity.unit == "%")
        and _contrast(each.words) <= _contrast(quantity.words)
    ]  # fmt: skip
    return fitting[0] if len({each.number.value for each in fitting}) == 1 else None


def _flaw(paper: Paper, quantity: Quantity, rival: Quantity) -> Flaw:
    place = "a table" if rival.cell else "the text"
    message = f"the abstract says {quantity.number.value}, {place} says {rival.number.value}"
    return paper.flaw("abstract_mismatch", message, _around(paper, quantity), _around(paper, rival))


def _around(paper: Paper, quantity: Quantity) -> PaperEvidence:
    """The sentence around a number, or the cell."""
    if quantity.cell:
        return paper.evidence(quantity.start, quantity.end)
    return _sentence(paper, quantity.start)


def _sentence(paper: Paper, place: int) -> PaperEvidence:
    for sentence in paper.sentences:
        if sentence.start <= place < sentence.end:
            return paper.evidence(sentence.start, sentence.end)
    return paper.evidence(place, place + 1)
