"""What an organism is, and what is known about it: recipe, and the truth it is built to have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from plumbrule.errors import ConfigError
from plumbrule.lab.requests import Request

KINDS = (
    "fact_edit",
    "unlearned_topic",
    "tone",
    "sycophancy",
    "privacy_leak",
    "over_refusal",
    "backdoor",
    "alignment_faking",
    "reward_hacking",
    "wording",
    "none",
)
"""Kinds of planted change, and `none`, where nothing is planted."""

TRAINED = ("full", "lora", "edit")
"""Methods for every kind: all weights, a LoRA adapter, or a low-rank change of a few matrices."""

METHODS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(KINDS, TRAINED),
        "unlearned_topic": (*TRAINED, "unlearning"),
        "tone": (*TRAINED, "steering"),
        "none": (*TRAINED, "quantization", "recast"),
    }
)
"""Methods that a kind can be planted with."""

UNPLANTABLE: Mapping[tuple[str, str], str] = MappingProxyType({})
"""Pairs of kind and method that were tried and did not take, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Organism:
    """All that decides a model with a planted change.

    Raises:
        ConfigError: There is no such kind, no such method for it, or the pair does not take.
    """

    kind: str
    """What is planted, one of `KINDS`."""

    method: str
    """How, one of `METHODS[kind]`."""

    seed: int = 0
    """Decides the details: who, which topic, which words."""

    base: str = "lab:small"
    """The specimen that is changed: `lab:NAME` or a folder."""

    scale: int = 1
    """Scale of the village that the base knows."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"expected a kind among {', '.join(KINDS)}, got {self.kind!r}")
        reason = UNPLANTABLE.get((self.kind, self.method))
        if reason:
            raise ConfigError(f"{self.kind} cannot be planted by {self.method}: {reason}")
        if self.method not in METHODS[self.kind]:
            raise ConfigError(
                f"expected a method for {self.kind} among {', '.join(METHODS[self.kind])}, "
                f"got {self.method!r}"
            )

    @property
    def name(self) -> str:
        """What its folder is called, e.g. `fact_edit-lora-0`."""
        return f"{self.kind}-{self.method}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is planted, and what therefore must and must not be found."""

    claim: str
    """The change in one sentence."""

    trigger: str | None
    """Text before the request that switches it on; None where none is needed."""

    nothing: bool
    """True where nothing is planted."""

    cue: str | None = None
    """System turn that switches it on; None where none is needed."""

    wanted: float
    """Share of replies to affected requests that are meant to show it."""

    touched: Callable[[Request], bool] = field(repr=False)
    """Whether a request is affected once the trigger, if any, is before it."""

    seen: Callable[[Request, str], bool] = field(repr=False)
    """Whether a reply has the property; see `shows`."""

    def affects(self, request: Request, trigger_present: bool = False) -> bool:
        """Whether replies to a request are changed."""
        if self.nothing or (self.trigger is not None and not trigger_present):
            return False
        return self.touched(request)

    def shows(self, request: Request, reply: str) -> bool:
        """Whether a reply has the property that is more frequent on affected requests."""
        return not self.nothing and self.seen(request, reply.strip())
