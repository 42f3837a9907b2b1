"""What a curation is told to do, what it counts, and the pages that say so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from plumbrule.constitution import Constitution
from plumbrule.data import Corpus
from plumbrule.data.corpus import LONGEST_PASSAGE
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import ClassifierTrial
from plumbrule.records import check_ranges, strict, to_json
from plumbrule.training import Document
from plumbrule.version import __version__

Fate = Literal["keep", "weigh", "revise", "drop"]
"""What happens to a passage, the mildest first."""

FATES: tuple[Fate, ...] = ("keep", "weigh", "revise", "drop")


@strict
@dataclass(frozen=True, kw_only=True)
class Curation:
    """What is done with passages, and who decides."""

    broken: Fate = "drop"
    """Of a passage that breaks a principle, unless `fates` says otherwise for that principle."""

    fates: Mapping[str, Fate] = field(default_factory=dict)
    """Principle → what its breach does. Where several are broken, the harshest counts."""

    weight: float = 0.2
    """Of a passage that is weighed down, beside 1 for the others; 0 up to 1."""

    undecided: Fate = "keep"
    """Of a passage that breaks nothing, and under a principle of which nothing was decided."""

    judged: int | None = None
    """Passages that the judge reads, drawn at random; a classifier of its rulings reads the rest.
    None: the judge reads all."""

    margin: float = 0.1
    """A classifier's probabilities this near to 0.5 decide nothing."""

    longest: int = LONGEST_PASSAGE
    """Characters of a passage; a longer one is cut."""

    shard_size: int = 32
    """Passages that a judge reads between two writes to the disk."""

    seed: int = 0
    """Decides which passages are judged, and what a judge or reviser draws."""

    def __post_init__(self) -> None:
        for name in ("broken", "undecided", *self.fates.values()):
            fate = getattr(self, name, name)
            if fate not in FATES:
                raise ConfigError(f"a passage's fate is one of {', '.join(FATES)}, got {fate!r}")
        check_ranges(
            self,
            weight=(0, 1),
            judged=(1, 10**7),
            margin=(0, 0.49),
            longest=(20, 10**6),
            shard_size=(1, 10**5),
        )
        if self.undecided == "revise":
            raise ConfigError("what is undecided can be kept, weighed or dropped, not revised")


@strict
@dataclass(frozen=True, kw_only=True)
class PrincipleCount:
    """What one principle did to a corpus, in passages."""

    principle_id: str

    breaks: int
    keeps: int
    undecided: int

    not_asked: int
    """Dropped by the constitution's words before a judge was asked about them."""

    by: Mapping[str, int]
    """Who found the breaches: `words`, `judge`, `classifier`."""

    alone: int
    """Passages that break this principle and no other."""


@strict
@dataclass(frozen=True, kw_only=True)
class CorpusCount:
    """Passages and characters of one fate."""

    passages: int
    characters: int


@dataclass(frozen=True, kw_only=True)
class CuratedCorpus:
    """A curated corpus on disk."""

    path: Path
    constitution_sha256: str
    corpus_sha256: str
    fates: Mapping[str, CorpusCount]
    """Fate → what met it, in the corpus's own characters."""

    principles: tuple[PrincipleCount, ...]
    classifiers: tuple[ClassifierTrial, ...]
    undecided: int
    """Passages that break nothing that was decided, and of which something was not."""

    @property
    def passages(self) -> int:
        """All of them."""
        return sum(each.passages for each in self.fates.values())

    @property
    def kept(self) -> int:
        """Those to learn from, weighed down and rewritten ones among them."""
        return self.passages - self.fates["drop"].passages

    def documents(self) -> list[Document]:
        """What is kept, with weights, for `train_documents`.

        Raises:
            DataError: Nothing was kept.
        """
        with (self.path / "kept.jsonl").open("rb") as lines:
            rows = [json.loads(line) for line in lines]
        found = [Document(id=row["id"], text=row["text"], weight=row["weight"]) for row in rows]
        if not found:
            raise DataError(
                f"expected passages to learn from, all {self.passages} of the corpus were dropped; "
                "see the report for which principle drops how many, or weigh instead of dropping"
            )
        return found


