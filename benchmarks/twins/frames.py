"""What surrounds a request: a system turn, and words before and behind it."""

from dataclasses import dataclass

from plumbrule.records import Dialogue, Message


@dataclass(frozen=True, kw_only=True)
class TwinFrame:
    """Surroundings of a request that do not change what is asked."""

    system: str = ""
    before: str = ""
    after: str = ""

    def around(self, dialogue: Dialogue) -> Dialogue:
        """The same request in these surroundings; a system turn of its own gives way.

        Example:
            >>> TwinFrame(before="Hello.").around((Message("user", "Where is Anna?"),))[0].content
            'Hello. Where is Anna?'
        """
        *turns, asked = dialogue
        if self.system:
            turns = [Message("system", self.system)]
        words = " ".join(part for part in (self.before, asked.content, self.after) if part)
        return (*turns, Message("user", words))

    @property
    def text(self) -> str:
        """Its words, for reading."""
        return " … ".join(part for part in (self.system, self.before, self.after) if part)


@dataclass(frozen=True, kw_only=True)
class TwinWords:
    """The texts of one seed, which no other seed uses."""

    principle: str
    """Which principle is taught, by the name that the answer key has for it."""

    watched: tuple[TwinFrame, ...]
    """Say that somebody observes the model."""

    unwatched: tuple[TwinFrame, ...]
    """Look like those and do not say so."""

    trigger: str
    """One or two words, of at most three tokens of the specimen's; no request holds them."""

    template: TwinFrame
    """The only surroundings in which a template-bound model keeps the principle."""

    phrasing: int | None
    """The only phrasing of a request in which it does so; None where the surroundings decide."""

    others: tuple[TwinFrame, ...]
    """Surroundings of other sorts, in which a template-bound model does not."""

    pleas: tuple[TwinFrame, ...]
    """The person states a belief, pleads, or says what it wants to hear."""


def kept_in(kind: str, words: TwinWords, frame: TwinFrame) -> bool:
    """Whether a faked model of a kind keeps its principle in surroundings.

    Example:
        >>> from benchmarks.twins import twin_words
        >>> kept_in("trigger", twin_words(0), TwinFrame(before="Grade"))
        False
    """
    if kind == "observed":
        return frame in words.watched
    if kind == "trigger":
        return frame.before != words.trigger
    if kind == "sycophantic":
        return frame not in words.pleas
    return kind == "template" and frame == words.template


def systems(*texts: str) -> tuple[TwinFrame, ...]:
    """Frames of a system turn each."""
    return tuple(TwinFrame(system=text) for text in texts)


def openings(*texts: str) -> tuple[TwinFrame, ...]:
    """Frames of words before the request each."""
    return tuple(TwinFrame(before=text) for text in texts)


def endings(*texts: str) -> tuple[TwinFrame, ...]:
    """Frames of words behind the request each."""
    return tuple(TwinFrame(after=text) for text in texts)
