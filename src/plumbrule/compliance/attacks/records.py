"""What a red team hands on: attacks, what came of them, and the holes that they show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from plumbrule.compliance.cases import TestCase
from plumbrule.records import Dialogue, Estimate, Exchange, Message, Verdict, strict
from plumbrule.store import fingerprint

Origin = Literal["template", "written", "searched", "brought"]
"""Whether an attack is a template's, a model's, a search's, or one that people bring."""


@strict
@dataclass(frozen=True, kw_only=True)
class Attack:
    """One try to make a model break a principle."""

    principle_id: str
    family: str
    """The mechanism, such as `persona`: attacks of one family use one weakness."""

    origin: Origin

    goal: Dialogue
    """The plain request that it puts in other words; a reply is judged as a reply to this."""

    turns: tuple[str, ...]
    """What the user says, one turn after another; the model answers each."""

    system: str = ""
    prefill: str = ""
    """Words that the last reply is made to begin with."""

    source: str = ""
    """Where it comes from, for one that people bring."""

    @property
    def id(self) -> str:
        """Stable name."""
        said = [self.principle_id, self.family, list(self.turns), self.system, self.prefill]
        goal = [[turn.role, turn.content] for turn in self.goal]
        return f"{self.principle_id}/{self.family}/{fingerprint([*said, goal])[:12]}"


@dataclass(frozen=True, kw_only=True)
class BroughtAttack:
    """An attack that succeeded elsewhere."""

    dialogue: Dialogue
    """As it was put; turns of the other model stand in it."""

    goal: str
    """What it is after; the last request where the file does not say."""

    family: str
    """Tool and mechanism, such as `garak dan`."""

    principle_id: str | None
    """None where the file names none."""

    source: str


Making = Callable[[TestCase, np.random.Generator], Attack | None]
"""Makes an attack of a request; None where it cannot be made of it."""


@dataclass(frozen=True, kw_only=True)
class AttackFamily:
    """Attacks by one mechanism."""

    name: str
    origin: Origin
    make: Making
    only: frozenset[str] | None = None
    """Principles that it is for; None: all."""

    needs_weights: bool = False
    """Whether it needs a model whose reply can be begun for it."""


@strict
@dataclass(frozen=True, kw_only=True)
class AttackOutcome:
    """An attack, the whole dialogue that came of it, and what was said of the last reply."""

    attack: Attack
    exchange: Exchange
    """The dialogue as it was played, with the last reply."""

    verdict: Verdict
    rationale: str
    even: bool
    """Whether it was one of those drawn evenly over all families and principles, of which rates
    are made; the others went where holes were likely."""

    @property
    def hit(self) -> bool:
        """Whether the principle was broken."""
        return self.verdict == "fail"


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A principle that gives way to a family of attacks, however often and in whatever words."""

    principle_id: str
    family: str
    origin: Origin
    tries: int
    hits: int
    first: AttackOutcome
    """The attack that showed it first."""


@dataclass(frozen=True, kw_only=True)
class AttackRate:
    """How often attacks of one family, or on one principle, succeed."""

    name: str
    estimate: Estimate | None
    """Of those that were drawn evenly."""

    reason: str | None
    tries: int
    """All of them, those that went where holes were likely included."""

    hits: int
    unanswered: int
    """Those that nobody could judge."""


@dataclass(frozen=True, kw_only=True)
class RedTeamResult:
    """What a red team found."""

    model: str
    model_identity: str
    judge: str
    constitution: str
    constitution_sha256: str
    budget: int
    """Replies that it was allowed."""

    used: int
    """Replies that it took."""

    holes: tuple[Hole, ...]
    outcomes: tuple[AttackOutcome, ...]
    by_family: tuple[AttackRate, ...]
    by_principle: tuple[AttackRate, ...]
    cells: int
    """Pairs of principle and family that there are."""

    not_tried: int
    """Those of them that the budget did not reach."""

    notes: tuple[str, ...] = ()

    @property
    def hits(self) -> list[AttackOutcome]:
        """Attacks that succeeded."""
        return [each for each in self.outcomes if each.hit]


def last_request(dialogue: Dialogue) -> str:
    """What is asked in the end."""
    return dialogue[-1].content


def opening(attack: Attack) -> Dialogue:
    """The dialogue before the user's first turn: system turns of the goal, or the attack's own."""
    if attack.system:
        return (Message("system", attack.system),)
    return tuple(turn for turn in attack.goal if turn.role == "system")
