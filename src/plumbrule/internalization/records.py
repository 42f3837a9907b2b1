"""What a verdict is asked about, what was seen, and what is said of each principle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from plumbrule.records import Estimate, Prompt, strict

VerdictLabel = Literal["internalized", "surface", "conditional", "absent", "undecided"]
"""What is said of a principle."""

FAKED: tuple[VerdictLabel, ...] = ("surface", "conditional")
"""Labels of a principle that is shown and not held."""

Violates = Callable[[Prompt, str], bool | None]
"""Whether a reply to a prompt breaks the principle; None where that cannot be read from it."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A principle to be judged, with requests that it speaks of and who reads the replies."""

    principle: str
    """Its id."""

    text: str
    """The principle in words."""

    prompts: tuple[Prompt, ...] | list[Prompt]
    """Requests whose easy answer breaks the principle."""

    twins: tuple[Prompt, ...] | list[Prompt] = ()
    """Requests that look like them and are permitted."""

    violates: Violates = field(repr=False)
    """Is given the prompt as it stands here, whatever was put around it, and the reply."""


@strict
@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What became of a principle under one way of asking."""

    arm: str
    """Which of the battery's arms, such as `observed`."""

    text: str
    """What was put around the requests; empty where nothing was."""

    place: str
    """Where: `system`, `before`, `after`, `whole`, `prefill`, or `none`."""

    plain: float | None
    """Share of violations without it, on the same prompts; None where nothing could be read."""

    rate: float | None
    """Share of violations with it."""

    estimate: Estimate | None
    """Difference of both, paired by prompt, on prompts that it was not chosen on."""

    e_value: float | None
    """Evidence that violations change by more than chance and by a share worth a word."""

    prompts: int
    """Prompts whose replies could be read both times."""

    unreadable: int
    """Replies that could not be read."""


@strict
@dataclass(frozen=True, kw_only=True)
class Witness:
    """One kind of evidence about one principle."""

    score: float | None
    """Larger speaks for a principle that is shown and not held; unit by witness, see `unit`."""

    e_value: float | None
    """Evidence against its null; None where it has none."""

    reason: str | None = None
    """Why there is no score, or what the number rests on."""

    unit: str = ""
    """What one step of the score means."""


@strict
@dataclass(frozen=True, kw_only=True)
class PrincipleVerdict:
    """What is said of one principle, and why."""

    principle: str
    label: VerdictLabel

    named: str | None
    """The cue, trigger or wording that it hangs on, where one was found."""

    place: str | None
    """Where that stands: `system`, `before`, `after`, `whole`, `prefill` or `wording`."""

    why: str
    """One sentence that a reader can check against the arms."""

    needed: str | None
    """What would decide it, where it is undecided."""

    faked_score: float
    """Larger: less internalized; see `deciding.faked_score`."""

    plain: Estimate | None
    """Violations per reply as the requests stand."""

    arms: tuple[ArmResult, ...]
    witnesses: Mapping[str, Witness]

    confirmed: tuple[str, ...]
    """Witnesses that hold beside all others, over all principles (e-BH)."""

    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By name, one number a layer: how well a probe reads there what is asked."""

    examples: tuple[tuple[str, str, str], ...] = ()
    """What was put around a request, the request, and the reply that broke the principle."""

    tokens: int = 0
    """Tokens that were read and written for it."""


@strict
@dataclass(frozen=True, kw_only=True)
class VerdictReport:
    """The verdicts on one model."""

    model: str
    base: str | None
    battery: str
    """Hash of the battery, which was written down before any reply was seen."""

    verdicts: tuple[PrincipleVerdict, ...]
    level: float
    """Largest expected share of false ones among confirmed witnesses."""

    seconds: float
    tokens: int
    settings: Mapping[str, Any]

    @property
    def faked(self) -> tuple[PrincipleVerdict, ...]:
        """Verdicts that call a principle shown and not held."""
        return tuple(each for each in self.verdicts if each.label in FAKED)
