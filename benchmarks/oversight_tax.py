"""What oversight costs and what it buys: reviews as trees against one direct judgment.

Papers of known truth are reviewed by deterministic checks, against the one check that does best
alone on other papers. Parcels of the village are judged sentence by sentence by a small model,
against the same model's judgment of the whole. Passing everything is the third to compare with.
"""

import os
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from benchmarks.debate_rows import wide_table
from benchmarks.debate_schools import schooled, schooling
from benchmarks.debate_village import VILLAGE, draw_work
from benchmarks.rows import Row, estimated, show
from benchmarks.synthetic_papers import KINDS, STATISTICS_KINDS, make_paper
from plumbrule.oversight import (
    Case,
    ModelJudge,
    Reliability,
    Report,
    Review,
    Rule,
    Span,
    Specialist,
    Task,
    Tax,
    TaxTrial,
    alignment_tax,
    ask,
    overrule,
    review,
    trial_of,
)
from plumbrule.oversight.asking import Assignment
from plumbrule.oversight.papers import Material, flaws_in, read_material, review_paper, tools
from plumbrule.records import Estimate
from plumbrule.statistics import wilson
from plumbrule.store import derive_seed

Made = TypeVar("Made")

CHECKS = ("citations", "statistics", "numbers", "instructions")
MINUTES_A_PAPER, MINUTES_A_REPLY = 5.0, 1.0
"""Assumed, not measured: what a person takes for one case that was left open."""


