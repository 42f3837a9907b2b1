# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Words of synthetic papers: names, titles, topics, sentences that fill a page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NAMES = [
    "Smith",
    "Jones",
    "Müller",
    "Garcia",
    "Nuñez",
    "Tanaka",
    "Okafor",
    "Lindqvist",
    "Rossi",
    "Novak",
    "Kim",
    "Patel",
    "Haddad",
    "Silva",
    "Kowalski",
    "Dubois",
    "Schneider",
    "Nakamura",
    "Andersen",
    "Moreau",
    "Ivanova",
    "Petrov",
    "Fischer",
    "Lopez",
    "O'Neill",
    "Baker",
    "Hughes",
    "Larsen",
    "Weber",
    "Costa",
    "Mendes",
    "Sato",
    "Ito",
    "Chen",
    "Wang",
    "Nguyen",
    "Khan",
    "Rahman",
    "Ali",
    "Cohen",
    "Levi",
    "Katz",
    "Bauer",
    "Vogel",
    "Brandt",
    "Eriksen",
    "Holm",
    "Virtanen",
    "Laine",
    "Horvath",
    "Szabo",
    "Popescu",
    "Ionescu",
    "Dimitrov",
    "Greene",
    "Whitfield",
    "Carmichael",
    "Underwood",
    "Pemberton",
    "Ashworth",
    "Blackwood",
    "Thornbury",
    "Castellano",
    "Benedetti",
    "Fitzgerald",
    "Montgomery",
    "Abernathy",
    "Lockhart",
    "Winthrop",
    "Delacroix",
    "Rosenthal",
    "Steinberg",
    "Grünwald",
]
SUBJECTS = ("sleep", "memory", "attention", "reading", "pain", "mood", "exercise", "learning")
TREATMENTS = ("mindfulness", "light", "music", "gaming", "walking", "writing", "breathing")
MEASURES = ("recall", "alertness", "comfort", "fluency", "wellbeing", "stamina", "confidence")
PEOPLE = ("participants", "students", "adults", "patients", "volunteers")
JOURNALS = ("Journal of Habits", "Annals of Practice", "Cognition Letters", "Health Review")
_FORMS = (
    "Effects of {a} on {b} in daily life",
    "Why {a} matters for {b}",
    "A longitudinal study of {a} and {b}",
    "Does {a} change {b}? Evidence from {c} settings",
    "Rethinking {a}: {b} in {c} contexts",
    "Measuring {b} after {a}",
    "On the limits of {a} for {b} and {c}",
    "Individual differences in {a}, {b} and {c}",
)
_THINGS = [
    "sleep",
    "memory",
    "attention",
    "music",
    "light",
    "walking",
    "stress",
    "diet",
    "noise",
    "color",
    "touch",
    "rhythm",
    "speech",
    "vision",
    "planning",
    "trust",
    "sharing",
    "praise",
    "feedback",
    "rest",
    "practice",
    "habit",
    "context",
    "novelty",
    "reward",
    "effort",
    "mood",
    "warmth",
    "posture",
    "laughter",
    "curiosity",
    "patience",
    "boredom",
    "fatigue",
]
_SETTINGS = ("clinical", "rural", "urban", "school", "online", "family", "workplace", "laboratory")
_FILLER = (
    "Earlier work on {a} has mostly looked at {b} {cite}.",
    "In the last decade roughly {p}% of studies in this field used samples of fewer than {n} "
    "people {cite}.",
    "One account holds that {a} depends on {b}, while another stresses {c}.",
    "It is an open question whether {a} and {b} share a mechanism {cite}.",
    "The scale runs from 1 to 7, and ratings between 3 and 5 are common.",
    "Responses that took longer than {n} ms were kept, since slow answers can be valid.",
    "Critics have said that {a} is confounded with {b} {cite}; we return to this below.",
    "We accept that {a} cannot be separated from {b} in every setting.",
    "Reviewers of an earlier draft asked for more detail on {a}, which is given here.",
    "No single study can settle how {a} bears on {c}.",
    "Costs fell from {n} to {m} units over the same period, for reasons unrelated to {b}.",
    "The effect of {a} on {b} was 0.{p} standard deviations, 95% CI [0.0{d}, 0.9{d}], in a "
    "pooled analysis {cite}.",
    "Interviews suggested that {a} was welcome in {c} settings, and that {b} was not.",
    "A reader who is interested in {b} will find the full protocol in the supplement.",
    "Nothing in the design favors one view of {a} over the other.",
    "We therefore treat {b} as an outcome of its own rather than as a proxy for {c}.",
)


