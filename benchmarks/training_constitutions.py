"""Constitutions drafted from people: planted views and planted principles found again.

    python -m benchmarks.training_constitutions [--quick] [--part NAME] --json FILE

Parts: `public` (views, spam, minorities), `empty` (votes and labels at random), `inverse` (a
planted constitution of six principles), `real` (2,312 pairs that people labeled, where they are).
`open` materials are those the methods were written with; `sealed` ones were not read by whoever
wrote them. With `--encoder FOLDER` the same again with a sentence encoder. Each seed's result is
kept beside the JSON, so that a run that was killed goes on where it was.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted_preferences import agreement, decided, draw_pairs, recovered
from benchmarks.public_statements import Consultation, FoundView, draw_statements, score
from benchmarks.rows import Row, estimated, show, single, spread, with_earlier
from plumbrule.drafting import (
    LabeledPair,
    PublicInput,
    Statement,
    Vote,
    draft_inverse,
    draft_public,
    public_input,
    read_pairs,
    usable_pairs,
)
from plumbrule.drafting.wordings import Embed
from plumbrule.loop.drafting import reply_properties, sentence_encoder
from plumbrule.records import from_json, to_json
from plumbrule.store import write_atomic

PARTS = ("public", "empty", "inverse", "real")
REAL = Path(__file__).parents[2] / "shared" / "data" / "hh_rlhf_harmless_test.jsonl.gz"
SEEDS = (0, 1, 2, 3, 4)


def read_consultation(drawn: Consultation) -> PublicInput:
    """A planted consultation as the method gets it: texts and votes, and no truth."""
    return public_input(
        [Statement(id=one.id, text=one.text, author=one.person) for one in drawn.statements],
        [Vote(person=one.person, statement=one.statement, vote=one.vote) for one in drawn.votes],
    )


def plain_pairs(drawn: Any) -> list[LabeledPair]:
    """Planted pairs as the method gets them."""
    return list(usable_pairs(drawn.preferences).pairs)


class Kept:
    """Results of single seeds on disk, so that none is measured twice."""

    def __init__(self, path: Path | None) -> None:
        self._folder = None if path is None else path.with_suffix(".parts")

    def get(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A result that is there, or that is measured now."""
        file = None if self._folder is None else self._folder / f"{name}.json"
        if file is not None and file.exists():
            found: dict[str, Any] = json.loads(file.read_text("utf-8"))
            return found
        made = measure()
        if file is not None:
            write_atomic(file, json.dumps(made, indent=1) + "\n")
        print(name, json.dumps(made)[:300], flush=True)
        return made


def public_rows(
    kept: Kept, seeds: Sequence[int], *, sealed: bool, embed: Embed | None
) -> list[Row]:
    """Planted views that became principles, spam that did, minorities that are shown as such."""
    how = f"{'sealed' if sealed else 'open'}, {'words' if embed is None else 'encoder'}"

    def measure(seed: int) -> dict[str, Any]:
        drawn = draw_statements(seed, sealed=sealed)
        draft = draft_public(read_consultation(drawn), seed=seed, embed=embed)
        found = [
            FoundView(
                text=view.text,
                statements=view.statements,
                minority=view.standing == "minority",
            )
            for view in draft.views
        ]
        result = score(found, drawn.truth, draft.group_of)
        return {
            "kept": len(result.kept),
            "principles": result.principles,
            "repeated": result.repeated,
            "mixed": result.mixed,
            "spam_principles": result.spam_principles,
            "spam_statements": result.spam_statements,
            "minority_kept": len(result.kept & drawn.truth.minority),
            "minority": len(drawn.truth.minority),
            "minority_shown": len(result.minority_shown),
            "falsely_minority": len(result.falsely_minority),
            "group_agreement": result.group_agreement,
            "groups": draft.groups.count,
        }

    done = [kept.get(f"public-{how.replace(', ', '-')}-{seed}", partial(measure, seed))
            for seed in seeds]  # fmt: skip

    def row(name: str, key: str, **settings: Any) -> Row:
        values = [float(each[key] if each[key] is not None else 0) for each in done]
        return spread(f"{name} ({how})", values, seeds=seeds, **settings)

    shown = [each["minority_shown"] for each in done]
    return [
        row("planted views kept, of 12", "kept", unit="views", target=">= 11",
            met=lambda v: v >= 11, worst=min),
        row("principles of spam", "spam_principles", unit="principles", target="0",
            met=lambda v: v == 0, worst=max),
        row("spam statements behind any principle", "spam_statements", unit="statements",
            target="0", met=lambda v: v == 0, worst=max),
        spread(
            f"minorities' views kept and shown as such, of {done[0]['minority']} ({how})",
            [float(each) for each in shown],
            unit="views",
            seeds=seeds,
            target=f"{done[0]['minority']}",
            met=lambda v: v >= done[0]["minority"],
            worst=min,
        ),
        row("other views shown as a minority's", "falsely_minority", unit="views", target="0",
            met=lambda v: v == 0, worst=max),
        row("principles in all", "principles", unit="principles"),
        row("principles for a view that has one already", "repeated", unit="principles"),
        row("principles that mix views or hold a small part of one", "mixed", unit="principles"),
        row("adjusted Rand index of the opinion groups", "group_agreement", unit="index"),
    ]  # fmt: skip


