"""The review of a paper: its tree of questions, how it is made, asked again, verified and gated."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.models import LanguageModel
from plumbrule.oversight.asking import missed
from plumbrule.oversight.cases import Case, Reliability, ReviewBudget, Rule, Specialist
from plumbrule.oversight.debating import ModelJudge
from plumbrule.oversight.papers.document import Paper
from plumbrule.oversight.papers.material import (
    FILE,
    PAPER,
    Material,
    load_material,
    save_material,
    stored_hash,
)
from plumbrule.oversight.papers.specialists import StatisticsChecks, flaws_in, tools
from plumbrule.oversight.records import FREE, Kind, Node, Opinion, ReviewCost, Span, Task
from plumbrule.oversight.running import Review, answer_questions, review
from plumbrule.oversight.trail import ReviewVerification, Tampering, read_records, verify_review
from plumbrule.oversight.verdicts import State, open_question
from plumbrule.oversight.whole_reader import WholeReader
from plumbrule.store import Progress

ASKS: Mapping[str, str] = {
    "method": (
        "Is the method sound: can its design, sample, measures and analyses answer the question "
        "that the paper asks?"
    ),
    "logic": "Does each conclusion follow from a result that the paper reports?",
    "overclaiming": (
        "Do abstract and conclusions claim no more than the results show: no cause from a "
        "correlation, no generality beyond the sample, no certainty beyond the data?"
    ),
}
"""Questions to which a sound paper answers yes, by the dimension they speak to."""

PIECE = 24_000
"""Characters of a paper that one question is about; some 6,000 tokens. A longer paper is judged
in pieces, and for all questions but that of the method the abstract goes along with each."""

WHOLE = "whole picture"
"""Whether the parts, held against each other, agree: only one who reads all of them can say."""

READER = "whole reader"
"""Name of the model that reads everything, and can overturn parts that all pass."""

CHUNK = 6000
"""Characters that it reads at a time, where `piece` is not less."""

SHORTEST_PIECE = 200
NO_MODEL = "no model was given to judge it (--judge)"


@dataclass(frozen=True, kw_only=True)
class NoJudge:
    """Stands where a model would be asked, and says that nobody was."""

    name: str
    reason: str = NO_MODEL
    version: str = "none"
    kind: Kind = "model"
    most: ReviewCost = FREE

    def check(self, case: Case) -> Opinion:
        """Say so; no failure of anyone's, since nobody was asked."""
        del case
        return Opinion(
            verdict="not checked",
            rationale=self.reason,
            confidence_reason="nothing was checked",
            not_checked=(self.reason,),
        )


def judges(model: LanguageModel | None, *, piece: int = PIECE, length: int) -> list[Specialist]:
    """One specialist for each question of `ASKS`, and one for the whole.

    Args:
        model: Criticizes first, and then judges with the critique beside its contrary, in both
            orders. None leaves every question openly unchecked.
        piece: Characters that one question is about; stands in the specialists' version.
        length: Characters of the paper, which decide how often the reader of the whole is asked.

    Raises:
        ConfigError: `piece` is too short to judge anything.
    """
    if piece < SHORTEST_PIECE:
        raise ConfigError(f"a piece has at least {SHORTEST_PIECE} characters, got {piece}")
    if model is None:
        return [NoJudge(name=name) for name in (*ASKS, READER)]
    chunk = min(CHUNK, piece)
    reader = WholeReader(
        name=READER, model=model, chunk=chunk,
        # A piece ends no earlier than half way, so this is never too few.
        most_chunks=2 * length // chunk + 1,
    )  # fmt: skip
    return [
        *[
            PaperJudge(
                name=name,
                inner=ModelJudge(name=name, judge=model, critic=model),
                piece=piece,
            )
            for name in ASKS
        ],
        reader,
    ]


@dataclass(frozen=True, kw_only=True)
class PaperJudge:
    """A model's judgment of a piece of a paper; a piece without words is not judged."""

    name: str
    inner: ModelJudge
    piece: int
    kind: Kind = "model"

    @property
    def version(self) -> str:
        """Of the models, the words they are asked with, and how long a piece is."""
        return f"{self.inner.version}-{self.piece}"

    @property
    def most(self) -> ReviewCost:
        """As of the judge within."""
        return self.inner.most

    def check(self, case: Case) -> Opinion:
        """Ask, unless there is nothing to ask about."""
        if not case.text.strip():
            return missed("the piece holds no words", "error")
        return self.inner.check(case)


def pieces(paper: Paper, name: str, *, size: int = PIECE) -> list[tuple[Span, ...]]:
    """The spans of each question of one kind: the paper without its list of references.

    Args:
        paper: The paper.
        name: A key of `ASKS`.
        size: Characters of a piece at most, the abstract that goes along not counted.

    Returns:
        One list of spans a question, in the order of the text; a paper that is short enough
        makes one.
    """
    end = paper.references.start if paper.references else len(paper.text)
    after = paper.references.end if paper.references else len(paper.text)
    bounds = [*_cuts(paper, 0, end, size), *_cuts(paper, after, len(paper.text), size)]
    bounds = [(a, b) for a, b in bounds if paper.text[a:b].strip()] or [(0, len(paper.text))]
    spans = [Span(source=PAPER, start=a, end=b) for a, b in bounds]
    abstract = paper.abstract
    if abstract is None or name == "method" or len(spans) == 1:
        return [(span,) for span in spans]
    along = Span(source=PAPER, start=abstract.start, end=min(abstract.end, abstract.start + size))
    return [(span,) if span.start <= abstract.start < span.end else (along, span) for span in spans]


