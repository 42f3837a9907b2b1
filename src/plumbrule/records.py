"""What the stages hand to each other: plain, frozen, and written to disk as they are."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from plumbrule.errors import ConfigError, DataError

_T = TypeVar("_T")


def check_ranges(record: Any, **bounds: tuple[float, float]) -> None:
    """See that numbers of a record lie within bounds, both included; None is let pass.

    Args:
        record: Of which the numbers are attributes.
        bounds: Least and largest value, by name.

    Raises:
        ConfigError: One does not, or is no number.
    """
    for name, (least, most) in bounds.items():
        value = getattr(record, name)
        if value is not None and not least <= value <= most:  # NaN is not within anything
            raise ConfigError(f"{name} must be between {least:,g} and {most:,g}, got {value!r:.40}")


def refuse_truths(given: Any, read: Any, place: str = "") -> None:
    """Refuse true and false where a number belongs: they would count as 1 and 0.

    Args:
        given: Plain values as a user wrote them.
        read: The same as they were read.
        place: What the message calls them.

    Raises:
        ConfigError: There is one.
    """
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        for name, value in given.items():
            refuse_truths(value, read.get(name), f"{place}.{name}" if place else str(name))
    elif isinstance(given, bool) and not isinstance(read, bool):
        raise ConfigError(f"{place} must be a number, got {str(given).lower()}")


strict = with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
"""Of a record: fields that it does not know, NaN and infinity are refused when it is read."""

Role = Literal["system", "user", "assistant"]
"""Who speaks."""

Verdict = Literal["pass", "fail", "refused", "errored", "not_applicable"]
"""What a judge said of a reply under a principle."""

LabelSource = Literal["ai", "human", "rule", "oracle"]
"""Who said so."""


@strict
@dataclass(frozen=True)
class Message:
    """One turn of a dialogue."""

    role: Role
    content: str


Dialogue = tuple[Message, ...]
"""Turns in order; the last one is the user's when a reply is wanted."""


@strict
@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A dialogue that waits for a reply, and what is known about it."""

    id: str
    """Stable name, unique within a prompt set."""

    dialogue: Dialogue

    deserves_help: bool | None = None
    """Whether the right reply gives what is asked for; None where nobody said."""

    group: str = ""
    """What it is counted with, such as `look_alike`; free text."""

    kind: str = ""
    """Finer than the group, for reading; free text."""

    held_out: bool = False
    """True for prompts of the examination, which training never sees."""

    topics: tuple[str, ...] = ()
    """What it is about, as a comparison of two models found; see `behavior.topics`."""


@strict
@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A dialogue and the reply it got."""

    id: str
    """Stable name of the request, unique within a prompt set."""

    dialogue: Dialogue
    """What the model was given."""

    response: str
    """What it answered."""

    model: str
    """Identity of the model that answered."""

    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Temperature and the like, as the sampler was given them."""

    seed: int = 0
    """Seed of this one reply."""

    finish_reason: str = "stop"
    """`stop`, or `length` where the reply was cut off."""


@strict
@dataclass(frozen=True, kw_only=True)
class TalkReading:
    """What came of reading a reply twice that seems to talk to its judge."""

    said: str
    """Signs that gave it away and a quotation; the quoted words are the reply's own."""

    changed: bool
    """Whether reading it without its talk changed the verdict."""


@strict
@dataclass(frozen=True, kw_only=True)
class Judgment:
    """One judge's word on one reply under one principle."""

    exchange_id: str
    principle_id: str
    constitution_sha256: str

    verdict: Verdict
    """`fail` means that the reply breaks the principle."""

    probability: float | None
    """Judge's probability that the principle is broken; None where it gave none."""

    rationale: str
    """The judge's own words, or why there is no verdict."""

    judge: str
    """Identity of the judging model."""

    prompt_sha256: str
    """Hash of the prompt set the judge was asked with."""

    method: str
    """`log-probs`, `sampling`, `oracle` …: where the probability came from."""

    talk: TalkReading | None = None
    """What came of a second reading; None where the reply was read once. Files of before it had
    this field say so in the rationale alone: `judging.talk_reading` reads both."""


