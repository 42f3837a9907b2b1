"""Distillation: a student learns what a teacher that reads the constitution wrote and revised.

    OUT/stages/         what the teacher wrote and revised, and what a judge said of it
    OUT/examples.jsonl  what the student learns from
    OUT/models/         `documents` where there are spec documents, and `final`
    OUT/report/         the counts, and an examination before and after where there is a judge

Source: sequence-level distillation, Kim and Rush (2016), arXiv:1606.07947; critiques and revisions,
Bai et al. (2022), arXiv:2212.08073; a teacher with a constitution and a student without,
"Open Character Training" (2025), arXiv:2511.01689.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from plumbrule.constitution import Constitution, load_constitution
from plumbrule.errors import ConfigError, DataError
from plumbrule.folders import held_folder
from plumbrule.judging import PromptSet, endless, grade, load_prompts
from plumbrule.ledger import Ledger, record_files
from plumbrule.models import LanguageModel, LocalModel, open_model
from plumbrule.models.modules import text_config
from plumbrule.models.opening import is_endpoint, model_folder
from plumbrule.recipes.distilled import (
    FINAL,
    STUDENT,
    TEACHER,
    Distillation,
    DistillationResult,
    changes,
    distillation_content,
    distillation_record,
)
from plumbrule.records import Exchange, Judgment, Message, Prompt, to_json, to_jsonl
from plumbrule.report import write_page
from plumbrule.store import Shards, Tell, derive_seed, fingerprint, silent, write_atomic
from plumbrule.training import (
    RevisionTrail,
    critique_and_revise,
    sift_revisions,
    spec_documents,
    train_documents,
    train_supervised,
)

DISTILLATION_VERSION = 1
"""Raised whenever the same inputs would give other records."""

Item = TypeVar("Item")
Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class _Distiller:
    """Everything a distillation works with."""

    law: Constitution
    settings: Distillation
    prompts: PromptSet
    teacher: LanguageModel
    judge: LanguageModel | None
    folder: Path
    tell: Tell

    def stage(
        self,
        name: str,
        items: Sequence[Item],
        work: Callable[[Sequence[Item], int], Sequence[Record]],
        kind: type[Record],
        **inputs: Any,
    ) -> list[Record]:
        """Work on items in shards, so that what is done is never done again."""
        self.tell(name, 0, len(items))
        return Shards(
            self.folder / "stages" / name,
            {"version": DISTILLATION_VERSION, "stage": name, **inputs},
        ).map(
            items,
            work,
            kind=kind,
            size=self.settings.shard_size,
            seed=self.settings.seed,
            progress=lambda done, total: self.tell(name, done, total),
        )

    def replies(
        self, name: str, model: LanguageModel, prompts: Sequence[Prompt], *, told: bool
    ) -> list[Exchange]:
        """What a model replies; the constitution, where it reads it, is no part of the record."""
        rules = (Message("system", _told(self.law)),) if told else ()
        sampling = self.settings.sampling

        def work(some: Sequence[Prompt], seed: int) -> list[Exchange]:
            seeds = [derive_seed(self.settings.seed, "reply", prompt.id) for prompt in some]
            drawn = model.sample(
                [_with_rules(prompt, rules) for prompt in some], sampling=sampling, seeds=seeds
            )
            return [
                Exchange(
                    id=prompt.id,
                    dialogue=prompt.dialogue,
                    response=each.text,
                    model=model.identity,
                    seed=one,
                    finish_reason=each.finish_reason,
                )
                for prompt, each, one in zip(some, drawn, seeds, strict=True)
            ]

        return self.stage(
            name,
            prompts,
            work,
            Exchange,
            model=model.identity,
            sampling=to_json(sampling),
            told=self.law.sha256 if told else None,
        )

    def revisions(self, drafts: Sequence[Exchange]) -> list[RevisionTrail]:
        """The teacher's critiques and revisions of its own replies."""
        settings = self.settings
        return self.stage(
            "revisions",
            drafts,
            lambda some, seed: critique_and_revise(
                self.teacher,
                some,
                self.law,
                prompts=self.prompts,
                settings=settings.revising,
                seed=settings.seed,
            ),
            RevisionTrail,
            teacher=self.teacher.identity,
            constitution=self.law.sha256,
            prompts=self.prompts.sha256,
            revising=to_json(settings.revising),
        )

    def judgments(self, name: str, exchanges: Sequence[Exchange]) -> list[Judgment]:
        """What the judge says of replies; nothing where there is no judge."""
        judge = self.judge
        if judge is None:
            return []
        return self.stage(
            f"judged-{name}",
            exchanges,
            lambda some, seed: grade(
                judge,
                some,
                self.law,
                prompts=self.prompts,
                seeds=[derive_seed(self.settings.seed, "judge", each.id) for each in some],
            ),
            Judgment,
            judge=judge.identity,
            constitution=self.law.sha256,
            prompts=self.prompts.sha256,
        )