def inverse_rows(
    kept: Kept, seeds: Sequence[int], *, constitution: str, embed: Embed | None
) -> list[Row]:
    """Planted principles found again, and held-out agreement beside the true constitution's."""
    how = f"{constitution}, {'words' if embed is None else 'encoder'}"

    def measure(seed: int) -> dict[str, Any]:
        drawn = draw_pairs(seed, constitution=constitution)  # type: ignore[arg-type]
        new = draw_pairs(seed, constitution=constitution, held_out=True)  # type: ignore[arg-type]
        draft = draft_inverse(
            usable_pairs(drawn.preferences), reply_properties(), seed=seed, embed=embed
        )
        pairs = [
            LabeledPair(
                id=one.id,
                dialogue=one.dialogue,
                first=one.first,
                second=one.second,
                probability=float(one.probability or 0),
            )
            for one in new.preferences
        ]
        votes = draft.votes(pairs)
        found = {each.principle_id: row for each, row in zip(draft.principles, votes, strict=True)}
        result = recovered(found, new)
        others = draft.others
        return {
            "found": len(result.matched),
            "names": sorted(result.matched),
            "correlation": {name: round(value, 3) for name, value in result.correlation.items()},
            "principles": len(draft.principles),
            "agreement": agreement(draft.predict(pairs), new).value,
            "true": agreement(decided(new.votes), new).value,
            "longer": draft.longer_wins.value,
            "others_one": sum(others.by_place) if others else 0,
            "others": others.as_well if others else 0,
        }

    done = [kept.get(f"inverse-{how.replace(', ', '-')}-{seed}", partial(measure, seed))
            for seed in seeds]  # fmt: skip

    def row(name: str, values: Sequence[float], **settings: Any) -> Row:
        return spread(f"{name} ({how})", values, seeds=seeds, **settings)

    return [
        row("planted principles found, of 6", [float(each["found"]) for each in done],
            unit="principles", target=">= 5", met=lambda v: v >= 5, worst=min),
        row("points of held-out agreement below the true constitution's",
            [100 * (each["true"] - each["agreement"]) for each in done],
            unit="points", target="<= 2", met=lambda v: v <= 2, worst=max),
        row("held-out agreement", [each["agreement"] for each in done], unit="share"),
        row("held-out agreement of the true constitution", [each["true"] for each in done],
            unit="share"),
        row("agreement of longer wins", [each["longer"] for each in done], unit="share"),
        row("principles in all", [float(each["principles"]) for each in done],
            unit="principles"),
        row("other constitutions that differ in one principle and do as well",
            [float(each["others_one"]) for each in done], unit="constitutions"),
    ]  # fmt: skip


