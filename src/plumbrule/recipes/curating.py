"""Curation of a corpus by a constitution: each passage kept, weighed down, rewritten or dropped.

    OUT/kept.jsonl      what to learn from: id, text, weight, and whether it was rewritten
    OUT/dropped.jsonl   what was left out, with every finding that speaks against it
    OUT/weights.jsonl   each passage's fate and weight, with the findings that are no clearance
    OUT/report/         the counts, as a page and as report.json
    OUT/judged/         what a judge said, so that nothing is asked twice

What a principle does to a passage is decided by the principle alone, so the same corpus, settings
and judge give the same bytes, whoever interrupted it and however often.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import IO, Any

import yaml

from plumbrule.constitution import Constitution, load_constitution, replace_words
from plumbrule.data import Corpus, Passage, open_corpus
from plumbrule.errors import ConfigError, DataError
from plumbrule.folders import held_folder
from plumbrule.judging import (
    PassageClassifier,
    PassageFinding,
    PromptSet,
    RevisionDraft,
    endless,
    find_by_judge,
    find_by_words,
    learn_passages,
    load_prompts,
    revise,
    unusable,
)
from plumbrule.judging.passages import ASKED
from plumbrule.ledger import Ledger, record_files
from plumbrule.models import LanguageModel
from plumbrule.recipes.curated import (
    FATES,
    CorpusCount,
    CuratedCorpus,
    Curation,
    Fate,
    PrincipleCount,
    curation_content,
    curation_record,
)
from plumbrule.records import Message, to_json
from plumbrule.report import write_page
from plumbrule.store import Shards, Tell, derive_seed, silent, storage_errors

CURATION_VERSION = 1
"""Raised whenever the same inputs would give other files."""

BLOCK = 1024
"""Passages that are in memory at once."""


@dataclass
class _Tally:
    """Counts on the way."""

    fates: dict[str, Counter[str]] = field(
        default_factory=lambda: {fate: Counter() for fate in FATES}
    )
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    alone: Counter[str] = field(default_factory=Counter)
    undecided: int = 0


@dataclass(frozen=True, kw_only=True)
class _Curator:
    """All that decides a passage's fate."""

    constitution: Constitution
    settings: Curation
    prompts: PromptSet
    judge: LanguageModel | None
    reviser: LanguageModel | None
    folder: Path
    classifiers: Mapping[str, PassageClassifier] = field(default_factory=dict)
    judged: Mapping[str, Sequence[PassageFinding]] = field(default_factory=dict)
    """Passage → what the judge said, of those drawn for it."""

    def ask(self, passages: Sequence[Passage], tell: Any = None) -> list[PassageFinding]:
        """The judge's findings, from the disk where they are there."""
        judge = self.judge
        assert judge is not None
        shards = Shards(
            self.folder / "judged",
            {
                "version": CURATION_VERSION,
                "judge": judge.identity,
                "prompts": self.prompts.sha256,
                "constitution": self.constitution.sha256,
            },
        )
        return shards.map(
            passages,
            lambda some, seed: find_by_judge(
                judge,
                [(each.id, each.text) for each in some],
                self.constitution,
                prompts=self.prompts,
                seed=seed,
            ),
            kind=PassageFinding,
            size=self.settings.shard_size,
            seed=self.settings.seed,
            progress=tell,
        )

    def find(self, passages: Sequence[Passage]) -> dict[str, list[PassageFinding]]:
        """Everything that is said of passages, by id."""
        pairs = [(each.id, each.text) for each in passages]
        found: dict[str, list[PassageFinding]] = {each.id: [] for each in passages}
        for finding in find_by_words(pairs, self.constitution):
            found[finding.passage_id].append(finding)
        beside: dict[str, list[PassageFinding]] = {}
        if self.judge is not None and self.settings.judged is None:
            open_ones = [each for each in passages if self.fate(found[each.id]) != "drop"]
            for finding in self.ask(open_ones):
                beside.setdefault(finding.passage_id, []).append(finding)
        elif self.judge is not None:
            rest = [pair for pair in pairs if pair[0] not in self.judged]
            for name, _ in pairs:
                beside[name] = list(self.judged.get(name, ()))
            for classifier in self.classifiers.values():
                for finding in classifier.find(rest):
                    beside[finding.passage_id].append(finding)
        return {name: self._together(name, own, beside.get(name)) for name, own in found.items()}

    def _together(
        self,
        name: str,
        own: Sequence[PassageFinding],
        beside: Sequence[PassageFinding] | None,
    ) -> list[PassageFinding]:
        """One finding a principle: what words find is a breach, else what the judge says counts."""
        by_words = {each.principle_id: each for each in own}
        others = {each.principle_id: each for each in beside or ()}
        found = []
        for principle in self.constitution.principles:
            words, other = by_words.get(principle.id), others.get(principle.id)
            if words is not None and (words.verdict == "breaks" or self.judge is None):
                found.append(words)
            elif other is not None:
                found.append(other)
            elif self.judge is None or beside is not None:
                why = "the constitution has no words for it, and no judge was asked"
                if self.judge is not None:
                    why = "the judge was not asked about it"
                found.append(
                    PassageFinding(
                        passage_id=name,
                        principle_id=principle.id,
                        verdict="undecided",
                        by="nobody",
                        probability=None,
                        why=why,
                    )
                )
        return found

    def fate(self, findings: Sequence[PassageFinding]) -> Fate:
        """The harshest of what the broken principles do; else whether something is undecided."""
        broken = [each for each in findings if each.verdict == "breaks"]
        if broken:
            fates = [
                self.settings.fates.get(each.principle_id, self.settings.broken) for each in broken
            ]
            return max(fates, key=FATES.index)
        undecided = any(each.verdict == "undecided" for each in findings)
        return self.settings.undecided if undecided else "keep"

    def revised(
        self, passages: Sequence[tuple[Passage, Sequence[PassageFinding]]]
    ) -> dict[str, str | None]:
        """Passages rewritten: by the constitution's words, else by the reviser; None: not at all.

        A text that breaks a principle all the same is no revision.
        """
        entries = [entry for one in self.constitution.principles for entry in one.words]
        found: dict[str, str | None] = {}
        rest = []
        for passage, findings in passages:
            broken = [each for each in findings if each.verdict == "breaks"]
            by_words = all(each.by == "words" for each in broken)
            text = replace_words(passage.text, entries) if by_words else None
            found[passage.id] = text.strip() if text and text.strip() else None
            if found[passage.id] is None and self.reviser is not None:
                rest.append((passage, broken[0].principle_id))
        reviser = self.reviser
        if rest and reviser is not None:
            drafts = [
                RevisionDraft(
                    dialogue=(Message("user", ASKED),),
                    reply=passage.text,
                    principle=self.constitution.principle(principle_id),
                )
                for passage, principle_id in rest
            ]
            shards = Shards(
                self.folder / "revised",
                {
                    "version": CURATION_VERSION,
                    "reviser": reviser.identity,
                    "prompts": self.prompts.sha256,
                    "constitution": self.constitution.sha256,
                },
            )

            def work(some: Sequence[RevisionDraft], seed: int) -> list[Passage]:
                seeds = [derive_seed(seed, number) for number in range(len(some))]
                answers = revise(
                    reviser, some, None, prompts=self.prompts, temperature=0.0, seeds=seeds
                )
                return [
                    Passage(
                        id=str(number),
                        text="" if unusable(one) or endless(one.text) else one.text.strip(),
                    )
                    for number, one in enumerate(answers)
                ]

            answers = shards.map(
                drafts,
                work,
                kind=Passage,
                size=self.settings.shard_size,
                seed=self.settings.seed,
            )
            texts = [
                Passage(id=f"{passage.id} revised", text=answer.text)
                for (passage, _), answer in zip(rest, answers, strict=True)
                if answer.text
            ]
            judged = self.find(texts)
            for each in texts:
                if not any(one.verdict == "breaks" for one in judged[each.id]):
                    found[each.id.removesuffix(" revised")] = each.text
        return found


