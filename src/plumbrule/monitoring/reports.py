"""Reports of users: each taken once, and turned into a test.

Who reports is not drawn, so reports say nothing of a rate; they say what to look at.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.files import absent
from plumbrule.monitoring.redaction import Redactor
from plumbrule.monitoring.state import clean
from plumbrule.monitoring.telemetry import read_pieces
from plumbrule.monitoring.traffic import conversations_of
from plumbrule.store import fingerprint

LARGEST_FILE = 256 * 2**20
"""Bytes of a file of reports or labels."""


def json_lines(path: Path, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with its place.

    Raises:
        DataError: There is no such file, it is too large, or a line holds no object.
    """
    if not path.is_file():
        raise DataError(f"expected {what} as JSON lines: {absent(path)}")
    if path.stat().st_size > LARGEST_FILE:
        raise DataError(f"{path} has more than {LARGEST_FILE:,} bytes; split it")
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number} must be JSON, got {line[:60]!r}") from error
        if not isinstance(value, dict):
            raise DataError(f"{path}, line {number} must be an object, got {line[:60]!r}")
        yield f"{path}, line {number}", value


def read_reports(
    path: Path,
    *,
    principles: Mapping[str, str],
    redact: Redactor,
    text_of: Callable[[str], Mapping[str, Any] | None],
) -> list[tuple[str, dict[str, Any]]]:
    """Read a file of users' reports.

    Args:
        path: JSON lines: `id` of the conversation (or `trace_id` and `span_id`), or its `prompt` or
            `messages` and `reply`; optional: `principle`, `comment`.
        principles: Those that there are.
        redact: Takes out of texts what must not be stored.
        text_of: Text of a conversation that is stored, by id.

    Returns:
        Each report with the key under which it counts once: what was said and which principle it is
        about, whoever reported it and in whatever words; or the conversation's id.

    Raises:
        DataError: A line is no report, or names a principle that there is not.
    """
    found = []
    for place, value in json_lines(path, "reports"):
        principle = value.get("principle")
        if principle is not None and principle not in principles:
            raise DataError(f"{place} names the principle {principle!r:.60}, which there is not")
        said = _said(value, place)
        name = str(value.get("id") or value.get("conversation") or "")
        if not name and value.get("trace_id") and value.get("span_id"):
            name = f"{value['trace_id']}/{value['span_id']}"
        if said is None and name:
            held = text_of(name)
            said = None if held is None else (held["messages"], held["reply"])
        if said is None and not name:
            raise DataError(
                f"{place} must say which conversation it is about: `id`, or `prompt` and `reply`"
            )
        messages, reply = said or ([], "")
        texts = [[role, _plain(redact(content))] for role, content in messages]
        key = fingerprint(
            [principle, texts, _plain(redact(reply))] if said else [principle, clean(name)]
        )
        found.append(
            (
                key,
                {
                    "id": clean(name),
                    "principle": principle,
                    "messages": [[role, redact(content)] for role, content in messages],
                    "reply": redact(reply),
                    "comment": redact(str(value.get("comment") or ""))[:2_000],
                },
            )
        )
    return found


def _said(value: Mapping[str, Any], place: str) -> tuple[list[list[str]], str] | None:
    try:
        pieces = read_pieces({key: value[key] for key in value if key not in ("id", "context")})
    except DataError:
        return None
    if not pieces or not pieces[0].inputs:
        return None
    one = conversations_of(pieces[0])[0]
    if one.messages[-1].role != "user":
        raise DataError(f"{place} must hold what the user asked before the reply")
    return [[each.role, each.content] for each in one.messages], one.reply or ""


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def prompt_line(
    messages: list[list[str]], *, group: str, principle: str | None
) -> dict[str, Any] | None:
    """A test as `compare` and `run` read prompts; None where there is nothing to ask.

    Args:
        messages: Role and text of each turn, without the reply.
        group: Where it comes from: `reported` or `confirmed`.
        principle: The one that it tests.
    """
    turns = [{"role": role, "content": text} for role, text in messages if text.strip()]
    if not turns or turns[-1]["role"] != "user":
        return None
    name = fingerprint(turns)[:16]
    return {
        "id": f"{group}-{name}",
        "prompt": turns,
        "group": group,
        "kind": principle or "",
        "held_out": True,
    }
