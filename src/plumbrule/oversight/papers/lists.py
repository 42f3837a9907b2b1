# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Checks that a text counts what it lists, and says the same number again when it points back."""

import re
from collections.abc import Iterator, Sequence

from plumbrule.oversight.papers.document import Flaw, Paper, PaperSentence
from plumbrule.oversight.papers.quantities import COUNT_WORD, read_count, stem

MOST = 20
"""Things that are counted in a sentence and listed after it; longer lists are tables."""

_NO_THINGS = (
    r"(?:years?|months?|weeks?|days?|hours?|minutes?|seconds?|times|percent|points?|decimals?|digits?"
    r"|dollars?|euros?|others?|hundreds?|thousands?|millions?|orders?|does|was|has|is|this|always)\b"
)
_FILLER = r"(?!(?:of|and|or|to|per|in|on|with|by|than|for|as|from|is|are|was|were)\b)[a-z-]+"
_COUNTED = re.compile(
    rf"(?<![\w.,-])(?P<count>{COUNT_WORD})\s+(?:{_FILLER}\s+){{0,3}}?"
    rf"(?!{_NO_THINGS})(?P<things>[a-z][a-z-]{{2,}}s)(?!\w)",
    re.IGNORECASE,
)
"""In words, as running text counts what it lists."""
_ABOUT = re.compile(
    r"\b(?:at least|at most|more than|fewer than|less than|up to|over|about|around|some|nearly"
    r"|almost|first|last|next|other|another|top|best|between)\s+$"
    rf"|(?:\d|\b{COUNT_WORD})\s*(?:or|to|–|-)\s*$",
    re.IGNORECASE,
)
_BULLET = re.compile(r"(?P<indent>[ \t]*)(?:[-*+•]|\(?(?:\d{1,2}|[a-z])[.)])[ \t]+\S")
_MARKER = re.compile(r"(?<![\w(])\(?(?P<mark>[1-9]|[a-h])\)(?=\s)")
_CODE = r"`{1,2}[^`\n]{1,80}`{1,2}"
_CODES = re.compile(rf"(?:(?:,|\bare)\s+)(?P<run>{_CODE}(?:(?:,|,? and|,? or)\s+{_CODE}){{1,19}})")
_BRACKETS = re.compile(r"\s*(?:\([^()]{0,300}\)|\[[^\[\]]{0,300}\])")
_TURN = re.compile(
    r",?\s+(?:which|where|whereas|while|the latter|the former|both|each|all|with|such|respectively"
    r"|depending|so that|because|since|but)\b"
)
_LAST_JOINT = re.compile(r"(?:,\s+(?:and|or)|\s+(?:and|or|as well as))\s+")
_DOUBTFUL = re.compile(r"\s*(?:the|an?)\s|.*[\w`]/[\w`]")
LONGEST_ITEM = 6
"""Words of one thing in a sentence; what is longer is a clause with commas of its own."""


def listed_counts(paper: Paper) -> Iterator[Flaw | None]:
    """Counts such as `in four ways:` against the list behind them; None for one that agrees.

    Kind: `listed_count`. The last count before the list is taken for the list's; things in a
    sentence are counted only where commas, numbers or code hold them apart without doubt.
    """
    end = paper.references.start if paper.references else len(paper.text)
    for sentence in paper.sentences:
        if sentence.start >= end or sentence.text.startswith(("|", "#")):
            continue
        found = _listed(paper, sentence)
        if found is None:
            continue
        place, count, things, listed, stop = found
        message = f"the text speaks of {count} {things} and lists {listed}"
        words = (sentence.start + place, max(stop, sentence.end))
        yield None if count == listed else paper.flaw("listed_count", message, words)


def _listed(paper: Paper, sentence: PaperSentence) -> tuple[int, int, str, int, int] | None:
    """Place, number and name of what is counted, how many are listed, and where the list ends."""
    words = sentence.text
    plain = re.sub(r"(?:\[\^[^\]]{1,20}\])", "", words).rstrip()
    if plain.endswith(":"):
        listed, stop = _bullets(paper.text, sentence.end)
        counted = _last_count(words)
        if listed < 2 or counted is None or _is_subject(words, counted):
            return None
        return *counted, listed, stop
    marks = list(_MARKER.finditer(words))
    if len(marks) >= 2 and _in_sequence([each["mark"] for each in marks]):
        counted = _last_count(words[: marks[0].start()])
        return None if counted is None else (*counted, len(marks), 0)
    for begin, items in (_after_colon(words), _in_code(words)):
        counted = _last_count(words[:begin]) if items else None
        if counted is not None and not (words[begin] == ":" and "," in words[counted[0] : begin]):
            return *counted, items, 0
    return None


def _last_count(words: str) -> tuple[int, int, str] | None:
    found = [
        each
        for each in _COUNTED.finditer(words)
        if not _ABOUT.search(words[max(0, each.start() - 20) : each.start()])
    ]
    if not found:
        return None
    count = read_count(found[-1]["count"])
    return (found[-1].start(), count, found[-1]["things"]) if 2 <= count <= MOST else None


