"""Planted conflicts between principles, and what tiers and conditions say of each.

The rule: principles that do not apply, or of which nobody gave a probability, are left out; tiers
are gone through in order, 0 first; within a tier odds are multiplied; the first tier whose combined
probability is at least the margin away from one half decides; if none does, nothing is decided.
Certainty for one reply and certainty for the other, within a tier, cancel one for one: that is the
limit of any two equally extreme probabilities. Everything here is computed in exact fractions of
the decimals as written, and with none of the code that is judged by it.

    python -m benchmarks.judge_conflicts           # writes benchmarks/judge_conflicts.jsonl
    python -m benchmarks.judge_conflicts --check   # says whether the file is what it would write
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import prod
from pathlib import Path
from random import Random
from typing import Any, Literal

FILE = Path(__file__).with_suffix(".jsonl")
MARGIN = "0.1"
EACH = 44
"""Random conflicts of each kind."""

Outcome = Literal["first", "second", "none"]
NAMES = (
    "no-harm", "privacy", "tell-the-truth", "be-helpful", "no-flattery", "respect-the-law",
    "keep-it-short", "say-when-unsure", "protect-minors", "no-medical-orders", "fairness",
    "plain-words", "own-mistakes", "no-secrets", "cite-sources", "calm-tone",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What one principle says of two replies."""

    id: str
    tier: int
    applies: bool

    probability: float | None
    """That the first reply is better; None where the judge gave no answer."""


def resolve(stated: Sequence[Stated], margin: str = MARGIN) -> tuple[Outcome, str]:
    """Decide a conflict by the rule, exactly.

    Args:
        stated: The principles, in any order.
        margin: Least distance from one half that decides, as a decimal.

    Returns:
        The better reply, and why in words.
    """
    said = [f"{each.id} does not apply" for each in stated if not each.applies]
    said += [f"{each.id} is silent" for each in stated if each.applies and each.probability is None]
    for tier in sorted({each.tier for each in stated}):
        heard = [
            Fraction(str(each.probability))
            for each in stated
            if each.tier == tier and each.applies and each.probability is not None
        ]
        if not heard:
            said.append(f"tier {tier} has nothing to say")
            continue
        combined = together(heard)
        where = f"tier {tier} gives {float(combined):.6g}"
        if abs(combined - Fraction(1, 2)) >= Fraction(margin):
            outcome: Outcome = "first" if combined > Fraction(1, 2) else "second"
            return outcome, "; ".join([*said, f"{where}, which decides"])
        said.append(f"{where}, within the margin")
    return "none", "; ".join([*said, "no tier decides"])


def together(probabilities: Sequence[Fraction]) -> Fraction:
    """Probability whose odds are the product of the odds of all."""
    surer = sum(each == 1 for each in probabilities) - sum(each == 0 for each in probabilities)
    if surer:
        return Fraction(int(surer > 0))
    open_ones = [each for each in probabilities if 0 < each < 1]
    for_first, for_second = prod(open_ones), prod(1 - each for each in open_ones)
    return Fraction(for_first) / (for_first + for_second)


def conflicts(seed: int = 0) -> list[dict[str, Any]]:
    """All planted conflicts, as the lines of the file."""
    rng = Random(seed)
    found = []
    for kind, cases in _edges().items():
        for case in cases:
            mirrored = [(tier, applies, _mirror(p)) for tier, applies, p in case]
            found += [(kind, _named(each, rng)) for each in (case, mirrored)]
    for make in KINDS:
        found += [(make.__name__.strip("_"), _named(make(rng), rng)) for _ in range(EACH)]
    lines = []
    for number, (kind, stated) in enumerate(found):
        outcome, why = resolve(stated)
        lines.append(
            {
                "id": f"{number:03d}-{kind.replace('_', '-')}",
                "principles": [asdict(each) for each in stated],
                "margin": float(MARGIN),
                "outcome": outcome,
                "why": why,
            }
        )
    return lines