def curate(
    corpus: Path,
    constitution: str | Path | Constitution,
    *,
    out: Path,
    settings: Curation | None = None,
    judge: LanguageModel | None = None,
    reviser: LanguageModel | None = None,
    judging_prompts: str = "default",
    command: str = "",
    tell: Tell = silent,
) -> CuratedCorpus:
    """Sort a corpus by a constitution, and write what is left of it, with reasons.

    Args:
        corpus: Text with blank lines between passages, or rows with a `text`; see `open_corpus`.
        constitution: Whose principles; its `words` decide where they stand, a judge beside them.
        out: Folder of the curation; one that was interrupted there goes on.
        settings: What a breach does, and how much the judge reads.
        judge: A model that says of passages whether they break a principle; None: words alone.
        reviser: A model that rewrites what the constitution's words cannot.
        judging_prompts: The words in which judge and reviser are asked.
        command: What makes it again, for the report.
        tell: Told of progress.

    Returns:
        Where it is, and what each principle did.

    Raises:
        DataError: The corpus is empty or no text, or the constitution has no words and there is no
            judge.
        ConfigError: A principle of `fates` is none of the constitution's.
        PlumbruleError: The folder holds other work, or a part outside failed; finished work is
            kept.
    """
    chosen = settings or Curation()
    law = (
        constitution if isinstance(constitution, Constitution) else load_constitution(constitution)
    )
    for name in chosen.fates:
        law.principle(name)
    if judge is None and not any(each.words for each in law.principles):
        raise DataError(
            f"expected principles with `words`, or a judge: {law.name!r} has no words by which a "
            "passage could be told; add some under `words`, or name a judge"
        )
    if judge is None and chosen.judged is not None:
        raise ConfigError("`judged` says how many passages a judge reads, and there is no judge")
    tell("reading", 0, 0)
    read = open_corpus(corpus, longest=chosen.longest)
    prompts = load_prompts(judging_prompts)
    ours = {
        "curate": to_json(chosen),
        "named": {
            "corpus": read.sha256,
            "constitution": law.sha256,
            "prompts": prompts.sha256,
            "judge": judge.identity if judge else None,
            "reviser": reviser.identity if reviser else None,
        },
        "version": CURATION_VERSION,
    }
    text = yaml.safe_dump(ours, sort_keys=False)
    with (
        held_folder(out, marker="curate.json", ours=ours, configuration=text),
        Ledger.open(out / "ledger.db") as ledger,
    ):
        ledger.record("curate/begin", "curation", ours)
        curator = _Curator(
            constitution=law,
            settings=chosen,
            prompts=prompts,
            judge=judge,
            reviser=reviser,
            folder=out,
        )
        if chosen.judged is not None:
            curator = _with_classifiers(curator, read, chosen.judged, tell)
        tally = _Tally()
        with storage_errors(out), ExitStack() as stack:
            files = {
                name: stack.enter_context(_replacing(out / f"{name}.jsonl"))
                for name in ("kept", "dropped", "weights")
            }
            done = 0
            for block in _blocks(read):
                _sort(curator, block, files, tally)
                done += len(block)
                tell("curating", done, read.passages)
        found = _counted(curator, read, tally, out)
        ledger.record("curate/end", "curation", curation_record(found))
        write_page(
            "run", curation_content(found, law, chosen, read, command=command), out / "report"
        )
        record_files(ledger, out)
    return found


