"""Reads a user's prompts: JSON lines in TRL's prompt format, checked line by line.

A line is `{"prompt": "text"}` or `{"prompt": [{"role": "user", "content": "text"}]}`, and may
say more: `id`, `deserves_help` (true, false or null), `group`, `kind`, `held_out`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError
from plumbrule.records import Dialogue, Message, Prompt
from plumbrule.store import fingerprint

LARGEST_FILE = 64 * 2**20
"""Bytes; a longer file of prompts is a data set to draw from, not a set of prompts to answer."""

HELD_OUT_SHARE = 0.25
"""Share of a file's prompts kept for the examination where the file does not say which."""

_KEYS = {"prompt", "id", "deserves_help", "group", "kind", "held_out"}
_ROLES = ("system", "user", "assistant")


def read_prompts(path: Path) -> list[Prompt]:
    """Read a file of prompts.

    Where no line says `held_out`, a fixed quarter is held out, chosen by the hash of each
    dialogue, so that the same prompt is on the same side in every run.

    Raises:
        DataError: The file is missing, empty, too large, not UTF-8, or a line is not a prompt.
    """
    if not path.is_file():
        raise DataError(f"expected a file of prompts, there is none at {path}; check --prompts")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise DataError(
            f"expected at most {LARGEST_FILE / 2**20:.0f} MiB of prompts, {path} has "
            f"{size / 2**20:.0f} MiB; draw a sample of it, such as `shuf -n 2000 FILE`"
        )
    prompts = []
    chosen = False
    seen: dict[str, int] = {}
    for number, text in _lines(path):
        value = _object(text, f"{path}, line {number}")
        chosen = chosen or "held_out" in value
        prompt = _prompt(value, f"{path}, line {number}")
        if prompt.id in seen:
            raise DataError(
                f"{path}, line {number} has the id {prompt.id!r} of line {seen[prompt.id]}; "
                "ids must be unique, and so must prompts without one"
            )
        seen[prompt.id] = number
        prompts.append(prompt)
    if not prompts:
        raise DataError(
            f'{path} holds no prompts; expected lines such as {{"prompt": "How do I …?"}}'
        )
    return prompts if chosen else [replace(each, held_out=_drawn(each)) for each in prompts]


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
        DataError: The same dialogue stands on both sides.
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


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, line {number} must be UTF-8 text: {error.reason} at byte "
                    f"{error.start}. Save the file as UTF-8."
                ) from error
            if text.strip():
                yield number, text


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{place} must be one JSON object a line, got {text[:60]!r}") from error
    if not isinstance(value, dict):
        raise DataError(f"{place} must be a JSON object, got {type(value).__name__}")
    unknown = set(value) - _KEYS
    if unknown or "prompt" not in value:
        raise DataError(
            f"{place} must have the key `prompt` and may have {', '.join(sorted(_KEYS))}; "
            f"got {', '.join(sorted(value)) or 'no keys'}"
        )
    return value


def _prompt(value: dict[str, Any], place: str) -> Prompt:
    dialogue = _dialogue(value["prompt"], place)
    for key, kind in (("id", str), ("group", str), ("kind", str), ("held_out", bool)):
        if key in value and not isinstance(value[key], kind):
            raise DataError(f"{place}: `{key}` must be a {kind.__name__}, got {value[key]!r}")
    helped = value.get("deserves_help")
    if helped is not None and not isinstance(helped, bool):
        raise DataError(f"{place}: `deserves_help` must be true, false or null, got {helped!r}")
    default = fingerprint([[turn.role, turn.content] for turn in dialogue])[:16]
    return Prompt(
        id=value.get("id", default),
        dialogue=dialogue,
        deserves_help=helped,
        group=value.get("group", ""),
        kind=value.get("kind", ""),
        held_out=value.get("held_out", False),
    )


def _dialogue(value: object, place: str) -> Dialogue:
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: `prompt` must be text or a list of messages, got {value!r:.60}")
    turns = []
    for turn in value:
        if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
            raise DataError(f"{place}: a message has `role` and `content`, got {turn!r:.60}")
        if turn["role"] not in _ROLES or not isinstance(turn["content"], str):
            raise DataError(
                f"{place}: a message's role is one of {', '.join(_ROLES)} and its content text, "
                f"got {turn!r:.60}"
            )
        try:
            turn["content"].encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{place}: the text holds half a character ({error.reason})") from error
        turns.append(Message(turn["role"], turn["content"]))
    if turns[-1].role != "user":
        raise DataError(f"{place}: the last message must be the user's, got {turns[-1].role!r}")
    if not turns[-1].content.strip():
        raise DataError(f"{place}: the last message is empty; remove the line or fill it in")
    return tuple(turns)


def _drawn(prompt: Prompt) -> bool:
    text = json.dumps([[turn.role, turn.content] for turn in prompt.dialogue])
    return hashlib.sha256(text.encode()).digest()[0] < 256 * HELD_OUT_SHARE
