"""Read what people prefer, and what they would reply: pairs of replies, and demonstrations.

A pair comes in one of these forms, the first that fits:

    first, second, probability      two replies to `dialogue`, `prompt` or `request`, and how likely
                                    `first` is the better one, 0 to 1; `weight` where it is not 1
    first, second, answer           what `plumbrule label export` writes: `first` or `second`
    prompt, chosen, rejected        two replies, the better one first
    chosen, rejected                two whole conversations (`Human:`, `Assistant:`, as in
                                    Anthropic's hh-rlhf, or lists of messages) that part at a reply

Pairs that teach nothing are left out, pairs that say the same are put together, and it is said how
many; a row that is no pair is refused by name.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plumbrule.data.files import read_rows
from plumbrule.data.forms import (
    both_sides,
    check_text,
    checked_dialogue,
    dialogue_of,
    shared_beginning,
    turns_of,
    up_to_user,
)
from plumbrule.errors import DataError
from plumbrule.records import Dialogue, Exchange, Message, Preference
from plumbrule.store import fingerprint

EXAMPLE = '{"prompt": "…", "chosen": "…", "rejected": "…"}'
_ANSWERS = {"first": 1.0, "second": 0.0, "tie": 0.5}
REPLIES = ("completion", "response", "reply", "output", "answer")
"""Keys that hold a demonstration's reply, the one that decides first."""


@dataclass(frozen=True, kw_only=True)
class PairFile:
    """A file's preferences, and what was left out of it or put together."""

    preferences: tuple[Preference, ...]

    notes: tuple[str, ...]
    """Sentences for whoever gave the file; none where everything was taken as it came."""


@dataclass(frozen=True, kw_only=True)
class DemonstrationFile:
    """A file's replies to imitate, and what was left out of it."""

    examples: tuple[Exchange, ...]
    notes: tuple[str, ...]


def read_pairs(path: Path) -> PairFile:
    """Read pairs of replies of which people said which is better.

    Rows about the same two replies count as one pair, with the mean of what was said, each by its
    weight, and with the sum of their weights: to a reward model that is the same. Where they say
    opposite things, it is counted.

    Args:
        path: JSON lines, a JSON list, CSV, tab-separated text or Parquet.

    Raises:
        DataError: The file is missing, empty, too large, not UTF-8, or a row is not a pair: a key
            is missing, a probability is not between 0 and 1, a weight is below 0.
    """
    found: dict[str, Preference] = {}
    sides: dict[str, set[bool]] = {}
    names: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    repeated = 0
    for place, row in read_rows(path, "pairs", "--human-pairs"):
        pair = _pair(row, place)
        trouble = _teaches_nothing(pair)
        if pair is None or trouble:
            left_out[trouble or ""] += 1
            continue
        key, pair = _ordered(pair)
        if pair.probability is not None and pair.probability != 0.5:
            sides.setdefault(key, set()).add(pair.probability > 0.5)
        if names.setdefault(pair.id, key) != key:
            raise DataError(
                f"{place} has the id {pair.id!r:.60} of an earlier pair of other replies; ids must "
                "be unique"
            )
        repeated += key in found
        found[key] = _together(found[key], pair) if key in found else pair
    if not found:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise DataError(
            f"{path} holds no pairs to learn from{f' ({reasons})' if reasons else ''}; expected "
            f"lines such as {EXAMPLE}"
        )
    notes = [f"{path}: {count} pairs left out: {reason}" for reason, count in left_out.items()]
    if repeated:
        notes.append(
            f"{path}: {repeated} rows are about two replies that an earlier one is about and were "
            "put together with it"
        )
    if both := sum(len(each) > 1 for each in sides.values()):
        notes.append(
            f"{path}: {both} pairs are labeled both ways by different rows, so that their mean "
            "counts"
        )
    return PairFile(preferences=tuple(found.values()), notes=tuple(notes))


