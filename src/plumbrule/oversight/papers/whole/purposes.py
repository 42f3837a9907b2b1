"""Purposes that harmless pieces can serve together: data, shipped as a file and replaceable."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from plumbrule.errors import ConfigError
from plumbrule.records import from_json, strict

SHIPPED = "purposes.yaml"


@strict
@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece, harmless alone."""

    name: str
    patterns: tuple[str, ...]
    """Regular expressions on lower-case text, searched sentence by sentence."""

    context: tuple[str, ...] = ()
    """One of these must stand in the same sentence too; none needed where empty."""


@strict
@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What pieces add up to, and how many of them it takes."""

    id: str
    why: str
    """Why it matters, in a sentence for the report."""

    pieces: tuple[Piece, ...]
    needed: int
    """How many different pieces must be there."""

    unless: tuple[str, ...] = ()
    """A sentence that holds one of these does not hand over its piece."""


def load_purposes(path: Path | None = None) -> tuple[Purpose, ...]:
    """Read purposes from a YAML file.

    Args:
        path: A list of purposes under `purposes:`; None for those that are shipped.

    Raises:
        ConfigError: The file cannot be read or is no such list, a purpose has too few pieces, two
            share an id, or a pattern is no regular expression.

    Example:
        >>> [each.id for each in load_purposes()][0]
        'reidentification'
    """
    if path is None:
        return _shipped()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"purposes are read from a YAML file, got {path}: {error}") from error
    return _read(text, origin=str(path))


@cache
def _shipped() -> tuple[Purpose, ...]:
    file = resources.files("plumbrule.oversight.papers.whole") / SHIPPED
    return _read(file.read_text(encoding="utf-8"), origin=SHIPPED)


def _read(text: str, *, origin: str) -> tuple[Purpose, ...]:
    try:
        loaded: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is no YAML: {error}") from error
    if not isinstance(loaded, Mapping) or not isinstance(loaded.get("purposes"), list):
        raise ConfigError(
            f"{origin} must hold a list under `purposes`, got {type(loaded).__name__}"
        )
    found = []
    for number, each in enumerate(loaded["purposes"], start=1):
        place = f"{origin}, purpose {number}"
        try:
            purpose = from_json(Purpose, each, origin=place)
        except ValueError as error:
            raise ConfigError(
                f"{place} must hold id, why, pieces (each with name and patterns) and needed: "
                f"{error}"
            ) from error
        _validate(purpose, place)
        found.append(purpose)
    ids = [each.id for each in found]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise ConfigError(f"{origin} must name each purpose once, got twice: {', '.join(twice)}")
    return tuple(found)


def _validate(purpose: Purpose, place: str) -> None:
    names = [piece.name for piece in purpose.pieces]
    if not purpose.id.strip() or not purpose.why.strip() or len(set(names)) < len(names):
        raise ConfigError(f"{place} must have an id, a reason, and pieces of different names")
    if not 2 <= purpose.needed <= len(names):
        raise ConfigError(
            f"{place} ({purpose.id}): needed must be from 2 to its {len(names)} pieces, got "
            f"{purpose.needed}"
        )
    for piece in purpose.pieces:
        if not piece.patterns:
            raise ConfigError(f"{place} ({purpose.id}): the piece {piece.name!r} has no patterns")
    for pattern in [
        *purpose.unless,
        *(p for e in purpose.pieces for p in (*e.patterns, *e.context)),
    ]:
        try:
            empty = re.compile(pattern).search("") is not None
        except re.error as error:
            raise ConfigError(
                f"{place} ({purpose.id}): {pattern!r} is no regular expression: {error}"
            ) from error
        if empty:
            raise ConfigError(f"{place} ({purpose.id}): {pattern!r} fits every text")