Case = list[tuple[int, bool, float | None]]
"""Tier, whether it applies, and the probability, of each principle."""


def _mirror(probability: float | None) -> float | None:
    """The same with both replies swapped, exact in decimals."""
    return None if probability is None else float(1 - Fraction(str(probability)))


def _named(case: Case, rng: Random) -> list[Stated]:
    """Give principles names and an order that says nothing about tiers."""
    names = [f"{name}{'' if turn == 0 else f'-{turn + 1}'}" for turn in range(4) for name in NAMES]
    chosen = rng.sample(names[: max(len(NAMES), len(case))], len(case))
    stated = [
        Stated(id=name, tier=tier, applies=applies, probability=probability)
        for name, (tier, applies, probability) in zip(chosen, case, strict=True)
    ]
    rng.shuffle(stated)
    return stated


def _edges() -> dict[str, list[Case]]:
    """Cases written by hand; each is planted with both replies swapped too."""
    yes, no = True, False
    return {
        "at_the_margin": [
            [(0, yes, 0.6), (1, yes, 0.05)],
            [(0, yes, 0.5999), (1, yes, 0.05)],
            [(0, yes, 0.6001), (1, yes, 0.05)],
            [(0, yes, 0.599999999), (1, yes, 0.3)],
            [(0, yes, 0.6), (0, yes, 0.5), (1, yes, 0.1)],
            [(0, yes, 0.6), (0, yes, 0.6), (0, yes, 0.4), (1, yes, 0.02)],
            [(0, yes, 0.6), (0, yes, 0.8), (0, yes, 0.2), (2, yes, 0.1)],
            [(0, yes, 0.5), (1, yes, 0.5), (2, yes, 0.6)],
            [(0, yes, 0.45), (0, yes, 0.55), (1, yes, 0.6)],
        ],
        "certain": [
            [(0, yes, 1.0), (1, yes, 0.0)],
            [(0, yes, 1.0), (0, yes, 0.01), (1, yes, 0.0)],
            [(0, yes, 1.0), (0, yes, 0.3), (0, yes, 0.3), (0, yes, 0.3)],
            [(0, yes, 0.5), (1, yes, 1.0), (2, yes, 0.0)],
            [(0, no, 1.0), (1, yes, 0.0)],
        ],
        "opposed_certainties": [
            [(0, yes, 1.0), (0, yes, 0.0), (1, yes, 0.8)],
            [(0, yes, 1.0), (0, yes, 0.0)],
            [(0, yes, 1.0), (0, yes, 0.0), (0, yes, 0.9), (1, yes, 0.1)],
            [(0, yes, 1.0), (0, yes, 1.0), (0, yes, 0.0), (1, yes, 0.1)],
            [(0, yes, 1.0), (0, no, 0.0), (1, yes, 0.1)],
            [(0, yes, 1.0), (0, yes, 0.0), (1, yes, 0.0), (1, yes, 1.0), (2, yes, 0.3)],
        ],
        "nearly_certain": [
            [(0, yes, 0.999), (0, yes, 0.03), (0, yes, 0.03), (1, yes, 0.1)],
            [(0, yes, 0.9999), (0, yes, 0.01), (0, yes, 0.02), (1, yes, 0.1)],
            [(0, yes, 0.99), (0, yes, 0.01), (1, yes, 0.2)],
            [(0, yes, 0.995), (0, yes, 0.01), (1, yes, 0.2)],
        ],
        "nobody_speaks": [
            [(0, yes, None), (1, yes, None)],
            [(0, no, 0.9), (1, no, 0.1)],
            [(0, no, None), (0, yes, None), (3, no, 0.0)],
            [(0, yes, None)],
            [(0, no, 1.0)],
        ],
        "empty_tier": [
            [(0, yes, None), (1, yes, 0.8), (2, yes, 0.1)],
            [(0, no, 0.95), (0, yes, None), (1, yes, 0.2), (2, yes, 0.9)],
            [(0, yes, 0.5), (1, no, 0.9), (2, yes, 0.3)],
            [(1, yes, 0.7), (4, yes, 0.02)],
            [(7, yes, 0.3), (3, yes, 0.7)],
        ],
    }


