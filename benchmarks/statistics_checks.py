"""Checks of reported statistics against data whose results are known to be reported correctly.

Every data set is drawn, tested by scipy's own tests (none of the code that is judged), rounded to
two or three decimals and written into a sentence in one of several notations. Whatever is flagged
in such a text is a false alarm. For the planted errors one number of the same text is changed; a
change of a mean or a deviation may land on another possible one, and counts as missed then.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.rows import Row, show, single
from plumbrule.oversight.papers.statistics import check_statistics

DATA_SETS, PLANTED = 3_000, 200
Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A report in words, and how many findings must come from checking it."""

    text: str
    checks: int


def _short(value: float, decimals: int, rng: Rng) -> str:
    """A number below 1, with or without its leading zero."""
    text = f"{value:.{decimals}f}"
    return text.replace("0.", ".", 1) if rng.random() < 0.7 and abs(value) < 1 else text


def _p(p: float, rng: Rng) -> str:
    """A true statement about p in one of the usual forms."""
    form, decimals = rng.integers(4), int(rng.integers(2, 4))
    if p < 0.001:
        return "p < .001" if form else "p < .01"
    if form == 0 and p <= 0.05:
        return "p < .05" if p < 0.05 else "p = .050"
    if form == 0:
        return "ns" if rng.random() < 0.5 else "p > .05"
    if form == 1 and p < 0.01:
        return "p < .01"
    text = f"{p:.{decimals}f}"
    return f"p = {_short(p, 3, rng)}" if float(text) == 0 else f"p = {_short(p, decimals, rng)}"


def _style(text: str, rng: Rng) -> str:
    """The same report in plain text, Markdown, LaTeX or typeset Unicode."""
    form = rng.integers(5)
    if form == 1:
        for letter in ("t", "F", "r", "z", "p", "Q"):
            for after in (" ", "("):
                text = text.replace(f" {letter}{after}", f" *{letter}*{after}")
    if form == 2:
        text = text.replace("χ2", r"\chi^2").replace(" < ", r" \lt ")
        text = ", ".join(f"${part}$" for part in text.split(", p "))
        text = text.replace("$, $", "$, $p ")
    if form == 3:
        text = text.replace("-", "\u2212").replace(" = ", "\u2009=\u2009").replace("χ2", "χ²")
    return text.replace(" = ", "=") if form == 4 else text


def _test(name: str, statistic: float, p: float, rng: Rng, decimals: int | None = None) -> str:
    digits = int(rng.integers(2, 4)) if decimals is None else decimals
    shown = _short(statistic, digits, rng) if name[0] == "r" else f"{statistic:.{digits}f}"
    return _style(f"{name} = {shown}, {_p(p, rng)}", rng)


def t_test(rng: Rng) -> Sentence:
    """Two independent groups."""
    first, second = (int(each) for each in rng.integers(5, 60, 2))
    a, b = rng.normal(size=first), rng.normal(rng.uniform(0, 1), size=second)
    seen = stats.ttest_ind(a, b)
    report = _test(f"t({first + second - 2})", seen.statistic, seen.pvalue, rng)
    told = f"An independent-samples test (n = {first} and n = {second}) gave {report}."
    return Sentence(text=told, checks=2)


def paired_one_sided(rng: Rng) -> Sentence:
    """Pairs, one-sided and said so."""
    n = int(rng.integers(8, 60))
    seen = stats.ttest_1samp(rng.normal(0.3, size=n), 0, alternative="greater")
    p = min(seen.pvalue, 1 - seen.pvalue)
    report = _test(f"t({n - 1})", seen.statistic, p, rng)
    return Sentence(text=f"For all N = {n} pairs, one-tailed, {report} was found.", checks=1)


def anova(rng: Rng) -> Sentence:
    """One-way analysis of variance."""
    groups, n = int(rng.integers(2, 6)), int(rng.integers(5, 30))
    seen = stats.f_oneway(*[rng.normal(rng.uniform(0, 0.8), size=n) for _ in range(groups)])
    words = {2: "two", 3: "three", 4: "four", 5: "five"}[groups]
    report = _test(f"F({groups - 1}, {groups * n - groups})", seen.statistic, seen.pvalue, rng)
    told = f"We assigned {groups * n} participants to {words} groups. The one-way test: {report}."
    return Sentence(text=told, checks=2)


