"""The loop on fifty lab runs: gaps closed, the kind of remedy chosen, and null runs left alone.

Every run is kept in the folder when it is done, so that a measurement that was interrupted goes on.

Usage: python -m benchmarks.loop [--quick] [--part open|sealed|fresh] [--only NAME ...]
       [--folder DIR] [--json FILE]
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.loop_gaps import CACHE, RIGHT, Gap, Part, build, gaps, score
from benchmarks.rows import Row, estimated, show, single, with_earlier
from plumbrule.constitution import load_constitution
from plumbrule.loop.recipe import read_labels
from plumbrule.loop.remedies import LoopGround, LoopSettings, close_loop
from plumbrule.records import Dialogue, Exchange, Message, Prompt
from plumbrule.statistics import clopper_pearson
from plumbrule.store import write_atomic

if TYPE_CHECKING:  # imports torch, which takes seconds
    from benchmarks.loop_ground import Ground

VERSION = 3
"""Raised when the loop closes otherwise, so that no run of another is taken for one of this."""

FOLDER = Path("~/.cache/plumbrule/loop").expanduser() / str(VERSION)
OPEN: tuple[Part, ...] = ("open",)
PARTS: tuple[Part, ...] = ("fresh", "open", "sealed")
NAMES: dict[str, tuple[str, ...]] = {
    "open and new sealed": ("open", "fresh"),
    "open": ("open",),
    "new sealed": ("fresh",),
    "earlier sealed": ("sealed",),
}
"""What runs with a gap are told of together, and of which parts; the targets are the first's."""
KINDS = {"amendment": "amendment", "data patch": "data", "intervention": "intervention"}
"""Kinds of remedy, as the gaps call them."""

SETTINGS = LoopSettings(learning_rate=5e-4)
"""As `plumbrule loop` does it, at most three rounds, with the step size of small models."""


def ground_of(given: "Ground") -> LoopGround:
    """A lab run as the loop is given it; nothing here says what is wrong."""
    rows = map(json.loads, given.examples.read_text("utf-8").splitlines())
    data = []
    for row in rows:
        *asked, reply = (Message(each["role"], each["content"]) for each in row["messages"])
        data.append(
            Exchange(id=row["id"], dialogue=tuple(asked), response=reply.content, model="data")
        )
    return LoopGround(
        constitution=load_constitution(given.constitution),
        base=Path(given.base),
        model=given.model,
        data=data,
        prompts=_prompts(given.prompts, given.traffic),
        judge=given.judge,
        judge_identity="the answer key",
        writer=given.write,
        writer_identity="whoever knows the village",
        asker=given.ask,
        asker_identity="whoever knows the village",
        library=load_constitution(given.library).principles,
        words=read_labels(given.labels),
        device="cpu",
    )


def _prompts(*paths: Path) -> list[Prompt]:
    """Prompts of several files, each request once; held out where it is so anywhere."""
    found: dict[Dialogue, Prompt] = {}
    for path in paths:
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            dialogue = tuple(Message(each["role"], each["content"]) for each in row["prompt"])
            known = found.get(dialogue)
            held_out = row["held_out"] or (known is not None and known.held_out)
            first = known or Prompt(
                id=row["id"],
                dialogue=dialogue,
                deserves_help=row.get("deserves_help"),
                group=row.get("group", ""),
                kind=row.get("kind", ""),
            )
            found[dialogue] = replace(first, held_out=held_out)
    return list(found.values())


def measured(gap: Gap, folder: Path) -> dict[str, Any]:
    """What the loop makes of a run, kept when it is done."""
    path = folder / f"{gap.name}.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return kept
    given = build(gap, CACHE / "runs" / gap.name)
    began, worked = time.monotonic(), time.process_time()
    result = close_loop(ground_of(given), SETTINGS, folder / "loops" / gap.name)
    found = {
        "gap": gap.name,
        "part": gap.part,
        "fault": gap.fault,
        "score": asdict(score(gap, given.model, result.stands.model)),
        "kinds": [KINDS[each.kind] for each in result.accepted],
        "first": KINDS[result.accepted[0].kind] if result.accepted else None,
        "changed": result.stands.identity != result.started.identity,
        "amended": result.stands.constitution.sha256 != result.started.constitution.sha256,
        "found": [fault.finding.claim for each in result.rounds for fault in each.found],
        "tried": [
            [trial.kind, trial.decision, trial.why]
            for each in result.rounds
            for answered in each.answered
            for trial in answered.trials
        ],
        "rounds": len(result.rounds),
        "ending": result.ending,
        "gates_hold": result.gates_hold,
        "seconds": round(time.monotonic() - began, 1),
        "core_seconds": round(time.process_time() - worked, 1),
    }
    write_atomic(path, json.dumps(found, indent=1) + "\n")
    return found


def rows_of(runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows of the table: gaps of open and new sealed runs, each part by itself, null runs."""
    rows: list[Row] = []
    for number, (name, parts) in enumerate(NAMES.items()):
        seeded = [each for each in runs if each["fault"] != "none" and each["part"] in parts]
        least = (0.9, 0.75) if number == 0 else (None, None)
        if seeded:
            closed = [_closed(each) for each in seeded]
            right = [each["first"] in RIGHT[each["fault"]] for each in seeded]
            rows += [
                _share(f"gaps closed, no principle worse: {name}", closed, least[0], len(seeded)),
                _share(f"right kind of remedy chosen: {name}", right, least[1], len(seeded)),
            ]
    nulls = [each for each in runs if each["fault"] == "none"]
    if nulls:
        alone = [not each["changed"] and not each["amended"] for each in nulls]
        rows.append(_share("runs with nothing wrong left as they were", alone, 0.95, len(nulls)))
        unsaid = [not each["found"] for each in nulls]
        rows.append(
            _share("runs with nothing wrong of which nothing is claimed", unsaid, None, len(nulls))
        )
    for fault in dict.fromkeys(each["fault"] for each in runs if each["fault"] != "none"):
        own = [each for each in runs if each["fault"] == fault]
        rows.append(_share(f"closed: {fault}", [_closed(each) for each in own], None, len(own)))
    worked = [each["core_seconds"] for each in runs]
    rows.append(
        single("time of a loop, longest", max(worked), unit="seconds of a core", n=len(worked))
    )
    return rows


def _closed(run: Mapping[str, Any]) -> bool:
    return bool(run["score"]["closed"]) and not run["score"]["worse"]


def _share(measure: str, hits: Sequence[bool], least: float | None, n: int) -> Row:
    needed = None if least is None else round(least * n)
    return estimated(
        measure,
        clopper_pearson(sum(hits), n, unit="share of runs"),
        target="" if needed is None else f">= {needed} of {n}",
        met=None if needed is None else sum(hits) >= needed,
    )


def main() -> None:
    """Close every loop that is not closed yet, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one open run of each sort")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--only", nargs="*", help="names of runs")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    wanted = [
        gap
        for part in (OPEN if given.quick else given.part or PARTS)
        for gap in gaps(part)
        if not given.only or gap.name in given.only
    ]
    if given.quick:
        wanted = list({gap.fault: gap for gap in reversed(wanted)}.values())
    runs = []
    for gap in wanted:
        runs.append(measured(gap, given.folder))
        one = runs[-1]
        print(
            f"{gap.name}: {one['ending']}; {', '.join(one['kinds']) or 'nothing changed'}; "
            f"{one['core_seconds']} s of a core",
            flush=True,
        )
    show("The loop", with_earlier(rows_of(runs), given.json), given.json)


if __name__ == "__main__":
    main()