def _away(rng: Random, least: float, most: float) -> tuple[float, float]:
    """A probability on one side of one half, and another on the other, so far from it."""
    side = rng.choice((1, -1))
    here, there = (round(rng.uniform(least, most), 3) for _ in range(2))
    return round(0.5 + side * here, 3), round(0.5 - side * there, 3)


def _across_tiers(rng: Random) -> Case:
    """An upper tier against louder and more numerous lower ones."""
    high, low = _away(rng, 0.13, 0.45)
    return [(0, True, high), *[(rng.randint(1, 3), True, low) for _ in range(rng.randint(1, 4))]]


def _indifferent_above(rng: Random) -> Case:
    """An upper tier too close to one half, and lower ones that differ."""
    decides, after = _away(rng, 0.15, 0.45)
    near = round(0.5 + rng.uniform(-0.09, 0.09), 3)
    return [(0, True, near), (1, True, decides), (2, True, after)]


def _within_a_tier(rng: Random) -> Case:
    """Two or three of one tier against each other."""
    one, other = _away(rng, 0.05, 0.48)
    third = round(rng.uniform(0.2, 0.8), 3)
    case: Case = [(0, True, one), (0, True, other), (1, True, other)]
    return [*case, (0, True, third)] if rng.random() < 0.5 else case


def _many_against_one(rng: Random) -> Case:
    """A strong principle against many weak ones of its tier."""
    strong, _ = _away(rng, 0.3, 0.45)
    weak = 0.5 - (0.04 if strong > 0.5 else -0.04)
    crowd: Case = [(1, True, round(weak, 3))] * rng.randint(5, 20)
    return [(0, True, 0.5), (1, True, strong), *crowd]


def _exception(rng: Random) -> Case:
    """What would decide does not apply, and what comes after says the reverse."""
    out, then = _away(rng, 0.15, 0.48)
    return [(0, False, out), (rng.randint(0, 2), True, then), (3, True, out)]


def _silence(rng: Random) -> Case:
    """A principle above gave no answer."""
    then, after = _away(rng, 0.15, 0.48)
    return [(0, True, None), (1, True, then), (1, True, None), (2, True, after)]


def _undecided(rng: Random) -> Case:
    """Every tier within the margin, though principles differ."""
    case: Case = []
    for tier in range(rng.randint(1, 4)):
        apart = round(rng.uniform(0.1, 0.4), 3)
        case += [(tier, True, round(0.5 + apart, 3)), (tier, True, round(0.5 - apart, 3))]
        if rng.random() < 0.5:
            case.append((tier, True, round(0.5 + rng.uniform(-0.08, 0.08), 3)))
    return case


def _many(rng: Random) -> Case:
    """A long rulebook: a few dozen principles in up to six tiers, some out, some silent."""
    tiers = rng.sample(range(12), rng.randint(2, 6))
    return [
        (
            rng.choice(tiers),
            rng.random() < 0.7,
            None if rng.random() < 0.15 else round(rng.betavariate(4, 4), 2),
        )
        for _ in range(rng.randint(15, 40))
    ]


KINDS: tuple[Callable[[Random], Case], ...] = (
    _across_tiers, _indifferent_above, _within_a_tier, _many_against_one, _exception, _silence,
    _undecided, _many,
)  # fmt: skip


def _text(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    return (json.dumps(line) + "\n" for line in lines)


def main() -> None:
    """Write the file, or see that it is as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="compare only")
    given = parser.parse_args()
    text = "".join(_text(conflicts()))
    if given.check:
        same = FILE.read_text(encoding="utf-8") == text
        print("as it would be written" if same else "DIFFERS from what would be written")
        sys.exit(0 if same else 1)
    FILE.write_text(text, encoding="utf-8")
    print(f"{text.count(chr(10))} conflicts in {FILE}")


if __name__ == "__main__":
    main()
