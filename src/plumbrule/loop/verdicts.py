"""Verdicts in a folder: held, bound to its inputs, resumed, and shown as a page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError
from plumbrule.folders import held_folder
from plumbrule.internalization import (
    PrincipleVerdict,
    Subject,
    VerdictReport,
    VerdictSettings,
    find_verdicts,
    known_errors,
    read_verdicts,
)
from plumbrule.internalization.finding import VERDICTS
from plumbrule.judging import PromptSet, Standing, grade
from plumbrule.ledger import Ledger, record_files
from plumbrule.loop.workspace import RunWorkspace
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import Exchange, Prompt, to_json
from plumbrule.report import write_page
from plumbrule.store import Tell, canonical, derive_seed, fingerprint, silent
from plumbrule.version import __version__

MARKER = "verdict.json"


def judge_and_report(
    folder: Path,
    model: LocalModel,
    subjects: Sequence[Subject],
    *,
    base: LocalModel | None,
    settings: VerdictSettings,
    command: str,
    tell: Tell = silent,
    finished_stands: bool = False,
) -> VerdictReport:
    """Find the verdicts, write the page, and record every file of the folder.

    Args:
        folder: Of the verdict; one that was interrupted there goes on.
        model: The model that is judged.
        subjects: Its principles.
        base: The model before, if there is one.
        settings: How far to go.
        command: What makes it again, for the page.
        tell: Told of progress.
        finished_stands: A verdict that is finished there is read, and not found again: for a
            folder within a run, which is bound to who reads the replies too.

    Raises:
        OutputError: The folder holds something else.
        PlumbruleError: The input is wrong; finished work is kept.
    """
    ours = {
        "model": model.identity,
        "base": None if base is None else base.identity,
        "settings": asdict(settings),
        "subjects": fingerprint(
            [
                [each.principle, each.text, [to_json(one) for one in (*each.prompts, *each.twins)]]
                for each in subjects
            ]
        ),
    }
    configuration = canonical({"command": command, "settings": asdict(settings)}) + "\n"
    with held_folder(folder, marker=MARKER, ours=ours, configuration=configuration):
        if finished_stands and (folder / "work" / VERDICTS).exists():
            report = read_verdicts(folder / "work")
        else:
            report = find_verdicts(
                model, subjects, base=base, settings=settings, folder=folder / "work", tell=tell
            )
        write_page("verdict", verdict_content(report, subjects, command=command), folder / "report")
        with Ledger.open(folder / "ledger.db") as ledger:
            record_files(ledger, folder)
    return report


def verdict_content(
    report: VerdictReport, subjects: Sequence[Subject], *, command: str
) -> dict[str, Any]:
    """The record of the page, as `docs/verdict.md` describes it."""
    texts = {each.principle: each.text for each in subjects}
    return {
        "title": f"Held or shown: {report.model}",
        "summary": summary_of(report),
        "model": report.model,
        "base": report.base,
        "battery": report.battery,
        "level": report.level,
        "seconds": report.seconds,
        "tokens": report.tokens,
        "command": command,
        "version": __version__,
        "settings": dict(report.settings),
        "verdicts": [
            {**to_json(each), "text": texts.get(each.principle)} for each in report.verdicts
        ],
        "known_errors": to_json(known_errors()),
    }


SHOWN = ("principle", "label", "named", "place", "why", "needed", "faked_score", "plain", "text")
"""Parts of a verdict that the run's report shows; the rest has a page of its own."""


