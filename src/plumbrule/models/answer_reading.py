"""What a server sent, read as leniently as can be done without guessing.

Of an answer the reply is needed, and how it ended; all else is optional, and where it is absent or
odd it counts as absent. A reply may come as text, as parts, in pieces of a stream, or after a
thought, which is left out.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from plumbrule.models.answering import (
    FILTERED,
    Answer,
    AnswerChoice,
    AnswerMessage,
    AnswerToken,
    AnswerTokens,
    AnswerUsage,
    TopToken,
    refused,
)
from plumbrule.models.concealing import conceal
from plumbrule.models.server_words import Said, is_moderation, read_words

_FILTERS = frozenset(
    {
        FILTERED,
        "content_filtered",
        "safety",
        "moderation",
        "prohibited_content",
        "blocklist",
        "sensitive",
        "refusal",
        "recitation",
        "spii",
        "guardrail",
        "guardrail_intervened",
    }
)
_CUT = frozenset({"length", "max_tokens", "model_length", "max_output_tokens"})
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_OPENS = re.compile(r"\s*(?:<(think|thinking|thought|reasoning)>|\[(THINK)\])")
_CLOSES = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]")
_CLOSES_ALONE = re.compile(r"(?<=\n)</think>(?=\s)")
_HALVES = re.compile("[\ud800-\udfff]")


class Unreadable(Exception):
    """An answer in which no reply can be found."""

    def __init__(self, message: str, *, for_ever: bool) -> None:
        super().__init__(message)
        self.for_ever = for_ever
        """Whether it is the server's way to answer, so that asking again would not help."""


class ErrorInside(Exception):
    """An error that came where an answer was due."""

    def __init__(self, said: Said) -> None:
        super().__init__(said.message)
        self.said = said


def read_answer(text: str, *, key: str | None = None) -> Answer:
    """Read a body that came with a good status.

    Args:
        text: The body.
        key: API key, which is not kept wherever it stands.

    Raises:
        ErrorInside: The server put an error there.
        Unreadable: There is no reply in it.
    """
    value = _parsed(text)
    if not isinstance(value, dict):
        raise Unreadable(f"expected an object, got a {type(value).__name__}", for_ever=True)
    if value.get("error") and not _first(value.get("choices")):
        raise ErrorInside(read_words(value))
    choice = _first(value.get("choices"))
    if choice is None:
        said, feedback = read_words(value), value.get("promptFeedback")
        if is_moderation(said) or (isinstance(feedback, dict) and feedback.get("blockReason")):
            return refused(_clean(said.message, key) or "the provider's filter refused the prompt")
        known = ", ".join(map(str, list(value)[:6])) or "nothing"
        # An overloaded server leaves choices out for a moment; one that has a reply elsewhere
        # speaks another protocol.
        other = bool({"message", "output", "content", "candidates", "response"} & set(value))
        raise Unreadable(f"expected `choices`, the answer has {known}", for_ever=other)
    if choice.get("error"):
        raise ErrorInside(read_words({"error": choice["error"]}))
    return Answer(choices=[_choice(choice, key)], usage=_usage(value.get("usage")))


def _parsed(text: str) -> Any:
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith(("data:", "event:", ":")):
        return _joined(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"expected JSON, got {text[:60]!r}", for_ever=False) from error


def _joined(text: str) -> dict[str, Any]:
    """The pieces of a stream as one answer."""
    whole: dict[str, Any] = {}
    message: dict[str, str] = {}
    finish = None
    for piece in _pieces(text):
        if piece.get("error"):
            return {"error": piece["error"]}
        whole["usage"] = piece.get("usage") or whole.get("usage")
        choice = _first(piece.get("choices"))
        if choice is None:
            continue
        delta = choice.get("delta") or choice.get("message") or {}
        for name in ("content", "refusal", *_THOUGHTS):
            if isinstance(delta, dict) and isinstance(delta.get(name), str):
                message[name] = message.get(name, "") + delta[name]
        finish = choice.get("finish_reason") or finish
        whole["choices"] = [{"message": message, "finish_reason": finish}]
    if not whole.get("choices"):
        raise Unreadable("expected pieces of a reply, the stream has none", for_ever=False)
    whole["choices"] = [{"message": message, "finish_reason": finish}]
    return whole


def _pieces(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        content = line.removeprefix("data:").strip()
        if not line.startswith("data:") or content == "[DONE]":
            continue
        try:
            piece = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"a piece of a stream: {content[:60]!r}", for_ever=False) from error
        if isinstance(piece, dict):
            yield piece


def _first(value: object) -> dict[str, Any] | None:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0]
    return None