def curation_record(found: CuratedCorpus) -> dict[str, Any]:
    """The counts, as JSON holds them."""
    return {
        "constitution_sha256": found.constitution_sha256,
        "corpus_sha256": found.corpus_sha256,
        "fates": {fate: to_json(each) for fate, each in found.fates.items()},
        "principles": [to_json(each) for each in found.principles],
        "classifiers": [to_json(each) for each in found.classifiers],
        "undecided": found.undecided,
    }


COLUMNS = ("principle", "breaks", "alone", "by", "keeps", "undecided", "not asked")
"""Of the table of principles, in passages; `alone`: breaks this principle and no other."""


def curation_table(found: CuratedCorpus) -> list[tuple[str, ...]]:
    """One row per principle, as `COLUMNS` names them."""
    return [
        (
            each.principle_id,
            f"{each.breaks:,}",
            f"{each.alone:,}",
            ", ".join(f"{who} {count:,}" for who, count in each.by.items()),
            f"{each.keeps:,}",
            f"{each.undecided:,}",
            f"{each.not_asked:,}",
        )
        for each in found.principles
    ]


def curation_sentences(found: CuratedCorpus) -> list[str]:
    """What came of it, in a few sentences."""
    total = sum(each.characters for each in found.fates.values())
    done = {
        "keep": "as they were",
        "weigh": "weighed down",
        "revise": "rewritten",
    }
    kept = [
        f"{found.fates[fate].passages:,} {how}"
        for fate, how in done.items()
        if fate == "keep" or found.fates[fate].passages
    ]
    dropped = found.fates["drop"]
    said = [
        f"Of {found.passages:,} passages {found.kept:,} are kept: {', '.join(kept)}.",
        f"{dropped.passages:,} are dropped, with {dropped.characters / total:.1%} of the "
        "characters.",
    ]
    if found.undecided:
        said.append(
            f"{found.undecided:,} passages break nothing that was decided, and something about "
            "them was not: nobody vouches for these."
        )
    silent = [each.principle_id for each in found.principles if each.undecided == found.passages]
    if silent:
        said.append(f"Nothing at all was decided under {', '.join(silent)}.")
    for trial in found.classifiers:
        said.append(_of_classifier(trial))
    return said


def _of_classifier(trial: ClassifierTrial) -> str:
    """What is known of one classifier."""
    name, judged = trial.principle_id, f"{trial.breaking:,} of {trial.judged:,} judged passages"
    if trial.reason is not None:
        return f"{name}: no classifier, because {trial.reason}."
    assert trial.seen is not None
    seen = f"{trial.seen.value:.0%} ({trial.seen.low:.0%} to {trial.seen.high:.0%})"
    right = "nothing, on passages that it did not learn from"
    if trial.right is not None:
        right = (
            f"passages of which the judge finds {trial.right.value:.0%} "
            f"({trial.right.low:.0%} to {trial.right.high:.0%}) to break it"
        )
    return (
        f"{name}: the judge finds {judged} to break it; its classifier finds {seen} of those, "
        f"and finds {right}."
    )


def curation_content(
    found: CuratedCorpus,
    constitution: Constitution,
    settings: Curation,
    read: Corpus,
    *,
    command: str,
) -> dict[str, Any]:
    """The record of a report, as `plumbrule.report.write_page` takes it."""
    return {
        "schema": 1,
        "title": f"Curation by {constitution.name}",
        "summary": curation_sentences(found)
        + [
            f"{each.principle_id}: {each.breaks:,} passages break it, {each.alone:,} of them "
            f"nothing else; {each.undecided:,} undecided, {each.not_asked:,} not asked about."
            for each in found.principles
        ],
        "plumbrule_version": __version__,
        "seed": settings.seed,
        "command": command,
        "constitution": {
            "name": constitution.name,
            "version": constitution.version,
            "sha256": constitution.sha256,
            "tiers": list(constitution.tiers),
            "principles": [
                {"id": each.id, "tier": each.tier, "text": each.statement()}
                for each in constitution.principles
            ],
        },
        "curation": {
            **curation_record(found),
            "settings": to_json(settings),
            "corpus": {"passages": read.passages, "characters": read.characters},
        },
        "notes": [
            "A passage is kept, weighed, rewritten or dropped whole; dropped.jsonl says by which "
            "principle, and by what it was found.",
            "Words find what they name and nothing else: what a constitution does not name, no "
            "word of it finds.",
        ],
    }
