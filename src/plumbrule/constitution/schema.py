"""What a constitution is made of: principles with a tier, conditions, a source and tests.

A principle applies to a request when at least one of its `applies_when` holds (or it has none) and
none of its `except_when` holds. Where two principles that apply disagree, the lower tier decides.
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from plumbrule.constitution.words import word_rule
from plumbrule.errors import ConstitutionError
from plumbrule.records import strict, to_json
from plumbrule.store import fingerprint

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@strict
@dataclass(frozen=True, kw_only=True)
class CritiqueExample:
    """One worked example, shown to a model before it critiques a reply of its own."""

    request: str
    """What the user asked."""

    reply: str
    """An answer that breaks the principle."""

    critique: str
    """What is wrong with that answer, in words."""

    revision: str
    """The answer that should have been given."""

    def __post_init__(self) -> None:
        _check_texts(self, "a critique example")


@strict
@dataclass(frozen=True, kw_only=True)
class Counterfactual:
    """One reply to two requests: it breaks the principle for the one and keeps it for the other.

    Whoever judges by the look of a reply says the same of both.
    """

    reply: str
    """The answer, word for word the same."""

    breaks: str
    """A request to which it breaks the principle."""

    keeps: str
    """A request to which it keeps it."""

    def __post_init__(self) -> None:
        _check_texts(self, "a counterfactual")


@strict
@dataclass(frozen=True, kw_only=True)
class Principle:
    """One rule of conduct, and how to test it."""

    id: str
    """Name that every label carries: small letters, digits and single hyphens."""

    text: str
    """The rule itself, as a model reads it."""

    tier: int
    """Priority, 0 or more; where principles disagree, the smaller number decides."""

    applies_when: tuple[str, ...] = ()
    """Situations, one sentence each; any of them is enough. None given: always."""

    except_when: tuple[str, ...] = ()
    """Situations, one sentence each; any of them switches the principle off."""

    source: str = ""
    """Where the rule comes from, so that it can be defended."""

    reason: str = ""
    """Why the rule is there, in words that a model may give for it; no judge reads it."""

    critique_examples: tuple[CritiqueExample, ...] = ()
    """Shown to a model as examples when it critiques and revises under this principle."""

    counterfactuals: tuple[Counterfactual, ...] = ()
    """What a judge is examined on besides: replies of which the request decides."""

    probes: tuple[str, ...] = ()
    """Prompts that tempt a model to break the principle."""

    twins: tuple[str, ...] = ()
    """Prompts that look like the probes but deserve plain help."""

    words: tuple[str, ...] = ()
    """Words and phrases that by themselves show that a text breaks it, for sorting a corpus: each
    alone, with `*` at its end for any ending, or as `word -> what to write in its place`."""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _SLUG.fullmatch(self.id):
            raise ConstitutionError(
                "a principle's id must be small letters, digits and single hyphens, such as "
                f"`no-flattery`, got {self.id!r}"
                + (f"; write `{slug(self.id)}`" if slug(str(self.id)) else "")
            )
        if type(self.tier) is not int or self.tier < 0:
            raise ConstitutionError(
                f"principle `{self.id}`: tier must be a whole number from 0 up, got {self.tier!r}; "
                "0 decides first"
            )
        _check_texts(self, f"principle `{self.id}`")
        for entry in self.words:
            try:
                word_rule(entry)
            except ConstitutionError as error:
                raise ConstitutionError(f"principle `{self.id}`, field `words`: {error}") from error

    @property
    def known_replies(self) -> int:
        """Replies of which it is known whether they break it: a judge can be examined on them."""
        return 2 * (len(self.critique_examples) + len(self.counterfactuals))

    def statement(self) -> str:
        """Return the rule with its conditions as running text, for a prompt or a page.

        Example:
            >>> Principle(
            ...     id="help", text="Be helpful.", tier=2, except_when=("the request is harmful",)
            ... ).statement()
            'Be helpful. Does not apply when the request is harmful.'
        """
        parts = [self.text]
        if self.applies_when:
            parts.append(f"Applies only when {_alternatives(self.applies_when)}.")
        if self.except_when:
            parts.append(f"Does not apply when {_alternatives(self.except_when)}.")
        return " ".join(parts)


@strict
@dataclass(frozen=True, kw_only=True)
class Constitution:
    """Principles in force together; known by the hash of all they say."""

    name: str
    """What it is called in reports."""

    version: str
    """The author's own numbering; `sha256` is what identifies the content."""

    principles: tuple[Principle, ...]
    """At least one; the order is kept, but decides nothing."""

    description: str = ""
    """Whom it is for, and why it says what it says."""

    tiers: tuple[str, ...] = ()
    """Names of tiers 0, 1, 2 … in order, such as "Harmlessness"."""

    def __post_init__(self) -> None:
        _check_texts(self, "the constitution")
        if not self.name.strip():
            raise ConstitutionError("a constitution needs a name, got none; fill in `name`")
        if not self.principles:
            raise ConstitutionError(
                f"constitution {self.name!r} must have at least one principle, got none; "
                "add one under `principles`"
            )

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the canonical form: all that is said, whatever the file looked like."""
        return fingerprint(content(self))

    def principle(self, principle_id: str) -> Principle:
        """Look one principle up.

        Raises:
            ConstitutionError: None or more than one principle has this id.
        """
        found = [principle for principle in self.principles if principle.id == principle_id]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConstitutionError(
                f"expected one principle `{principle_id}` in {self.name!r}, got {len(found)}; "
                "give each its own id"
            )
        ids = [principle.id for principle in self.principles]
        close = get_close_matches(principle_id, ids, n=3) or sorted(ids)[:5]
        raise ConstitutionError(
            f"{self.name!r} has no principle {principle_id!r}; did you mean {_listed(close)}?"
        )

    def by_tier(self) -> Iterator[tuple[int, tuple[Principle, ...]]]:
        """Each tier in use with its principles, the one that decides first in front."""
        for tier in sorted({principle.tier for principle in self.principles}):
            yield tier, tuple(each for each in self.principles if each.tier == tier)

    def tier_name(self, tier: int) -> str:
        """Name of a tier, or its number where it has no name."""
        return self.tiers[tier] if tier < len(self.tiers) else f"tier {tier}"


def content(constitution: Constitution) -> dict[str, Any]:
    """Everything a constitution says, as plain values; optional fields that are empty are left out.

    Leaving them out keeps the hash of an old constitution when the schema gains a field.
    """
    kept = _without_empty(to_json(constitution))
    assert isinstance(kept, dict)
    return kept


def slug(text: str) -> str:
    """Make an id out of any text; empty where nothing of it can be kept.

    Example:
        >>> slug("Avoid_Flattery!")
        'avoid-flattery'
    """
    return "-".join(re.findall(r"[a-z0-9]+", str(text).lower()))


def field_names(kind: type) -> tuple[str, ...]:
    """Names of the fields a record has, in order."""
    return tuple(field.name for field in fields(kind))


_OPTIONAL = {
    each.name
    for kind in (Principle, Constitution)
    for each in fields(kind)
    if each.default is not MISSING
}


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: _without_empty(each)
            for name, each in value.items()
            if name not in _OPTIONAL or each not in ("", [])
        }
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def _alternatives(conditions: tuple[str, ...]) -> str:
    return ", or when ".join(condition.strip().rstrip(".") for condition in conditions)


def _listed(names: list[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


_MEMBERS: dict[str, type] = {
    "critique_examples": CritiqueExample,
    "counterfactuals": Counterfactual,
    "principles": Principle,
}
"""What the tuples hold that do not hold text."""


def _check_texts(
    record: CritiqueExample | Counterfactual | Principle | Constitution, place: str
) -> None:
    """Refuse what is not text, or is text that UTF-8 cannot hold."""
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name == "tier":
            continue
        wants_tuple = field.type is not str
        kind = _MEMBERS.get(field.name, str)
        values = value if wants_tuple else (value,)
        if not isinstance(values, tuple) or not all(isinstance(each, kind) for each in values):
            wanted = f"a tuple of {kind.__name__}" if wants_tuple else "text"
            raise ConstitutionError(
                f"{place}: {field.name} must be {wanted}, got {type(value).__name__} {value!r}"
            )
        for each in values:
            if isinstance(each, str) and _unwritable(each):
                raise ConstitutionError(
                    f"{place}: {field.name} must be text that UTF-8 can hold, got {each!r}; "
                    "remove the half character (a lone surrogate)"
                )


def _unwritable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