def _choice(choice: dict[str, Any], key: str | None) -> AnswerChoice:
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {"content": choice["text"]} if isinstance(choice.get("text"), str) else None
    if message is None:
        raise Unreadable("expected a message in the first choice, there is none", for_ever=True)
    text, apart, refusal = _text(message.get("content"))
    if refusal is None and isinstance(message.get("refusal"), str):
        refusal = message["refusal"] or None
    finish = choice.get("finish_reason")
    finish = finish.casefold() if isinstance(finish, str) else None
    if finish in _FILTERS:
        finish = FILTERED
    cut = finish in _CUT
    text, within = _without_thought(text, cut=cut)
    thought = apart or within or any(message.get(name) for name in _THOUGHTS)
    if thought and cut and not (text or "").strip():
        text = None
    return AnswerChoice(
        message=AnswerMessage(
            content=_clean(text, key), refusal=_clean(refusal, key), thought=thought
        ),
        finish_reason="length" if cut else _clean(finish, key),
        logprobs=_log_probs(choice.get("logprobs"), key),
    )


def _text(content: object) -> tuple[str | None, bool, str | None]:
    """The words of a message, whether a thought is beside them, and a refusal among them."""
    if content is None or isinstance(content, str):
        return content, False, None
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        kind = type(content).__name__
        raise Unreadable(f"expected text as the content of a message, got {kind}", for_ever=True)
    words: list[str] = []
    thought, refusal = False, None
    for part in parts:
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, dict):
            kind = str(part.get("type", "text"))
            if kind in ("thinking", "reasoning", "thought", "redacted_thinking"):
                thought = True
            elif isinstance(part.get("refusal"), str):
                refusal = part["refusal"]
            elif isinstance(part.get("text"), str):
                words.append(part["text"])
            elif isinstance(part.get("text"), dict):  # as assistants have it
                words.append(str(part["text"].get("value", "")))
    if parts and not words and not thought and refusal is None:
        raise Unreadable("expected text among the parts of a message, got none", for_ever=True)
    return ("".join(words) if words else None), thought, refusal


def _without_thought(text: str | None, *, cut: bool) -> tuple[str | None, bool]:
    """A reply without what the model thought aloud before it, and whether it did."""
    if text is None:
        return None, False
    # Some templates open the thought in the prompt, so that its end alone is seen, on a line.
    closed = _CLOSES.search(text) if _OPENS.match(text) else _CLOSES_ALONE.search(text)
    if closed is not None:
        return text[closed.end() :].lstrip(), True
    if _OPENS.match(text) and cut:
        return None, True
    return text, False


def _log_probs(value: object, key: str | None) -> AnswerTokens | None:
    """Tokens and their likely neighbors; of all but the first the number alone."""
    listed = value.get("content") if isinstance(value, dict) else None
    if not isinstance(listed, list) or not listed:
        return None
    tokens = []
    for place, one in enumerate(listed):
        read = _token(one, key)
        if read is None:
            return None
        # A key could be put together from the tokens of a reply, and nobody reads them.
        near = one.get("top_logprobs") if place == 0 else None
        tops = [_token(each, key) for each in near] if isinstance(near, list) else []
        tokens.append(
            AnswerToken(
                token=read.token if place == 0 else "",
                logprob=read.logprob,
                top_logprobs=[each for each in tops if each is not None],
            )
        )
    return AnswerTokens(content=tokens)


def _token(value: object, key: str | None) -> TopToken | None:
    if not isinstance(value, dict) or not isinstance(value.get("token"), str):
        return None
    number = value.get("logprob")
    if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
        return None
    # Minus infinity is what some servers say of tokens that sampling cut off.
    bounded = max(min(float(number), 0.0), -9999.0)
    return TopToken(token=_clean(value["token"], key) or "", logprob=bounded)


def _usage(value: object) -> AnswerUsage | None:
    """Tokens billed; None where they are not told, and then the worst case is reckoned with."""
    if not isinstance(value, dict):
        return None
    prompt = _count(value.get("prompt_tokens"))
    written = _count(value.get("completion_tokens"))
    total = _count(value.get("total_tokens"))
    if written is None and prompt is not None and total is not None and total >= prompt:
        written = total - prompt
    if prompt is None or written is None:
        return None
    return AnswerUsage(prompt_tokens=prompt, completion_tokens=written)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < 2**53 or int(value) != value:
        return None
    return int(value)


def _clean(text: str | None, key: str | None) -> str | None:
    """Text that can be written down: no half characters and no key."""
    if text is None:
        return None
    return conceal(_HALVES.sub("\ufffd", text), key)
