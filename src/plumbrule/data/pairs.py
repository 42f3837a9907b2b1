"""Read what people prefer, and what they would reply: pairs of replies, and demonstrations.

A pair comes in one of these forms, the first that fits:

    first, second, probability      two replies to `dialogue`, `prompt` or `request`, and how likely
                                    `first` is the better one, 0 to 1; `weight` where it is not 1
    first, second, answer           what `plumbrule label export` writes: `first`, `second` or
                                    `tie`; as `label` in files of others
    prompt, chosen, rejected        two replies, the better one first
    chosen, rejected                two whole conversations (`Human:`, `Assistant:`, as in
                                    Anthropic's hh-rlhf, or lists of messages) that part at a reply

A row that is no pair is refused by name. Pairs that teach nothing are left out, and it is said how
many: two replies that are the same but for white space, an empty reply, a pair that nobody decided.
What rows with opposite labels of the same two replies come to is the caller's: `read_pairs` takes
the mean, `plumbrule.drafting.usable_pairs` leaves them out.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Protocol, TypeVar

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
LARGEST_PAIRS = 2**29
"""Bytes of a file of pairs, unpacked."""

IDENTICAL = "both replies to what they share are the same"
EMPTY = "a reply is empty"
UNDECIDED = "nobody has said which reply is better"

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


def pair_rows(path: Path, option: str = "--human-pairs") -> Iterator[tuple[str, Preference]]:
    """Each row of a file as a preference, in order, with the place where it is.

    Which of `chosen` and `rejected` comes first is decided by a coin that falls by their content;
    other rows keep their order. The probability of a pair that nobody has decided is None.

    Args:
        path: JSON lines, a JSON list, CSV or tab-separated text, each packed with gzip or not; or
            Parquet.
        option: Where the file was named, for messages.

    Raises:
        DataError: The file is missing, too large, not UTF-8, or a row is not a pair: a key is
            missing, a probability is not between 0 and 1, a weight is below 0.
    """
    for place, row in read_rows(path, "pairs", option, largest=LARGEST_PAIRS):
        yield place, _pair(row, place)


def read_pairs(path: Path) -> PairFile:
    """Read pairs of replies of which people said which is better.

    Rows about the same two replies count as one pair, with the mean of what was said, each by its
    weight, and with the sum of their weights: to a reward model that is the same. Where they say
    opposite things, it is counted.

    Args:
        path: As for `pair_rows`.

    Raises:
        DataError: As for `pair_rows`, or no row is left, or two pairs have one id.
    """
    taken: list[Preference] = []
    names: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for place, pair in pair_rows(path):
        trouble = teaches_nothing(pair) or ("they weigh 0" if pair.weight == 0 else None)
        if trouble:
            left_out[trouble] += 1
            continue
        key = compared_replies(pair)
        if names.setdefault(pair.id, key) != key:
            raise DataError(
                f"{place} has the id {pair.id!r:.60} of an earlier pair of other replies; ids must "
                "be unique"
            )
        taken.append(_ordered(pair))
    if not taken:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise DataError(
            f"{path} holds no pairs to learn from{f' ({reasons})' if reasons else ''}; expected "
            f"lines such as {EXAMPLE}"
        )
    groups = of_same_replies(taken)
    notes = [f"{path}: {count} pairs left out: {reason}" for reason, count in left_out.items()]
    if repeated := len(taken) - len(groups):
        notes.append(
            f"{path}: {repeated} rows are about two replies that an earlier one is about and were "
            "put together with it"
        )
    if both := sum(map(contradict, groups)):
        notes.append(
            f"{path}: {both} pairs are labeled both ways by different rows, so that their mean "
            "counts"
        )
    return PairFile(
        preferences=tuple(reduce(_together, group) for group in groups), notes=tuple(notes)
    )


class LabeledReplies(Protocol):
    """Two replies with a label, whatever else is known of them."""

    @property
    def dialogue(self) -> Dialogue: ...  # noqa: D102
    @property
    def first(self) -> str: ...  # noqa: D102
    @property
    def second(self) -> str: ...  # noqa: D102
    @property
    def probability(self) -> float | None: ...  # noqa: D102


Labeled = TypeVar("Labeled", bound=LabeledReplies)


def teaches_nothing(pair: LabeledReplies) -> str | None:
    """Why a pair is left out; None where it is not."""
    if pair.first.strip() == pair.second.strip():
        return IDENTICAL
    if not (pair.first.strip() and pair.second.strip()):
        return EMPTY
    return UNDECIDED if pair.probability is None else None


def compared_replies(pair: LabeledReplies) -> str:
    """A name of what is compared, whichever reply comes first."""
    return _hash(pair.dialogue, *sorted((pair.first, pair.second)))


def of_same_replies(pairs: Iterable[Labeled]) -> list[list[Labeled]]:
    """Pairs put together by what is compared, in order of the first of each."""
    groups: dict[str, list[Labeled]] = {}
    for pair in pairs:
        groups.setdefault(compared_replies(pair), []).append(pair)
    return list(groups.values())


def contradict(pairs: Sequence[LabeledReplies]) -> bool:
    """Whether labels of the same two replies lean to either."""
    leanings = {
        (pair.probability > 0.5) == (pair.first <= pair.second)
        for pair in pairs
        if pair.probability is not None and pair.probability != 0.5
    }
    return len(leanings) == 2


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


def _pair(row: Mapping[str, Any], place: str) -> Preference:
    """A row as a preference."""
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
    pair = _preference(row, place, dialogue, replies[0], replies[1], 1.0)
    coin = int(fingerprint([dialogue[-1].content, sorted(replies)])[0], 16) < 8
    return _turned(pair) if (replies[0] > replies[1]) != coin else pair


def _labeled(row: Mapping[str, Any], place: str) -> Preference:
    """Two replies with a probability, or with the answer of somebody."""
    given, likely = row.get("probability"), None
    ours = "by_principle" in row  # a record of a run, whose critic may have left a pair undecided
    if "probability" in row and not (ours and given is None):
        likely = _number(given)
        if likely is None or not 0 <= likely <= 1:
            raise DataError(f"{place}: `probability` must be from 0 to 1, got {given!r:.40}")
    elif "item" in row:
        likely = _ANSWERS.get(str(row.get("settled") or row.get("answer")))
    elif "label" in row:
        likely = _ANSWERS.get(str(row["label"]))
        if likely is None:
            raise DataError(
                f"{place}: `label` must be `first` or `second`, or `tie`, got {row['label']!r:.40}"
            )
    elif not ours:
        raise DataError(
            f"{place} must have the key probability: how likely `first` is the better one, 0 to 1"
        )
    if "dialogue" in row:
        dialogue = checked_dialogue(turns_of(row["dialogue"], place, "dialogue"), place)
    else:
        asked = {**row, "prompt": row["request"]} if "request" in row else row
        dialogue = dialogue_of(asked, place)
    texts = [_text(row.get(key), place, key) for key in ("first", "second")]
    return _preference(row, place, dialogue, texts[0], texts[1], likely)


def _preference(
    row: Mapping[str, Any],
    place: str,
    dialogue: Dialogue,
    first: str,
    second: str,
    likely: float | None,
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


def _ordered(pair: Preference) -> Preference:
    """A pair in one fixed order, by text: that the first is better then says nothing."""
    return _turned(pair) if pair.first > pair.second else pair


def _turned(pair: Preference) -> Preference:
    """The same pair with the other reply first."""
    likely = None if pair.probability is None else 1 - pair.probability
    return replace(pair, first=pair.second, second=pair.first, probability=likely)


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
