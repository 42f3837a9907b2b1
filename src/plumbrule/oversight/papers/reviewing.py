"""The review of a paper: its tree of questions, how it is made, asked again, verified and gated."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from plumbrule.errors import DataError, OutputError
from plumbrule.models import LanguageModel
from plumbrule.oversight.cases import Reliability, ReviewBudget, Rule, Specialist
from plumbrule.oversight.papers.judges import ASKS, PIECE, READER, judges
from plumbrule.oversight.papers.material import (
    FILE,
    Material,
    load_material,
    save_material,
    stored_hash,
)
from plumbrule.oversight.papers.specialists import StatisticsChecks, flaws_in, tools
from plumbrule.oversight.papers.tree import DIMENSIONS, PaperTree
from plumbrule.oversight.records import Node
from plumbrule.oversight.running import Review, answer_questions, review
from plumbrule.oversight.trail import read_records
from plumbrule.oversight.verdicts import State, open_question
from plumbrule.oversight.verifying import ReviewVerification, Tampering, verify_review
from plumbrule.store import Progress

WHOLE_READ = "reading"
"""Name of the check that says whether the paper could be read at all."""


def closed_because(done: Review, *, strict: bool = False) -> tuple[str, ...]:
    """Reasons for a pipeline not to let the paper through; empty where the gate is open.

    The gate is closed where something fails, where a check that was asked for did not take place
    (it crashed, declined, ran out of time or of budget), where the paper could not be read whole,
    or where a person's question is open. Questions for which nobody was given, and kinds of
    statements that the paper does not hold, leave it open: that is no pass, and is said beside
    it. What a person overruled counts as overruled.

    Args:
        done: A review of a paper.
        strict: Close it on everything but the outcome `pass`.
    """
    states = {state.task_id: state for state in done.verdict.states}
    reasons = list(dict.fromkeys(_reasons(done.root, states)))
    if done.verdict.outcome == "fail" and not reasons:
        reasons = list(done.verdict.because)
    if strict and done.verdict.outcome != "pass" and not reasons:
        reasons = [f"the outcome is {done.verdict.outcome}, not pass"]
    return tuple(reasons)


def _reasons(node: Node, states: dict[str, State]) -> Iterator[str]:
    state = states[node.task.id]
    if state.overruled_by is not None:
        if state.outcome != "pass":
            yield f"{node.task.id}: {state.because[0]}"
        return
    question = open_question(node)
    if question is not None:
        yield f"{node.task.id}: {question.person} asked, and not all have answered"
    for report in node.current:
        first = report.rationale.split("\n")[0]
        if report.verdict == "fail":
            yield f"{node.task.id}: {report.specialist} found {_short(first)}"
        elif report.failure is not None:
            yield f"{node.task.id}: {report.specialist} did not check: {_short(first)}"
        elif report.specialist == WHOLE_READ and report.verdict != "pass":
            left = "; ".join(flaw.message for flaw in flaws_in(report)) or first
            yield f"{node.task.id}: the paper could not be read whole: {_short(left)}"
    for child in node.children:
        yield from _reasons(child, states)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


GROUP = "judge"
"""Judgments of one model share its errors, so together they count as one voice."""


def review_paper(
    material: Material,
    *,
    folder: Path,
    judge: LanguageModel | None = None,
    reliability: Reliability | None = None,
    piece: int = PIECE,
    budget: ReviewBudget | None = None,
    depth: int = 3,
    workers: int = 2,
    timeout_seconds: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Review:
    """Review a paper: deterministic checks first, then a model where one is given.

    Args:
        material: The paper and what came with it.
        folder: Where the trail is kept. The same call on the same folder goes on after a kill.
        judge: Model that is asked what no arithmetic can tell; None leaves that openly unchecked.
        reliability: How often the judge is right, as measured on papers of known truth. Without
            it a judge's pass is no pass yet and its fail a doubt.
        piece: Characters of the paper that one question to the judge is about; fewer where its
            context is short.
        budget: Limits of all checks together.
        depth: Levels below the paper that are judged.
        workers: Checks side by side.
        timeout_seconds: Longest wait for one check; None waits forever.
        seed: Of the run.
        progress: Told (reports done, reports in all).

    Raises:
        OutputError: The folder holds the review of something else.
        OutsideError: An endpoint is down or the disk is full; the same call goes on from there.
        LedgerError: The folder's ledger was tampered with.
    """
    tree = PaperTree(
        material=material,
        statistics=StatisticsChecks(material),
        piece=piece,
        judged=judge is not None,
    )
    try:
        done = review(
            tree.root,
            material.sources,
            specialists_for(material, judge, piece=piece),
            folder=folder,
            decompose=tree.decompose,
            dimensions=DIMENSIONS,
            rule=_rule(reliability),
            budget=budget,
            depth=depth,
            workers=workers,
            timeout_seconds=timeout_seconds,
            seed=seed,
            progress=progress,
        )
    except OutputError as error:
        raise _explained(error, folder, material) from error
    save_material(material, folder)
    return done


def answer_paper(
    folder: Path,
    *,
    judge: LanguageModel | None = None,
    piece: int = PIECE,
    workers: int = 2,
    timeout_seconds: float | None = None,
    progress: Progress | None = None,
) -> Review:
    """Ask whoever a person sent a part of a finished review back to.

    Args:
        folder: A finished review of a paper; nothing else is needed.
        judge: Model for questions that go to a judge.
        piece: Characters that it reads at a time at most.
        workers: Checks side by side.
        timeout_seconds: Longest wait for one check; None waits forever.
        progress: Told (reports done, reports in all).

    Raises:
        DataError: The folder's material is not what was reviewed.
        LedgerError: There is no review here, or it was tampered with.
    """
    material = matching_material(folder)
    return answer_questions(
        folder,
        specialists_for(material, judge, piece=piece),
        workers=workers,
        timeout_seconds=timeout_seconds,
        progress=progress,
    )


def matching_material(folder: Path) -> Material:
    """The material of a review, compared with what the review was bound to.

    Raises:
        DataError: It is missing or is not what was reviewed.
        LedgerError: There is no review here.
    """
    manifest = read_records(folder).manifest
    found, names = stored_hash(folder), {"reading", "citations", "numbers"}
    if any(
        not each.version.endswith(f"-{found}")
        for each in manifest.specialists
        if each.name in names
    ):
        raise DataError(
            f"{folder / FILE} is not what was reviewed; review the paper anew in another folder"
        )
    return load_material(folder)


def verify_paper_review(folder: Path, *, expected_head: str | None = None) -> ReviewVerification:
    """Verify a review of a paper, and that what is kept to ask again is what was reviewed.

    Args:
        folder: A review's folder.
        expected_head: Hash of the ledger's last entry, as kept elsewhere.

    Returns:
        As `verify_review`; an altered `material.json` is one more problem.

    Raises:
        ConfigError: There is no such folder.
    """
    found = verify_review(folder, expected_head=expected_head)
    if found.verdict is None or not found.complete:
        return found
    try:
        matching_material(folder)
    except DataError as error:
        there = (folder / FILE).exists()
        altered = Tampering(place=FILE, kind="changed" if there else "dropped", detail=str(error))
        return replace(found, problems=(*found.problems, altered))
    return found


def specialists_for(
    material: Material, judge: LanguageModel | None, *, piece: int = PIECE
) -> list[Specialist]:
    """Everyone who is asked about a paper."""
    length = len(material.paper.text)
    return [*tools(material), *judges(judge, piece=piece, length=length)]


def _rule(reliability: Reliability | None) -> Rule:
    if reliability is None:
        return Rule()
    shared = Reliability(
        sensitivity=reliability.sensitivity, specificity=reliability.specificity, group=GROUP
    )
    return Rule(reliabilities={name: shared for name in (*ASKS, READER)})


def _explained(error: OutputError, folder: Path, material: Material) -> OutputError:
    """Say which paper the folder holds, where that can be told."""
    if "another run" not in str(error):
        return error
    try:
        name = load_material(folder).paper.name
    except DataError:
        name = "something that was not finished"
    return OutputError(
        f"{folder} holds another review, of {name}; this one is of {material.paper.name} with its "
        "text, bibliography, sources, judge and limits as they are now. Choose another --out, or "
        "give the same command on the same files to go on with that one"
    )
