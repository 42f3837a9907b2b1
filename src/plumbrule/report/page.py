"""The page: sections made from the record, drawn by the templates beside this file."""

from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.report.changes import comparison_view
from plumbrule.report.curves import costs, curve
from plumbrule.report.figures import RowGroup, axis, changes, detailed, levels_text, scale_kind
from plumbrule.report.subjects import (
    SOURCES,
    STAGES,
    Charted,
    Json,
    from_headlines,
    from_judge_quality,
    from_measures,
    from_principles,
    headline_source,
)
from plumbrule.report.templating import fill
from plumbrule.report.verdict import gravest_first

OPTIONAL = {
    "gates": "gates",
    "principles": "an examination of each principle",
    "measures": "measures beside the principles",
    "findings": "findings",
    "examples": "example dialogues",
    "judge_quality": "how far the judge can be trusted",
    "curves": "training curves",
    "stages": "what each stage cost",
    "constitution": "the constitution",
    "models": "the models",
}
"""Parts whose absence the page states, by what they are called there."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Groups to draw, what the table below them lists, and what the legend must explain."""

    groups: tuple[RowGroup, ...]
    subjects: tuple[Charted, ...]

    levels: str
    """Confidence levels of the intervals drawn; empty where none is."""

    sources: tuple[str, ...]
    stages: tuple[str, ...]


def render(content: Json) -> str:
    """Turn the record into one HTML file that needs nothing else."""
    return fill(
        "page",
        content,
        *(["verdict.css"] if content.get("verdicts") else []),
        verdicts=gravest_first((content.get("verdicts") or {}).get("verdicts") or ()),
        source=headline_source(content),
        stages=STAGES,
        headline=_headline(content),
        principles=_principles(content),
        measures=_measures(content),
        judge_quality=_judge_quality(content),
        held_out=_beside(content.get("held_out_judge") or {}, "held out"),
        certified=_beside(content.get("judge_certificate") or {}, "corrected"),
        curves=[curve(data) for data in content.get("curves") or ()],
        costs=costs(content.get("stages") or ()),
        gates=sorted(content.get("gates") or (), key=lambda gate: gate.get("passed") is True),
        tiers=_constitution_tiers(content),
        models=_models(content),
        absent=[name for key, name in OPTIONAL.items() if not content.get(key)],
        contradiction=_contradiction(content),
        comparison=comparison_view(content.get("comparison") or {}),
    )


def _headline(content: Json) -> Figure:
    source = headline_source(content)
    parts = {
        "Violations of each principle, lower is better": from_principles(content),
        "Usefulness": from_headlines(content),
    }
    subjects = [subject for part in parts.values() for subject in part]
    scale = axis(subjects, source)
    groups = tuple(
        changes(part, scale, title=title, source=source) for title, part in parts.items() if part
    )
    return _figure(groups, subjects)


def _principles(content: Json) -> Figure:
    subjects, source = from_principles(content), headline_source(content)
    scale = axis(subjects)
    tiers = sorted({subject.tier for subject in subjects}, key=_tier_order)
    groups = tuple(
        detailed(
            [subject for subject in subjects if subject.tier == tier],
            scale,
            title=_tier_name(content, tier),
            headline=source,
        )
        for tier in tiers
    )
    return _figure(groups, subjects)


def _measures(content: Json) -> Figure:
    """Draw what shares a unit on one axis; the headline measures are in the table only."""
    subjects, source = from_measures(content), headline_source(content)
    kinds: dict[tuple[str, str], list[Charted]] = {}
    for subject in subjects:
        kinds.setdefault((subject.better or "", scale_kind(subject)), []).append(subject)
    groups = tuple(
        detailed(
            part,
            axis(part),
            title=", ".join(filter(None, (f"{better.capitalize()} is better", kind))),
            headline=source,
        )
        for (better, kind), part in kinds.items()
    )
    return _figure(groups, [*from_headlines(content), *subjects])


def _judge_quality(content: Json) -> Figure:
    subjects = from_judge_quality(content)
    group = detailed(subjects, axis(subjects), title="Higher is better", headline=SOURCES[0])
    return _figure((group,) if subjects else (), subjects)


def _beside(part: Json, source: str) -> Figure:
    """Draw the judge's rates and beside them another source's, of the replies both speak of."""
    subjects = from_principles(part, anchored=False)
    group = detailed(subjects, axis(subjects), title="Lower is better", headline=source)
    return _figure((group,) if subjects else (), subjects)


def _figure(groups: tuple[RowGroup, ...], subjects: Sequence[Charted]) -> Figure:
    looks = [look for subject in subjects for look in subject.looks.values()]
    sources = {by for look in looks for by in look.estimates}
    return Figure(
        groups=groups,
        subjects=tuple(subjects),
        levels=levels_text(subjects),
        sources=tuple(sorted(sources, key=lambda by: (by not in SOURCES, by))),
        stages=tuple(stage for stage in STAGES if any(stage in s.looks for s in subjects)),
    )


def _constitution_tiers(content: Json) -> list[tuple[str, int | None, list[Json]]]:
    """Group the constitution's principles by tier, the tier that decides first on top."""
    groups: dict[int | None, list[Json]] = {}
    for principle in (content.get("constitution") or {}).get("principles") or ():
        groups.setdefault(principle.get("tier"), []).append(principle)
    tiers = sorted(groups, key=_tier_order)
    return [(_tier_name(content, tier), tier, groups[tier]) for tier in tiers]


def _models(content: Json) -> list[tuple[str, Json]]:
    """List the models, the trained one first."""
    models = content.get("models") or {}
    order = [name for name in ("model", "critic", "judge", "held_out_judge") if name in models]
    names = [*order, *sorted(set(models) - set(order))]
    return [(name, models[name]) for name in names if models[name]]


def _tier_order(tier: int | None) -> tuple[bool, int]:
    return (tier is None, tier or 0)


def _tier_name(content: Json, tier: int | None) -> str:
    names = (content.get("constitution") or {}).get("tiers") or []
    if tier is None:
        return "Tier not recorded"
    name = names[tier] if 0 <= tier < len(names) else None
    return f"Tier {tier}" + (f": {name}" if name else "")


def _contradiction(content: Json) -> str | None:
    """Say where the record speaks against itself about its gates."""
    gates, passed = content.get("gates") or [], content.get("gates_passed")
    if passed is True and not all(gate.get("passed") for gate in gates):
        return "The record says that the gates passed, and holds a gate that did not."
    if passed is False and gates and all(gate.get("passed") for gate in gates):
        return "The record says that a gate failed, and holds none that did."
    return None
