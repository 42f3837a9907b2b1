"""What `benchmarks.real_compare` has measured, so that it is measured once.

Kept twice: whole under `.cache`, where a person reads replies, and without replies as a line of
`benchmarks/results/real_trials.jsonl`, so that hours on one machine are not lost to the next. What
another version of the comparison or other settings gave has another key, and is not read.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import organism_trials
from plumbrule.behavior.recording import CODE_VERSION
from plumbrule.store import fingerprint

LINES = Path(__file__).resolve().parent / "results" / "real_trials.jsonl"
ASIDE = ("read", "costs", "settings", "took")
"""Not written as lines: replies to crude prompts, and what nothing is counted from."""

PEER = "exhaustive"
PEER_VERSION = 6
"""Version of the comparison that changed the exhaustive workflow last: what changes in the guided
one since leaves half an hour a trial as it was."""


def kept(part: str, key: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> Any:
    """What was measured before, here or elsewhere, or is measured now."""
    known = {**key, "code": _version(part)}
    mark = fingerprint([part, known])[:16]
    if mark in (lines := _lines()):
        return lines[mark]
    found = organism_trials.kept(f"real/{part}", known, measure)
    line = {"key": mark, "part": part, **{k: v for k, v in found.items() if k not in ASIDE}}
    # One write of one line, so that processes side by side do not tear it.
    file = os.open(LINES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (json.dumps(line, ensure_ascii=False) + "\n").encode())
    finally:
        os.close(file)
    return found


def known(part: str) -> set[tuple[str, str]]:
    """Organisms and names of the trials that a part has kept of this version."""
    return {
        (each["organism"], each["name"])
        for each in _lines().values()
        if each["part"] == part and each["code"] == _version(part)
    }


def newest(part: str, least: int) -> dict[str, Any]:
    """By organism: the line of the newest version, not before `least`, that a part has kept."""
    found: dict[str, Any] = {}
    for each in _lines().values():
        if each["part"] == part and each["code"] >= least:
            before = found.get(each["organism"])
            if before is None or before["code"] < each["code"]:
                found[each["organism"]] = each
    return found


def _version(part: str) -> int:
    return PEER_VERSION if part == PEER else CODE_VERSION


def _lines() -> dict[str, Any]:
    if not LINES.exists():
        return {}
    return {(one := json.loads(line))["key"]: one for line in LINES.read_text("utf-8").splitlines()}