def read_demonstrations(path: Path) -> DemonstrationFile:
    """Read replies to imitate: conversations that end with one, or prompts with a reply beside.

    Args:
        path: As for `read_pairs`. A row has `messages` or `conversations` of which the assistant's
            is last, or something that is asked and one of the keys of `REPLIES`.

    Raises:
        DataError: The file is missing, empty, too large, not UTF-8, or a row has no reply.
    """
    found: dict[str, Exchange] = {}
    repeated = empty = 0
    for place, row in read_rows(path, "demonstrations", "--demonstrations"):
        dialogue, response = _demonstration(row, place)
        if not response.strip():
            empty += 1
            continue
        check_text(response, place)
        key = _hash(dialogue, response)
        repeated += key in found
        found.setdefault(
            key, Exchange(id=key[:16], dialogue=dialogue, response=response, model="people")
        )
    if not found:
        raise DataError(
            f"{path} holds no replies to imitate; expected lines such as "
            '{"prompt": "…", "response": "…"}'
        )
    notes = [
        f"{path}: {count} demonstrations left out: {reason}"
        for count, reason in ((empty, "the reply is empty"), (repeated, "they repeat another"))
        if count
    ]
    return DemonstrationFile(examples=tuple(found.values()), notes=tuple(notes))


def preferred_replies(preferences: Sequence[Preference]) -> list[Exchange]:
    """The better reply of each pair, to be imitated; pairs that lean to neither have none.

    Source:
        Rafailov et al. (2023), arXiv:2305.18290, section 6: what stands in for demonstrations on
        pairs that came without a model.
    """
    return [
        Exchange(
            id=each.id,
            dialogue=each.dialogue,
            response=each.first if each.probability > 0.5 else each.second,
            model="people",
        )
        for each in preferences
        if each.probability is not None and each.probability != 0.5
    ]


def _pair(row: Mapping[str, Any], place: str) -> Preference | None:
    """A row as a preference; None where nobody has decided it yet."""
    if "first" in row or "second" in row:
        return _labeled(row, place)
    missing = [key for key in ("chosen", "rejected") if key not in row]
    if missing:
        raise DataError(
            f"{place} must have the keys chosen and rejected, or first, second and probability; "
            f"it lacks {' and '.join(missing)}, got {', '.join(sorted(map(str, row))[:12])}"
        )
    if "prompt" in row:
        dialogue = dialogue_of(row, place)
        replies = [_reply(row[key], place, key) for key in ("chosen", "rejected")]
    else:
        one, other = both_sides(row, place)
        shared = shared_beginning(one, other)
        if len(shared) == len(one) == len(other):  # the same conversation twice, counted above
            shared = shared[:-1]
        turns = up_to_user(shared, place)
        dialogue = checked_dialogue(turns, place)
        replies = [_next(side, len(turns), place) for side in (one, other)]
    return _preference(row, place, dialogue, replies[0], replies[1], 1.0)


def _labeled(row: Mapping[str, Any], place: str) -> Preference | None:
    """Two replies with a probability, or with the answer of a queue of people."""
    said = row.get("settled") or row.get("answer") if "item" in row else None
    if "probability" not in row and said not in _ANSWERS:
        if "item" in row:
            return None
        raise DataError(
            f"{place} must have the key probability: how likely `first` is the better one, 0 to 1"
        )
    given = row["probability"] if "probability" in row else _ANSWERS[str(said)]
    likely = _number(given)
    if likely is None or not 0 <= likely <= 1:
        raise DataError(f"{place}: `probability` must be from 0 to 1, got {given!r:.40}")
    if "dialogue" in row:
        dialogue = checked_dialogue(turns_of(row["dialogue"], place, "dialogue"), place)
    else:
        asked = {**row, "prompt": row["request"]} if "request" in row else row
        dialogue = dialogue_of(asked, place)
    texts = [_text(row.get(key), place, key) for key in ("first", "second")]
    return _preference(row, place, dialogue, texts[0], texts[1], likely)


