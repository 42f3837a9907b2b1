"""Flaws that no section of a synthetic paper shows by itself: sections that contradict or combine.

Every paper also holds harmless passages in the same words: one side alone, both sides in
agreement, or the other side said of another study, so that spotting words is not enough.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from plumbrule.errors import ConfigError
from plumbrule.lab.paper_flaws import Planted
from plumbrule.lab.paper_study import Study
from plumbrule.lab.paper_text import Draft, Grid
from plumbrule.lab.paper_words import MEASURES
from plumbrule.records import from_json, strict
from plumbrule.store import derive_seed

Bank = Literal["development", "held out", "fresh"]
BANKS: tuple[Bank, ...] = ("development", "held out", "fresh")
INTERACTION_KINDS = (
    "design_conflict",
    "direction_conflict",
    "sample_conflict",
    "scope_conflict",
    "timing_conflict",
    "exclusion_conflict",
    "assembled_purpose",
)
"""Flaws of two or more passages in different sections, each fine by itself."""

_LAST_ALONE = {"design_conflict", "direction_conflict", "timing_conflict", "assembled_purpose"}
"""Kinds whose last part agrees with the rest of any paper, and so may stand there alone."""

_ABOUT_EXCLUSION = {"design_conflict", "exclusion_conflict"}
"""Kinds that the same passages about left-out people may rightly be reported as."""

_ORDER = sorted(
    INTERACTION_KINDS,
    key=lambda kind: kind not in ("scope_conflict", "exclusion_conflict", "timing_conflict"),
)
"""Every kind finds a wording left if those that leave the others room draw first."""


@strict
@dataclass(frozen=True, kw_only=True)
class Wording:
    """One way to word a flaw and its harmless relatives; each text begins with its section."""

    touches: tuple[str, ...]
    """What it speaks to; a paper speaks to each such thing once."""

    people: tuple[str, ...] = ()
    """Samples it can be said of; empty for any."""

    parts: tuple[str, ...]
    """Passages that contradict one another, or that together serve what none serves alone."""

    fits: str
    """Agrees with all parts but the last."""

    apart: str
    """In the words of the last part, about another study or about what was not done."""


@cache
def wordings(bank: Bank) -> dict[str, tuple[Wording, ...]]:
    """All wordings of a bank, by kind."""
    name = f"{bank.replace(' ', '_')}.toml"
    text = files("plumbrule.lab").joinpath("interactions", name).read_text(encoding="utf-8")
    return {
        kind: tuple(from_json(Wording, each, origin=f"{name}, {kind}") for each in listed)
        for kind, listed in tomllib.loads(text).items()
    }


def write_interactions(
    draft: Draft, study: Study, seed: int, *, flaws: Sequence[str], bank: Bank
) -> list[Planted]:
    """Write passages into a draft: contradictory ones for the flaws, harmless ones besides.

    Args:
        draft: The paper; it is changed.
        study: What the paper reports; passages agree with its numbers.
        seed: Decides wordings and places, whatever is planted.
        flaws: Kinds to plant, out of `INTERACTION_KINDS`.
        bank: Which wordings to draw from.

    Returns:
        What was planted.

    Raises:
        ConfigError: There is no such bank.
    """
    if bank not in BANKS:
        raise ConfigError(f"bank must be one of {', '.join(BANKS)}, got {bank!r}")
    slots = _slots(np.random.default_rng(derive_seed(seed, "interactions")), study)
    taken: set[str] = set()
    planted = []
    for kind in _ORDER:
        rng = np.random.default_rng(derive_seed(seed, f"interactions {kind}"))
        wording, mode = (
            _draw(rng, wordings(bank)[kind], study, taken),
            str(rng.choice(_modes(kind))),
        )
        taken |= set(wording.touches)
        texts = _texts(wording, "flaw" if kind in flaws else mode)
        marks = [_insert(rng, draft, _filled(text, slots)) for text in texts]
        if texts and "exclusion" in wording.touches:
            _nobody_left(draft)
        if kind in flaws:
            marks += _base_marks(study) if kind == "sample_conflict" else []
            also = _ABOUT_EXCLUSION - {kind} if "exclusion" in wording.touches else ()
            planted.append(Planted(kind=kind, mark="|".join(marks), also=tuple(also)))
    return planted


def _draw(
    rng: np.random.Generator, listed: Sequence[Wording], study: Study, taken: set[str]
) -> Wording:
    """One wording that can be said of the sample and speaks to nothing that is taken."""
    free = [
        each
        for each in listed
        if not taken & set(each.touches) and (not each.people or study.people in each.people)
    ]
    return free[int(rng.integers(len(free)))]


def _modes(kind: str) -> list[str]:
    modes = ["none", "first", "fits", "apart", "first and apart"]
    return [*modes, "last"] if kind in _LAST_ALONE else modes


def _texts(wording: Wording, mode: str) -> tuple[str, ...]:
    return {
        "none": (),
        "flaw": wording.parts,
        "first": wording.parts[:1],
        "last": wording.parts[-1:],
        "fits": (*wording.parts[:-1], wording.fits),
        "apart": (wording.apart,),
        "first and apart": (wording.parts[0], wording.apart),
    }[mode]


def _base_marks(study: Study) -> list[str]:
    """Words of the paper itself that say the same of the sample as the first part does."""
    return [f"between {study.ages[0]} and {study.ages[1]}", f"{study.size} {study.people}"]


def _insert(rng: np.random.Generator, draft: Draft, text: str) -> str:
    """Put a passage into its section, and return words to find it by."""
    place, _, words = text.partition(": ")
    if place.endswith(" table"):
        caption, *rows = (row.strip() for row in words.split("|"))
        cells = [[cell.strip() for cell in row.split(",")] for row in rows]
        draft.grids.append(Grid(caption, cells[0], cells[1:], place.removesuffix(" table")))
        return caption
    if place == "Abstract":
        draft.abstract[0] += f" {words}"
        return _mark(words)
    paragraphs = dict(draft.sections)[place]
    if rng.random() < 0.5:
        paragraphs.insert(int(rng.integers(1, len(paragraphs) + 1)), words)
    else:
        paragraphs[int(rng.integers(len(paragraphs)))] += f" {words}"
    return _mark(words)


def _mark(words: str) -> str:
    """The longest piece without marks of citations, which each format prints in its own way."""
    return max(re.split(r"\{[^{}]*\}", words), key=len).strip(" .")


def _nobody_left(draft: Draft) -> None:
    """Let the table of reasons speak of something else than leaving the study."""
    draft.grids[2].caption = "Reasons for declining the invitation."
    paragraphs = dict(draft.sections)["Results"]
    for number, paragraph in enumerate(paragraphs):
        paragraphs[number] = paragraph.replace("Why people left is", "Why people declined is")


def _slots(rng: np.random.Generator, study: Study) -> dict[str, str]:
    out = int(rng.integers(3, 9))
    numbers = {
        "size": study.size,
        "k": out,
        "more": study.size + out,
        "wrong": study.size + out + int(rng.integers(2, 6)),
        "lost": out + int(rng.integers(2, 5)),
        "low": study.ages[0],
        "high": study.ages[1],
    }
    slots = {name: str(number) for name, number in numbers.items()}
    for name, number in numbers.items():
        slots[f"{name}_w"] = in_words(number)
        slots[f"{name.capitalize()}_w"] = in_words(number).capitalize()
    return slots | {
        "treatment": study.treatment,
        "subject": study.subject,
        "measure": study.measure,
        "trait": next(each for each in MEASURES if each not in (study.measure, study.check)),
    }


def _filled(text: str, slots: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: slots[match[1]], text)


# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on


def in_words(number: int) -> str:
    """A number under 200 in words.

    Example:
        >>> in_words(107), in_words(64)
        ('one hundred and seven', 'sixty-four')
    """
    if number >= 100:
        rest = number - 100
        return "one hundred" + (f" and {in_words(rest)}" if rest else "")
    if number < 20:
        return _SMALL[number]
    rest = number % 10
    return _TENS[number // 10 - 2] + (f"-{_SMALL[rest]}" if rest else "")
