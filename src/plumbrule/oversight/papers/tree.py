"""The tree of a paper's review: the question about it, cut into parts by what the paper holds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from plumbrule.oversight.papers.judges import ASKS, READER, WHOLE, pieces
from plumbrule.oversight.papers.material import PAPER, Material
from plumbrule.oversight.papers.specialists import StatisticsChecks
from plumbrule.oversight.records import Span, Task

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
