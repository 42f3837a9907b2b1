"""Where things are in a figure: positions and words; the templates draw them.

A figure has groups (a tier, a unit), a group has rows (a principle, a measure), a row has lanes
(one a look), and a lane has marks (one a source). Positions are percentages of the plot's width,
so that a figure fits a screen of any width without its letters shrinking.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plumbrule.report.axes import Axis, round_axis
from plumbrule.report.links import records_href
from plumbrule.report.numbers import (
    counted,
    denominator_text,
    estimate_text,
    interval_text,
    is_difference,
    is_rate,
    level_text,
    number_text,
    value_text,
)
from plumbrule.report.subjects import SOURCES, STAGES, Charted, Json, Look

NOT_EXAMINED = "not examined"


@dataclass(frozen=True, kw_only=True)
class EstimateMark:
    """One estimate in a lane."""

    shape: str
    """One of those that the page draws: each source has its own."""

    look: str

    x: str
    """Position of the point estimate, percent of the plot's width."""

    low: str
    """Position of the interval's lower end."""

    width: str
    """Length of the interval, percent of the plot's width."""

    dy: int
    """Pixels below the middle of the lane, so that two sources do not cover each other."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One line of marks, with its words."""

    name: str
    marks: tuple[EstimateMark, ...]

    value: str
    """The estimate of the headline source, or that it is not known."""

    detail: str
    """Its interval and denominator, or why it is not known."""

    description: str
    """What a reader who does not see the figure is told."""

    href: str | None


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """One thing that was measured."""

    name: str
    text: str | None
    anchor: str | None
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Rows on one axis under one heading."""

    title: str
    axis: Axis
    rows: tuple[FigureRow, ...]


def axis(subjects: Iterable[Charted], source: str | None = None) -> Axis:
    """Choose one axis for subjects; it always holds 0, so that lengths can be compared."""
    known = [estimate for subject in subjects for estimate in subject.known(source)]
    if not known:
        return round_axis(0.0, 1.0, rate=True)
    low = min(0.0, *(float(estimate["low"]) for estimate in known))
    high = max(0.0, *(float(estimate["high"]) for estimate in known))
    return round_axis(low, high, rate=all(map(is_rate, known)))


def detailed(subjects: Sequence[Charted], scale: Axis, *, title: str, headline: str) -> RowGroup:
    """Lay out a lane for each look and in it a mark for each source."""
    rows = tuple(
        FigureRow(
            name=subject.name,
            text=subject.text,
            anchor=subject.anchor,
            lanes=tuple(_lane(name, look, scale, headline) for name, look in subject.looks.items()),
        )
        for subject in subjects
    )
    return RowGroup(title=title, axis=scale, rows=rows)


def changes(subjects: Sequence[Charted], scale: Axis, *, title: str, source: str) -> RowGroup:
    """Lay out all looks of one source on one line each, so that the way they went is seen."""
    rows = tuple(
        FigureRow(
            name=subject.name,
            text=subject.text,
            anchor=subject.anchor,
            lanes=(_change(subject, scale, source),),
        )
        for subject in subjects
    )
    return RowGroup(title=title, axis=scale, rows=rows)


def shape(source: str) -> str:
    """Name the shape of a source's marks; sources that are neither judge nor oracle share one."""
    return source if source in SOURCES else "other"


def scale_kind(subject: Charted) -> str:
    """What may share an axis: rates with rates, differences apart, all else by unit."""
    known = subject.known()
    if not known or is_rate(known[0]):
        return "percentage points" if known and is_difference(known[0]) else ""
    return str(known[0]["unit"])


def levels_text(subjects: Iterable[Charted]) -> str:
    """Name the levels of the intervals in a figure, e.g. `95%`; empty where there is none."""
    levels = sorted({estimate["level"] for subject in subjects for estimate in subject.known()})
    return " and ".join(level_text(level) for level in levels)


def _lane(name: str, look: Look, scale: Axis, headline: str) -> Lane:
    """Lay out one look; where the headline source knows nothing, another one speaks, by name."""
    known = [source for source, estimate in look.estimates.items() if estimate is not None]
    spread = 4 if len(look.estimates) > 1 else 0
    marks = tuple(
        _mark(scale, estimate, source=source, look=name, dy=spread * (2 * place - 1))
        for place, (source, estimate) in enumerate(look.estimates.items())
        if estimate is not None
    )
    source = headline if headline in known or not known else known[0]
    estimate, reason = look.estimates.get(source), look.reasons.get(source)
    return Lane(
        name=name,
        marks=marks,
        value=_short(estimate) + ("" if source == headline else f" ({source})"),
        detail=_detail(estimate, reason),
        description=f"{name}: {_words(look.estimates, look.reasons)}",
        href=records_href(look.records.get(source)),
    )


def _change(subject: Charted, scale: Axis, source: str) -> Lane:
    looks = {stage: look for stage, look in subject.looks.items() if stage in STAGES}
    estimates = {stage: look.estimates.get(source) for stage, look in looks.items()}
    reasons = {stage: look.reasons.get(source) for stage, look in looks.items()}
    marks = tuple(
        _mark(scale, estimate, source=source, look=stage)
        for stage, estimate in estimates.items()
        if estimate is not None
    )
    ends = (STAGES[0], STAGES[-1])
    values = [_short(estimates[stage]) if stage in looks else NOT_EXAMINED for stage in ends]
    return Lane(
        name=subject.name,
        marks=marks,
        value=" → ".join(values) if set(values) != {NOT_EXAMINED} else NOT_EXAMINED,
        detail=_ends_detail([estimates.get(stage) for stage in ends], reasons),
        description=f"{subject.name}: {_words(estimates, reasons)}",
        href=None,
    )


def _ends_detail(ends: Sequence[Json | None], reasons: Mapping[str, str | None]) -> str:
    """Write the denominators of before and after, once where they are the same, or why not."""
    known = [end for end in ends if end is not None]
    counts = [counted(end) for end in known]
    words = [denominator_text(end) for end in known]
    if len(known) < len(ends):
        return "; ".join([*words, *dict.fromkeys(filter(None, reasons.values()))])
    if None not in counts and len({end["n"] for end in known}) == 1:
        whole = " → ".join(number_text(count) for count in counts if count is not None)
        return f"{whole} of {number_text(known[0]['n'])}"
    return " → ".join(dict.fromkeys(words))


def _mark(scale: Axis, estimate: Json, *, source: str, look: str, dy: int = 0) -> EstimateMark:
    width = 100 * (estimate["high"] - estimate["low"]) / (scale.high - scale.low)
    x, low = scale.at(estimate["value"]), scale.at(estimate["low"])
    return EstimateMark(shape=shape(source), look=look, x=x, low=low, width=f"{width:.3f}%", dy=dy)


def _short(estimate: Json | None) -> str:
    """Write the point estimate; a unit that is no share is in the group's title."""
    if estimate is None:
        return "not known"
    return value_text(estimate) if is_rate(estimate) else number_text(estimate["value"])


def _detail(estimate: Json | None, reason: str | None) -> str:
    if estimate is None:
        return reason or "no reason was recorded"
    return f"{interval_text(estimate)} · {denominator_text(estimate)}"


def _words(estimates: Mapping[str, Json | None], reasons: Mapping[str, str | None]) -> str:
    words = [f"{key} {estimate_text(e, reason=reasons.get(key))}" for key, e in estimates.items()]
    return "; ".join(words) or "not measured"
