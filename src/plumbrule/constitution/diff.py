"""What changed between two versions of a constitution."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from plumbrule.constitution.schema import (
    Constitution,
    Principle,
    content,
    field_names,
)
from plumbrule.errors import ConstitutionError
from plumbrule.records import strict, to_json


@strict
@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One field that says something else now."""

    principle_id: str | None
    """Id in the newer version; None for a field of the constitution itself."""

    field: str
    before: Any
    """Value as plain JSON."""

    after: Any
    """Value as plain JSON."""


@strict
@dataclass(frozen=True, kw_only=True)
class Renaming:
    """A principle whose text stayed and whose id did not."""

    before: str
    after: str


@strict
@dataclass(frozen=True, kw_only=True)
class ConstitutionDiff:
    """Everything in which two constitutions differ; all empty exactly when their hashes agree."""

    before_sha256: str
    after_sha256: str

    added: tuple[Principle, ...]
    """Principles only the newer one has."""

    removed: tuple[Principle, ...]
    """Principles only the older one has."""

    renamed: tuple[Renaming, ...]
    """Same text under another id."""

    moved: tuple[FieldChange, ...]
    """Principles that are in another tier now."""

    changed: tuple[FieldChange, ...]
    """Other fields, one entry a field, those of the constitution itself first."""

    reordered: tuple[str, ...]
    """Fewest principles whose moving explains the new order; order decides nothing."""

    @property
    def same(self) -> bool:
        """Whether the two say the same."""
        return self.before_sha256 == self.after_sha256

    def describe(self) -> str:
        """Put the difference into lines for a person."""
        return "\n".join(self._lines()) or "no difference"

    def _lines(self) -> Iterator[str]:
        for change in self.changed:
            if change.principle_id is None:
                yield from _change_lines("", change)
        for principle in self.added:
            yield f"+ {principle.id} (tier {principle.tier}): {_short(principle.text)}"
        for principle in self.removed:
            yield f"- {principle.id} (tier {principle.tier}): {_short(principle.text)}"
        for renaming in self.renamed:
            yield f"= {renaming.before} is now called {renaming.after}"
        for change in self.moved:
            way = "decides earlier" if change.after < change.before else "decides later"
            yield f"^ {change.principle_id}: tier {change.before} -> {change.after} ({way})"
        for change in self.changed:
            if change.principle_id is not None:
                yield from _change_lines(f"{change.principle_id}: ", change)
        if self.reordered:
            yield f"~ other place in the order: {', '.join(self.reordered)}"


def diff(before: Constitution, after: Constitution) -> ConstitutionDiff:
    """Compare two constitutions, principle by principle and field by field.

    Raises:
        ConstitutionError: An id occurs twice in one of them, so that it is not clear what to
            compare with what.
    """
    old, new = _by_id(before), _by_id(after)
    renamed = tuple(_renamings(old, new))
    new_name = {each.before: each.after for each in renamed}
    kept = [(new_name.get(name, name), old[name]) for name in old]
    kept = [(name, principle) for name, principle in kept if name in new]
    changes = [*_header_changes(before, after), *_changes(kept, new)]
    names = [name for name, _ in kept]
    return ConstitutionDiff(
        before_sha256=before.sha256,
        after_sha256=after.sha256,
        added=tuple(new[name] for name in new if name not in names),
        removed=tuple(old[name] for name in old if new_name.get(name, name) not in new),
        renamed=renamed,
        moved=tuple(change for change in changes if change.field == "tier"),
        changed=tuple(change for change in changes if change.field != "tier"),
        reordered=_reordered(names, [name for name in new if name in names]),
    )


def _by_id(constitution: Constitution) -> dict[str, Principle]:
    counts = Counter(principle.id for principle in constitution.principles)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ConstitutionError(
            f"expected each id once in {constitution.name!r}, got `{twice[0]}` "
            f"{counts[twice[0]]} times; give each principle its own id before comparing"
        )
    return {principle.id: principle for principle in constitution.principles}


def _renamings(old: dict[str, Principle], new: dict[str, Principle]) -> Iterator[Renaming]:
    """Pair what left with what came by equal text, wholly equal ones before all others."""
    gone = [principle for name, principle in old.items() if name not in new]
    come = [principle for name, principle in new.items() if name not in old]
    for exact in (True, False):
        for principle in list(gone):
            for other in come:
                wholly = replace(other, id=principle.id) == principle
                if wholly if exact else other.text == principle.text:
                    yield Renaming(before=principle.id, after=other.id)
                    gone.remove(principle)
                    come.remove(other)
                    break


def _header_changes(before: Constitution, after: Constitution) -> Iterator[FieldChange]:
    old, new = content(before), content(after)
    for name in field_names(Constitution):
        if name != "principles" and old.get(name) != new.get(name):
            yield FieldChange(
                principle_id=None, field=name, before=old.get(name), after=new.get(name)
            )


def _changes(
    kept: Sequence[tuple[str, Principle]], new: dict[str, Principle]
) -> Iterator[FieldChange]:
    for name, principle in kept:
        old_fields, new_fields = to_json(principle), to_json(new[name])
        for field in field_names(Principle):
            if field != "id" and old_fields[field] != new_fields[field]:
                yield FieldChange(
                    principle_id=name,
                    field=field,
                    before=old_fields[field],
                    after=new_fields[field],
                )


def _reordered(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Names outside the longest run of names that kept their order (patience sorting)."""
    place = {name: index for index, name in enumerate(before)}
    tails: list[int] = []
    ends: list[str] = []
    previous: dict[str, str | None] = {}
    for name in after:
        spot = bisect_left(tails, place[name])
        previous[name] = ends[spot - 1] if spot else None
        tails[spot : spot + 1] = [place[name]]
        ends[spot : spot + 1] = [name]
    steady: set[str] = set()
    name_or_none = ends[-1] if ends else None
    while name_or_none is not None:
        steady.add(name_or_none)
        name_or_none = previous[name_or_none]
    return tuple(name for name in after if name not in steady)


def _change_lines(prefix: str, change: FieldChange) -> Iterator[str]:
    yield f"* {prefix}{change.field}"
    before, after = change.before, change.after
    if not isinstance(before, list) and not isinstance(after, list):
        yield from _two_lines(before, after)
        return
    gone, come = _only(before or [], after or []), _only(after or [], before or [])
    for one, other in zip_longest(gone, come):
        yield from _two_lines(one, other)
    if not gone and not come:
        yield "    same entries in another order"


def _two_lines(before: Any, after: Any) -> Iterator[str]:
    """Both values, cut so that the first difference can be seen."""
    old, new = _flat(before), _flat(after)
    start = 0
    if old and new:
        pairs = enumerate(zip(old, new, strict=False))
        alike = next((n for n, (one, other) in pairs if one != other), min(len(old), len(new)))
        start = alike - 60 if alike > 80 else 0
    lead = "…" if start else ""
    if old:
        yield f"    - {lead}{_short(old[start:])}"
    if new:
        yield f"    + {lead}{_short(new[start:])}"


def _only(these: Sequence[Any], those: Sequence[Any]) -> list[Any]:
    """Entries the first list has more often than the second."""
    spare = list(those)
    found = []
    for entry in these:
        if entry in spare:
            spare.remove(entry)
        else:
            found.append(entry)
    return found


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        value = " | ".join(str(part) for part in value.values())
    return "" if value is None else " ".join(str(value).split())


def _short(text: str, limit: int = 160) -> str:
    flat = _flat(text)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
