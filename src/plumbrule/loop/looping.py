"""A loop in a folder of its own: held, bound to its inputs, resumed, and told on a page.

OUT/constitution.yaml  the constitution that stands
OUT/stands.json        the model that stands, and what was accepted on the way
OUT/data.jsonl         the training data that stand
OUT/branches/          every remedy that was tried, with its model and its trial
OUT/work/              replies, judgments and likenesses; an interruption loses none
OUT/ledger.db          findings, trials and decisions
OUT/report/            the page, and report.json
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plumbrule.constitution import dump_constitution
from plumbrule.folders import held_folder
from plumbrule.ledger import Ledger, record_files
from plumbrule.loop.remedies.closing import LoopResult, close_loop
from plumbrule.loop.remedies.ground import LoopGround, LoopSettings
from plumbrule.loop.story import loop_story
from plumbrule.models import open_model
from plumbrule.records import to_json
from plumbrule.report import write_page
from plumbrule.store import Tell, canonical, fingerprint, silent, write_atomic

LOOP_VERSION = 2
"""Raised whenever the same call would come to something else."""


@dataclass(frozen=True, kw_only=True)
class LoopOutcome:
    """What a loop has come to, with its page."""

    result: LoopResult
    content: Mapping[str, Any]
    """What `report.json` holds."""

    page: Path

    @property
    def gates_hold(self) -> bool:
        """Whether nothing is left that was found."""
        return self.result.gates_hold


def loop_and_report(
    ground: LoopGround,
    settings: LoopSettings,
    out: Path,
    *,
    title: str = "",
    command: str = "",
    tell: Tell = silent,
) -> LoopOutcome:
    """Close a loop, write the page that tells it, and record every file of the folder.

    Args:
        ground: Model, constitution, data, prompts, judge and writer.
        settings: How far to go.
        out: Folder of the loop; one that was interrupted there goes on.
        title: What the page is called.
        command: What makes it again, for the page.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    tell("loading", 0, 1)
    looked_first = ground.suspicions
    ours = {
        "version": LOOP_VERSION,
        "settings": to_json(settings),
        "named": {
            "constitution": ground.constitution.sha256,
            "base": open_model(str(ground.base), device=ground.device).identity,
            "model": ground.model and open_model(str(ground.model), device=ground.device).identity,
            "data": fingerprint([to_json(each) for each in ground.data]),
            "prompts": fingerprint([to_json(each) for each in ground.prompts]),
            "words": fingerprint([to_json(each) for each in ground.words]),
            "library": fingerprint([to_json(each) for each in ground.library]),
            "judge": ground.judge_identity,
            "writer": ground.writer_identity,
            "asker": ground.asker_identity,
            **({"findings": looked_first.sha256} if looked_first.given else {}),
        },
    }
    text = yaml.safe_dump(ours, sort_keys=False)
    with held_folder(out, marker="loop.json", ours=ours, configuration=text):
        result = close_loop(ground, settings, out, tell=tell)
        content = loop_story(result, settings, out, title=title, command=command)
        _write_stand(result, out)
        write_page("loop", content, out / "report")
        with Ledger.open(out / "ledger.db") as ledger:
            ledger.record("loop/begin", "loop", ours)
            for each in result.rounds:
                ledger.record(
                    f"round/{each.number}",
                    "loop",
                    {"found": [f.finding.claim for f in each.found], "accepted": each.accepted},
                )
            ledger.record(
                "loop/end", "loop", {"ending": result.ending, "gates_passed": result.gates_hold}
            )
            record_files(ledger, out)
    return LoopOutcome(result=result, content=content, page=out / "report" / "index.html")


def _write_stand(result: LoopResult, out: Path) -> None:
    stands = result.stands
    write_atomic(out / "constitution.yaml", dump_constitution(stands.constitution))
    rows = [
        {
            "id": each.id,
            "messages": [
                *(to_json(turn) for turn in each.dialogue),
                {"role": "assistant", "content": each.response},
            ],
        }
        for each in stands.data
    ]
    write_atomic(
        out / "data.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    )
    inside = stands.model.is_relative_to(out)
    said = {
        "model": str(stands.model.relative_to(out) if inside else stands.model),
        "identity": stands.identity,
        "constitution": stands.constitution.sha256,
        "accepted": [each.branch for each in result.accepted],
        "gates_hold": result.gates_hold,
        "ending": result.ending,
    }
    write_atomic(out / "stands.json", canonical(said) + "\n")
