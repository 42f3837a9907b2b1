"""The texts of a review with the quoted words marked, whole or only around the quotes.

Positions count characters of a source from 0; an end is exclusive.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Json = dict[str, Any]

WHOLE = 60_000
"""Characters up to which a text that is quoted is shown whole; a paper of some 20 pages."""

AROUND = 700
"""Characters shown before and after a quote of a longer text."""

BEGINNING = 2_000
"""Characters shown of a long text that nobody quoted."""


@dataclass(frozen=True, kw_only=True)
class QuotedPassage:
    """A place that reports quote."""

    anchor: str
    source: str
    start: int
    end: int


def places(quotes: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int, int], QuotedPassage]:
    """One mark for each place that is quoted, however often, numbered in the order of the text."""
    keys = sorted({(each["source"], each["start"], each["end"]) for each in quotes})
    return {
        key: QuotedPassage(anchor=f"q{number}", source=key[0], start=key[1], end=key[2])
        for number, key in enumerate(keys, 1)
    }


def source_view(
    name: str,
    text: str | None,
    sha256: str,
    marks: Sequence[QuotedPassage],
    back: Mapping[str, list[str]],
) -> Json:
    """One source as the page shows it.

    Args:
        name: Id of the source.
        text: The text; None where it cannot be read.
        sha256: As the manifest has it.
        marks: Places in this source that are quoted, by their start.
        back: Anchors of the places in reports that quote a mark, by the mark's anchor.

    Returns:
        Its name, length, what is left out, and pieces: runs of segments, each with the marks over
        it and the marks that begin there.
    """
    length = len(text or "")
    spans = _shown(length, marks)
    pieces = [
        {
            "start": start,
            "end": end,
            "segments": _segments(text or "", start, end, marks, back),
        }
        for start, end in spans
    ]
    return {
        "name": name,
        "sha256": sha256,
        "characters": length if text is not None else None,
        "hidden_words": name == "hidden",
        "quotes": len(marks),
        "whole": spans == [(0, length)] or length == 0,
        "shown": sum(end - start for start, end in spans),
        "pieces": pieces,
    }


def _shown(length: int, marks: Sequence[QuotedPassage]) -> list[tuple[int, int]]:
    """Which stretches of a text are shown: all of it, or what lies around the quotes."""
    if length <= WHOLE and (marks or length <= BEGINNING):
        return [(0, length)] if length else []
    if not marks:
        return [(0, min(length, BEGINNING))]
    spans: list[tuple[int, int]] = []
    for mark in marks:
        start, end = max(0, mark.start - AROUND), min(length, mark.end + AROUND)
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _segments(
    text: str, start: int, end: int, marks: Sequence[QuotedPassage], back: Mapping[str, list[str]]
) -> list[Json]:
    """Cut a stretch wherever a quote begins or ends.

    One sweep over the cuts, so that a text with thousands of quotes still opens.
    """
    inside = [each for each in marks if start <= each.start and each.end <= end]
    begins: dict[int, list[QuotedPassage]] = {}
    for mark in inside:
        begins.setdefault(mark.start, []).append(mark)
    cuts = sorted({start, end, *(each.start for each in inside), *(each.end for each in inside)})
    open_marks: list[QuotedPassage] = []
    segments = []
    for left, right in pairwise(cuts):
        here = begins.get(left, [])
        open_marks = [each for each in open_marks if each.end > left] + here
        segments.append(
            {
                "text": text[left:right],
                "depth": min(len(open_marks), 3),
                "begins": [
                    {"anchor": each.anchor, "back": back.get(each.anchor, [])} for each in here
                ],
            }
        )
    return segments
