"""What was measured, read from the record: principles, measures and judges in one form.

A subject is looked at several times (before training, after), and each look holds an estimate
from each source (a judging model, the oracle). Figures and tables are made of subjects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

STAGES = ("before", "supervised", "final")
"""Looks at the model, in the order they were taken."""

SOURCES = ("judge", "oracle")

HEADLINES = (
    ("helpfulness", "Helpfulness", "higher"),
    ("over_refusal", "Over-refusal", "lower"),
    ("evasiveness", "Evasiveness", "lower"),
)
"""Key in the record, name on the page, and which way is better."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the sources said at one time."""

    estimates: Mapping[str, Json | None]
    """By source; None where a source could not say."""

    reasons: Mapping[str, str | None]
    """By source, why it could not say."""

    records: Mapping[str, object]
    """By source, where its records lie; None where that was not said."""


@dataclass(frozen=True, kw_only=True)
class Charted:
    """One thing that was measured."""

    name: str
    looks: Mapping[str, Look]
    """By stage, or by what else tells the looks apart."""

    text: str | None = None
    better: str | None = None
    """`higher` or `lower`."""

    tier: int | None = None
    anchor: str | None = None
    """Where on the page there is more about it."""

    def known(self, source: str | None = None) -> list[Json]:
        """All estimates there are, or those of one source."""
        return [
            estimate
            for look in self.looks.values()
            for by, estimate in look.estimates.items()
            if estimate is not None and source in (None, by)
        ]


def headline_source(content: Json) -> str:
    """Whose word the first screen shows."""
    source = content.get("headline_source")
    return str(source) if source in SOURCES else SOURCES[0]


def reason_for(parent: Json, key: str) -> str | None:
    """Say why something is not known: from `reasons` by key, or from one `reason` for all."""
    reasons = parent.get("reasons")
    if isinstance(reasons, Mapping) and reasons.get(key):
        return str(reasons[key])
    return parent.get("reason")


def from_principles(content: Json, *, anchored: bool = True) -> list[Charted]:
    """Read the examination of each principle; `anchored` where the page links to it."""
    return [
        Charted(
            name=str(entry.get("id", "")),
            text=entry.get("text"),
            better="lower",
            tier=entry.get("tier"),
            anchor=f"principle-{place}" if anchored else None,
            looks={stage: _rates(entry[stage]) for stage in STAGES if entry.get(stage)},
        )
        for place, entry in enumerate(content.get("principles") or (), 1)
    ]


def from_headlines(content: Json) -> list[Charted]:
    """Read the headline measures, which come from the headline source."""
    source = headline_source(content)
    return [
        Charted(
            name=name,
            text=f"{better} is better",
            better=better,
            anchor="measures",
            looks=_by_stage(content[key], source, content[key].get("records")),
        )
        for key, name, better in HEADLINES
        if content.get(key)
    ]


def from_measures(content: Json) -> list[Charted]:
    """Read the other measures; what two sources say of one thing becomes one subject."""
    found: dict[tuple[str, str], list[Charted]] = {}
    for entry in content.get("measures") or ():
        name, better = str(entry.get("name", "")), str(entry.get("better", ""))
        looks = _by_stage(entry, str(entry.get("by", SOURCES[0])), entry.get("records"))
        subject = Charted(name=name, better=better, looks=looks)
        found.setdefault((name, better), []).append(subject)
    return [_merged(same) for same in found.values()]


def from_judge_quality(content: Json) -> list[Charted]:
    """Read how often the judge is right under each principle; a note may say why that is open."""
    return [_quality(entry) for entry in content.get("judge_quality") or ()]


def _quality(entry: Json) -> Charted:
    names, note = ("sensitivity", "specificity"), entry.get("note")
    looks = {
        name: Look(
            estimates={"judge": entry.get(name)},
            reasons={"judge": reason_for(entry, name) or note},
            records={"judge": entry.get("records")},
        )
        for name in names
    }
    open_question = any(entry.get(name) is None for name in names)
    return Charted(
        name=str(entry.get("principle_id", "")),
        text=None if open_question else note,
        better="higher",
        looks=looks,
    )


def _rates(look: Json) -> Look:
    rates = look.get("violation_rate") or {}
    ordered = [*(by for by in SOURCES if by in rates), *(by for by in rates if by not in SOURCES)]
    return Look(
        estimates={source: rates[source] for source in ordered},
        reasons={source: reason_for(look, source) for source in ordered},
        records={source: look.get("records") for source in ordered},
    )


def _by_stage(entry: Json, source: str, records: object = None) -> dict[str, Look]:
    return {
        stage: Look(
            estimates={source: entry[stage]},
            reasons={source: reason_for(entry, stage)},
            records={source: records},
        )
        for stage in STAGES
        if stage in entry
    }


def _merged(subjects: Sequence[Charted]) -> Charted:
    """Put the looks of several sources together."""
    first = subjects[0]
    looks = {}
    for stage in STAGES:
        found = [subject.looks[stage] for subject in subjects if stage in subject.looks]
        if found:
            looks[stage] = Look(
                estimates={by: e for look in found for by, e in look.estimates.items()},
                reasons={by: reason for look in found for by, reason in look.reasons.items()},
                records={by: path for look in found for by, path in look.records.items()},
            )
    return Charted(name=first.name, better=first.better, looks=looks)
