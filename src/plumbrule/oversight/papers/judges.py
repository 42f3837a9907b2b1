"""A model's judgment of a paper: what it is asked, of which pieces, and who stands in for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumbrule.errors import ConfigError
from plumbrule.models import LanguageModel
from plumbrule.oversight.asking import missed
from plumbrule.oversight.cases import Case, Specialist
from plumbrule.oversight.debating import ModelJudge
from plumbrule.oversight.papers.document import Paper
from plumbrule.oversight.papers.material import PAPER
from plumbrule.oversight.records import FREE, Kind, Opinion, ReviewCost, Span
from plumbrule.oversight.whole_reader import WholeReader

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
        piece: Characters that one question is about; part of the specialists' version.
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
