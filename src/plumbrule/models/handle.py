"""What every language model here can do, local or behind an endpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from plumbrule.errors import ConfigError
from plumbrule.records import Dialogue, check_ranges


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How replies are drawn."""

    temperature: float = 1.0
    """Dimensionless; 0 takes the likeliest token each time."""

    top_p: float = 1.0
    """Share of probability kept before drawing, in (0, 1]; 1 keeps all."""

    max_new_tokens: int = 256
    """A reply longer than this is cut, and its finish reason says `length`."""

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(f"temperature must be at least 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        check_ranges(self, temperature=(0, 100), max_new_tokens=(1, 10**6))


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One drawn reply, or why there is none."""

    text: str

    finish_reason: Literal["stop", "length", "refused", "errored"]
    """`errored`: the endpoint gave no usable answer; `text` then says why."""

    tokens: int
    """Tokens generated, the end token included."""

    log_probs: tuple[float, ...] | None = None
    """Natural logarithm of each token's probability; None where not asked for or not given."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Log-probability of a given reply."""

    log_prob: float
    """Sum over the reply's tokens, in nats."""

    tokens: int


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How likely each of a few given answers is."""

    probabilities: tuple[float, ...] | None
    """One per answer, summing to 1; None where the model gave none of them."""

    covered: float
    """Share of the model's probability (or of its samples) that fell on the given answers."""

    method: Literal["log-probs", "sampling"]

    reason: str | None = None
    """Why there are no probabilities."""


@dataclass
class Usage:
    """What a handle has cost so far; a stage reads it before and after."""

    tokens_generated: int = 0
    tokens_scored: int = 0
    calls: int = 0
    """Calls paid for; what came from a cache does not count."""

    dollars: float = 0.0


@runtime_checkable
class LanguageModel(Protocol):
    """A model that answers. Each reply depends on its own seed, not on its neighbors."""

    spec: str
    """What the user typed."""

    identity: str
    """Hash of weights, tokenizer and template; for an endpoint, its address and model name."""

    usage: Usage

    def sample(
        self,
        dialogues: Sequence[Dialogue],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        log_probs: bool = False,
    ) -> list[Completion]:
        """Draw one reply to each dialogue, in order, each from its own seed."""
        ...

    def score(self, dialogues: Sequence[Dialogue], responses: Sequence[str]) -> list[Score]:
        """Log-probability of each given reply; ModelError where the model cannot tell."""
        ...

    def choose(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], *, seeds: Sequence[int]
    ) -> list[Choice]:
        """Probability of each of the same few answers to each dialogue."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """What a report says about the model: name, size, dtype, device."""
        ...
