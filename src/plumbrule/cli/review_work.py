"""What the verb `review` does: open the judge, review or decide, write the page."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.errors import ConfigError

if TYPE_CHECKING:  # reading papers and models takes a moment to import; --help must not wait
    from plumbrule.models import LanguageModel
    from plumbrule.oversight import Review
    from plumbrule.oversight.records import Outcome


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a review goes."""

    most: Mapping[str, float | None]
    """By kind of cost."""

    piece: int
    depth: int
    workers: int
    timeout: float | None
    seed: int


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
        from plumbrule.oversight import accept, overrule, send_back

        person, minutes = self.person or "", self.minutes
        if self.accept is not None:
            remark = self.reason or ""
            accept(folder, self.accept, person=person, remark=remark, human_minutes=minutes)
        elif self.overrule is not None:
            overrule(
                folder, self.overrule, _settable(self.outcome or ""), person=person,
                reason=self.reason or "", human_minutes=minutes,
            )  # fmt: skip
        elif self.send_back is not None and not self._pending(folder):
            send_back(
                folder, self.send_back, self.question or "", person=person, human_minutes=minutes
            )

    def _pending(self, folder: Path) -> bool:
        """Whether this very question is open already, because getting its answer failed."""
        from plumbrule.oversight.aggregating import open_question
        from plumbrule.oversight.trail import read_records

        for node in read_records(folder).tree.walk():
            asked = open_question(node) if node.task.id == self.send_back else None
            if asked is not None and (asked.person, asked.text) == (self.person, self.question):
                return True
        return False


def run_review(
    paper: Path,
    bibliography: Path | None,
    sources: Path | None,
    out: Path,
    judge: "LanguageModel | None",
    reliability: str | None,
    limits: Limits,
) -> "Review":
    """Read the paper and review it, with a bar; a judge is asked once before anything else."""
    from plumbrule.cli.progress import progress_bars
    from plumbrule.models import probe
    from plumbrule.oversight import Budget, Reliability
    from plumbrule.oversight.papers import read_material, review_paper

    measured = None
    if reliability is not None:
        sensitivity, specificity = pair(reliability, "--reliability")
        measured = Reliability(sensitivity=sensitivity, specificity=specificity)
    with progress_bars() as tell:
        tell("reading", 0, 1)
        if judge is not None:
            probe(judge)
        material = read_material(paper, bibliography=bibliography, sources=sources)
        tell("reading", 1, 1)
        return review_paper(
            material,
            folder=out,
            judge=judge,
            reliability=measured,
            budget=Budget(**limits.most),  # type: ignore[arg-type]
            piece=limits.piece,
            depth=limits.depth,
            workers=limits.workers,
            timeout_seconds=limits.timeout,
            seed=limits.seed,
            progress=lambda done, total: tell("reviewing", done, total),
        )


def run_decision(wish: Wish, out: Path, judge: "LanguageModel | None", limits: Limits) -> "Review":
    """Record the decision, and get the reports that people asked for."""
    from plumbrule.cli.progress import progress_bars
    from plumbrule.oversight.papers import answer_paper, matching_material

    if not (out / "ledger.db").is_file():
        raise ConfigError(
            f"expected the folder of a review, {out} holds none; begin one with "
            f"plumbrule review PAPER --out {out}"
        )
    matching_material(out)
    wish.decide(out)
    with progress_bars() as tell:
        return answer_paper(
            out,
            judge=judge,
            piece=limits.piece,
            workers=limits.workers,
            timeout_seconds=limits.timeout,
            progress=lambda done, total: tell("asking again", done, total),
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
        cache=out.parent / f".{out.name}.calls.db",
        endpoint=EndpointSettings(max_dollars=most_dollars, **settings),
    )


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
