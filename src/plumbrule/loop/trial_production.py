"""Two arms on the same traffic: the plan written down, the traffic read, the decision recorded.

DIR/plan.yaml      all that decides, written once; its hash is in the ledger
DIR/ledger.db      the plan's hash, before any traffic; the decision, and what was done by it
DIR/state.db       as for a watch, with the trial's counts in the same transactions
DIR/report/        the page, and report.json
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plumbrule.constitution import Constitution, load_constitution
from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.files import parse_yaml, read_small_text
from plumbrule.folders import held_folder
from plumbrule.judging import PromptSet, Standing, examine_judge, load_prompts
from plumbrule.ledger import Ledger
from plumbrule.loop.watch_production import judge_of
from plumbrule.models import LanguageModel
from plumbrule.monitoring import (
    TrafficMonitor,
    Trial,
    TrialDecision,
    TrialPlan,
    WatchSettings,
    corrected_effect,
    difference,
    read_redactor,
    word_screen,
)
from plumbrule.records import from_json, to_json
from plumbrule.report import estimate_text, write_page
from plumbrule.store import Tell, silent, write_atomic
from plumbrule.version import __version__

TRIAL_VERSION = 1
PLAN = "plan.yaml"


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """The outcome of a trial, once there is one."""

    decision: TrialDecision | None
    """None while nothing is decided."""

    content: Mapping[str, Any]
    """What `report.json` holds."""

    page: Path


def write_plan(folder: Path, plan: TrialPlan, constitution: str) -> str:
    """Fix a plan: write it, and its hash into the ledger.

    Args:
        folder: Of the trial; made if it is not there.
        plan: The plan.
        constitution: By whose principles it decides.

    Returns:
        The plan's hash.

    Raises:
        ConfigError: It names a principle that there is not.
        OutputError: The folder has another plan: a plan is fixed once.
    """
    law = load_constitution(constitution)
    for name in plan.principles:
        law.principle(name)
    path = folder / PLAN
    text = yaml.safe_dump(to_json(plan), sort_keys=False)
    if path.exists():
        if read_plan(folder).sha256 != plan.sha256:
            raise OutputError(
                f"{path} holds another plan, and a plan is fixed once; give another --out"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise OutputError(f"expected an empty folder, {folder} holds something else")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    with Ledger.open(folder / "ledger.db") as ledger:
        ledger.record("trial/plan", "plan", {"sha256": plan.sha256, "constitution": law.sha256})
    return plan.sha256


def read_plan(folder: Path) -> TrialPlan:
    """The plan of a folder.

    Raises:
        DataError: There is none, or it is none.
    """
    if not (folder / PLAN).is_file():
        raise DataError(
            f"expected a trial in {folder}, it has no {PLAN}; write one with `plumbrule ab plan`"
        )
    value = parse_yaml(read_small_text(folder / PLAN, "a plan"), str(folder / PLAN))
    return from_json(TrialPlan, value, origin=str(folder / PLAN))


def run_trial(
    folder: Path,
    source: Path,
    constitution: str,
    *,
    judge: LanguageModel | None = None,
    judging_prompts: str = "default",
    patterns: Path | None = None,
    seed: int = 0,
    command: str = "",
    tell: Tell = silent,
) -> TrialOutcome:
    """Read what traffic there is, and decide by the plan.

    Args:
        folder: Of the trial, with its plan.
        source: A file or a folder of conversations.
        constitution: The one that the plan was made with.
        judge: Rules on every conversation; None: the constitution's words do.
        judging_prompts: What the judge is asked in.
        patterns: YAML with further patterns of what to redact.
        seed: Of the judge.
        command: What makes it again, for the page.
        tell: Told of progress.

    Raises:
        ConfigError: The constitution is not the plan's, or nobody can rule on its principles.
        DataError: There is no plan or no source; or the plan is not the one in the ledger.
        OutputError: Another process is in the folder.
        OutsideError: The disk or the judge failed; the same command goes on.
    """
    plan, law = read_plan(folder), load_constitution(constitution)
    prompts, redact = load_prompts(judging_prompts), read_redactor(patterns)
    settings = WatchSettings(
        anchors=0, label_flagged=0.0, label_cleared=0.0, seed=seed, baseline=10**9
    )
    ours = {
        "version": TRIAL_VERSION,
        "plan": plan.sha256,
        "named": {
            "source": str(source.resolve()),
            "constitution": law.sha256,
            "judge": judge.identity if judge else None,
            "prompts": prompts.sha256 if judge else None,
            "seed": seed,
        },
    }
    with Ledger.open(folder / "ledger.db") as ledger:
        fixed = [dict(each.payload) for each in ledger.entries() if each.key == "trial/plan"]
        if fixed != [{"sha256": plan.sha256, "constitution": law.sha256}]:
            raise DataError(
                f"{folder / PLAN} or the constitution is not what was fixed in {folder}/ledger.db; "
                "put it back, or begin another trial"
            )
        standing = _standing(plan, law, judge, prompts, seed, tell)
        with (
            _held(folder, ours),
            TrafficMonitor(
                folder,
                law,
                settings=settings,
                screen=word_screen(law),
                judge=judge_of(judge, law, prompts, standing, seed) if judge else None,
                judge_name=judge.identity if judge else "words",
                watched=[each.id for each in standing.judged(law)],
                redact=redact,
                plan=plan,
            ) as monitor,
        ):
            monitor.read(source, tell=tell)
            trial = monitor.trial
            assert trial is not None
            if trial.decision is not None:
                named = ("outcome", "action", "reason", "at")
                told = {name: getattr(trial.decision, name) for name in named}
                ledger.record("trial/decision", "decision", {"plan": plan.sha256, **told})
            content = trial_content(trial, command=command)
            write_page("trial", content, folder / "report")
    return TrialOutcome(
        decision=trial.decision, content=content, page=folder / "report" / "index.html"
    )


def _standing(
    plan: TrialPlan,
    law: Constitution,
    judge: LanguageModel | None,
    prompts: PromptSet,
    seed: int,
    tell: Tell,
) -> Standing:
    """What is known of the judge, narrowed to the principles of the plan.

    Raises:
        ConfigError: Nobody can rule on one of them.
    """
    standing = Standing()
    able = {each.id for each in law.principles if each.words}
    who = "without a judge there are only the principles' words, and none are given"
    if judge is not None:
        tell("examining the judge", 0, 0)
        standing = examine_judge(judge, law, prompts, seed)
        able = {each.id for each in standing.judged(law)}
        who = "the judge was not seen to do better than chance"
    blind = [name for name in plan.principles if name not in able]
    if blind:
        raise ConfigError(f"nobody can rule on {', '.join(blind)}: {who} for them")
    return dataclasses.replace(standing, only=frozenset(plan.principles))


def _held(folder: Path, ours: Mapping[str, Any]) -> Any:
    """The folder, which has a plan and a ledger already."""
    marker = folder / "trial.json"
    if not marker.exists():
        from plumbrule.store import canonical

        write_atomic(marker, canonical(ours))
    return held_folder(
        folder, marker="trial.json", ours=ours, configuration=yaml.safe_dump(dict(ours))
    )


def trial_content(trial: Trial, *, command: str = "") -> dict[str, Any]:
    """What the page of a trial holds."""
    plan, decision = trial.plan, trial.decision
    rows = []
    for name in plan.principles:
        counts = trial.counts[name]
        known = bool(counts[:2].sum() and counts[2:].sum())
        found = difference(counts, plan, name) if known else None
        corrected = None
        if name == plan.primary and decision is not None and found is not None:
            corrected = corrected_effect(counts, plan)
        claim = None
        if decision is not None:
            claim = "better" if name in decision.better else None
            claim = "worse" if name in decision.worse else claim
            if name == plan.primary and decision.outcome == "win":  # claimed by itself, as planned
                claim = "better"
        rows.append(
            {
                "id": name,
                "candidate": int(counts[:2].sum()),
                "candidate_broken": int(counts[0]),
                "incumbent": int(counts[2:].sum()),
                "incumbent_broken": int(counts[2]),
                "difference": None if found is None else to_json(found),
                "reason": None if found else "an arm has no conversation yet",
                "corrected": None if corrected is None else to_json(corrected),
                "claim": claim,
                "primary": name == plan.primary,
            }
        )
    return {
        "schema": 1,
        "title": f"Trial {plan.name}",
        "plumbrule_version": __version__,
        "command": command,
        "summary": _summary(trial, rows),
        "plan": to_json(plan),
        "plan_sha256": plan.sha256,
        "decision": None if decision is None else to_json(decision),
        "arms": [{"what": name, "count": number} for name, number in sorted(trial.units.items())],
        "points": trial.points,
        "principles": rows,
        "notes": _notes(plan),
    }


def _summary(trial: Trial, rows: list[dict[str, Any]]) -> list[str]:
    plan, decision = trial.plan, trial.decision
    number = trial.units["candidate"] + trial.units["incumbent"]
    found = [
        f"{number:,} conversations, {trial.units['candidate']:,} of them the candidate's "
        f"({plan.share:.0%} were meant)."
    ]
    if decision is None:
        found.append(f"Nothing is decided yet; at most {plan.most:,} conversations are taken.")
        return found
    actions = {
        "promote": "Promote the candidate",
        "roll back": "Roll the candidate back",
        "keep": "Keep the incumbent",
    }
    found.append(f"{actions[decision.action]}: {decision.reason}.")
    corrected = rows[0]["corrected"]
    if corrected is not None:
        found.append(
            f"With the bias of stopping taken out, candidate minus incumbent under {plan.primary} "
            f"is {estimate_text(corrected)}."
        )
    return found


def _notes(plan: TrialPlan) -> list[str]:
    return [
        f"However often one looks, a win for nothing comes with a chance of at most "
        f"{100 * plan.alpha:g}%, harm and equivalence likewise; a trial that would have shown "
        f"{100 * plan.smallest:g} points is called futile with a chance of at most "
        f"{100 * plan.beta:g}%.",
        f"Claims under several principles: at most {100 * plan.alpha:g}% of them are false on "
        "average (e-BH).",
        "The corrected effect is that of the primary principle; it is right on average, and no "
        "surer than its interval.",
        "A conversation counts once, by its first reply that was read, for the arm that the server "
        "recorded, or that the hash gives where it recorded none.",
    ]