@dataclass(frozen=True)
class CitedWork:
    """A work that a synthetic paper cites."""

    key: str
    authors: tuple[tuple[str, str], ...]
    """Surname and initial."""

    year: int
    title: str
    journal: str
    identifier: str
    """As it is printed, such as `doi:10.1000/xyz`; empty for none."""

    def names(self) -> str:
        """As a sentence names the authors."""
        last = [name for name, _ in self.authors]
        if len(last) > 2:
            return f"{last[0]} et al."
        return " and ".join(last)

    def line(self) -> str:
        """As a list of references prints it, without key or number."""
        people = [f"{name}, {initial}." for name, initial in self.authors]
        joined = people[0] if len(people) == 1 else ", ".join(people[:-1]) + f", & {people[-1]}"
        end = f" {self.identifier}" if self.identifier else ""
        return (
            f"{joined} ({self.year}). {self.title}. {self.journal}, {len(self.title)}, 1–19.{end}"
        )


def make_works(rng: np.random.Generator, count: int) -> list[CitedWork]:
    """Draw works whose first authors all differ, so that each citation means one of them."""
    firsts = rng.permutation(len(NAMES))[:count]
    works, titles = [], set()
    for number, first in enumerate(firsts):
        others = rng.choice(len(NAMES), size=int(rng.integers(0, 4)), replace=False)
        names = [NAMES[first], *(NAMES[other] for other in others if other != first)]
        initials = [chr(65 + int(each)) for each in rng.integers(0, 26, size=len(names))]
        year = int(rng.integers(1985, 2024))
        title = _title(rng)
        while title in titles:
            title = _title(rng)
        titles.add(title)
        works.append(
            CitedWork(
                key=f"{NAMES[first].lower().replace(chr(39), '')}{year}".encode(
                    "ascii", "ignore"
                ).decode(),
                authors=tuple(zip(names, initials, strict=True)),
                year=year,
                title=title,
                journal=JOURNALS[int(rng.integers(len(JOURNALS)))],
                identifier=_identifier(rng, number, year),
            )
        )
    return works


def _title(rng: np.random.Generator) -> str:
    a, b, c = (_THINGS[i] for i in rng.choice(len(_THINGS), size=3, replace=False))
    form = _FORMS[int(rng.integers(len(_FORMS)))]
    setting = _SETTINGS[int(rng.integers(len(_SETTINGS)))]
    return form.format(a=a, b=b, c=setting if "{c} " in form else c)


def _identifier(rng: np.random.Generator, number: int, year: int) -> str:
    digits = [int(each) for each in rng.integers(0, 10, size=9)]
    if number % 5 == 3:
        return f"ISBN {isbn(digits)}"
    if number % 5 == 4:
        month = int(rng.integers(1, 13))
        return (
            f"arXiv:{max(15, year % 100) if year > 2014 else 18:02d}{month:02d}.{digits[0]}"
            f"{digits[1]}{digits[2]}{digits[3]}{digits[4]}"
        )
    suffix = "".join(map(str, digits[:6]))
    prefix = ("doi:", "https://doi.org/", "doi: ")[number % 3]
    return f"{prefix}10.{1000 + digits[7] * 100}/{('abc', 's', 'j.hab.')[number % 3]}{suffix}"


def isbn(digits: Sequence[int]) -> str:
    """An ISBN of 13 digits with its check digit, from nine digits."""
    body = [9, 7, 8, *digits]
    check = -sum((3 if i % 2 else 1) * digit for i, digit in enumerate(body)) % 10
    return (
        "978-" + "".join(map(str, digits[:1])) + "-" + "".join(map(str, digits[1:])) + f"-{check}"
    )


def filler(rng: np.random.Generator, sentences: int, works: Sequence[int]) -> str:
    """A paragraph that says little, with citations and harmless numbers.

    Args:
        rng: Draws the sentences.
        sentences: How many.
        works: Numbers of works that may be cited; used as marks `{P:3}`.
    """
    parts = []
    for number in rng.choice(len(_FILLER), size=sentences, replace=sentences > len(_FILLER)):
        a, b, c = (_THINGS[i] for i in rng.choice(len(_THINGS), size=3, replace=False))
        cited = rng.choice(len(works), size=min(len(works), int(rng.integers(1, 3))), replace=False)
        mark = "{P:" + ",".join(str(works[i]) for i in sorted(cited)) + "}"
        parts.append(
            _FILLER[number]
            .replace("{cite}", mark)
            .replace("{a}", a)
            .replace("{b}", b)
            .replace("{c}", c)
            .replace("{p}", str(rng.integers(11, 89)))
            .replace("{n}", str(rng.integers(60, 900)))
            .replace("{m}", str(rng.integers(20, 59)))
            .replace("{d}", str(rng.integers(1, 9)))
        )
    return " ".join(parts)
