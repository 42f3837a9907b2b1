"""Worked examples in the notation of the Model Spec, and the tests they make.

An example is a fenced block of turns, `<user> … </user>` and so on, and of comparisons of replies
that are marked `GOOD`, `OK` or `BAD`, with or without a comment. It is read turn by turn; no XML
parser is involved, so nothing in it can be expanded or resolved.
"""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumbrule.constitution.schema import CritiqueExample

_TAG = re.compile(
    r"<(system|developer|user|assistant|tool)\b[^<>]*>(?:[ \t]*<!--(.{0,1000}?)-->)?"
    r"|</?comparison\s*>"
)
_MARK = re.compile(r"\s*(GOOD|OK|BAD)\b(?:\[#([^\]\s]*)\])?[\s,]*:?\s*(.*)", re.DOTALL)
_ELISION = re.compile(r"\[\s*(?:\.\.\.|…)|(?:\.\.\.|…)\s*\]")
_UNHELPFUL = "chain_of_command"


@dataclass(frozen=True)
class Turn:
    """One turn of an example."""

    role: str
    text: str


@dataclass(frozen=True)
class ExampleReply:
    """One of the replies that an example compares."""

    mark: str
    """`GOOD`, `OK` or `BAD`; empty where there is none."""

    section: str
    """Identifier of another section that the reply breaks; empty for the section it is in."""

    comment: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """Turns up to a point where replies are compared."""

    line: int
    """Line of the document where the block starts."""

    turns: tuple[Turn, ...]
    replies: tuple[ExampleReply, ...]


@dataclass(frozen=True, kw_only=True)
class Tests:
    """What the examples of one section give."""

    critique_examples: tuple[CritiqueExample, ...]
    probes: tuple[str, ...]
    twins: tuple[str, ...]

    unused: tuple[tuple[int, str], ...]
    """Line, and why the example there gives nothing."""


def conversations(block: str, *, line: int) -> list[Conversation]:
    """Read one block. A later comparison continues from the first good reply of the one before."""
    found: list[Conversation] = []
    turns: list[Turn] = []
    replies: list[ExampleReply] = []
    comparing = False
    unclosed: set[str] = set()  # each tag is searched for in vain once at most
    position = 0
    while tag := _TAG.search(block, position):
        position = tag.end()
        role = tag.group(1)
        if role is None:
            if replies:
                found.append(Conversation(line, tuple(turns), tuple(replies)))
                good = [reply for reply in replies if reply.mark == "GOOD"] or replies
                turns.append(Turn("assistant", good[0].text))
                replies = []
            comparing = not tag.group().startswith("</")
            continue
        end = -1 if role in unclosed else block.find(f"</{role}>", position)
        if end < 0:
            unclosed.add(role)
            continue
        text = html.unescape(block[position:end]).strip()
        position = end + len(role) + 3
        if comparing and role == "assistant":
            replies.append(_reply(tag.group(2) or "", text))
        else:
            turns.append(Turn(role, text))
    if replies:
        found.append(Conversation(line, tuple(turns), tuple(replies)))
    return found or [Conversation(line, tuple(turns), ())]


def tests_of(found: Sequence[Conversation], plain: Callable[[str], str]) -> Tests:
    """Turn examples into tests.

    Args:
        found: Examples of one section, in order.
        plain: Takes the Markdown out of a comment.
    """
    examples: list[CritiqueExample] = []
    probes: list[str] = []
    twins: list[str] = []
    unused: list[tuple[int, str]] = []
    prompts = {each.turns[0].text for each in found if len(each.turns) == 1}
    for conversation in found:
        reason = _unusable(conversation)
        if reason:
            unused.append((conversation.line, reason))
        elif pair := _critique_example(conversation, plain):
            examples.append(pair)
        elif len(conversation.turns) > 1:
            reason = "its prompt needs earlier turns or a system message, which a probe has not"
            unused.append((conversation.line, reason))
        else:
            bad = [reply for reply in conversation.replies if reply.mark == "BAD"]
            unhelpful = bad and all(reply.section == _UNHELPFUL for reply in bad)
            kept = twins if unhelpful else probes
            prompt = conversation.turns[0].text
            if prompt in {*probes, *twins, *(example.request for example in examples)}:
                unused.append((conversation.line, "its prompt is a test already"))
            else:
                kept.append(prompt)
    # Few-shot examples are no use as tests, so one prompt is kept back where there is no other.
    single = [example for example in examples if example.request in prompts]
    if not probes and len(examples) > 1 and single:
        examples.remove(single[-1])
        probes.append(single[-1].request)
    return Tests(
        critique_examples=tuple(examples),
        probes=tuple(probes),
        twins=tuple(twins),
        unused=tuple(unused),
    )


def _unusable(conversation: Conversation) -> str | None:
    if not conversation.turns or conversation.turns[-1].role not in ("user", "developer"):
        return "it does not end with a turn of the user's"
    if any(turn.role == "tool" for turn in conversation.turns):
        return "it needs a tool"
    if not conversation.turns[-1].text:
        return "the user's turn is empty"
    if any(_ELISION.search(turn.text) for turn in conversation.turns):
        return "its prompt is abridged with [...]"
    return None


def _critique_example(
    conversation: Conversation, plain: Callable[[str], str]
) -> CritiqueExample | None:
    """Pair the first commented bad reply with the first good one, both given in full."""
    bad = [
        reply
        for reply in conversation.replies
        if reply.mark == "BAD" and reply.comment and not reply.section and _whole(reply.text)
    ]
    good = [reply for reply in conversation.replies if reply.mark == "GOOD" and _whole(reply.text)]
    if not bad or not good:
        return None
    return CritiqueExample(
        request=_transcript(conversation.turns),
        reply=bad[0].text,
        critique=_sentence(plain(bad[0].comment)),
        revision=good[0].text,
    )


def _whole(text: str) -> bool:
    return bool(text) and not _ELISION.search(text)


def _transcript(turns: Sequence[Turn]) -> str:
    if len(turns) == 1:
        return turns[0].text
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in turns)


def _sentence(comment: str) -> str:
    comment = comment.strip()
    return comment[:1].upper() + comment[1:] + ("" if comment.endswith((".", "!", "?")) else ".")


def _reply(comment: str, text: str) -> ExampleReply:
    found = _MARK.match(comment)
    if not found:
        return ExampleReply("", "", comment.strip(), text)
    return ExampleReply(found.group(1), found.group(2) or "", found.group(3).strip(), text)