def _is_subject(words: str, counted: tuple[int, int, str]) -> bool:
    """Whether a sentence begins with what it counts and goes on to say something of it."""
    after = words[words.find(counted[2], counted[0]) + len(counted[2]) :]
    first = re.fullmatch(r"\W*(?:the|these|those|our|all)?\s*", words[: counted[0]], re.IGNORECASE)
    return first is not None and not re.match(r"\s*(?::|are\b|were\b)", after)


def _bullets(text: str, at: int) -> tuple[int, int]:
    """Items of the list that begins behind a place, those within items not counted."""
    count, stop, indent = 0, at, ""
    blank = False
    for line in text[at : at + 20_000].split("\n"):
        if not line.strip():
            blank = True
        elif (bullet := _BULLET.match(line)) is not None:
            indent = bullet["indent"] if count == 0 else indent
            if len(bullet["indent"]) < len(indent):  # the list around this one goes on
                break
            count += len(bullet["indent"]) <= len(indent)
            stop, blank = at + len(line), False
        elif count == 0 or (blank and not line.startswith((" ", "\t"))):
            break
        else:
            stop, blank = at + len(line), False
        at += len(line) + 1
    return count, stop


def _in_sequence(marks: Sequence[str]) -> bool:
    first = "1" if marks[0].isdigit() else "a"
    return list(marks) == [chr(ord(first) + place) for place in range(len(marks))]


def _after_colon(words: str) -> tuple[int, int]:
    """Where a list behind a colon begins, and how many things it has; 0 where that is not sure."""
    begin = words.find(": ")
    if begin < 0:
        return 0, 0
    rest = _TURN.split(_BRACKETS.sub("", words[begin + 2 :]).rstrip(" ."))[0]
    if re.search(r"[;:.?!]\s", rest):
        return 0, 0
    joints = list(_LAST_JOINT.finditer(rest))
    if not joints:
        return 0, 0
    oxford = [each for each in joints if each[0].startswith(",")]
    if len(joints) > 1 and len(oxford) != 1:
        return 0, 0
    joint = oxford[0] if oxford else joints[0]
    parts = [*rest[: joint.start()].split(", "), rest[joint.end() :].split(",")[0]]
    if oxford and len(parts) == 2:
        return 0, 0
    if any(not each.strip() or _LAST_JOINT.search(each) for each in parts[:-1]):
        return 0, 0
    # "`eti()`, the interval with equal tails, and `hdi()`" names a thing twice.
    doubtful = any(_DOUBTFUL.match(each) or len(each.split()) > LONGEST_ITEM for each in parts[:-1])
    return (0, 0) if doubtful else (begin, len(parts))


def _in_code(words: str) -> tuple[int, int]:
    """The same for the first names in code, such as "two types are defined, `A` and `B`"."""
    found = _CODES.search(_BRACKETS.sub("", words))
    counted = _last_count(words)
    if found is None or counted is None:
        return 0, 0
    begin = words.find("`", counted[0])
    alone = found["run"].startswith(re.split(r"(?<=`)[^\w`]", words[begin:])[0])
    return (begin, len(re.findall(_CODE, found["run"]))) if alone else (0, 0)


_STATED = re.compile(_COUNTED.pattern.replace("(?P<count>", r"(?P<count>\d{1,4}|"), re.IGNORECASE)
_AGAIN = re.compile(
    rf"\b(?:these|those|all)\s+(?P<count>{COUNT_WORD}|\d{{1,4}})\s+(?:{_FILLER}\s+){{0,2}}?"
    rf"(?!{_NO_THINGS})(?P<things>[a-z][a-z-]{{2,}}s)(?!\w)",
    re.IGNORECASE,
)
_FEWER = re.compile(
    r"\b(?:exclud|remov|dropp|withdr|lost|declin|discard|except|omit|remain|missing|without|failed"
    r"|respond|return|complet|another|additional|further|add(?:s|ed|ing)?\b|more\b)",
    re.IGNORECASE,
)
SENTENCES_BACK = 4


def numbers_again(paper: Paper) -> Iterator[Flaw | None]:
    """Numbers that point back, such as `these six modules`; None for one that agrees.

    Kind: `number_changed`. Held against the one number of the same things in the sentences before,
    unless these say that some left or came.
    """
    end = paper.references.start if paper.references else len(paper.text)
    for place, sentence in enumerate(paper.sentences):
        if sentence.start >= end:
            break
        for match in _AGAIN.finditer(sentence.text):
            said = _said(paper.sentences[max(0, place - SENTENCES_BACK) : place], match["things"])
            if len(said) != 1:
                continue
            (number, source), count = next(iter(said.items())), read_count(match["count"])
            if _FEWER.search(paper.text[source.start : sentence.start + match.start()]):
                continue
            message = f"the text speaks of {number} {match['things']}, and then of {match[0]}"
            same = number == count
            yield None if same else paper.flaw("number_changed", message, source, sentence)


def _said(sentences: Sequence[PaperSentence], things: str) -> dict[int, PaperSentence]:
    """Numbers of some things that sentences name, each with one of its sentences."""
    return {
        read_count(match["count"]): sentence
        for sentence in sentences
        for match in _STATED.finditer(sentence.text)
        if stem(match["things"].lower()) == stem(things.lower())
    }