@strict
@dataclass(frozen=True, kw_only=True)
class MannerJudgment:
    """One judge's word on how a reply meets its request, whatever the principles."""

    exchange_id: str
    manner: Literal["helped", "objected", "evaded", "refused", "errored"]
    """`refused` and `errored` speak of the judge: it gave no usable answer."""

    probabilities: Mapping[str, float] | None
    rationale: str
    judge: str
    prompt_sha256: str
    method: str


@strict
@dataclass(frozen=True, kw_only=True)
class Preference:
    """Which of two replies is better, and how sure the labeler was."""

    id: str
    dialogue: Dialogue
    first: str
    second: str

    probability: float | None
    """Combined probability that `first` is better; None where no principle decided."""

    by_principle: Mapping[str, float]
    """The same per principle, averaged over both orders."""

    order_disagreement: Mapping[str, float]
    """Per principle, how far the two orders were apart, in probability."""

    constitution_sha256: str
    source: LabelSource
    labeler: str
    method: str

    weight: float = 1.0
    """What the label counts for in training, beside the others' weights; 0: nothing."""


@strict
@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with the uncertainty that belongs to it."""

    value: float
    """Point estimate, in `unit`."""

    low: float
    """Lower end of the interval, in `unit`."""

    high: float
    """Upper end of the interval, in `unit`."""

    level: float
    """Confidence level of the interval, between 0 and 1."""

    n: int
    """Independent observations behind the estimate."""

    unit: str
    """What one step of `value` means, e.g. "violations per reply"."""

    method: str
    """Name of the procedure, as the report prints it."""

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.value <= self.high < math.inf:
            raise DataError(
                "an estimate lies inside a finite interval, "
                f"got {self.value} in [{self.low}, {self.high}]"
            )


@strict
@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """What is promised about all the claims made beside one another."""

    procedure: str
    level: float
    family_size: int


@strict
@dataclass(frozen=True, kw_only=True)
class Finding:
    """One claim about a model, with what is needed to check it again."""

    claim: str
    """The sentence the report prints."""

    where: str
    """Which prompts it speaks of."""

    what: str
    """Which property of the replies it speaks of."""

    estimate: Estimate | None
    """None when the data could not answer; `reason` then says why."""

    reason: str | None
    """Why there is no estimate; None when there is one."""

    evidence: tuple[str, ...]
    """Files of records behind it, relative to the run's folder."""

    principle_id: str | None
    severity: Literal["info", "low", "medium", "high"]
    guarantee: Guarantee | None
    reproduce: str
    """The command that makes the claim again."""

    def __post_init__(self) -> None:
        if (self.estimate is None) == (self.reason is None):
            raise DataError(
                "a finding has an estimate or a reason why not, "
                f"got {self.estimate} and {self.reason!r}"
            )


@strict
@dataclass(frozen=True, kw_only=True)
class Intervention:
    """A change of a model's weights, with what it is meant to fix and how that is checked."""

    fixes: str
    """The fault, in one sentence."""

    check: str
    """What decides whether it is gone: the grader, and on which prompts."""

    method: str
    """How it was found, such as `fitted` or `ablation`."""

    sites: tuple[str, ...]
    """Where it changes something, as sites of the model."""

    model: str
    """Identity of the model before."""

    repaired: str
    """Identity of the model after; the same where nothing was changed."""

    settings: Mapping[str, Any]
    """All that it was found with."""

    seed: int

    cost: float
    """Tokens read times passes that it took to find; a backward pass counts as two."""

    reverts_with: str
    """File, beside the repaired model, of what it replaced; the exact bytes come back from it."""

    spares: str = ""
    """What must stay as it was; empty where nobody said."""