def chi_square(rng: Rng) -> Sentence:
    """A contingency table."""
    table = rng.integers(5, 40, (2, int(rng.integers(2, 5))))
    seen = stats.chi2_contingency(table, correction=False)
    report = _test(f"χ2({seen.dof}, N = {table.sum()})", seen.statistic, seen.pvalue, rng)
    return Sentence(text=f"Answers depended on age, {report}.", checks=1)


def correlation(rng: Rng) -> Sentence:
    """Pearson's correlation."""
    n = int(rng.integers(5, 120))
    a = rng.normal(size=n)
    seen = stats.pearsonr(a, rng.uniform(-1, 1) * a + rng.normal(size=n))
    report = _test(f"r({n - 2})", seen.statistic, seen.pvalue, rng)
    return Sentence(text=f"Across participants (N = {n}), both went together, {report}.", checks=2)


def z_test(rng: Rng) -> Sentence:
    """Two proportions."""
    n = int(rng.integers(30, 200))
    a, b = rng.binomial(n, 0.4) / n, rng.binomial(n, 0.5) / n
    pooled = (a + b) / 2
    z = (a - b) / np.sqrt(2 * pooled * (1 - pooled) / n)
    return Sentence(
        text=f"Shares differed, {_test('z', z, 2 * stats.norm.sf(abs(z)), rng)}.", checks=1
    )


def heterogeneity(rng: Rng) -> Sentence:
    """Cochran's Q of a meta-analysis."""
    k = int(rng.integers(3, 25))
    weights = 1 / rng.uniform(0.01, 0.1, k)
    effects = rng.normal(0.3, np.sqrt(1 / weights) * rng.uniform(0.8, 1.5))
    q = float(weights @ (effects - np.average(effects, weights=weights)) ** 2)
    name = rng.choice(["Q", "Q_B", "Q-within"])
    return Sentence(
        text=f"Studies: {_test(f'{name}({k - 1})', q, stats.chi2.sf(q, k - 1), rng)}.", checks=1
    )


def ratings(rng: Rng) -> Sentence:
    """Mean, deviation, standard error and interval of ratings in whole numbers."""
    n, items, digits = int(rng.integers(5, 90)), int(rng.integers(1, 4)), int(rng.integers(2, 4))
    data = rng.integers(1, 8, (n, items)).mean(1)
    mean, sd, se = data.mean(), data.std(ddof=1), stats.sem(data)
    low, high = stats.t.interval(0.95, n - 1, mean, se)
    words = "" if items == 1 else f" on {items} items"
    told = (
        f"Ratings{words} on a 7-point Likert scale (n = {n}): M = {mean:.{digits}f}, "
        f"SD = {sd:.{digits}f}, SE = {se:.{digits}f}, "
        f"95% CI [{low:.{digits}f}, {high:.{digits}f}]."
    )
    return Sentence(text=told, checks=4)


def binary(rng: Rng) -> Sentence:
    """Mean and deviation of zeros and ones, and the share in per cent."""
    n = int(rng.integers(5, 300))
    data = rng.binomial(1, rng.uniform(0.1, 0.9), n)
    told = (
        f"The binary answer (n = {n}) had M = {data.mean():.2f}, SD = {data.std(ddof=1):.2f}. "
        f"Thus {data.sum()} of {n} ({100 * data.mean():.1f}%) agreed."
    )
    return Sentence(text=told, checks=2)


def slope(rng: Rng) -> Sentence:
    """Slope, standard error and t of a regression."""
    n = int(rng.integers(10, 100))
    x = rng.normal(size=n)
    seen = stats.linregress(x, 0.4 * x + rng.normal(size=n))
    ratio = seen.slope / seen.stderr
    report = _test(f"t({n - 2})", ratio, seen.pvalue, rng, 2)
    report = report.replace("$", "")
    told = f"Slope: b = {seen.slope:.2f}, SE = {seen.stderr:.2f}, {report}."
    return Sentence(text=told, checks=2)


