"""Read what came back: replies, their tokens, and which of a few given answers they are.

Nothing is guessed: a reply that begins with none of the answers counts for none.
"""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from plumbrule.errors import DataError
from plumbrule.models.handle import Choice, Completion

if TYPE_CHECKING:
    from plumbrule.models.answering import Answer

_OPENING = " \t\r\n*_`\"'(["


def read_option(text: str, options: Sequence[str]) -> int | None:
    """Position of the answer that a reply begins with.

    White space, quotes and emphasis before it do not count. A single letter must stand alone,
    because "A" also begins "A good question"; a word must end where the answer ends. Case counts
    only for single characters, or where two answers differ by it alone.

    Returns:
        None where the reply begins with none of them.

    Example:
        >>> read_option("**B**, because it is kinder", ["A", "B"])
        1
        >>> read_option("A good question!", ["A", "B"]) is None
        True
    """
    text = text.lstrip(_OPENING)
    bare = [_bare(option) for option in options]
    for option in sorted(filter(None, bare), key=len, reverse=True):
        border = r"(?=\s*$|\s*\n|\s*[.,:;!?)\]*_`\"'])" if len(option) == 1 else r"(?!\w)"
        flags = re.NOFLAG if _case_counts(option, bare) else re.IGNORECASE
        if re.match(re.escape(option) + border, text, flags):
            return bare.index(option)
    return None


def read_token(token: str, options: Sequence[str]) -> tuple[int | None, bool]:
    """Which answer a first token is, and whether it could be the beginning of a longer one.

    Example:
        >>> read_token(" Yes", ["Yes", "No"])
        (0, False)
        >>> read_token("No", ["No", "None"])
        (0, True)
    """
    token = _bare(token)
    if not token:
        return None, False
    match, begins = None, False
    bare = [_bare(option) for option in options]
    for index, option in enumerate(bare):
        counts = _case_counts(option, bare)
        one, other = (token, option) if counts else (token.casefold(), option.casefold())
        if one == other:
            match = index
        elif other.startswith(one):
            begins = True
    return match, begins


def _bare(text: str) -> str:
    return text.lstrip(_OPENING).rstrip()


def _case_counts(option: str, options: Sequence[str]) -> bool:
    folded = [other.casefold() for other in options]
    return len(option) == 1 or folded.count(option.casefold()) > 1


def check_options(options: Sequence[str]) -> None:
    """See that there is something to choose from.

    Raises:
        DataError: Fewer than two answers, an empty one, or two alike.
    """
    if len(options) < 2 or not all(option.strip() for option in options):
        raise DataError(f"expected two answers or more, none of them empty, got {list(options)}")
    if len(set(options)) < len(options):
        raise DataError(f"expected answers that differ, got {list(options)}")


def weigh(
    shares: Sequence[float], *, method: Literal["log-probs", "sampling"], nothing: str
) -> Choice:
    """Probabilities among the answers, from each one's share of the whole.

    Args:
        shares: One an answer, together at most 1 but for rounding.
        method: Where they come from.
        nothing: What to say where all are zero.
    """
    covered = math.fsum(shares)
    if covered <= 0:
        return Choice(probabilities=None, covered=0.0, method=method, reason=nothing)
    return Choice(
        probabilities=tuple(share / covered for share in shares),
        covered=min(covered, 1.0),
        method=method,
    )


def billed_tokens(answer: "Answer") -> int:
    """Tokens generated: as billed, else as listed, else a quarter of the bytes."""
    if answer.usage is not None:
        return answer.usage.completion_tokens
    first = answer.choices[0]
    if first.logprobs is not None and first.logprobs.content is not None:
        return len(first.logprobs.content)
    return math.ceil(len((first.message.content or "").encode()) / 4)


def to_completion(answer: "Answer", *, log_probs: bool) -> Completion:
    """A server's answer as a reply, refusals and empty answers told apart."""
    first = answer.choices[0]
    text, tokens = first.message.content, billed_tokens(answer)
    if first.message.refusal or first.finish_reason == "content_filter":
        text = first.message.refusal or text or "the provider's filter withheld the reply"
        return Completion(text=text, finish_reason="refused", tokens=tokens)
    if text is None:
        why = f"the endpoint sent no text (finish reason {first.finish_reason!r})"
        if answer.cut_by_thought:
            why = (
                f"the model thought for all of its {tokens} tokens and then had none left to "
                "reply: give it more room with thinking_tokens (--thinking-tokens), or have it "
                "think less with reasoning_effort (--reasoning-effort)"
            )
        return Completion(text=why, finish_reason="errored", tokens=tokens)
    listed = first.logprobs.content if log_probs and first.logprobs is not None else None
    if first.message.thought:
        listed = None  # the tokens of the thought are among them
    return Completion(
        text=text,
        finish_reason="length" if first.finish_reason == "length" else "stop",
        tokens=tokens,
        log_probs=None if listed is None else tuple(min(one.logprob, 0.0) for one in listed),
    )


def first_tokens(answer: "Answer") -> dict[str, float] | None:
    """Probability of each likely first token; None where the server gave none."""
    listed = answer.choices[0].logprobs
    if answer.choices[0].message.thought:
        return None  # the first token belongs to the thought
    if listed is None or not listed.content or not listed.content[0].top_logprobs:
        return None
    return {one.token: math.exp(min(one.logprob, 0.0)) for one in listed.content[0].top_logprobs}


def begins_thought(tokens: dict[str, float] | None) -> bool:
    """Whether likely first tokens open a thought rather than a reply.

    Example:
        >>> begins_thought({"<think>": 0.9, "Yes": 0.1})
        True
    """
    return any(
        share >= 0.05 and token.strip().casefold().startswith(("<think", "<thought", "[think"))
        for token, share in (tokens or {}).items()
    )


def choice_of_tokens(tokens: dict[str, float] | None, options: Sequence[str]) -> Choice | None:
    """Probabilities from the first token; None where it cannot tell the answers apart."""
    if tokens is None:
        return None
    shares, unclear = [0.0] * len(options), 0.0
    for token, share in tokens.items():
        match, begins = read_token(token, options)
        if begins:
            unclear += share
        elif match is not None:
            shares[match] += share
    if unclear >= 0.01:  # a longer answer may still follow, so one token does not decide
        return None
    nothing = f"none of the {len(tokens)} likeliest first tokens is one of the answers"
    return weigh(shares, method="log-probs", nothing=nothing)


def choice_of_replies(replies: Sequence[Completion], options: Sequence[str]) -> Choice:
    """Probabilities from how often replies begin with each answer."""
    found = [
        read_option(reply.text, options) if reply.finish_reason in ("stop", "length") else None
        for reply in replies
    ]
    shares = [found.count(index) / len(replies) for index in range(len(options))]
    nothing = f"none of {len(replies)} replies begins with one of the answers"
    silent = [reply.text for reply in replies if reply.finish_reason == "errored"]
    if silent:
        nothing += f"; {len(silent)} had no text, the first because {silent[0]}"
    return weigh(shares, method="sampling", nothing=nothing)