def conclude(
    run: RunWorkspace,
    model: LocalModel,
    subjects: Sequence[Subject],
    *,
    base: LocalModel,
    settings: VerdictSettings,
    command: str,
) -> dict[str, Any]:
    """Judge what a run ended with, in a folder of its own within the run.

    Args:
        run: The run; the verdict lives in its folder `verdict`.
        model: The model after training.
        subjects: Its principles.
        base: The model before.
        settings: How far to go.
        command: What the user typed.

    Returns:
        The part of the verdict's record that the run's report shows, and its `summary`.
    """
    report = judge_and_report(
        run.folder / "verdict",
        model,
        subjects,
        base=base,
        settings=settings,
        command=command,
        tell=lambda name, done, total: run.tell(f"verdict/{name}", done, total),
        finished_stands=True,
    )
    run.account("verdict", items=len(subjects), seconds=report.seconds, tokens_scored=report.tokens)
    content = verdict_content(report, subjects, command=command)
    return {
        "summary": content["summary"],
        "verdicts": [{name: each[name] for name in SHOWN} for each in content["verdicts"]],
        "known_errors": content["known_errors"],
        "page": "../verdict/report/index.html",
    }


def subjects_of_run(
    constitution: Constitution,
    prompts: Sequence[Prompt],
    judge: LanguageModel,
    words: PromptSet,
    seed: int,
) -> list[Subject]:
    """The principles of a run that can be judged at its end, by the run's own judge.

    Raises:
        ConfigError: No prompt of the examination belongs to a principle.
    """
    found = judged_subjects(constitution, prompts, judge, words, seed)
    if not found:
        raise ConfigError(
            "expected prompts that belong to a principle, for the verdict at the end, found none: "
            "write probes into the constitution, give held-out prompts the `kind` of a "
            "principle's id, or leave `verdict` out"
        )
    return found


def judged_subjects(
    constitution: Constitution,
    prompts: Sequence[Prompt],
    reader: LanguageModel,
    words: PromptSet,
    seed: int,
) -> list[Subject]:
    """The principles that have prompts which tempt, with a judging model that reads the replies.

    Args:
        constitution: The principles.
        prompts: One belongs to the principle that its `kind` or `group` names; one that deserves
            help is a permitted look-alike.
        reader: The model that judges replies.
        words: The questions asked of it.
        seed: Of the judge.
    """
    found = []
    for principle in constitution.principles:
        mine = [each for each in prompts if principle.id in (each.kind, each.group)]
        tempting = [each for each in mine if each.deserves_help is not True]
        if tempting:
            found.append(
                Subject(
                    principle=principle.id,
                    text=principle.text,
                    prompts=tempting,
                    twins=[each for each in mine if each.deserves_help is True],
                    violates=JudgeReader(principle.id, constitution, reader, words, seed),
                )
            )
    return found


@dataclass
class JudgeReader:
    """Reads a reply by asking a judge whether it breaks one principle; asks once for each."""

    principle: str
    constitution: Constitution
    judge: LanguageModel
    words: PromptSet
    seed: int
    _known: dict[tuple[str, str], bool | None] = field(default_factory=dict)

    def __call__(self, prompt: Prompt, reply: str) -> bool | None:
        """True: it breaks it; None: the judge gave no verdict."""
        key = (prompt.id, reply)
        if key not in self._known:
            exchange = Exchange(
                id=prompt.id, dialogue=prompt.dialogue, response=reply, model="judged"
            )
            (said,) = grade(
                self.judge,
                [exchange],
                self.constitution,
                prompts=self.words,
                seeds=[derive_seed(self.seed, *key) % 2**31],
                standing=Standing(only=frozenset([self.principle])),
            )
            self._known[key] = {"fail": True, "pass": False}.get(said.verdict)
        return self._known[key]


def summary_of(report: VerdictReport) -> list[str]:
    """What a reader must know first, in sentences."""
    counts: dict[str, list[PrincipleVerdict]] = {}
    for each in report.verdicts:
        counts.setdefault(each.label, []).append(each)
    said = [
        f"{label}: {', '.join(each.principle for each in counts[label])}."
        for label in ("conditional", "surface", "absent", "undecided", "internalized")
        if label in counts
    ]
    return [
        f"{len(report.faked)} of {len(report.verdicts)} principles are shown and not held.",
        *said,
    ]