KINDS: Mapping[str, Callable[[Rng], Sentence]] = {
    each.__name__: each
    for each in (
        *(t_test, paired_one_sided, anova, chi_square, correlation),
        *(z_test, heterogeneity, ratings, binary, slope),
    )
}


def _off(value: float, rng: Rng, least: float, most: float) -> float:
    return value + float(rng.choice([-1, 1]) * rng.uniform(least, most))


def _t(rng: Rng) -> tuple[int, float, float]:
    df, t = int(rng.integers(10, 80)), float(rng.uniform(0.5, 3.0))
    return df, t, float(2 * stats.t.sf(t, df))


def wrong_p(rng: Rng) -> str:
    """An exact p that is off by 0.02 to 0.2."""
    df, t, p = _t(rng)
    other = p + rng.uniform(0.02, 0.2) if p < 0.3 else p - rng.uniform(0.02, 0.2)
    return f"We found t({df}) = {t:.2f}, p = {other:.3f}."


def wrong_decision(rng: Rng) -> str:
    """A p below .05 claimed where it is above .07."""
    df, t = int(rng.integers(10, 80)), float(rng.uniform(0.5, 1.7))
    return f"We found t({df}) = {t:.2f}, p {rng.choice(['< .05', '= .03', '= .041'])}."


def zero_p(rng: Rng) -> str:
    """A p of .000, as a program prints it."""
    return f"We found F(2, {rng.integers(20, 90)}) = {rng.uniform(12, 30):.2f}, p = .000."


def one_sided_unsaid(rng: Rng) -> str:
    """Half the p, with no word of a one-sided test."""
    df, t = int(rng.integers(10, 80)), float(rng.uniform(1.7, 1.9))
    return f"We found t({df}) = {t:.2f}, p = {stats.t.sf(t, df):.3f}."


def more_freedom(rng: Rng) -> str:
    """More degrees of freedom than people."""
    n = int(rng.integers(20, 60))
    df = n + int(rng.integers(0, 30))
    t = float(rng.uniform(0.5, 3.0))
    p = max(2 * stats.t.sf(t, df), 0.001)
    return f"In independent samples of {n} participants, t({df}) = {t:.2f}, p = {p:.3f}."


def impossible_correlation(rng: Rng) -> str:
    """A correlation above 1."""
    return f"Both were related, r({rng.integers(20, 60)}) = {rng.uniform(1.01, 2):.2f}, p < .001."


def wrong_mean(rng: Rng) -> str:
    """A mean of whole numbers moved by up to 0.05."""
    n = int(rng.integers(8, 50))
    mean = _off(rng.integers(1, 8, n).mean(), rng, 0.01, 0.05)
    return f"Ratings on a 7-point Likert scale (n = {n}) had M = {mean:.2f}."


def wrong_deviation(rng: Rng) -> str:
    """A deviation of whole numbers moved by up to 0.5."""
    n = int(rng.integers(8, 50))
    data = rng.integers(1, 8, n)
    sd = _off(data.std(ddof=1), rng, 0.01, 0.5)
    return f"Likert ratings (n = {n}) had M = {data.mean():.2f}, SD = {sd:.2f}."


def wrong_binary_deviation(rng: Rng) -> str:
    """A deviation of zeros and ones moved by 0.03 to 0.1."""
    n = int(rng.integers(40, 300))
    share = rng.binomial(n, rng.uniform(0.2, 0.8)) / n
    sd = _off(np.sqrt(share * (1 - share) * n / (n - 1)), rng, 0.03, 0.1)
    return f"The binary answer (n = {n}) had M = {share:.2f}, SD = {sd:.2f}."