@strict
@dataclass(frozen=True, kw_only=True)
class Amendment:
    """A change of the constitution, with what it is meant to fix and how that is checked."""

    fixes: str
    """The fault, in one sentence."""

    check: str
    """What decides whether it is gone: the judge, and on which prompts."""

    spares: str
    """What must stay as it was."""

    kind: Literal["wording", "example", "condition", "new principle", "tier"]
    principle_id: str

    before: str
    """What the constitution says so far; empty where it says nothing of it."""

    after: str
    reason: str
    """Why this change answers the finding."""

    constitution: str
    """SHA-256 of the constitution before."""

    amended: str
    """SHA-256 of the constitution after."""

    cost: float
    """Tokens read times passes that it takes to learn; a backward pass counts as two."""


@strict
@dataclass(frozen=True, kw_only=True)
class PatchedExample:
    """One training example that is added, dropped or given another reply."""

    action: Literal["add", "drop", "relabel"]
    id: str
    dialogue: Dialogue

    before: str
    """Its reply so far; empty where it is added."""

    after: str
    """Its reply from now on; empty where it is dropped."""

    score: float | None
    """How much it is like the replies at fault, by `DataPatch.ranked_by`; None where it was not
    ranked."""

    reason: str


@strict
@dataclass(frozen=True, kw_only=True)
class DataPatch:
    """A change of the training data, with what it is meant to fix and how that is checked."""

    fixes: str
    """The fault, in one sentence."""

    check: str
    """What decides whether it is gone: the judge, and on which prompts."""

    spares: str
    """What must stay as it was."""

    examples: tuple[PatchedExample, ...]
    """The likeliest cause first."""

    ranked_by: str
    """The measure behind `PatchedExample.score`."""

    control: str
    """What an equal number of examples chosen by chance is changed by, to see whether it is these
    examples that matter; or why there is no such control."""

    reason: str
    """Why this change answers the finding."""

    cost: float
    """Tokens read times passes that it takes to learn; a backward pass counts as two."""


Remedy = Amendment | DataPatch | Intervention
"""What answers a finding."""


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}
"""Building one takes milliseconds, and records are written by the thousand."""


def _adapter(kind: type) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_json(record: object) -> Any:
    """Turn a record, or a container of records, into what `json` can write."""
    return _adapter(type(record)).dump_python(record, mode="json")


def from_json(kind: type[_T], value: object, *, origin: str) -> _T:
    """Read one record back.

    Args:
        kind: The record's class.
        value: What `to_json` gave, after any trip through JSON.
        origin: Where it came from, for the message.

    Raises:
        DataError: A field is unknown, missing, or holds what the record refuses.
    """
    try:
        # Through JSON, because a tuple comes back from disk as a list.
        return _adapter(kind).validate_json(json.dumps(value))  # type: ignore[no-any-return]
    except (ValidationError, DataError) as error:
        said = problems_of(error) if isinstance(error, ValidationError) else str(error)
        raise DataError(f"{origin} does not hold a {kind.__name__}: {said}") from error


def problems_of(error: ValidationError) -> str:
    """What is wrong with which field, in one line."""
    said = []
    for each in error.errors():
        place = ".".join(str(part) for part in each["loc"])
        message = each["msg"].removeprefix("Value error, ")  # our own words need no such name
        said.append(f"{place}: {message}" if place else message)
    return "; ".join(said)


def read_jsonl(kind: type[_T], path: Path) -> list[_T]:
    """Read a file of records, one per line, and name the line that is not one."""
    records = []
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number} is not JSON: {error}") from error
        records.append(from_json(kind, value, origin=f"{path}, line {number}"))
    return records


def to_jsonl(records: Iterable[object]) -> str:
    """One JSON object per line, in a form that depends on nothing but the records."""
    return "".join(json.dumps(to_json(record), ensure_ascii=False) + "\n" for record in records)
