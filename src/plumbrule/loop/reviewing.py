"""A review with its page, in a folder of its own: for the command and for Python."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbrule.errors import ConfigError
from plumbrule.models import LanguageModel, probe
from plumbrule.oversight import Reliability, Review, ReviewBudget, send_back
from plumbrule.oversight.papers import (
    Material,
    answer_paper,
    load_material,
    matching_material,
    read_material,
    review_paper,
)
from plumbrule.oversight.papers.judges import PIECE
from plumbrule.oversight.trail import read_records
from plumbrule.oversight.verdicts import open_question
from plumbrule.report import write_review_page
from plumbrule.store import Tell, silent


@dataclass(frozen=True, kw_only=True)
class PaperReview:
    """A review of a paper, its page, and what the page shows."""

    review: Review
    material: Material
    page: Path
    content: Mapping[str, Any]
    """What `report.json` holds."""


def review_and_report(
    folder: Path,
    paper: Path,
    *,
    bibliography: Path | None = None,
    sources: Path | None = None,
    judge: LanguageModel | None = None,
    reliability: Reliability | None = None,
    budget: ReviewBudget | None = None,
    piece: int = PIECE,
    depth: int = 3,
    workers: int = 2,
    timeout_seconds: float | None = None,
    seed: int = 0,
    tell: Tell = silent,
) -> PaperReview:
    """Read a paper, review it, and write the page.

    Args:
        folder: Of the review; one that was stopped there goes on.
        paper: Markdown, LaTeX, plain text or PDF.
        bibliography: A `.bib` file that is trusted.
        sources: Folder with the texts of cited works.
        judge: Model for what no arithmetic can tell; asked once before anything else.
        reliability: How often the judge is right, as measured.
        budget: Limits of all checks together.
        piece: Characters of the paper that one question to the judge is about.
        depth: Levels below the paper that are judged.
        workers: Checks side by side.
        timeout_seconds: Longest wait for one check; None waits forever.
        seed: Decides every random choice.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    tell("reading", 0, 1)
    if judge is not None:
        probe(judge)
    material = read_material(paper, bibliography=bibliography, sources=sources)
    tell("reading", 1, 1)
    done = review_paper(
        material,
        folder=folder,
        judge=judge,
        reliability=reliability,
        budget=budget,
        piece=piece,
        depth=depth,
        workers=workers,
        timeout_seconds=timeout_seconds,
        seed=seed,
        progress=lambda done, total: tell("reviewing", done, total),
    )
    return _reported(done, folder)


def answer_and_report(
    folder: Path,
    *,
    judge: LanguageModel | None = None,
    piece: int = PIECE,
    workers: int = 2,
    timeout_seconds: float | None = None,
    tell: Tell = silent,
) -> PaperReview:
    """Get the reports that people asked for, work out the verdict again, and write the page.

    Args:
        folder: Of a review; where no question is open, nothing is asked.
        judge: Model for questions that go to a judge.
        piece: Characters that it reads at a time at most.
        workers: Checks side by side.
        timeout_seconds: Longest wait for one check; None waits forever.
        tell: Told of progress.

    Raises:
        PlumbruleError: The folder holds no review or an altered one, or a part outside failed.
    """
    check_reviewed(folder)
    done = answer_paper(
        folder,
        judge=judge,
        piece=piece,
        workers=workers,
        timeout_seconds=timeout_seconds,
        progress=lambda done, total: tell("asking again", done, total),
    )
    return _reported(done, folder)


def check_reviewed(folder: Path) -> None:
    """Refuse a folder without a review of a paper, or whose paper is not the one reviewed.

    Raises:
        ConfigError: There is no review.
        DataError: What is kept of the paper is not what was reviewed.
    """
    if not (folder / "ledger.db").is_file():
        raise ConfigError(
            f"expected the folder of a review, {folder} holds none; begin one with "
            f"plumbrule review PAPER --out {folder}"
        )
    matching_material(folder)


def send_back_once(
    folder: Path, part: str, question: str, *, person: str, human_minutes: float = 0.0
) -> None:
    """Send a part back with a question, unless this very question of this person is still open.

    It is open where getting its answer failed, so that the same command can be given again.

    Args:
        folder: Of the review.
        part: Which part, such as `paper/numbers`.
        question: What the new reports must speak to.
        person: Who asks.
        human_minutes: What reading and deciding took.

    Raises:
        ConfigError: No such part, nobody there to ask, or minutes below 0.
    """
    for node in read_records(folder).tree.walk():
        asked = open_question(node) if node.task.id == part else None
        if asked is not None and (asked.person, asked.text) == (person, question):
            return
    send_back(folder, part, question, person=person, human_minutes=human_minutes)


def _reported(done: Review, folder: Path) -> PaperReview:
    page = write_review_page(folder)
    return PaperReview(
        review=done,
        material=load_material(folder),
        page=page,
        content=json.loads(page.with_name("report.json").read_bytes()),
    )
