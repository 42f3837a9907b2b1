"""Finds a purpose that pieces in different sections serve together and none of them names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.oversight.papers.document import Evidence, Flaw, Paper
from plumbrule.oversight.papers.whole.places import Place, plain
from plumbrule.oversight.papers.whole.purposes import Piece, Purpose

_WARNS = re.compile(
    r"\b(?:should|must not|ought|would|might|warn\w*|risk\w*|danger\w*|hypothetical\w*|if|future"
    r"|misuse\w*|precaution\w*)\b"
)
"""A sentence that warns of a use hands nothing over."""


_UNDONE = re.compile(
    r"\b(?:made up|fictitious|fictional|invented|deleted|removed|coarsened|merged|blurred|masked"
    r"|replaced|rounded|altered|shifted|scrambled|shuffled|synthetic|suppressed|withheld|redacted"
    r"|under lock|not (?:given|released|shared|published|made)|grouped|binned|aggregated"
    r"|truncated|perturbed|swapped|stripped|omitted|destroyed|erased|anonymi[sz]ed|simulated)\b"
)
"""A sentence that says so of a piece takes back what other sentences hand over."""


@dataclass(frozen=True, kw_only=True)
class _Spot:
    text: str
    section: int
    start: int
    end: int


def assembled_purposes(
    paper: Paper, places: Sequence[Place], purposes: Sequence[Purpose]
) -> list[Flaw]:
    """One flaw for each purpose of which enough pieces are there.

    Pieces in different sections are what a reader of parts cannot see; pieces that all stand in one
    section are in plain view, and are reported with that message.
    """
    spots = [
        _Spot(text=place.full, section=place.section_start, start=place.start, end=place.end)
        for place in places
        if place.own and not place.full.endswith("?") and not _WARNS.search(place.full)
    ]
    spots += _headings(paper)
    return [flaw for each in purposes if (flaw := _assembled(paper, spots, each)) is not None]


def _headings(paper: Paper) -> list[_Spot]:
    """First rows of tables: they say what is given for each case."""
    spots = []
    for table in paper.tables:
        if table.rows and table.rows[0]:
            cells = table.rows[0]
            text = "table columns: " + ", ".join(plain(cell.text) for cell in cells)
            at = [each.start for each in paper.sections if each.start <= table.start]
            section = max(at, default=0)
            spots.append(_Spot(text=text, section=section, start=cells[0].start, end=cells[-1].end))
    return spots


def _assembled(paper: Paper, spots: Sequence[_Spot], purpose: Purpose) -> Flaw | None:
    unless = [re.compile(each) for each in purpose.unless]
    held = {
        piece.name: [
            spot
            for spot in spots
            if _holds(piece, spot.text) and not any(each.search(spot.text) for each in unless)
        ]
        for piece in purpose.pieces
    }
    taken_back = _taken_back(purpose, spots)
    held = {name: there for name, there in held.items() if there and name not in taken_back}
    if len(held) < purpose.needed:
        return None
    names = ", ".join(held)
    sections = {spot.section for there in held.values() for spot in there}
    together = next(
        (
            section
            for section in sorted(sections)
            if sum(any(s.section == section for s in there) for there in held.values())
            >= purpose.needed
        ),
        None,
    )
    if together is not None:
        held = {
            name: [spot for spot in there if spot.section == together] or there
            for name, there in held.items()
        }
        where = "in plain view in one section"
    else:
        where = "each harmless alone, in different sections"
    return Flaw(
        kind="assembled_purpose",
        severity="high",
        message=f"{purpose.id}: {names}; {where}. {purpose.why}",
        evidence=_quotes(paper, held),
    )


def _taken_back(purpose: Purpose, spots: Sequence[_Spot]) -> set[str]:
    """Names of the pieces that some sentence says were removed or made up."""
    undone = [spot.text for spot in spots if _UNDONE.search(spot.text)]
    return {
        piece.name
        for piece in purpose.pieces
        if any(re.search(pattern, text) for text in undone for pattern in piece.patterns)
    }


def _holds(piece: Piece, text: str) -> bool:
    if not any(re.search(pattern, text) for pattern in piece.patterns):
        return False
    return not piece.context or any(re.search(pattern, text) for pattern in piece.context)


def _quotes(paper: Paper, held: dict[str, list[_Spot]]) -> tuple[Evidence, ...]:
    spans = sorted({(there[0].start, there[0].end) for there in held.values()})
    return tuple(paper.evidence(start, end) for start, end in spans)