def empty_rows(kept: Kept, seeds: Sequence[int]) -> list[Row]:
    """Votes and labels at random: no groups, no principles."""

    def votes(seed: int) -> dict[str, Any]:
        drawn = read_consultation(draw_statements(seed))
        rng = np.random.default_rng(seed)
        shuffled = np.zeros_like(drawn.votes)
        for column in range(shuffled.shape[1]):
            rows = np.flatnonzero(drawn.seen[:, column])
            shuffled[rows, column] = rng.choice([-1, 0, 1], size=len(rows))
        draft = draft_public(replace(drawn, votes=shuffled), seed=seed)
        return {"groups": draft.groups.count, "views": len(draft.views)}

    def labels(seed: int) -> dict[str, Any]:
        drawn = draw_pairs(seed, noise=0.5)
        draft = draft_inverse(usable_pairs(drawn.preferences), reply_properties(), seed=seed)
        return {"principles": len(draft.principles)}

    voted = [kept.get(f"empty-votes-{seed}", partial(votes, seed)) for seed in seeds]
    labeled = [kept.get(f"empty-labels-{seed}", partial(labels, seed)) for seed in seeds]
    return [
        single("runs that claim opinion groups where votes are at random",
               sum(each["groups"] > 0 for each in voted), unit="runs", n=len(seeds),
               seeds=seeds, target="<= 1 of 100 in the long run"),
        single("principles where votes are at random", sum(each["views"] for each in voted),
               unit="principles", n=len(seeds), seeds=seeds, target="0",
               met=all(each["views"] == 0 for each in voted)),
        single("principles where labels are at random",
               sum(each["principles"] for each in labeled), unit="principles", n=len(seeds),
               seeds=seeds, target="0", met=all(each["principles"] == 0 for each in labeled)),
    ]  # fmt: skip


def real_rows(kept: Kept, embed: Embed | None) -> list[Row]:
    """What people's 2,312 labels of dialogues say."""
    if not REAL.exists():
        print(f"real: skipped, {REAL} is not there")
        return []
    how = "words" if embed is None else "encoder"

    def measure() -> dict[str, Any]:
        draft = draft_inverse(read_pairs(REAL), reply_properties(), seed=0, embed=embed)
        return {
            "agreement": to_json(draft.agreement) if draft.agreement else None,
            "longer": to_json(draft.longer_wins),
            "first": to_json(draft.always_first),
            "principles": [each.text for each in draft.principles],
            "pairs": len(draft.pairs.pairs),
            "others": draft.others.as_well if draft.others else 0,
            "others_one": sum(draft.others.by_place) if draft.others else 0,
        }

    from plumbrule.records import Estimate

    done = kept.get(f"real-{how}", measure)
    rows = [
        estimated(f"human pairs: {name} ({how})",
                  from_json(Estimate, done[key], origin="kept result"))
        for name, key in (("this constitution", "agreement"), ("longer wins", "longer"),
                          ("always first", "first"))
        if done[key] is not None
    ]  # fmt: skip
    rows.append(single(f"human pairs: principles confirmed ({how})", len(done["principles"]),
                       unit="principles", n=done["pairs"]))  # fmt: skip
    rows.append(single(f"human pairs: other constitutions in one principle ({how})",
                       done["others_one"], unit="constitutions", n=done["pairs"]))  # fmt: skip
    for text in done["principles"]:
        print("  real:", text)
    return rows


def main() -> None:
    """Measure the parts that are asked for and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, open materials")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--encoder", type=Path, help="folder of a sentence encoder")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seeds = SEEDS[:1] if given.quick else tuple(range(given.seeds))
    kept = Kept(given.json)
    embed = None if given.encoder is None else sentence_encoder(given.encoder)
    rows: list[Row] = []
    for part in given.part or PARTS:
        for sealed in (False,) if given.quick else (False, True):
            if part == "public":
                rows += public_rows(kept, seeds, sealed=sealed, embed=embed)
            if part == "inverse":
                name = "sealed" if sealed else "open"
                rows += inverse_rows(kept, seeds, constitution=name, embed=embed)
        if part == "empty" and embed is None:
            rows += empty_rows(kept, seeds)
        if part == "real":
            rows += real_rows(kept, embed)
    show("Constitutions from people", with_earlier(rows, given.json), given.json)


if __name__ == "__main__":
    main()
