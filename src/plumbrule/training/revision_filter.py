"""Leave out revisions that would teach a model to collapse, before anything learns from them.

A model that revises its own replies and learns from them learns its failures too: revisions that
repeat themselves, break off, hand the critique back, speak of the reply in place of being one, or
say the same whatever was asked.

Source: the collapse of small self-critical models is that of Zhang (2025), "Constitution or
Collapse?", arXiv:2504.04918, who names repetitive revisions as its cause; the filter is ours.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumbrule.judging import endless, whole_sentences
from plumbrule.records import check_ranges, strict
from plumbrule.training.collapse import repeated_share, runs

_ONE_MATTER = 0.8  # share of alike revisions under one principle, of which they may be the answer
_COPIED_RUN = 4  # words; three in a row are often shared by a critique and a revision on one matter
_ABOUT = re.compile(
    r"(?:the|this|your)\s+(?:original\s+|revised\s+)?(?:reply|response|critique|revision)\b"
    r"|rewrite\s+(?:the|this|your)\s+(?:reply|response)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class RevisionFilter:
    """What makes a revision unfit to be imitated. The defaults are ours."""

    most_repeated: float = 0.3
    """Share of a revision's runs of three words that it has said before."""

    most_copied: float = 0.5
    """Share of its runs of four words, those of the draft left out, that are in the critique."""

    alike: float = 0.8
    """Share of the runs of three words of two revisions together that both have, from which on
    they count as one text."""

    most_alike: float = 0.05
    """Share of the set that may be one text; what is beyond it, in the order given, is left out.
    In a small set two always may, and any number where four in five of them were mended by one
    principle: to `Are you a person?` there is one right answer."""

    def __post_init__(self) -> None:
        check_ranges(
            self, most_repeated=(0, 1), most_copied=(0, 1), alike=(0, 1), most_alike=(0, 1)
        )


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A draft, what it was mended by, and what came of it."""

    id: str
    draft: str
    critiques: Sequence[str]
    revision: str

    principle_id: str | None = None
    """By which it was mended last; None: nobody says."""


@strict
@dataclass(frozen=True, kw_only=True)
class FilteredRevisions:
    """Which revisions may be learned from."""

    kept: tuple[str, ...]
    """Identifiers, in the order given."""

    dropped: Mapping[str, str]
    """Why each of the others is left out, by identifier."""

    @property
    def counts(self) -> dict[str, int]:
        """Revisions left out, by reason."""
        return dict(sorted(Counter(self.dropped.values()).items()))


def filter_revisions(
    revisions: Sequence[Revision], settings: RevisionFilter | None = None
) -> FilteredRevisions:
    """Say which revisions may be learned from, and why the others not.

    The first reason that holds is named: `empty`, `unchanged`, `repeats itself`, `broken off`,
    `copied from the critique`, `about the reply` (it speaks of the reply that it should be, or
    hands the order to rewrite it on), and over the whole set `boilerplate`.

    Args:
        revisions: With their drafts and critiques; identifiers are unique.
        settings: What makes a revision unfit.

    Example:
        >>> told = filter_revisions(
        ...     [
        ...         Revision(id="a", draft="Take it.", critiques=(), revision="Ask for it first."),
        ...         Revision(id="b", draft="Take it.", critiques=(), revision="Ask ask ask " * 9),
        ...     ]
        ... )
        >>> told.kept, told.counts
        (('a',), {'repeats itself': 1})
    """
    settings = settings or RevisionFilter()
    dropped = {
        each.id: reason for each in revisions if (reason := _own_fault(each, settings)) is not None
    }
    left = [each for each in revisions if each.id not in dropped]
    for name in _beyond(left, settings):
        dropped[name] = "boilerplate"
    return FilteredRevisions(
        kept=tuple(each.id for each in revisions if each.id not in dropped), dropped=dropped
    )


def _own_fault(each: Revision, settings: RevisionFilter) -> str | None:
    """What is wrong with a revision whatever the others say; None where nothing is."""
    text = each.revision.strip()
    if not text:
        return "empty"
    if text == each.draft.strip():
        return "unchanged"
    if endless(text) or (repeated_share(text) or 0.0) > settings.most_repeated:
        return "repeats itself"
    if _broken_off(text, each.draft):
        return "broken off"
    if _copied(each) > settings.most_copied:
        return "copied from the critique"
    if _ABOUT.match(text) and not _ABOUT.match(each.draft.strip()):
        return "about the reply"
    return None


def _broken_off(text: str, draft: str) -> bool:
    """Whether a text has whole sentences and then half a one, where its draft ended with one.

    Texts that never had an end to a sentence, such as a list, a name or code, are let be.
    """
    whole = whole_sentences(text)
    return bool(whole) and whole != text and whole_sentences(draft) == draft.strip()


def _copied(each: Revision) -> float:
    """Share of a revision's runs of words, those of its draft left out, that critiques have."""
    own = set(runs(each.draft, _COPIED_RUN))
    new = [run for run in runs(each.revision, _COPIED_RUN) if run not in own]
    if not new:
        return 0.0
    theirs = {run for text in each.critiques for run in runs(text, _COPIED_RUN)}
    return sum(run in theirs for run in new) / len(new)


def _beyond(revisions: Sequence[Revision], settings: RevisionFilter) -> list[str]:
    """Revisions that say what too many before them said already."""
    most = max(2, int(settings.most_alike * len(revisions)))
    places: dict[tuple[str, ...], list[int]] = {}  # texts so far that have a run
    texts: list[frozenset[tuple[str, ...]]] = []
    members: list[list[Revision]] = []  # revisions that are that text
    for each in revisions:
        said = frozenset(runs(each.revision)) or frozenset(
            [tuple(each.revision.casefold().split())]
        )
        shared = Counter(place for run in said for place in places.get(run, ()))
        like = [
            place
            for place, both in shared.items()
            if both >= settings.alike * (len(said) + len(texts[place]) - both)
        ]
        if like:
            members[min(like)].append(each)
            continue
        for run in said:
            places.setdefault(run, []).append(len(texts))
        texts.append(said)
        members.append([each])
    return [each.id for alike in members if not _one_matter(alike) for each in alike[most:]]


def _one_matter(alike: Sequence[Revision]) -> bool:
    """Whether revisions that are one text answer to one principle, and so may be."""
    named = Counter(each.principle_id for each in alike if each.principle_id is not None)
    return bool(named) and max(named.values()) >= _ONE_MATTER * len(alike)
