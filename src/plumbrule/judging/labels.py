"""Replies of which people said whether they break a principle, and the files they come in."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError
from plumbrule.files import read_small_text
from plumbrule.records import from_json, strict
from plumbrule.store import fingerprint

LARGEST_FILE = 64 * 2**20
"""Bytes of a file of labels or of a certificate."""


@strict
@dataclass(frozen=True, kw_only=True)
class LabeledReply:
    """A reply of which somebody said whether it breaks a principle."""

    request: str
    reply: str
    principle: str
    broken: bool

    annotator: str = ""
    """Who said so; several may, of the same reply."""

    probability: float | None = None
    """Chance with which this reply had to be labeled, where the draw was not the same for all."""

    author: str = ""
    """Who wrote the reply; `judge` for the judge that is examined, or its name."""

    def __post_init__(self) -> None:
        if self.probability is not None and not 0 < self.probability <= 1:
            raise DataError(f"probability must be above 0 and at most 1, got {self.probability}")

    @property
    def sha256(self) -> str:
        """Hash of what was labeled, whoever did."""
        return fingerprint([self.request, self.reply, self.principle])


def read_labels(path: Path, constitution: Constitution) -> list[LabeledReply]:
    """Read labeled replies, one JSON object per line.

    Args:
        path: Lines with `request`, `reply`, `principle` and `broken`; optional are `annotator`,
            `probability` and `author`. Or what `plumbrule label export` wrote: pairs, skipped
            replies and those to which the principle does not apply are passed over.
        constitution: Whose principles they are.

    Raises:
        DataError: There is no such file, it is empty, or a line is not a label; the line is named.
    """
    text = read_small_text(path, "a file of labels", most=LARGEST_FILE, error=DataError)
    known = {principle.id for principle in constitution.principles}
    labels = []
    for place, value in _of_queue(_lines(path, text)):
        if isinstance(value, dict) and not isinstance(value.get("broken"), bool):
            raise DataError(
                f"{place}: `broken` must be true or false, got {value.get('broken')!r:.40}"
            )
        label = from_json(LabeledReply, value, origin=place)
        if label.principle not in known:
            raise DataError(
                f"{place} is about the principle {label.principle!r:.60}, which "
                f"{constitution.name} does not have; it has {', '.join(sorted(known))}"
            )
        labels.append(label)
    if not labels:
        raise DataError(f"expected labeled replies, {path} has none; one JSON object a line")
    return labels


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """What each line holds, with its place."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            yield place, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{place} must be one JSON object with request, reply, principle and broken, got "
                f"{line[:60]!r}"
            ) from error


_QUEUE = {"item", "settled", "inclusion_probability"}
"""Columns that only an export of a queue of people has."""


def _of_queue(lines: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Lines of such an export as labels, others as they are.

    Where people differed and one decided, what was settled counts. Where nobody decided, a reply is
    left out of which one of them says that the principle does not apply: it is neither broken nor
    kept for sure.
    """
    read = [(place, value, _exported(value)) for place, value in lines]
    doubtful = {
        str(value["item"])
        for _, value, exported in read
        if exported and value["settled"] is None and value.get("answer") not in _TOLD
    }
    found = []
    for place, value, exported in read:
        if not exported:
            found.append((place, value))
            continue
        answer = value["settled"] or value.get("answer")
        if "reply" in value and answer in _TOLD and str(value["item"]) not in doubtful:
            label = {
                "request": value.get("request"),
                "reply": value["reply"],
                "principle": value.get("principle"),
                "broken": answer == "fail",
                "annotator": value.get("annotator", ""),
                "probability": value["inclusion_probability"],
                "author": value.get("source") or "",
            }
            found.append((place, label))
    return found


_TOLD = ("pass", "fail")


def _exported(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= _QUEUE
