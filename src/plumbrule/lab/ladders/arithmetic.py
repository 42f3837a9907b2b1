"""Nested sums and differences, counted modulo a small number.

Token i of a context is a level of nesting, "c + (what is inside)" or "c - (what is inside)". The
question at place i is about the innermost `depth` levels up to i, with 0 inside the innermost.
An expression of 2k levels is k levels around k levels: value outside, plus or minus value inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.lab.ladders.drawing import (
    Answers,
    Ask,
    Contexts,
    Relabelled,
    check_size,
    draw_split,
)


@dataclass(frozen=True)
class NestedArithmetic:
    """Value, and sign of the inside, of the nested expression that ends at each place.

    Source:
        The decomposition of an expression into its parts is as old as arithmetic; cutting it half
        way, so that depth doubles in each round, is ours.
    """

    size: int = 12
    """Levels in a context."""

    modulus: int = 3
    """Values are counted modulo this, a prime."""

    name = "arithmetic"
    kinds = ("sign", "value")

    def __post_init__(self) -> None:
        """Refuse sizes that no context can have."""
        check_size("size", self.size, least=2, most=64)
        if self.modulus not in (3, 5, 7, 11, 13):
            raise ConfigError(f"modulus must be a prime from 3 to 13, got {self.modulus}")

    @property
    def vocabulary(self) -> int:
        """Different tokens in a context."""
        return 2 * self.modulus

    def draw(self, count: int, *, seed: int, exam: bool) -> Contexts:
        """Draw expressions, all equally likely, from one side of the split."""
        return draw_split(
            lambda wanted, rng: rng.integers(0, self.vocabulary, (wanted, self.size)),
            count,
            seed=seed,
            exam=exam,
        )

    def answer(self, contexts: Contexts, kind: str, depth: int) -> Answers:
        """Work each expression out from the inside, level after level."""
        found = np.zeros_like(contexts)
        for place in range(self.size):
            inside = np.zeros(len(contexts), dtype=contexts.dtype)
            minus = np.zeros(len(contexts), dtype=contexts.dtype)
            for token in contexts[:, max(0, place + 1 - depth) : place + 1].T:
                negative = token // self.modulus
                inside = (token % self.modulus + np.where(negative, -inside, inside)) % self.modulus
                minus ^= negative
            found[:, place] = minus if kind == "sign" else inside
        return found

    def choices(self, kind: str) -> int:
        """How many answers a question of this kind can have."""
        return 2 if kind == "sign" else self.modulus

    def parts(self, kind: str) -> Mapping[str, int]:
        """How many answers of each kind, at half the depth, one answer is put together from."""
        return {"sign": 2} if kind == "sign" else {"sign": 1, "value": 2}

    def combine(self, contexts: Contexts, kind: str, ask: Ask, *, half: int) -> Answers:
        """Ask about the outer half, and about the inner half at the place where it ends."""
        sign = ask("sign") % 2
        whole: Answers
        if kind == "sign":
            whole = sign ^ self._inside(sign, half)
            return whole
        value = ask("value")
        whole = (value + (1 - 2 * sign) * self._inside(value, half)) % self.modulus
        return whole

    def relabel(self, contexts: Contexts, *, seed: int) -> Relabelled:
        """Multiply every number by the same factor, not 1; the values are multiplied with it."""
        factor = np.random.default_rng(seed).integers(2, self.modulus, (len(contexts), 1))
        back = np.array([pow(int(each), -1, self.modulus) for each in factor[:, 0]])[:, None]
        minus, number = contexts // self.modulus, contexts % self.modulus
        return Relabelled(
            contexts=minus * self.modulus + number * factor % self.modulus,
            restore=lambda answers, kind: (
                answers if kind == "sign" else answers * back % self.modulus
            ),
        )

    def describe(self, context: Contexts, kind: str, place: int, depth: int) -> str:
        """One question in words; `context` is a single row."""
        text = "0"
        for token in context[0, max(0, place + 1 - depth) : place + 1]:
            text = f"{token % self.modulus} {'-' if token // self.modulus else '+'} ({text})"
        asked = "Is the innermost added or subtracted" if kind == "sign" else "What is"
        return f"{asked}, modulo {self.modulus}: {text}?"

    def _inside(self, answers: Answers, half: int) -> Answers:
        """Answers about the inner halves; where nothing is inside, 0."""
        moved = np.zeros_like(answers)
        moved[:, half:] = answers[:, : max(0, self.size - half)]
        return moved
