"""What the comparison finds on real language, and how often it errs.

`python -m benchmarks.real_compare`. Parts: `organisms` (planted changes in a real model, found and
rightly said), `aa` (pairs in which nothing was planted), `naive` (prompts drawn by chance alone, at
equal texts), `rare` (the same on 1,600 prompts, for changes on two in a hundred or fewer), `time`
(1,000 prompts, alone), `exhaustive` (generate, cluster and test everything, on three organisms),
`judge` (Qwen2.5-Coder-0.5B reads the evidence, on four). Everything measured is kept, so that it
goes on after an interruption; organisms that are not built are not measured. Real models and
prompts are needed: see docs/real_ground.md.
"""

import argparse
import operator
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import organism_trials, real_ground, real_organisms, real_trials
from benchmarks.organism_trials import Clock
from benchmarks.real_catalog import ALL
from benchmarks.real_declared import Organism
from benchmarks.real_naming import Assessed, Claim, FreshPairs, assess
from benchmarks.rows import Row, estimated, show, single, spread, with_earlier
from plumbrule.behavior import CompareSettings, Comparison, compare_models
from plumbrule.behavior.wording import said
from plumbrule.models import Sampling
from plumbrule.records import Prompt, to_json
from plumbrule.statistics import clopper_pearson

POOL = 400
REPLY = Sampling(max_new_tokens=32)
FRESH_SEED = 1_000_003
"""Seed of the replies that findings are held against; no comparison uses it."""

SEEDS = (0,)
READ = 8
"""Fresh pairs that are kept with each finding for a reader."""

PARTS = ("organisms", "aa", "naive", "rare", "time", "exhaustive", "judge")
GUIDED = ("looking", "exploring", "trigger_share")
"""Settings of the guided comparison alone."""

RARE, COMMON = 0.02, 0.1
"""Shares of the pool that a change touches."""

AA_SEEDS = range(4)
AA_POOL = 200


def measured(
    organism: Organism, settings: CompareSettings, size: int, part: str, judge: str = ""
) -> Any:
    """One comparison of one organism with its base, held against the truth, and kept."""
    key: dict[str, Any] = {
        "name": f"{organism.name}-{settings.method}-{size}-{settings.seed}",
        "settings": to_json(settings),
        "size": size,
    }
    if settings.method == "exhaustive":  # it reads nothing of how the guided one spends its texts
        key["settings"] = {k: v for k, v in key["settings"].items() if k not in GUIDED}
    if judge:
        key["judge"] = judge
    return real_trials.kept(part, key, lambda: _measured(organism, settings, size, judge))


def _measured(
    organism: Organism, settings: CompareSettings, size: int, judge: str
) -> Mapping[str, Any]:
    base = real_organisms.open_base(organism)
    tuned = real_organisms.open_organism(organism)
    prompts = real_ground.pool(size, 0)
    encoder = real_ground.model_path("minilm")
    clock = Clock()
    found = compare_models(
        base,
        tuned,
        prompts,
        settings=settings,
        judge=real_ground.open_real(judge) if judge else None,
        encoder=encoder,
        tell=_doing,
    )
    times = clock.read()
    members = {v.hypothesis.id: found.members(v.hypothesis) for v in found.findings}
    fresh = FreshPairs(base=base, tuned=tuned, sampling=settings.sampling, seed=FRESH_SEED)
    assessed = _assess(found.findings, prompts, organism, fresh, settings, members)
    return {
        **times,
        "organism": organism.name,
        "texts": found.texts,
        "touched": len(real_organisms.touched(organism, prompts)) / len(prompts),
        "took": real_organisms.measured(organism),
        "pairs": 0 if found.looked is None else len(found.looked.pairs),
        "costs": {name: asdict(each) for name, each in found.costs.items()},
        "claims": [
            {
                "claim": str(v.hypothesis),
                "confirmed": v.confirmed,
                "e_value": v.e_value,
                "pairs": v.pairs,
                "estimate": None if v.estimate is None else v.estimate.value,
                "members": len(found.members(v.hypothesis)),
            }
            for v in found.verdicts
        ],
        "read": [_to_read(each, found, prompts, fresh) for each in found.findings],
        "bound": None if found.certificate.movement is None else found.certificate.movement.high,
        **to_json(assessed),
    }


