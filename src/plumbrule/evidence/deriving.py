"""Every decision of a folder made again from its samples, without the models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plumbrule.behavior import verify_comparison
from plumbrule.behavior.verifying import alike
from plumbrule.compliance import OracleJudgment
from plumbrule.evidence.records import UNREADABLE, RunRecord, why
from plumbrule.judging import Ability, TrialAnswer, conclude
from plumbrule.loop.deciding import decided, plain
from plumbrule.loop.side_effects import SHOWN
from plumbrule.loop.steps import Examined
from plumbrule.loop.verifying import page_problems
from plumbrule.oversight.papers import verify_paper_review
from plumbrule.records import Exchange, Judgment, MannerJudgment, to_json

STAGES = ("before", "supervised", "final")
"""Models that a run may examine, in order."""


@dataclass(frozen=True, kw_only=True)
class Rederivation:
    """What came of making decisions again."""

    held: tuple[str, ...] = ()
    """What came out as recorded."""

    problems: tuple[str, ...] = ()
    """What came out otherwise."""

    unchecked: tuple[str, ...] = ()
    """What could not be made again, and why."""


def rederive(record: RunRecord) -> Rederivation:
    """Make every decision of a folder again that follows from its samples.

    Args:
        record: What the folder recorded.
    """
    ways = {"run": _run, "comparison": _comparison, "review": _review}
    try:
        if record.kind not in ways:
            reason = "no run, comparison or review that has ended: its decisions are not made again"
            return Rederivation(unchecked=(f"{record.name}: {reason}",))
        return ways[record.kind](record)
    except UNREADABLE as error:
        said = f"decisions: {record.name}: they cannot be made again: {why(error)}"
        return Rederivation(problems=(said,))


def _run(record: RunRecord) -> Rederivation:
    name, report = record.name, record.report
    if "amends" in record.named:
        return Rederivation(
            unchecked=(f"{name}: what an amendment decided is made again by its own command alone",)
        )
    if record.prompts is None or record.constitution is None:
        return Rederivation(
            unchecked=(
                f"{name}: its folder holds no prompts.jsonl or no constitution.yaml, as one of an "
                "earlier version: rates, findings and gates are not made again",
            )
        )
    held: list[str] = []
    problems: list[str] = []
    again, tested = decided(
        examined(record),
        prompts=[each for each in record.prompts if each.held_out],
        constitution=record.constitution,
        gates=record.config.gates,
        untaught=_untaught(record),
        command=str(report.get("command", "")),
    )
    for part, value in to_json(plain(again)).items():
        (held if alike(value, report.get(part)) else problems).append(part)
    end = record.entry("run/end")
    if end is None or end.payload.get("gates_passed") != again["gates_passed"]:
        problems.append("the ledger's word on the gates")
    trials = [row for rows in _trials(record).values() for row in rows]
    told = [row for row in report.get("trials", []) if row.get("who") != "held-out judge"]
    if trials or told:
        (held if alike(trials, told) else problems).append("trials")
    comparison, beside_held = report.get("comparison"), tuple[str, ...]()
    if comparison is not None:
        beside = RunRecord(record.folder / "comparison", f"{name}/comparison")
        inner = rederive(beside)
        problems += [each.removeprefix("decisions: ") for each in inner.problems]
        shown = {part: beside.report.get(part) for part in SHOWN if part != "summary"}
        if not alike(shown, {part: comparison.get(part) for part in shown}):
            problems.append("comparison, which is another than its own folder says")
        beside_held = inner.held
    counts = f"{len(record.stages)} stages, {tested} changes looked for"
    return Rederivation(
        held=(
            *((f"{name}: {', '.join(held)} made again from {counts}",) if held else ()),
            *beside_held,
        ),
        problems=tuple(
            f"decisions: {name}: {part}: not what the samples give" for part in problems
        ),
        unchecked=(
            f"{name}: sentences of the summary and notes, curves, costs and descriptions of models "
            "are held by their hashes alone",
        ),
    )


def examined(record: RunRecord) -> list[Examined]:
    """The examinations of a run, from its records."""
    found = []
    for stage in STAGES:
        place = f"examination/{stage}"
        if f"{place}/replies" not in record.stages:
            continue
        truth = None
        if f"{place}/oracle" in record.stages:
            truth = record.stage(f"{place}/oracle", OracleJudgment)
        found.append(
            Examined(
                stage=stage,
                exchanges=record.stage(f"{place}/replies", Exchange),
                judgments=record.stage(f"{place}/judgments", Judgment),
                manners=record.stage(f"{place}/manners", MannerJudgment),
                truth=truth,
            )
        )
    return found


def _abilities(record: RunRecord) -> dict[str, tuple[Ability, ...]]:
    """Results of the trials of critic and judge, by who was tried."""
    assert record.constitution is not None
    found = {}
    for who in ("critic", "judge"):
        if f"trial/{who}" in record.stages:
            answers = record.stage(f"trial/{who}", TrialAnswer)
            trial = conclude(record.named[who], answers, record.constitution)
            found[who] = trial.abilities
    if "critic" in found:
        found.setdefault("judge", found["critic"])
        if record.config.teach_anyway and record.config.recipe != "rlhf":
            found["critic"] = tuple(
                replace(each, works=each.works or None) for each in found["critic"]
            )
    return found


def _trials(record: RunRecord) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Rows of the report's table of trials."""
    abilities = _abilities(record)
    teaches = record.config.recipe != "rlhf"
    one = teaches and record.named["critic"] == record.named["judge"]
    rows = {}
    for who, found in abilities.items():
        if (who == "critic" and not teaches) or (who == "judge" and one):
            continue
        rows[who] = [{"who": who, **to_json(each)} for each in found]
    return rows


