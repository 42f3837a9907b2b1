"""Compares a paper's list of references with a bibliography that is trusted."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from plumbrule.errors import DataError
from plumbrule.oversight.papers.bibtex import parse_bibtex
from plumbrule.oversight.papers.document import Check, Entry, Flaw, Paper, in_order
from plumbrule.oversight.papers.names import SAME_TITLE, same_surname, similar, title_words

OTHER_TITLE = 0.6
"""Similarity under which two titles of one identifier are called different."""

MOST_CANDIDATES = 20
"""Works of the bibliography whose titles are compared with one entry's, the closest first."""


def check_bibliography(paper: Paper, path: Path) -> Check:
    """Compare each entry of a paper with the same work in a `.bib` file.

    Works are the same if their DOI is, or if their titles are alike. Kinds: `entry_disagrees`,
    `entry_not_in_bibliography`, `broken_entry`.

    Raises:
        DataError: The file is missing or holds no entry that can be read.
    """
    if not path.is_file():
        raise DataError(f"expected a bibliography, there is no file at {path}; check the path")
    found = parse_bibtex(path.read_text(encoding="utf-8", errors="replace"))
    if not found.entries:
        raise DataError(f"{path} holds no BibTeX entry that can be read; check the file")
    index = _Index(found.entries)
    flaws: list[Flaw] = []
    not_checked = [
        f"{path.name}, line {each.line}: the entry {each.key or 'there'} is broken: {each.reason}"
        for each in found.broken
    ]
    for entry in paper.entries:
        if not entry.title and not entry.doi:
            not_checked.append(f"no title could be read in the entry `{entry.text[:60]}`")
            continue
        known = index.find(entry)
        flaws += [_unknown(paper, entry, path)] if known is None else _compare(paper, entry, known)
    return Check(
        name="bibliography",
        checked=len(paper.entries),
        flaws=in_order(flaws),
        not_checked=tuple(not_checked),
    )


class _Index:
    """Finds the work that an entry means without comparing it with all of them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._by_doi = {each.doi.lower(): each for each in entries if each.doi}
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for number, entry in enumerate(entries):
            for word in title_words(entry.title):
                self._by_word[word].append(number)

    def find(self, entry: Entry) -> Entry | None:
        """The work of the same title, or else of the same DOI; None where there is none."""
        words = sorted(title_words(entry.title), key=lambda word: len(self._by_word.get(word, ())))
        shared = Counter(
            number for word in words[:8] for number in self._by_word.get(word, ())[:500]
        )
        best, score = None, SAME_TITLE - 0.05
        for number, _ in shared.most_common(MOST_CANDIDATES):
            alike = similar(entry.title, self._entries[number].title)
            if alike > score:
                best, score = self._entries[number], alike
        return best or self._by_doi.get(entry.doi.lower())


def _unknown(paper: Paper, entry: Entry, path: Path) -> Flaw:
    return Flaw(
        kind="entry_not_in_bibliography",
        severity="low",
        message=f"no work in {path.name} has this title or DOI",
        evidence=(paper.evidence(entry.start, entry.end),),
    )


def _compare(paper: Paper, entry: Entry, known: Entry) -> Iterator[Flaw]:
    for what, ours, theirs in _differences(entry, known):
        yield Flaw(
            kind="entry_disagrees",
            severity="low",
            message=f"the {what} is {ours} in the paper and {theirs} in the bibliography",
            evidence=(paper.evidence(entry.start, entry.end),),
        )


def _differences(entry: Entry, known: Entry) -> Iterator[tuple[str, str, str]]:
    if entry.year and known.year and entry.year[:4] != known.year[:4]:
        yield "year", entry.year, known.year
    if entry.authors and known.authors and not same_surname(entry.authors[0], known.authors[0]):
        yield "first author", entry.authors[0], known.authors[0]
    if entry.title and known.title and similar(entry.title, known.title) < OTHER_TITLE:
        yield "title", f"“{entry.title}”", f"“{known.title}”"
    if entry.doi and known.doi and entry.doi.lower() != known.doi.lower():
        yield "DOI", entry.doi, known.doi