def distill(
    student: str,
    teacher: LanguageModel,
    prompts: Sequence[Prompt],
    constitution: str | Path | Constitution,
    *,
    out: Path,
    settings: Distillation | None = None,
    judge: LanguageModel | None = None,
    judging_prompts: str = "default",
    dtype: str = "auto",
    device: str = "auto",
    command: str = "",
    tell: Tell = silent,
) -> DistillationResult:
    """Teach a small model what a larger one makes of a constitution.

    Args:
        student: Folder, hub id or `lab:NAME` of the model that learns.
        teacher: Who writes, critiques and revises.
        prompts: What both are asked; those that are held out are for the examination alone.
        constitution: What the teacher goes by.
        out: Folder of the distillation; one that was interrupted there goes on.
        settings: How to write and to learn.
        judge: Who reads replies: one that breaks a principle is not learned, and the held-out
            prompts are examined before and after; None: neither.
        judging_prompts: The words in which teacher and judge are asked.
        dtype: Of the student in the examination.
        device: Of the student in the examination.
        command: What makes it again, for the report.
        tell: Told of progress.

    Returns:
        Where the student is now, and what it learned from.

    Raises:
        DataError: No prompt is left to learn from, or every reply was left out.
        PlumbruleError: The folder holds other work, or a part outside failed; finished work is
            kept.
    """
    chosen = settings or Distillation()
    law = constitution
    if not isinstance(law, Constitution):
        law = load_constitution(law)
    teaching = [each for each in prompts if not each.held_out]
    held_out = [each for each in prompts if each.held_out] if judge is not None else []
    if not teaching:
        raise DataError(
            f"expected prompts to learn from, all {len(prompts)} are held out; add some with "
            "`held_out` false"
        )
    if is_endpoint(student):
        raise ConfigError(
            f"expected a student whose weights are at hand, got the endpoint {student!r}; give a "
            "folder or a hub id"
        )
    start = model_folder(student)
    before = open_model(str(start), dtype=dtype, device=device)
    words = load_prompts(judging_prompts)
    ours = {
        "distill": to_json(chosen),
        "named": {
            "student": before.identity,
            "teacher": teacher.identity,
            "judge": judge.identity if judge else None,
            "constitution": law.sha256,
            "prompts": fingerprint([to_json(each) for each in prompts]),
            "judging_prompts": words.sha256,
        },
        "version": DISTILLATION_VERSION,
    }
    with (
        held_folder(
            out,
            marker="distill.json",
            ours=ours,
            configuration=yaml.safe_dump(ours, sort_keys=False),
        ),
        Ledger.open(out / "ledger.db") as ledger,
    ):
        ledger.record("distill/begin", "distillation", ours)
        work = _Distiller(
            law=law,
            settings=chosen,
            prompts=words,
            teacher=teacher,
            judge=judge,
            folder=out,
            tell=tell,
        )
        drafts = work.replies("drafts", teacher, teaching, told=chosen.told)
        trails = work.revisions(drafts)
        learned, left_out = _chosen(work, trails, before)
        write_atomic(out / "examples.jsonl", to_jsonl([each for each, _ in learned]))
        model = _taught(work, start, learned)
        examined = {}
        if held_out:
            final = open_model(str(model), dtype=dtype, device=device)
            examined = _examined(work, {STUDENT: before, FINAL: final}, held_out)
        ids = {each.id for each, _ in learned}
        found = DistillationResult(
            path=out,
            model=model,
            prompts=len(teaching),
            learned=len(learned),
            revised=sum(trail.revised and trail.first.id in ids for trail in trails),
            left_out=left_out,
            examined=len(held_out),
            principles=changes(law, {name: judged for name, (_, judged) in examined.items()}),
        )
        ledger.record("distill/end", "distillation", distillation_record(found))
        content = distillation_content(
            found,
            law,
            chosen,
            held_out,
            examined,
            models={"model": before, "critic": teacher, **({"judge": judge} if judge else {})},
            command=command,
        )
        write_page("run", content, out / "report")
        record_files(ledger, out)
    return found