def _with_classifiers(curator: _Curator, read: Corpus, most: int, tell: Tell) -> _Curator:
    """The same with passages judged and, for each principle, a classifier learned from them."""
    seed = curator.settings.seed
    drawn = set(
        Random(derive_seed(seed, "judged")).sample(range(read.passages), min(most, read.passages))
    )
    sample = [passage for number, passage in enumerate(read) if number in drawn]
    judged: dict[str, list[PassageFinding]] = {}
    for finding in curator.ask(sample, lambda done, total: tell("judging", done, total)):
        judged.setdefault(finding.passage_id, []).append(finding)
    names = dict.fromkeys(one.principle_id for each in judged.values() for one in each)
    classifiers = {
        name: learn_passages(
            name,
            [passage.text for passage in sample],
            [
                next(one for one in judged[passage.id] if one.principle_id == name)
                for passage in sample
            ],
            seed=seed,
            margin=curator.settings.margin,
        )
        for name in names
    }
    return replace(curator, classifiers=classifiers, judged=judged)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file that takes another's place once it is whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)


def _blocks(read: Corpus) -> Iterator[list[Passage]]:
    """A corpus, a block at a time."""
    passages = iter(read)
    while block := list(islice(passages, BLOCK)):
        yield block


def _sort(
    curator: _Curator, block: Sequence[Passage], files: Mapping[str, IO[str]], tally: _Tally
) -> None:
    """Decide a block of passages, and write them where they belong."""
    findings = curator.find(block)
    fates: dict[str, Fate] = {each.id: curator.fate(findings[each.id]) for each in block}
    texts = curator.revised(
        [(each, findings[each.id]) for each in block if fates[each.id] == "revise"]
    )
    for passage in block:
        said, fate = findings[passage.id], fates[passage.id]
        note = None
        if fate == "revise" and texts[passage.id] is None:
            fate, note = "drop", "it could not be rewritten so that it breaks nothing"
        _count(tally, curator.constitution, passage, said, fate)
        weight = {"weigh": curator.settings.weight, "drop": 0.0}.get(fate, 1.0)
        against = [to_json(each) for each in said if each.verdict != "keeps"]
        if fate == "drop":
            row = {"id": passage.id, "text": passage.text, "reasons": against}
            _write(files["dropped"], {**row, "note": note} if note else row)
        else:
            revised = texts.get(passage.id) if fate == "revise" else None
            _write(
                files["kept"],
                {
                    "id": passage.id,
                    "text": passage.text if revised is None else revised,
                    "weight": weight,
                    "revised": revised is not None,
                },
            )
        _write(
            files["weights"],
            {"id": passage.id, "fate": fate, "weight": weight, "findings": against},
        )


