"""How the changes between two models are laid out: ranked, with rates, differences and layers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plumbrule.report.bars import ShareBar, bars
from plumbrule.report.figures import Lane
from plumbrule.report.numbers import (
    Number,
    estimate_text,
    interval_text,
    is_rate,
    level_text,
    number_text,
    percent,
)
from plumbrule.report.strips import (
    Strip,
    difference_strip,
    rates_strip,
    says_change,
    short_text,
    signed_text,
    strip_axis,
    strip_mark,
)
from plumbrule.report.subjects import Json
from plumbrule.report.words import ComparedTexts, compare_words

SEVERITIES = ("high", "medium", "low", "info")
"""The gravest first."""

OVERVIEW = 6
"""Findings that the first screen names."""

FALSE_DISCOVERY = ("e-bh", "e-lond", "saffron", "lord", "addis", "lond", "bh", "benjamini")
"""Procedures whose level is the expected share of false claims among those made."""


@dataclass(frozen=True, kw_only=True)
class ReplyPair:
    """What both models said to one prompt."""

    example: Json
    compared: ComparedTexts


@dataclass(frozen=True, kw_only=True)
class ChangeRow:
    """One finding."""

    id: str
    anchor: str
    finding: Json

    way: str
    """From which rate to which; the difference where the rates were not recorded."""

    says_change: bool
    """Whether the unit of the estimate says by itself that it is a difference."""

    rates: Strip | None
    difference: Strip | None
    layers: tuple[ShareBar, ...]
    pairs: tuple[ReplyPair, ...]

    evidence: tuple[str, ...]
    """Paths of records, relative to the folder in which `report/` lies."""


@dataclass(frozen=True, kw_only=True)
class ComparisonPage:
    """What the first screen says, and all findings below it."""

    record: Json
    state: str
    """`changed`, `unchanged` or `unknown`."""

    headline: str
    guarantee: str
    changes: tuple[ChangeRow, ...]

    overview: Strip
    """The first changes with rates, a lane each, on one axis."""

    anchors: Mapping[str, str]
    """Where each finding is on the page, by its id."""


def comparison_view(record: Json) -> ComparisonPage:
    """Lay out a comparison.

    Args:
        record: As `docs/report.md` describes it; every part of it may be missing.
    """
    findings = record.get("findings")
    changes = ranked(findings or (), record.get("settings") or {}, home=_home(record))
    return ComparisonPage(
        record=record,
        state="unknown" if findings is None else "changed" if findings else "unchanged",
        headline=_headline(findings),
        guarantee=guarantee_text(findings or ()),
        changes=changes,
        overview=_overview(changes[:OVERVIEW]),
        anchors={change.id: change.anchor for change in reversed(changes)},
    )


def ranked(findings: Sequence[Json], settings: Json, *, home: str = "") -> tuple[ChangeRow, ...]:
    """Lay out findings, the gravest first and of those the largest; rates before other units.

    Args:
        findings: In any order.
        settings: Where the least change that counts is, if a finding does not say it.
        home: Folder of the comparison, with a slash, where that is not the one of `report/`.
    """
    order = sorted(findings, key=_rank)
    return tuple(_change(finding, place, settings, home) for place, finding in enumerate(order, 1))


def guarantee_text(findings: Iterable[Json]) -> str:
    """Say what is promised about all findings together; empty where the record promises nothing.

    Example:
        >>> guarantee_text([{"guarantee": {"procedure": "e-BH", "level": 0.05, "family_size": 64}}])
        'e-BH over 64 claims: at most 5% of the confirmed claims are expected to be wrong'
    """
    words = [_promise(finding["guarantee"]) for finding in findings if finding.get("guarantee")]
    return "; ".join(dict.fromkeys(words))


def _headline(findings: Sequence[Json] | None) -> str:
    if findings is None:
        return "What changed was not recorded"
    if not findings:
        return "No change was confirmed"
    return "1 change confirmed" if len(findings) == 1 else f"{len(findings)} changes confirmed"


def _promise(guarantee: Json) -> str:
    procedure, level = str(guarantee.get("procedure") or "a procedure"), guarantee.get("level")
    size = guarantee.get("family_size")
    over = (
        procedure
        if size is None
        else f"{procedure} over {number_text(size)} claim{'s' * (size != 1)}"
    )
    if level is None:
        return f"{over}, level not recorded"
    if procedure.casefold().startswith(FALSE_DISCOVERY):
        share = level_text(level)
        return f"{over}: at most {share} of the confirmed claims are expected to be wrong"
    return f"{over}, level {level_text(level)}"


def _rank(finding: Json) -> tuple[int, bool, float]:
    severity, estimate = finding.get("severity"), finding.get("estimate")
    place = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
    if not estimate:
        return (place, True, 0.0)
    return (place, not is_rate(estimate), -abs(estimate["value"]))


def _home(record: Json) -> str:
    """Where the comparison lies, seen from the run whose report shows a part of it."""
    page = record.get("page")
    if not isinstance(page, str) or not page.endswith("report/index.html"):
        return ""
    return page.removeprefix("../").removesuffix("report/index.html")


def _change(finding: Json, place: int, settings: Json, home: str) -> ChangeRow:
    layers = finding.get("layers") or ()
    return ChangeRow(
        id=str(finding.get("id") or place),
        anchor=f"finding-{place}",
        finding=finding,
        way=_way(finding),
        says_change=_says_change(finding.get("estimate")),
        rates=rates_strip(finding),
        difference=difference_strip(finding, settings),
        layers=bars(layers, "share", [_share_text(one.get("share")) for one in layers], "kept"),
        pairs=tuple(
            ReplyPair(
                example=one,
                compared=compare_words(str(one.get("base") or ""), str(one.get("tuned") or "")),
            )
            for one in finding.get("examples") or ()
        ),
        evidence=tuple(f"{home}{path}" for path in finding.get("evidence") or ()),
    )


def _says_change(estimate: Json | None) -> bool:
    return estimate is not None and not is_rate(estimate) and says_change(estimate)


def _way(finding: Json) -> str:
    base, tuned, estimate = (finding.get(key) for key in ("base_rate", "tuned_rate", "estimate"))
    if base and tuned:
        return f"{short_text(base)} → {short_text(tuned)}"
    return signed_text(estimate) if estimate else "size not known"


def _overview(changes: Iterable[ChangeRow]) -> Strip:
    """Put what lies from 0 to 1 on one axis, rates or mean scores; the rest is in words."""
    pairs = [
        (change.finding["base_rate"], change.finding["tuned_rate"])
        if change.rates and _from_0_to_1(change.finding)
        else None
        for change in changes
    ]
    scale = strip_axis([rate for pair in pairs if pair for rate in pair])
    return Strip(
        axis=scale,
        lanes=tuple(
            Lane(
                name=change.id,
                marks=tuple(
                    strip_mark(scale, rate, look)
                    for rate, look in zip(pair or (), ("before", "final"), strict=False)
                ),
                value=change.way,
                detail=_detail(change, with_value=change.rates is not None),
                description=_description(change),
                href=f"#{change.anchor}",
            )
            for change, pair in zip(changes, pairs, strict=True)
        ),
    )


def _from_0_to_1(finding: Json) -> bool:
    rates = (finding["base_rate"], finding["tuned_rate"])
    return all(0 <= rate["low"] <= rate["high"] <= 1 for rate in rates)


def _detail(change: ChangeRow, *, with_value: bool) -> str:
    estimate = change.finding.get("estimate")
    if not estimate:
        return str(change.finding.get("reason") or "no reason was recorded")
    words = interval_text(estimate)
    return f"{signed_text(estimate)} {words}" if with_value else words


def _description(change: ChangeRow) -> str:
    words = [f"finding {change.id}"]
    for name, key in (("base", "base_rate"), ("tuned", "tuned_rate"), ("change", "estimate")):
        if change.finding.get(key):
            words.append(f"{name} {estimate_text(change.finding[key])}")
    return "; ".join(words)


def _share_text(share: Number | None) -> str:
    return "not known" if share is None else percent(share)
