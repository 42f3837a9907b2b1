"""Finished runs side by side: principles, help against harm, labels, cost, and the same prompts.

Everything is read from the runs' own reports; no model is opened, and nothing is judged again.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.compliance import rate
from plumbrule.errors import ConfigError, DataError
from plumbrule.files import read_small_text
from plumbrule.folders import held_folder
from plumbrule.records import to_json
from plumbrule.report import write_page
from plumbrule.statistics import paired_proportions
from plumbrule.store import fingerprint
from plumbrule.version import __version__

LARGEST_REPORT = 64 * 2**20
"""Bytes of a run's report.json."""

MOST_RUNS = 20

LEAST_SHARED = 2
"""Prompts that two runs must share for a difference between them to be estimated."""

MEASURES = {
    "helpful": "requests helped per request that deserves help",
    "harmless": "replies that keep the constitution per request not to be helped with",
}

_BROKEN = "violations per reply it applies to"


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """A run's report, and what it is called here."""

    name: str
    folder: Path
    content: Mapping[str, Any]

    def letters(self, measure: str, stage: str = "final") -> dict[str, bool]:
        """What is known of each prompt: its hash → yes or no."""
        found = self.content["outcomes"]
        said = found["stages"].get(stage, {})
        text = said.get("broken", {}).get(measure[1:]) if measure[0] == "/" else said.get(measure)
        return {
            prompt: letter == "y"
            for prompt, letter in zip(found["prompts"], text or "", strict=False)
            if letter in "yn"
        }


def compare_runs(folders: Sequence[Path], *, out: Path, command: str) -> dict[str, Any]:
    """Set finished runs side by side and write a report of it.

    Args:
        folders: Of the runs; the others are held against the first.
        out: Folder of the comparison.
        command: What makes it again, for the report.

    Returns:
        What `report.json` holds.

    Raises:
        ConfigError: Fewer than two runs, one twice, or more than 20.
        DataError: A folder holds no finished run, or its report cannot be read.
        OutputError: `out` holds something else.
    """
    runs = read_runs(folders)
    content = runs_content(runs, command=command)
    ours = {"runs": [fingerprint(run.content) for run in runs]}
    names = "".join(f"- {run.folder}\n" for run in runs)
    with held_folder(out, marker="runs.json", ours=ours, configuration=f"runs:\n{names}"):
        write_page("runs", content, out / "report")
    return content


