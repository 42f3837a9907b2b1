"""All that a review of a paper rests on, read once and kept beside the review."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from plumbrule.errors import DataError
from plumbrule.oversight.papers.bibliographies import read_bibliography
from plumbrule.oversight.papers.document import Paper, PaperEvidence
from plumbrule.oversight.papers.reading import read_paper
from plumbrule.oversight.papers.support import file_name, read_cited
from plumbrule.oversight.records import Quote
from plumbrule.records import from_json, strict, to_json
from plumbrule.store import canonical, fingerprint, write_atomic

PAPER = "paper"
HIDDEN = "hidden"
BIBLIOGRAPHY = "bibliography"
CITED = "cited/"
"""What the sources of a review are called; a cited work is `cited/` and its file's name."""

FILE = "material.json"


@strict
@dataclass(frozen=True, kw_only=True)
class Material:
    """A paper and what came with it."""

    paper: Paper
    bibliography_name: str
    """Of the file; empty where none was given."""

    bibliography: str
    """Text of the file; empty where none was given."""

    cited: Mapping[str, str] | None
    """Text of each cited work by its file's name; None where no folder was given."""

    not_read: tuple[str, ...]
    """Files of that folder that could not be read, and why."""

    @cached_property
    def hash(self) -> str:
        """What the answers of deterministic checks depend on, in 16 characters."""
        return fingerprint(to_json(self))[:16]

    @cached_property
    def sources(self) -> dict[str, str]:
        """The texts of the review by their ids."""
        found = {PAPER: self.paper.text}
        if self.paper.hidden:
            found[HIDDEN] = "".join(_listed(self.paper))
        if self.bibliography:
            found[BIBLIOGRAPHY] = self.bibliography
        return found | {f"{CITED}{name}": text for name, text in (self.cited or {}).items()}

    def quote(self, evidence: PaperEvidence) -> Quote | None:
        """Evidence of a check as a quote of a source; None where its words are in none."""
        start, text = evidence.start, self.paper.text
        if evidence.quote and text[start : evidence.end] == evidence.quote:
            return Quote(source=PAPER, start=start, end=evidence.end, text=evidence.quote)
        at = self._hidden_place(evidence) if evidence.hidden and evidence.quote else -1
        if at < 0:
            return None
        end = at + len(evidence.quote)
        return Quote(source=HIDDEN, start=at, end=end, text=evidence.quote)

    def _hidden_place(self, evidence: PaperEvidence) -> int:
        """Where hidden words are in their list: in their own piece, or else in any."""
        at = 0
        for piece, line in zip(self.paper.hidden, _listed(self.paper), strict=True):
            inside = line.find(evidence.quote, len(_head(piece.how, piece.start)))
            if inside >= 0 and (piece.start, piece.how) == (evidence.start, evidence.hidden):
                return at + inside
            at += len(line)
        return self.sources.get(HIDDEN, "").find(evidence.quote)


def _listed(paper: Paper) -> Iterator[str]:
    for piece in paper.hidden:
        yield f"{_head(piece.how, piece.start)}{piece.text}\n\n"


def _head(how: str, start: int) -> str:
    return f"[{how}, at character {start} of the paper]\n"


def read_material(
    paper: Path, *, bibliography: Path | None = None, sources: Path | None = None
) -> Material:
    """Read a paper, and the bibliography and cited works that it is to be compared with.

    Args:
        paper: Markdown, LaTeX, plain text or PDF.
        bibliography: A `.bib` file that is trusted.
        sources: A folder with the texts of cited works, named as `check_sources` says. Every
            file of a known format in it is read; one that cannot be is named in `not_read`.

    Raises:
        DataError: A file is missing or cannot be read at all; the message says why.
        ConfigError: The paper is a PDF, and the library for it is not installed.
    """
    cited, unread = (None, []) if sources is None else read_cited(sources)
    found = read_paper(paper)
    return Material(
        paper=replace(found, name=file_name(paper)),
        bibliography_name="" if bibliography is None else file_name(bibliography),
        bibliography="" if bibliography is None else read_bibliography(bibliography),
        cited=cited,
        not_read=tuple(unread),
    )


def save_material(material: Material, folder: Path) -> None:
    """Keep the material beside its review."""
    write_atomic(folder / FILE, canonical(to_json(material)) + "\n")


def load_material(folder: Path) -> Material:
    """The material of a review.

    Raises:
        DataError: There is none, or it is damaged.
    """
    return from_json(Material, _read(folder / FILE), origin=str(folder / FILE))


def stored_hash(folder: Path) -> str:
    """Hash of the material as it lies in a folder, whatever version of this package wrote it.

    Raises:
        DataError: There is none, or it is damaged.
    """
    return fingerprint(_read(folder / FILE))[:16]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"expected {path}, which a finished review of a paper has; it cannot be read. Give "
            "the command that began the review again, it goes on from there"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; review the paper anew") from error