def _preference(
    row: Mapping[str, Any], place: str, dialogue: Dialogue, first: str, second: str, likely: float
) -> Preference:
    weight = _number(row.get("weight", 1.0))
    if weight is None or weight < 0:
        raise DataError(f"{place}: `weight` must be 0 or more, got {row['weight']!r:.40}")
    for text in (first, second):
        check_text(text, place)
    given = row.get("id")
    return Preference(
        id=given if isinstance(given, str) and given else _hash(dialogue, first, second)[:16],
        dialogue=dialogue,
        first=first,
        second=second,
        probability=likely,
        by_principle={},
        order_disagreement={},
        constitution_sha256="",
        source="human",
        labeler=str(row.get("annotator") or row.get("labeler") or "people")[:200],
        method="a file of pairs",
        weight=weight,
    )


def _teaches_nothing(pair: Preference | None) -> str | None:
    """Why a pair is left out; None where it is not."""
    if pair is None:
        return "nobody has said which reply is better"
    if pair.first == pair.second:
        return "both replies to what they share are the same"
    if not (pair.first.strip() and pair.second.strip()):
        return "a reply is empty"
    return "they weigh 0" if pair.weight == 0 else None


def _ordered(pair: Preference) -> tuple[str, Preference]:
    """A name of what is compared, whichever reply comes first, and the pair in one fixed order.

    The better reply of `chosen` and `rejected` always comes first, so that a reward model that
    looked at the place alone would be right; the order by text takes that from it.
    """
    if pair.first > pair.second:
        likely = None if pair.probability is None else 1 - pair.probability
        pair = replace(pair, first=pair.second, second=pair.first, probability=likely)
    return _hash(pair.dialogue, pair.first, pair.second), pair


def _together(one: Preference, other: Preference) -> Preference:
    weight = one.weight + other.weight
    likely = (
        one.weight * (one.probability or 0.0) + other.weight * (other.probability or 0.0)
    ) / weight
    return replace(one, probability=min(max(likely, 0.0), 1.0), weight=weight)


def _demonstration(row: Mapping[str, Any], place: str) -> tuple[Dialogue, str]:
    key = next((key for key in ("messages", "conversations") if key in row), None)
    if key is not None:
        turns = turns_of(row[key], place, key)
        if len(turns) < 2 or turns[-1].role != "assistant":
            raise DataError(f"{place}: the last message must be the assistant's, to be imitated")
        return checked_dialogue(turns[:-1], place), turns[-1].content
    reply = next((key for key in REPLIES if key in row), None)
    if reply is None:
        raise DataError(
            f"{place} must have a reply under one of the keys {', '.join(REPLIES)}, or messages "
            f"that end with one; got {', '.join(sorted(map(str, row))[:12]) or 'no keys'}"
        )
    return dialogue_of(row, place), _reply(row[reply], place, reply)


def _reply(value: object, place: str, key: str) -> str:
    """A reply as text, or as a list of messages that ends with it."""
    if isinstance(value, list):
        last: Message = turns_of(value, place, key)[-1]
        if last.role != "assistant":
            raise DataError(f"{place}: `{key}` must end with the assistant's message")
        return last.content
    return _text(value, place, key)


def _next(turns: Sequence[Message], at: int, place: str) -> str:
    """What the assistant says at a place of a conversation."""
    if len(turns) == at:
        return ""
    if turns[at].role != "assistant":
        raise DataError(
            f"{place}: both conversations must go on with the assistant's reply after what they "
            f"share, got one that goes on with the {turns[at].role}; leave the line out"
        )
    return turns[at].content


def _number(value: object) -> float | None:
    """A finite number, which a table holds as text; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object, place: str, key: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: `{key}` must be text, got {value!r:.60}")
    return value


def _hash(dialogue: Dialogue, *texts: str) -> str:
    return fingerprint([[[turn.role, turn.content] for turn in dialogue], *texts])
