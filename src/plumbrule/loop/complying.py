"""A model examined for compliance in a folder of its own: tests, replies, verdicts and the page.

OUT/tests.jsonl      what was asked, as a file of tests
OUT/failures.jsonl   replies that break a principle, which `--add-test` turns into regression tests
OUT/replies, judgments, manners   every reply and what was said of it; an interruption loses none
OUT/ledger.db        settings and findings
OUT/report/          the page, and report.json
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.compliance import (
    ComplianceResult,
    ComplianceSettings,
    Oracle,
    TestSet,
    examine_compliance,
    plan_compliance,
    read_tests,
    readable_tests,
    with_regressions,
    write_tests,
)
from plumbrule.constitution import Constitution
from plumbrule.data.forms import dialogue_of
from plumbrule.errors import DataError
from plumbrule.judging import PromptSet
from plumbrule.loop.compliance_content import compliance_content
from plumbrule.loop.examined import examined_folder
from plumbrule.models import LanguageModel
from plumbrule.monitoring.reports import json_lines
from plumbrule.records import Dialogue, to_json
from plumbrule.report import write_page
from plumbrule.store import Tell, silent, write_atomic

COMPLY_VERSION = 1
"""Raised whenever the same call would give other numbers."""


@dataclass(frozen=True, kw_only=True)
class ComplianceOutcome:
    """What an examination has come to, with its page."""

    result: ComplianceResult
    content: Mapping[str, Any]
    """What `report.json` holds."""

    page: Path


def comply_and_report(
    model: LanguageModel,
    law: Constitution,
    tests: TestSet,
    *,
    judge: LanguageModel | Oracle,
    out: Path,
    settings: ComplianceSettings | None = None,
    judging_prompts: PromptSet | None = None,
    command: str = "",
    tell: Tell = silent,
) -> ComplianceOutcome:
    """Examine a model, write the page, and record every file of the folder.

    Args:
        model: Who is examined.
        law: The principles.
        tests: What it is asked.
        judge: A model, or an answer key; tests that a key does not know are left out and counted.
        out: Folder of the examination; one that was interrupted there goes on.
        settings: Bounds, levels and how replies are drawn.
        judging_prompts: What a model is asked in as judge; None: the default set.
        command: What makes it again, for the page.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    chosen = settings or ComplianceSettings()
    tests, notes = readable_tests(tests, judge)
    with examined_folder(
        out, "comply", COMPLY_VERSION, model=model, law=law, asked={"tests": tests.sha256},
        judge=judge, judging_prompts=judging_prompts, settings=chosen,
    ) as findings:  # fmt: skip
        write_tests(tests, out / "tests.jsonl")
        result = examine_compliance(
            model, law, tests, judge=judge, settings=chosen, judging_prompts=judging_prompts,
            folder=out, tell=tell,
        )  # fmt: skip
        _write_failures(result, out / "failures.jsonl")
        content = compliance_content(
            result, law, tests, plan_compliance(law, tests, chosen), notes=notes, command=command
        )
        write_page("compliance", content, out / "report")
        findings += [
            (f"finding {each.id}", "finding", {"principle": each.id}) for each in result.findings
        ]
    return ComplianceOutcome(result=result, content=content, page=out / "report" / "index.html")


def _write_failures(result: ComplianceResult, path: Path) -> None:
    rows = [
        {
            "principle": each.id,
            "test": name,
            "messages": [to_json(turn) for turn in result.exchanges[name].dialogue],
            "reply": result.exchanges[name].response,
        }
        for each in result.principles
        for name in each.failing
    ]
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def add_tests(
    found: Path, law: Constitution, tests: Path, *, principle: str | None = None
) -> tuple[TestSet, int]:
    """Turn hits into regression tests of a file of tests, which is made if there is none.

    Args:
        found: JSON lines with a request (`messages` or `prompt`) and its principle (`principle`, or
            `kind`): failures of an examination, tests of a watch, hits of a red team.
        law: The constitution.
        tests: File of the tests; its next revision takes its place.
        principle: The principle of lines that name none.

    Returns:
        The set, and how many tests are new.

    Raises:
        DataError: A line holds no request, or names no principle of the constitution.
    """
    hits: list[tuple[str, Dialogue]] = []
    known = {each.id for each in law.principles}
    for place, row in json_lines(found, "hits"):
        name = row.get("principle") or row.get("principle_id") or row.get("kind") or principle
        if name not in known:
            raise DataError(
                f"{place} must name a principle of {law.name!r} in `principle`, got "
                f"{name!r:.60}; or give one for all lines with --principle"
            )
        hits.append((str(name), dialogue_of(row, place)))
    if not hits:
        raise DataError(f"expected hits to make tests of, {found} holds none")
    before = (
        read_tests(tests)
        if tests.exists()
        else TestSet(constitution=law.name, constitution_sha256=law.sha256, cases=(), revision=0)
    )
    after = with_regressions(before, hits, source=found.name)
    write_tests(after, tests)
    return after, len(after.cases) - len(before.cases)