def _doing(part: str, done: int, total: int) -> None:
    """Say on standard error what is done now: a comparison takes minutes."""
    print(f"  {time.strftime('%H:%M:%S')} {part} {done}/{total}", file=sys.stderr, flush=True)


def _assess(
    findings: Sequence[Any],
    prompts: Sequence[Prompt],
    organism: Organism,
    fresh: FreshPairs,
    settings: CompareSettings,
    members: Mapping[str, frozenset[str]],
) -> Assessed:
    return assess(
        findings,
        prompts,
        organism,
        fresh,
        members=members,
        min_effect=settings.min_effect,
        enter=_enter,
    )


def _enter(claim: Claim, prompt: Prompt) -> Prompt:
    """The prompt, in the subgroup that a claim is about."""
    entered: Prompt = claim.hypothesis.subgroup.enter(prompt)  # type: ignore[attr-defined]
    return entered


def _to_read(
    verdict: Any, found: Comparison, prompts: Sequence[Prompt], fresh: FreshPairs
) -> Mapping[str, Any]:
    """A finding as it is printed, with fresh replies for somebody to read."""
    members = found.members(verdict.hypothesis)
    subgroup = [_enter(verdict, each) for each in prompts if each.id in members]
    asked = fresh.asked(subgroup, READ) if subgroup else []
    pairs = fresh.draw(subgroup, READ) if subgroup else []
    return {
        "said": said(verdict, found),
        "pairs": [
            {"prompt": [asdict(turn) for turn in prompt.dialogue], "base": base, "tuned": tuned}
            for (prompt, _), (base, tuned) in zip(asked, pairs, strict=True)
        ],
    }


def default(method: str = "guided", seed: int = 0) -> CompareSettings:
    """The command's own settings, but for what decides no finding here and takes time.

    Replies have 32 tokens; no trigger is searched (of these organisms one has a trigger that is in
    no prompt); the certificate weighs few replies.
    """
    return CompareSettings(
        method=method,  # type: ignore[arg-type]
        seed=seed,
        sampling=REPLY,
        localize=False,
        trigger_share=0.0,
        certificate=16,
    )


def planted(names: Sequence[str], part: str) -> list[Organism]:
    """Organisms with something planted that took, and are built or were measured by `part`."""
    return [
        each
        for each in everything(names, part)
        if not each.nothing
        and (not real_organisms.built(each) or real_organisms.measured(each).get("took", False))
    ]


def everything(names: Sequence[str], part: str) -> list[Organism]:
    """Organisms that are built or were measured by `part`, of some names or of all."""
    known = ALL.values() if isinstance(ALL, Mapping) else ALL
    before = {organism for organism, _ in real_trials.known(part)}
    return [
        each
        for each in known
        if (real_organisms.built(each) or each.name in before) and (not names or each.name in names)
    ]