def _cuts(paper: Paper, start: int, end: int, size: int) -> Sequence[tuple[int, int]]:
    """Cut a stretch where a section or else a line or a sentence ends, into as few as fit."""
    found, heads = [], sorted({each.start for each in paper.sections})
    while end - start > size:
        cut = max((at for at in heads if start + size // 2 < at <= start + size), default=-1)
        for mark in ("\n\n", "\n", ". ", " "):
            if cut < 0:
                at = paper.text.rfind(mark, start + size // 2, start + size)
                cut = at + len(mark) if at >= 0 else -1
        cut = start + size if cut < 0 else cut
        found.append((start, cut))
        start = cut
    return [*found, (start, end)] if start < end else found


ROOT = "paper"
DIMENSIONS = (
    "citations",
    "statistics",
    "numbers",
    "method",
    "logic",
    "overclaiming",
    "instructions",
    WHOLE,
)
"""What a paper should be judged on; the whole does not pass while one of them is uncovered."""


@dataclass(frozen=True, kw_only=True)
class PaperTree:
    """Cuts the question about a paper into parts, by what the paper holds."""

    material: Material
    statistics: StatisticsChecks
    piece: int
    judged: bool
    """Whether a model is there to judge; without one a long paper is not cut into pieces."""

    @property
    def root(self) -> Task:
        """The whole."""
        return Task(
            id=ROOT,
            asks=f"Does {_printable(self.material.paper.name)} hold up?",
            spans=(_whole(self.material),),
            dimensions=(WHOLE,),
            specialists=(READER,),
        )

    def decompose(self, task: Task, sources: Mapping[str, str]) -> Sequence[Task]:
        """Parts of the paper's question, then sections of statistics, then pieces to judge."""
        del sources
        if task.id == ROOT:
            return self._parts()
        if task.id == f"{ROOT}/statistics":
            return self._sections()
        name = task.id.removeprefix(f"{ROOT}/")
        return self._pieces(task, name) if name in ASKS else ()

    def _parts(self) -> list[Task]:
        citing = ["citations"]
        citing += ["bibliography"] if self.material.bibliography else []
        citing += ["sources"] if self.material.cited is not None else []
        found = [
            self._part("reading", "Could the whole paper be read?"),
            self._part(
                "citations",
                "Do citations and references agree with each other and with what was given?",
                *citing,
            ),
            self._statistics(),
            self._part("numbers", "Do the numbers of abstract, text and tables agree?"),
            *[self._judged(name) for name in ASKS],
            self._part(
                "instructions", "Is nothing in the paper addressed to its reviewer?", required=False
            ),
        ]
        return found

    def _part(self, name: str, asks: str, *specialists: str, required: bool = True) -> Task:
        return Task(
            id=f"{ROOT}/{name}",
            asks=asks,
            spans=(_whole(self.material),),
            dimensions=(name,) if name in DIMENSIONS else (),
            specialists=specialists or (name,),
            required=required,
        )

    def _statistics(self) -> Task:
        """Asked section by section; whole only where there is no statistic to ask about."""
        asks = "Do the reported statistics agree with their own arithmetic?"
        if not self.statistics.findings:
            return self._part("statistics", asks)
        return Task(id=f"{ROOT}/statistics", asks=asks, spans=(_whole(self.material),))

    def _sections(self) -> list[Task]:
        """Each section that reports statistics; needed where at least one could be recomputed."""
        paper, found = self.material.paper, self.statistics.findings
        starts = sorted({0, *(each.start for each in paper.sections), len(paper.text) + 1})
        tasks: list[Task] = []
        for start, end in pairwise(starts):
            inside = [each for each in found if start <= each.start < end]
            if not inside:
                continue
            title = paper.section_at(start)
            tasks.append(
                Task(
                    id=f"{ROOT}/statistics/{len(tasks) + 1:02d}-{_slug(title)}",
                    asks=f"Do the statistics under “{_printable(title) or 'no heading'}” agree "
                    "with their own arithmetic?",
                    spans=(Span(source=PAPER, start=start, end=min(end, len(paper.text))),),
                    dimensions=("statistics",),
                    specialists=("statistics",),
                    required=any(each.verdict != "not checked" for each in inside),
                )
            )
        return tasks

    def _judged(self, name: str) -> Task:
        cuts = pieces(self.material.paper, name, size=self.piece)
        alone = len(cuts) == 1 or not self.judged
        return Task(
            id=f"{ROOT}/{name}",
            asks=ASKS[name],
            spans=cuts[0] if len(cuts) == 1 else (_whole(self.material),),
            dimensions=(name,) if alone else (),
            specialists=(name,) if alone else (),
        )

    def _pieces(self, task: Task, name: str) -> list[Task]:
        cuts = pieces(self.material.paper, name, size=self.piece)
        if len(cuts) == 1 or not self.judged:
            return []
        return [
            Task(
                id=f"{task.id}/{number:03d}",
                asks=ASKS[name],
                spans=spans,
                dimensions=(name,),
                specialists=(name,),
            )
            for number, spans in enumerate(cuts, 1)
        ]


def _whole(material: Material) -> Span:
    return Span(source=PAPER, start=0, end=len(material.paper.text))


def _printable(title: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())[
        :80
    ]


def _slug(title: str) -> str:
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join(words)[:40].strip("-") or "text"


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
