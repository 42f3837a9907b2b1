"""A synthetic study: data are drawn, and every printed number is computed from them."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.synthetic_papers.words import MEASURES, PEOPLE, SUBJECTS, TREATMENTS


@dataclass
class Study:
    """What a paper prints of one study; a flaw changes one of these and nothing else."""

    people: str
    subject: str
    treatment: str
    measure: str
    check: str
    size: int
    women: int
    men: int
    arms: tuple[int, int]
    ages: tuple[int, int]
    means: list[tuple[str, str]]
    """Mean and standard deviation of each arm on the main measure, as printed."""

    checks: list[tuple[str, str]]
    """The same for the second measure, which is in the text alone."""

    test: str
    """t test of the main measure, as printed, without its p-value."""

    p_value: str
    improved: tuple[int, int]
    chi: str
    chi_p: str
    grades: list[tuple[str, int, int]]
    """Rows of a table of counts: name, first arm, second arm."""

    reasons: list[tuple[str, str]]
    """Rows of a table of shares: reason, percentage."""

    slope: tuple[str, str, str]
    """Estimate and its interval."""


def make_study(rng: np.random.Generator) -> Study:
    """Draw a study with 40 to 96 people in two arms, answering on a scale from 1 to 7."""
    first, second = int(rng.integers(20, 49)), int(rng.integers(20, 49))
    size = first + second
    women = int(rng.integers(size // 3, 2 * size // 3))
    main = [_answers(rng, first, 4.6), _answers(rng, second, 3.7)]
    check = [_answers(rng, first, 3.9), _answers(rng, second, 4.1)]
    t, p = stats.ttest_ind(main[0], main[1])
    improved = (int(rng.integers(first // 2, first - 2)), int(rng.integers(3, second // 2)))
    table = np.array([[improved[0], first - improved[0]], [improved[1], second - improved[1]]])
    chi = stats.chi2_contingency(table, correction=False)
    measures = rng.permutation(len(MEASURES))
    low = int(rng.integers(18, 25))
    slope = rng.uniform(0.3, 0.6)
    return Study(
        people=PEOPLE[int(rng.integers(len(PEOPLE)))],
        subject=SUBJECTS[int(rng.integers(len(SUBJECTS)))],
        treatment=TREATMENTS[int(rng.integers(len(TREATMENTS)))],
        measure=MEASURES[measures[0]],
        check=MEASURES[measures[1]],
        size=size,
        women=women,
        men=size - women,
        arms=(first, second),
        ages=(low, low + int(rng.integers(20, 50))),
        means=[_described(each) for each in main],
        checks=[_described(each) for each in check],
        test=f"*t*({size - 2}) = {t:.2f}",
        p_value=printed_p(float(p)),
        improved=improved,
        chi=f"*χ2*(1, *N* = {size}) = {chi.statistic:.2f}",
        chi_p=printed_p(float(chi.pvalue)),
        grades=_grades(rng, first, second),
        reasons=_reasons(rng),
        slope=(f"{slope:.2f}", f"{slope - rng.uniform(0.1, 0.2):.2f}", f"{slope + 0.17:.2f}"),
    )


def _answers(rng: np.random.Generator, count: int, center: float) -> np.ndarray:
    return np.clip(np.round(rng.normal(center, 1.3, size=count)), 1, 7)


def _described(answers: np.ndarray) -> tuple[str, str]:
    return f"{answers.mean():.2f}", f"{answers.std(ddof=1):.2f}"


def printed_p(p: float) -> str:
    """A p-value in APA style: three decimals without the zero, or `< .001`."""
    return "< .001" if p < 0.001 else "= " + f"{p:.3f}".removeprefix("0")


def _grades(rng: np.random.Generator, first: int, second: int) -> list[tuple[str, int, int]]:
    names = ("Primary school", "Secondary school", "Vocational", "University")
    columns = [rng.multinomial(size - 4, [0.2, 0.35, 0.2, 0.25]) + 1 for size in (first, second)]
    return [(name, int(a), int(b)) for name, a, b in zip(names, *columns, strict=True)]


def _reasons(rng: np.random.Generator) -> list[tuple[str, str]]:
    names = ("Lack of time", "Moved away", "Illness", "Lost interest", "Work")
    cut = np.sort(rng.choice(np.arange(30, 971), size=4, replace=False))
    tenths = np.diff([0, *cut, 1000])
    return [(name, f"{each / 10:.1f}") for name, each in zip(names, tenths, strict=True)]


def percent(part: int, whole: int) -> str:
    """A percentage with one decimal, rounded half up as papers do."""
    return f"{np.floor(1000 * part / whole + 0.5) / 10:.1f}"
