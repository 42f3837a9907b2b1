"""Pairs of replies with a label: which of the two somebody preferred.

A line of a file is a record of ours (`dialogue`, `first`, `second`, `probability` that the first
is better), the same with `label` (`first` or `second`) or `prompt`, or `chosen` and `rejected`,
as texts beside a `prompt` or as conversations (Anthropic's hh-rlhf among them). Which of chosen
and rejected stands first is decided by a coin that falls by the pair's own content.
"""

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.data.forms import check_text, dialogue_of
from plumbrule.errors import DataError
from plumbrule.files import absent
from plumbrule.records import Dialogue, Message, Preference
from plumbrule.store import fingerprint, storage_errors

LARGEST = 2**29
"""Bytes of a file of pairs, unpacked."""

_LAST_REPLY = re.compile(r"\n\nAssistant: ?(?!.*\n\nAssistant:)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class LabeledPair:
    """Two replies to one dialogue, and which is better."""

    id: str
    dialogue: Dialogue
    first: str
    second: str

    probability: float
    """That the first is better, from 0 to 1."""

    @property
    def request(self) -> str:
        """What was asked last."""
        return self.dialogue[-1].content


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """Pairs that say something, and what was left out."""

    pairs: tuple[LabeledPair, ...]
    identical: int
    """Pairs of two replies that are the same: whatever the label says, it says nothing."""

    contradictory: int
    """Pairs that stand there with either label: none of them counts."""

    undecided: int
    """Pairs with a probability of one half, or with none."""

    repeated: int
    """Pairs that stand there again with the same label: one of them counts."""


def usable_pairs(given: Iterable[LabeledPair | Preference]) -> PairSet:
    """Leave out the pairs that say nothing.

    Args:
        given: Pairs, or preferences.

    Raises:
        DataError: A probability is outside 0 to 1, or no pair is left.
    """
    kept: dict[str, LabeledPair] = {}
    torn: dict[str, int] = {}
    identical = undecided = repeated = 0
    everything = list(given)
    for pair in everything:
        probability = pair.probability
        if probability is None:
            undecided += 1
            continue
        if isinstance(probability, bool) or not 0 <= probability <= 1:
            raise DataError(
                f"pair {pair.id!r}: the probability that the first reply is better must be between "
                f"0 and 1, got {probability!r:.40}"
            )
        if pair.first.strip() == pair.second.strip():
            identical += 1
            continue
        if probability == 0.5:
            undecided += 1
            continue
        sides = sorted([pair.first, pair.second])
        key = fingerprint([[[turn.role, turn.content] for turn in pair.dialogue], sides])
        if key in torn:
            torn[key] += 1
        elif key in kept:
            other = kept[key]
            swapped = other.first != pair.first
            if ((other.probability > 0.5) != (probability > 0.5)) == swapped:
                repeated += 1
            else:
                del kept[key]
                torn[key] = 2
        else:
            kept[key] = LabeledPair(
                id=pair.id,
                dialogue=pair.dialogue,
                first=pair.first,
                second=pair.second,
                probability=float(probability),
            )
    if not kept:
        raise DataError(
            f"expected pairs of two different replies with a label, got {len(everything):,}"
            f": {identical:,} with identical sides, {sum(torn.values()):,} with contradictory "
            f"labels, {undecided:,} undecided"
        )
    return PairSet(
        pairs=tuple(kept.values()),
        identical=identical,
        contradictory=sum(torn.values()),
        undecided=undecided,
        repeated=repeated,
    )


def read_pairs(path: Path) -> PairSet:
    """Read labeled pairs, one a line; a name that ends in .gz is unpacked.

    Raises:
        DataError: There is no such file, a line is none, or no pair is left that says something.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"expected a file of labeled pairs, there is {absent(path)}")
    pairs = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{place} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{place} must be an object, got {line!r:.60}")
            pairs.append(_pair(row, place, number))
    if not pairs:
        raise DataError(f"expected labeled pairs, {path} is empty")
    return usable_pairs(pairs)


def _text(path: Path) -> str:
    with storage_errors(path):
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                data = file.read(LARGEST + 1)
        except (gzip.BadGzipFile, EOFError) as error:
            raise DataError(f"{path} cannot be unpacked: {error}") from error
    if len(data) > LARGEST:
        raise DataError(f"expected at most {LARGEST:,} bytes of pairs, {path} has more; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _pair(row: Mapping[str, Any], place: str, number: int) -> LabeledPair | Preference:
    name = str(row.get("id", number))
    if "chosen" in row and "rejected" in row:
        dialogue = dialogue_of(row, place)
        chosen, rejected = _reply(row, "chosen", place), _reply(row, "rejected", place)
        coin = int(fingerprint([dialogue[-1].content, sorted([chosen, rejected])])[0], 16) < 8
        first, second = sorted([chosen, rejected], reverse=coin)
        return LabeledPair(
            id=name,
            dialogue=dialogue,
            first=first,
            second=second,
            probability=float(first == chosen),
        )
    missing = [key for key in ("first", "second") if key not in row]
    if missing or not ({"probability", "label"} & set(row)):
        raise DataError(
            f"{place} must have `chosen` and `rejected`, or `first`, `second` and `probability` "
            f"(or `label`), got {', '.join(sorted(map(str, row))[:10]) or 'no keys'}"
        )
    return Preference(
        id=name,
        dialogue=_dialogue(row, place),
        first=_reply(row, "first", place),
        second=_reply(row, "second", place),
        probability=_probability(row, place),
        by_principle={},
        order_disagreement={},
        constitution_sha256="",
        source="human",
        labeler="",
        method="",
    )


def _dialogue(row: Mapping[str, Any], place: str) -> Dialogue:
    turns = row.get("dialogue")
    if turns is None:
        return dialogue_of(row, place)
    return dialogue_of({"messages": turns}, place)


def _probability(row: Mapping[str, Any], place: str) -> float | None:
    if "label" in row and "probability" not in row:
        label = row["label"]
        if label not in ("first", "second"):
            raise DataError(f"{place}: `label` must be `first` or `second`, got {label!r:.40}")
        return float(label == "first")
    value = row["probability"]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(
            f"{place}: `probability` must be between 0 and 1, that the first reply is better; got "
            f"{value!r:.40}"
        )
    return float(value)


def _reply(row: Mapping[str, Any], key: str, place: str) -> str:
    value: object = row[key]
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content", value[-1].get("value"))
    if not isinstance(value, str):
        raise DataError(f"{place}: `{key}` must be a reply, got {value!r:.60}")
    check_text(value, place)
    if key in ("chosen", "rejected") and "prompt" not in row:
        parts = _LAST_REPLY.split(value)
        value = parts[-1] if len(parts) > 1 else value
    return value.strip()


def plain_pair(
    request: str, first: str, second: str, *, probability: float, id: str = ""
) -> LabeledPair:
    """A pair of replies to one request, from texts.

    Example:
        >>> plain_pair("Hi?", "Hello.", "No.", probability=1).request
        'Hi?'
    """
    return LabeledPair(
        id=id or fingerprint([request, first, second])[:12],
        dialogue=(Message("user", request),),
        first=first,
        second=second,
        probability=probability,
    )


def texts_of(pairs: Sequence[LabeledPair]) -> list[str]:
    """Both replies of each pair, the first of all and then the second of all."""
    return [pair.first for pair in pairs] + [pair.second for pair in pairs]