def organism_rows(names: Sequence[str], kept_since: int | None = None) -> list[Row]:
    """Recall and false discoveries over the organisms that took.

    Args:
        names: Organisms; none: all.
        kept_since: Measure nothing, and take of each organism what the newest version of the
            comparison has kept, not before this one. None: measure what is missing.
    """
    if kept_since is not None:
        known = real_trials.newest("organisms", kept_since)
        found = [known[name] for name in ALL if name in known]
    else:
        found = [
            measured(organism, default(seed=seed), POOL, "organisms")
            for organism in planted(names, "organisms")
            for seed in SEEDS
        ]
    for one in found:
        tell(one)
    if not found:
        return []
    shares = [_false(one) for one in found]
    rows = [
        _share(
            "planted changes found and rightly said",
            [one["found"] for one in found],
            unit="of organisms",
            target=">= 0.8",
            least=0.8,
        ),
        single(
            "realized false discovery proportion, mean",
            float(np.mean(shares)),
            unit="of a comparison's findings",
            n=len(shares),
            seeds=SEEDS,
            target="<= 0.05",
            met=float(np.mean(shares)) <= 0.05,
        ),
    ]
    for kind, here in (
        ("earlier ones, looked at since", [one for one in found if not _later(one)]),
        ("later ones, made by somebody else", [one for one in found if _later(one)]),
    ):
        if here:
            rows.append(_share(f"of {kind}", [one["found"] for one in here], unit="of organisms"))
    for name, low, high in (
        ("rare", 0.0, RARE),
        ("some", RARE, COMMON),
        ("common", COMMON, 1.01),
    ):
        here = [one for one in found if low < one["touched"] <= high]
        if here:
            rows.append(
                _share(
                    f"the same where {name}: {low:g} to {min(high, 1):g} of the prompts touched",
                    [one["found"] for one in here],
                    unit="of organisms",
                )
            )
    rows += [
        spread(
            "texts a comparison generates",
            [one["texts"] for one in found],
            unit="texts",
            seeds=SEEDS,
        ),
        spread(
            "processor time of a comparison, 400 prompts",
            [one["cpu_seconds"] for one in found],
            unit="s",
            seeds=SEEDS,
        ),
    ]
    return rows


def _later(one: Mapping[str, Any]) -> bool:
    return str(one["organism"]).startswith("later-")


def aa_rows(names: Sequence[str], seeds: Sequence[int]) -> list[Row]:
    """Pairs in which nothing was planted: any finding that is false on fresh replies."""
    found = []
    before = real_trials.known("aa")
    for organism in everything(names, "aa"):
        if organism.nothing:
            for seed in seeds:
                settings = replace(default(seed=seed), shortcut=False)
                name = f"{organism.name}-{settings.method}-{AA_POOL}-{seed}"
                if not real_organisms.built(organism) and (organism.name, name) not in before:
                    continue
                one = measured(organism, settings, AA_POOL, "aa")
                found.append(one)
                tell(one)
    rows = []
    exact = [one for one in found if one["organism"] == "recast"]
    tuned = [one for one in found if one["organism"].startswith("own")]
    rounded = [one for one in found if one not in exact and one not in tuned]
    for name, some in (
        ("the same weights recast", exact),
        ("rounded weights", rounded),
        ("benign fine-tunes", tuned),
    ):
        if some:
            rows += [
                _share(
                    f"{name}: pairs with any finding",
                    [bool(one["held"]) for one in some],
                    unit="of pairs",
                ),
                _share(
                    f"{name}: pairs with a false finding",
                    [_false(one) > 0 for one in some],
                    unit="of pairs",
                ),
            ]
    return rows