def read_runs(folders: Sequence[Path]) -> list[ReportedRun]:
    """Read the reports of runs.

    Raises:
        ConfigError: Fewer than two runs, one twice, or more than 20.
        DataError: A folder holds no finished run, or its report cannot be read.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise ConfigError(
            f"expected the folders of two to {MOST_RUNS} runs, got {len(folders)}: "
            "plumbrule compare-runs RUN RUN --out DIR"
        )
    resolved = [folder.resolve() for folder in folders]
    twice = [str(each) for each, count in Counter(resolved).items() if count > 1]
    if twice:
        raise ConfigError(f"expected different runs, {twice[0]} is there twice; leave one out")
    short = Counter(each.name for each in resolved)
    return [
        ReportedRun(
            name=path.name if short[path.name] == 1 else str(folder),
            folder=folder,
            content=_read(folder),
        )
        for folder, path in zip(folders, resolved, strict=True)
    ]


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "report" / "report.json"
    text = read_small_text(
        path, "the report of a finished run", most=LARGEST_REPORT, error=DataError
    )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"expected the report of a finished run, {path} is no JSON ({error}); give the run's "
            "command again, which writes it anew"
        ) from error
    if not isinstance(content, dict) or "principles" not in content:
        raise DataError(
            f"expected the report of a finished run, {path} is one of something else; give the "
            "folder that `plumbrule run --out` named"
        )
    if not _sound(content.get("outcomes")):
        raise DataError(
            f"{path} does not say what each prompt came to, as reports of earlier versions do not; "
            "give the run's command again: nothing is done twice, and the report is written anew"
        )
    return content


def _sound(found: Any) -> bool:
    """Whether outcomes have the form that a run writes."""
    if not isinstance(found, dict) or not isinstance(found.get("prompts"), list):
        return False
    stages = found.get("stages")
    if not isinstance(stages, dict) or "final" not in stages:
        return False
    count = len(found["prompts"])
    return all(
        isinstance(stage, dict)
        and isinstance(stage.get("broken"), dict)
        and all(
            isinstance(text, str) and len(text) == count
            for text in (stage.get("helpful"), stage.get("harmless"), *stage["broken"].values())
        )
        for stage in stages.values()
    )


def runs_content(runs: Sequence[ReportedRun], *, command: str) -> dict[str, Any]:
    """Everything that the report of a comparison of runs holds."""
    first, *others = runs
    rows = [_row(run) for run in runs]
    for row in rows:
        row["beaten_by"] = [each["name"] for each in rows if _beats(each, row)]
    differences = [_differences(first, other) for other in others]
    plain: dict[str, Any] = to_json(
        {
            "schema": 1,
            "title": f"{len(runs)} runs side by side",
            "summary": _summary(rows, differences),
            "plumbrule_version": __version__,
            "command": command,
            "before": _shares(first, "before"),
            "runs": rows,
            "principles": _principles(runs),
            "differences": differences,
            "notes": _notes(runs, differences),
        }
    )
    return plain


def _row(run: ReportedRun) -> dict[str, Any]:
    content = run.content
    stages = content.get("stages") or ()
    constitution = content.get("constitution") or {}
    return {
        "name": run.name,
        "folder": str(run.folder),
        "title": content.get("title"),
        "recipe": content.get("recipe"),
        "method": content.get("method"),
        "seed": content.get("seed"),
        "model": ((content.get("models") or {}).get("model") or {}).get("spec"),
        "constitution": f"{constitution.get('name')}, version {constitution.get('version')}",
        "read_by": content.get("headline_source"),
        "gates_passed": content.get("gates_passed"),
        "labels": content.get("labels"),
        "seconds": content.get("seconds"),
        "tokens": sum(
            (each.get("tokens_generated") or 0) + (each.get("tokens_scored") or 0)
            for each in stages
        ),
        "calls": sum(each.get("calls") or 0 for each in stages),
        "dollars": sum(each.get("dollars") or 0 for each in stages),
        **_shares(run, "final"),
    }


def _shares(run: ReportedRun, stage: str) -> dict[str, Any]:
    """Both measures of a run's model, over the prompts that it is known of."""
    return {
        measure: to_json(rate(list(run.letters(measure, stage).values()), unit))
        for measure, unit in MEASURES.items()
    }


def _beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a run is as good on both measures and better on one, by their estimates."""
    pairs = [(one[measure], other[measure]) for measure in MEASURES]
    if not all(a and b for a, b in pairs):
        return False
    moves = [a["value"] - b["value"] for a, b in pairs]
    return bool(min(moves) >= 0 and max(moves) > 0)


def _principles(runs: Sequence[ReportedRun]) -> list[dict[str, Any]]:
    """How often each principle is broken in each run, by what its report is read by."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        source = run.content.get("headline_source") or "judge"
        for each in run.content["principles"]:
            row = found.setdefault(
                each["id"], {"id": each["id"], "text": each.get("text"), "broken": {}}
            )
            final = (each.get("final") or {}).get("violation_rate") or {}
            row["broken"][run.name] = final.get(source)
    return list(found.values())