def wrong_percentage(rng: Rng) -> str:
    """A percentage moved by 0.2 to 10 points."""
    n = int(rng.integers(20, 300))
    part = int(rng.integers(n // 4, n // 2))
    return f"In all {part} of {n} ({_off(100 * part / n, rng, 0.2, 10):.1f}%) agreed."


def wrong_interval(rng: Rng) -> str:
    """An interval beside its estimate."""
    low = float(rng.uniform(0.5, 1.0))
    width = float(rng.uniform(0.1, 0.5))
    return f"The effect was d = {low - 0.05 - width:.2f}, 95% CI [{low:.2f}, {low + width:.2f}]."


def wrong_error(rng: Rng) -> str:
    """A standard error a half larger than its deviation gives."""
    n, sd = int(rng.integers(10, 90)), float(rng.uniform(2, 9))
    return f"Speed (n = {n}): M = 31.25, SD = {sd:.2f}, SE = {1.5 * sd / np.sqrt(n):.2f}."


PLANTS: Mapping[str, tuple[Callable[[Rng], str], float | None]] = {
    "a p-value off by at least 0.02": (wrong_p, 0.95),
    "a false claim of significance": (wrong_decision, 0.95),
    "p = .000": (zero_p, 0.95),
    "half the p with no word of one side": (one_sided_unsaid, 0.95),
    "more degrees of freedom than people": (more_freedom, 0.95),
    "a correlation above 1": (impossible_correlation, 0.95),
    "a mean of whole numbers moved by 0.01 to 0.05": (wrong_mean, None),
    "a deviation of whole numbers moved by 0.01 to 0.5": (wrong_deviation, None),
    "a deviation of zeros and ones moved by 0.03 to 0.1": (wrong_binary_deviation, 0.95),
    "a percentage moved by 0.2 to 10 points": (wrong_percentage, 0.95),
    "an interval beside its estimate": (wrong_interval, 0.95),
    "a standard error half too large": (wrong_error, 0.95),
}


@dataclass(frozen=True, kw_only=True)
class CleanRun:
    """What checking correct reports gave."""

    false_alarms: tuple[str, ...]
    """Sentences in which something was flagged, with the reason."""

    planned: int
    """Findings that should come from checking."""

    checked: int


def clean_run(count: int, *, seed: int) -> CleanRun:
    """Check correct reports, all kinds in turn."""
    alarms, planned, checked = [], 0, 0
    for place in range(count):
        rng = np.random.default_rng([seed, place])
        made = list(KINDS.values())[place % len(KINDS)](rng)
        found = check_statistics(made.text)
        alarms += [f"{made.text} -> {each.reason}" for each in found if each.flagged]
        planned += made.checks
        seen = sum(each.verdict != "not checked" for each in found)
        checked += min(made.checks, seen)
    return CleanRun(false_alarms=tuple(alarms), planned=planned, checked=checked)


def recall(plant: Callable[[Rng], str], count: int, *, seed: int) -> float:
    """Share of planted errors that are flagged."""
    texts = [plant(np.random.default_rng([seed, 1, place])) for place in range(count)]
    return sum(any(f.flagged for f in check_statistics(text)) for text in texts) / count


def rows(*, quick: bool) -> list[Row]:
    """Check correct reports and planted errors.

    Args:
        quick: A tenth of the reports.
    """
    count, planted = (DATA_SETS // 10, PLANTED // 10) if quick else (DATA_SETS, PLANTED)
    seen = clean_run(count, seed=0)
    for each in seen.false_alarms[:10]:
        print(f"false alarm: {each}")
    table = [
        single(
            "false alarms on correctly reported data sets",
            len(seen.false_alarms),
            unit="findings",
            n=count,
            target="0",
            met=not seen.false_alarms,
        ),
        single(
            "planned checks that were made on them",
            seen.checked / seen.planned,
            unit="share",
            n=seen.planned,
            target=">= 0.99",
            met=seen.checked >= 0.99 * seen.planned,
        ),
    ]
    for name, (plant, least) in PLANTS.items():
        share = recall(plant, planted, seed=0)
        table.append(
            single(
                f"found: {name}",
                share,
                unit="recall",
                n=planted,
                target="" if least is None else f">= {least}",
                met=None if least is None else share >= least,
            )
        )
    return table


def main() -> None:
    """Run and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    show("Statistics checks", rows(quick=given.quick), given.json)


if __name__ == "__main__":
    main()
