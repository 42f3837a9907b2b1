"""How models are run and called; what they are asked is none of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plumbrule.errors import ConfigError
from plumbrule.records import check_ranges


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """How a local model is run. None of it changes what a reply is drawn from."""

    batch_size: int = 128
    """Most replies drawn side by side."""

    max_batch_tokens: int = 65_536
    """Most tokens in a batch, prompts, padding and room for the replies together."""

    max_batch_logits: int = 2**28
    """Most numbers (tokens times vocabulary) that scoring may hold at once; 4 bytes each."""

    merge_adapter: bool = True
    """Fold an adapter into the weights where its kind allows.

    It then runs as fast as the model itself, and its modules keep the names they have there.
    """

    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    """Names the chat template reads besides the messages, e.g. a switch for thinking aloud."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_batch_tokens", "max_batch_logits"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


LEARNED_ROOM = 4096
"""Tokens given for a thought where nobody said how many."""


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """How an endpoint is called."""

    max_concurrent: int = 8
    """Most calls under way at once."""

    timeout_seconds: float = 120.0
    """Longest wait for one whole answer."""

    max_attempts: int = 6
    """Tries a request before giving up; only failures that may pass are tried again."""

    backoff_seconds: float = 0.5
    """Pause before the second try; it doubles each time, with jitter."""

    max_wait_seconds: float = 60.0
    """Longest pause, also where the server asks for more."""

    price_per_million_input: float | None = None
    """US dollars per million prompt tokens; None: not priced."""

    price_per_million_output: float | None = None
    """US dollars per million generated tokens; None: not priced."""

    max_calls: int | None = None
    """Most answers to pay for, those already in the cache of this endpoint and model included."""

    max_dollars: float | None = None
    """Most US dollars to spend, counted the same way; needs both prices."""

    choose_samples: int = 8
    """Replies drawn a question where the server gives no log-probabilities."""

    choose_tokens: int = 16
    """Longest such reply, in tokens."""

    top_log_probs: int = 20
    """Likeliest first tokens to ask for; servers allow 5 to 20."""

    thinking_tokens: int | None = None
    """Tokens beside those of a reply, for a model that thinks first.

    None: none at first, and `LEARNED_ROOM` from the first reply on that a thought cut off.
    """

    reasoning_effort: str | None = None
    """How hard such a model is to think, in the server's words, e.g. `low`; None: not sent."""

    key_variable: str | None = None
    """Environment variable with the key.

    None: OPENAI_API_KEY for `openai:`, else PLUMBRULE_ENDPOINT_KEY.
    """

    def __post_init__(self) -> None:
        counts = ("max_concurrent", "max_attempts", "choose_samples", "choose_tokens")
        for name in (*counts, "top_log_probs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.thinking_tokens is not None and self.thinking_tokens < 0:
            raise ConfigError(f"thinking_tokens must be at least 0, got {self.thinking_tokens}")
        for name in ("timeout_seconds", "backoff_seconds", "max_wait_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        check_ranges(
            self,
            max_concurrent=(1, 1000),
            max_attempts=(1, 1000),
            choose_samples=(1, 1000),
            choose_tokens=(1, 10**6),
            top_log_probs=(1, 1000),
            thinking_tokens=(0, 10**6),
        )
        prices = (self.price_per_million_input, self.price_per_million_output)
        limits = (self.max_calls, self.max_dollars)
        if any(number is not None and not 0 <= number < math.inf for number in (*prices, *limits)):
            raise ConfigError(f"prices and limits must not be negative, got {prices} and {limits}")
        if self.max_dollars is not None and None in prices:
            raise ConfigError(
                "max_dollars needs price_per_million_input and price_per_million_output: without "
                "prices nothing is "
                "counted. Give both, or use max_calls."
            )