def _untaught(record: RunRecord) -> frozenset[str] | None:
    """Principles under which nothing was taught, as the run itself found out."""
    if record.config.recipe == "rlhf":
        return None
    critic = _abilities(record).get("critic", ())
    return frozenset(each.principle_id for each in critic if each.works is False)


def _comparison(record: RunRecord) -> Rederivation:
    checks = verify_comparison(record.folder)
    problems = [
        f"decisions: {record.name}: {each.name}: {each.detail}" for each in checks if not each.holds
    ]
    problems += [f"decisions: {record.name}: {said}" for said in _shown_otherwise(record)]
    hypotheses = sum(each.name.startswith("hypothesis ") for each in checks)
    said = f"{record.name}: {hypotheses} verdicts and the certificate made again from its samples"
    judged = [
        each.name
        for each in checks
        if each.name == "scores" and '"judged"' in _decisions_text(record)
    ]
    unchecked = (
        (f"{record.name}: scores that a judge gave are taken as it gave them",) if judged else ()
    )
    return Rederivation(
        held=() if problems else (said,), problems=tuple(problems), unchecked=unchecked
    )


def _decisions_text(record: RunRecord) -> str:
    return (record.folder / "decisions.json").read_text(encoding="utf-8")


def _shown_otherwise(record: RunRecord) -> Iterator[str]:
    """Where the report of a comparison says other things than its decisions."""
    confirmed = sum(each["confirmed"] for each in record.json("decisions.json")["verdicts"])
    report = record.report
    if len(report.get("findings", [])) != confirmed:
        yield (
            f"the report shows {len(report.get('findings', []))} findings, the decisions have "
            f"{confirmed}"
        )


def _review(record: RunRecord) -> Rederivation:
    found = verify_paper_review(record.folder)
    problems = [f"decisions: {record.name}: {each}" for each in found.problems]
    if found.complete:
        problems += [f"decisions: {record.name}: {each}" for each in page_problems(record.folder)]
    held = f"{record.name}: the verdict and every page made again from its records"
    return Rederivation(held=() if problems else (held,), problems=tuple(problems))