def papers(count: int, *, folder: Path, first: int) -> Iterator[tuple[Material, bool]]:
    """Papers with one flaw in every other one, all kinds equally often, in both formats."""
    kinds = (*KINDS, *STATISTICS_KINDS)
    for seed in range(first, first + count):
        sound = seed % 2 == 0
        made = make_paper(seed, flaws=() if sound else (kinds[seed // 2 % len(kinds)],))
        form, text = (".md", made.markdown) if seed % 4 < 2 else (".tex", made.latex)
        path = folder / f"paper-{seed}{form}"
        path.write_text(text, encoding="utf-8")
        yield read_material(path), sound


def best_check(count: int, folder: Path) -> str:
    """The check that is right most often by itself; on papers that nothing is measured on."""
    right = dict.fromkeys(CHECKS, 0)
    for material, sound in papers(count, folder=folder, first=10_000):
        for name in CHECKS:
            right[name] += alone(material, name).verdict == ("pass" if sound else "fail")
    return max(right, key=lambda name: right[name])


def alone(material: Material, name: str) -> Report:
    """One check of the whole paper, and no more."""
    [specialist] = [each for each in tools(material) if each.name == name]
    return direct(specialist, Task(id="paper", asks="Does it hold up?"), material.sources)


def direct(specialist: Specialist, task: Task, sources: Mapping[str, str]) -> Report:
    """The report of one specialist on a whole."""
    job = Assignment(review_id="direct", task_id=task.id, specialist=specialist.name)
    return ask(specialist, Case(task=task, sources=sources), job, timeout_seconds=None)


@dataclass(frozen=True)
class Timed(Generic[Made]):
    """What was made, and how long that took, with all that belongs to it."""

    made: Made
    seconds: float


def timed(make: Callable[[], Made]) -> Timed[Made]:
    """Time a review or a judgment from the material to the verdict, records included."""
    started = time.perf_counter()
    made = make()
    return Timed(made, time.perf_counter() - started)


def trial(number: int, sound: bool, done: Timed[Review], plain: Timed[Report]) -> TaxTrial:
    """A trial whose seconds are those on the clock."""
    made = trial_of(done.made, plain.made, id=str(number), sound=sound)
    return replace(
        made,
        review_cost=replace(made.review_cost, seconds=done.seconds),
        direct_cost=replace(made.direct_cost, seconds=plain.seconds),
    )


def paper_trials(count: int) -> dict[str, list[TaxTrial]]:
    """The same papers under a full review, one that a person finishes, and checks alone."""
    found: dict[str, list[TaxTrial]] = {"full": [], "finished": [], "checks": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        best = best_check(count // 4, folder)
        print(f"best check alone: {best}", flush=True)
        for number, (material, sound) in enumerate(papers(count, folder=folder, first=0)):
            plain = timed(partial(alone, material, best))
            out = folder / f"full-{number}"
            done = timed(partial(review_paper, material, folder=out, workers=1))
            found["full"].append(trial(number, sound, done, plain))
            finished = Timed(_finish(done.made, out), done.seconds)
            found["finished"].append(trial(number, sound, finished, plain))
            checked = timed(partial(_checks, material, folder / f"checks-{number}"))
            found["checks"].append(trial(number, sound, checked, plain))
    return found


def _finish(done: Review, folder: Path) -> Review:
    """A person reads the reports where a review was left open, and decides by them alone.

    A paper of which any check told a flaw, however small, is failed, any other passed. One who
    read the paper too would do more, in more minutes.
    """
    if done.verdict.outcome in ("pass", "fail"):
        return done
    told = [flaw for node in done.root.walk() for each in node.current for flaw in flaws_in(each)]
    return overrule(
        folder, done.root.task.id, "fail" if told else "pass", person="reader",
        reason=f"The checks told {len(told)} flaws.", human_minutes=MINUTES_A_PAPER,
    )  # fmt: skip


def _checks(material: Material, folder: Path) -> Review:
    """A tree of the checks that need no judgment, and only their dimensions."""

    def parts(task: Task, sources: Mapping[str, str]) -> Sequence[Task]:
        del sources
        if task.id != "paper":
            return ()
        return [
            Task(
                id=f"paper/{name}",
                asks=f"Are the {name} in order?",
                dimensions=(name,),
                specialists=(name,),
            )
            for name in CHECKS
        ]

    asked = [each for each in tools(material) if each.name in CHECKS]
    return review(
        Task(id="paper", asks="Do citations, numbers and statistics hold up?"), material.sources,
        asked, folder=folder, decompose=parts, dimensions=CHECKS, workers=1,
    )  # fmt: skip


@dataclass(frozen=True)
class VillageTrials:
    """Trials by kind of oversight, and how often their judge was right on other works."""

    trials: dict[str, list[TaxTrial]]
    rates: dict[str, Estimate]


def village_trials(size: str, count: int, *, quick: bool) -> VillageTrials:
    """Works judged whole and sentence by sentence by one small model; then finished by a person."""
    model = schooled(schooling(size, "judge", "parcels", seed=0, quick=quick))
    return trials_with(ModelJudge(name="judge", judge=model, wording=VILLAGE), count)


def trials_with(judge: Specialist, count: int) -> VillageTrials:
    """The same by any judge. One who is not told from one that is never right moves no odds."""
    rates = _rates(judge, count)
    reliability = _reliability(rates)
    rule = Rule(reliabilities={"judge": reliability} if reliability else {})
    rng = np.random.default_rng(derive_seed(0, "tax"))
    found: dict[str, list[TaxTrial]] = {"sentences": [], "finished": []}
    whole = Task(id="work", asks="Is it so?")
    with tempfile.TemporaryDirectory() as name:
        for number in range(count):
            work = draw_work("parcels", rng, held_out=True)
            sources = {"work": work.text}
            plain = timed(partial(direct, judge, whole, sources))
            out = Path(name) / str(number)
            done = timed(
                partial(
                    review, whole, sources, [judge], folder=out, decompose=_sentences, rule=rule,
                    workers=1,
                )
            )  # fmt: skip
            found["sentences"].append(trial(number, work.sound, done, plain))
            finished = done.made
            if finished.verdict.outcome not in ("pass", "fail"):
                finished = overrule(
                    out, whole.id, "pass" if work.sound else "fail", person="reader",
                    reason="Read against the rule.", human_minutes=MINUTES_A_REPLY,
                )  # fmt: skip
            found["finished"].append(
                trial(number, work.sound, Timed(finished, done.seconds), plain)
            )
    return VillageTrials(found, rates)


def _rates(judge: Specialist, count: int) -> dict[str, Estimate]:
    """How often the judge is right on single parcels, other than those of the trials."""
    rng = np.random.default_rng(derive_seed(0, "reliability"))
    works = [draw_work("parcel", rng, held_out=True) for _ in range(count)]
    verdicts = [judge.check(work.case).verdict for work in works]
    rates = {}
    for what, sound, wanted in (("flawed", False, "fail"), ("sound", True, "pass")):
        own = [
            verdict == wanted
            for work, verdict in zip(works, verdicts, strict=True)
            if work.sound == sound
        ]
        rates[what] = wilson(sum(own), len(own), unit="share")
    return rates


def _reliability(rates: Mapping[str, Estimate]) -> Reliability | None:
    """The lower ends of the intervals, none of which is ever 1; None where one of them is 0."""
    sensitivity, specificity = rates["flawed"].low, rates["sound"].low
    if min(sensitivity, specificity) <= 0:
        return None
    return Reliability(sensitivity=sensitivity, specificity=specificity)


def reliability_rows(name: str, rates: Mapping[str, Estimate]) -> list[Row]:
    """What the judge's reports were weighed with; None with the reason where it has no weight."""
    known = _reliability(rates) is not None
    useless = " and ".join(what for what, rate in rates.items() if rate.low <= 0)
    return [
        Row(
            measure=f"{name}: least share right on {what} single works", target="",
            value=rate.low if known else None, low=None, high=None,
            unit="share" if known else f"undefined: it may be right on no {useless} work",
            n=rate.n, met=None, seeds=[0],
        )
        for what, rate in rates.items()
    ]  # fmt: skip


def _sentences(task: Task, sources: Mapping[str, str]) -> Sequence[Task]:
    """Every sentence of the work as a part."""
    if task.id != "work":
        return ()
    parts, at = [], 0
    for number, sentence in enumerate(sources["work"].split(". ")):
        end = min(at + len(sentence) + 1, len(sources["work"]))
        parts.append(
            Task(
                id=f"work/{number}",
                asks="Is it so?",
                spans=(Span(source="work", start=at, end=end),),
                specialists=("judge",),
            )
        )
        at = end + 1
    return parts


def tax_rows(name: str, trials: Sequence[TaxTrial]) -> list[Row]:
    """One tax as rows."""
    tax = alignment_tax(trials)
    made = [
        estimated(f"{name}: right with review", tax.reviewed, unit="share"),
        _plain(f"{name}: right with review, undecided counted as right", tax.reviewed_best, tax),
        estimated(f"{name}: right with one direct judgment", tax.direct, unit="share"),
        estimated(f"{name}: right without oversight", tax.unseen, unit="share"),
        estimated(f"{name}: gained over direct judgment", tax.over_direct, unit="share"),
        estimated(f"{name}: gained over no oversight", tax.over_none, unit="share"),
        _plain(f"{name}: undecided", tax.undecided, tax, unit="reviews"),
        _plain(f"{name}: undecided, direct", tax.undecided_direct, tax, unit="judgments"),
    ]
    price = tax.per_right_answer
    for kind, unit in (
        ("seconds", "seconds"),
        ("calls", "calls of a model"),
        ("tokens", "tokens"),
        ("human_minutes", "human minutes"),
    ):
        made.append(_plain(f"{name}: extra {unit} a review", tax.per_review[kind], tax, unit=unit))
        made.append(
            _plain(
                f"{name}: extra {unit} for one more right answer",
                None if price is None else price[kind],
                tax,
                unit=unit if price else f"undefined: {tax.reason}",
            )
        )
    return made


def tables(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Tables for the page: what was bought, and what it cost."""
    bought = [
        "right with review",
        "right with one direct judgment",
        "right without oversight",
        "gained over direct judgment",
        "gained over no oversight",
        "undecided",
        "undecided, direct",
    ]
    units = ("seconds", "calls of a model", "tokens", "human minutes")
    return {
        "tax_bought": wide_table(rows, bought, first="work, oversight"),
        "tax_cost": wide_table(
            rows,
            [
                f"extra {unit} {of}"
                for of in ("a review", "for one more right answer")
                for unit in units
            ],
            first="work, oversight",
        ),
    }


def _plain(measure: str, value: float | None, tax: Tax, *, unit: str = "share") -> Row:
    return Row(
        measure=measure, target="", value=value, low=None, high=None, unit=unit, n=tax.trials,
        met=None, seeds=[0],
    )  # fmt: skip


def main() -> None:
    """Print the table, and write it where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    found = {f"papers, {name}": made for name, made in paper_trials(
        12 if arguments.quick else 60
    ).items()}  # fmt: skip
    weights = []
    for size in ("pico", "nano"):
        made = village_trials(size, 30 if arguments.quick else 150, quick=arguments.quick)
        found |= {f"parcels by {size}, {name}": each for name, each in made.trials.items()}
        weights += reliability_rows(f"parcels by {size}", made.rates)
    rows = [row for name, trials in found.items() for row in tax_rows(name, trials)] + weights
    show("The alignment tax", rows, arguments.json)


if __name__ == "__main__":
    main()