def _write(file: IO[str], row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def _count(
    tally: _Tally,
    constitution: Constitution,
    passage: Passage,
    said: Sequence[PassageFinding],
    fate: Fate,
) -> None:
    tally.fates[fate].update(passages=1, characters=len(passage.text))
    broken = [each for each in said if each.verdict == "breaks"]
    by_name = {each.principle_id: each for each in said}
    for principle in constitution.principles:
        finding = by_name.get(principle.id)
        verdict = finding.verdict if finding else "not_asked"
        tally.verdicts.setdefault(principle.id, Counter())[verdict] += 1
        if finding and finding.verdict == "breaks":
            tally.by.setdefault(principle.id, Counter())[finding.by] += 1
    if len(broken) == 1:
        tally.alone[broken[0].principle_id] += 1
    tally.undecided += not broken and any(each.verdict == "undecided" for each in said)


def _counted(curator: _Curator, read: Corpus, tally: _Tally, out: Path) -> CuratedCorpus:
    counts = []
    for principle in curator.constitution.principles:
        verdicts = tally.verdicts[principle.id]
        counts.append(
            PrincipleCount(
                principle_id=principle.id,
                breaks=verdicts["breaks"],
                keeps=verdicts["keeps"],
                undecided=verdicts["undecided"],
                not_asked=verdicts["not_asked"],
                by=dict(sorted(tally.by.get(principle.id, Counter()).items())),
                alone=tally.alone[principle.id],
            )
        )
    return CuratedCorpus(
        path=out,
        constitution_sha256=curator.constitution.sha256,
        corpus_sha256=read.sha256,
        fates={
            fate: CorpusCount(passages=one["passages"], characters=one["characters"])
            for fate, one in tally.fates.items()
        },
        principles=tuple(counts),
        classifiers=tuple(each.trial for each in curator.classifiers.values()),
        undecided=tally.undecided,
    )
