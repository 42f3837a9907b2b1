"""Findings read by a person who knows neither model: are they understood, and are they so?

Usage: python -m benchmarks.real_claims show              20 claims, each with fresh replies
       python -m benchmarks.real_claims keep ANSWERS.json what the reader wrote
       python -m benchmarks.real_claims check             the rows, from what was kept

Claims are drawn by chance from the findings that `benchmarks.real_compare` has kept, a sentence of
an organism once. Each comes with eight fresh pairs of replies, in mixed order and without names.
"""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import organism_trials, real_ground
from benchmarks.real_ground import normalized
from benchmarks.real_labels import TAME, hashed
from benchmarks.rows import Row, estimated, show
from plumbrule.statistics import clopper_pearson
from plumbrule.store import derive_seed, write_atomic

KEPT = Path(__file__).resolve().parent / "results" / "real_claims_read.json"
RESULTS = KEPT.with_name("real_claims.json")
CLAIMS = 20
PARTS = ("organisms", "naive", "judge")

TASK = """Below are claims about how one language model (the tuned one) differs from another (the
base). You know neither. For each claim: (1) write in your own words what it says, or "not
understood"; (2) for each numbered prompt mark which of the two replies show what the claim is
about, as "a", "b", "ab" or "". The order of the two models changes from prompt to prompt. For
what is counted (length, exclamation marks) mark the reply that has more of it, or "" where they
are alike."""


def findings() -> list[Mapping[str, Any]]:
    """Findings of kept comparisons, drawn by chance."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for part in PARTS:
        for path in sorted((organism_trials.KEPT / "real" / part).glob("*.json")):
            one = json.loads(path.read_text("utf-8"))
            for held, read in zip(one["held"], one.get("read", ()), strict=False):
                key = (one["organism"], held["claim"])
                found.setdefault(key, {**read, "organism": one["organism"]})
    keys = sorted(found)
    random.Random(derive_seed(0, "claims read")).shuffle(keys)
    return [found[key] for key in keys[:CLAIMS]]


def order(claim: Mapping[str, Any]) -> str:
    """For each pair, which letter the tuned model's reply has: a draw of its own each."""
    chance = random.Random(derive_seed(0, "order", claim["organism"], claim["said"]))
    return "".join(chance.choice("ab") for _ in claim["pairs"])


def sheet(claims: Sequence[Mapping[str, Any]]) -> str:
    """What the reader is given."""
    lines = [TASK, ""]
    for number, claim in enumerate(claims, 1):
        lines += [f"=== CLAIM {number}: {claim['said']}", ""]
        for at, (pair, tuned) in enumerate(zip(claim["pairs"], order(claim), strict=True), 1):
            asked = " / ".join(f"{turn['role']}: {turn['content']}" for turn in pair["prompt"])
            lines.append(f"[{at}] {asked}")
            for letter in "ab":
                lines.append(f"    {letter}: {pair['tuned' if letter == tuned else 'base']!r}")
        lines.append("")
    return "\n".join(lines)


def keep(answers: Sequence[Mapping[str, Any]]) -> None:
    """Keep what a reader wrote, with the texts that may stand in the repository.

    Args:
        answers: One a claim: `means`, in the reader's words; `understood`, judged by holding them
            against the sentence; `shows`, letters for each pair.
    """
    claims = findings()
    groups = {
        normalized(" ".join(turn.content for turn in each.dialogue)): each.group
        for each in real_ground.whole_pool()
    }
    kept = []
    for claim, answer in zip(claims, answers, strict=True):
        pairs = []
        for pair in claim["pairs"]:
            asked = " ".join(turn["content"] for turn in pair["prompt"])
            tame = groups.get(normalized(asked)) in TAME
            texts = {"prompt": asked, "base": pair["base"], "tuned": pair["tuned"]}
            pairs.append({key: text if tame else hashed(text) for key, text in texts.items()})
        kept.append(
            {
                "organism": claim["organism"],
                "said": claim["said"],
                "means": answer["means"],
                "understood": answer["understood"],
                "tuned_is": order(claim),
                "shows": answer["shows"],
                "pairs": pairs,
            }
        )
    write_atomic(KEPT, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def true(claim: Mapping[str, Any]) -> bool:
    """Whether the marked replies are more often the tuned model's; less often for "less"."""
    net = 0
    for tuned, shows in zip(claim["tuned_is"], claim["shows"], strict=True):
        other = "b" if tuned == "a" else "a"
        net += (tuned in shows) - (other in shows)
    less = any(word in claim["said"].split(":")[0].split() for word in ("less", "shorter", "fewer"))
    # Of length, the reader selectors the reply that has more of it.
    return net < 0 if less else net > 0


def rows() -> list[Row]:
    """How many claims were understood, and true of replies that nobody had seen."""
    kept = json.loads(KEPT.read_text("utf-8"))
    both = [one["understood"] and true(one) for one in kept]
    count = len(kept)
    return [
        estimated(
            measure,
            clopper_pearson(sum(outcomes), count, unit="of claims"),
            target=">= 18 of 20" if outcomes is both else "",
            met=sum(outcomes) >= 0.9 * count if outcomes is both else None,
        )
        for measure, outcomes in (
            ("claims understood, and true of fresh replies, by a reader", both),
            ("claims understood", [one["understood"] for one in kept]),
            ("claims true of eight fresh pairs, as the reader marked them", [*map(true, kept)]),
        )
    ]


def main() -> None:
    """Show, keep or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=["show", "keep", "check"])
    parser.add_argument("answers", nargs="?", type=Path)
    given = parser.parse_args()
    if given.what == "show":
        print(sheet(findings()))
    elif given.what == "keep":
        keep(json.loads(given.answers.read_text("utf-8")))
    else:
        show("Claims, read", rows(), RESULTS)


if __name__ == "__main__":
    main()