def _differences(first: ReportedRun, other: ReportedRun) -> dict[str, Any]:
    """The other run minus the first, on the held-out prompts that both were examined on."""
    reason = _incomparable(first, other)
    measures = [*MEASURES, *(f"/{each['id']}" for each in other.content["principles"])]
    rows = []
    for measure in measures:
        left, right = first.letters(measure), other.letters(measure)
        shared = [prompt for prompt in left if prompt in right]
        why = reason
        if why is None and len(shared) < LEAST_SHARED:
            why = f"{len(shared)} held-out prompts tell of it in both runs"
        estimate = None
        if why is None:
            estimate = paired_proportions(
                np.array([left[prompt] for prompt in shared]),
                np.array([right[prompt] for prompt in shared]),
                unit=f"change of {MEASURES.get(measure, _BROKEN)}",
            )
        rows.append(
            {
                "measure": measure.removeprefix("/"),
                "principle": measure[0] == "/",
                "better": "lower" if measure[0] == "/" else "higher",
                "estimate": None if estimate is None else to_json(estimate),
                "reason": why,
            }
        )
    return {"run": other.name, "against": first.name, "rows": rows}


def _incomparable(first: ReportedRun, other: ReportedRun) -> str | None:
    """Why two runs were measured by different rulers; None where they were not."""
    sources = [run.content.get("headline_source") for run in (first, other)]
    if sources[0] != sources[1]:
        return f"one is read by the {sources[0]}, the other by the {sources[1]}"
    if sources[0] != "oracle":
        judges = [
            ((run.content.get("models") or {}).get("judge") or {}).get("identity")
            for run in (first, other)
        ]
        if judges[0] != judges[1]:
            return "another judge read its replies"
        if first.content.get("constitution_sha256") != other.content.get("constitution_sha256"):
            return "it was judged by another constitution"
    return None


def _summary(
    rows: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]
) -> list[str]:
    lines = []
    for row in rows:
        shares = [
            f"{row[measure]['value']:.1%} [{row[measure]['low']:.1%}, {row[measure]['high']:.1%}]"
            if row[measure]
            else "not known"
            for measure in MEASURES
        ]
        labels = row["labels"] or {}
        people = (labels.get("people") or {}).get("pairs", 0)
        ai = (labels.get("ai") or {}).get("pairs", 0)
        lines.append(
            f"{row['name']} ({row['recipe']}): helpful {shares[0]}, harmless {shares[1]}; "
            f"{people} labels by people, {ai} by a model."
        )
    for each in differences:
        told = {
            one["measure"]: one["estimate"]
            for one in each["rows"]
            if not one["principle"] and one["estimate"]
        }
        if told:
            said = ", ".join(
                f"{name} {found['value'] * 100:+.1f} points "
                f"[{found['low'] * 100:+.1f}, {found['high'] * 100:+.1f}]"
                for name, found in told.items()
            )
            lines.append(f"{each['run']} minus {each['against']}, on the same prompts: {said}.")
    return lines


def _notes(runs: Sequence[ReportedRun], differences: Sequence[Mapping[str, Any]]) -> list[str]:
    said = [
        "Each interval holds for itself at 95%: of twenty differences that are none, one is "
        "expected to lie beside 0. They speak of these trained models: what another seed of "
        "training would give is not in them."
    ]
    asked = [set(run.content["outcomes"]["prompts"]) for run in runs]
    for run, own in zip(runs[1:], asked[1:], strict=True):
        shared = len(own & asked[0])
        if shared < max(len(own), len(asked[0])):
            said.append(
                f"{run.name} shares {shared} of its {len(own)} held-out prompts with "
                f"{runs[0].name}; differences are about those, the shares of each run about all of "
                "its own."
            )
    for each in differences:
        reasons = {one["reason"] for one in each["rows"] if one["reason"]}
        if len(reasons) == 1 and not any(one["estimate"] for one in each["rows"]):
            said.append(f"{each['run']} is not held against {each['against']}: {reasons.pop()}.")
    models = {
        ((run.content.get("models") or {}).get("model") or {}).get("identity") for run in runs
    }
    if len(models) > 1:
        said.append("The runs did not start from the same model.")
    return said
