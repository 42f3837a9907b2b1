"""Reads a paper as a whole: what only shows when its parts are held against each other."""

from collections.abc import Sequence
from pathlib import Path

from plumbrule.oversight.papers.document import Check, Flaw, Paper, in_order
from plumbrule.oversight.papers.whole.assembling import assembled_purposes
from plumbrule.oversight.papers.whole.design import design_conflicts
from plumbrule.oversight.papers.whole.directions import direction_conflicts
from plumbrule.oversight.papers.whole.exclusions import exclusion_conflicts
from plumbrule.oversight.papers.whole.generalizing import scope_conflicts
from plumbrule.oversight.papers.whole.places import CONCLUDING, read_places
from plumbrule.oversight.papers.whole.purposes import Purpose, load_purposes
from plumbrule.oversight.papers.whole.samples import sample_conflicts
from plumbrule.oversight.papers.whole.timing import timing_conflicts

WHOLE_KINDS = (
    "design_conflict", "direction_conflict", "sample_conflict", "scope_conflict",
    "timing_conflict", "exclusion_conflict", "assembled_purpose",
)  # fmt: skip
_READERS = {
    "design": design_conflicts,
    "directions of effects": direction_conflicts,
    "sample": sample_conflicts,
    "scope of conclusions": scope_conflicts,
    "durations and dates": timing_conflicts,
    "exclusions": exclusion_conflicts,
}


def check_whole(
    paper: Paper, *, purposes: Sequence[Purpose] | Path | None = None
) -> Check:  # fmt: skip
    """Find parts that contradict each other and purposes that parts serve together.

    Kinds: `WHOLE_KINDS`. Every flaw quotes two or more places. Sentences of one section, and those
    about other work, about what might be, and about a part of the sample are not compared.

    Args:
        paper: As read.
        purposes: What harmless pieces could add up to: purposes, a YAML file of them, or None for
            those that are shipped.

    Raises:
        ConfigError: The file of purposes does not hold what it must.
    """
    if purposes is None or isinstance(purposes, Path):
        purposes = load_purposes(purposes)
    places = read_places(paper)
    flaws: list[Flaw] = []
    looked, left = 0, []
    for name, reader in _READERS.items():
        found, claims = reader(paper, places)
        flaws += found
        looked += claims
        if not claims:
            left.append(f"{name}: the paper says nothing of it that could be compared")
    if len({place.section_start for place in places}) < 2:
        left.append("contradictions: the paper has no two sections that could be compared")
    if not any(place.role in CONCLUDING for place in places):
        left.append("conclusions: no part is called abstract, discussion or conclusion")
    flaws = _once(flaws)
    flaws += [
        each for each in assembled_purposes(paper, places, purposes) if len(each.evidence) > 1
    ]
    return Check(
        name="whole",
        checked=looked + len(purposes),
        flaws=in_order(flaws),
        not_checked=tuple(left),
    )


def _once(flaws: list[Flaw]) -> list[Flaw]:
    """One flaw for one contradiction.

    Cases left out where all were analyzed are one flaw, though counts show it as well; two
    properties that clash in the same two sentences are one; and a sentence that clashes with
    several others in one way, such as on who was studied, is reported with the first.
    """
    said = {
        each.start
        for flaw in flaws
        if flaw.kind == "design_conflict" and flaw.message.startswith("exclusion of data")
        for each in flaw.evidence
    }
    kept: dict[tuple[object, ...], Flaw] = {}
    told: set[tuple[str, int]] = set()
    for flaw in flaws:
        places = {(flaw.kind, each.start) for each in flaw.evidence}
        counted = flaw.kind == "exclusion_conflict" and any(e.start in said for e in flaw.evidence)
        if counted or (flaw.kind != "design_conflict" and places & told):
            continue
        told |= places
        kept.setdefault((flaw.kind, *(e.start for e in flaw.evidence)), flaw)
    return list(kept.values())
