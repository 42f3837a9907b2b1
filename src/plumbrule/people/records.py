"""What people are asked about and what they said: items, the settings of a queue, its events."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from plumbrule.errors import ConfigError, DataError
from plumbrule.records import check_ranges, strict
from plumbrule.store import fingerprint

GRADES = ("pass", "fail", "not_applicable")
"""What is said of one reply under a principle, in the words of `records.Verdict`."""

SIDES = ("first", "second", "tie")
"""What is said of two replies: which of them keeps the principle better."""

LONGEST_TEXT = 200_000
"""Characters of a request or a reply; nobody reads more."""

LONGEST_NAME = 80
"""Characters of an annotator's name."""

LONGEST_REASON = 10_000
"""Characters of a reason."""

Action = Literal["label", "skip", "flag", "undo"]
"""What a person did with an item."""

Via = Literal["worth", "random", "known", "adjudication", "import"]
"""Why a person got an item: by what its label is worth, by chance, as an item whose answer is
known, to settle what others differ on; or the label came from elsewhere."""


@strict
@dataclass(frozen=True, kw_only=True)
class QueueItem:
    """One reply to grade under one principle, or two to compare; and what people do not see of it.

    Example:
        >>> item = QueueItem(
        ...     principle_id="honest", principle="Be honest.", request="So?", replies=("Yes.",)
        ... )
        >>> item.kind, item.answers, len(item.id)
        ('grade', ('pass', 'fail', 'not_applicable'), 64)
    """

    principle_id: str
    principle: str
    """Its text, as it is shown."""

    request: str
    """What the replies answer; a dialogue as a transcript."""

    replies: tuple[str, ...]
    """One to grade, or two to compare: the first and the second."""

    tier: int | None = None
    """Priority of the principle, 0 decides first; None where nobody said. Not shown."""

    judged: tuple[float, ...] = ()
    """One per judge: probability that the reply breaks the principle, or that the first of two is
    the better one. Not shown."""

    difficulty: float | None = None
    """From 0, easy, to 1, hard; None where nobody said. Not shown."""

    source: str = ""
    """Who wrote the replies. Not shown."""

    known: str | None = None
    """The right answer where it is known: planted to learn how well a person judges. Not shown."""

    def __post_init__(self) -> None:
        if len(self.replies) not in (1, 2):
            raise DataError(
                f"an item has one reply to grade or two to compare, got {len(self.replies)}"
            )
        for name, text in (
            ("principle_id", self.principle_id),
            ("principle", self.principle),
            ("request", self.request),
            *(("a reply", reply) for reply in self.replies),
        ):
            _check_text(text, name)
        if len(self.replies) == 2 and self.replies[0] == self.replies[1]:
            raise DataError(
                "both sides of a pair are identical: nobody can prefer one of them; leave it out"
            )
        for value in (*self.judged, *(() if self.difficulty is None else (self.difficulty,))):
            if not 0.0 <= value <= 1.0:
                raise DataError(f"a probability or difficulty lies between 0 and 1, got {value}")
        if self.tier is not None and self.tier < 0:
            raise DataError(f"a tier is a whole number from 0 up, got {self.tier}")
        if self.known is not None:
            self.check_answer(self.known)

    @property
    def kind(self) -> Literal["grade", "pair"]:
        """Whether one reply is graded or two are compared."""
        return "grade" if len(self.replies) == 1 else "pair"

    @property
    def answers(self) -> tuple[str, ...]:
        """What can be said of it."""
        return GRADES if self.kind == "grade" else SIDES

    @cached_property
    def id(self) -> str:
        """SHA-256 of what is shown: the same question has the same id in every queue."""
        shown = [self.kind, self.principle_id, self.principle, self.request, list(self.replies)]
        return fingerprint(shown)

    def check_answer(self, answer: str | None) -> None:
        """Refuse what cannot be said of this item.

        Raises:
            DataError: It is none of `answers`.
        """
        if answer not in self.answers:
            raise DataError(
                f"the answer to a {self.kind} is one of {', '.join(self.answers)}; "
                f"got {answer!r:.60}"
            )


@strict
@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """How a queue asks; written into it once."""

    seed: int = 0
    """Of every draw: which items come by chance, which twice, which side is on the left."""

    random_share: float = 0.2
    """Share of items drawn by chance, whatever they are worth, so that rates can be estimated."""

    double_share: float = 0.2
    """Share of items that two people label, so that agreement can be measured."""

    known_share: float = 0.1
    """Share of a person's items whose answer is known, as long as there are any."""

    lease_minutes: float = 15.0
    """How long an item is kept for whoever got it, before another person may get it too."""

    def __post_init__(self) -> None:
        shares = ("random_share", "double_share", "known_share")
        check_ranges(self, **dict.fromkeys(shares, (0.0, 1.0)), lease_minutes=(0.01, 10_080.0))


