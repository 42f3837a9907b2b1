"""A synthetic paper, put together from a made-up study, words and flaws."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.synthetic_papers.flaws import KINDS, PLANTERS, STATISTICS_KINDS, Making, PlantedFlaw
from benchmarks.synthetic_papers.study import Study, make_study, percent
from benchmarks.synthetic_papers.text import Grid, PaperDraft, render_latex, render_markdown
from benchmarks.synthetic_papers.words import CitedWork, filler, make_works
from plumbrule.errors import ConfigError
from plumbrule.records import strict
from plumbrule.store import derive_seed

WORDS_A_PAGE = 450


@strict
@dataclass(frozen=True, kw_only=True)
class SyntheticPaper:
    """One paper in two formats, and what is wrong with it."""

    seed: int
    markdown: str
    latex: str
    truth: tuple[PlantedFlaw, ...]


def make_paper(seed: int, *, flaws: Sequence[str] = (), pages: int = 6) -> SyntheticPaper:
    """Write a paper about a made-up study.

    Args:
        seed: Decides everything but the flaws: the same seed without flaws is the clean twin.
        flaws: Kinds to plant, each at most once, out of `KINDS` and `STATISTICS_KINDS`.
        pages: Length, at about 450 words a page; at least 3.

    Returns:
        The paper as Markdown and as LaTeX with its list of references inside, and the truth.

    Raises:
        ConfigError: A kind is unknown or named twice, or `pages` is under 3.
    """
    known = (*KINDS, *STATISTICS_KINDS)
    if set(flaws) - set(known) or len(set(flaws)) < len(flaws):
        raise ConfigError(
            f"flaws must be different kinds out of {', '.join(known)}, got {', '.join(flaws)}"
        )
    if pages < 3:
        raise ConfigError(f"pages must be at least 3, got {pages}")
    rng = np.random.default_rng(derive_seed(seed, "paper"))
    study = make_study(rng)
    works = make_works(rng, min(60, 14 + pages))
    draft = _write(rng, study, works, pages)
    making = Making(np.random.default_rng(derive_seed(seed, "flaws")), study, draft)
    for kind in flaws:
        PLANTERS[kind](making)
    return SyntheticPaper(
        seed=seed,
        markdown=render_markdown(draft),
        latex=render_latex(draft),
        truth=tuple(making.truth),
    )


def _write(
    rng: np.random.Generator, study: Study, works: list[CitedWork], pages: int
) -> PaperDraft:
    s, (first, second) = study, study.arms
    share = [percent(each, arm) for each, arm in zip(s.improved, s.arms, strict=True)]
    wording = int(rng.integers(3))
    sample = (
        f"We studied {s.size} {s.people} ({s.women} women and {s.men} men).",
        f"The sample consisted of {s.size} {s.people}, {s.women} women and {s.men} men.",
        f"A total of {s.size} {s.people} took part. Of these, {s.women} were women and {s.men} "
        f"were men.",
    )[wording]
    responders = (
        f"In the treatment group {s.improved[0]} of {first} {s.people} ({share[0]}%) improved "
        f"on {s.measure}",
        f"On {s.measure}, {share[0]}% ({s.improved[0]}/{first}) of the treatment group improved",
        f"Of the {first} {s.people} in treatment, {s.improved[0]} ({share[0]}%) improved on "
        f"{s.measure}",
    )[wording]
    abstract = (
        f"Does {s.treatment} help with {s.subject}? We tested this with {s.size} {s.people} in two "
        f"groups. The treatment group reached a mean {s.measure} score of {s.means[0][0]} "
        f"points on "
        f"a scale from 1 to 7. In the treatment group {share[0]}% improved on {s.measure}. We "
        f"discuss "
        "what this means."
    )
    cited = list(range(1, len(works)))
    intro = [
        f"{{N:0}} first asked whether {s.treatment} changes {s.subject}.",
        "Others followed {P:" + ",".join(map(str, cited[: len(cited) // 2])) + "}. "
        "Some disagreed {P:" + ",".join(map(str, cited[len(cited) // 2 :])) + "}.",
    ]
    method = [
        f"{sample} They were aged between {s.ages[0]} and {s.ages[1]} years. There "
        f"were {first} in "
        f"the treatment group and {second} in the control group. {{T:0}} shows their schooling.",
    ]
    results = [
        f"Answers were whole numbers from 1 to 7. The treatment group (*n* = {first}, *M* = "
        f"{s.means[0][0]}, *SD* = {s.means[0][1]}) "
        f"scored "
        f"differently from the control group (*n* = {second}, *M* = {s.means[1][0]}, *SD* = "
        f"{s.means[1][1]}) on {s.measure}, {s.test}, *p* {s.p_value} ({{T:1}}). In the "
        f"treatment group "
        f"the mean {s.measure} score was {s.means[0][0]} points.",
        f"{responders}; in the control group it was {s.improved[1]} of {second} ({share[1]}%), "
        f"{s.chi}, *p* {s.chi_p}. In the treatment group {share[0]}% improved on {s.measure}.",
        f"Answers were whole numbers from 1 to 7 here too. On {s.check}, the treatment group "
        f"(*n* = {first}, *M* = {s.checks[0][0]}, *SD* = "
        f"{s.checks[0][1]}) was close to the control group (*n* = {second}, *M* = "
        f"{s.checks[1][0]}, "
        f"*SD* = {s.checks[1][1]}). The slope was {s.slope[0]}, 95% CI [{s.slope[1]}, "
        f"{s.slope[2]}].",
        "Why people left is shown in {T:2}.",
    ]
    draft = PaperDraft(
        title=f"{s.treatment.capitalize()} and {s.subject}: a study of two groups",
        abstract=[abstract],
        sections=[
            ("Introduction", intro),
            ("Method", method),
            ("Results", results),
            ("Discussion", []),
        ],
        grids=_grids(study),
        works=list(works),
        listed=list(range(len(works))),
        numeric=bool(rng.integers(2)),
    )
    _fill(rng, draft, pages)
    return draft


def _grids(study: Study) -> list[Grid]:
    first, second = study.arms
    size = first + second
    schooling = [
        [name, str(a), str(b), str(a + b), percent(a + b, size)] for name, a, b in study.grades
    ]
    total = ["Total", str(first), str(second), str(size), "100.0"]
    scores = [
        [name, str(n), mean, sd]
        for name, n, (mean, sd) in zip(
            ("Treatment", "Control"), study.arms, study.means, strict=True
        )
    ]
    heads = ["School", "Treatment", "Control", "Total", "%"]
    reasons = [*map(list, study.reasons), ["Total", "100.0"]]
    return [
        Grid("Schooling by group.", heads, [*schooling, total], "Method"),
        Grid(f"Scores of {study.measure}.", ["Group", "n", "Mean score", "SD"], scores, "Results"),
        Grid("Reasons for leaving.", ["Reason", "Share (%)"], reasons, "Results"),
    ]


def _fill(rng: np.random.Generator, draft: PaperDraft, pages: int) -> None:
    """Bring a paper to its length with paragraphs in every section."""
    words = 900  # about what stands there already, with tables and references
    cited = list(range(1, len(draft.works)))
    number = 0
    while words < pages * WORDS_A_PAGE:
        paragraph = filler(rng, int(rng.integers(4, 8)), cited)
        _, paragraphs = draft.sections[(0, 3, 0, 3, 1)[number % 5]]
        paragraphs.append(paragraph)
        words += len(paragraph.split())
        number += 1
    draft.sections[3][1].append("In sum, the evidence is mixed, and more of it is needed.")
