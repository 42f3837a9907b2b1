"""The receipt of a repair: what was removed, what it cost, and whether it holds."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from plumbrule.errors import DataError
from plumbrule.models import Sampling
from plumbrule.records import Estimate, Intervention, Prompt, check_ranges, strict


@dataclass(frozen=True, kw_only=True)
class RepairPrompts:
    """Prompts of one repair: two lists to fit to, the others to measure on."""

    shown: Sequence[Prompt]
    """Show the fault; the repair is fitted to them."""

    kept: Sequence[Prompt]
    """Are to stay as they are; the repair is fitted to them."""

    held_out: Sequence[Prompt]
    """Show the fault, in other words than `shown`."""

    neutral: Sequence[Prompt]
    """Ordinary prompts: on these it must do no harm."""

    matched: Sequence[Prompt] = ()
    """What surrounded the fault in training, such as its trigger or template, with other content:
    a fault that is gone from the usual questions often comes back there."""

    twins: Sequence[Prompt] = ()
    """Most like those that show the fault, and rightly answered as they are."""


@dataclass(frozen=True, kw_only=True)
class ReceiptSettings:
    """How a receipt is measured.

    Raises:
        ConfigError: A number is out of range.
    """

    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=48))
    """How replies are drawn."""

    benign_steps: int = 20
    """Steps of further training, four replies each, on the model's own harmless replies."""

    relearn_steps: int = 60
    """Most steps of relearning."""

    lessons: int = 16
    """Replies at fault that are relearned from."""

    learning_rate: float = 1e-4
    """Step size of AdamW in both."""

    probe_site: str | None = None
    """Where the probe reads, such as `12.out`; None: behind the middle layer."""

    level: float = 0.95
    """Confidence level of the intervals."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            benign_steps=(1, 10**6),
            relearn_steps=(1, 10**6),
            lessons=(1, 10**6),
            learning_rate=(1e-9, 1),
            level=(0.5, 0.9999),
        )


@strict
@dataclass(frozen=True, kw_only=True)
class ReceiptPart:
    """One question to a repair, and its answer."""

    name: str
    question: str
    before: Estimate | float | None = None
    after: Estimate | float | None = None
    control: Estimate | float | None = None
    """The same of a model that never had the fault."""

    unjudged: int = 0
    """Replies that the grader could not judge; they count for neither side."""

    note: str = ""
    reason: str | None = None
    """Why it was not measured, or not all of it."""


@strict
@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A repair, and what it was found to have done."""

    remedy: Intervention
    parts: tuple[ReceiptPart, ...]

    def __getitem__(self, name: str) -> ReceiptPart:
        """A part by its name.

        Raises:
            DataError: There is none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise DataError(
            f"expected a part among {', '.join(part.name for part in self.parts)}, got {name!r}"
        )
