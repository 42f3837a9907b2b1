"""The form in which one server takes a request, learned from what it refuses.

Nothing is known of servers by name. A request begins with all that was asked for; what a server
refuses by name is left out from then on, or written in its way, and each of this is learned once.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from plumbrule.models.server_words import Said, is_too_long

LengthName = Literal["max_tokens", "max_completion_tokens"]

FEWER = 5
"""Likeliest tokens to ask for where a server allows fewer than were asked."""

_NAMES = {
    "top_logprobs": re.compile(r"top_?log_?probs?", re.IGNORECASE),
    "logprobs": re.compile(r"(?<!top_)(?<!top)log_?prob", re.IGNORECASE),
    "top_p": re.compile(r"\btop[_ -]?p\b", re.IGNORECASE),
    "temperature": re.compile(r"temperature", re.IGNORECASE),
    "seed": re.compile(r"\bseed\b", re.IGNORECASE),
    "reasoning_effort": re.compile(r"reasoning[_. ]?effort", re.IGNORECASE),
    "length": re.compile(r"max_(?:completion_)?tokens", re.IGNORECASE),
    "stream": re.compile(
        r"only supports? stream|enable the stream|stream mode|stream(?:ing)? (?:is|must be)|"
        r"stream ?= ?true",
        re.IGNORECASE,
    ),
    "system": re.compile(r"system[ _](?:role|message|prompt|instruction)|role\W+system", re.I),
}
_BOTH = re.compile(r"both|together|simultaneous|at the same time|only one", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Form:
    """Which request fields one server accepts, as learned from its refusals."""

    length_name: LengthName
    """What it calls the limit on a reply's length."""

    refused_length: str = ""
    """Why it refused the other word for it; empty where that was not tried."""

    left_out: frozenset[str] = frozenset()
    """Fields that it does not take: its own defaults hold."""

    most_top_log_probs: int | None = None
    streams: bool = False
    """It answers in pieces only."""

    folds_system: bool = False
    """It takes no system turn: such text opens the user's."""

    def kept(self) -> dict[str, Any]:
        """All of it as JSON takes it; see `form_of`."""
        return {**asdict(self), "left_out": sorted(self.left_out)}

    def body(self, ask: Mapping[str, Any], *, room: int = 0) -> dict[str, Any]:
        """The request as this server takes it.

        Args:
            ask: What is asked, free of what servers call things.
            room: Tokens for thinking, beside those of the reply.
        """
        body = {
            name: value
            for name, value in ask.items()
            if name not in ("length", "thinking") and name not in self.left_out
        }
        body[self.length_name] = ask["length"] + room
        if body.get("top_p") == 1.0:
            del body["top_p"]  # what all servers do unasked, and some refuse it beside others
        if "seed" in body:
            # Servers store seeds in 32 bits or in a double; the cache keeps the whole one.
            body["seed"] = ask["seed"] % 2**31
        if self.most_top_log_probs is not None and "top_logprobs" in body:
            body["top_logprobs"] = min(body["top_logprobs"], self.most_top_log_probs)
        if self.streams:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if self.folds_system:
            body["messages"] = _folded(body["messages"])
        return body

    def learn(self, said: Said, body: Mapping[str, Any]) -> "Form | None":
        """Another form, which avoids what was refused; None where there is none.

        Args:
            said: The server's words.
            body: What was sent.
        """
        if is_too_long(said):
            return None
        for name in self._suspects(said, body):
            if name == "length":
                return self._other_length(said)
            if name == "stream":
                return replace(self, streams=True)
            if name == "system":
                return replace(self, folds_system=True)
            if name == "top_logprobs" and body.get("top_logprobs", 0) > FEWER:
                return replace(self, most_top_log_probs=FEWER)
            both = {"logprobs", "top_logprobs"}
            return replace(self, left_out=self.left_out | (both if name in both else {name}))
        return None

    def describe(self) -> str:
        """What a report says about it; empty where everything is taken as asked."""
        parts = []
        if self.left_out:
            names = ", ".join(sorted(self.left_out))
            parts.append(f"refused {names}: the server's own defaults hold")
        if self.streams:
            parts.append("answers in pieces only")
        if self.folds_system:
            parts.append("takes no system turn: such text opens the user's")
        return "; ".join(parts)

    def _suspects(self, said: Said, body: Mapping[str, Any]) -> list[str]:
        """Fields of the request that the server may mean, likeliest first."""
        can = {name for name in _NAMES if name in body}
        can.add("length")
        if not self.streams:
            can.add("stream")
        if not self.folds_system and any(turn["role"] == "system" for turn in body["messages"]):
            can.add("system")
        named = said.param.rpartition(".")[2]
        if named in ("max_tokens", "max_completion_tokens"):
            named = "length"
        if named in can:
            return [named]
        found = {
            name: match.start()
            for name in can
            if (match := _NAMES[name].search(said.words)) is not None
        }
        if {"top_p", "temperature"} <= set(found) and _BOTH.search(said.words):
            return ["top_p"]
        return sorted(found, key=lambda name: (found[name], name))

    def _other_length(self, said: Said) -> "Form | None":
        if self.refused_length:
            return None
        other: LengthName = (
            "max_tokens" if self.length_name == "max_completion_tokens" else "max_completion_tokens"
        )
        return replace(self, length_name=other, refused_length=said.message or "no words")


def form_of(kept: Mapping[str, Any]) -> Form:
    """A form from what was kept of it."""
    return Form(**{**kept, "left_out": frozenset(kept["left_out"])})


def to_bytes(body: Mapping[str, Any]) -> bytes:
    """A request as bytes; half characters, which no encoding has, become question marks."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _folded(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Messages with system text at the top of the user's turn that follows it."""
    folded: list[dict[str, str]] = []
    waiting: list[str] = []
    for turn in messages:
        if turn["role"] == "system":
            waiting.append(turn["content"])
        elif turn["role"] == "user" and waiting:
            folded.append({"role": "user", "content": "\n\n".join([*waiting, turn["content"]])})
            waiting = []
        else:
            folded.append(turn)
    return folded