def _examined(
    work: "_Distiller", models: Mapping[str, LanguageModel], held_out: Sequence[Prompt]
) -> dict[str, tuple[list[Exchange], list[Judgment]]]:
    """Replies to the held-out prompts and their judgments, by who replied."""
    found = {}
    for name, one in models.items():
        replies = work.replies(f"replies-{name}", one, held_out, told=False)
        found[name] = (replies, work.judgments(name, replies))
    replies = work.replies(f"replies-{TEACHER}", work.teacher, held_out, told=work.settings.told)
    found[TEACHER] = (replies, work.judgments(TEACHER, replies))
    return found


def _told(law: Constitution) -> str:
    """What the teacher reads before it writes."""
    rules = "\n".join(f"- {each.statement()}" for _, some in law.by_tier() for each in some)
    return f"Follow these rules; where two disagree, the one further up decides.\n{rules}"


def _with_rules(prompt: Prompt, rules: Sequence[Message]) -> tuple[Message, ...]:
    """A prompt with rules before it, beside what its own system turn says."""
    if rules and prompt.dialogue[0].role == "system":
        own = prompt.dialogue[0].content
        return (Message("system", f"{rules[0].content}\n\n{own}"), *prompt.dialogue[1:])
    return (*rules, *prompt.dialogue)


def _chosen(
    work: _Distiller, trails: Sequence[RevisionTrail], student: LanguageModel
) -> tuple[list[tuple[Exchange, float]], dict[str, int]]:
    """Replies to learn from with their weights, and why the others are none."""
    left_out: Counter[str] = Counter()
    usable = []
    room = _room(student, work.settings.supervised.max_tokens)
    limits = work.settings.revision_filter
    unfit = {} if limits is None else sift_revisions(trails, limits).dropped
    for trail in trails:
        last = replace(
            trail.first,
            response=trail.response.strip(),
            finish_reason="stop" if trail.revised else trail.first.finish_reason,
        )
        if last.finish_reason != "stop":
            left_out[f"the teacher's reply was {_ENDED.get(last.finish_reason, 'lost')}"] += 1
        elif not last.response:
            left_out["the teacher's reply was empty"] += 1
        elif endless(last.response):
            left_out["the teacher's reply repeats for ever"] += 1
        elif last.id in unfit:
            left_out[f"the revision is unfit: {unfit[last.id]}"] += 1
        elif _tokens(student, last) > room:
            left_out["it is longer than the student learns or reads"] += 1
        elif not trail.revised and work.settings.unrevised == 0:
            left_out["no round changed it"] += 1
        else:
            usable.append((last, 1.0 if trail.revised else work.settings.unrevised))
    broken = {
        each.exchange_id: each.principle_id
        for each in work.judgments("teaching", [one for one, _ in usable])
        if each.verdict == "fail"
    }
    for name in broken.values():
        left_out[f"the judge finds that it breaks {name}"] += 1
    kept = [(one, weight) for one, weight in usable if one.id not in broken]
    if not kept:
        reasons = "; ".join(f"{count} times {reason}" for reason, count in left_out.items())
        raise DataError(
            f"expected replies to learn from, none of {len(trails)} is left: {reasons}. Take "
            "another teacher, or longer replies"
        )
    return kept, dict(left_out)


def _room(student: LanguageModel, most: int) -> int:
    """Tokens of prompt and reply that the student can learn."""
    if not isinstance(student, LocalModel):
        return most
    context = getattr(text_config(student.module), "max_position_embeddings", None)
    return min(most, int(context or most))


def _tokens(student: LanguageModel, example: Exchange) -> int:
    """Tokens of prompt and reply as the student reads them, its end included."""
    if not isinstance(student, LocalModel):
        return 0
    ((prompt, reply),) = student.chat.with_replies([example.dialogue], [example.response])
    return len(prompt) + len(reply) + 1


_ENDED = {"length": "cut off", "refused": "refused", "errored": "lost"}


def _taught(work: _Distiller, start: Path, learned: Sequence[tuple[Exchange, float]]) -> Path:
    """The student after the documents, if there are any, and the replies."""
    chosen, models = work.settings, work.folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    if chosen.documents is not None:
        start = train_documents(
            start,
            spec_documents(work.law, copies=chosen.copies, seed=chosen.seed),
            settings=chosen.documents,
            out=models / "documents",
            seed=chosen.seed,
            progress=lambda done, total, _: work.tell("documents", done, total),
        ).path
    return train_supervised(
        start,
        [each for each, _ in learned],
        weights=[weight for _, weight in learned],
        settings=chosen.supervised,
        out=models / "final",
        seed=chosen.seed,
        progress=lambda done, total, _: work.tell("supervised", done, total),
    ).path