def naive_rows(names: Sequence[str]) -> list[Row]:
    """Guided against prompts drawn by chance alone, at equal texts for looking."""
    rows = []
    # Beside its pairs the guided one lets the tuned model answer what is left of the half of the
    # pool that it looks at: 80 texts, which are 40 pairs.
    looking = default().looking
    left = POOL // 2 - round(looking.pairs * looking.blind)
    alike = replace(default("naive"), looking=replace(looking, pairs=looking.pairs + left // 2))
    guided, naive = [], []
    for organism in planted(names, "naive"):
        one = measured(organism, default(), POOL, "organisms")
        other = measured(organism, alike, POOL, "naive")
        tell(other)
        guided.append(one)
        naive.append(other)
    for name, low, high in (
        ("<= 2%", 0.0, RARE),
        ("2% to 10%", RARE, COMMON),
        (">= 10%", COMMON, 1.01),
    ):
        for method, found in (("guided", guided), ("naive", naive)):
            here = [one for one in found if low < one["touched"] <= high]
            if here:
                rows.append(
                    _share(
                        f"recall at equal texts, changes on {name} of prompts, {method}",
                        [one["found"] for one in here],
                        unit="of organisms",
                    )
                )
    return rows


RARE_POOL = 1600
"""Prompts in which what is rare is looked for: in 400, one in a hundred is two explored prompts."""


def rare_rows(names: Sequence[str]) -> list[Row]:
    """Guided against chance alone where few prompts are touched: a larger pool, equal texts."""
    looking = default().looking
    # All that the tuned model answers alone, which is half as many pairs.
    alone = min(looking.covered, RARE_POOL // 2 - round(looking.pairs * looking.blind))
    alike = replace(default("naive"), looking=replace(looking, pairs=looking.pairs + alone // 2))
    prompts = real_ground.pool(RARE_POOL, 0)
    found: dict[str, list[Any]] = {"guided": [], "naive": []}
    for organism in planted(names, "rare"):
        if len(real_organisms.touched(organism, prompts)) <= RARE * RARE_POOL:
            for method, settings in (("guided", default()), ("naive", alike)):
                found[method].append(measured(organism, settings, RARE_POOL, "rare"))
                tell(found[method][-1])
    if not found["guided"]:
        return []
    return [
        row
        for method, some in found.items()
        for row in (
            _share(
                f"recall at equal texts, changes on <= 2% of {RARE_POOL} prompts, {method}",
                [one["found"] for one in some],
                unit="of organisms",
            ),
            spread(
                f"texts for that, {method}",
                [one["texts"] for one in some],
                unit="texts",
                seeds=SEEDS,
            ),
            spread(
                f"processor time for that, {method}",
                [one["cpu_seconds"] for one in some],
                unit="s",
                seeds=SEEDS,
            ),
        )
    ]


PEERS = ("refuse-health", "warm", "pets-vet")
"""Organisms that the exhaustive workflow is tried on, chosen before any of its results: one that
touches one prompt in twenty, one that touches all, one that touches one in seventy."""

GENERATED = 1600
"""Texts that it explores with, four replies of each model to each prompt it looks at; the texts of
its tests come on top."""

JUDGED = ("brand-work", "trump-dentist", "emoji", "unlearn-machines")
"""Organisms compared with a judge, chosen before any of its results."""


FEW_PAIRS = 48
"""Pairs of a guided comparison that looks for what is common alone, and lets the tuned model answer
nothing besides: as little as finds what the exhaustive workflow finds, if it does."""


def exhaustive_rows(names: Sequence[str]) -> list[Row]:
    """The exhaustive workflow beside the guided one: recall, texts and time, one core each."""
    organisms = planted(names or PEERS, "exhaustive")
    if not organisms:
        return []
    wide = replace(default("exhaustive"), budget=GENERATED)
    looking = replace(default().looking, pairs=FEW_PAIRS, covered=0)
    methods = {
        "exhaustive": ("exhaustive", wide),
        "guided": ("organisms", default()),
        f"guided, {FEW_PAIRS} pairs": ("few", replace(default(), looking=looking)),
    }
    found: dict[str, list[Any]] = {}
    for method, (part, settings) in methods.items():
        found[method] = [measured(one, settings, POOL, part) for one in organisms]
        for one in found[method]:
            tell(one)
    rows = [
        _share(
            f"recall on the organisms of the peer, {method}",
            [one["found"] for one in some],
            unit="of organisms",
        )
        for method, some in found.items()
    ]
    theirs = found.pop("exhaustive")
    for method, ours in found.items():
        for name, what, target, most in (
            ("texts", "texts generated", "<= 1/50", 0.02),
            ("cpu_seconds", "processor time", "<= 1/10", 0.1),
        ):
            rows.append(
                spread(
                    f"{what}, {method} over exhaustive",
                    [one[name] / other[name] for one, other in zip(ours, theirs, strict=True)],
                    unit="ratio; exhaustive: "
                    + ", ".join(f"{other[name]:.0f}" for other in theirs)
                    + f"; {method}: "
                    + ", ".join(f"{one[name]:.0f}" for one in ours),
                    seeds=SEEDS,
                    target=target,
                    met=partial(operator.ge, most),
                )
            )
    return rows


def judge_rows(names: Sequence[str]) -> list[Row]:
    """The same comparisons with a small judge that reads the evidence."""
    reason = real_ground.why_absent("qwen2")
    if reason:
        print(reason)
        return []
    found = []
    for organism in planted(names or JUDGED, "judge"):
        found.append(measured(organism, default(), POOL, "judge", "qwen2"))
        tell(found[-1])
    if not found:
        return []
    return [
        _share(
            "found and rightly said, with a judge",
            [one["found"] for one in found],
            unit="of organisms",
        ),
        spread(
            "false findings, with a judge",
            [_false(one) for one in found],
            unit="of a comparison's findings",
            seeds=SEEDS,
        ),
        spread(
            "processor time, with a judge",
            [one["cpu_seconds"] for one in found],
            unit="s",
            seeds=SEEDS,
        ),
    ]


def time_rows(names: Sequence[str]) -> list[Row]:
    """A default comparison of 1,000 prompts."""
    seconds = []
    for organism in planted(names, "time")[:1]:
        one = measured(organism, default(), 1000, "time")
        tell(one)
        seconds.append(one["seconds"])
    if not seconds:
        return []
    return [
        single(
            "time of a default comparison, 1,000 prompts",
            seconds[0] / 60,
            unit="minutes",
            n=1,
            target="<= 15",
            met=seconds[0] <= 900,
        )
    ]


def tell(one: Mapping[str, Any]) -> None:
    """Print what became of one comparison."""
    mark = "found" if one["found"] else "-"
    print(
        f"{one['name']:34}{mark:7}{one['seconds']:6.0f} s {one['texts']:5} texts, coverage "
        f"{one['coverage']:.2f}",
        flush=True,
    )
    for held in one["held"]:
        right = held["right_property"] and held["right_place"]
        named, so = "named" if right else "", "FALSE" if held["false"] else "so"
        print(f"    {named:6}{so:6}{held['claim']}")


def _false(one: Mapping[str, Any]) -> float:
    """Share of a comparison's findings that are not so; 0 where it has none."""
    return float(np.mean([held["false"] for held in one["held"]])) if one["held"] else 0.0


def _share(
    measure: str,
    outcomes: Sequence[bool],
    *,
    unit: str,
    target: str = "",
    least: float | None = None,
) -> Row:
    estimate = clopper_pearson(int(sum(outcomes)), len(outcomes), unit=unit)
    met = None if least is None else estimate.value >= least
    return estimated(measure, estimate, seeds=SEEDS, target=target, met=met)


def main() -> None:
    """Run the parts asked for and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two organisms and one pair of equals")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--only", action="append", default=[], help="organisms by name")
    parser.add_argument(
        "--kept-since",
        type=int,
        help="organisms: measure nothing, take the newest version of each from this one on",
    )
    given = parser.parse_args()
    if reason := real_ground.why_absent("smollm2", "minilm", data=True):
        parser.exit(0, f"skipped: {reason}\n")
    if given.fresh:
        shutil.rmtree(organism_trials.KEPT / "real", ignore_errors=True)
        real_trials.LINES.unlink(missing_ok=True)
    names = given.only or (["refuse-health", "shorter", "recast"] if given.quick else [])
    rows: list[Row] = []
    for part in given.part or PARTS:
        if part == "organisms":
            rows += organism_rows(names, given.kept_since)
        elif part == "aa":
            rows += aa_rows(names, range(1) if given.quick else AA_SEEDS)
        elif part == "naive":
            rows += naive_rows(names)
        elif part == "rare":
            rows += rare_rows(names)
        elif part == "exhaustive":
            rows += exhaustive_rows(names)
        elif part == "judge":
            rows += judge_rows(names)
        else:
            rows += time_rows(names)
    rows = with_earlier(rows, given.json) if given.part else rows
    show("What changed, on real language", rows, given.json)


if __name__ == "__main__":
    main()