@strict
@dataclass(frozen=True, kw_only=True)
class MarkedSpan:
    """A passage of a reply that a reason speaks of."""

    reply: int
    """Which reply, 0 or 1, in the order of the item, not of the page."""

    start: int
    """First character, in code points from 0."""

    end: int
    """Behind the last character."""


@strict
@dataclass(frozen=True, kw_only=True)
class QueueEvent:
    """One thing that one person did with one item: a row that is never changed."""

    number: int
    """Place in the queue's history, from 1."""

    item_id: str
    annotator: str
    action: Action

    answer: str | None = None
    """Of a label: one of the item's `answers`, in the order of the item, not of the page."""

    seconds: float | None = None
    """From the item's appearance to the answer; None where nobody measured."""

    order: tuple[int, ...] = (0,)
    """Which replies stood where: (1, 0) where the second was on the left."""

    reason: str = ""
    spans: tuple[MarkedSpan, ...] = ()
    via: Via = "import"

    undoes: int | None = None
    """Number of the event that this one takes back."""

    at: str = ""
    """When, in UTC, ISO 8601."""


@dataclass(frozen=True, kw_only=True)
class ServedItem:
    """An item as one person gets it, sides in the order drawn for that person."""

    item: QueueItem
    order: tuple[int, ...]
    via: Via

    reason: str = ""
    """What was already written about it, before an undo or an interruption."""

    spans: tuple[MarkedSpan, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Replies from left to right."""
        return tuple(self.item.replies[place] for place in self.order)


@dataclass(frozen=True, kw_only=True)
class QueueProgress:
    """How far one person is."""

    labeled: int
    """Items that this person has labeled."""

    skipped: int
    flagged: int

    left: int
    """Items that still wait for a label that this person could give."""

    items: int
    """All items of the queue whose answer is not known beforehand."""

    finished: int
    """Of those, the ones that have all the labels they need."""


def turned(answer: str, order: Sequence[int]) -> str:
    """Turn an answer about sides of a page into one about the item, or back.

    Example:
        >>> turned("first", (1, 0)), turned("tie", (1, 0)), turned("pass", (0,))
        ('second', 'tie', 'pass')
    """
    if tuple(order) == (1, 0) and answer in ("first", "second"):
        return "second" if answer == "first" else "first"
    return answer


def check_name(name: str) -> str:
    """An annotator's name as it is written down.

    Raises:
        ConfigError: It is empty, too long, or holds characters that do not show.
    """
    given = unicodedata.normalize("NFC", name).strip()
    if not given or len(given) > LONGEST_NAME or not given.isprintable():
        raise ConfigError(
            f"an annotator's name has 1 to {LONGEST_NAME} visible characters, got {name!r:.60}; "
            "choose another"
        )
    return given


def check_remarks(item: QueueItem, reason: str, spans: Sequence[MarkedSpan]) -> None:
    """Refuse a reason or marked spans that do not fit an item.

    Raises:
        DataError: The reason is too long or no text, or a span lies outside of its reply.
    """
    if reason:
        _check_text(reason, "a reason", most=LONGEST_REASON, blank=True)
    if len(spans) > 100:
        raise DataError(f"a reason has at most 100 marked spans, got {len(spans)}")
    for span in spans:
        if not 0 <= span.reply < len(item.replies):
            raise DataError(f"a span is in reply 0 to {len(item.replies) - 1}, got {span.reply}")
        length = len(item.replies[span.reply])
        if not 0 <= span.start < span.end <= length:
            raise DataError(
                f"a span lies within the {length} characters of its reply, got {span.start} to "
                f"{span.end}"
            )


def visible(text: str) -> str:
    r"""Text with every character written out that would show nothing or reorder others.

    Example:
        >>> visible("a\u202eb\x1b[2J\n")
        'a⟦U+202E⟧b⟦U+001B⟧[2J\n'
    """
    return "".join(
        letter
        if letter in "\n\t "
        or (unicodedata.category(letter)[0] not in "CZ" and letter not in _BLANK)
        or letter in _SPACES
        else f"⟦U+{ord(letter):04X}⟧"
        for letter in text
    )


_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f")
"""Letters and marks by their category that show nothing."""

_SPACES = frozenset(
    "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)


def _check_text(text: str, what: str, *, most: int = LONGEST_TEXT, blank: bool = False) -> None:
    if not blank and not text.strip():
        raise DataError(f"{what} must hold text, got none")
    if len(text) > most:
        raise DataError(f"{what} has at most {most:,} characters, got {len(text):,}; shorten it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} must be text that can be written as UTF-8, got half a character at "
            f"{error.start}"
        ) from error
