"""The options of the verb `review`: what goes together, and what they ask for."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.errors import ConfigError

if TYPE_CHECKING:  # reading papers and models takes a moment to import; --help must not wait
    from plumbrule.models import LanguageModel
    from plumbrule.oversight import Reliability
    from plumbrule.oversight.records import Outcome


@dataclass(frozen=True, kw_only=True)
class Thinking:
    """What a judge that thinks first is given."""

    tokens: int | None = None
    effort: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be done with a finished review; nothing but showing it where all are None."""

    accept: str | None
    overrule: str | None
    send_back: str | None
    person: str | None
    outcome: str | None
    reason: str | None
    question: str | None
    minutes: float

    def check(self, *, reviewing: bool) -> None:
        """Refuse options that do not go together.

        Raises:
            ConfigError: Two decisions at once, one beside a paper, or a part of one missing.
        """
        nodes = {"--accept": self.accept, "--overrule": self.overrule,
                 "--send-back": self.send_back}  # fmt: skip
        given = [name for name, node in nodes.items() if node is not None]
        if len(given) > 1 or (given and reviewing):
            what = " and ".join([*(["PAPER"] if reviewing else []), *given])
            raise ConfigError(f"expected a paper or one decision, got {what}; give one at a time")
        takes = {"--accept": (), "--overrule": ("outcome", "reason"), "--send-back": ("question",)}
        may = {"--accept": ("reason",), "--overrule": (), "--send-back": ("reason",)}
        details = ("person", "outcome", "reason", "question")
        here = [name for name in details if getattr(self, name) is not None]
        if not given:
            if here or self.minutes:
                raise ConfigError(
                    f"--{(here or ['minutes'])[0]} belongs to a decision; give --accept, "
                    "--overrule or --send-back with the part it is about"
                )
            return
        needed = ("person", *takes[given[0]])
        missing = [f"--{name}" for name in needed if not (getattr(self, name) or "").strip()]
        strange = [f"--{name}" for name in here if name not in (*needed, *may[given[0]])]
        if missing or strange:
            raise ConfigError(
                f"{given[0]} takes {', '.join(f'--{name}' for name in needed)}; "
                + (f"missing: {', '.join(missing)}" if missing else f"got {', '.join(strange)} too")
            )

    def decide(self, folder: Path) -> None:
        """Record the decision, if there is one.

        Raises:
            ConfigError: No such part, nobody there to ask, or minutes below 0.
            DataError: An outcome that nobody can set.
        """
        from plumbrule.loop.reviewing import check_reviewed, send_back_once
        from plumbrule.oversight import accept, overrule

        check_reviewed(folder)
        person, minutes = self.person or "", self.minutes
        if self.accept is not None:
            remark = self.reason or ""
            accept(folder, self.accept, person=person, remark=remark, human_minutes=minutes)
        elif self.overrule is not None:
            overrule(
                folder, self.overrule, _settable(self.outcome or ""), person=person,
                reason=self.reason or "", human_minutes=minutes,
            )  # fmt: skip
        elif self.send_back is not None:
            send_back_once(
                folder, self.send_back, self.question or "", person=person, human_minutes=minutes
            )


def open_judge(
    spec: str | None,
    out: Path,
    prices: str | None,
    most_dollars: float | None,
    thinking: Thinking,
) -> "LanguageModel | None":
    """The model that judges; answers paid for are kept beside the folder.

    Raises:
        ConfigError: A price or a limit in dollars without the other, or without a judge.
        ModelError: The model cannot be opened.
    """
    if (most_dollars is not None) and prices is None:
        raise ConfigError("--most-dollars needs --prices IN,OUT, to know what a call costs")
    if spec is None:
        if prices is not None:
            raise ConfigError("--prices is about a judge; give --judge SPEC too")
        return None
    from plumbrule.folders import paid_answers
    from plumbrule.models import EndpointSettings, open_model

    settings: dict[str, Any] = {
        "thinking_tokens": thinking.tokens,
        "reasoning_effort": thinking.effort,
    }
    if prices is not None:
        read, written = pair(prices, "--prices")
        settings |= {"price_per_million_input": read, "price_per_million_output": written}
    out.parent.mkdir(parents=True, exist_ok=True)
    return open_model(
        spec,
        cache=paid_answers(out),
        endpoint=EndpointSettings(max_dollars=most_dollars, **settings),
    )


def measured(text: str | None) -> "Reliability | None":
    """How reliable a judge is said to be.

    Raises:
        ConfigError: It is not two numbers, or not two shares.
    """
    if text is None:
        return None
    from plumbrule.oversight import Reliability

    sensitivity, specificity = pair(text, "--reliability")
    return Reliability(sensitivity=sensitivity, specificity=specificity)


def pair(text: str, option: str) -> tuple[float, float]:
    """Two numbers with a comma between.

    Raises:
        ConfigError: It is something else.
    """
    try:
        first, second = (float(each) for each in text.split(","))
        if not (0 <= first < math.inf and 0 <= second < math.inf):
            raise ValueError("not within range")
    except ValueError as error:
        raise ConfigError(f"{option} takes two numbers such as 0.8,0.9, got {text!r}") from error
    return first, second


def _settable(outcome: str) -> "Outcome":
    found: dict[str, Outcome] = {"pass": "pass", "fail": "fail", "uncertain": "uncertain"}
    if outcome in found:
        return found[outcome]
    raise ConfigError(f"--outcome is pass, fail or uncertain, got {outcome!r}")
