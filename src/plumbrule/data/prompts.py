"""Read a user's prompts, and say what it left out.

A row may say more than what is asked: `id`, `deserves_help` (true, false or null), `group`, `kind`,
`held_out`. Other columns are left out, and so are rows that ask the same as an earlier one.
"""

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.data.files import read_rows
from plumbrule.data.forms import ASKING, check_text, dialogue_of
from plumbrule.errors import DataError
from plumbrule.records import Message, Prompt
from plumbrule.store import fingerprint

HELD_OUT_SHARE = 0.25
"""Share of a file's prompts kept for the examination where the file does not say which."""

_KEYS = ("id", "deserves_help", "group", "kind", "held_out")
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class PromptFile:
    """A file's prompts, and what was left out of it."""

    prompts: tuple[Prompt, ...]
    notes: tuple[str, ...]
    """Sentences for whoever gave the file; none where everything was taken."""


def read_prompts(path: Path, option: str = "--prompts") -> list[Prompt]:
    """The prompts of a file; see `read_prompt_file`."""
    return list(read_prompt_file(path, option).prompts)


def read_prompt_file(path: Path, option: str = "--prompts") -> PromptFile:
    """Read a file of prompts: JSON lines, a JSON list, CSV, tab-separated text or Parquet.

    Where no row says `held_out`, a fixed quarter is held out, chosen by the hash of each dialogue,
    so that the same prompt is on the same side in every run.

    Args:
        path: The file.
        option: Where it was named, for messages.

    Raises:
        DataError: The file is missing, empty, too large, not UTF-8, or a row is not a prompt.
    """
    prompts: dict[str, Prompt] = {}
    places: dict[str, str] = {}
    asked: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    chosen, repeated = False, 0
    for place, row in read_rows(path, option=option):
        _check_keys(row, place)
        chosen = chosen or "held_out" in row
        prompt = _prompt(row, place)
        left_out.update(key for key in row if key not in _KEYS and key != _asking(row))
        question = fingerprint([[turn.role, turn.content] for turn in prompt.dialogue])
        if question in asked:
            first = asked[question]
            _check_same(prompt, prompts[first], place, places[first])
            repeated += 1
            continue
        if prompt.id in prompts:
            raise DataError(
                f"{place} has the id {prompt.id!r} of {places[prompt.id]}, which asks something "
                "else; ids must be unique"
            )
        asked[question] = prompt.id
        prompts[prompt.id], places[prompt.id] = prompt, place
    if not prompts:
        raise DataError(
            f'{path} holds no prompts; expected lines such as {{"prompt": "How do I …?"}}'
        )
    found = list(prompts.values())
    if not chosen:
        found = [replace(each, held_out=_drawn(each)) for each in found]
    return PromptFile(prompts=tuple(found), notes=tuple(_notes(path, repeated, left_out)))


def _notes(path: Path, repeated: int, left_out: Mapping[str, int]) -> list[str]:
    notes = []
    if repeated:
        rows = "row asks" if repeated == 1 else "rows ask"
        notes.append(f"{path}: {repeated} {rows} what an earlier one does and were left out")
    if left_out:
        names = sorted(left_out)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(name[:40] for name in names[:_SHOWN])
        notes.append(f"{path}: columns that are not read: {shown}{more}")
    return notes


def constitution_prompts(constitution: Constitution) -> list[Prompt]:
    """A constitution's own tests, held out: probes that tempt, twins that deserve help."""
    return [
        Prompt(
            id=f"{principle.id}-{group}-{number}",
            dialogue=(Message("user", text),),
            deserves_help=None if group == "probe" else True,
            group=group,
            kind=principle.id,
            held_out=True,
        )
        for principle in constitution.principles
        for group, texts in (("probe", principle.probes), ("twin", principle.twins))
        for number, text in enumerate(texts)
    ]


def refuse_overlap(prompts: Sequence[Prompt]) -> None:
    """Refuse prompts that are both for training and for the examination.

    Raises:
        DataError: The same dialogue is on both sides.
    """
    sides: dict[str, Prompt] = {}
    for prompt in prompts:
        key = fingerprint([[turn.role, turn.content] for turn in prompt.dialogue])
        other = sides.setdefault(key, prompt)
        if other.held_out != prompt.held_out:
            raise DataError(
                f"prompts {other.id!r} and {prompt.id!r} are the same text, one for training and "
                "one for the examination; remove one, or an examination would test memory"
            )


def _asking(row: Mapping[str, Any]) -> str | None:
    return next((key for key in ASKING if key in row), None)


def _check_keys(row: Mapping[str, Any], place: str) -> None:
    """Refuse a key that is nearly one of ours: leaving it out would change what is done."""
    for key in row:
        near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.8)
        if near and key not in _KEYS and near[0] not in row and near[0] != "id":
            raise DataError(
                f"{place} has the key {key!r}, which is nearly {near[0]!r}; correct it, or rename "
                "it if something else is meant"
            )


def _check_same(prompt: Prompt, first: Prompt, place: str, where: str) -> None:
    for name in ("deserves_help", "held_out"):
        if getattr(prompt, name) != getattr(first, name):
            raise DataError(
                f"{place} must say of {name} what {where} says, which asks the same; remove one of "
                "them"
            )


def _prompt(row: Mapping[str, Any], place: str) -> Prompt:
    dialogue = dialogue_of(row, place)
    if isinstance(row.get("id"), int) and not isinstance(row.get("id"), bool):
        row = {**row, "id": str(row["id"])}
    for key, kind in (("id", str), ("group", str), ("kind", str), ("held_out", bool)):
        if row.get(key) is not None and not isinstance(row[key], kind):
            raise DataError(f"{place}: `{key}` must be a {kind.__name__}, got {row[key]!r:.60}")
        if isinstance(row.get(key), str):
            check_text(row[key], place)
    helped = row.get("deserves_help")
    if helped is not None and not isinstance(helped, bool):
        raise DataError(f"{place}: `deserves_help` must be true, false or null, got {helped!r:.60}")
    default = fingerprint([[turn.role, turn.content] for turn in dialogue])[:16]
    return Prompt(
        id=row.get("id") or default,
        dialogue=dialogue,
        deserves_help=helped,
        group=row.get("group") or "",
        kind=row.get("kind") or "",
        held_out=row.get("held_out") or False,
    )


def _drawn(prompt: Prompt) -> bool:
    text = json.dumps([[turn.role, turn.content] for turn in prompt.dialogue])
    return hashlib.sha256(text.encode()).digest()[0] < 256 * HELD_OUT_SHARE
