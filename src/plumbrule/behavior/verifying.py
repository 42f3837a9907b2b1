"""Every decision of a finished comparison, made again from the recorded samples."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from plumbrule.behavior.certifying import certify, same_models
from plumbrule.behavior.pair import Draft, PairedReply
from plumbrule.behavior.settings import CompareSettings
from plumbrule.behavior.validation import ScoredPair, against, decide
from plumbrule.behavior.writing import MARKER, Decisions, read_settings
from plumbrule.errors import DataError
from plumbrule.ledger import compare_files, read_entries
from plumbrule.ledger import verify as verify_ledger
from plumbrule.records import from_json, read_jsonl, to_json
from plumbrule.store import file_sha256, fingerprint

Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """One thing that was looked at again."""

    name: str
    holds: bool
    detail: str


def verify_comparison(folder: Path) -> list[Recheck]:
    """Make every decision of a comparison again, and say where the record disagrees.

    No model is needed: samples, scores, e-values, e-BH, intervals and the certificate follow from
    the files alone. Scores that need no judge are computed again from the recorded texts.

    Args:
        folder: What `plumbrule compare --out` wrote.

    Raises:
        DataError: The folder holds no finished comparison, or a file cannot be read.
    """
    decisions = _read(folder)
    trials = _samples(ScoredPair, folder / "samples" / "trials.jsonl")
    drafts = _samples(Draft, folder / "samples" / "certificate.jsonl")
    by_chance = _samples(PairedReply, folder / "samples" / "random.jsonl")
    settings = read_settings(decisions.settings)
    checks = [_ledger(folder, decisions), _files(folder)]
    checks += [
        Recheck(
            name=name,
            holds=(folder / name).exists() and file_sha256(folder / name) == digest,
            detail="the file is what was written",
        )
        for name, digest in decisions.files.items()
    ]
    wrong = _misscored(decisions, trials)
    checks.append(
        Recheck(
            name="scores",
            holds=not wrong,
            detail=f"{len(trials)} pairs scored again"
            + (f"; wrong for {', '.join(wrong[:5])}" if wrong else ""),
        )
    )
    checks += _verdicts(decisions, trials, settings)
    certificate = certify(
        drafts,
        population=decisions.certificate.population,
        settings=settings.racing,
        looked_at=decisions.looked_at,
        family=len(decisions.hypotheses),
        named=frozenset(decisions.named),
        pairs=by_chance,
        reason=decisions.certificate.reason,
        seed=settings.seed,
    )
    if decisions.looked_at == 0 and not (drafts or trials):
        certificate = same_models(decisions.certificate.population)
    checks.append(
        Recheck(
            name="certificate",
            holds=alike(to_json(certificate), to_json(decisions.certificate)),
            detail=f"{len(drafts)} replies weighed again, {len(by_chance)} pairs scored again",
        )
    )
    return checks


def _verdicts(
    decisions: Decisions, trials: Sequence[ScoredPair], settings: CompareSettings
) -> list[Recheck]:
    """Whether each verdict follows from its trials."""
    grouped = {
        each.id: [t for t in trials if t.hypothesis_id == each.id] for each in decisions.hypotheses
    }
    try:
        if settings.method == "exhaustive":
            from plumbrule.behavior.streaming import decide_stream

            again = decide_stream(decisions.hypotheses, grouped, settings=settings)
        else:
            again = decide(
                decisions.hypotheses, grouped, decisions.stopped, settings=settings.racing
            )
    except DataError as error:
        return [Recheck(name="hypotheses", holds=False, detail=f"nothing can be decided: {error}")]
    return [
        Recheck(
            name=f"hypothesis {told.hypothesis.id}",
            holds=alike(to_json(told), to_json(made)),
            detail=f"{'confirmed' if made.confirmed else 'not confirmed'}, e-value "
            f"{made.e_value:.4g} from {made.pairs} pairs",
        )
        for told, made in zip(decisions.verdicts, again, strict=True)
    ]


def alike(one: object, other: object) -> bool:
    """Whether two records agree, but for the last bits of numbers worked out on other machines.

    Args:
        one: Anything that JSON holds.
        other: The same.

    Example:
        >>> alike({"p": [0.1 + 0.2]}, {"p": [0.3]}), alike({"p": 0.3}, {"q": 0.3})
        (True, False)
    """
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


def _read(folder: Path) -> Decisions:
    path = folder / "decisions.json"
    if not path.exists():
        begun = (folder / MARKER).exists()
        raise DataError(
            f"expected a finished comparison in {folder}, "
            + ("this one was interrupted; give its command again" if begun else "found none")
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    decisions = from_json(Decisions, value, origin=str(path))
    names = [each.id for each in decisions.hypotheses]
    if (
        len(set(names)) < len(names)
        or set(names) != set(decisions.stopped)
        or [each.hypothesis for each in decisions.verdicts] != list(decisions.hypotheses)
    ):
        raise DataError(f"{path} was altered: its verdicts are not those of its hypotheses")
    return decisions


def _samples(kind: type[Kind], path: Path) -> list[Kind]:
    if not path.exists():
        raise DataError(f"expected {path}, it is missing: without it nothing can be verified")
    return read_jsonl(kind, path) if path.stat().st_size else []


def _misscored(decisions: Decisions, trials: Sequence[ScoredPair]) -> list[str]:
    """Prompts of pairs whose recorded scores are not what their texts give."""
    hypotheses = {each.id: each for each in decisions.hypotheses}
    wrong = []
    for trial in trials:
        hypothesis = hypotheses.get(trial.hypothesis_id)
        if hypothesis is None:
            right = None
        elif not trial.pair.usable:
            right = against(hypothesis.direction)
        elif hypothesis.property.kind == "judged":
            continue
        else:
            score = hypothesis.property.score
            right = (score(trial.pair.base), score(trial.pair.tuned))
        if (trial.base_score, trial.tuned_score) != right:
            wrong.append(trial.pair.prompt_id)
    return wrong


def _files(folder: Path) -> Recheck:
    """Whether every file is what the ledger recorded when the comparison ended."""
    problems = compare_files(folder, read_entries(folder / "ledger.db"))
    if problems is None:
        detail = "no file of the folder was recorded, so none can be checked"
        return Recheck(name="files", holds=True, detail=detail)
    told = "; ".join(str(problem) for problem in problems[:5])
    return Recheck(
        name="files", holds=not problems, detail=told or "all files are what the ledger recorded"
    )


def _ledger(folder: Path, decisions: Decisions) -> Recheck:
    """Whether the hash chain holds and ends with these decisions."""
    found = verify_ledger(folder / "ledger.db")
    told = [
        entry for entry in read_entries(folder / "ledger.db") if entry.key == "compare/decisions"
    ]
    named = bool(told) and told[-1].payload.get("decisions") == fingerprint(to_json(decisions))
    return Recheck(
        name="ledger",
        holds=found.sound and named,
        detail="the chain is whole and names these decisions"
        if named and found.sound
        else "the chain is broken or names other decisions",
    )
