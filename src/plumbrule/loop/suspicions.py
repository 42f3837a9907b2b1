"""Findings of other verbs, as what a loop looks at first.

    compliance   `comply`: failures.jsonl      requests on which a principle was broken
    red team     `redteam`: hits.jsonl         words around a request where the attack holds it as
                                               it is, or else requests
    watch        `watch`: tests.jsonl          requests
    verdict      `inspect verdict`             texts that a principle hangs on
    comparison   `compare`                     texts that a changed reply hangs on
    a file       JSON lines of `prompt` or `messages` with `principle`

What was found there is the proof of nothing here. A loop asks further requests like these, or its
own within these words, and what it confirms on them is a finding of its own.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from plumbrule.constitution import Constitution
from plumbrule.data.forms import dialogue_of
from plumbrule.errors import DataError
from plumbrule.files import read_small_text
from plumbrule.internalization.records import FAKED, VerdictLabel
from plumbrule.loop.remedies import LoopSuspicions, WordsAround
from plumbrule.monitoring.reports import json_lines
from plumbrule.records import Dialogue

PLACES = ("before", "after", "system")
"""Where words may stand around a request; what a reply begins with, or a wording, stands nowhere
there."""

LARGEST = 256 * 2**20
"""Bytes of a report."""

LONGEST = 400
"""Characters of a text that is put around requests."""


@dataclass
class _Gathered:
    """What was read so far."""

    known: Collection[str]
    requests: dict[str, dict[Dialogue, None]] = field(default_factory=dict)
    words: dict[WordsAround, None] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def request(self, name: object, dialogue: Dialogue, place: str) -> None:
        if not name:
            self.unused.append(f"{place}: it names no principle")
        elif name not in self.known:
            raise DataError(
                f"{place} names the principle {name!r:.60}, which the constitution of this loop "
                f"has not; it has {', '.join(sorted(self.known))}"
            )
        else:
            self.requests.setdefault(str(name), {})[dialogue] = None

    def text(self, text: str, where: object, place: str) -> None:
        if where not in PLACES:
            self.unused.append(f"{place}: {where} is no place around a request")
        elif not text.strip() or len(text) > LONGEST:
            self.unused.append(f"{place}: a text of {len(text)} characters, 1 to {LONGEST} may be")
        else:
            self.words[WordsAround(place=where, text=text.strip())] = None  # type: ignore[arg-type]


def read_suspicions(paths: Sequence[Path], law: Constitution) -> LoopSuspicions:
    """Read what other verbs found.

    Args:
        paths: Their output folders, or files of hits.
        law: The loop's constitution.

    Returns:
        Requests and words; none where nothing was found.

    Raises:
        DataError: A path holds no finding that can be read, or names an unknown principle.
    """
    found = _Gathered(known={each.id for each in law.principles})
    for path in paths:
        if path.is_dir():
            _folder(path, found)
        else:
            _hits(path, found)
    return LoopSuspicions(
        requests={name: tuple(each) for name, each in found.requests.items()},
        words=tuple(found.words),
        unused=tuple(found.unused),
    )


def _folder(folder: Path, found: _Gathered) -> None:
    """What a verb left in its folder, known by the file that it marks it with."""
    for marker, (name, read) in KINDS.items():
        if (folder / marker).is_file():
            if not (folder / name).is_file():
                raise DataError(
                    f"expected {folder / name}, which {marker.removesuffix('.json')} writes when "
                    "it ends; there is none. Let it end first"
                )
            read(folder / name, found)
            return
    raise DataError(
        f"expected a folder of comply, redteam, watch, inspect verdict or compare, {folder} holds "
        f"none of {', '.join(KINDS)}"
    )


def _hits(path: Path, found: _Gathered) -> None:
    """Lines that name a request and a principle; a red team's say what they put around a goal."""
    for place, row in json_lines(path, "findings"):
        name = row.get("principle") or row.get("principle_id") or row.get("kind")
        if row.get("prefill"):
            found.unused.append(f"{place}: the reply was begun for the model")
            continue
        dialogue = dialogue_of(row, place)
        goal = row.get("goal")
        around = None if not isinstance(goal, str) else _around(dialogue, goal)
        if around is None:
            found.request(name, dialogue, place)
        else:
            found.text(*around, place)


def _around(dialogue: Dialogue, goal: str) -> tuple[str, str] | None:
    """A text and where it stands, if a dialogue is a goal with that text around it and no more."""
    if not goal.strip():
        return None
    *before, last = dialogue
    asked, goal = last.content.strip(), goal.strip()
    if before:
        alone = len(before) == 1 and before[0].role == "system" and asked == goal
        return (before[0].content, "system") if alone else None
    if asked != goal and asked.endswith(goal):
        return asked.removesuffix(goal).strip(), "before"
    if asked != goal and asked.startswith(goal):
        return asked.removeprefix(goal).strip(), "after"
    return None


def _verdicts(path: Path, found: _Gathered) -> None:
    """Texts that principles hang on, which are not held for their own sake."""
    for at, row in enumerate(_list(path, "verdicts")):
        place = f"{path}, verdict {at + 1}"
        label, named = row.get("label"), row.get("named")
        if label not in get_args(VerdictLabel):
            raise DataError(f"{place} must have a `label`, got {label!r:.60}")
        if label in FAKED and isinstance(named, str):
            found.text(named, row.get("place"), place)
        elif label in FAKED:
            found.unused.append(f"{place}: nothing is named that the principle hangs on")


def _changes(path: Path, found: _Gathered) -> None:
    """Texts put before requests, behind which two models reply otherwise."""
    for at, row in enumerate(_list(path, "findings")):
        place, subgroup = f"{path}, finding {at + 1}", row.get("subgroup")
        if not isinstance(subgroup, Mapping):
            raise DataError(
                f"{place} must have a `subgroup`, which compare writes since it has had loops to "
                "tell; compare again, into a new folder"
            )
        insert = subgroup.get("insert")
        if isinstance(insert, str) and insert.strip():
            found.text(insert, "before", place)
        else:
            found.unused.append(f"{place}: a change where requests stand as they are")


def _list(path: Path, name: str) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(read_small_text(path, "a report", most=LARGEST, error=DataError))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} must be a report in JSON: {error}") from error
    rows = content.get(name) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise DataError(f"{path} must have the list `{name}`; it is no report of this kind")
    return rows


KINDS: Mapping[str, tuple[str, Callable[[Path, _Gathered], None]]] = {
    "comply.json": ("failures.jsonl", _hits),
    "redteam.json": ("hits.jsonl", _hits),
    "watch.json": ("tests.jsonl", _hits),
    "verdict.json": ("report/report.json", _verdicts),
    "compare.json": ("report/report.json", _changes),
}
"""By what marks a verb's folder: the file there that holds its findings, and who reads it."""
