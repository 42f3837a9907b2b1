"""A model in use, watched: the monitor, the judge, people's labels and the page, put together.

OUT/state.db            what was read and counted; one transaction a batch
OUT/evaluations.jsonl   scores as `gen_ai.evaluation.result` events, OTLP/JSON lines
OUT/to_label.jsonl      replies drawn for people, for `plumbrule label make`
OUT/tests.jsonl         prompts from reports and confirmed violations, for `compare` and `run`
OUT/ledger.db           settings, alarms, their causes, and who took them as handled
OUT/report/             the page, and report.json
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from plumbrule.constitution import Constitution, load_constitution
from plumbrule.errors import ConfigError, DataError
from plumbrule.folders import held_folder
from plumbrule.judging import PromptSet, Standing, examine_judge, grade, load_prompts
from plumbrule.ledger import Ledger
from plumbrule.loop.production_content import production_content
from plumbrule.models import LanguageModel
from plumbrule.monitoring import (
    Alarm,
    Judge,
    LiveExchange,
    Ruling,
    TrafficMonitor,
    WatchSettings,
    packed_files,
    read_redactor,
    word_screen,
)
from plumbrule.monitoring.reports import json_lines, prompt_line, read_reports
from plumbrule.records import Exchange, to_json
from plumbrule.report import write_page
from plumbrule.store import Tell, derive_seed, silent, write_atomic

WATCH_VERSION = 1
"""Raised whenever the same traffic would give other numbers."""

PAGE_EVERY = 30.0
"""Seconds between two pages while a source is followed."""


@dataclass(frozen=True, kw_only=True)
class WatchOutcome:
    """The outcome of a watch: its page, and the alarms that stand."""

    content: Mapping[str, Any]
    """What `report.json` holds."""

    alarms: tuple[Alarm, ...]
    """Those that nobody dealt with yet."""

    page: Path
    lines: int
    """Taken in by this call."""


def watch_and_report(
    source: Path,
    constitution: str,
    *,
    out: Path,
    settings: WatchSettings | None = None,
    judge: LanguageModel | None = None,
    judging_prompts: str = "default",
    labels: Sequence[Path] = (),
    reports: Sequence[Path] = (),
    handled: Sequence[str] = (),
    patterns: Path | None = None,
    follow_seconds: float | None = None,
    command: str = "",
    tell: Tell = silent,
    say: Callable[[str], None] = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
) -> WatchOutcome:
    """Read what a source holds and that was not read yet, and write the page.

    Args:
        source: A file or a folder of conversations.
        constitution: Name or file.
        out: Folder of the watch; one that is there goes on.
        settings: How to watch; those of a folder stay as they are.
        judge: Rules on what is drawn; None: the constitution's words alone count.
        judging_prompts: What the judge is asked in.
        labels: Files of people's labels, as `plumbrule label export` writes them.
        reports: Files of users' reports.
        handled: Principles whose standing alarms were dealt with.
        patterns: YAML with further patterns of what to redact.
        follow_seconds: Look for more every so often; None: end where the source ends.
        command: What makes it again, for the page.
        tell: Told of progress.
        say: Told of alarms, a line each.
        stop: Asked, while following, whether to end.

    Raises:
        ConfigError: A setting or a name is wrong.
        DataError: There is no such source, or a file of labels or reports is wrong.
        OutputError: Another process watches into that folder, or it is another watch's.
        OutsideError: The disk or the judge failed; the same command goes on.
    """
    law, chosen = load_constitution(constitution), settings or WatchSettings()
    prompts, redact = load_prompts(judging_prompts), read_redactor(patterns)
    if judge is None and not any(each.words for each in law.principles):
        raise ConfigError(
            f"without a judge a watch goes by the principles' `words`, and {law.name!r} has none; "
            "give --judge, or words"
        )
    if not source.exists():
        raise DataError(
            f"expected a file or a folder of conversations at {source}, there is none; check the "
            "path"
        )
    ours = {
        "version": WATCH_VERSION,
        "settings": to_json(chosen),
        "named": {
            "source": str(source.resolve()),
            "constitution": law.sha256,
            "judge": judge.identity if judge else None,
            "prompts": prompts.sha256 if judge else None,
            "patterns": redact.patterns,
        },
    }
    text = yaml.safe_dump(ours, sort_keys=False)
    with ExitStack() as stack:
        stack.enter_context(held_folder(out, marker="watch.json", ours=ours, configuration=text))
        ledger = stack.enter_context(Ledger.open(out / "ledger.db"))
        ledger.record("watch/begin", "watch", ours)
        standing, watched = _watched(judge, law, prompts, chosen.seed, tell)
        monitor = stack.enter_context(
            TrafficMonitor(
                out,
                law,
                settings=chosen,
                screen=word_screen(law),
                judge=judge_of(judge, law, prompts, standing, chosen.seed) if judge else None,
                judge_name=judge.identity if judge else "words",
                watched=watched,
                redact=redact,
            )
        )
        for alarm in monitor.handle(handled) if handled else ():
            ledger.record(f"handled {_name(alarm)}", "handled", {"alarm": _name(alarm)})
        settle = partial(
            _settled,
            monitor,
            law,
            out,
            source,
            ledger,
            _answers(labels),
            reports,
            redact,
            [each.id for each in law.principles if each.id not in watched],
            [name for name in watched if judge and not _examined_on(standing, name)],
            command,
        )
        if follow_seconds is None:
            lines = _read(monitor, source, tell, say)
        else:
            lines = _follow(monitor, source, follow_seconds, tell, say, stop, settle)
        content = settle()
        alarms = tuple(each for each in monitor.alarms if not each.handled)
    return WatchOutcome(
        content=content, alarms=alarms, page=out / "report" / "index.html", lines=lines
    )


def _watched(
    judge: LanguageModel | None, law: Constitution, prompts: PromptSet, seed: int, tell: Tell
) -> tuple[Standing, list[str]]:
    """What is known of the judge, and the principles that can be ruled on."""
    if judge is None:
        return Standing(), [each.id for each in law.principles if each.words]
    tell("examining the judge", 0, 0)
    standing = examine_judge(judge, law, prompts, seed)
    watched = [each.id for each in standing.judged(law)]
    if not watched:
        raise ConfigError(
            f"the judge {judge.spec} does no better than chance on the constitution's own "
            "examples, under any principle; give another --judge, or words"
        )
    return standing, watched


def _read(
    monitor: TrafficMonitor,
    source: Path,
    tell: Tell,
    say: Callable[[str], None],
    *,
    until_quiet: bool = True,
) -> int:
    """Read what there is and say which alarms that raised; returns lines read."""
    told = len(monitor.alarms)
    taken = monitor.read(source, tell=tell, until_quiet=until_quiet)
    for alarm in monitor.alarms[told:]:
        say(alarm_sentence(alarm))
    return taken


def _follow(
    monitor: TrafficMonitor,
    source: Path,
    seconds: float,
    tell: Tell,
    say: Callable[[str], None],
    stop: Callable[[], bool],
    settle: Callable[[], object],
) -> int:
    """Look for more every so often until asked to stop; returns lines read."""
    lines, written = 0, 0.0
    while True:
        ends = stop()
        try:
            taken = _read(monitor, source, tell, say, until_quiet=ends)
        except DataError:
            if source.exists():
                raise
            taken = 0  # it stopped, and may come back
        lines += taken
        if ends:
            return lines
        if taken and time.monotonic() - written > PAGE_EVERY:
            settle()
            written = time.monotonic()
        time.sleep(seconds)


def _settled(
    monitor: TrafficMonitor,
    law: Constitution,
    out: Path,
    source: Path,
    ledger: Ledger,
    answers: Mapping[str, bool],
    reports: Sequence[Path],
    redact: Callable[[str], str],
    left_out: Sequence[str],
    unproven: Sequence[str],
    command: str,
) -> dict[str, Any]:
    """What follows from what was read: reports, files for people, the ledger, the page."""
    texts = {each.id: each.text for each in law.principles}
    for path in reports:
        monitor.take_reports(
            read_reports(path, principles=texts, redact=redact, text_of=monitor.stored.text_of)
        )
    monitor.forget_old()
    for alarm in monitor.alarms:
        raised = {"principle": alarm.principle_id, "kind": alarm.kind, "at": alarm.at}
        ledger.record(
            f"alarm {_name(alarm)}",
            "alarm",
            {**raised, "time": alarm.time, "bound": alarm.bound},
        )
        if alarm.cause != "undecided":
            ledger.record(
                f"cause {_name(alarm)}: {alarm.cause}",
                "cause",
                {**raised, "cause": alarm.cause},
            )
    _write_lines(out / "to_label.jsonl", monitor.stored.to_label())
    _write_lines(out / "tests.jsonl", _tests(monitor, answers))
    content = production_content(
        monitor, law, answers=answers, left_out=left_out, unproven=unproven,
        packed=packed_files(source), command=command,
    )  # fmt: skip
    write_page("production", content, out / "report")
    return content


def _name(alarm: Alarm) -> str:
    return f"{alarm.kind} {alarm.principle_id} {alarm.at}"


def alarm_sentence(alarm: Alarm) -> str:
    """An alarm in a line."""
    what = (
        f"{alarm.principle_id} is broken more often than {100 * alarm.bound:.2f}%"
        if alarm.kind == "rate"
        else f"the judge has changed under {alarm.principle_id}"
    )
    cause = "" if alarm.kind == "judge" or alarm.cause == "undecided" else f" (the {alarm.cause})"
    return f"alarm at conversation {alarm.at:,}: {what}{cause}"


def _examined_on(standing: Standing, name: str) -> bool:
    """Whether there were enough examples to tell how the judge does."""
    return standing.trial is not None and standing.trial.ability(name).works is not None


def judge_of(
    model: LanguageModel, law: Constitution, prompts: Any, standing: Standing, seed: int
) -> Judge:
    """What the monitor asks: a model's word on conversations, with what is known of the model.

    Args:
        model: The judge.
        law: The principles.
        prompts: What it is asked in.
        standing: Under which principles it was seen to work, and where its borders lie.
        seed: Of its draws.
    """
    names = [each.id for each in standing.judged(law)]

    def rule(conversations: Sequence[LiveExchange]) -> list[dict[str, Ruling]]:
        exchanges = [
            Exchange(
                id=one.id,
                dialogue=one.messages,
                response=one.reply or "",
                model=one.model,
                finish_reason="stop",
            )
            for one in conversations
        ]
        seeds = [derive_seed(seed, "judge", one.id) for one in conversations]
        found = grade(model, exchanges, law, prompts=prompts, seeds=seeds, standing=standing)
        return [
            {
                name: Ruling(verdict=each.verdict, probability=each.probability)
                for name, each in zip(
                    names, found[place * len(names) : (place + 1) * len(names)], strict=True
                )
            }
            for place in range(len(conversations))
        ]

    return rule


def _answers(paths: Sequence[Path]) -> dict[str, bool]:
    """What people say of items; one that people differ on counts as most of them say."""
    votes: dict[str, list[bool]] = {}
    for path in paths:
        for place, row in json_lines(path, "labels"):
            if not isinstance(row.get("item"), str):
                raise DataError(
                    f"{place} must have `item` and `broken`, as `plumbrule label export` has them"
                )
            if isinstance(row.get("broken"), bool):
                votes.setdefault(row["item"], []).append(row["broken"])
    return {item: 2 * sum(said) > len(said) for item, said in votes.items()}


def _tests(monitor: TrafficMonitor, answers: Mapping[str, bool]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    lines = [
        prompt_line(each["messages"], group="reported", principle=each["principle"])
        for each in monitor.stored.reports()
    ] + [
        prompt_line(data["messages"], group="confirmed", principle=name)
        for name, data in monitor.stored.confirmed(answers)
    ]
    for line in lines:
        if line is not None:
            found.setdefault(line["id"].partition("-")[2], line)
    return list(found.values())


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(path, text)
