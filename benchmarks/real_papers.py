"""Published papers: whether `plumbrule review` fails sound ones, and how often it is right there.

The papers are those of the shared folder; what is right about each finding was judged by hand and
is kept with its reason in `real_papers_judged.json`. Since hardly any of these papers is wrong,
statistics that journals printed are put to the check of p-values (`real_statistics.json`), and
errors are planted in the papers (`real_papers_planted.py`).
"""

import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import Row, estimated, show, single
from plumbrule.oversight.papers import (
    ReportedFlaw,
    flaws_in,
    read_material,
    review_paper,
)
from plumbrule.oversight.papers.statistics import check_statistics
from plumbrule.statistics import wilson

HERE = Path(__file__).parent
PAPERS = HERE.parent.parent / "shared" / "data" / "papers"
JUDGED = HERE / "real_papers_judged.json"
STATISTICS = HERE / "real_statistics.json"
PRECISION = 0.9


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding in one paper, with what a person made of it."""

    paper: str
    flaw: ReportedFlaw
    right: bool | None
    """None where nobody judged it yet."""

    @property
    def sure(self) -> bool:
        """Whether it can fail a paper."""
        return self.flaw.severity in ("medium", "high")


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """One paper without a judge."""

    paper: str
    outcome: str
    reading: tuple[str, ...]
    """What could not be read."""

    findings: tuple[Finding, ...]


def review_all(folder: Path) -> list[Reviewed]:
    """Review every paper of a folder, without a model."""
    judged = json.loads(JUDGED.read_text("utf-8"))
    return [_reviewed(path, judged) for path in sorted(folder.glob("*/paper.*")) if _is_paper(path)]


def _is_paper(path: Path) -> bool:
    return path.suffix in (".md", ".tex", ".txt", ".pdf")


def _reviewed(path: Path, judged: Sequence[dict[str, object]]) -> Reviewed:
    name = path.parent.name
    material = read_material(path)
    with tempfile.TemporaryDirectory() as out:
        done = review_paper(material, folder=Path(out) / "review")
    flaws = [
        flaw
        for node in done.root.walk()
        for report in node.current
        for flaw in flaws_in(report)
        if flaw.severity != "info" and report.specialist != "reading"
    ]
    return Reviewed(
        paper=name,
        outcome=done.verdict.outcome,
        reading=material.paper.not_read,
        findings=tuple(
            Finding(paper=name, flaw=flaw, right=_right(name, flaw, judged)) for flaw in flaws
        ),
    )


def _right(paper: str, flaw: ReportedFlaw, judged: Sequence[dict[str, object]]) -> bool | None:
    for each in judged:
        if (each["paper"], each["kind"]) == (paper, flaw.kind) and str(
            each["says"]
        ) in flaw.message:
            return bool(each["right"])
    return None


def paper_rows(papers: Sequence[Reviewed]) -> list[Row]:
    """Outcomes, and the share of findings that are right, over papers as they were published."""
    found = [each for paper in papers for each in paper.findings]
    sure = [each for each in found if each.sure]
    wrongly = [
        paper.paper for paper in papers
        if paper.outcome == "fail" and not any(each.right for each in paper.findings if each.sure)
    ]  # fmt: skip
    unjudged = sum(each.right is None for each in found)
    return [
        single("papers that fail without a finding that is right", len(wrongly), unit="papers",
               n=len(papers), target="0", met=not wrongly),
        single("findings that nobody judged", unjudged, unit="findings", n=len(found),
               target="0", met=unjudged == 0),
        _precision("high and medium findings that are right", sure, PRECISION),
        _precision("advice that is right", [each for each in found if not each.sure]),
        single("papers of which something could not be read",
               sum(bool(paper.reading) for paper in papers), unit="papers", n=len(papers)),
    ]  # fmt: skip


def _precision(measure: str, found: Sequence[Finding], least: float | None = None) -> Row:
    target = "" if least is None else f">= {least}"
    if not found:
        return Row(measure=measure, target=target, value=None, low=None, high=None,
                   unit="undefined: there are none", n=0, met=None, seeds=[0])  # fmt: skip
    right = sum(bool(each.right) for each in found)
    met = None if least is None else right / len(found) >= least
    return estimated(measure, wilson(right, len(found), unit="share"), target=target, met=met)


def statistics_rows() -> list[Row]:
    """Statistics as journals printed them: is what is wrong told, and what can be explained not?"""
    sure, told, wrong, found = [0, 0], [0, 0], 0, 0
    for each in json.loads(STATISTICS.read_text("utf-8")):
        text = f"{each['elsewhere']}\n\nWe found {each['statement']}."
        verdicts = [one.verdict for one in check_statistics(text) if one.flagged]
        wrong += each["wrong"]
        found += each["wrong"] and bool(verdicts)
        for counts, hit in ((told, bool(verdicts)), (sure, "decision error" in verdicts)):
            counts[0] += hit and each["wrong"]
            counts[1] += hit
    return [
        estimated("printed statistics: high findings that are right",
                  wilson(sure[0], sure[1], unit="share"), target=f">= {PRECISION}",
                  met=sure[0] >= PRECISION * sure[1]),
        estimated("printed statistics: findings that are right, advice too",
                  wilson(told[0], told[1], unit="share")),
        estimated("printed statistics: errors found", wilson(found, wrong, unit="recall")),
    ]  # fmt: skip


def main() -> None:
    """Print every finding and the table, and write the rows where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=Path, default=PAPERS, help="folder of papers")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    asked = parser.parse_args()
    if not asked.papers.is_dir():
        parser.error(f"expected a folder of papers, there is none at {asked.papers}; give --papers")
    papers = review_all(asked.papers)
    for paper in papers:
        for each in paper.findings:
            word = {True: "right", False: "wrong", None: "not judged"}[each.right]
            flaw = each.flaw
            print(f"{each.paper}: {flaw.severity} {flaw.kind}: {flaw.message[:200]} [{word}]")
    table = [*paper_rows(papers), *statistics_rows()]
    show("Reviewing published papers", table, asked.json)


if __name__ == "__main__":
    main()
