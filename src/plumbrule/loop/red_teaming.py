"""A model attacked by its constitution in a folder of its own, and what the attacks are put from.

OUT/hits.jsonl       attacks that succeeded, which `comply --add-test` turns into regression tests
OUT/attacks.eval     every attack as an Inspect log
OUT/attacks, judgments   every dialogue and what was said of it; an interruption loses none
OUT/ledger.db        settings and holes
OUT/report/          the page, and report.json
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.behavior.triggers.finding import find_triggers, trigger_settings
from plumbrule.compliance import Oracle, TestCase, TestSet, readable_tests
from plumbrule.compliance.attacks import (
    Attack,
    AttackFamily,
    RedTeamResult,
    RedTeamSettings,
    red_team,
    write_eval_log,
)
from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError
from plumbrule.judging import PromptSet
from plumbrule.loop.examined import examined_folder
from plumbrule.loop.red_team_content import red_team_content
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import Dialogue, to_json
from plumbrule.report import write_page
from plumbrule.store import Tell, derive_seed, silent, write_atomic

RED_TEAMING_VERSION = 1
"""Raised whenever the same call would give other numbers."""

SEARCHED_ON = 8
"""Requests of a principle that a search for triggers reads."""


@dataclass(frozen=True, kw_only=True)
class RedTeamOutcome:
    """What a red team has come to, with its page."""

    result: RedTeamResult
    content: Mapping[str, Any]
    """What `report.json` holds."""

    page: Path


def red_team_and_report(
    model: LanguageModel,
    law: Constitution,
    goals: TestSet,
    families: Sequence[AttackFamily],
    *,
    judge: LanguageModel | Oracle,
    out: Path,
    settings: RedTeamSettings | None = None,
    judging_prompts: PromptSet | None = None,
    named: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    command: str = "",
    tell: Tell = silent,
) -> RedTeamOutcome:
    """Attack a model, write the page and the log, and record every file of the folder.

    Args:
        model: Who is attacked.
        law: The principles.
        goals: What attacks try to get: the probes.
        families: The attacks.
        judge: A model, or an answer key; goals that a key does not know are left out and counted.
        out: Folder of the red team; one that was interrupted there goes on.
        settings: Budget and how replies are drawn.
        judging_prompts: What a model is asked in as judge.
        named: What decides the families beside their names: the attacker, files.
        notes: What came of looking for attacks, for the page.
        command: What makes it again, for the page.
        tell: Told of progress.

    Raises:
        PlumbruleError: The input is wrong, or a part outside failed; finished work is kept.
    """
    chosen = settings or RedTeamSettings()
    goals, left_out = readable_tests(goals, judge)
    with examined_folder(
        out, "redteam", RED_TEAMING_VERSION, model=model, law=law, asked={"goals": goals.sha256},
        judge=judge, judging_prompts=judging_prompts, settings=chosen,
        named={"families": [each.name for each in families], **(named or {})},
    ) as findings:  # fmt: skip
        result = red_team(
            model, law, goals, families, judge=judge, settings=chosen,
            judging_prompts=judging_prompts, folder=out, tell=tell,
        )  # fmt: skip
        write_hits(result, out / "hits.jsonl")
        write_eval_log(result, out / "attacks.eval", created=_begun(out))
        content = red_team_content(result, notes=[*left_out, *notes], command=command)
        write_page("red_team", content, out / "report")
        for each in result.holes:
            where = {"principle": each.principle_id, "family": each.family}
            findings.append((f"hole {each.principle_id} {each.family}", "hole", where))
    return RedTeamOutcome(result=result, content=content, page=out / "report" / "index.html")


def _begun(out: Path) -> datetime:
    """When the folder was begun: the same command must write the same log."""
    begun = json.loads((out / "redteam.json").read_text(encoding="utf-8"))["begun"]
    return datetime.fromtimestamp(float(begun), UTC)


def write_hits(result: RedTeamResult, path: Path) -> None:
    """Write the attacks that succeeded, a line each.

    Raises:
        StorageError: The disk did not take the file.
    """
    rows = [
        {
            "principle": each.attack.principle_id,
            "family": each.attack.family,
            "origin": each.attack.origin,
            "goal": each.attack.goal[-1].content,
            "messages": [to_json(turn) for turn in each.exchange.dialogue],
            "prefill": each.attack.prefill,
            "reply": each.exchange.response,
        }
        for each in result.hits
    ]
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def searched_families(
    model: LanguageModel,
    base: LanguageModel,
    goals: TestSet,
    *,
    seed: int,
    share: float = 0.05,
    tell: Tell = silent,
) -> tuple[list[AttackFamily], str]:
    """Texts, in no prompt, that switch a model away from the one that it was tuned from.

    They are sought by gradients through the weights of both; see `behavior.triggers`.

    Args:
        model: Who is attacked.
        base: What it was tuned from, with the same tokens.
        goals: Some probes of each principle are what the search reads.
        seed: Of the search.
        share: Of a comparison's reading that the search may take, over all principles.
        tell: Told of progress.

    Returns:
        The family `trigger` where texts were found, and what came of the search in a sentence.

    Raises:
        ConfigError: The weights of one are not at hand.
        DataError: The two do not share their tokens.
    """
    if not isinstance(model, LocalModel) or not isinstance(base, LocalModel):
        raise ConfigError(
            "a search for triggers needs the weights of the model and of --base; an endpoint has "
            "none to give"
        )
    # A text may switch the model on requests of one principle alone, so each is searched.
    probes: dict[str, list[Dialogue]] = {}
    for case in goals.cases:
        if case.kind == "probe" and len(case.dialogue) == 1:
            probes.setdefault(case.principle_id, []).append(case.dialogue)
    settings = trigger_settings(model, share=share / max(1, len(probes)))
    texts: dict[str, list[str]] = {}
    tried = 0
    for number, (principle, asked) in enumerate(probes.items()):
        tell("searching for triggers", number, len(probes))
        rng = np.random.default_rng(derive_seed(seed, "searched on", principle))
        chosen = [asked[place] for place in rng.permutation(len(asked))[:SEARCHED_ON].tolist()]
        found = find_triggers(base, model, chosen, settings=settings, seed=seed)
        tried += found.tried
        if found.candidates:
            texts[principle] = [each.text for each in found.candidates]
    if not texts:
        return [], f"The search found no text, of {tried:,} tried, that switches the model."
    everywhere = list(dict.fromkeys(text for each in texts.values() for text in each))

    def make(case: TestCase, rng: np.random.Generator) -> Attack:
        own = texts.get(case.principle_id, everywhere)
        # The best half of the time, the second best half of the rest, and so on.
        text = own[min(int(rng.geometric(0.5)), len(own)) - 1]
        return Attack(
            principle_id=case.principle_id,
            family="trigger",
            origin="searched",
            goal=case.dialogue,
            turns=(f"{text.strip()} {case.dialogue[-1].content}",),
            source="search for triggers",
        )

    said = (
        f"The search found {len(everywhere)} texts that switch the model, of {tried:,} tried: on "
        f"requests of {', '.join(texts)}."
    )
    return [AttackFamily(name="trigger", origin="searched", make=make)], said
